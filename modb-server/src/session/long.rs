//! Requests that take long: lent to a thread, and answered piece by piece, so that nobody else waits for them.
//!
//! The request stays unread in the input until its reply has been written, so what is behind it waits, and it is answered also after
//! a half-close and during a shutdown. Invariants: a worker copies at most a piece at a time, of the request and of the reply; room for
//! both, and for what it gathers and is about to keep, is asked for before a thread begins, which holds no stripe before, and counted until
//! it has ended; a connection that ends takes along what no thread has
//! begun.

use std::sync::Arc;

use modb_net::resp::Encoder;
use modb_net::{Flow, Handle, In, Limits, Out, Token};

use super::away::Away;
use super::desk::Resume;
use super::listeners::say;
use super::{Session, Worker};
use crate::command::{Back, Begun, Heard, Lent, Long, Ran, Resolved, Stage, Then, Tray};

/// Bytes that are copied at a time.
const PIECE_BYTES: usize = 256 << 10;

/// What holds more is not freed by a worker.
const FREED_BYTES: usize = 16 << 20;

/// What follows a step.
enum Step {
    /// It waits.
    Stop(Flow),
    /// It was executed.
    Executed,
    /// It is to be executed, or gone on with, as any other.
    Anew,
}

impl Worker {
    /// Has a thread execute what was just found to take long: `request`, which is whole.
    #[cold]
    pub(super) fn lend(
        &mut self,
        conn: Handle<'_>,
        session: &mut Session,
        request: &[u8],
        out: &mut Out<'_>,
    ) -> Flow {
        let Some((resolved, mut long)) = take_long(session) else { return Flow::Parked };
        long.request_bytes = request.len();
        long.beside_bytes = out.granted();
        self.instance.long_commands.bump();
        self.send(conn, session, (resolved, long), request, 0, out)
    }

    /// Goes on with a request that takes long. `None`: it was answered, or is to be executed anew, with whatever is next.
    #[cold]
    pub(super) fn go_on_long(
        &mut self,
        conn: Handle<'_>,
        session: &mut Session,
        input: &mut In<'_>,
        out: &mut Out<'_>,
    ) -> Option<Flow> {
        let (resolved, long) = take_long(session)?;
        let Long { request_bytes, beside_bytes, .. } = long;
        let step = match long.stage {
            Stage::Found { .. } | Stage::Gathered { .. } => {
                // It is still there, as it was when it was found to take long; not shown where the output is full.
                match input.bytes().get(..request_bytes) {
                    Some(request) => {
                        Step::Stop(self.send(conn, session, (resolved, long), request, beside_bytes, out))
                    }
                    None => Step::Stop(keep(session, resolved, long, Flow::NeedInput)),
                }
            }
            Stage::Away { ref tray, .. } => match tray.take() {
                Some(back) => {
                    let sizes = (request_bytes, beside_bytes);
                    self.take_back(conn.token(), resolved, session, sizes, back, out)
                }
                None => Step::Stop(keep(session, resolved, long, Flow::Parked)),
            },
            Stage::Answered(_) => {
                keep(session, resolved, long, Flow::Yield);
                Step::Executed
            }
        };
        match step {
            Step::Stop(flow) => return Some(flow),
            Step::Anew => return None,
            Step::Executed => {}
        }
        if self.write_on(session, out) {
            return Some(Flow::Yield);
        }
        input.consume(request_bytes);
        match session.client.then {
            Then::GoOn => None,
            Then::NextTurn => Some(Flow::Yield),
            Then::Close => Some(Flow::Close),
            Then::EndWithServer => Some(Flow::HandOut),
        }
    }

    /// Asks for room, gathers the request, and gives it to a thread. Of the room that is asked for beside that of the request and its
    /// reply, `again` bytes are not granted in this call.
    fn send(
        &mut self,
        conn: Handle<'_>,
        session: &mut Session,
        (resolved, mut long): (Resolved, Long),
        request: &[u8],
        again: usize,
        out: &mut Out<'_>,
    ) -> Flow {
        let (mut gathered, room_bytes) = match long.stage {
            Stage::Found { reply_bytes } => {
                if !out.reserve(request.len().saturating_add(reply_bytes).saturating_add(again)) {
                    return keep(session, resolved, long, Flow::AwaitRoom);
                }
                (Vec::with_capacity(request.len()), reply_bytes.max(Limits::SMALL_REPLY_BYTES))
            }
            Stage::Gathered { ref mut request, room_bytes } => (std::mem::take(request), room_bytes),
            Stage::Away { .. } | Stage::Answered(_) => return keep(session, resolved, long, Flow::Parked),
        };
        let rest = &request[gathered.len()..];
        gathered.extend_from_slice(&rest[..rest.len().min(PIECE_BYTES)]);
        if rest.len() > PIECE_BYTES {
            long.stage = Stage::Gathered { request: gathered, room_bytes };
            return keep(session, resolved, long, Flow::Yield);
        }
        // What is lent is counted here as long as it is away.
        let bytes = gathered.capacity() + room_bytes + long.beside_bytes + session.client.kept_bytes();
        let tray = Tray::default();
        let lent = Lent { resolved, request: gathered, client: session.client.lend(), room_bytes };
        let resume = Resume { workers: Arc::clone(&self.workers), connection: conn.address() };
        let stand = (self.listeners.get_mut().inbox(), conn.token());
        let (instance, present) = (Arc::clone(&self.instance), self.present.clone());
        let away = Away::new(lent, tray.clone(), instance, (resume, stand), present);
        let most = match usize::try_from(self.instance.settings.number("long-command-threads")) {
            Ok(most @ 1..) => most,
            _ => self.workers.count(),
        };
        self.instance.errands.compute(Box::new(away), most);
        long.stage = Stage::Away { tray, bytes };
        keep(session, resolved, long, Flow::Parked)
    }

    /// Takes what a thread has done.
    fn take_back(
        &mut self,
        token: Token,
        resolved: Resolved,
        session: &mut Session,
        (request_bytes, beside_bytes): (usize, usize),
        back: Back,
        out: &mut Out<'_>,
    ) -> Step {
        session.client.take_over(back.client);
        let listeners = self.listeners.get_mut();
        for Heard { scope, name, listens } in back.heard {
            if listens {
                listeners.add(scope, &name, token);
            } else {
                listeners.remove(scope, &name, token);
            }
        }
        match back.ran {
            Ran::Done(outcome, feed) => {
                let Session { client, awaited, .. } = session;
                self.reply(client, awaited, &outcome, out);
                if let Some(feed) = feed
                    && client.wants_reply()
                {
                    let long = Long { request_bytes, beside_bytes: 0, stage: Stage::Answered(feed) };
                    keep(session, resolved, long, Flow::Yield);
                }
                Step::Executed
            }
            // He may have been served before this worker knows that he waits, and is not told again.
            Ran::Waits(begun) => {
                session.client.keep_begun(begun);
                Step::Anew
            }
            Ran::TooLarge(reply_bytes) => {
                let long = Long { request_bytes, beside_bytes, stage: Stage::Found { reply_bytes } };
                Step::Stop(keep(session, resolved, long, Flow::Yield))
            }
            Ran::Paused => Step::Anew,
        }
    }

    /// Writes what came while a reply was on its way: behind it, since it may tell that what was read has changed.
    #[cold]
    pub(super) fn say_late(&mut self, session: &mut Session, out: &mut Out<'_>) {
        for late in session.client.take_late() {
            if say(&late, session, out) {
                self.awaited = self.awaited.max(late.held);
            }
        }
    }

    /// Writes what comes next of a large reply. Whether there is more.
    fn write_on(&mut self, session: &mut Session, out: &mut Out<'_>) -> bool {
        let Some((resolved, mut long)) = take_long(session) else { return false };
        let Stage::Answered(feed) = &mut long.stage else { return false };
        let mut is_more = true;
        while is_more && !out.is_full() {
            is_more = feed.write(&mut Encoder::new(out.tail(), session.client.protocol), PIECE_BYTES);
        }
        if is_more {
            keep(session, resolved, long, Flow::Yield);
        } else if feed.bytes() > FREED_BYTES {
            self.instance.errands.free(long);
        }
        is_more
    }
}

/// What takes long, if anything does.
fn take_long(session: &mut Session) -> Option<(Resolved, Long)> {
    let begun = session.client.take_begun()?;
    let resolved = begun.resolved();
    match begun.into_long() {
        Ok(long) => Some((resolved, long)),
        Err(begun) => {
            session.client.keep_begun(begun);
            None
        }
    }
}

/// Keeps a request that waits.
fn keep(session: &mut Session, resolved: Resolved, long: Long, flow: Flow) -> Flow {
    session.client.keep_begun(Begun::long(resolved, long));
    flow
}
