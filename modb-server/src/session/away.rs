//! A command that a thread executes, away from the worker of its client.
//!
//! Invariants: what it was lent comes back, also if it panics or no thread can be had, and then its connection is resumed; for whom
//! nobody waits any more when a thread could begin, it does nothing.

use std::cell::Cell;
use std::sync::Arc;

use modb_net::Token;
use modb_net::resp::{Args, Decoded, Limits, RequestDecoder};

use super::afar::Afar;
use super::desk::Resume;
use super::now_ms;
use crate::command::{
    self, Back, Calls, Client, CommandError, Counts, Env, Errand, Feed, Host, Instance, Lent, Outcome, Ran,
    Reply, Resolved, Scratch, Stopwatch, Tray,
};
use crate::data::{Committed, Parker, Wake};
use crate::present::Present;

/// A smaller reply is written at once.
const LARGE_REPLY_BYTES: usize = 64 << 10;

/// A command on its way to a thread and back.
pub(super) struct Away {
    lent: Option<Lent>,
    tray: Tray,
    instance: Arc<Instance>,
    resume: Resume,
    /// The inbox of its worker, and its name there: it stays there.
    stand: (u64, Token),
    /// Dropped last.
    _present: Present,
}

/// What has it executed: a thread that sleeps where a worker would not, for a connection that is resumed.
struct Stand<'a> {
    parker: Parker,
    resume: &'a Resume,
    counts: &'a Counts,
    room_bytes: usize,
    /// A reply of so many bytes had no room.
    refused_bytes: Cell<usize>,
}

impl Host for Stand<'_> {
    fn has_room(&self, bytes: usize) -> bool {
        let has = bytes <= self.room_bytes;
        if !has {
            self.refused_bytes.set(bytes);
        }
        has
    }

    fn room_bytes(&self) -> usize {
        self.room_bytes
    }

    /// What is waited for may come to this thread, or when that has long gone on to something else.
    fn waker(&self) -> Box<dyn Wake> {
        Box::new(Both(self.parker.clone(), self.resume.clone()))
    }

    fn calls(&self) -> Option<&Calls> {
        Some(&self.counts.calls)
    }
}

struct Both(Parker, Resume);

impl Wake for Both {
    fn wake(&self) {
        self.0.wake();
        self.1.wake();
    }
}

impl Away {
    pub(super) fn new(
        lent: Lent,
        tray: Tray,
        instance: Arc<Instance>,
        (resume, stand): (Resume, (u64, Token)),
        present: Present,
    ) -> Self {
        Self { lent: Some(lent), tray, instance, resume, stand, _present: present }
    }
}

impl Errand for Away {
    fn run(mut self: Box<Self>) {
        let Self { lent, tray, instance, resume, stand, .. } = &mut *self;
        let Some(lent) = lent.as_mut().filter(|lent| tray.is_awaited() && !lent.client.info.is_killed())
        else {
            return;
        };
        let mut decoder = RequestDecoder::new();
        // It was within all limits when it came.
        let limits = Limits { max_bulk_bytes: u32::MAX >> 1, ..Limits::default() };
        let decoded = decoder.decode(&lent.request, &limits);
        debug_assert_eq!(decoded, Ok(Decoded::Request { consumed: lent.request.len() }));
        let network = Afar::new(&resume.workers, *stand);
        let ran = instance.with_counts(|counts| {
            let Lent { resolved, request, client, room_bytes } = &mut *lent;
            let stand = Stand {
                parker: Parker::default(),
                resume,
                counts,
                room_bytes: *room_bytes,
                refused_bytes: Cell::new(0),
            };
            execute(instance, &network, &stand, *resolved, decoder.args(request), client)
        });
        if let Some(Lent { client, request, .. }) = self.lent.take() {
            // Before it is known that it is over.
            drop((decoder, request));
            self.tray.put(Back { client, heard: network.into_heard(), ran });
        }
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        if let Some(Lent { mut client, .. }) = self.lent.take() {
            client.take_back();
            client.end_transaction();
            let reply = Err(CommandError::Text("ERR it was cut short, see the log".into()));
            let outcome = Outcome { reply, committed: Committed::default() };
            self.tray.put(Back { client, heard: Vec::new(), ran: Ran::Done(outcome, None) });
        }
        self.resume.wake();
    }
}

/// Executes it.
fn execute(
    instance: &Instance,
    network: &Afar,
    stand: &Stand<'_>,
    resolved: Resolved,
    args: Args<'_>,
    client: &mut Client,
) -> Ran {
    let (mut watch, now_ms) = (Stopwatch::start(), now_ms());
    let env = Env { instance, network, tally: &stand.counts.tally, now_ms, host: stand, may_sleep: true };
    let load = command::load(resolved, args, 0, client);
    if instance.clients.paused_until(resolved.spec, load.flags, now_ms).is_some() {
        return Ran::Paused;
    }
    let (parker, mut scratch) = (&stand.parker, Scratch::default());
    let ran = command::execute_long(resolved, args, client, &env, &mut scratch, parker, &mut watch);
    let mut outcome = match ran {
        Ok(outcome) => outcome,
        Err(mut begun) => {
            watch.lap_ns();
            begun.set_worked_ns(watch.sum_ns());
            return Ran::Waits(begun);
        }
    };
    if matches!(outcome.reply, Err(CommandError::NoRoom)) {
        return Ran::TooLarge(stand.refused_bytes.get());
    }
    let feed = match &mut outcome.reply {
        Ok(reply) if reply.bytes() > LARGE_REPLY_BYTES => {
            Some(Feed::new(std::mem::replace(reply, Reply::Nothing), client.protocol))
        }
        _ => None,
    };
    watch.lap_ns();
    let took_ns = watch.sum_ns();
    stand.counts.calls.add(resolved, took_ns, outcome.reply.is_err());
    instance.note_if_slow(resolved, args, took_ns, &client.info, now_ms);
    Ran::Done(outcome, feed)
}
