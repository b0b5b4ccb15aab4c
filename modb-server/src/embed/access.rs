//! Where the calls of a handle to a collection go: to the database, or into a closure of `update`. So each call is written once.
//!
//! Invariant: a call inside a closure that failed half way lets the whole closure write nothing, whatever the closure makes of the error.

use std::cell::RefCell;

use super::Keyspace;
use super::ops::Ops;
use crate::error::Error;

/// Where the calls of a handle go. A handle with a [`Keyspace`] (which is what a type without a parameter means, as [`Hash`](super::Hash))
/// makes each a commit of its own; one with [`InUpdate`] makes it a part of the closure's. There are no others.
pub trait Access: Calls {}

impl Access for Keyspace {}
impl Access for InUpdate<'_, '_> {}

/// What makes the calls, which nobody else can.
pub trait Calls {
    /// One call that reads a key.
    fn read<R>(
        &self,
        key: &[u8],
        work: impl FnOnce(&mut Ops<'_>, &[u8]) -> Result<R, Error>,
    ) -> Result<R, Error>;

    /// One call that may write it.
    fn write<R>(
        &self,
        key: &[u8],
        work: impl FnOnce(&mut Ops<'_>, &[u8]) -> Result<R, Error>,
    ) -> Result<R, Error>;
}

/// How the calls of a handle reach its collection, which is a `$tree`: `read` works with what is there, and answers with the default
/// where there is none; `write` works with what is there or with an empty one, keeps it, and tells of it with `event`.
macro_rules! reads_and_writes {
    ($tree:ident) => {
        fn read<R: Default>(
            &self,
            work: impl FnOnce(&mut $tree<'_>, &mut Tx<'_>) -> Result<R, Error>,
        ) -> Result<R, Error> {
            self.access.read(&self.key, |ops, key| match $tree::find(&mut ops.tx, ops.index, key)? {
                Some(mut tree) => work(&mut tree, &mut ops.tx),
                None => Ok(R::default()),
            })
        }

        fn write<R>(
            &self,
            event: Event,
            work: impl FnOnce(&mut $tree<'_>, &mut Tx<'_>) -> Result<R, Error>,
        ) -> Result<R, Error> {
            self.access.write(&self.key, |ops, key| {
                let mut tree = $tree::open(&mut ops.tx, ops.index, key)?;
                let done = work(&mut tree, &mut ops.tx)?;
                tree.save(&mut ops.tx, event)?;
                Ok(done)
            })
        }
    };
}
pub(super) use reads_and_writes;

impl Calls for Keyspace {
    fn read<R>(
        &self,
        key: &[u8],
        work: impl FnOnce(&mut Ops<'_>, &[u8]) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.read_one(key, work)
    }

    fn write<R>(
        &self,
        key: &[u8],
        work: impl FnOnce(&mut Ops<'_>, &[u8]) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.change_one(key, work)
    }
}

/// A closure of [`update`](Keyspace::update), as where the calls of a handle go: `keys.hash("a")?` is a
/// [`Hash`](super::Hash)`<InUpdate>`.
pub struct InUpdate<'u, 'a>(RefCell<&'u mut Ops<'a>>);

impl<'u, 'a> InUpdate<'u, 'a> {
    pub(super) fn new(ops: &'u mut Ops<'a>) -> Self {
        Self(RefCell::new(ops))
    }
}

impl Calls for InUpdate<'_, '_> {
    fn read<R>(
        &self,
        key: &[u8],
        work: impl FnOnce(&mut Ops<'_>, &[u8]) -> Result<R, Error>,
    ) -> Result<R, Error> {
        // No work calls another: what a caller gives as an iterator was read before.
        work(&mut self.0.borrow_mut(), key)
    }

    fn write<R>(
        &self,
        key: &[u8],
        work: impl FnOnce(&mut Ops<'_>, &[u8]) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let ops = &mut **self.0.borrow_mut();
        let done = work(ops, key);
        ops.torn |= done.as_ref().is_err_and(may_come_half_way);
        done
    }
}

/// Whether a call may fail with this after it has begun to write. The others are found before.
fn may_come_half_way(error: &Error) -> bool {
    !matches!(
        error,
        Error::WrongType
            | Error::KeyTooLong
            | Error::ValueTooLong
            | Error::NotAnInteger
            | Error::Overflow
            | Error::NotANumber
            | Error::OutOfRange
    )
}

impl std::fmt::Debug for InUpdate<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InUpdate")
    }
}
