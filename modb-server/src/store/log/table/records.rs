//! A hash map from keys to what the table knows of them, laid out for few cache misses: memory latency is most of what
//! a read costs. The map's own array ([`super::buckets`]) holds nothing but a pointer and a part of the hash per record; behind the pointer
//! lie, one after the other in one allocation, what is known of the record, its key, and its value unless that is large. A read of a small
//! value is thus one line, and one walk through neighbouring lines; both can be fetched before they are needed ([`Records::fetch`]).
//!
//! What has to find a record again without its key holds a [`Handle`], not a copy of the key.
//!
//! Invariants: a small value is copied out, so its place is written over in place; a large one is shared, never
//! copied. What is deleted keeps its node until it is removed.

use std::hash::{BuildHasher as _, Hasher as _};

use bytes::Bytes;
use foldhash::fast::RandomState;

use super::buckets::{self, Buckets};
use crate::store::glimpse::Portion;
use crate::store::vast::COPIED_RECORD_BYTES;
use crate::store::{Fetch, TELLING_BYTES, is_told_by_its_beginning};
use crate::sys;

/// The most that a key and a value beside it take, in bytes: beyond it a copy per read costs more than the cache miss
/// that it saves.
const MAX_BESIDE_BYTES: usize = COPIED_RECORD_BYTES;
/// What the allocator adds to an allocation, and what it rounds up to, in bytes.
const ALLOCATOR_BYTES: usize = 16;
/// How much of a record is fetched before it is needed, in bytes: a page of a collection is copied from both ends at once.
const FETCHED_BYTES: usize = 1088;

/// How much of the map is fetched: of what does not lie where it is looked for first, most lies in the next line.
const SEARCHED_BYTES: usize = 128;

/// Where a record is beside memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// In the cold store as it is here.
    #[default]
    Clean,
    /// Not there, or not as it is here.
    Dirty,
    /// In the run that is on its way there, and not written since.
    Flushing,
}

/// What is known of a record beside its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// The commit that wrote it; 0 if it was read from the cold store.
    pub(super) seq: u64,
    /// See [`Handle`]; the map gives it.
    pub(super) id: u32,
    pub(super) state: State,
    /// Read since the eviction's hand passed.
    pub(super) referenced: bool,
    /// The eviction's queue names it; a clean one always.
    pub(super) queued: bool,
}

impl Marks {
    /// Written by commit `seq`.
    pub(super) fn dirty(seq: u64) -> Self {
        Self { seq, state: State::Dirty, ..Self::default() }
    }

    /// Read from the cold store; the caller puts it into the eviction's queue.
    pub(super) fn clean_and_queued() -> Self {
        Self { queued: true, ..Self::default() }
    }
}

/// A record without its key: finds it as long as it is in the map, and nothing once it has been removed, even if there
/// is one with the same key again. Its number tells it from others of the same hash; it would repeat after four billion records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handle {
    hash: u32,
    id: u32,
}

/// Where the value is.
enum Value {
    Deleted,
    /// Behind the key, so many bytes.
    Beside(u32),
    /// Large: on its own. Boxed, since most are small and each node has room for this.
    Apart(Box<Bytes>),
}

/// One allocation; `bytes` are the key and then the value beside it, with some room behind.
struct Node<B: ?Sized = [u8]> {
    marks: Marks,
    value: Value,
    key_len: u32,
    bytes: B,
}

/// A record: its key, its value and its marks.
pub(super) struct Record(Box<Node>);

impl Record {
    fn new(key: &[u8], value: Option<&Bytes>, marks: Marks) -> Self {
        Self::in_room(Room(node_with_room(room_needed(key, value))), key, value, marks)
    }

    /// In room that is large enough for it.
    fn in_room(Room(mut node): Room, key: &[u8], value: Option<&Bytes>, marks: Marks) -> Self {
        node.marks = marks;
        node.key_len = len_u32(key.len());
        node.bytes[..key.len()].copy_from_slice(key);
        let mut record = Self(node);
        record.put_value(value);
        record
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.0.bytes[..self.0.key_len as usize]
    }

    pub(super) fn marks(&self) -> &Marks {
        &self.0.marks
    }

    pub(super) fn marks_mut(&mut self) -> &mut Marks {
        &mut self.0.marks
    }

    pub(super) fn is_deleted(&self) -> bool {
        matches!(self.0.value, Value::Deleted)
    }

    /// As much of the value as is wanted; `None`: deleted.
    pub(super) fn value<P: Portion>(&self) -> Option<P> {
        match &self.0.value {
            Value::Apart(value) => Some(P::of(Bytes::clone(value))),
            Value::Deleted | Value::Beside(_) => self.bytes().map(P::of_borrowed),
        }
    }

    /// The value where it lies; `None`: deleted.
    #[inline]
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match &self.0.value {
            Value::Deleted => None,
            Value::Beside(len) => {
                let start = self.0.key_len as usize;
                Some(&self.0.bytes[start..start + *len as usize])
            }
            Value::Apart(value) => Some(value),
        }
    }

    /// Sets the value; `None`: deletes it.
    pub(super) fn set_value(&mut self, value: Option<&Bytes>) {
        let room = self.0.bytes.len();
        let needed = self.key().len() + value.map_or(0, |value| value.len());
        let beside = value.is_some_and(|value| fits_beside(self.key().len(), value.len()));
        // One that shrinks to less than half gives its room back.
        if beside && (needed > room || room_for(needed) < room / 2) {
            *self = Self::new(self.key(), value, self.0.marks);
        } else {
            self.put_value(value);
        }
    }

    /// There is room for it, if it goes beside the key.
    fn put_value(&mut self, value: Option<&Bytes>) {
        let node = &mut *self.0;
        let key_len = node.key_len as usize;
        node.value = match value {
            None => Value::Deleted,
            Some(value) if fits_beside(key_len, value.len()) => {
                node.bytes[key_len..key_len + value.len()].copy_from_slice(value);
                Value::Beside(len_u32(value.len()))
            }
            Some(value) => Value::Apart(Box::new(value.clone())),
        };
    }

    /// Its memory, without a value that lies apart.
    fn into_room(mut self) -> Room {
        self.0.value = Value::Deleted;
        Room(self.0)
    }

    /// What it takes of memory, its place in the map included.
    pub(super) fn memory_bytes(&self) -> usize {
        let apart = match &self.0.value {
            Value::Apart(value) => value.len() + size_of::<Bytes>() + 2 * ALLOCATOR_BYTES,
            _ => 0,
        };
        buckets::ENTRY_BYTES + ALLOCATOR_BYTES + size_of_val(&*self.0) + apart
    }
}

/// Memory for a record.
pub(super) struct Room(Box<Node>);

impl Room {
    #[cfg(test)]
    pub(super) fn of(bytes: usize) -> Self {
        Self(node_with_room(bytes))
    }

    /// How much goes in, in bytes.
    pub(super) fn len(&self) -> usize {
        self.0.bytes.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        ALLOCATOR_BYTES + size_of_val(&*self.0)
    }
}

/// What a key and the value beside it take in a room, in bytes.
pub(super) fn room_needed(key: &[u8], value: Option<&Bytes>) -> usize {
    let beside = value.filter(|value| fits_beside(key.len(), value.len()));
    key.len() + beside.map_or(0, |value| value.len())
}

/// Whether a value of that length is copied into its record; otherwise it is shared.
pub(super) fn fits_beside(key_len: usize, value_len: usize) -> bool {
    key_len + value_len <= MAX_BESIDE_BYTES
}

/// Lengths of keys and of what lies beside them are bounded far below.
#[allow(clippy::cast_possible_truncation)]
fn len_u32(len: usize) -> u32 {
    len as u32
}

/// A node whose `bytes` have one of a few lengths, for which the compiler makes an unsized allocation from sized ones.
macro_rules! sized_nodes {
    ($($room:literal)*) => {
        /// How long `bytes` are in a node that holds so many.
        fn room_for(bytes: usize) -> usize {
            match bytes {
                $(0..=$room => $room,)*
                _ => crate::store::MAX_STORE_KEY_BYTES,
            }
        }

        pub(super) const ROOMS: [usize; [$($room),*].len()] = [$($room),*];

        fn node_with_room(bytes: usize) -> Box<Node> {
            fn node<B>(bytes: B) -> Box<Node<B>> {
                Box::new(Node { marks: Marks::default(), value: Value::Deleted, key_len: 0, bytes })
            }
            match bytes {
                $(0..=$room => node([0; $room]),)*
                _ => node([0; crate::store::MAX_STORE_KEY_BYTES]),
            }
        }
    };
}
// With the rest of the node they fill what common allocators hand out. What is longer than the last but one is a key alone.
sized_nodes!(20 52 84 116 148 180 212 276 340 468 596 724 852 1044 4096);

/// How many classes of rooms there are.
pub(super) const CLASSES: usize = ROOMS.len();

/// The class of the room for so many bytes; [`CLASSES`] of what is larger than them.
pub(super) fn class_of(bytes: usize) -> usize {
    ROOMS.partition_point(|room| *room < bytes)
}

/// The map.
#[derive(Default)]
pub(super) struct Records {
    table: Buckets<Record>,
    hasher: RandomState,
    secret: Secret,
    next_id: u32,
}

impl Records {
    pub(super) fn get(&self, key: &[u8]) -> Option<&Record> {
        self.table.find(self.hash(key), |record| record.key() == key)
    }

    pub(super) fn get_mut(&mut self, key: &[u8]) -> Option<&mut Record> {
        self.table.find_mut(self.hash(key), |record| record.key() == key)
    }

    /// Has the processor fetch what leads to the record whose key begins so, or the record; whether there is anything.
    #[inline(always)]
    pub(super) fn fetch(&self, beginning: &[u8; TELLING_BYTES], fetch: Fetch) -> bool {
        let hash = self.secret.hash(beginning);
        match fetch {
            Fetch::Whereabouts => {
                self.table.lines(hash).inspect(|lines| sys::prefetch(*lines, SEARCHED_BYTES)).is_some()
            }
            // Nearly always it is the first one with that hash; if not, the wrong one is fetched.
            Fetch::Record => self
                .table
                .find(hash, |_| true)
                .inspect(|record| sys::prefetch(&*record.0, FETCHED_BYTES))
                .is_some(),
        }
    }

    /// Puts in a record that is not there yet, in that room if there is some that is large enough.
    pub(super) fn insert_new(
        &mut self,
        key: &[u8],
        value: Option<&Bytes>,
        marks: Marks,
        room: Option<Room>,
    ) -> (Handle, &Record) {
        let at = Handle { hash: self.hash(key), id: self.next_id };
        self.next_id = self.next_id.wrapping_add(1);
        let marks = Marks { id: at.id, ..marks };
        let record = match room {
            Some(room) => Record::in_room(room, key, value, marks),
            None => Record::new(key, value, marks),
        };
        (at, self.table.insert_new(at.hash, record))
    }

    /// What finds that record of this map again.
    pub(super) fn handle(&self, key: &[u8], marks: Marks) -> Handle {
        Handle { hash: self.hash(key), id: marks.id }
    }

    pub(super) fn at(&self, at: Handle) -> Option<&Record> {
        self.table.find(at.hash, |record| record.marks().id == at.id)
    }

    pub(super) fn at_mut(&mut self, at: Handle) -> Option<&mut Record> {
        self.table.find_mut(at.hash, |record| record.marks().id == at.id)
    }

    /// Takes a record out; its memory, without a value that lay apart.
    pub(super) fn remove_at(&mut self, at: Handle) -> Option<Room> {
        self.table.remove(at.hash, |record| record.marks().id == at.id).map(Record::into_room)
    }

    /// So many more will be put in: it grows once for all of them.
    pub(super) fn expect(&mut self, more: usize) {
        self.table.reserve(more);
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Record> {
        self.table.iter_mut()
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // the upper half
    fn hash(&self, key: &[u8]) -> u32 {
        match key.first_chunk() {
            Some(beginning) if is_told_by_its_beginning(key) => self.secret.hash(beginning),
            _ => (self.hasher.hash_one(key) >> 32) as u32,
        }
    }
}

/// Hashes the beginnings of keys that are told by them. No key is longer to read than another, and one multiplication spreads what is
/// different already (folded multiply: wyhash, Wang Yi 2019).
struct Secret([u64; 2]);

impl Default for Secret {
    fn default() -> Self {
        Self([(); 2].map(|()| std::hash::RandomState::new().build_hasher().finish()))
    }
}

impl Secret {
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // halves
    fn hash(&self, beginning: &[u8; TELLING_BYTES]) -> u32 {
        let [mut first, mut last] = [[0; 8]; 2];
        first.copy_from_slice(&beginning[..8]);
        last.copy_from_slice(&beginning[TELLING_BYTES - 8..]);
        let [first, last] = [first, last].map(u64::from_le_bytes);
        let product = u128::from(first ^ self.0[0]) * u128::from(last ^ self.0[1]);
        ((product as u64 ^ (product >> 64) as u64) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// A value of `len` bytes.
    fn value(len: usize, fill: u8) -> Bytes {
        Bytes::from(vec![fill; len])
    }

    proptest! {
        #[test]
        fn it_behaves_as_the_standard_map(
            steps in proptest::collection::vec(
                (prop_oneof![0usize..100, 1000usize..1050, Just(5000), Just(65_535)], 0u8..4,
                 proptest::option::of(prop_oneof![0usize..2000, Just(70_000)]), any::<bool>()),
                0..200,
            ),
        ) {
            let (mut records, mut model) = (Records::default(), HashMap::new());
            for (seq, (key_len, fill, value_len, remove)) in (0..).zip(steps) {
                let key = vec![fill; key_len];
                let value = value_len.map(|len| value(len, seq as u8));
                if remove {
                    if let Some(marks) = records.get(&key).map(|record| *record.marks()) {
                        records.remove_at(records.handle(&key, marks));
                    }
                    model.remove(&key);
                    continue;
                }
                match records.get_mut(&key) {
                    Some(record) => {
                        record.set_value(value.as_ref());
                        record.marks_mut().seq = seq;
                    }
                    None => _ = records.insert_new(&key, value.as_ref(), Marks::dirty(seq), None),
                }
                model.insert(key, (value, seq));
            }
            prop_assert_eq!(records.values_mut().count(), model.len());
            for (key, (value, seq)) in model {
                let record = records.get(&key).unwrap();
                prop_assert_eq!((record.value::<Bytes>(), record.marks().seq), (value, seq));
            }
        }
    }

    /// As docs/FORMAT.md draws them: pages of one collection, first pages of collections that are numbered one after the other, records of
    /// users' keys, whose hash is even already. What differs in few bytes is to be found in one line as well.
    #[test]
    fn keys_that_are_told_by_their_beginning_are_hashed_evenly_whichever_bytes_differ() {
        const KEYS: u32 = 1 << 16;
        const PARTS: usize = 1 << 10;
        const SECRETS: u64 = 8;
        let page = |id: u32, node: u32| {
            let spread = (id ^ node >> 4).wrapping_mul(0x9e37_79b1).to_be_bytes()[0];
            [&[0x11], &id.to_be_bytes()[..], &[spread, 0, 0, 0], &node.to_be_bytes()].concat()
        };
        let record = |n: u32| {
            let hash = u64::from(n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            [&[0x10, 0, 0, 0, 0][..], &hash.to_be_bytes(), b"key"].concat()
        };
        let mut secrets = (1..=2 * SECRETS).map(|n| n.wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(29));
        for _ in 0..SECRETS {
            let secret = Secret([(); 2].map(|()| secrets.next().unwrap()));
            let records = Records { secret, ..Records::default() };
            let hold_evenly = |kind: &str, key: &dyn Fn(u32) -> Vec<u8>| {
                let mut parts = [0; PARTS];
                for key in (0..KEYS).map(key) {
                    assert!(is_told_by_its_beginning(&key));
                    parts[records.hash(&key) as usize >> 22] += 1;
                }
                // 64 each; by chance none is half as far off.
                assert!(parts.iter().all(|part| (16..=128).contains(part)), "{kind}: {parts:?}");
            };
            hold_evenly("pages of one collection", &|n| page(7, n));
            hold_evenly("first pages of collections", &|n| page(n, 0));
            hold_evenly("records", &record);
        }
    }

    #[test]
    fn a_value_of_the_same_size_is_written_in_place_and_memory_follows_the_size() {
        let mut records = Records::default();
        let small = records.insert_new(b"key", Some(&value(100, 1)), Marks::dirty(1), None).1.memory_bytes();
        let record = records.get_mut(b"key").unwrap();
        let at = record.key().as_ptr();
        record.set_value(Some(&value(100, 2)));
        assert_eq!((record.key().as_ptr(), record.memory_bytes()), (at, small));
        record.set_value(Some(&value(500, 3)));
        assert!(record.memory_bytes() > small + 300);
        record.set_value(Some(&value(100, 4)));
        assert_eq!(record.memory_bytes(), small);
        record.set_value(Some(&value(1 << 20, 5)));
        assert!(record.memory_bytes() > 1 << 20);
        record.set_value(None);
        assert!(record.is_deleted() && record.memory_bytes() <= small);
    }

    #[test]
    fn a_handle_finds_its_record_until_it_is_removed_and_never_another() {
        let mut records = Records::default();
        let first = records.insert_new(b"key", None, Marks::dirty(1), None).0;
        assert_eq!(records.handle(b"key", *records.get(b"key").unwrap().marks()), first);
        records.at_mut(first).unwrap().set_value(Some(&value(500, 1)));
        assert_eq!(records.at(first).unwrap().key(), b"key", "also once it has moved");
        records.remove_at(first);
        let second = records.insert_new(b"key", None, Marks::dirty(2), None).0;
        assert!(records.at(first).is_none());
        assert_eq!(records.at(second).unwrap().marks().seq, 2);
    }

    #[test]
    fn a_node_wastes_little() {
        for bytes in 0..=MAX_BESIDE_BYTES {
            let room = room_for(bytes);
            assert_eq!(node_with_room(bytes).bytes.len(), room);
            assert!(room >= bytes && room - bytes < 32.max(bytes / 2), "{bytes} in {room}");
        }
    }
}
