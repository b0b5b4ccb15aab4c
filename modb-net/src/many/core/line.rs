//! In which order a turn serves: whoever takes little at once, whoever takes much in a line, of which each turn serves a part.
//!
//! Eight clients that set values of 16 MB have a worker execute one each in the same turn, and everybody else waits for all
//! of them. So whoever took much of the worker when it was last served, or holds a large request, stands in a line behind
//! those who took little, and a turn goes no further along it than [`crate::Limits::work_bytes_per_turn`]; then the poller is
//! asked again, and small requests that have come are served before the line goes on. So they wait for one large
//! request, however many there are.
//!
//! Bytes do not tell how long a request took. A session knows, and yields: then it has taken all that the turn had for the line.
//!
//! Invariants: a connection stands in the line once at most, keeps its place until it is served, and remembers that its socket
//! has something for it; each turn serves at least the first; while the line is not empty the worker does not sleep.

use super::Core;
use crate::connection::conn::{Share, Stream};
use crate::connection::service::{Service, Turn};

/// Who took more than so much of a turn's work stands in the line the next time: a thousand others take ten milliseconds.
pub(super) const SMALL_PART: usize = 64;

/// What a request counts beside the bytes that it reads and writes: as long as it takes to copy so many.
pub(super) const REQUEST_BYTES: usize = 256;

impl<S: Service, T: Stream> Core<S, T> {
    /// Serves a connection now, or when the line has come to it.
    pub(super) fn serve_in_order(&mut self, slot: u32, readable: bool, turn: &Turn<'_, S>) {
        let share = &mut self.conns.slab[slot as usize].lists.share;
        match share {
            Share::Small => {
                self.serve(slot, readable, turn);
            }
            Share::Large => {
                *share = Share::InLine { readable };
                self.conns.line.push_back(slot);
            }
            Share::InLine { readable: before } => *before |= readable,
        }
    }

    /// Serves the line as far as a turn goes.
    pub(super) fn serve_line(&mut self, turn: &Turn<'_, S>) {
        let mut left = self.conns.limits.work_bytes_per_turn;
        while left > 0
            && let Some(slot) = self.conns.line.pop_front()
        {
            // Another connection may have the slot by now.
            if let Some(conn) = self.conns.slab.get(slot as usize)
                && let Share::InLine { readable } = conn.lists.share
            {
                left = left.saturating_sub(self.serve(slot, readable, turn));
            }
        }
    }
}
