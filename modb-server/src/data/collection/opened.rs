//! A collection while a command works on it: its key, its number and its pages.

use crate::data::layout::{CollectionId, Head, Kind, MAX_KEY_BYTES, MAX_VALUE_BYTES, Record};
use crate::data::tree::{Filling, Limits, MAX_END_BYTES, Numbers, Order, Tree};
use crate::data::{DataError, Entry, Tx, tree};
use crate::messages::Event;

use super::pages::TxPages;
use super::payload::{Payload, Roots};

/// What a tree of a collection stands on.
pub(in crate::data) type Ground<'g, 't, 'a> = tree::Ground<'g, TxPages<'t, 'a>>;

/// How large the root of a small collection grows, which is all of it: with its key it is then still edited in place.
const FLAT_ROOT_BYTES: usize = 860;
/// And that of a tree: it is written with every element that comes or goes.
const TREE_ROOT_BYTES: usize = 300;
/// Leaves are small where each change is at a random place.
const HASHED_LEAF_BYTES: usize = 455;
const COUNTED_LEAF_BYTES: usize = 1_011;
const INNER_BYTES: usize = 1_011;

/// The number of a collection and those of its nodes.
#[derive(Debug)]
pub(in crate::data) struct Plot {
    pub(super) big: bool,
    /// Of a set: it has few members, and never had any but integers.
    pub(super) integers: bool,
    pub(super) id: Option<CollectionId>,
    pub(super) numbers: Numbers,
    /// Its number is new, or will be: nobody sees its pages before its key record.
    new: bool,
}

impl Plot {
    pub(super) fn new() -> Self {
        Self { big: false, integers: false, id: None, numbers: Numbers::default(), new: true }
    }

    pub(super) fn of(payload: &Payload) -> Self {
        let &Payload { big, integers, id, numbers, .. } = payload;
        Self { big, integers, id, numbers, new: id.is_none() }
    }

    /// Sees to it that it has a number.
    pub(super) fn number(&mut self, tx: &Tx<'_>) -> Result<(), DataError> {
        if self.id.is_none() {
            self.id = Some(tx.data().new_collection()?);
        }
        Ok(())
    }

    /// How large the root of a tree grows here.
    pub(super) fn root_bytes<O: Order>(&self, tx: &Tx<'_>) -> usize {
        limits::<O>(tx, self.id.is_some()).root_bytes
    }

    /// Works on a tree that stands here.
    pub(super) fn with<T, O: Order>(
        &mut self,
        tx: &mut Tx<'_>,
        tree: &mut Tree<O>,
        work: impl FnOnce(&mut Tree<O>, &mut Ground<'_, '_, '_>) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        self.on_ground::<T, O>(tx, |ground| work(tree, ground))
    }

    /// Works on what trees of this order stand on here.
    pub(super) fn on_ground<T, O: Order>(
        &mut self,
        tx: &mut Tx<'_>,
        work: impl FnOnce(&mut Ground<'_, '_, '_>) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        let limits = limits::<O>(tx, self.id.is_some());
        let mut pages = TxPages::new(tx, &mut self.id);
        let done = work(&mut Ground { pages: &mut pages, numbers: &mut self.numbers, limits })?;
        if let (true, Some(id)) = (self.new, self.id) {
            tx.spill(id, self.numbers.next)?;
        }
        Ok(done)
    }

    /// Makes a tree of entries that come in its order. What they are is asked for some at a time, so that pages are written in between.
    pub(super) fn fill<O: Order>(
        &mut self,
        tx: &mut Tx<'_>,
        order: O,
        mut entries: impl Iterator<Item = Vec<u8>>,
    ) -> Result<Tree<O>, DataError> {
        /// Some hundred pages.
        const AT_ONCE: usize = 4_096;
        let mut filling = Filling::new(order);
        let mut goes_on = true;
        while goes_on {
            goes_on = self.on_ground::<_, O>(tx, |ground| {
                for _ in 0..AT_ONCE {
                    let Some(entry) = entries.next() else { return Ok(false) };
                    filling.push(ground, &entry)?;
                }
                Ok(true)
            })?;
        }
        self.on_ground::<_, O>(tx, |ground| filling.finish(ground))
    }
}

/// How large the pages of a tree grow.
fn limits<O: Order>(tx: &Tx<'_>, numbered: bool) -> Limits {
    if let Some(limits) = tx.data().forced_limits() {
        return Limits { end_bytes: if numbered { limits.end_bytes } else { 0 }, ..limits };
    }
    Limits {
        end_bytes: if numbered { MAX_END_BYTES } else { 0 },
        root_bytes: if numbered { TREE_ROOT_BYTES } else { FLAT_ROOT_BYTES },
        inner_bytes: INNER_BYTES,
        leaf_bytes: if O::COUNTED { COUNTED_LEAF_BYTES } else { HASHED_LEAF_BYTES },
    }
}

/// A collection of one tree.
#[derive(Debug)]
pub(in crate::data) struct Opened<'k, O> {
    entry: Entry<'k>,
    kind: Kind,
    /// It keeps the expiry that the key has.
    keeps_expiry: bool,
    /// There is something to be saved.
    pub(super) changed: bool,
    pub(super) plot: Plot,
    pub(super) tree: Tree<O>,
}

impl<'k, O: Order> Opened<'k, O> {
    /// Opens what a key holds; an empty collection if there is none.
    pub(super) fn open(
        tx: &mut Tx<'_>,
        database: u32,
        key: &'k [u8],
        kind: Kind,
        order: O,
    ) -> Result<Self, DataError> {
        let entry = tx.entry(database, key)?;
        let Some(payload) = payload_of(&entry, kind)? else {
            return Ok(Self { keeps_expiry: true, ..Self::replacing(entry, kind, order) });
        };
        let plot = Plot::of(&payload);
        let root = payload
            .roots
            .into_iter()
            .flatten()
            .next()
            .ok_or(DataError::Corrupt("a collection without a root"))?;
        let tree = root.tree(order, payload.len);
        Ok(Self { entry, kind, keeps_expiry: true, changed: false, plot, tree })
    }

    /// As [`Opened::open`], in order to read: counts as a hit or a miss, and is `None` if there is no key.
    pub(super) fn find(
        tx: &mut Tx<'_>,
        database: u32,
        key: &'k [u8],
        kind: Kind,
        order: O,
    ) -> Result<Option<Self>, DataError> {
        let open = |tx: &mut Tx<'_>| Self::open(tx, database, key, kind, order);
        find(tx, (database, key), open, |opened| opened.tree.len == 0)
    }

    /// An empty one in the place of whatever the key of `entry` holds, without its expiry.
    pub(super) fn replacing(entry: Entry<'k>, kind: Kind, order: O) -> Self {
        Self { entry, kind, keeps_expiry: false, changed: false, plot: Plot::new(), tree: Tree::new(order) }
    }

    /// Removes the key with all that it holds, in the same time whatever that is. The collection is not used any more. `event`: what
    /// that was done by.
    pub(super) fn remove_key(self, tx: &mut Tx<'_>, event: Event) {
        if self.entry.live().is_some() {
            tx.notify_of(event, &self.entry);
        }
        tx.remove(&self.entry);
    }

    /// Works on the tree.
    pub(super) fn with<T>(
        &mut self,
        tx: &mut Tx<'_>,
        work: impl FnOnce(&mut Tree<O>, &mut Ground<'_, '_, '_>) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        self.plot.with(tx, &mut self.tree, work)
    }

    /// Writes the key record, if anything was changed, and tells of it; without elements there is no key.
    pub(super) fn save(&self, tx: &mut Tx<'_>, event: Event) -> Result<(), DataError> {
        // One that replaces another has changed that, too.
        if !self.changed && self.keeps_expiry {
            return Ok(());
        }
        let head = self.entry.collection_head(self.kind, self.keeps_expiry);
        // Nothing that is put in the place of something is its end.
        let event = (self.tree.len > 0 || self.keeps_expiry).then_some(event);
        save(tx, &self.entry, head, &self.plot, self.tree.len, &[Roots::of(&self.tree)], event)
    }
}

/// Opens what a key holds in order to read it: counts as a hit, of whatever type, or as a miss, and is `None` if there is no key.
pub(super) fn find<'a, T>(
    tx: &mut Tx<'a>,
    (database, key): (u32, &[u8]),
    open: impl FnOnce(&mut Tx<'a>) -> Result<T, DataError>,
    is_empty: impl FnOnce(&T) -> bool,
) -> Result<Option<T>, DataError> {
    if key.len() > MAX_KEY_BYTES {
        tx.looked_up(database, key, false);
        return Ok(None);
    }
    let opened = open(tx);
    let found = match &opened {
        Ok(opened) => !is_empty(opened),
        Err(error) => matches!(error, DataError::WrongType),
    };
    tx.looked_up(database, key, found);
    Ok(Some(opened?).filter(|_| found))
}

/// Whether an element may have so many bytes; asked before anything is changed.
pub(super) fn fits(bytes: usize) -> Result<(), DataError> {
    if bytes > MAX_VALUE_BYTES { Err(DataError::ValueTooLong) } else { Ok(()) }
}

/// The payload of a key that must hold `kind`, if it holds anything.
pub(super) fn payload_of(entry: &Entry<'_>, kind: Kind) -> Result<Option<Payload>, DataError> {
    let Some(record) = entry.live() else { return Ok(None) };
    if record.head.kind != kind {
        return Err(DataError::WrongType);
    }
    Payload::decode(record.payload.clone()).map(Some).ok_or(DataError::Corrupt("the record of a collection"))
}

/// Writes the key record of a collection, or removes it with its pages if it has no element; tells of it.
pub(super) fn save(
    tx: &mut Tx<'_>,
    entry: &Entry<'_>,
    head: Head,
    plot: &Plot,
    len: u64,
    roots: &[Roots<&[u8]>],
    event: Option<Event>,
) -> Result<(), DataError> {
    if len == 0 {
        return tx.remove_collection(entry, plot.id.map(|id| (id, plot.numbers.next)), event);
    }
    let &Plot { big, integers, id, numbers, .. } = plot;
    let payload = Payload { big, integers, id, numbers, len, roots };
    let record = Record::encode_with(head, payload.bytes(), |out| payload.encode(out));
    // Where only a page was changed the key record is as it was.
    if entry.live().is_some_and(|stored| stored.head == head && stored.payload == record[head.bytes()..]) {
        tx.touch_inside(entry.place());
        event.into_iter().for_each(|event| tx.notify_of(event, entry));
        return Ok(());
    }
    tx.edit_record(entry, head, record, event)
}
