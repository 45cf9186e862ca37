//! `[server]` and what is in it.

use super::*;

#[test]
fn plain_http_is_refused_beyond_loopback() {
    let plain = with("tls = { cert_file = \"tls.crt\", key_file = \"tls.key\" }", "");
    refuses(&[
        (plain.clone(), "server.listen: `0.0.0.0:8443` without `tls`", "tls = {"),
        (plain.replace("0.0.0.0:8443", "[::]:8443"), "without `tls`", ""),
        (plain.replace("0.0.0.0:8443", "10.0.0.7:80"), "without `tls`", ""),
    ]);
    for loopback in ["127.0.0.1:0", "[::1]:8443", "127.8.8.8:80"] {
        assert!(settings(&plain.replace("0.0.0.0:8443", loopback)).server.tls.is_none());
    }
}

#[test]
fn our_own_issuer_must_be_what_verifiers_will_compare() {
    let issuer = |text: &str| with("https://broker.example.com", text);
    refuses(&[
        (
            issuer("http://broker.example.com"),
            "server.issuer: `http://broker.example.com` is plain http",
            "127.0.0.1",
        ),
        (issuer("https://broker.example.com/"), "ends with a slash", "byte by byte"),
        (issuer("https://broker.example.com/a/"), "ends with a slash", ""),
        (issuer("https://broker.example.com?x=1"), "query or fragment", "RFC 8414"),
        (issuer("https://broker.example.com#"), "query or fragment", ""),
        (issuer("https://Broker.example.com"), "normal form", "https://broker.example.com"),
        (issuer("https://broker.example.com:443"), "normal form", ""),
        (issuer("broker.example.com"), "is no URL", "https://"),
        (issuer("https://me:pw@broker.example.com"), "user name or password", ""),
    ]);
    settings(&issuer("http://127.0.0.1:8080"));
    settings(&issuer("https://broker.example.com/tenant"));
}

#[test]
fn client_certificates_need_authorities() {
    let tls = |more: &str| with("key_file = \"tls.key\"", &format!("key_file = \"tls.key\", {more}"));
    refuses(&[
        (tls("client_auth = \"required\""), "there is no `client_ca_file`", ""),
        (
            tls("client_ca_file = \"ca.crt\", client_auth = \"require\""),
            "unknown client_auth",
            "did you mean `required`?",
        ),
        (tls("client_ca_file = \"no.crt\""), "server.tls.client_ca_file", ""),
    ]);
    let settings = settings(&tls("client_ca_file = \"ca.crt\", client_auth = \"required\""));
    assert!(settings.server.tls.unwrap().clients.unwrap().required);
}

#[test]
fn limits_have_bounds_and_zero_turns_a_rate_off() {
    let limits = |lines: &str| format!("{GOOD}\n[server.limits]\n{lines}");
    refuses(&[
        (limits("max_body_bytes = 10"), "server.limits.max_body_bytes: out of range", "from 1024"),
        (limits("max_connections = -1"), "out of range", ""),
        (limits("max_connections = 99999999999999999999"), "out of range", ""),
        (limits("request_timeout = 5"), "server.limits.request_timeout: a bare number", ""),
        (limits("rate_per_ip = \"5\""), "expected a whole number", ""),
    ]);
    let read =
        settings(&limits("rate_per_ip = 0\nrate_per_principal = 7\nmax_body_bytes = 0x1000")).server.limits;
    assert_eq!((read.per_ip, read.per_principal, read.max_body_bytes), (None, Rate::new(7, 14), 4_096));
}

#[test]
fn proxies_are_networks() {
    let proxies = |list: &str| with("listen =", &format!("trusted_proxies = {list}\nlisten ="));
    refuses(&[(
        proxies("[\"10.0.0.0/8\", \"lb\"]"),
        "server.trusted_proxies[1]: `lb` is no network",
        "10.0.0.0/8",
    )]);
    let read = settings(&proxies("[\"10.0.0.0/8\"]")).server.trusted_proxies;
    assert!(read.iter().any(|network| network.contains("10.1.2.3".parse().unwrap())));
}
