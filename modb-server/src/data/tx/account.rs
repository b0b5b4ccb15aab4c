//! What is written beside the records: the counters of a namespace, and the index of expiries.
//!
//! Invariant: both change in the batch that changes the record, so they are exact whatever happens.

use bytes::Bytes;

use super::Tx;
use crate::data::layout::Place;
use crate::data::{expiring_counter, keys_counter};
use crate::store::{Counter, Write};

impl Tx<'_> {
    /// Keeps the counters and the expiry index in step with a record that changes from `before` to `after`,
    /// each the expiry of a record, if there is one.
    pub(super) fn account(
        &mut self,
        place: &Place<'_>,
        before: Option<Option<u64>>,
        after: Option<Option<u64>>,
    ) {
        let keys = i64::from(after.is_some()) - i64::from(before.is_some());
        self.add(keys_counter(place.namespace), keys);
        let (before, after) = (before.flatten(), after.flatten());
        if before == after {
            return;
        }
        self.add(expiring_counter(place.namespace), i64::from(after.is_some()) - i64::from(before.is_some()));
        if let Some(at) = before {
            place.expiry_key(at, self.key_buf);
            let key = self.key_buf.as_slice().into();
            self.write(Write::Delete(key));
        }
        if let Some(at) = after {
            self.soonest = self.soonest.min(at);
            place.expiry_key(at, self.key_buf);
            let key = self.key_buf.as_slice().into();
            self.write(Write::Put(key, Bytes::new()));
        }
    }

    fn add(&mut self, counter: Counter, by: i64) {
        if by == 0 {
            return;
        }
        match self.added.iter_mut().find(|(at, _)| *at == counter) {
            Some((_, sum)) => *sum += by,
            None => self.added.push((counter, by)),
        }
    }
}
