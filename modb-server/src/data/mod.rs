//! How types, expiry and databases map to records, and how commands are kept apart.
//!
//! [`Data`] is what one data folder holds; a [`Tx`] is one command's (or one closure's) view of it. This floor
//! knows no connection and no wire format, and reads no clock: time is an argument.
//!
//! Invariants: every write of a command is in one batch; the counters of a namespace are changed in the same
//! batch as its records, so `DBSIZE` is exact through crashes; a record with an expiry has exactly one entry in
//! the expiry index; an expired record is absent for every command, whether or not it is already removed.

mod catalog;
mod check;
mod collection;
mod coming;
mod committed;
mod expiry;
mod hash;
mod housekeeping;
mod interests;
pub mod layout;
pub mod long_double;
mod many;
mod random_key;
mod rooms;
mod scan;
pub mod strings;
mod stripes;
mod tally;
mod tree;
mod tx;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use catalog::DEFAULT_DATABASES;
pub use check::{Report, check};
pub use collection::{
    Compact, End, Extent, Hash, List, Map, Place as MemberPlace, ScoreBounds, ScoreEdge, Set, SetResult,
    SortedSet, has_only_integers, is_big,
};
pub use coming::Coming;
pub use committed::Committed;
pub use housekeeping::Housekeeper;
pub use interests::{
    INTEREST_BYTES, Places, Served, TRACKED_BYTES, Told, TrackedSums, Tracker, Tracking, Waiter, Watch, Way,
};
pub use layout::{Form, Head, Kind, MAX_KEY_BYTES, MAX_VALUE_BYTES, Outline, Record, Stored};
pub use many::Many;
pub use scan::KeyPage;
pub use stripes::{Access, Held, Kept, Missed, Need, Parker, Ticket, Union, Wake};
pub use tally::{Tally, Total};
pub use tree::Among;
pub use tx::{Entry, Tx};

pub use crate::glob::matches as glob_matches;
use crate::messages::Exchange;
use crate::store::{Batch, Counter, ErrorClass, Store, StoreError, StoreKey, Write};
use catalog::Catalog;
use hash::Seed;
use interests::Interests;
use stripes::Stripes;

/// What a data operation can fail with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The key holds a type that the operation does not take.
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    /// The key is longer than [`MAX_KEY_BYTES`].
    #[error("ERR key is longer than {MAX_KEY_BYTES} bytes")]
    KeyTooLong,
    /// The value would be longer than [`MAX_VALUE_BYTES`].
    #[error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    ValueTooLong,
    /// The system has no memory for it.
    #[error("OOM the system has no memory for that")]
    NoMemory,
    /// The value, or an argument, is no 64-bit integer.
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    /// The sum leaves the range of a 64-bit integer.
    #[error("ERR increment or decrement would overflow")]
    Overflow,
    /// The value is no number.
    #[error("ERR value is not a valid float")]
    NotAFloat,
    /// The sum is not finite.
    #[error("ERR increment would produce NaN or Infinity")]
    NotFinite,
    /// There is no database of that index.
    #[error("ERR DB index is out of range")]
    NoSuchDatabase,
    /// No generation is left for a flushed database: there were 2³¹ of them.
    #[error("ERR no namespace is left for a flushed database")]
    NoNamespaceLeft,
    /// Something was missed, as the stripe of a key that is read while a batch becomes visible there: to be done again, see
    /// [`Tx::missed`].
    #[error("ERR a key is read while it changes with others")]
    Missed,
    /// A record is not what the format says.
    #[error("ERR corrupt record: {0}")]
    Corrupt(&'static str),
    /// A collection is not what the format says, or full.
    #[error("ERR {0}")]
    Collection(#[from] tree::Fault),
    /// The store failed. Boxed, since results are moved with each command, and this seldom in one.
    #[error("ERR {0}")]
    Store(#[source] Box<StoreError>),
}

impl From<StoreError> for DataError {
    fn from(error: StoreError) -> Self {
        if error.is_for_want_of_memory() { Self::NoMemory } else { Self::Store(Box::new(error)) }
    }
}

/// Whether there is memory for so many bytes, for whoever lets a client choose how many.
///
/// # Errors
/// [`DataError::NoMemory`].
pub fn ensure_memory(bytes: usize) -> Result<(), DataError> {
    if crate::sys::has_memory(bytes) { Ok(()) } else { Err(DataError::NoMemory) }
}

/// The databases of one data folder: records, stripes and the map of namespaces.
pub struct Data {
    store: Arc<dyn Store>,
    seed: Seed,
    stripes: Stripes,
    interests: Interests,
    exchange: Arc<Exchange>,
    catalog: Catalog,
    expiry_floor: expiry::Floor,
    /// Mixed by the seed into the choices of `RANDOMKEY`.
    dice: AtomicU64,
    chores: housekeeping::Chores,
    sparse: random_key::Sparse,
    collections: collection::Lease,
    sites: collection::Sites,
    compact: Compact,
    /// Small pages, so that few elements make a tree.
    small_pages: AtomicBool,
    /// Whether a read must wait for the write it saw: what was promised as safe must not disappear again.
    reads_wait: bool,
}

impl Data {
    /// Opens the data in `store` with `databases` databases, and writes the first facts into an empty one.
    /// `reads_wait`: what a read has seen is part of what it waits for (durability `always`).
    ///
    /// # Errors
    /// [`StoreError::Format`] if another version wrote it; whatever the store fails with.
    pub fn open(store: Arc<dyn Store>, databases: u32, reads_wait: bool) -> Result<Self, StoreError> {
        let seed = read_or_write_facts(&*store)?;
        let catalog = Catalog::read(&*store, databases)?;
        let collections = collection::Lease::read(&*store)?;
        Ok(Self {
            store,
            seed,
            stripes: Stripes::default(),
            interests: Interests::default(),
            exchange: Arc::default(),
            catalog,
            expiry_floor: expiry::Floor::default(),
            dice: AtomicU64::new(0),
            chores: housekeeping::Chores::default(),
            sparse: random_key::Sparse::default(),
            collections,
            sites: collection::Sites::default(),
            compact: Compact::default(),
            small_pages: AtomicBool::new(false),
            reads_wait,
        })
    }

    /// Who listens to what.
    pub(crate) fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    /// Whether anybody waits for a key in the stripe of the one with this hash, which is held, or watches or tracks one there, or listens
    /// to what happens to any. While it is held nobody begins to wait or to watch there.
    pub(crate) fn is_anybody_interested(&self, hash: u64) -> bool {
        let exchange = &self.exchange;
        self.interests.are_any_beside(hash) || exchange.is_attended() || exchange.events().bits() != 0
    }

    /// The engine below.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Up to what size collections are called compact.
    pub fn compact(&self) -> &Compact {
        &self.compact
    }

    /// How many databases there are; their indexes are below it.
    pub fn databases(&self) -> u32 {
        self.catalog.databases()
    }

    /// The hash that orders `key` among the records, and that chooses its stripe.
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.seed.hash(key)
    }

    /// What a command on one key needs.
    pub fn need_one(&self, key: &[u8]) -> Need {
        Need::one(self.hash(key))
    }

    /// What a command on several keys needs.
    pub fn need_many<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) -> Need {
        Need::many(keys.map(|key| self.hash(key)))
    }

    /// Adds the stripe of a key to what several commands need together.
    pub fn add_key(&self, union: &mut Union, key: &[u8]) {
        union.add(self.hash(key));
    }

    /// What a walk over a database has to have had: then it finds the rest of every batch of which something was seen
    /// before.
    pub fn need_to_walk(&self) -> Need {
        self.stripes.marked()
    }

    /// What a [`Tx`] had, and what it [missed](Tx::missed). The former is given back.
    pub fn need_more(&self, held: Held<'_>, missed: Missed) -> Need {
        match missed {
            Missed::One(hash) => held.and(hash),
            Missed::All => held.and_all(),
            Missed::Time | Missed::Room(_) => held.same(),
        }
    }

    /// How many keys the database has, and how many of them have an expiry; expired keys count until removed.
    pub fn sizes(&self, database: u32) -> (u64, u64) {
        let namespace = self.catalog.namespace(database);
        let read = |counter| u64::try_from(self.store.counter(counter)).unwrap_or(0);
        (read(keys_counter(namespace)), read(expiring_counter(namespace)))
    }

    /// Whether a reply has to wait for the writes that its command has seen.
    pub fn reads_wait(&self) -> bool {
        self.reads_wait
    }

    /// The seed of the hash.
    fn seed(&self) -> Seed {
        self.seed
    }

    /// A number for a collection.
    fn new_collection(&self) -> Result<layout::CollectionId, DataError> {
        self.collections.take(&*self.store)
    }

    /// The collections that are being built.
    fn sites(&self) -> &collection::Sites {
        &self.sites
    }

    /// Has pages of collections hold a few elements only, so that tests meet trees of many levels.
    pub fn keep_pages_small(&self, small: bool) {
        self.small_pages.store(small, Ordering::Relaxed);
    }

    fn forced_limits(&self) -> Option<tree::Limits> {
        const SMALL: tree::Limits =
            tree::Limits { root_bytes: 160, inner_bytes: 200, leaf_bytes: 64, end_bytes: 24 };
        self.small_pages.load(Ordering::Relaxed).then_some(SMALL)
    }

    /// A number below `n` (0 if that is 0), all with the same probability as far as 64 bits can say.
    pub fn below(&self, n: u64) -> u64 {
        ((u128::from(self.roll()) * u128::from(n)) >> 64) as u64
    }

    fn roll(&self) -> u64 {
        self.seed.hash(&self.dice.fetch_add(1, Ordering::Relaxed).to_le_bytes())
    }
}

/// The records of a namespace.
fn keys_counter(namespace: u32) -> Counter {
    Counter(namespace << 1)
}

/// Those of them that have an expiry.
fn expiring_counter(namespace: u32) -> Counter {
    Counter(namespace << 1 | 1)
}

/// Says that from now on there may be collections, which the version before would not understand.
fn bring_forward(store: &dyn Store) -> Result<(), StoreError> {
    let version = bytes::Bytes::copy_from_slice(&layout::FORMAT_VERSION.to_be_bytes());
    match store.apply(Batch { writes: vec![Write::Put(layout::fact_key("format"), version)] }) {
        Ok(_) => store.sync(),
        // It is only read, or will be written to another time.
        Err(error) if error.class() == ErrorClass::Refused => Ok(()),
        Err(error) => Err(error),
    }
}

fn read_or_write_facts(store: &dyn Store) -> Result<Seed, StoreError> {
    let corrupt =
        |what: &str| StoreError::Corrupt { place: "the facts of the folder".into(), what: what.into() };
    let (format_key, seed_key) = (layout::fact_key("format"), layout::fact_key("seed"));
    if let Some(format) = store.get(&format_key)?.value {
        let found = u32::from_be_bytes(
            format.as_ref().try_into().map_err(|_| corrupt("the format version is not four bytes"))?,
        );
        if found == layout::STRINGS_VERSION {
            bring_forward(store)?;
        } else if found != layout::FORMAT_VERSION {
            return Err(StoreError::Format {
                folder: "given".into(),
                found: found.to_string(),
                expected: layout::FORMAT_VERSION.to_string(),
            });
        }
        let seed = store.get(&seed_key)?.value.ok_or_else(|| corrupt("the seed is missing"))?;
        let seed = seed.as_ref().try_into().map_err(|_| corrupt("the seed is not 16 bytes"))?;
        return Ok(Seed::from_bytes(seed));
    }
    if !store.scan(&[], &[0xff; 8], 1)?.records.is_empty() {
        return Err(corrupt("there are records, but no format version"));
    }
    let seed = Seed::random();
    let put = |key: StoreKey, value: &[u8]| Write::Put(key, bytes::Bytes::copy_from_slice(value));
    store.apply(Batch {
        writes: vec![put(format_key, &layout::FORMAT_VERSION.to_be_bytes()), put(seed_key, &seed.to_bytes())],
    })?;
    store.sync()?;
    Ok(seed)
}
