//! Names of connections: a slab slot with a generation, so that a stale name never reaches a new owner.
//!
//! Pure. Invariant: two connections of one worker never share a token (the generation counts the
//! worker's connections in 32 bits: it takes four billion of them, and the same slot, to repeat one).

/// Names one connection within one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token {
    /// The index of the slot in the worker's slab.
    pub(crate) slot: u32,
    /// The worker's count of connections when this one came, so that a reused slot has another name.
    pub(crate) generation: u32,
}

/// How the bits of a poller's key are split between slot and generation: half each, which on a 32-bit
/// target leaves 65,535 connections per worker.
const SLOT_BITS: u32 = usize::BITS / 2;
const SLOT_MASK: usize = (1 << SLOT_BITS) - 1;

/// The most connections one worker can name: the last slot is kept for keys that are not connections.
pub(crate) const MAX_SLOTS: usize = SLOT_MASK;

/// The key of source number `index` that is not a connection (the notifier, a listener).
pub(crate) const fn reserved_key(index: usize) -> usize {
    (index << SLOT_BITS) | SLOT_MASK
}

/// Which source it is that has this reserved key.
pub(crate) const fn reserved_index(key: usize) -> usize {
    key >> SLOT_BITS
}

impl Token {
    /// Both parts in one number.
    pub(crate) const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.slot as u64
    }

    /// The token that [`Token::to_bits`] made this number of.
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self { slot: bits as u32, generation: (bits >> 32) as u32 }
    }

    /// This connection's key in the worker's poller. Never a reserved one, thus never `usize::MAX`.
    pub(crate) const fn key(self) -> usize {
        ((self.generation as usize) << SLOT_BITS) | self.slot as usize
    }

    /// Whether `key` is this connection's, and not that of an earlier owner of the slot.
    pub(crate) const fn has_key(self, key: usize) -> bool {
        self.key() == key
    }

    /// The slot that `key` speaks of.
    pub(crate) const fn slot_of(key: usize) -> usize {
        key & SLOT_MASK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_connection_and_no_other_owner_of_the_slot() {
        let first = Token { slot: 7, generation: 1 };
        let second = Token { slot: 7, generation: 2 };
        assert!(first.has_key(first.key()));
        assert!(!second.has_key(first.key()));
        assert_eq!(Token::slot_of(first.key()), 7);
    }

    #[test]
    fn reserved_keys_are_never_those_of_connections() {
        let last = Token { slot: (MAX_SLOTS - 1) as u32, generation: u32::MAX };
        for index in 0..3 {
            assert_eq!(Token::slot_of(reserved_key(index)), MAX_SLOTS, "no slot is so high");
            assert_ne!(reserved_key(index), usize::MAX);
        }
        assert_ne!(last.key(), usize::MAX);
    }
}
