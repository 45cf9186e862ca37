//! Of `[keys]`, where the key-encryption key is and was.

use super::*;

const KEY: &str = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const OTHER: &str = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-ba0987654321";
const VALUE: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

fn keys(lines: &str) -> String {
    with("kek_file = \"kek\"", lines)
}

#[test]
fn a_key_encryption_key_is_in_exactly_one_place() {
    let kms = format!("kek_kms = \"{KEY}\"");
    refuses(&[
        (keys("rotate_every = \"24h\""), "keys.kek_file: missing", "openssl rand"),
        (
            keys(&format!("kek_file = \"kek\"\n{kms}")),
            "`kek_kms` and `kek_file` exclude each other",
            "one place",
        ),
        (keys(&format!("kek = \"{VALUE}\"\n{kms}")), "`kek_kms` and `kek` exclude each other", "one place"),
        (
            keys("kek_file = \"kek\"\nkms_endpoint = \"https://kms.example.com\""),
            "only with `kek_kms`",
            "leave it out",
        ),
        (keys(&format!("{kms}\nkms_endpoint = \"http://kms.example.com\"")), "is plain http", "https"),
    ]);
    let settings = settings(&keys(&format!("{kms}\nkms_endpoint = \"http://127.0.0.1:4566\""))).keys.kek;
    assert!(matches!(&settings.wanted, KekSource::Kms(key) if key.as_str() == KEY));
    assert!(settings.previous.is_none() && settings.kms_endpoint.is_some());
}

#[test]
fn a_kms_key_is_named_by_its_whole_arn() {
    let kms = |arn: &str| keys(&format!("kek_kms = \"{arn}\""));
    refuses(&[
        (kms("alias/tidegate"), "`alias/tidegate` is not of the form", "describe-key"),
        (
            kms(&KEY.replace("key/1234abcd-12ab-34cd-56ef-1234567890ab", "alias/tidegate")),
            "is of an alias",
            "describe-key",
        ),
        (kms(&KEY.replace("eu-central-1", "cn-north-1")), "not in its partition", "describe-key"),
        (
            kms("arn:aws-cn:kms:cn-north-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"),
            "in another partition than `aws.region`",
            "one partition",
        ),
    ]);
    // Another region of the same partition is a way to keep keys apart from what they guard.
    settings(&kms(&KEY.replace("eu-central-1", "eu-west-1")));
}

#[test]
fn the_one_before_is_named_while_it_is_changed_and_is_another() {
    let wanted = |lines: &str| keys(&format!("kek_file = \"kek\"\n{lines}"));
    refuses(&[
        (
            wanted("previous_kek_file = \"kek\""),
            "keys.previous_kek_file: the same as the one that is wanted",
            "",
        ),
        (wanted("previous_kek_file = \"none\""), "cannot be read", ""),
        (wanted("previous_kek = \"c2hvcnQ=\""), "not the base64 of 32 bytes", ""),
        (
            wanted(&format!("previous_kek = \"{VALUE}\"\nprevious_kek_kms = \"{KEY}\"")),
            "exclude each other",
            "",
        ),
        (
            keys(&format!("kek_kms = \"{KEY}\"\nprevious_kek_kms = \"{KEY}\"")),
            "keys.previous_kek_kms: the same",
            "needs no other setting",
        ),
    ]);
    let inline = wanted(&format!("previous_kek = \"{VALUE}\""));
    let read = settings(&inline).keys.kek;
    assert!(matches!(read.previous, Some(KekSource::Value(_))));
    assert!(!format!("{read:?}").contains("MDEy"), "a secret never prints");
    let faults = read_faults(&inline.replace("MDEy", "MDE"));
    assert!(!faults.contains("Njc4"), "nor in a fault: {faults}");
    let both = settings(&keys(&format!("kek_kms = \"{OTHER}\"\nprevious_kek_kms = \"{KEY}\""))).keys.kek;
    assert!(matches!(both.previous, Some(KekSource::Kms(key)) if key.as_str() == KEY));
}

fn read_faults(text: &str) -> String {
    format!("{:?}", read(text).unwrap_err())
}
