//! The bytes of a HyperLogLog: 16,384 registers of 6 bits, dense or as runs of equal ones. Pure.
//!
//! ```text
//! ["HYLL"] [encoding u8] [0 u8 x 3] [estimate u64, little-endian; the highest bit: it is none]
//! dense   6 bits for each register, the lowest first
//! sparse  00llllll: l+1 registers of 0    01llllll llllllll: l+1 of 0    1vvvvvll: l+1 of v+1
//! ```

/// As a power of two.
const REGISTER_BITS: u32 = 14;
pub(super) const REGISTERS: usize = 1 << REGISTER_BITS;
/// Bits of the hash that a register counts in.
pub(super) const HASH_BITS: usize = 64 - REGISTER_BITS as usize;

const HEAD_BYTES: usize = 16;
const MAGIC: &[u8] = b"HYLL";
const ENCODING: usize = 4;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const DENSE_BYTES: usize = HEAD_BYTES + (REGISTERS * 6).div_ceil(8);
/// In the last byte of the estimate: there is none.
const NO_ESTIMATE: u8 = 0x80;

/// A sparse run has at most so many registers.
const MOST_ZEROS: usize = 64;
const MOST_VALUES: usize = 4;
/// And a value up to this.
const HIGHEST_VALUE: u8 = 32;

/// The value of each register.
pub(super) type Registers = [u8; REGISTERS];

/// How many registers have each value.
pub(super) struct Histogram(pub(super) [u32; 64]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; 64])
    }
}

/// A HyperLogLog, as its bytes.
pub(super) struct Sketch(Vec<u8>);

/// A run of registers in a sparse one.
#[derive(Clone, Copy)]
struct Run {
    value: u8,
    length: usize,
    bytes: usize,
}

impl Run {
    fn read(bytes: &[u8]) -> Option<Self> {
        let first = *bytes.first()?;
        Some(match first >> 6 {
            0 => Self { value: 0, length: usize::from(first & 0x3f) + 1, bytes: 1 },
            1 => {
                let length = usize::from(first & 0x3f) << 8 | usize::from(*bytes.get(1)?);
                Self { value: 0, length: length + 1, bytes: 2 }
            }
            _ => Self { value: (first >> 2 & 0x1f) + 1, length: usize::from(first & 3) + 1, bytes: 1 },
        })
    }

    /// Appends a run of `length` registers, at most as many as one takes.
    fn write(value: u8, length: usize, out: &mut Vec<u8>) {
        let below = length - 1;
        match value {
            0 if length > MOST_ZEROS => out.extend([0x40 | (below >> 8) as u8, below as u8]),
            0 => out.push(below as u8),
            value => out.push(0x80 | (value - 1) << 2 | below as u8),
        }
    }
}

impl Default for Sketch {
    /// Without elements.
    fn default() -> Self {
        let mut bytes = vec![0; HEAD_BYTES];
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[ENCODING] = SPARSE;
        Run::write(0, REGISTERS, &mut bytes);
        Self(bytes)
    }
}

impl Sketch {
    /// `None`: these bytes are none.
    pub(super) fn parse(bytes: Vec<u8>) -> Option<Self> {
        let encoding = *bytes.get(ENCODING)?;
        let valid = bytes.len() >= HEAD_BYTES
            && bytes.starts_with(MAGIC)
            && (encoding == SPARSE || encoding == DENSE && bytes.len() == DENSE_BYTES);
        valid.then_some(Self(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn is_dense(&self) -> bool {
        self.0[ENCODING] == DENSE
    }

    pub(super) fn kept_estimate(&self) -> Option<u64> {
        let estimate = u64::from_le_bytes(*self.0[HEAD_BYTES - 8..].first_chunk()?);
        (self.0[HEAD_BYTES - 1] & NO_ESTIMATE == 0).then_some(estimate)
    }

    pub(super) fn keep_estimate(&mut self, estimate: u64) {
        self.0[HEAD_BYTES - 8..HEAD_BYTES].copy_from_slice(&estimate.to_le_bytes());
    }

    pub(super) fn forget_estimate(&mut self) {
        self.0[HEAD_BYTES - 1] |= NO_ESTIMATE;
    }

    /// Calls `visit` with the value of each run of registers, the first of them, and how many they are. `None`: it is damaged.
    fn runs(&self, mut visit: impl FnMut(u8, usize, usize)) -> Option<()> {
        if self.is_dense() {
            (0..REGISTERS).for_each(|register| visit(self.dense(register), register, 1));
            return Some(());
        }
        let (mut rest, mut at) = (&self.0[HEAD_BYTES..], 0);
        while !rest.is_empty() {
            let run = Run::read(rest)?;
            if at + run.length > REGISTERS {
                return None;
            }
            visit(run.value, at, run.length);
            at += run.length;
            rest = &rest[run.bytes..];
        }
        (at == REGISTERS).then_some(())
    }

    /// How many registers have each value. `None`: it is damaged; so in all that follow.
    pub(super) fn histogram(&self) -> Option<Histogram> {
        let mut counts = Histogram::default();
        self.runs(|value, _, length| counts.0[usize::from(value)] += length as u32)?;
        Some(counts)
    }

    /// Raises registers to what they are here.
    pub(super) fn merge_into(&self, most: &mut Registers) -> Option<()> {
        self.runs(|value, from, length| {
            most[from..from + length].iter_mut().for_each(|register| *register = (*register).max(value));
        })
    }

    fn dense(&self, register: usize) -> u8 {
        let (byte, shift) = (HEAD_BYTES + register * 6 / 8, register * 6 % 8);
        let high = self.0.get(byte + 1).copied().unwrap_or(0);
        ((u16::from(high) << 8 | u16::from(self.0[byte])) >> shift) as u8 & 0x3f
    }

    fn set_dense(&mut self, register: usize, value: u8) {
        let (byte, shift) = (HEAD_BYTES + register * 6 / 8, register * 6 % 8);
        let (mask, value) = (0x3f_u16 << shift, u16::from(value) << shift);
        self.0[byte] = self.0[byte] & !(mask as u8) | value as u8;
        if let Some(high) = self.0.get_mut(byte + 1) {
            *high = *high & !((mask >> 8) as u8) | (value >> 8) as u8;
        }
    }

    pub(super) fn make_dense(&mut self) -> Option<()> {
        if self.is_dense() {
            return Some(());
        }
        let mut dense = self.0[..HEAD_BYTES].to_vec();
        dense[ENCODING] = DENSE;
        dense.resize(DENSE_BYTES, 0);
        let mut dense = Self(dense);
        self.runs(|value, from, length| {
            if value > 0 {
                (from..from + length).for_each(|register| dense.set_dense(register, value));
            }
        })?;
        *self = dense;
        Some(())
    }

    /// Raises a register to `value`; says whether it was lower. A sparse one that would have more than `most_bytes` becomes dense.
    pub(super) fn raise(&mut self, register: usize, value: u8, most_bytes: usize) -> Option<bool> {
        if !self.is_dense() {
            if value <= HIGHEST_VALUE
                && let Some(raised) = self.raise_sparse(register, value, most_bytes)?
            {
                return Some(raised);
            }
            self.make_dense()?;
        }
        let raised = self.dense(register) < value;
        if raised {
            self.set_dense(register, value);
        }
        Some(raised)
    }

    /// `Some(None)`: it has to become dense.
    #[expect(clippy::option_option, reason = "damage is one thing, no room another")]
    fn raise_sparse(&mut self, register: usize, value: u8, most_bytes: usize) -> Option<Option<bool>> {
        let (mut at, mut first, mut before) = (HEAD_BYTES, 0, HEAD_BYTES);
        let run = loop {
            let run = Run::read(&self.0[at..])?;
            if register < first + run.length {
                break run;
            }
            (before, at, first) = (at, at + run.bytes, first + run.length);
        };
        if run.value >= value {
            return Some(Some(false));
        }
        let mut parts = Vec::with_capacity(5);
        let (left, right) = (register - first, first + run.length - 1 - register);
        if left > 0 {
            Run::write(run.value, left, &mut parts);
        }
        Run::write(value, 1, &mut parts);
        if right > 0 {
            Run::write(run.value, right, &mut parts);
        }
        if parts.len() > run.bytes && self.0.len() + parts.len() - run.bytes > most_bytes {
            return Some(None);
        }
        self.0.splice(at..at + run.bytes, parts);
        self.join(before);
        self.forget_estimate();
        Some(Some(true))
    }

    /// Joins runs of the same value, of the next five as Redis does.
    fn join(&mut self, mut at: usize) {
        for _ in 0..5 {
            let Some(run) = self.0.get(at..).and_then(Run::read) else { return };
            let next = self.0.get(at + run.bytes..).and_then(Run::read);
            match next {
                Some(next)
                    if run.value > 0
                        && next.value == run.value
                        && run.length + next.length <= MOST_VALUES =>
                {
                    let mut joined = Vec::with_capacity(1);
                    Run::write(run.value, run.length + next.length, &mut joined);
                    self.0.splice(at..at + 2, joined);
                }
                _ => at += run.bytes,
            }
        }
    }
}

/// The register of an element, and the value that it wants there.
pub(super) fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur(element);
    let counted = hash >> REGISTER_BITS | 1 << HASH_BITS;
    ((hash as usize) & (REGISTERS - 1), counted.trailing_zeros() as u8 + 1)
}

/// MurmurHash64A (Austin Appleby) with the seed of Redis.
fn murmur(bytes: &[u8]) -> u64 {
    const SEED: u64 = 0xadc8_3b19;
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    let (words, rest) = bytes.as_chunks();
    for word in words {
        let mut word = u64::from_le_bytes(*word).wrapping_mul(FACTOR);
        word = (word ^ word >> SHIFT).wrapping_mul(FACTOR);
        hash = (hash ^ word).wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
    }
    hash = (hash ^ hash >> SHIFT).wrapping_mul(FACTOR);
    hash ^ hash >> SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_and_dense_ones_say_the_same() {
        let (mut sparse, mut dense) = (Sketch::default(), Sketch::default());
        dense.make_dense().unwrap();
        let mut model = [0_u8; REGISTERS];
        for number in 0..3_000_u32 {
            let (register, value) = place(&number.to_le_bytes());
            let raised = model[register] < value;
            model[register] = model[register].max(value);
            assert_eq!(sparse.raise(register, value, usize::MAX), Some(raised));
            assert_eq!(dense.raise(register, value, 0), Some(raised));
        }
        assert!(!sparse.is_dense() && dense.is_dense());
        for sketch in [&sparse, &dense] {
            let mut most = [0; REGISTERS];
            sketch.merge_into(&mut most).unwrap();
            assert!(most == model);
        }
        sparse.make_dense().unwrap();
        assert!(sparse.bytes()[HEAD_BYTES..] == dense.bytes()[HEAD_BYTES..]);
    }

    #[test]
    fn a_value_beyond_what_is_sparse_makes_it_dense() {
        let mut sketch = Sketch::default();
        assert_eq!(sketch.raise(7, HIGHEST_VALUE, 3_000), Some(true));
        assert!(!sketch.is_dense());
        assert_eq!(sketch.raise(7, HIGHEST_VALUE + 1, 3_000), Some(true));
        assert!(sketch.is_dense());
        assert_eq!((sketch.dense(7), sketch.dense(6), sketch.dense(8)), (33, 0, 0));
    }

    #[test]
    fn what_is_damaged_is_refused_not_misread() {
        for tail in [&b""[..], b"\x00", b"\x7f", b"\x7f\xff\x00", b"\xff\xff", b"\x7f\xfe"] {
            let mut bytes = Sketch::default().0;
            bytes.truncate(HEAD_BYTES);
            bytes.extend_from_slice(tail);
            let mut sketch = Sketch::parse(bytes).unwrap();
            assert!(sketch.histogram().is_none() && sketch.make_dense().is_none(), "{tail:?}");
            assert!(sketch.raise(REGISTERS - 1, 40, 3_000).is_none(), "{tail:?}");
        }
    }

    #[test]
    fn runs_of_the_same_value_are_joined() {
        let mut sketch = Sketch::default();
        for register in [5, 8, 6, 7, 9] {
            assert_eq!(sketch.raise(register, 3, 3_000), Some(true));
        }
        // Five zeros; four, which is the most, and one; the other zeros.
        assert_eq!(sketch.bytes()[HEAD_BYTES..], [4, 0x8b, 0x88, 0x7f, 0xf5]);
    }
}
