//! How keys, databases and expiry map to the records of a store. Pure; docs/FORMAT.md draws it.
//!
//! Invariants: integers in store keys are big-endian, so that byte order is number order; for spaces from 0x10
//! on, the bytes 5..13 are the hash of the user key, so that byte 5 is evenly distributed, as the store wants it; a record without a
//! version of its own belongs to [`FORMAT_VERSION`].

use bytes::Bytes;

use crate::store::{GLIMPSE_BYTES, Glimpse, StoreKey, vast};

/// The version of everything on this page. A folder with another one is refused.
pub const FORMAT_VERSION: u32 = 2;

/// The version before, which had strings only: every record of it is one of today's.
pub const STRINGS_VERSION: u32 = 1;

/// The longest key a client may use, in bytes: the store's limit less the largest prefix (25), rounded down.
pub const MAX_KEY_BYTES: usize = 65_500;

/// The longest value, in bytes, as Redis's `proto-max-bulk-len`.
pub const MAX_VALUE_BYTES: usize = 512 << 20;

/// What stands before the user key in the store key of a key record: its space, the namespace, the hash.
pub(super) const RECORD_PREFIX_BYTES: usize = 13;

/// From here on eight bytes of a store key nearly always tell it from others: the hash of a user's key, or the number of a page.
pub(super) const TELLING_FROM: usize = 5;

/// First bytes of store keys.
pub(super) mod space {
    pub(in crate::data) const FACTS: u8 = 0x01;
    pub(in crate::data) const DATABASES: u8 = 0x02;
    pub(in crate::data) const DROPPED: u8 = 0x03;
    pub(in crate::data) const KEYS: u8 = 0x10;
    pub(in crate::data) const PAGES: u8 = 0x11;
    pub(in crate::data) const GRAVES: u8 = 0x12;
    pub(in crate::data) const EXPIRY: u8 = 0x20;
}

/// Whether a store key is that of a user's key, and not of what is kept beside it.
pub(super) fn is_key_record(store_key: &[u8]) -> bool {
    store_key.first() == Some(&space::KEYS)
}

/// Milliseconds per bucket of the expiry index, as a shift: 1,024 ms.
const BUCKET_SHIFT: u32 = 10;

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Kind {
    /// A string of bytes.
    String = 0,
    /// A list.
    List = 1,
    /// A set.
    Set = 2,
    /// A sorted set.
    SortedSet = 3,
    /// A hash.
    Hash = 4,
    /// A stream.
    Stream = 5,
    /// A map in the order of its keys, which only embedding programs write.
    Map = 6,
}

impl Kind {
    /// The name that `TYPE` answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "zset",
            Self::Hash => "hash",
            Self::Stream => "stream",
            Self::Map => "map",
        }
    }

    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::String,
            1 => Self::List,
            2 => Self::Set,
            3 => Self::SortedSet,
            4 => Self::Hash,
            5 => Self::Stream,
            6 => Self::Map,
            _ => return None,
        })
    }
}

const KIND_BITS: u8 = 0x0f;
const HAS_EXPIRY: u8 = 0x10;
const RAW: u8 = 0x20;
const TEXT: u8 = 0x40;

/// How a string came to be, which decides what `OBJECT ENCODING` says of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// It was set as a whole: an integer if it looks like one.
    #[default]
    Plain,
    /// It is the sum of an `INCRBYFLOAT`: never an integer.
    Text,
    /// It was edited in place (`APPEND`, `SETRANGE`, `SETBIT`, ...): never short.
    Raw,
}

/// What stands before the payload of a key record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What the key holds.
    pub kind: Kind,
    /// For a string, how it came to be.
    pub form: Form,
    /// When the key ceases to exist, in milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
}

impl Head {
    /// Reads it from what a record begins with; and where the payload begins. `None`: not a record of this format.
    #[inline]
    fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let tag = *bytes.first()?;
        let kind = Kind::from_bits(tag & KIND_BITS)?;
        let expires_at_ms = if tag & HAS_EXPIRY == 0 {
            None
        } else {
            Some(u64::from_be_bytes(*bytes.get(1..)?.first_chunk()?))
        };
        let form = match tag & (RAW | TEXT) {
            0 => Form::Plain,
            TEXT => Form::Text,
            RAW => Form::Raw,
            _ => return None,
        };
        let head = Self { kind, form, expires_at_ms };
        Some((head, head.bytes()))
    }

    /// Kind and form, as a record begins with them where it does not expire.
    fn tag(self) -> u8 {
        let form = match self.form {
            Form::Plain => 0,
            Form::Text => TEXT,
            Form::Raw => RAW,
        };
        self.kind as u8 | form
    }

    /// How many bytes it has in a record.
    pub fn bytes(self) -> usize {
        if self.expires_at_ms.is_some() { 9 } else { 1 }
    }

    /// A string that was set as a whole.
    pub const STRING: Self = Self { kind: Kind::String, form: Form::Plain, expires_at_ms: None };

    /// The same with another expiry.
    pub fn expiring(self, expires_at_ms: Option<u64>) -> Self {
        Self { expires_at_ms, ..self }
    }
}

/// A key record: `[tag][expires_at_ms, if the tag says so][payload]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Type and expiry.
    pub head: Head,
    /// All of it, with the head.
    bytes: Bytes,
}

impl Record {
    /// Writes the record of `head` and the payload that `parts` make in sequence.
    pub fn encode(head: Head, parts: &[&[u8]]) -> Bytes {
        let payload = parts.iter().map(|part| part.len()).sum();
        Self::encode_with(head, payload, |out| parts.iter().for_each(|part| out.extend_from_slice(part)))
    }

    /// As [`Record::encode`], of a payload of so many bytes that `put` appends.
    pub fn encode_with(head: Head, payload_bytes: usize, put: impl FnOnce(&mut Vec<u8>)) -> Bytes {
        // Exactly: a vector that is full becomes `Bytes` as it is.
        let mut out = Vec::with_capacity(head.bytes() + payload_bytes);
        let tag = head.tag();
        match head.expires_at_ms {
            None => out.push(tag),
            Some(at) => {
                out.push(tag | HAS_EXPIRY);
                out.extend_from_slice(&at.to_be_bytes());
            }
        }
        put(&mut out);
        vast::share(out)
    }

    /// Writes the record of a string that was set as a whole into what `out` begins with; how long it is.
    pub(super) fn write_string(value: &[u8], out: &mut [u8]) -> u32 {
        let bytes = Head::STRING.bytes() + value.len();
        out[0] = Head::STRING.tag();
        out[1..bytes].copy_from_slice(value);
        // No value is longer than that allows.
        bytes as u32
    }

    /// Reads a record. `None`: not a record of this format.
    pub fn decode(bytes: Bytes) -> Option<Self> {
        let (head, _) = Head::decode(&bytes)?;
        Some(Self { head, bytes })
    }

    /// All of it, as it is stored.
    pub fn whole(&self) -> &Bytes {
        &self.bytes
    }

    /// What is behind the head: for a string, its bytes.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.head.bytes()..]
    }

    /// As [`Record::payload`], sharing the record's memory.
    pub fn to_payload(&self) -> Bytes {
        self.bytes.slice(self.head.bytes()..)
    }

    /// As [`Record::payload`], of a record that is needed no more.
    pub fn into_payload(self) -> Bytes {
        let (mut bytes, head) = (self.bytes, self.head.bytes());
        bytes::Buf::advance(&mut bytes, head);
        bytes
    }
}

/// Head, flags, number, nodes and elements of a collection.
const _: () = assert!(9 + 1 + 8 + 4 + 4 + 4 <= GLIMPSE_BYTES);

/// What is known of a key record by a glimpse: all but what a string holds, and what a collection holds beyond its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Type and expiry.
    pub head: Head,
    record: Glimpse,
    /// Where the payload begins.
    start: usize,
}

impl Outline {
    /// As [`Record::decode`].
    pub fn decode(record: Glimpse) -> Option<Self> {
        let (head, start) = Head::decode(record.begin())?;
        Some(Self { head, record, start })
    }

    /// Whether a record that begins so is a string that does not expire: then that says all but what it holds.
    pub fn is_lasting_string(tag: u8) -> bool {
        Head::decode(&[tag])
            .is_some_and(|(head, _)| head.kind == Kind::String && head.expires_at_ms.is_none())
    }
}

/// A key record, or an outline of one.
pub trait Stored {
    /// Type and expiry.
    fn head(&self) -> Head;
    /// What the payload begins with: at least as much of it as tells of a collection what is not in its pages, and of a string
    /// whether it is a short one.
    fn payload_begin(&self) -> &[u8];
    /// The length of the payload.
    fn payload_bytes(&self) -> usize;
}

impl Stored for Record {
    fn head(&self) -> Head {
        self.head
    }

    fn payload_begin(&self) -> &[u8] {
        self.payload()
    }

    fn payload_bytes(&self) -> usize {
        self.payload().len()
    }
}

impl Stored for Outline {
    fn head(&self) -> Head {
        self.head
    }

    fn payload_begin(&self) -> &[u8] {
        &self.record.begin()[self.start..]
    }

    fn payload_bytes(&self) -> usize {
        self.record.value_bytes() - self.start
    }
}

/// Where a user key is: its namespace and its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'k> {
    /// The generation of a database that holds it.
    pub namespace: u32,
    /// The seeded hash of the key.
    pub hash: u64,
    /// The key as the client wrote it.
    pub key: &'k [u8],
}

impl<'k> Place<'k> {
    /// Writes the store key of the key record into `buf`, replacing what it held.
    pub fn record_key(&self, buf: &mut Vec<u8>) {
        buf.clear();
        buf.extend_from_slice(&self.record_prefix());
        buf.extend_from_slice(self.key);
    }

    /// As [`Place::record_key`], into what `out` begins with; what is behind that.
    pub(super) fn write_record_key(self, out: &mut [u8]) -> &mut [u8] {
        let (store_key, rest) = out.split_at_mut(RECORD_PREFIX_BYTES + self.key.len());
        store_key[..RECORD_PREFIX_BYTES].copy_from_slice(&self.record_prefix());
        store_key[RECORD_PREFIX_BYTES..].copy_from_slice(self.key);
        rest
    }

    pub(super) fn record_prefix(&self) -> [u8; RECORD_PREFIX_BYTES] {
        let mut prefix = [space::KEYS; RECORD_PREFIX_BYTES];
        prefix[1..5].copy_from_slice(&self.namespace.to_be_bytes());
        prefix[5..].copy_from_slice(&self.hash.to_be_bytes());
        prefix
    }

    /// The store key of the key record.
    pub fn to_record_key(self) -> StoreKey {
        StoreKey::concat(&[&self.record_prefix(), self.key])
    }

    /// Writes the store key of its entry in the expiry index into `buf`, replacing what it held.
    pub fn expiry_key(&self, expires_at_ms: u64, buf: &mut Vec<u8>) {
        buf.clear();
        buf.push(space::EXPIRY);
        buf.extend_from_slice(&bucket(expires_at_ms).to_be_bytes());
        buf.extend_from_slice(&self.hash.to_be_bytes());
        buf.extend_from_slice(&expires_at_ms.to_be_bytes());
        buf.extend_from_slice(&self.namespace.to_be_bytes());
        buf.extend_from_slice(self.key);
    }

    /// Reads the store key of a key record.
    pub fn from_record_key(bytes: &'k [u8]) -> Option<Self> {
        let (&[space::KEYS, a, b, c, d], rest) = bytes.split_first_chunk()? else { return None };
        let (hash, key) = rest.split_first_chunk()?;
        Some(Self { namespace: u32::from_be_bytes([a, b, c, d]), hash: u64::from_be_bytes(*hash), key })
    }

    /// Reads an entry of the expiry index: the place, and when it expires.
    pub fn from_expiry_key(bytes: &'k [u8]) -> Option<(Self, u64)> {
        let (&[space::EXPIRY, ..], rest) = bytes.split_first_chunk::<5>()? else { return None };
        let (hash, rest) = rest.split_first_chunk()?;
        let (at, rest) = rest.split_first_chunk()?;
        let (namespace, key) = rest.split_first_chunk()?;
        let place = Self { namespace: u32::from_be_bytes(*namespace), hash: u64::from_be_bytes(*hash), key };
        Some((place, u64::from_be_bytes(*at)))
    }
}

/// The bucket of the expiry index that holds `expires_at_ms`; the last one holds all that is later.
pub fn bucket(expires_at_ms: u64) -> u32 {
    u32::try_from(expires_at_ms >> BUCKET_SHIFT).unwrap_or(u32::MAX)
}

/// The first store key of the expiry index from `bucket` on.
pub fn expiry_from(bucket: u32) -> Vec<u8> {
    let mut key = vec![space::EXPIRY];
    key.extend_from_slice(&bucket.to_be_bytes());
    key
}

/// The first store key behind all expiry entries of `bucket` and before.
pub fn expiry_to(bucket: u32) -> Vec<u8> {
    bucket.checked_add(1).map_or_else(|| vec![space::EXPIRY + 1], expiry_from)
}

/// The first store key of `namespace` with a hash of at least `hash`.
pub fn records_from(namespace: u32, hash: u64) -> Vec<u8> {
    let mut key = Vec::new();
    Place { namespace, hash, key: b"" }.record_key(&mut key);
    key
}

/// The first store key behind all key records of `namespace`.
pub fn records_to(namespace: u32) -> Vec<u8> {
    namespace.checked_add(1).map_or_else(|| vec![space::KEYS + 1], |next| records_from(next, 0))
}

/// Store key of a fact about the whole folder: `[0x01][name]`.
pub fn fact_key(name: &str) -> StoreKey {
    StoreKey::concat(&[&[space::FACTS], name.as_bytes()])
}

/// Store key of the namespace that database `index` has now: `[0x02][index]`. Without one it is its index.
pub fn database_key(index: u32) -> StoreKey {
    StoreKey::concat(&[&[space::DATABASES], &index.to_be_bytes()])
}

/// Store key of the note that `namespace` was dropped and awaits its sweep: `[0x03][namespace]`.
pub fn dropped_key(namespace: u32) -> StoreKey {
    StoreKey::concat(&[&[space::DROPPED], &namespace.to_be_bytes()])
}

/// The ranges of all [`database_key`]s and all [`dropped_key`]s.
pub fn databases_range() -> ([u8; 1], [u8; 1]) {
    ([space::DATABASES], [space::DATABASES + 1])
}

/// The range of all [`dropped_key`]s.
pub fn dropped_range() -> ([u8; 1], [u8; 1]) {
    ([space::DROPPED], [space::DROPPED + 1])
}

/// The number of a collection: never used again, so what is left of one is never taken for a part of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CollectionId(pub u64);

const PAGE_KEY_BYTES: usize = 13;

/// Collections that are numbered at a time, as a shift: neighbouring pages of one lie together, 16 at a time.
const PAGES_TOGETHER_SHIFT: u32 = 4;

impl CollectionId {
    /// The lower half of the number, by which pages are ordered first.
    pub(super) fn low(self) -> u32 {
        self.0 as u32
    }

    /// Writes the store key of a page into `buf`, replacing what it held.
    pub(super) fn page_key(self, node: u32, buf: &mut Vec<u8>) {
        buf.clear();
        buf.extend_from_slice(&self.to_page_key(node));
    }

    /// The store key of a page: `[0x11][lower half u32][spread u8][upper half u24][node u32]`.
    pub(super) fn to_page_key(self, node: u32) -> [u8; PAGE_KEY_BYTES] {
        let [a, b, c, d] = self.low().to_be_bytes();
        let [_, e, f, g] = ((self.0 >> 32) as u32).to_be_bytes();
        let [h, i, j, k] = node.to_be_bytes();
        [space::PAGES, a, b, c, d, spread(self.0, node >> PAGES_TOGETHER_SHIFT), e, f, g, h, i, j, k]
    }

    /// Reads the store key of a page: whose it is, and the number of the node.
    pub(super) fn from_page_key(key: &[u8]) -> Option<(Self, u32)> {
        let &[space::PAGES, a, b, c, d, _, e, f, g, ref node @ ..] = key else { return None };
        let low = u32::from_be_bytes([a, b, c, d]);
        let high = u32::from_be_bytes([0, e, f, g]);
        let id = Self(u64::from(high) << 32 | u64::from(low));
        Some((id, u32::from_be_bytes(node.try_into().ok()?)))
    }

    /// Store key of the note that its pages are to be removed: `[0x12][0 u32][spread u8][number u64]`. Its value is the lowest
    /// number that no node had, a u32.
    pub(super) fn grave_key(self) -> StoreKey {
        StoreKey::concat(&[&[space::GRAVES, 0, 0, 0, 0, spread(self.0, 0)], &self.0.to_be_bytes()])
    }

    /// Reads the store key of a grave.
    pub(super) fn from_grave_key(key: &[u8]) -> Option<Self> {
        let &[space::GRAVES, 0, 0, 0, 0, _, ref id @ ..] = key else { return None };
        Some(Self(u64::from_be_bytes(id.try_into().ok()?)))
    }
}

/// Byte 5 of a store key: spread evenly, as the store wants it (the finaliser of MurmurHash3, Appleby 2011).
fn spread(id: u64, group: u32) -> u8 {
    let mut word = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(group);
    word = (word ^ (word >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    word = (word ^ (word >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (word >> 56) as u8
}

/// The range of all graves.
pub fn graves_range() -> ([u8; 1], [u8; 1]) {
    ([space::GRAVES], [space::GRAVES + 1])
}

/// Reads the number at the end of a [`database_key`] or [`dropped_key`].
pub fn number_in(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*key.get(1..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_round_trip(
            kind in 0u8..7, raw: bool, expires_at_ms: Option<u64>, payload: Vec<u8>, cut in 0usize..64,
        ) {
            let kind = Kind::from_bits(kind).unwrap();
            let head = Head { kind, form: if raw { Form::Raw } else { Form::Text }, expires_at_ms };
            let cut = cut.min(payload.len());
            let bytes = Record::encode(head, &[&payload[..cut], &payload[cut..]]);
            let record = Record::decode(bytes.clone()).unwrap();
            prop_assert_eq!((record.head, record.payload(), record.whole()), (head, &payload[..], &bytes));
            prop_assert_eq!((record.to_payload(), record.into_payload()), (payload.clone().into(), payload.into()));
        }

        #[test]
        fn store_keys_round_trip_and_carry_the_hash_at_5_to_13(
            namespace: u32, hash: u64, key: Vec<u8>, at: u64,
        ) {
            let place = Place { namespace, hash, key: &key };
            let mut buf = Vec::new();
            place.record_key(&mut buf);
            prop_assert_eq!(&buf[5..13], &hash.to_be_bytes());
            prop_assert_eq!(Place::from_record_key(&buf), Some(place));
            prop_assert!(records_from(namespace, hash) <= buf && buf < records_to(namespace));
            place.expiry_key(at, &mut buf);
            prop_assert_eq!(&buf[5..13], &hash.to_be_bytes());
            prop_assert_eq!(Place::from_expiry_key(&buf), Some((place, at)));
            prop_assert!(expiry_from(bucket(at)) <= buf && buf < expiry_to(bucket(at)));
        }

        #[test]
        fn bytes_that_are_no_record_are_refused_not_misread(bytes: Vec<u8>) {
            if let Some(record) = Record::decode(bytes.clone().into()) {
                prop_assert_eq!(Record::encode(record.head, &[record.payload()])[1..].to_vec(), bytes[1..].to_vec());
            }
            let _ = (Place::from_record_key(&bytes), Place::from_expiry_key(&bytes), number_in(&bytes));
        }
    }

    #[test]
    fn pages_are_spread_evenly_and_their_keys_round_trip() {
        let mut seen = [0; 256];
        let mut buf = Vec::new();
        for id in (0..4096).chain(u64::from(u32::MAX) - 4096..u64::from(u32::MAX) + 4096) {
            for node in [1, 16, 32] {
                CollectionId(id).page_key(node, &mut buf);
                assert_eq!(CollectionId::from_page_key(&buf), Some((CollectionId(id), node)));
                seen[usize::from(buf[5])] += 1;
            }
            let grave = CollectionId(id).grave_key();
            assert_eq!(CollectionId::from_grave_key(&grave), Some(CollectionId(id)));
        }
        let even = 12_288 * 3 / 256;
        assert!(seen.iter().all(|count| (even / 2..even * 2).contains(count)), "{seen:?}");
    }

    #[test]
    fn the_longest_key_fits_the_store_in_every_space() {
        let key = vec![0; MAX_KEY_BYTES];
        let mut buf = Vec::new();
        Place { namespace: 0, hash: 0, key: &key }.expiry_key(0, &mut buf);
        assert!(buf.len() <= crate::store::MAX_STORE_KEY_BYTES);
    }
}
