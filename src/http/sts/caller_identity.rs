//! The headers of a request that an SDK signed (AWS Signature Version 4), taken apart. Nothing is checked here but that
//! everything is there.

use axum::http::{HeaderMap, Uri};

use crate::clock::Moment;
use crate::exchange::{SignatureRefusal, SignedRequest};

const ALGORITHM: &str = "AWS4-HMAC-SHA256 ";
/// A signature over fewer says nothing about when or to whom.
const MUST_BE_SIGNED: [&str; 2] = ["host", "x-amz-date"];
/// More than any SDK signs.
const MOST_HEADERS: usize = 64;

/// `Credential=<key>/<date>/<region>/sts/aws4_request, SignedHeaders=<a;b>, Signature=<hex>`
struct Authorization<'a> {
    access_key_id: &'a str,
    date: &'a str,
    region: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

pub(super) fn signed_request<'a>(
    uri: &'a Uri,
    headers: &'a HeaderMap,
    body: &'a [u8],
) -> Result<SignedRequest<'a>, SignatureRefusal> {
    let value = one(headers, "authorization").ok_or(SignatureRefusal::Missing)?;
    let authorization = Authorization::parse(value).ok_or(SignatureRefusal::Incomplete)?;
    let date = one(headers, "x-amz-date").ok_or(SignatureRefusal::Incomplete)?;
    if !date.starts_with(authorization.date) || authorization.date.len() != 8 {
        return Err(SignatureRefusal::Incomplete);
    }
    Ok(SignedRequest {
        access_key_id: authorization.access_key_id,
        region: authorization.region,
        at: moment(date).ok_or(SignatureRefusal::Incomplete)?,
        path: uri.path(),
        headers: signed(authorization.signed_headers, uri, headers).ok_or(SignatureRefusal::Incomplete)?,
        body,
        session_token: one(headers, "x-amz-security-token").ok_or(SignatureRefusal::UnknownKey)?,
        signature: authorization.signature,
    })
}

impl<'a> Authorization<'a> {
    fn parse(value: &'a str) -> Option<Self> {
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in value.strip_prefix(ALGORITHM)?.split(',') {
            let (name, value) = part.trim().split_once('=')?;
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return None,
            };
            if place.replace(value).is_some() {
                return None;
            }
        }
        let mut scope = credential?.split('/');
        let mut next = || scope.next().filter(|part| !part.is_empty());
        let (access_key_id, date, region) = (next()?, next()?, next()?);
        let rest = [next(), next(), next()];
        (rest == [Some("sts"), Some("aws4_request"), None]).then_some(())?;
        Some(Self { access_key_id, date, region, signed_headers: signed_headers?, signature: signature? })
    }
}

/// The one value of that header.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).into_iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// `20261122T160312Z`
fn moment(text: &str) -> Option<Moment> {
    let plain = text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'T' | b'Z'));
    plain.then(|| text.parse().ok()).flatten()
}

/// Every value of every header that was signed.
fn signed<'a>(names: &'a str, uri: &'a Uri, headers: &'a HeaderMap) -> Option<Vec<(&'a str, &'a str)>> {
    let names: Vec<&str> = names.split(';').take(MOST_HEADERS + 1).collect();
    if names.len() > MOST_HEADERS || MUST_BE_SIGNED.iter().any(|must| !names.contains(must)) {
        return None;
    }
    let mut found = Vec::new();
    for name in names {
        let values = headers.get_all(name).into_iter().map(|value| value.to_str().ok());
        let values: Vec<&str> = values.collect::<Option<_>>()?;
        match (values.is_empty(), name) {
            // HTTP/2 has the host in the request line.
            (true, "host") => found.push((name, uri.authority()?.as_str())),
            (true, _) => return None,
            (false, _) => found.extend(values.into_iter().map(|value| (name, value))),
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "AWS4-HMAC-SHA256 Credential=ASIA1/20261122/eu-central-1/sts/aws4_request, \
                        SignedHeaders=host;x-amz-date, Signature=abc";

    fn read(authorization: &str, date: &str) -> Result<(String, usize), SignatureRefusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "broker"),
            ("x-amz-date", date),
            ("x-amz-security-token", "t"),
            ("authorization", authorization),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let uri = Uri::from_static("/sts");
        let signed = signed_request(&uri, &headers, b"")?;
        Ok((signed.access_key_id.to_owned(), signed.headers.len()))
    }

    #[test]
    fn what_is_no_complete_signature_is_refused() {
        let date = "20261122T160312Z";
        for (old, new) in [
            ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
            ("/sts/", "/s3/"),
            ("aws4_request", "aws4_request/more"),
            ("ASIA1", ""),
            ("host;x-amz-date", "host"),
            ("host;x-amz-date", "x-amz-date"),
            ("host;x-amz-date", "host;x-amz-date;not-sent"),
            ("/20261122/", "/20261123/"),
            ("/20261122/", "/2026/"),
            ("Signature=abc", "Signature=abc, Signature=abc"),
            (", Signature=abc", ""),
            ("Signature", "Sign"),
        ] {
            let broken = GOOD.replace(old, new);
            assert_ne!(broken, GOOD);
            assert_eq!(read(&broken, date).unwrap_err(), SignatureRefusal::Incomplete, "{broken}");
        }
        for date in
            ["20261122", "20261122T160312", "20261122T250312Z", "20261122T160312+01", "2026-11-22T16:03Z"]
        {
            assert_eq!(read(GOOD, date).unwrap_err(), SignatureRefusal::Incomplete, "{date}");
        }
    }

    #[test]
    fn a_complete_one_is_taken_apart() {
        assert_eq!(read(GOOD, "20261122T160312Z"), Ok(("ASIA1".to_owned(), 2)));
        assert_eq!(moment("20261122T160312Z"), "2026-11-22T16:03:12Z".parse().ok());
    }
}
