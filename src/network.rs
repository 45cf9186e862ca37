//! Networks of addresses as values, such as `10.0.0.0/8`, and the way to what we call: TLS, and AWS over it.

pub(crate) mod aws;
mod tls;

use std::net::IpAddr;

pub use tls::{SystemRoots, client_tls, roots_from};

/// A network such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Reads `10.0.0.0/8`, `::1/128` or a single address.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
            None => most,
        };
        (prefix <= most).then_some(Self { address, prefix })
    }

    /// Is `address` inside? An IPv4 address inside IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                same_prefix(u128::from(ours.to_bits()), u128::from(theirs.to_bits()), 32, self.prefix)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                same_prefix(ours.to_bits(), theirs.to_bits(), 128, self.prefix)
            }
            _ => false,
        }
    }
}

fn same_prefix(left: u128, right: u128, width: u32, prefix: u8) -> bool {
    (left ^ right).checked_shr(width - u32::from(prefix)).unwrap_or(0) == 0
}
