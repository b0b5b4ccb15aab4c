//! Which namespace a database has for a [`Tx`], and how many keys.

use bytes::Bytes;

use super::Tx;
use crate::data::{DataError, expiring_counter, keys_counter, layout};
use crate::store::{Counter, Write};

impl Tx<'_> {
    /// How many keys the database has, with what this `Tx` adds.
    pub fn size(&self, database: u32) -> u64 {
        self.sum(keys_counter(self.namespace(database)))
    }

    /// As [`Tx::size`], and how many of them have an expiry. Expired keys count until they are removed.
    pub fn sizes(&self, database: u32) -> (u64, u64) {
        (self.size(database), self.sum(expiring_counter(self.namespace(database))))
    }

    fn sum(&self, counter: Counter) -> u64 {
        let pending: i64 = self.added.iter().filter(|(at, _)| *at == counter).map(|(_, by)| by).sum();
        u64::try_from(self.data.store.counter(counter) + pending).unwrap_or(0)
    }

    /// Empties a database: it gets a new namespace, and the old one is swept later. Every stripe is held.
    ///
    /// # Errors
    /// [`DataError::NoNamespaceLeft`].
    pub fn flush_database(&mut self, database: u32) -> Result<(), DataError> {
        let old = self.namespace(database);
        self.changes_all_tracked();
        if self.size(database) == 0 {
            return Ok(());
        }
        let new = self.data.catalog.generation().ok_or(DataError::NoNamespaceLeft)?;
        self.write(Write::Put(
            layout::fact_key("next-namespace"),
            Bytes::copy_from_slice(&(new + 1).to_be_bytes()),
        ));
        self.write(Write::Put(layout::dropped_key(old), Bytes::new()));
        self.drops = true;
        self.remap(database, new);
        Ok(())
    }

    /// Exchanges two databases. Every stripe is held.
    pub fn swap_databases(&mut self, a: u32, b: u32) {
        let (was_a, was_b) = (self.namespace(a), self.namespace(b));
        if a != b {
            self.changes_all_tracked();
            self.remap(a, was_b);
            self.remap(b, was_a);
        }
    }

    pub(in crate::data) fn namespace(&self, database: u32) -> u32 {
        let remapped = self.remapped().iter().rev().find(|(at, _)| *at == database);
        remapped.map_or_else(|| self.data.catalog.namespace(database), |(_, namespace)| *namespace)
    }

    fn remap(&mut self, database: u32, namespace: u32) {
        self.write(Write::Put(
            layout::database_key(database),
            Bytes::copy_from_slice(&namespace.to_be_bytes()),
        ));
        self.rare_mut().remapped.push((database, namespace));
    }
}
