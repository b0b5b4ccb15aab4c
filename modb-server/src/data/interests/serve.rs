//! Serving those who wait: by who has brought something, with his stripes, before he gives them back.
//!
//! First come, first served, over all workers. What serving one puts into a key may serve the next, in the order in which keys
//! came to have something. It ends, since each who is served waits no longer, and nobody begins to wait meanwhile. Nobody is answered
//! before it has ended ([`Served`]).

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

use super::touched::{Ready, Touched};
use super::{Interests, Served, Spot, Waiter};
use crate::data::Tx;

impl Interests {
    /// The first who waits for a key, or the first after this one.
    fn waiter_after(&self, key: &Ready, after: Option<u64>) -> Option<(u64, Arc<dyn Waiter>)> {
        let mut found = None;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.visit(key.hash, &key.key, |at_key| {
            if at_key.database == key.database
                && let Some((number, waiting)) = at_key.waiting.range((from, Bound::Unbounded)).next()
            {
                found = Some((*number, Arc::clone(&waiting.waiter)));
            }
        });
        found
    }
}

impl Tx<'_> {
    /// Tells those who watch what this has just applied, and serves those who wait for it.
    #[cold]
    pub(in crate::data) fn tell(&mut self, touched: &Touched) {
        let mut ready = VecDeque::from(touched.tell(self.data()));
        if self.serves() {
            return self.see_to(ready);
        }
        let mut served = Vec::new();
        while let Some(key) = ready.pop_front() {
            self.serve_key(&key, &mut ready, &mut served);
        }
    }

    fn serve_key(&self, key: &Ready, ready: &mut VecDeque<Ready>, served: &mut Vec<Served>) {
        let (data, mut buf, mut last) = (self.data(), Vec::new(), None);
        while let Some((number, waiter)) = data.interests.waiter_after(key, last) {
            last = Some(number);
            let mut tx = self.for_another(&mut buf);
            let kind =
                tx.outlined(key.database, &key.key).map(|entry| entry.live().map(|record| record.head.kind));
            // The writer hears of a store that fails.
            let Ok(Some(kind)) = kind else { return };
            if kind == waiter.kind()
                && let Some(one) = waiter.serve(&mut tx)
            {
                served.push(one);
                ready.extend(tx.take_ready());
                let Ready { hash, database, ref key } = *key;
                data.interests.leave_queue(&Spot { hash, database, key: key.clone(), number });
            }
        }
    }

    /// One more, for somebody who waits, with the same stripes and at the same time. Whoever waits is answered, be the disk full or
    /// not: he takes something.
    fn for_another<'b>(&'b self, key_buf: &'b mut Vec<u8>) -> Tx<'b> {
        let tx = Tx::new(self.data(), self.held, self.tally(), key_buf, self.now_ms());
        tx.freeing(true).at_once(self.at_once).serving()
    }
}
