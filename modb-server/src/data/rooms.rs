//! Room for what is told by a thread that serves nobody: an embedding program's, the housekeeper's.
//!
//! Invariant: who waits here holds no stripe. So what can be told no earlier than with stripes, as events of keys, goes over the bound, by
//! one call of each thread and one batch of the housekeeper, and they wait behind that. The room comes: workers empty their lanes in each
//! of their turns, whatever they wait for themselves, and nobody waits for one that has ended. A database that is closed ends its servers
//! before its housekeeper, which needs no other end of its wait.

use std::sync::Arc;

use super::{Data, Parker};
use crate::messages::{Frame, Rooms};

impl Data {
    /// Room for these messages at all who are concerned; sleeps until it is there.
    pub(crate) fn room_for(&self, frames: &[Arc<Frame>]) -> Rooms {
        let (parker, mut rooms) = (Parker::default(), Rooms::default());
        let tell = || {
            let waker = parker.waker();
            Box::new(move || waker.wake()) as modb_net::Tell
        };
        self.exchange.reserve(frames, &mut rooms, &tell);
        while !rooms.are_there() {
            parker.wait();
        }
        rooms
    }

    /// For who has told this without room for it: sleeps until there is room for as much.
    pub(crate) fn wait_for_room_of(&self, told: &[Arc<Frame>]) {
        if !told.is_empty() {
            drop(self.room_for(told));
        }
    }
}
