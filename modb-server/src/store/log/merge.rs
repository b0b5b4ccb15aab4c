//! Layers of sorted records as one: of each key the newest layer's, in ascending order, streamed.
//!
//! Of layers that do not change, as the runs of the tree; `scan` lays what is in memory over them.
//!
//! Where large values lie elsewhere, their stubs are merged, and only what is taken whole from the merge is looked up.
//!
//! Invariant: no more than one record of each layer is held.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

use bytes::Bytes;

use crate::store::glimpse::Portion;
use crate::store::{Glimpse, StoreError};

/// A record, or that there is none.
pub(crate) type Record = (Bytes, Option<Bytes>);
/// What stands for large values in the layers, and where these are.
pub(crate) trait Stubs: Send + Sync {
    /// What is known of the value that a stub stands for, if this is one.
    fn glimpse(&self, value: &[u8]) -> Option<Glimpse>;

    /// The value of a key that has such a stub.
    fn value(&self, key: &[u8], stub: &Glimpse) -> Result<Bytes, StoreError>;
}

/// Ascending records, of each key one.
pub(crate) type Layer = Box<dyn Iterator<Item = Result<Record, StoreError>> + Send>;

/// See the top of this file. Deleted records are among what it gives.
pub(crate) struct Merge {
    layers: Vec<Layer>,
    /// Where stubs may be among the values.
    stubs: Option<Arc<dyn Stubs>>,
    /// The next record of each layer that has one.
    heads: BinaryHeap<Reverse<Head>>,
    /// The layers were not asked yet.
    new: bool,
    looked_at: u64,
}

/// In order of the keys, of the same key the newest first.
struct Head {
    key: Bytes,
    layer: usize,
    value: Option<Bytes>,
}

impl Head {
    fn place(&self) -> (&[u8], usize) {
        (&self.key, self.layer)
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl Merge {
    /// Of `layers`, newest first.
    pub(crate) fn new(layers: Vec<Layer>) -> Self {
        let heads = BinaryHeap::with_capacity(layers.len());
        Self { heads, layers, stubs: None, new: true, looked_at: 0 }
    }

    /// The same, where stubs may stand for values.
    pub(super) fn of_stubs(layers: Vec<Layer>, stubs: Arc<dyn Stubs>) -> Self {
        Self { stubs: Some(stubs), ..Self::new(layers) }
    }

    /// A record that this merge has read, with as much of its value as is wanted.
    pub(super) fn portion<P: Portion>(&self, (key, value): Record) -> Result<(Bytes, Option<P>), StoreError> {
        let Some(value) = value else { return Ok((key, None)) };
        let portion = match self.stubs.as_ref().and_then(|stubs| Some((stubs, stubs.glimpse(&value)?))) {
            Some((stubs, stub)) => P::of_distant(stub, || stubs.value(&key, &stub))?,
            None => P::of(value),
        };
        Ok((key, Some(portion)))
    }

    /// Records that were read.
    pub(super) fn looked_at(&self) -> u64 {
        self.looked_at
    }

    fn start(&mut self) -> Result<(), StoreError> {
        self.new = false;
        for (layer, records) in self.layers.iter_mut().enumerate() {
            if let Some((key, value)) = records.next().transpose()? {
                self.heads.push(Reverse(Head { key, layer, value }));
            }
        }
        Ok(())
    }

    /// Takes the first head, and puts the next of its layer in.
    fn take(&mut self) -> Result<Option<Record>, StoreError> {
        let Some(mut top) = self.heads.peek_mut() else { return Ok(None) };
        self.looked_at += 1;
        let head = &mut top.0;
        Ok(Some(match self.layers[head.layer].next().transpose()? {
            Some((key, value)) => {
                (std::mem::replace(&mut head.key, key), std::mem::replace(&mut head.value, value))
            }
            None => {
                let Reverse(head) = PeekMut::pop(top);
                (head.key, head.value)
            }
        }))
    }

    /// The next record, whose value may be a stub.
    pub(super) fn read(&mut self) -> Result<Option<Record>, StoreError> {
        if self.new {
            self.start()?;
        }
        let Some(newest) = self.take()? else { return Ok(None) };
        while self.heads.peek().is_some_and(|Reverse(older)| older.key == newest.0) {
            self.take()?;
        }
        Ok(Some(newest))
    }
}

impl Iterator for Merge {
    type Item = Result<Record, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose().map(|record| self.portion(record?))
    }
}
