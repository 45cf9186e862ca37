//! What `tidegate keys list` shows.

use super::times_of;
use crate::clock::Moment;
use crate::ids::Kid;
use crate::keys::schedule;
use crate::keys::{KekId, KeyTimes};
use crate::store::{KeyPurpose, KeyRow, Store, StoreError};

/// One key as listed, from the store alone: listing needs no key-encryption key.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[expect(missing_docs, reason = "each field is the row's column of that name")]
pub struct ListedKey {
    pub kid: Kid,
    /// `token` or `log`
    pub purpose: &'static str,
    pub algorithm: String,
    /// `next`, `signing`, `retired` (still published) or `gone`.
    pub state: &'static str,
    /// The id of the key-encryption key that seals its private half.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kek: Option<KekId>,
    pub created_at: Moment,
    pub active_from: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published_until: Option<Moment>,
}

/// Every kept key, the log's too, in the order of creation.
pub async fn list(store: &dyn Store, at: Moment) -> Result<Vec<ListedKey>, StoreError> {
    let mut rows = store.keys().await?;
    rows.sort_by(|a, b| (a.created_at, &a.kid).cmp(&(b.created_at, &b.kid)));
    let token_times: Vec<KeyTimes> =
        rows.iter().filter(|row| row.purpose == KeyPurpose::Token).map(times_of).collect();
    let signer = schedule::signer(&token_times, at).map(|key| key.kid.clone());
    Ok(rows.into_iter().map(|row| listed(row, signer.as_ref(), at)).collect())
}

fn listed(row: KeyRow, signer: Option<&Kid>, at: Moment) -> ListedKey {
    let times = times_of(&row);
    let state = match row.purpose {
        KeyPurpose::Log => "signing",
        KeyPurpose::Token if signer == Some(&row.kid) => "signing",
        KeyPurpose::Token if !times.is_published(at) => "gone",
        KeyPurpose::Token if times.retired_at.is_none() && times.active_from > at => "next",
        KeyPurpose::Token => "retired",
    };
    ListedKey {
        kek: row.sealed_under(),
        kid: row.kid,
        purpose: row.purpose.as_str(),
        algorithm: row.algorithm,
        state,
        created_at: row.created_at,
        active_from: row.active_from,
        retired_at: row.retired_at,
        published_until: row.published_until,
    }
}
