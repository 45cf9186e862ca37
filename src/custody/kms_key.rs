//! Names of keys in AWS KMS.

use std::fmt;

use crate::grants::Region;

/// `arn:<partition>:kms:<region>:<account>:key/<id>`: one symmetric key in AWS KMS, by the only name that cannot come to
/// mean another.
#[derive(Clone, PartialEq, Eq)]
pub struct KmsKey {
    arn: String,
    region: Region,
}

impl KmsKey {
    /// Reads an ARN. An error is what is wrong with it and what to write instead.
    pub fn new(arn: &str) -> Result<Self, (&'static str, String)> {
        let whole = "the whole ARN of the key: `aws kms describe-key --key-id … --query KeyMetadata.Arn`";
        let refuse = |what| Err((what, whole.to_owned()));
        let fields: Vec<&str> = arn.splitn(6, ':').collect();
        let ["arn", partition, "kms", region, account, resource] = fields.as_slice() else {
            return refuse("not of the form `arn:<partition>:kms:<region>:<account>:key/<id>`");
        };
        let Ok(region) = Region::new(region) else { return refuse("without a region that can be one") };
        if region.partition() != *partition {
            return refuse("of a region that is not in its partition");
        }
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
            return refuse("without an account of 12 digits");
        }
        match resource.split_once('/') {
            Some(("key", id)) if is_key_id(id) => Ok(Self { arn: arn.to_owned(), region }),
            Some(("key", _)) => refuse("without the id of a key"),
            // Whoever moves it to another key would leave us with bytes that nobody opens.
            Some(("alias", _)) => refuse("of an alias, which can be pointed at another key"),
            _ => refuse("not of a key"),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.arn
    }

    /// Where it is called.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Does it open what the key of that ARN has wrapped? The same key does, and the replica of a multi-region key in
    /// another region.
    pub fn opens(&self, arn: &str) -> bool {
        self.arn == arn || (self.is_multi_region() && without_region(&self.arn) == without_region(arn))
    }

    fn is_multi_region(&self) -> bool {
        self.arn.contains(":key/mrk-")
    }
}

impl fmt::Debug for KmsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)
    }
}

impl fmt::Display for KmsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)
    }
}

/// A UUID, or `mrk-` and 32 hexadecimal digits.
fn is_key_id(text: &str) -> bool {
    let is_hex = |digits: &str| digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if let Some(digits) = text.strip_prefix("mrk-") {
        return digits.len() == 32 && is_hex(digits);
    }
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.split('-').all(is_hex)
}

fn without_region(arn: &str) -> Vec<&str> {
    arn.splitn(6, ':').enumerate().filter(|(place, _)| *place != 3).map(|(_, field)| field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    const MULTI: &str = "arn:aws:kms:eu-central-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab";

    #[test]
    fn what_is_no_arn_of_one_key_is_refused_with_the_reason() {
        for (text, why) in [
            ("1234abcd-12ab-34cd-56ef-1234567890ab", "not of the form"),
            ("alias/tidegate", "not of the form"),
            ("arn:aws:iam::123456789012:role/x", "not of the form"),
            (&KEY.replace("key/1234abcd-12ab-34cd-56ef-1234567890ab", "alias/tidegate"), "of an alias"),
            (&KEY.replace("1234abcd-", "alias"), "without the id"),
            (&KEY.replace("1234abcd", "1234ABCD"), "without the id"),
            (&MULTI.replace("mrk-12", "mrk-"), "without the id"),
            (&KEY.replace("key/", "key"), "not of a key"),
            (&KEY.replace("eu-central-1", ""), "without a region"),
            (&KEY.replace("eu-central-1", "cn-north-1"), "not in its partition"),
            (&KEY.replace("arn:aws:", "arn:aws-us-gov:"), "not in its partition"),
            (&KEY.replace("123456789012", "12345678901"), "without an account"),
        ] {
            let (refusal, help) = KmsKey::new(text).unwrap_err();
            assert!(refusal.contains(why) && help.contains("describe-key"), "{text}: {refusal}");
        }
    }

    #[test]
    fn a_key_opens_what_it_wrapped_and_a_replica_what_its_siblings_did() {
        let elsewhere = |arn: &str| arn.replace("eu-central-1", "eu-west-1");
        let (key, multi) = (KmsKey::new(KEY).unwrap(), KmsKey::new(MULTI).unwrap());
        assert!(key.opens(KEY) && multi.opens(MULTI) && multi.opens(&elsewhere(MULTI)));
        assert!(!key.opens(&elsewhere(KEY)) && !key.opens(MULTI) && !multi.opens(KEY));
        assert!(!multi.opens(&MULTI.replace("123456789012", "210987654321")), "another account");
        assert_eq!(key.region().as_str(), "eu-central-1");
        assert!(
            KmsKey::new("arn:aws-cn:kms:cn-north-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab")
                .is_ok()
        );
    }
}
