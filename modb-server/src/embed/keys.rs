//! Walking over the keys of a keyspace.
//!
//! Invariant: between two steps nothing is held but keys that were read: no lock, no files, no view of the past.

use super::Keyspace;
use super::walk::Walk;
use crate::data::{Need, Tx};
use crate::error::Error;
use crate::session::now_ms;
use crate::value::Value;

/// Keys read at once.
const LEAF_KEYS: usize = 128;

/// The keys of a keyspace, in no order that means anything: see [`Keyspace::keys`].
#[derive(Debug)]
pub struct Keys {
    keyspace: Keyspace,
    /// Where those begin that were not read yet, if there are any.
    from: Option<u64>,
    walk: Walk<Value>,
}

impl Keys {
    pub(super) fn new(keyspace: Keyspace) -> Self {
        Self { keyspace, from: Some(0), walk: Walk::default() }
    }
}

impl Iterator for Keys {
    type Item = Result<Value, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let Self { keyspace: Keyspace { shared, index }, from, walk } = self;
        walk.step(shared, false, |_| {
            let Some(cursor) = *from else { return Ok(None) };
            let page = shared.run(|open| {
                let data = &open.instance.data;
                if cursor == 0 {
                    drop(open.hold(data.need_to_walk())?);
                }
                let (held, mut key_buf) = (open.hold(Need::NOTHING)?, Vec::new());
                let tx = Tx::new(data, &held, &open.instance.embedded, &mut key_buf, now_ms());
                Ok::<_, Error>(tx.scan(*index, cursor, LEAF_KEYS)?)
            })?;
            *from = Some(page.cursor).filter(|next| *next != 0);
            Ok(Some(page.keys.into_iter().map(|(key, _)| key.into()).collect()))
        })
    }
}

impl std::iter::FusedIterator for Keys {}
