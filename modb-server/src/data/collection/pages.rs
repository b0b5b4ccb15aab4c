//! The pages of one collection, as a command's view of the data has them.

use bytes::Bytes;
use modb_net::Seq;

use super::payload::number_in;
use crate::data::layout::{CollectionId, Stored};
use crate::data::tree::{Fault, NodeNumber, Pages, splice};
use crate::data::{DataError, Tx};
use crate::store::{Change, Patch, Splices, StoreKey, Write};

/// Pages that are read through a [`Tx`] and written with its batch. The collection gets its number with its first page.
pub(in crate::data) struct TxPages<'t, 'a> {
    tx: &'t mut Tx<'a>,
    id: &'t mut Option<CollectionId>,
}

impl<'t, 'a> TxPages<'t, 'a> {
    pub(super) fn new(tx: &'t mut Tx<'a>, id: &'t mut Option<CollectionId>) -> Self {
        Self { tx, id }
    }

    /// The store key of a page.
    fn key(&mut self, node: NodeNumber) -> Result<StoreKey, DataError> {
        let id = match *self.id {
            Some(id) => id,
            None => *self.id.insert(self.tx.data().new_collection()?),
        };
        Ok(id.to_page_key(node).into())
    }
}

impl Pages for TxPages<'_, '_> {
    type Error = DataError;

    fn read(&mut self, node: NodeNumber) -> Result<(Bytes, Seq), DataError> {
        let missing = Fault::Damaged { node, what: "its page is missing" };
        let Some(id) = *self.id else { return Err(missing.into()) };
        let page = self.tx.read_page(id, node)?;
        Ok((page.value.ok_or(DataError::Collection(missing))?, page.seq))
    }

    fn look<T>(&mut self, node: NodeNumber, see: impl FnOnce(&[u8]) -> T) -> Result<T, DataError> {
        let missing = Fault::Damaged { node, what: "its page is missing" };
        let Some(id) = *self.id else { return Err(missing.into()) };
        self.tx.look_at_page(id, node, see)?.ok_or(DataError::Collection(missing))
    }

    fn announce(&mut self, node: NodeNumber) {
        if let Some(id) = self.id.filter(|_| node > 0) {
            self.tx.announce_page(id, node);
        }
    }

    fn put(&mut self, node: NodeNumber, page: Bytes) -> Result<(), DataError> {
        let key = self.key(node)?;
        self.tx.write(Write::Put(key, page));
        Ok(())
    }

    fn edit(
        &mut self,
        node: NodeNumber,
        (was, base_seq): (Bytes, Seq),
        splices: Splices,
    ) -> Result<(), DataError> {
        let value = splice(node, was, &splices)?;
        self.tx.bring_page();
        let key = self.key(node)?;
        let patch = Patch { key, base_seq, value, change: Change::By(splices) };
        self.tx.write(Write::Patch(Box::new(patch)));
        Ok(())
    }
}

impl Tx<'_> {
    /// About what the pages of a collection take, estimated from so many of them (0: from all), in bytes. Whoever changes them meanwhile
    /// changes the estimate.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn pages_bytes(&mut self, record: &impl Stored, samples: u32) -> Result<u64, DataError> {
        /// What a page takes beside its bytes: its key, and its place in the index.
        const BESIDE_BYTES: u64 = 40;
        let Some((id, next)) = number_in(record.head().kind, record.payload_begin()) else { return Ok(0) };
        let nodes = next.saturating_sub(1);
        let looked_at = if samples == 0 { nodes } else { samples.min(nodes) };
        let mut bytes = 0;
        for sample in 0..looked_at {
            // Spread over all of them.
            let node = 1 + (u64::from(sample) * u64::from(nodes) / u64::from(looked_at)) as u32;
            bytes += self.read_page(id, node)?.value.map_or(0, |page| page.len() as u64 + BESIDE_BYTES);
        }
        Ok(if looked_at == 0 { 0 } else { bytes * u64::from(nodes) / u64::from(looked_at) })
    }
}
