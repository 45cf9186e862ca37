//! Key-encryption keys that are wrapped, and kept keys that are sealed anew.

use super::{AT, Open, promises};
use crate::clock::Moment;
use crate::ids::Kid;
use crate::keys::KekId;
use crate::store::{KeyPurpose, KeyRow, Store, WrappedKek};

promises! {
    wrapped_keks_are_kept_as_they_were_first_put,
    a_kept_key_is_sealed_anew_only_on_purpose,
    sealing_anew_that_is_not_committed_leaves_nothing,
}

fn wrapped(id: u8, seconds: i64) -> WrappedKek {
    WrappedKek {
        id: KekId::from_bytes([id; 8]),
        kms_key: "arn:aws:kms:eu-central-1:123456789012:key/\"1\"".to_owned(),
        wrapped: vec![0, id, 255],
        created_at: Moment::from_unix_seconds(seconds),
    }
}

fn key(kid: &str, sealed: &[u8]) -> KeyRow {
    KeyRow {
        kid: Kid::new(kid).unwrap(),
        purpose: KeyPurpose::Token,
        algorithm: "ES256".into(),
        sealed_private: sealed.to_vec(),
        public: r#"{"kty":"EC"}"#.into(),
        created_at: AT,
        active_from: AT,
        retired_at: None,
        published_until: None,
    }
}

async fn put_keys(store: &dyn Store, keys: &[KeyRow]) {
    let mut unit = store.begin().await.unwrap();
    for key in keys {
        unit.put_key(key).await.unwrap();
    }
    unit.commit().await.unwrap();
}

async fn wrapped_keks_are_kept_as_they_were_first_put(open: Open<'_>) {
    let store = open().await;
    assert!(store.wrapped_keks().await.unwrap().is_empty());
    let (first, second) = (wrapped(2, 1), wrapped(1, 2));
    let other = WrappedKek { wrapped: vec![9], ..second.clone() };
    let mut unit = store.begin().await.unwrap();
    for kek in [&second, &first, &other] {
        unit.put_wrapped_kek(kek).await.unwrap();
    }
    assert_eq!(unit.wrapped_keks().await.unwrap(), [first.clone(), second.clone()]);
    unit.commit().await.unwrap();
    drop(store);
    let store = open().await;
    assert_eq!(store.wrapped_keks().await.unwrap(), [first.clone(), second.clone()], "oldest first");
    let mut unit = store.begin().await.unwrap();
    for gone in [first.id, KekId::from_bytes([77; 8])] {
        unit.delete_wrapped_kek(gone).await.unwrap();
    }
    unit.commit().await.unwrap();
    assert_eq!(store.wrapped_keks().await.unwrap(), [second]);
}

/// A replica that read a key before it was sealed anew and writes its times must not bring the old seal back.
async fn a_kept_key_is_sealed_anew_only_on_purpose(open: Open<'_>) {
    let store = open().await;
    put_keys(store.as_ref(), &[key("a", b"old"), key("b", b"old")]).await;
    let mut unit = store.begin().await.unwrap();
    for kid in ["a", "never"] {
        unit.reseal_key(&Kid::new(kid).unwrap(), b"new").await.unwrap();
    }
    assert_eq!(unit.keys().await.unwrap(), [key("a", b"new"), key("b", b"old")]);
    unit.commit().await.unwrap();
    let until = Some(AT);
    let late = KeyRow { retired_at: until, published_until: until, ..key("a", b"old") };
    put_keys(store.as_ref(), std::slice::from_ref(&late)).await;
    let sealed_anew = KeyRow { sealed_private: b"new".to_vec(), ..late };
    assert_eq!(store.keys().await.unwrap(), [sealed_anew, key("b", b"old")]);
}

async fn sealing_anew_that_is_not_committed_leaves_nothing(open: Open<'_>) {
    let store = open().await;
    put_keys(store.as_ref(), &[key("a", b"old"), key("b", b"old")]).await;
    let mut unit = store.begin().await.unwrap();
    unit.reseal_key(&Kid::new("a").unwrap(), b"new").await.unwrap();
    unit.put_wrapped_kek(&wrapped(1, 1)).await.unwrap();
    drop(unit);
    drop(store);
    let store = open().await;
    assert_eq!(store.keys().await.unwrap(), [key("a", b"old"), key("b", b"old")]);
    assert!(store.wrapped_keks().await.unwrap().is_empty());
}
