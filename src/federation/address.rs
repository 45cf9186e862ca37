//! Which network addresses a key set may be fetched from.
//!
//! The attack: whoever controls an issuer's discovery document, or its DNS, points `jwks_uri` at the metadata service or
//! at an internal host, and the broker, which may reach both, asks on their behalf.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an operator allowed for one issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AddressRule {
    pub(super) allow_private: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Public,
    Private,
    /// Nobody's key set lives there, whatever an operator opted into: metadata services, multicast, "this network".
    Never,
}

impl AddressRule {
    /// Whether a connection to `address` may be made.
    pub(super) fn allows(self, address: IpAddr) -> bool {
        match kind(address) {
            Kind::Public => true,
            Kind::Private => self.allow_private,
            Kind::Never => false,
        }
    }
}

fn kind(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(v4) => kind_v4(v4),
        IpAddr::V6(v6) => kind_v6(v6),
    }
}

fn kind_v4(address: Ipv4Addr) -> Kind {
    match address.octets() {
        // metadata of AWS and GCP, of Alibaba, of Azure; "this network"; multicast and reserved
        [169, 254, ..] | [100, 100, 100, 200] | [168, 63, 129, 16] | [0 | 224..=255, ..] => Kind::Never,
        [10 | 127, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] | [198, 18 | 19, ..] => {
            Kind::Private
        }
        [192, 0, 0, _] => Kind::Private,
        _ => Kind::Public,
    }
}

fn kind_v6(address: Ipv6Addr) -> Kind {
    if let Some(embedded) = embedded_v4(address) {
        return kind_v4(embedded);
    }
    match address.segments() {
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254] // AWS metadata
        | [0x2001, 0..=0x01ff, ..] => Kind::Never, // Teredo, ORCHID, benchmarks
        [0, 0, 0, 0, 0, 0, 0, 1] | [0xfc00..=0xfdff, ..] => Kind::Private,
        [0x2000..=0x3fff, ..] => Kind::Public,
        _ => Kind::Never, // unspecified, link-local, multicast, everything not yet given out
    }
}

/// IPv4 in IPv6 clothes: mapped, NAT64 (RFC 6052) and 6to4. Each would walk around the IPv4 rules.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x0064, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(from(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(text: &str, allow_private: bool) -> bool {
        AddressRule { allow_private }.allows(text.parse().unwrap())
    }

    #[test]
    fn private_addresses_need_the_opt_in() {
        for text in [
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "198.18.0.1",
            "::1",
            "fd12:3456::1",
            "fc00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:a00:1::",
        ] {
            assert!(!allowed(text, false), "{text}");
            assert!(allowed(text, true), "{text}");
        }
    }

    #[test]
    fn metadata_services_are_out_of_reach_even_with_it() {
        for text in [
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "168.63.129.16",
            "fd00:ec2::254",
            "fe80::1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
            "2001::1",
            "::127.0.0.1",
        ] {
            assert!(!allowed(text, true), "{text}");
        }
    }

    #[test]
    fn public_addresses_are_allowed() {
        for text in
            ["1.1.1.1", "140.82.112.3", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1"]
        {
            assert!(allowed(text, false), "{text}");
        }
    }
}
