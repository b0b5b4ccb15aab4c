//! Who of a worker's connections listens to what, and how messages come to them.
//!
//! Messages to one channel that come one behind the other are made up once, all together, and copied to each who listens.
//!
//! Invariants: the exchange counts those that stand here, and no others; a message is written to each who has listened since
//! before it was posted, once for the channel and once for each pattern of his that matches, in the order of posting; and
//! behind the commit that it tells of.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::RandomState;
use modb_net::resp::{Encoder, Protocol};
use modb_net::{Connections, Out, Room, Seq, Tell, Token, Workers};

use super::{Message, Session};
use crate::command::{Late, Listening, ReplyMode};
use crate::glob;
use crate::messages::{Exchange, Frame, Inbox, Posted, Scope, Through, To};

/// The inbox of one worker.
struct WorkerInbox {
    worker: usize,
    workers: Arc<dyn Workers<Message>>,
}

impl Inbox for WorkerInbox {
    fn reserve(&self, bytes: usize, tell: &dyn Fn() -> Tell) -> Option<Room> {
        Some(self.workers.reserve(self.worker, bytes, tell))
    }

    fn post(&self, room: Option<Room>, bytes: usize, posted: Posted) -> bool {
        // Nobody waited for it: it is posted over the bound.
        let room = room.unwrap_or_else(|| self.workers.reserve(self.worker, bytes, &|| Box::new(|| {})));
        // A worker that has ended has no connections.
        let _ = self.workers.post_in(room, Message::Posted(posted));
        true
    }
}

/// Those who listen, by name.
type Names = HashMap<Bytes, Hearers, RandomState>;

/// Each with the number of the last message that is not for him.
type Hearers = HashMap<Token, u64, RandomState>;

/// Who of a worker's connections listens to what.
pub(super) struct Listeners {
    exchange: Arc<Exchange>,
    inbox: u64,
    names: [Names; Scope::ALL.len()],
    forms: Forms,
}

impl Listeners {
    pub(super) fn new(exchange: &Arc<Exchange>, worker: usize, workers: &Arc<dyn Workers<Message>>) -> Self {
        let inbox = exchange.open(Arc::new(WorkerInbox { worker, workers: Arc::clone(workers) }));
        Self { exchange: Arc::clone(exchange), inbox, names: Default::default(), forms: Forms::default() }
    }

    /// The number of the inbox.
    pub(super) fn inbox(&self) -> u64 {
        self.inbox
    }

    /// A connection listens to `name`.
    pub(super) fn add(&mut self, scope: Scope, name: &[u8], token: Token) -> Bytes {
        let (since, name) = self.exchange.listen(self.inbox, scope, name);
        self.names[scope as usize].entry(name.clone()).or_default().insert(token, since);
        name
    }

    /// A connection that did listens to `name` no longer.
    pub(super) fn remove(&mut self, scope: Scope, name: &[u8], token: Token) {
        let names = &mut self.names[scope as usize];
        let Some(listeners) = names.get_mut(name) else { return };
        if listeners.remove(&token).is_some() {
            if listeners.is_empty() {
                names.remove(name);
            }
            self.exchange.leave(self.inbox, scope, name);
        }
    }

    /// Writes messages to those who get them. Answers the last commit that anybody who got one waits for.
    pub(super) fn deliver(
        &mut self,
        posted: &[Posted],
        most_bytes: &dyn Fn(&Session) -> usize,
        connections: &mut dyn Connections<Session>,
    ) -> Seq {
        let Self { names, forms, inbox, .. } = self;
        let mut floor = Floor { most_bytes, connections, awaited: Seq::ZERO };
        let mail: Vec<Mail<'_>> = posted.iter().flat_map(Mail::of).collect();
        for run in mail.chunk_by(Mail::goes_with) {
            match run[0].frame.to() {
                To::Listeners(scope, channel) => {
                    let hearers = names[scope as usize].get(channel);
                    let matches =
                        |pattern: &Bytes| scope == Scope::Channel && glob::matches(pattern, channel, false);
                    let patterns = names[Scope::Pattern as usize].iter();
                    let by_pattern: Vec<_> = patterns.filter(|(pattern, _)| matches(pattern)).collect();
                    // Who listens in several ways hears of one message in all of them before he hears of the next.
                    let together = if by_pattern.is_empty() { run.len() } else { 1 };
                    for run in run.chunks(together) {
                        if let Some(hearers) = hearers {
                            floor.say_all(run, hearers, &Through::Channel, forms);
                        }
                        for (pattern, hearers) in &by_pattern {
                            floor.say_all(run, hearers, &Through::Pattern(Bytes::clone(pattern)), forms);
                        }
                    }
                }
                To::Each(recipients) => {
                    for recipient in recipients {
                        if let Some((at, token)) = recipient.ear.at()
                            && at == *inbox
                        {
                            floor.say(run, token, &Through::Ear { redirected: recipient.redirected });
                        }
                    }
                }
            }
        }
        floor.awaited
    }
}

/// A message that has come.
#[derive(Clone, Copy)]
struct Mail<'p> {
    number: u64,
    held: Seq,
    frame: &'p Arc<Frame>,
}

impl<'p> Mail<'p> {
    /// All that were posted together.
    fn of(posted: &'p Posted) -> impl Iterator<Item = Self> {
        let numbers = posted.first..;
        numbers.zip(&*posted.frames).map(|(number, frame)| Self { number, held: posted.held, frame })
    }

    /// Whether those who hear of this hear of `next`, too, and no earlier.
    fn goes_with(&self, next: &Self) -> bool {
        match (self.frame.to(), next.frame.to()) {
            (To::Listeners(scope, channel), To::Listeners(other, name)) => {
                scope == other && channel == name && self.held == next.held
            }
            _ => false,
        }
    }

    fn late(&self, through: &Through) -> Late {
        Late { held: self.held, frame: Arc::clone(self.frame), through: through.clone() }
    }
}

/// What is larger is not made up before it is copied.
const MADE_UP_BYTES: usize = 64 << 10;

/// Messages as they are written, in each protocol. Empty until somebody needs it; kept for its memory.
#[derive(Default)]
struct Forms {
    resp2: Vec<u8>,
    resp3: Vec<u8>,
}

impl Forms {
    fn clear(&mut self) {
        self.resp2.clear();
        self.resp3.clear();
    }

    fn of(&mut self, run: &[Mail<'_>], protocol: Protocol, through: &Through) -> &[u8] {
        let form = match protocol {
            Protocol::Resp2 => &mut self.resp2,
            Protocol::Resp3 => &mut self.resp3,
        };
        if form.is_empty() {
            let mut encoder = Encoder::new(&mut *form, protocol);
            run.iter().for_each(|mail| mail.frame.encode(&mut encoder, through));
        }
        form
    }
}

/// The connections, while messages are written to them.
struct Floor<'c> {
    most_bytes: &'c dyn Fn(&Session) -> usize,
    connections: &'c mut dyn Connections<Session>,
    /// The last commit that anybody waits for who got one.
    awaited: Seq,
}

impl Floor<'_> {
    /// Writes messages that go together to all who hear of them.
    fn say_all(&mut self, run: &[Mail<'_>], hearers: &Hearers, through: &Through, forms: &mut Forms) {
        let (first, last) = (run[0], run[run.len() - 1]);
        let is_small = run.iter().map(|mail| mail.frame.bytes()).sum::<usize>() <= MADE_UP_BYTES;
        forms.clear();
        for (token, since) in hearers {
            if *since >= first.number {
                // He has come meanwhile.
                let due = run.partition_point(|mail| mail.number <= *since);
                self.say(&run[due..], *token, through);
                continue;
            }
            // One that is about to end hears nothing more.
            let Some((session, mut out)) = self.connections.get(*token) else { continue };
            if session.client.has_long() {
                self.say(run, *token, through);
            } else if hears(session, first.frame, through) {
                wait_for(last.held, session, &mut out);
                let protocol = session.client.protocol;
                if is_small {
                    out.tail().extend_from_slice(forms.of(run, protocol, through));
                } else {
                    let mut encoder = Encoder::new(out.tail(), protocol);
                    run.iter().for_each(|mail| mail.frame.encode(&mut encoder, through));
                }
                self.awaited = self.awaited.max(last.held);
            }
        }
    }

    /// Writes messages to a connection, or keeps them while a reply is on its way there.
    fn say(&mut self, run: &[Mail<'_>], token: Token, through: &Through) {
        for mail in run {
            let Some((session, mut out)) = self.connections.get(token) else { return };
            let late = mail.late(through);
            if !session.client.has_long() {
                if say(&late, session, &mut out) {
                    self.awaited = self.awaited.max(mail.held);
                }
            } else if session.client.keep_late(late) > (self.most_bytes)(session) {
                let client = session.client.info.id;
                tracing::warn!(
                    client,
                    "closed: more than client-output-buffer-limit allows waited behind a reply"
                );
                self.connections.close(token);
            }
        }
    }
}

/// Writes a message to a connection, which hears of it or not.
pub(super) fn say(late: &Late, session: &mut Session, out: &mut Out<'_>) -> bool {
    let Late { held, frame, through } = late;
    let hears = hears(session, frame, through);
    if hears {
        wait_for(*held, session, out);
        frame.encode(&mut Encoder::new(out.tail(), session.client.protocol), through);
    }
    hears
}

/// Whether a connection hears of a message that comes to it.
fn hears(session: &Session, frame: &Frame, through: &Through) -> bool {
    let client = &session.client;
    let listens = client.listening().is_some_and(Listening::has_published);
    // To whom no replies are wanted lines are none either; messages are.
    let is_unwanted = frame.is_line() && client.reply_mode == ReplyMode::Off;
    !is_unwanted && frame.is_heard(client.protocol, through, listens)
}

/// What is written to a connection from now on waits for that commit.
fn wait_for(held: Seq, session: &mut Session, out: &mut Out<'_>) {
    if held > Seq::ZERO {
        session.awaited = session.awaited.max(held);
        out.hold_until(held);
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.exchange.close(self.inbox);
    }
}
