//! Who of a worker's connections listens to what, and how messages come to them.
//!
//! Invariants: the exchange counts those that stand here, and no others; a message is written to each who has listened since
//! before it was posted, once for the channel and once for each pattern of his that matches, in the order of posting; and
//! behind the commit that it tells of.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use modb_net::resp::Encoder;
use modb_net::{Connections, Out, Room, Seq, Tell, Token, Workers};

use super::{Message, Session};
use crate::command::{Late, Listening, ReplyMode};
use crate::glob;
use crate::messages::{Exchange, Inbox, Posted, Scope, Through, To};

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

/// Those who listen, by name: each with the number of the last message that is not for him.
type Names = HashMap<Bytes, HashMap<Token, u64>>;

/// Who of a worker's connections listens to what.
pub(super) struct Listeners {
    exchange: Arc<Exchange>,
    inbox: u64,
    names: [Names; Scope::ALL.len()],
}

impl Listeners {
    pub(super) fn new(exchange: &Arc<Exchange>, worker: usize, workers: &Arc<dyn Workers<Message>>) -> Self {
        let inbox = exchange.open(Arc::new(WorkerInbox { worker, workers: Arc::clone(workers) }));
        Self { exchange: Arc::clone(exchange), inbox, names: Default::default() }
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

    /// Writes messages to those who get them. Whether anybody got one.
    pub(super) fn deliver(
        &self,
        posted: &Posted,
        most_bytes: &dyn Fn(&Session) -> usize,
        connections: &mut dyn Connections<Session>,
    ) -> bool {
        let mut anybody = false;
        for (number, frame) in (posted.first..).zip(posted.frames.iter()) {
            let mut say = |token: Token, through: Through| {
                let late = Late { held: posted.held, frame: Arc::clone(frame), through };
                anybody |= write(late, token, most_bytes, connections);
            };
            let mut say_all = |listeners: &HashMap<Token, u64>, through: &Through| {
                for (token, since) in listeners {
                    if *since < number {
                        say(*token, through.clone());
                    }
                }
            };
            match frame.to() {
                To::Listeners(scope, channel) => {
                    if let Some(listeners) = self.names[scope as usize].get(channel) {
                        say_all(listeners, &Through::Channel);
                    }
                    if scope == Scope::Channel {
                        for (pattern, listeners) in &self.names[Scope::Pattern as usize] {
                            if glob::matches(pattern, channel, false) {
                                say_all(listeners, &Through::Pattern(pattern.clone()));
                            }
                        }
                    }
                }
                To::Each(recipients) => {
                    for recipient in recipients {
                        if let Some((inbox, token)) = recipient.ear.at()
                            && inbox == self.inbox
                        {
                            say(token, Through::Ear { redirected: recipient.redirected });
                        }
                    }
                }
            }
        }
        anybody
    }
}

/// Writes a message to a connection, or keeps it while a reply is on its way there.
fn write(
    late: Late,
    token: Token,
    most_bytes: &dyn Fn(&Session) -> usize,
    connections: &mut dyn Connections<Session>,
) -> bool {
    // One that is about to end hears nothing more.
    let Some((session, mut out)) = connections.get(token) else { return false };
    if !session.client.has_long() {
        return say(&late, session, &mut out);
    }
    if session.client.keep_late(late) > most_bytes(session) {
        let client = session.client.info.id;
        tracing::warn!(client, "closed: more than client-output-buffer-limit allows waited behind a reply");
        connections.close(token);
    }
    false
}

/// Writes a message to a connection, which hears of it or not.
pub(super) fn say(late: &Late, session: &mut Session, out: &mut Out<'_>) -> bool {
    let Late { held, frame, through } = late;
    let client = &session.client;
    let listens = client.listening().is_some_and(Listening::has_published);
    // To whom no replies are wanted lines are none either; messages are.
    let is_unwanted = frame.is_line() && client.reply_mode == ReplyMode::Off;
    if is_unwanted || !frame.is_heard(client.protocol, through, listens) {
        return false;
    }
    if *held > Seq::ZERO {
        session.awaited = session.awaited.max(*held);
        out.hold_until(*held);
    }
    frame.encode(&mut Encoder::new(out.tail(), session.client.protocol), through);
    true
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.exchange.close(self.inbox);
    }
}
