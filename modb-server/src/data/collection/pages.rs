//! The pages of one collection, as a command's view of the data has them.

use bytes::Bytes;

use super::payload::number_in;
use crate::data::layout::{CollectionId, Record};
use crate::data::tree::{Fault, NodeNumber, Pages};
use crate::data::{DataError, Tx};
use crate::store::Write;

/// Pages that are read through a [`Tx`] and written with its batch. The collection gets its number with its first page.
pub(in crate::data) struct TxPages<'t, 'a> {
    pub(super) tx: &'t mut Tx<'a>,
    pub(super) id: &'t mut Option<CollectionId>,
}

impl Pages for TxPages<'_, '_> {
    type Error = DataError;

    fn read(&mut self, node: NodeNumber) -> Result<Bytes, DataError> {
        let missing = Fault::Damaged { node, what: "its page is missing" };
        let Some(id) = *self.id else { return Err(missing.into()) };
        self.tx.read_page(id, node)?.ok_or(DataError::Collection(missing))
    }

    fn put(&mut self, node: NodeNumber, page: Bytes) -> Result<(), DataError> {
        let id = match *self.id {
            Some(id) => id,
            None => *self.id.insert(self.tx.data().new_collection()?),
        };
        let mut key = Vec::with_capacity(13);
        id.page_key(node, &mut key);
        self.tx.write(Write::Put(key.into(), page));
        Ok(())
    }
}

impl Tx<'_> {
    /// About what the pages of a collection take, estimated from so many of them (0: from all), in bytes. Whoever changes them meanwhile
    /// changes the estimate.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn pages_bytes(&mut self, record: &Record, samples: u32) -> Result<u64, DataError> {
        /// What a page takes beside its bytes: its key, and its place in the index.
        const BESIDE_BYTES: u64 = 40;
        let Some((id, next)) = number_in(record.head.kind, &record.payload) else { return Ok(0) };
        let nodes = next.saturating_sub(1);
        let looked_at = if samples == 0 { nodes } else { samples.min(nodes) };
        let mut bytes = 0;
        for sample in 0..looked_at {
            // Spread over all of them.
            let node = 1 + (u64::from(sample) * u64::from(nodes) / u64::from(looked_at)) as u32;
            bytes += self.read_page(id, node)?.map_or(0, |page| page.len() as u64 + BESIDE_BYTES);
        }
        Ok(if looked_at == 0 { 0 } else { bytes * u64::from(nodes) / u64::from(looked_at) })
    }
}
