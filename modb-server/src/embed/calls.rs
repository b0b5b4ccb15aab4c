//! How a call of a program reaches the data.
//!
//! Invariant: who writes holds the stripes of his keys alone and has waited for room before; who reads several records holds them
//! together with others who read, and waits for no room.

use std::cell::RefCell;

use super::Keyspace;
use super::ops::Ops;
use crate::data::{DataError, Tx};
use crate::error::Error;
use crate::handle::Open;
use crate::session::now_ms;
use crate::store::vast;

thread_local! {
    /// Space for keys, used again by every call of a thread.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What a call does with its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Writes nothing.
    Read,
    /// Writes, or may.
    Write,
}

impl Keyspace {
    /// One key is written.
    pub(super) fn change_one<R, E>(
        &self,
        key: &[u8],
        work: impl FnOnce(&mut Ops<'_>, &[u8]) -> Result<R, E>,
    ) -> Result<R, Error>
    where
        Error: From<E>,
    {
        self.with_ops(&[key], Way::Write, |ops| work(ops, key))
    }

    /// Several records of one key are read.
    pub(super) fn read_one<R>(
        &self,
        key: &[u8],
        work: impl FnOnce(&mut Ops<'_>, &[u8]) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.with_ops(&[key], Way::Read, |ops| work(ops, key))
    }

    /// One record is read, for which no stripe is needed.
    pub(super) fn look<R>(
        &self,
        work: impl FnOnce(&mut Ops<'_>) -> Result<R, DataError>,
    ) -> Result<R, Error> {
        self.with_ops(&[] as &[&[u8]], Way::Read, work)
    }

    /// One call on some keys.
    pub(super) fn with_ops<R, E>(
        &self,
        keys: &[impl AsRef<[u8]>],
        way: Way,
        work: impl FnOnce(&mut Ops<'_>) -> Result<R, E>,
    ) -> Result<R, Error>
    where
        Error: From<E>,
    {
        self.with_tx(keys, way, |_, tx, _| {
            let mut ops = Ops::new(tx, self.index);
            let result = work(&mut ops)?;
            Ok((result, ops.tx))
        })
    }

    /// Holds the stripes of `keys` while `work` reads, and what it wrote is applied; then waits until that is safe.
    pub(super) fn with_tx<K: AsRef<[u8]>, R, E: From<Error>>(
        &self,
        keys: &[K],
        way: Way,
        work: impl for<'t> FnOnce(&Open, Tx<'t>, &'t [K]) -> Result<(R, Tx<'t>), E>,
    ) -> Result<R, E> {
        self.shared.run(|open| {
            let instance = &*open.instance;
            // Taken out, so that a closure may use another database.
            let mut key_buf = SCRATCH.take();
            let mut need = instance.data.need_many(keys.iter().map(AsRef::as_ref));
            match way {
                Way::Read if keys.is_empty() => {}
                Way::Read => need = need.shared(),
                Way::Write => instance.data.store().wait_for_room(),
            }
            let _later = vast::later();
            let held = open.hold(need)?;
            let tx = Tx::new(&instance.data, &held, &instance.embedded, &mut key_buf, now_ms());
            let done = work(open, tx.waiting(), keys).and_then(|(result, mut tx)| {
                let told = tx.all_messages();
                let committed = tx.commit().map_err(Error::from)?;
                Ok((result, committed, told, tx.take_applied()))
            });
            drop(held);
            SCRATCH.set(key_buf);
            // What was applied is freed here, now that nobody waits for it.
            let (result, committed, told, _) = done?;
            instance.data.wait_for_room_of(&told);
            open.wait_for(committed.awaited(instance.data.reads_wait())).map_err(Error::from)?;
            Ok(result)
        })
    }
}
