//! The sum of a record's bytes (CRC-32C), for records of some hundred bytes, of which a commit on a collection has several.
//!
//! The processor's instruction for it takes three cycles and can be begun in each, so who takes one word after the other waits for two of
//! three. So a record is summed in three lanes at once, and their sums are brought together by a multiplication without
//! carries (Gopal et al. 2011). The crate that sums everything else does so for pieces of 768 bytes alone.
//!
//! Invariant: it is the sum that the crate makes, on each processor and of any bytes.

/// CRC-32C of these bytes.
#[inline]
#[allow(unsafe_code)]
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if bytes.len() >= lanes::LEAST_BYTES
        && std::arch::is_x86_feature_detected!("sse4.2")
        && std::arch::is_x86_feature_detected!("pclmulqdq")
    {
        // SAFETY: the processor has these instructions, which is all that is asked for.
        return unsafe { lanes::crc32c(bytes) };
    }
    crc32c::crc32c(bytes)
}

#[cfg(target_arch = "x86_64")]
mod lanes {
    use std::arch::x86_64::{
        _mm_clmulepi64_si128, _mm_crc32_u8, _mm_crc32_u64, _mm_cvtsi64_si128, _mm_cvtsi128_si64,
    };

    /// Of less than that three lanes are no gain.
    pub(super) const LEAST_BYTES: usize = 96;
    const WORD_BYTES: usize = 8;
    const LEAST_WORDS: usize = LEAST_BYTES / WORD_BYTES;
    /// Words of a lane; what is longer is summed part by part.
    const MOST_WORDS: usize = 64;
    /// The polynomial, as the instruction has it: the lowest power in the highest bit.
    const POLYNOMIAL: u32 = 0x82f6_3b78;

    /// What a sum is multiplied by that so many words follow: x to the power of their bits, less those 33 by which it is multiplied
    /// when the product is reduced.
    const FOLLOWED_BY: [u32; 2 * MOST_WORDS + 1] = {
        let mut powers = [0; 2 * MOST_WORDS + 1];
        // x to the power of 31.
        let (mut power, mut words) = (1, 1);
        while words < powers.len() {
            powers[words] = power;
            let mut bit = 0;
            while bit < u64::BITS {
                power = (power >> 1) ^ if power & 1 == 1 { POLYNOMIAL } else { 0 };
                bit += 1;
            }
            words += 1;
        }
        powers
    };

    #[target_feature(enable = "sse4.2,pclmulqdq")]
    #[allow(clippy::cast_possible_truncation)] // a sum has 32 bits
    pub(super) fn crc32c(bytes: &[u8]) -> u32 {
        let (mut words, tail) = bytes.as_chunks::<WORD_BYTES>();
        let mut sum = u64::from(u32::MAX);
        while words.len() >= LEAST_WORDS {
            let lane = (words.len() / 3).min(MOST_WORDS);
            let (first, rest) = words.split_at(lane);
            let (second, rest) = rest.split_at(lane);
            let (third, rest) = rest.split_at(lane);
            let (mut second_sum, mut third_sum) = (0, 0);
            for ((first, second), third) in first.iter().zip(second).zip(third) {
                sum = _mm_crc32_u64(sum, u64::from_le_bytes(*first));
                second_sum = _mm_crc32_u64(second_sum, u64::from_le_bytes(*second));
                third_sum = _mm_crc32_u64(third_sum, u64::from_le_bytes(*third));
            }
            let both = followed_by(sum, 2 * lane) ^ followed_by(second_sum, lane);
            sum = _mm_crc32_u64(0, both) ^ third_sum;
            words = rest;
        }
        for word in words {
            sum = _mm_crc32_u64(sum, u64::from_le_bytes(*word));
        }
        !tail.iter().fold(sum as u32, |sum, byte| _mm_crc32_u8(sum, *byte))
    }

    /// The sum of what so many words of zeros follow, not reduced.
    #[inline]
    #[target_feature(enable = "sse4.2,pclmulqdq")]
    fn followed_by(sum: u64, words: usize) -> u64 {
        let power = u64::from(FOLLOWED_BY[words]).cast_signed();
        let product =
            _mm_clmulepi64_si128::<0>(_mm_cvtsi64_si128(sum.cast_signed()), _mm_cvtsi64_si128(power));
        _mm_cvtsi128_si64(product).cast_unsigned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// Of each length around those at which it is done otherwise.
    #[test]
    fn of_any_length_it_is_the_sum_that_the_crate_makes() {
        let bytes: Vec<u8> = (0..5_000u32).map(|n| (n.wrapping_mul(0x9e37_79b1) >> 24) as u8).collect();
        for len in 0..bytes.len() {
            for start in [0, len % 8] {
                let bytes = &bytes[start.min(len)..len];
                assert_eq!(super::crc32c(bytes), crc32c::crc32c(bytes), "{len} {start}");
            }
        }
    }

    proptest! {
        #[test]
        fn of_any_bytes_it_is_the_sum_that_the_crate_makes(bytes: Vec<u8>, times in 1usize..40) {
            let bytes = bytes.repeat(times);
            prop_assert_eq!(super::crc32c(&bytes), crc32c::crc32c(&bytes));
        }
    }
}
