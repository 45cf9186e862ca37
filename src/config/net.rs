//! URLs that may be plain, and URLs that may not.

use url::{Host, Url};

use crate::document::quoted;

/// Does the URL name this machine, literally? Names are not resolved: `localhost` is the only one that counts.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Does the URL name, literally, an address that the internet does not route?
pub(super) fn is_private(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => {
            address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_unspecified()
        }
        Some(Host::Ipv6(address)) => {
            address.is_loopback()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.is_unspecified()
        }
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// An `https` URL, or an `http` one on a loopback address. Never one with a user name or password in it. An error is what
/// is wrong and what to write instead.
pub fn web_url(text: &str) -> Result<Url, (String, String)> {
    let url = Url::parse(text).map_err(|error| {
        (
            format!("{} is no URL: {error}", quoted(text)),
            "write it whole, such as \"https://idp.example.com\"".into(),
        )
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(("a URL with a user name or password".into(), "leave them out".into()));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err((
            format!("{} is plain http: whoever sits between can answer for it", quoted(text)),
            "use https; http is accepted only for 127.0.0.1, [::1] and localhost".into(),
        )),
        other => Err((format!("{} has the scheme {}", quoted(text), quoted(other)), "use https".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Network;

    fn inside(network: &str, address: &str) -> bool {
        Network::parse(network).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn networks_that_are_none_are_refused() {
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "example.com",
            "10.0.0.0/8/8",
        ] {
            assert_eq!(Network::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn an_address_is_inside_by_its_leading_bits() {
        assert!(inside("10.0.0.0/8", "10.255.1.2"));
        assert!(!inside("10.0.0.0/8", "11.0.0.1"));
        assert!(inside("0.0.0.0/0", "8.8.8.8"));
        assert!(inside("192.0.2.7", "192.0.2.7"));
        assert!(!inside("192.0.2.7", "192.0.2.6"));
        assert!(inside("::/0", "2001:db8::1"));
        assert!(inside("2001:db8::/32", "2001:db8:1::1"));
        assert!(inside("10.0.0.0/8", "::ffff:10.0.0.1"), "IPv4 written as IPv6");
        assert!(!inside("::/0", "10.0.0.1"), "another family is never inside");
    }

    #[test]
    fn plain_http_is_for_loopback_literals_only() {
        for bad in [
            "http://example.com",
            "http://127.0.0.1.nip.io",
            "http://localhost.example.com",
            "http://10.0.0.1",
            "ftp://localhost",
            "https://me:pw@example.com",
            "example.com",
            "",
        ] {
            assert!(web_url(bad).is_err(), "{bad:?}");
        }
        for good in
            ["https://example.com/x", "http://127.0.0.1:5000", "http://[::1]:80", "http://localhost:1"]
        {
            assert!(web_url(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_refused_url_does_not_show_its_password() {
        let (message, _) = web_url("https://me:hunter2@example.com").unwrap_err();
        assert!(!message.contains("hunter2"));
    }
}
