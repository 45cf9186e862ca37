//! The ROCA fingerprint (CVE-2017-15361): RSA keys that Infineon chips made can be factored from the public half.
//!
//! Such a chip built each prime as `k·M + (65537^a mod M)`, `M` a product of the first primes. So modulo each of those
//! primes the modulus is a power of 65537. A random modulus is so for all of them about once in 2^27.

/// The odd primes of the smallest `M` (keys of 512-960 bits): they divide the `M` of every larger size too.
const PRIMES: [u16; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

const GENERATOR: u32 = 65_537;

/// Whether `modulus` (big endian) carries the fingerprint.
pub(super) fn has_roca_fingerprint(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|prime| is_power_of_generator(remainder(modulus, u32::from(*prime)), u32::from(*prime)))
}

fn remainder(number: &[u8], prime: u32) -> u32 {
    number.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime)
}

fn is_power_of_generator(value: u32, prime: u32) -> bool {
    let mut power = 1;
    for _ in 0..prime {
        if power == value {
            return true;
        }
        power = power * (GENERATOR % prime) % prime;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    /// Built as the chips built theirs: two primes `k·M + (65537^a mod M)`, `M` the product of the first primes.
    fn vulnerable() -> Vec<u8> {
        let set: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/vectors/keys/weak.json")).unwrap();
        let keys = set["keys"].as_array().unwrap();
        let jwk = keys.iter().find(|jwk| jwk["kid"] == "rsa-roca").unwrap();
        URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap()
    }

    #[test]
    fn a_modulus_built_as_the_chips_built_it_is_recognised() {
        let mut modulus = vulnerable();
        assert_eq!(modulus.len(), 256);
        assert!(has_roca_fingerprint(&modulus));
        modulus[255] ^= 2;
        assert!(!has_roca_fingerprint(&modulus));
    }

    #[test]
    fn the_modulus_of_an_ordinary_key_is_not() {
        for der in [
            &include_bytes!("../../tests/vectors/keys/rsa-2048.der")[..],
            include_bytes!("../../tests/vectors/keys/rsa-2048-other.der"),
        ] {
            let pair = ring::signature::RsaKeyPair::from_pkcs8(der).unwrap();
            let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
            assert!(!has_roca_fingerprint(&public.n));
        }
    }
}
