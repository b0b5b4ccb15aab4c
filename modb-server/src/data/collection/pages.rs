//! The pages of one collection, as a command's view of the data has them.

use bytes::Bytes;

use crate::data::layout::CollectionId;
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
