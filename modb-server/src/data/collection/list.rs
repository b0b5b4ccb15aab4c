//! Lists: elements where they were put, found by their index.

use bytes::Bytes;

use super::opened::{Opened, fits};
use super::plot::{Ground, Plot};
use crate::data::layout::Kind;
pub use crate::data::tree::End;
use crate::data::tree::{Listed, Sequence};
use crate::data::{DataError, Entry, Tx};
use crate::messages::Event;

/// So many elements at most are taken off an end by way of what lies beside the key, where there are any: more come from the tree.
const FEW: u64 = 16;

/// A list while a command works on it.
#[derive(Debug)]
pub struct List<'k>(Opened<'k, Sequence>);

impl End {
    /// Something was put there.
    pub fn pushed(self) -> Event {
        Event::list(if self == Self::Left { "lpush" } else { "rpush" })
    }

    /// Something was taken from there.
    pub fn popped(self) -> Event {
        Event::list(if self == Self::Left { "lpop" } else { "rpop" })
    }
}

impl<'k> List<'k> {
    /// Opens the list at a key, an empty one if there is no key.
    ///
    /// # Errors
    /// [`DataError::WrongType`], and as [`Tx::entry`].
    pub fn open(tx: &mut Tx<'_>, database: u32, key: &'k [u8]) -> Result<Self, DataError> {
        Opened::open(tx, database, key, Kind::List).map(Self)
    }

    /// As [`List::open`], in order to read: counts as a hit or a miss, and is `None` if there is no key.
    ///
    /// # Errors
    /// As [`List::open`].
    pub fn find(tx: &mut Tx<'_>, database: u32, key: &'k [u8]) -> Result<Option<Self>, DataError> {
        Ok(Opened::find(tx, database, key, Kind::List)?.map(Self))
    }

    /// An empty one in the place of whatever the key of `entry` holds; it does not keep the expiry.
    pub fn replacing(tx: &Tx<'_>, entry: Entry<'k>) -> Self {
        Self(Opened::replacing(tx, entry, Kind::List))
    }

    /// How many elements it has.
    pub fn len(&self) -> u64 {
        self.0.elements.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The index from the left that `index` means, which may count from the right; `None` outside of the list.
    pub fn index(&self, index: i64) -> Option<u64> {
        let len = i64::try_from(self.len()).ok()?;
        let index = if index < 0 { index.checked_add(len)? } else { index };
        u64::try_from(index).ok().filter(|index| *index < self.len())
    }

    /// Visits elements from the one at `index` on, towards the right, or the left with `reverse`, until `visit` says `false`.
    ///
    /// # Errors
    /// If a page cannot be read or is damaged; so in all that follow.
    pub fn walk(
        &mut self,
        tx: &mut Tx<'_>,
        index: u64,
        reverse: bool,
        visit: impl FnMut(Bytes) -> bool,
    ) -> Result<(), DataError> {
        self.with(tx, |elements, ground| elements.walk(ground, index, reverse, visit))
    }

    /// As [`List::walk`], from an end and with their indexes.
    ///
    /// # Errors
    /// As [`List::walk`].
    pub fn walk_from(
        &mut self,
        tx: &mut Tx<'_>,
        end: End,
        mut visit: impl FnMut(u64, Bytes) -> bool,
    ) -> Result<(), DataError> {
        let Some(last) = self.len().checked_sub(1) else { return Ok(()) };
        let reverse = end == End::Right;
        let mut index = if reverse { last } else { 0 };
        self.walk(tx, index, reverse, |element| {
            let goes_on = visit(index, element);
            index = if reverse { index.wrapping_sub(1) } else { index + 1 };
            goes_on
        })
    }

    /// Visits `count` elements from the one at `index` on.
    ///
    /// # Errors
    /// As [`List::walk`].
    pub fn for_each(
        &mut self,
        tx: &mut Tx<'_>,
        index: u64,
        count: u64,
        mut visit: impl FnMut(Bytes),
    ) -> Result<(), DataError> {
        let mut left = count;
        if left == 0 {
            return Ok(());
        }
        self.walk(tx, index, false, |element| {
            visit(element);
            left -= 1;
            left > 0
        })
    }

    /// The element at an index from the left.
    ///
    /// # Errors
    /// As [`List::walk`].
    pub fn get(&mut self, tx: &mut Tx<'_>, index: u64) -> Result<Option<Bytes>, DataError> {
        let mut found = None;
        self.for_each(tx, index, 1, |element| found = Some(element))?;
        Ok(found)
    }

    /// Puts an element in front of the one at `index`, or at the right end.
    ///
    /// # Errors
    /// As [`List::walk`], [`DataError::ValueTooLong`], and if no number is left.
    pub fn insert(&mut self, tx: &mut Tx<'_>, index: u64, element: &[u8]) -> Result<(), DataError> {
        fits(element.len())?;
        self.0.changed = true;
        self.with(tx, |elements, ground| elements.insert(ground, index, element))
    }

    /// Puts an element at an end.
    ///
    /// # Errors
    /// As [`List::insert`].
    pub fn push(&mut self, tx: &mut Tx<'_>, end: End, element: &[u8]) -> Result<(), DataError> {
        let index = if end == End::Left { 0 } else { self.len() };
        self.insert(tx, index, element)
    }

    /// Replaces the element at an index from the left, which is there.
    ///
    /// # Errors
    /// As [`List::insert`].
    pub fn set(&mut self, tx: &mut Tx<'_>, index: u64, element: &[u8]) -> Result<(), DataError> {
        fits(element.len())?;
        self.0.changed = true;
        self.with(tx, |elements, ground| elements.set(ground, index, element))
    }

    /// Removes the elements at `from..to`, visiting each.
    ///
    /// # Errors
    /// As [`List::walk`].
    pub fn remove(
        &mut self,
        tx: &mut Tx<'_>,
        from: u64,
        to: u64,
        mut visit: impl FnMut(Bytes),
    ) -> Result<(), DataError> {
        let mut left = to.min(self.len()).saturating_sub(from);
        self.0.changed |= left > 0;
        while left > 0 {
            let gone = self.with(tx, |elements, ground| elements.take_some(ground, from, left))?;
            left -= gone.len() as u64;
            gone.into_iter().for_each(&mut visit);
        }
        Ok(())
    }

    /// Removes `count` elements at an end, visiting each from the left to the right.
    fn shorten(
        &mut self,
        tx: &mut Tx<'_>,
        end: End,
        count: u64,
        visit: impl FnMut(Bytes),
    ) -> Result<(), DataError> {
        if (1..=FEW).contains(&count) {
            self.with(tx, |elements, ground| elements.fill(ground, end))?;
        }
        let from = if end == End::Left { 0 } else { self.len().saturating_sub(count) };
        self.remove(tx, from, from + count, visit)
    }

    /// Takes at most `count` elements off an end, the outermost first.
    ///
    /// # Errors
    /// As [`List::walk`].
    pub fn take(&mut self, tx: &mut Tx<'_>, end: End, count: u64) -> Result<Vec<Bytes>, DataError> {
        let mut taken = Vec::new();
        self.shorten(tx, end, count.min(self.len()), |element| taken.push(element))?;
        if end == End::Right {
            taken.reverse();
        }
        Ok(taken)
    }

    /// Keeps the elements at `from..to` only.
    ///
    /// # Errors
    /// As [`List::walk`].
    pub fn trim(&mut self, tx: &mut Tx<'_>, from: u64, to: u64) -> Result<(), DataError> {
        // As in Redis, also where nothing is too much.
        self.0.changed = true;
        if from >= to {
            // Its pages go with its key record.
            self.0.elements = Sequence::new();
            return Ok(());
        }
        let behind = self.len().saturating_sub(to);
        self.shorten(tx, End::Right, behind, |_| {})?;
        self.shorten(tx, End::Left, from, |_| {})
    }

    /// Writes the key record of what was changed, and tells of it; without elements there is no key.
    ///
    /// # Errors
    /// As [`Tx::put`].
    pub fn save(&mut self, tx: &mut Tx<'_>, event: Event) -> Result<(), DataError> {
        let Plot { numbers, big, .. } = self.0.plot;
        self.0.plot.big = tx.data().compact().is_big_list(self.len(), numbers.next, big);
        self.0.save(tx, event)
    }

    /// Works on the elements.
    fn with<T>(
        &mut self,
        tx: &mut Tx<'_>,
        work: impl FnOnce(&mut Sequence, &mut Ground<'_, '_, '_>) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        let Opened { plot, elements, .. } = &mut self.0;
        plot.on_ground::<T, Listed>(tx, |ground| work(elements, ground))
    }
}
