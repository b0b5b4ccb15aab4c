//! Up to what size a collection is called compact: the limits of Redis's `*-max-listpack-*` and their like, with its defaults.
//!
//! They decide what `OBJECT ENCODING` says, in which order small sets and hashes are returned, and whether a `*SCAN` returns
//! all at once, as in Redis; never how a collection is stored. As there, a limit counts when a collection is changed: one that
//! has outgrown it stays so, and one that exceeds a limit which was lowered is compact until the next change.

use std::sync::atomic::{AtomicI64, Ordering};

/// One of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CompactLimit {
    /// Fields of a hash.
    HashFields,
    /// Bytes of a field or value.
    HashBytes,
    /// Of a list: elements, or from -1 to -5 an amount of bytes.
    ListSize,
    /// Members of a set of integers.
    SetIntegers,
    /// Members of a set.
    SetMembers,
    /// Bytes of a member of a set.
    SetBytes,
    /// Members of a sorted set.
    SortedSetMembers,
    /// Bytes of a member of a sorted set.
    SortedSetBytes,
}

use CompactLimit::{
    HashBytes, HashFields, ListSize, SetBytes, SetIntegers, SetMembers, SortedSetBytes, SortedSetMembers,
};

/// Redis's names for them, and its defaults, in the order of their declaration.
const LIMITS: [(CompactLimit, &str, i64); 8] = [
    (HashFields, "hash-max-listpack-entries", 512),
    (HashBytes, "hash-max-listpack-value", 64),
    (ListSize, "list-max-listpack-size", -2),
    (SetIntegers, "set-max-intset-entries", 512),
    (SetMembers, "set-max-listpack-entries", 128),
    (SetBytes, "set-max-listpack-value", 64),
    (SortedSetMembers, "zset-max-listpack-entries", 128),
    (SortedSetBytes, "zset-max-listpack-value", 64),
];

/// Bytes that a list of so many elements may have as well, whatever they are.
const MAX_COUNTED_BYTES: u32 = 8 << 10;
/// About what a node of a list holds.
const NODE_BYTES: u32 = 1 << 10;

/// The limits as they are set now.
#[derive(Debug)]
pub struct Compact([AtomicI64; LIMITS.len()]);

impl Default for Compact {
    fn default() -> Self {
        Self(LIMITS.map(|(.., default)| default.into()))
    }
}

impl Compact {
    /// Takes them from the settings of these names.
    pub fn apply(&self, setting: impl Fn(&str) -> i64) {
        for ((_, name, _), value) in LIMITS.iter().zip(&self.0) {
            value.store(setting(name), Ordering::Relaxed);
        }
    }

    fn get(&self, limit: CompactLimit) -> i64 {
        self.0[limit as usize].load(Ordering::Relaxed)
    }

    /// Whether so many are within a limit.
    pub(super) fn has_room(&self, limit: CompactLimit, count: u64) -> bool {
        i64::try_from(count).is_ok_and(|count| count <= self.get(limit))
    }

    /// Whether what has so many bytes is within a limit.
    pub(super) fn fits(&self, limit: CompactLimit, bytes: usize) -> bool {
        self.has_room(limit, bytes as u64)
    }

    /// Whether a list of `len` elements in so many nodes is more than Redis keeps in one part. `was`: whether it was until now;
    /// then it becomes less only with half of the elements that it may have.
    pub(super) fn is_big_list(&self, len: u64, nodes: u32, was: bool) -> bool {
        match self.get(ListSize) {
            size @ 0.. => {
                let elements = size.max(1).cast_unsigned();
                nodes > nodes_of(MAX_COUNTED_BYTES) || len > if was { elements / 2 } else { elements }
            }
            size => nodes > nodes_of((2 << 10) << size.max(-5).unsigned_abs()),
        }
    }
}

/// In how many nodes so many bytes are, one more than full ones.
fn nodes_of(bytes: u32) -> u32 {
    bytes / NODE_BYTES + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_stand_where_their_names_say() {
        for (index, (limit, name, default)) in LIMITS.into_iter().enumerate() {
            let compact = Compact::default();
            assert_eq!((limit as usize, compact.get(limit)), (index, default), "{name}");
            compact.apply(|setting| if setting == name { 7 } else { 0 });
            assert_eq!(compact.get(limit), 7, "{name}");
        }
    }

    #[test]
    fn a_list_is_measured_in_elements_or_in_bytes() {
        let compact = Compact::default();
        let is_big = |size: i64, len, nodes, was| {
            compact.apply(|_| size);
            compact.is_big_list(len, nodes, was)
        };
        for (size, full) in [(-1, 5), (-2, 9), (-3, 17), (-4, 33), (-5, 65), (-6, 65), (i64::MIN, 65)] {
            assert!(!is_big(size, 1_000, full, false) && is_big(size, 1, full + 1, false), "{size}");
        }
        assert!(!is_big(4, 4, 1, false) && is_big(4, 5, 1, false));
        assert!(is_big(4, 3, 1, true) && !is_big(4, 2, 1, true));
        assert!(is_big(1_000, 5, 10, false), "more than 8 KiB is much in any case");
        assert!(!is_big(0, 1, 1, false) && is_big(0, 2, 1, false));
    }
}
