//! Room for what a call of the program tells those who listen.
//!
//! Invariant: a call holds no stripe while it waits for it. So what can be told no earlier than with stripes, as events of keys, goes
//! over the bound, by one call of each thread, and the call waits behind that.

use std::sync::Arc;

use super::Open;
use crate::data::Parker;
use crate::messages::{Frame, Rooms};

impl Open {
    /// Room for these messages at all who are concerned; sleeps until it is there. Workers empty their lanes in each of their turns,
    /// whatever they wait for themselves, so that it comes.
    pub(crate) fn room_for(&self, frames: &[Arc<Frame>]) -> Rooms {
        let (parker, mut rooms) = (Parker::default(), Rooms::default());
        let tell = || {
            let waker = parker.waker();
            Box::new(move || waker.wake()) as modb_net::Tell
        };
        self.instance.data.exchange().reserve(frames, &mut rooms, &tell);
        while !rooms.are_there() {
            parker.wait();
        }
        rooms
    }

    /// For a call that has told this without room for it: sleeps until there is room for as much.
    pub(crate) fn wait_for_room_of(&self, told: &[Arc<Frame>]) {
        if !told.is_empty() {
            drop(self.room_for(told));
        }
    }
}
