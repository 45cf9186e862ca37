//! The ROCA fingerprint (CVE-2017-15361): RSA keys that Infineon chips made can be factored from the public half.
//!
//! Such a chip built each prime as `k·M + (65537^a mod M)`, `M` a product of the first primes. So modulo each of those
//! primes the modulus is a power of 65537. A random modulus is so for all of them about once in 2^27.

/// The small odd primes of `M` for keys of 512-960 bits, which divide the `M` of every larger size.
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

    /// Numbers as little-endian limbs of 16 bits: enough arithmetic to build a vulnerable modulus.
    fn times_plus(number: &[u32], factor: u32, plus: u32) -> Vec<u32> {
        let mut carry = plus;
        let mut out: Vec<u32> = Vec::new();
        for limb in number {
            let value = limb * factor + carry;
            out.push(value & 0xffff);
            carry = value >> 16;
        }
        out.push(carry);
        out
    }

    fn big_endian(number: &[u32]) -> Vec<u8> {
        number.iter().rev().flat_map(|limb| u16::try_from(*limb).unwrap().to_be_bytes()).collect()
    }

    fn primorial() -> Vec<u32> {
        PRIMES.iter().fold(vec![2], |product, prime| times_plus(&product, u32::from(*prime), 0))
    }

    #[test]
    fn a_modulus_built_as_the_chips_built_it_is_recognised() {
        // k·M + 65537^2 mod M: 65537^2 is smaller than M, so it stands for itself
        let mut shifted = times_plus(&primorial(), 40_503, 0);
        shifted.resize(120, 0);
        let square: u64 = 65_537 * 65_537;
        let mut carry = square;
        for limb in &mut shifted {
            let value = u64::from(*limb) + (carry & 0xffff);
            *limb = u32::try_from(value & 0xffff).unwrap();
            carry = (carry >> 16) + (value >> 16);
        }
        assert!(has_roca_fingerprint(&big_endian(&shifted)));
        shifted[0] ^= 2;
        assert!(!has_roca_fingerprint(&big_endian(&shifted)));
    }

    #[test]
    fn ordinary_moduli_are_not() {
        for seed in 1..200_u8 {
            let modulus: Vec<u8> =
                (0..256_u32).map(|i| (i as u8).wrapping_mul(31) ^ seed.wrapping_mul(i as u8 | 1)).collect();
            assert!(!has_roca_fingerprint(&modulus), "{seed}");
        }
    }
}
