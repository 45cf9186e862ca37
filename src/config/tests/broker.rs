//! `[log]`, `[keys]` and `[audit]`.

use super::*;

#[test]
fn keys_are_sealed_rotated_and_published_ahead() {
    let keys = |lines: &str| with("kek_file = \"kek\"", &format!("kek_file = \"kek\"\n{lines}"));
    refuses(&[
        (keys("algorithm = \"HS256\""), "keys.algorithm: unknown algorithm `HS256`", "did you mean"),
        (keys("algorithm = \"RS256\""), "RS256 needs `rsa_key_file`", "openssl genpkey"),
        (keys("rsa_key_file = \"rsa.pem\""), "only with algorithm = \"RS256\"", ""),
        (keys("rotate_every = \"1h\"\npublish_ahead = \"1h\""), "not shorter than `rotate_every`", ""),
        (keys("kek = \"x\""), "`kek` and `kek_file` exclude each other", "keep `kek_file`"),
        (with("kek_file = \"kek\"", "kek = \"c2hvcnQ=\""), "not the base64 of 32 bytes", "openssl rand"),
    ]);
    settings(&keys("algorithm = \"RS256\"\nrsa_key_file = \"rsa.pem\""));
    assert_eq!(settings(&keys("rotate_every = \"10m\"")).keys.publish_ahead, Duration::from_mins(5));
    let inline = with("kek_file = \"kek\"", "kek = \"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\"");
    assert!(!format!("{:?}", settings(&inline)).contains("MDEy"), "a secret never prints");
}

#[test]
fn a_key_is_published_by_every_replica_before_it_signs() {
    let keys = |lines: &str, url: &str| {
        let text = with("kek_file = \"kek\"", &format!("kek_file = \"kek\"\n{lines}"));
        format!("{text}\n[store]\nurl = \"{url}\"")
    };
    let (postgres, sqlite) = ("postgres://tidegate@db.example.com/broker", "sqlite:tidegate.db");
    refuses(&[
        (
            keys("publish_ahead = \"9s\"", postgres),
            "keys.publish_ahead: a key would sign before",
            "at least 10s",
        ),
        (
            keys("rotate_every = \"18s\"", postgres),
            "keys.rotate_every: a key would sign before",
            "at least 10s",
        ),
    ]);
    settings(&keys("publish_ahead = \"10s\"", postgres));
    settings(&keys("publish_ahead = \"1s\"", sqlite));
}

#[test]
fn the_logs_name_fits_a_checkpoint() {
    let audit = |origin: &str| format!("{GOOD}\n[audit]\norigin = \"{origin}\"");
    refuses(&[
        (
            audit("https://broker.example.com"),
            "audit.origin: `https://broker.example.com` has a scheme",
            "tidegate",
        ),
        (audit("a b"), "has a space", ""),
        (audit("a\\nb"), "has a space", ""),
        (audit("a+b"), "has a plus", ""),
        (audit(""), "is empty", ""),
    ]);
    assert_eq!(settings(&audit("log.example/1")).audit.origin, "log.example/1");
}

#[test]
fn log_lines_have_a_known_form_and_level() {
    refuses(&[
        (
            format!("{GOOD}\n[log]\nformat = \"xml\""),
            "log.format: unknown format `xml`",
            "one of: json, text",
        ),
        (format!("{GOOD}\n[log]\nlevel = \"warning\""), "log.level: unknown level `warning`", ""),
    ]);
}
