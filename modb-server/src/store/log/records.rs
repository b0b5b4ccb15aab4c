//! A hash map from keys to what the table knows of them, laid out for few cache misses: memory latency is most of what
//! a read costs. The map's own array holds a hash and a pointer per record, so that it stays in the processor's
//! cache; behind the pointer the key lies beside the rest, in the same allocation unless it is long.

use std::hash::{BuildHasher, Hasher};

use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Keys up to here lie in the node: 13 bytes of the layout and what most applications use, in two cache lines with the
/// rest.
const INLINE_KEY_BYTES: usize = 46;

enum Key {
    Inline { bytes: [u8; INLINE_KEY_BYTES], len: u8 },
    Long(Box<[u8]>),
}

impl Key {
    #[allow(clippy::cast_possible_truncation)] // the length was compared
    fn new(key: &[u8]) -> Self {
        if key.len() > INLINE_KEY_BYTES {
            return Self::Long(key.into());
        }
        let mut bytes = [0; INLINE_KEY_BYTES];
        bytes[..key.len()].copy_from_slice(key);
        Self::Inline { bytes, len: key.len() as u8 }
    }

    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Inline { bytes, len } => &bytes[..usize::from(*len)],
            Self::Long(key) => key,
        }
    }
}

/// What the table knows of a record.
pub(super) struct Entry {
    /// `None`: deleted.
    pub(super) value: Option<Bytes>,
    pub(super) seq: u64,
    pub(super) dirty: bool,
    /// It is in the run that is being flushed, and was not written since.
    pub(super) in_flush: bool,
    /// Read since the eviction's hand passed.
    pub(super) referenced: bool,
    /// In the eviction's queue.
    pub(super) queued: bool,
}

impl Entry {
    /// Written by commit `seq`.
    pub(super) fn dirty(value: Option<Bytes>, seq: u64) -> Self {
        Self { value, seq, dirty: true, in_flush: false, referenced: false, queued: false }
    }

    /// Read from the cold store; the caller puts it into the eviction's queue.
    pub(super) fn clean_and_queued(value: Bytes) -> Self {
        Self { value: Some(value), seq: 0, dirty: false, in_flush: false, referenced: false, queued: true }
    }
}

struct Node {
    key: Key,
    entry: Entry,
}

struct Slot {
    hash: u64,
    node: Box<Node>,
}

/// The map.
#[derive(Default)]
pub(super) struct Records {
    slots: HashTable<Slot>,
    hasher: RandomState,
}

impl Records {
    fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key);
        hasher.finish()
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Entry> {
        let hash = self.hash(key);
        self.slots.find(hash, |slot| slot.is(hash, key)).map(|slot| &slot.node.entry)
    }

    pub(super) fn get_mut(&mut self, key: &[u8]) -> Option<&mut Entry> {
        let hash = self.hash(key);
        self.slots.find_mut(hash, |slot| slot.is(hash, key)).map(|slot| &mut slot.node.entry)
    }

    /// Puts in a record that is not there yet.
    pub(super) fn insert_new(&mut self, key: &[u8], entry: Entry) {
        let hash = self.hash(key);
        let node = Box::new(Node { key: Key::new(key), entry });
        self.slots.insert_unique(hash, Slot { hash, node }, |slot| slot.hash);
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        let hash = self.hash(key);
        if let Ok(occupied) = self.slots.find_entry(hash, |slot| slot.is(hash, key)) {
            occupied.remove();
        }
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.slots.iter_mut().map(|slot| &mut slot.node.entry)
    }
}

impl Slot {
    fn is(&self, hash: u64, key: &[u8]) -> bool {
        self.hash == hash && self.node.key.as_slice() == key
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_behaves_as_the_standard_map(
            steps in proptest::collection::vec((0usize..100, 0u8..4, any::<bool>()), 0..300),
        ) {
            let (mut records, mut model) = (Records::default(), HashMap::new());
            for (seq, (len, fill, remove)) in (0..).zip(steps) {
                let key = vec![fill; len];
                if remove {
                    records.remove(&key);
                    model.remove(&key);
                } else if let Some(entry) = records.get_mut(&key) {
                    entry.seq = seq;
                    model.insert(key.clone(), seq);
                } else {
                    records.insert_new(&key, Entry::dirty(None, seq));
                    model.insert(key.clone(), seq);
                }
                prop_assert_eq!(records.get(&key).map(|entry| entry.seq), model.get(&key).copied());
            }
            prop_assert_eq!(records.values_mut().count(), model.len());
            for (key, seq) in model {
                prop_assert_eq!(records.get(&key).map(|entry| entry.seq), Some(seq));
            }
        }
    }
}
