//! What a client holds, in the figures of `CLIENT LIST`: written by its worker at the end of each turn in which it did something, read by
//! anybody. Their sum is what is counted for its connection.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use modb_net::Holdings;

/// The figures of one client, each for itself.
#[derive(Debug, Default)]
pub(super) struct Figures {
    unread: AtomicUsize,
    input: AtomicUsize,
    unsent: AtomicUsize,
    output: AtomicUsize,
    session: AtomicUsize,
    queued: AtomicUsize,
    watched: AtomicUsize,
}

/// The same at one time, as they are shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shown {
    held: Holdings,
    /// What is queued since `MULTI`, in bytes.
    queued: usize,
    /// How many keys are watched.
    pub(super) watched: usize,
}

impl Figures {
    pub(super) fn set(&self, held: Holdings, queued: usize, watched: usize) {
        let Holdings { unread, input, unsent, output, session } = held;
        let all = [
            (&self.unread, unread),
            (&self.input, input),
            (&self.unsent, unsent),
            (&self.output, output),
            (&self.session, session),
            (&self.queued, queued),
            (&self.watched, watched),
        ];
        all.into_iter().for_each(|(cell, bytes)| cell.store(bytes, Ordering::Relaxed));
    }

    pub(super) fn get(&self) -> Shown {
        let get = |cell: &AtomicUsize| cell.load(Ordering::Relaxed);
        let held = Holdings {
            unread: get(&self.unread),
            input: get(&self.input),
            unsent: get(&self.unsent),
            output: get(&self.output),
            session: get(&self.session),
        };
        Shown { held, queued: get(&self.queued), watched: get(&self.watched) }
    }
}

impl fmt::Display for Shown {
    /// Requests are read where they stand, and there is no buffer that each connection has: those figures of Redis are 0.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { held, queued, .. } = self;
        write!(
            f,
            "qbuf={} qbuf-free={} argv-mem=0 multi-mem={queued} rbs=0 rbp=0 obl={} oll=0 omem={} tot-mem={}",
            held.unread,
            held.input.saturating_sub(held.unread),
            held.unsent,
            held.output,
            held.sum()
        )
    }
}
