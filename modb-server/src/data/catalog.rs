//! Which namespace each database has now: the level of indirection that makes `FLUSHDB` and `SWAPDB` O(1).
//!
//! A database without a record has its own index as namespace; generations made later start at
//! [`FIRST_GENERATION`], so no two databases ever share one. Invariant: the map changes only while every stripe
//! is held, so a writer, which holds a stripe, sees one mapping; readers load one atomic and take no lock.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::store::{Store, StoreError};

use super::layout;

/// How many databases there are unless configured (Redis: `databases 16`).
pub const DEFAULT_DATABASES: u32 = 16;

/// Namespaces below are those of databases that were never flushed or swapped; also the bound of `databases`.
pub(super) const FIRST_GENERATION: u32 = 1 << 16;

/// Counters take two numbers per namespace out of 2³².
const GENERATIONS_END: u32 = 1 << 31;

pub(super) struct Catalog {
    namespaces: Box<[AtomicU32]>,
    /// The next generation that was never used.
    next: AtomicU32,
}

impl Catalog {
    pub(super) fn read(store: &dyn Store, databases: u32) -> Result<Self, StoreError> {
        let databases = databases.clamp(1, FIRST_GENERATION);
        let namespaces: Box<[AtomicU32]> = (0..databases).map(AtomicU32::new).collect();
        let (from, to) = layout::databases_range();
        let mut cursor = Some(from.to_vec());
        while let Some(at) = cursor {
            let page = store.scan(&at, &to, 1024)?;
            for (key, value) in &page.records {
                let corrupt = || StoreError::Corrupt {
                    place: "the map of databases".into(),
                    what: "a record is not four bytes".into(),
                };
                let index = layout::number_in(key).ok_or_else(corrupt)?;
                let namespace = u32::from_be_bytes(value.as_ref().try_into().map_err(|_| corrupt())?);
                if let Some(slot) = namespaces.get(index as usize) {
                    slot.store(namespace, Ordering::Relaxed);
                }
            }
            cursor = page.next;
        }
        let next = match store.get(&layout::fact_key("next-namespace"))?.value {
            None => FIRST_GENERATION,
            Some(bytes) => {
                u32::from_be_bytes(bytes.as_ref().try_into().map_err(|_| StoreError::Corrupt {
                    place: "the facts of the folder".into(),
                    what: "the next namespace is not four bytes".into(),
                })?)
            }
        };
        Ok(Self { namespaces, next: AtomicU32::new(next) })
    }

    pub(super) fn databases(&self) -> u32 {
        self.namespaces.len() as u32
    }

    pub(super) fn namespace(&self, database: u32) -> u32 {
        self.namespaces[database as usize].load(Ordering::Acquire)
    }

    /// The database that has a namespace. `None`: it was flushed, and what is left of it is being swept.
    pub(super) fn database_of(&self, namespace: u32) -> Option<u32> {
        let at = self.namespaces.iter().position(|slot| slot.load(Ordering::Acquire) == namespace)?;
        u32::try_from(at).ok()
    }

    /// Publishes a mapping whose batch was applied. Every stripe is held.
    pub(super) fn publish(&self, database: u32, namespace: u32) {
        self.namespaces[database as usize].store(namespace, Ordering::Release);
    }

    /// A namespace that was never used. Every stripe is held; a batch that uses it also stores the next one.
    pub(super) fn generation(&self) -> Option<u32> {
        let next = self.next.load(Ordering::Relaxed);
        (next < GENERATIONS_END).then(|| {
            self.next.store(next + 1, Ordering::Relaxed);
            next
        })
    }
}
