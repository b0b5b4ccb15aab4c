//! Walking over the keys of a keyspace.
//!
//! Invariant: between two steps nothing is held but keys that were read: no lock, no files, no view of the past.

use std::sync::Arc;

use bytes::Bytes;

use super::Keyspace;
use crate::error::Error;
use crate::session::now_ms;
use crate::value::Value;

/// Keys read at once.
const LEAF_KEYS: usize = 128;

/// The keys of a keyspace, in no order that means anything: see [`Keyspace::keys`].
#[derive(Debug)]
pub struct Keys {
    keyspace: Keyspace,
    /// Read, and not given out yet.
    leaf: std::vec::IntoIter<Bytes>,
    rest: Rest,
}

#[derive(Debug)]
enum Rest {
    /// From here on.
    From(u64),
    Nothing,
}

impl Keys {
    pub(super) fn new(keyspace: Keyspace) -> Self {
        Self { keyspace, leaf: Vec::new().into_iter(), rest: Rest::From(0) }
    }

    /// Reads the next leaf, which may be empty and not the last one.
    fn read(&mut self, cursor: u64) -> Result<(), Error> {
        let Keyspace { shared, index } = &self.keyspace;
        let page = Arc::clone(shared).run(|open| {
            let data = &open.instance.data;
            if cursor == 0 {
                drop(open.hold(data.need_to_walk())?);
            }
            Ok::<_, Error>(data.scan(*index, cursor, LEAF_KEYS, now_ms())?)
        })?;
        self.rest = if page.cursor == 0 { Rest::Nothing } else { Rest::From(page.cursor) };
        let keys: Vec<Bytes> = page.keys.into_iter().map(|(key, _)| key).collect();
        self.leaf = keys.into_iter();
        Ok(())
    }

    /// After an error there is nothing more.
    fn end(&mut self, error: Error) -> Error {
        self.rest = Rest::Nothing;
        self.leaf = Vec::new().into_iter();
        error
    }
}

impl Iterator for Keys {
    type Item = Result<Value, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.leaf.len() == 0 && matches!(self.rest, Rest::Nothing) {
                return None;
            }
            // Also where the next key is at hand: whether a call is allowed does not depend on that.
            let allowed = self.keyspace.shared.may_call();
            match (allowed, self.leaf.next(), &self.rest) {
                (Ok(()), Some(key), _) => return Some(Ok(key.into())),
                (Ok(()), None, Rest::From(cursor)) => match self.read(*cursor) {
                    Ok(()) => {}
                    Err(error) => return Some(Err(self.end(error))),
                },
                (Ok(()), None, Rest::Nothing) => return None,
                (Err(error), ..) => return Some(Err(self.end(error))),
            }
        }
    }
}

impl std::iter::FusedIterator for Keys {}
