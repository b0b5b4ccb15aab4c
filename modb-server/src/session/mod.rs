//! One worker's service: what happens to its connections, each with its session; what one request takes is in `request`.
//!
//! Invariants: a reply is appended only after its command's batch was committed and after the output was marked
//! with that commit; nothing here blocks: a request that has to wait for others parks its connection; the clock is read
//! once per turn, and once per command to time it; a connection that was served for `WORK_PER_TURN_NS` yields to the others.

mod afar;
mod ahead;
mod away;
mod deadlines;
mod desk;
mod listeners;
mod long;
mod network;
mod pipeline;
mod request;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use modb_net::resp::{Decoded, Encoder, Limits, ProtocolError, RequestDecoder};
use modb_net::{
    Address, CloseReason, Connections, Flow, HandedOut, Handle, Holdings, In, Opening, Out, OutputLimits,
    Peer, Release, Seq, Service, Token, Turn, Workers,
};

use self::ahead::Ahead;
use self::deadlines::Deadlines;
use self::listeners::Listeners;
use self::pipeline::Served;
use self::request::Whole;
use crate::command::{Begun, Calls, Client, Instance, Listening, SAMPLE_INTERVAL, Scratch, Stopwatch};
use crate::config::OutputClass;
use crate::data::Tally;
use crate::farewell::Bring;
use crate::limits;
use crate::messages::{Posted, Scope};
use crate::present::Present;
use crate::settled::Listener;
use crate::store::vast;

/// What workers post to each other.
#[derive(Debug)]
pub enum Message {
    /// Close the connection that this is sent to.
    Kill,
    /// Let paused connections go on.
    Resume,
    /// To be written to those who listen.
    Posted(Posted),
    /// The connection that this is sent to is told something on its own from now on.
    Place,
}

/// A connection that has been served for so long goes on in the next turn: a thousand small requests take as long.
const WORK_PER_TURN_NS: u64 = 1_000_000;

/// One connection. While it is idle it takes little: what few have is behind a pointer of `client`.
#[derive(Debug)]
pub struct Session {
    client: Client,
    /// How far a request was read of which only a part has come. Others need none: they use the worker's.
    partial: Option<Box<RequestDecoder>>,
    /// The last commit that its replies wait for.
    awaited: Seq,
}

/// The service of one worker.
pub struct Worker {
    instance: Arc<Instance>,
    tally: Arc<Tally>,
    calls: Arc<Calls>,
    /// When to note next how much there was, for the rates that `INFO` shows.
    next_sample: Option<Instant>,
    scratch: Scratch,
    /// Reads requests that come whole. Gone while one is read.
    decoder: Option<Box<RequestDecoder>>,
    /// Of those that are executed together.
    space: pipeline::Space,
    clock: Clock,
    /// The last commit that any reply of this worker waits for.
    awaited: Seq,
    /// By whom that is made safe.
    syncing: Syncing,
    /// Has this worker woken when it may be safe.
    listener: Arc<Listener>,
    listeners: RefCell<Listeners>,
    /// All workers of the server.
    workers: Arc<dyn Workers<Message>>,
    /// Keeps the connections of those who asked the server to end.
    farewell: Bring,
    /// Connections that wait for the end of a pause.
    paused: Vec<Token>,
    resume_at: Option<Instant>,
    /// Connections that wait until the store has room, in the order of coming.
    crowded: Vec<Address>,
    look_for_room_at: Option<Instant>,
    /// When the time of those is over who wait for what others bring.
    deadlines: Deadlines,
    /// Of each turn; then others give it back.
    _later: vast::Later,
    /// The database stays open as long as it is served. Dropped last.
    present: Present,
}

/// By whom the commits that replies wait for are synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Syncing {
    /// By the store's thread, which is asked at the end of the turn.
    ByThread,
    /// By this worker, before it sleeps, if a look finds nothing else to do. If it does, the thread is asked after all.
    OnceIdle,
}

/// The time of day, read once per turn.
struct Clock {
    turn: Option<Instant>,
    now_ms: u64,
}

impl Clock {
    fn now_ms(&mut self, turn: Instant) -> u64 {
        if self.turn != Some(turn) {
            self.turn = Some(turn);
            self.now_ms = now_ms();
        }
        self.now_ms
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Worker {
    /// A worker that serves `instance`; `listener` wakes it when commits become safe.
    pub(crate) fn new(
        instance: Arc<Instance>,
        present: Present,
        listener: Arc<Listener>,
        (index, workers): (usize, Arc<dyn Workers<Message>>),
        farewell: Bring,
    ) -> Self {
        let listeners = Listeners::new(instance.data.exchange(), index, &workers);
        // Before it serves: not while somebody waits for the first reply.
        Stopwatch::prepare();
        Self {
            tally: instance.new_tally(),
            calls: instance.new_calls(),
            next_sample: None,
            instance,
            scratch: Scratch::default(),
            decoder: None,
            space: pipeline::Space::default(),
            clock: Clock { turn: None, now_ms: 0 },
            awaited: Seq::ZERO,
            syncing: Syncing::ByThread,
            listener,
            listeners: RefCell::new(listeners),
            workers,
            farewell,
            paused: Vec::new(),
            resume_at: None,
            crowded: Vec::new(),
            look_for_room_at: None,
            deadlines: Deadlines::default(),
            _later: vast::later(),
            present,
        }
    }

    fn limits(&self, client: &Client) -> Limits {
        Limits {
            max_bulk_bytes: self.instance.settings.max_bulk_bytes(),
            authenticated: client.authenticated,
            ..Limits::default()
        }
    }

    /// Executes the requests of `input` in order, until something stops the connection for now.
    fn requests(
        &mut self,
        conn: Handle<'_>,
        session: &mut Session,
        decoder: &mut RequestDecoder,
        input: &mut In<'_>,
        out: &mut Out<'_>,
        turn: &Turn<'_, Self>,
    ) -> Flow {
        if session.client.info.is_killed() {
            return Flow::Close;
        }
        if session.client.has_long() {
            let stopped = self.go_on_long(conn, session, input, out);
            if !session.client.has_long() {
                self.say_late(session, out);
            }
            if let Some(flow) = stopped {
                return flow;
            }
        }
        let mut served = Served::nothing();
        let mut limits = self.limits(&session.client);
        let mut ahead = Ahead::new(&self.instance.data, session.client.authenticated);
        loop {
            let bytes = input.bytes();
            if bytes.is_empty() {
                return Flow::NeedInput;
            }
            // Looked at once more than the layer does: a reply may be as large as a value, and the next one would be, too.
            // What was begun goes on: others may wait for what it holds.
            if !session.client.has_begun() && out.is_full() {
                return Flow::Yield;
            }
            match decoder.decode(bytes, &limits) {
                Ok(Decoded::Incomplete { wanted_bytes }) => {
                    input.want(wanted_bytes);
                    return Flow::NeedInput;
                }
                Ok(Decoded::Nothing { consumed }) => input.consume(consumed),
                Ok(Decoded::Request { consumed }) => {
                    let whole = Whole::new(decoder, bytes, consumed);
                    ahead.look(&bytes[consumed..], &self.instance.data, session.client.database);
                    let flow = self.request(conn, session, whole, out, turn, &mut served);
                    // Executed when it goes on.
                    match flow {
                        Some(Flow::Blocked | Flow::Parked | Flow::AwaitRoom) if session.client.has_long() => {
                            return self.lend(conn, session, &bytes[..consumed], out);
                        }
                        Some(flow @ (Flow::Blocked | Flow::Parked | Flow::AwaitRoom)) => return flow,
                        // Its reply is on its way.
                        Some(Flow::Yield) if session.client.has_long() => return Flow::Yield,
                        _ => {}
                    }
                    input.consume(consumed + std::mem::take(&mut served.followers_bytes));
                    decoder.release();
                    limits.authenticated = session.client.authenticated;
                    if let Some(flow) = flow {
                        return flow;
                    }
                    if served.watch.sum_ns() > WORK_PER_TURN_NS {
                        return Flow::Yield;
                    }
                }
                Err(error) => {
                    protocol_error(&session.client, out, error);
                    return Flow::Close;
                }
            }
        }
    }

    fn sample(&mut self, turn: &Turn<'_, Self>) {
        self.next_sample = Some(turn.now + SAMPLE_INTERVAL);
        self.calls.sample(turn.worker, turn.now, &turn.workers.stats(turn.worker));
        let refused = turn.workers.acceptor_stats().refused;
        if let Some(more) = self.instance.notices.no_seat.more(refused, self.clock.now_ms(turn.now)) {
            tracing::warn!(
                connections = more,
                "refused: {}",
                limits::REFUSAL[1..].trim_ascii_end().escape_ascii()
            );
        }
    }

    /// Has a thread give back the memory of very large values that this one has dropped.
    #[inline]
    fn give_back(&self) {
        if let Some(left) = vast::take_left() {
            self.instance.errands.give_back(left);
        }
    }

    fn resume_all(&mut self, connections: &mut dyn Connections<Session>) {
        self.resume_at = None;
        for token in std::mem::take(&mut self.paused) {
            connections.resume(token);
        }
    }

    /// Lets those go on who wait until the store has room, if it has. Whoever finds that others have taken it comes again.
    fn look_for_room(&mut self) {
        self.look_for_room_at = self.instance.data.store().crowded_until();
        if self.look_for_room_at.is_none() {
            for connection in self.crowded.drain(..) {
                self.workers.resume(&connection);
            }
            self.tally.crowded.set(0);
        }
    }

    /// Writes messages to those who listen to them.
    fn deliver(&mut self, posted: &[Posted], connections: &mut dyn Connections<Session>) {
        let most_bytes = |session: &Session| self.output_limits(session).hard_bytes;
        let awaited = self.listeners.borrow_mut().deliver(posted, &most_bytes, connections);
        self.awaited = self.awaited.max(awaited);
    }

    /// A connection has ended: it listens to nothing any more.
    fn forget(&mut self, token: Token, session: &mut Session) {
        session.client.info.end();
        if session.client.listening().is_none() {
            return;
        }
        let listeners = self.listeners.get_mut();
        for scope in Scope::ALL {
            while let Some(name) = session.client.change_listening(|listening| listening.pop(scope)) {
                listeners.remove(scope, &name, token);
            }
        }
    }

    /// Why a connection is refused, as the error to send.
    fn refusal(&self, peer: &Peer) -> Option<&'static [u8]> {
        let settings = &self.instance.settings;
        (!peer.is_local() && !settings.has_password() && settings.is_yes("protected-mode")).then_some(
            b"DENIED Modb is running in protected mode because protected mode is enabled and no password is set. In \
              this mode connections are only accepted from the loopback interface. To connect from elsewhere, set a \
              password with --requirepass or CONFIG SET requirepass from the same machine, or turn protected mode \
              off with --protected-mode no.",
        )
    }
}

impl Service for Worker {
    type Session = Session;
    type Message = Message;

    fn open(
        &mut self,
        conn: Handle<'_>,
        peer: &Peer,
        out: &mut Out<'_>,
        turn: &Turn<'_, Self>,
    ) -> Opening<Session> {
        if let Some(text) = self.refusal(peer) {
            self.instance.clients.count_rejected();
            if let Some(left_out) = self.instance.notices.refused.due(self.clock.now_ms(turn.now)) {
                tracing::warn!(%peer, left_out, "refused: {}", text.escape_ascii());
            }
            Encoder::new(out.tail(), Default::default()).error(text);
            return Opening::Refused;
        }
        let now_ms = self.clock.now_ms(turn.now);
        let info = self.instance.clients.add(Some((peer.clone(), conn.address())), now_ms);
        info.set_worker(turn.worker);
        tracing::debug!(client = info.id, %peer, "a client came");
        let client = Client::new(info, !self.instance.settings.has_password());
        Opening::Serve(Session { client, partial: None, awaited: Seq::ZERO })
    }

    fn on_input(
        &mut self,
        conn: Handle<'_>,
        session: &mut Session,
        input: &mut In<'_>,
        out: &mut Out<'_>,
        turn: &Turn<'_, Self>,
    ) -> Flow {
        let mut decoder = session.partial.take().or_else(|| self.decoder.take()).unwrap_or_default();
        let flow = self.requests(conn, session, &mut decoder, input, out, turn);
        if decoder.is_mid_request() {
            session.partial = Some(decoder);
        } else {
            // Where a request waits, it is read again when it goes on.
            decoder.release();
            self.decoder = Some(decoder);
        }
        flow
    }

    fn on_message(
        &mut self,
        message: Message,
        to: Option<Token>,
        connections: &mut dyn Connections<Session>,
        _: &Turn<'_, Self>,
    ) {
        match message {
            Message::Kill => {
                to.map(|token| connections.close(token));
            }
            Message::Resume => self.resume_all(connections),
            Message::Place => {
                if let Some(token) = to
                    && let Some((session, _)) = connections.get(token)
                {
                    session.client.info.place(self.listeners.borrow().inbox(), token);
                }
            }
            Message::Posted(posted) => self.deliver(&[posted], connections),
        }
    }

    fn on_mail(
        &mut self,
        mail: &mut dyn Iterator<Item = Message>,
        connections: &mut dyn Connections<Session>,
        turn: &Turn<'_, Self>,
    ) {
        let mut all = Vec::new();
        for message in mail {
            match message {
                Message::Posted(posted) => all.push(posted),
                message => self.on_message(message, None, connections, turn),
            }
        }
        self.deliver(&all, connections);
    }

    fn next_timer(&self) -> Option<Instant> {
        [self.resume_at, self.look_for_room_at, self.deadlines.next()].into_iter().flatten().min()
    }

    fn on_timer(&mut self, connections: &mut dyn Connections<Session>, turn: &Turn<'_, Self>) {
        if self.resume_at.is_some_and(|at| at <= turn.now) {
            self.resume_all(connections);
        }
        if self.look_for_room_at.is_some_and(|at| at <= turn.now) {
            self.look_for_room();
        }
        self.deadlines.reach(turn.now);
    }

    fn end_turn(&mut self, turn: &Turn<'_, Self>) -> Release {
        if self.next_sample.is_none_or(|at| turn.now >= at) {
            self.sample(turn);
        }
        self.give_back();
        let store = self.instance.data.store();
        let settled = store.settled();
        // Asked in every turn while replies wait, also if it wrote nothing: only the answer tells of a failed sync.
        if settled >= self.awaited {
            self.syncing = Syncing::ByThread;
            return Release::Upto(settled);
        }
        if self.syncing == Syncing::ByThread && store.offers_lead() {
            self.syncing = Syncing::OnceIdle;
            return Release::Upto(settled);
        }
        // Others are ready, or somebody else is syncing: the thread does it, or whoever does tells.
        self.syncing = Syncing::ByThread;
        self.listener.listen();
        store.settle().map_or_else(|_| Release::Failed { after: store.settled() }, Release::Upto)
    }

    fn has_idle_work(&self) -> bool {
        // Connections that ended after the end of the turn may have left something.
        self.syncing == Syncing::OnceIdle || vast::is_any_left()
    }

    fn on_idle(&mut self) {
        self.give_back();
        if self.syncing == Syncing::OnceIdle {
            self.instance.data.store().lead();
        }
    }

    fn session_bytes(&self, session: &Session) -> usize {
        let begun = session.client.rare().and_then(|rare| rare.begun.as_ref()).map_or(0, Begun::bytes);
        let decoder = |decoder: &RequestDecoder| size_of::<RequestDecoder>() + decoder.memory_bytes();
        let listening = session.client.listening().map_or(0, Listening::memory_bytes);
        let told = listening + session.client.late_bytes();
        begun + session.partial.as_deref().map_or(0, decoder) + told + session.client.kept_bytes()
    }

    fn kept_bytes(&self, session: &Session) -> usize {
        session.client.kept_bytes()
    }

    fn on_held(&mut self, session: &Session, held: Holdings) {
        let (queued, watched) = session.client.queued_and_watched();
        session.client.info.set_held(held, queued, watched);
    }

    fn may_move(&self, session: &Session) -> bool {
        // The messages that are on their way to it come here.
        session.client.listening().is_none() && !session.client.info.stays()
    }

    fn may_time_out(&self, session: &Session) -> bool {
        // Whoever waits for what others bring is not idle, and neither is who listens.
        let begun = session.client.rare().and_then(|rare| rare.begun.as_ref());
        !begun.is_some_and(Begun::waits_for_others) && session.client.listening().is_none()
    }

    fn output_limits(&self, session: &Session) -> OutputLimits {
        // Who is told of what he has read himself is told no more than that.
        let listens = session.client.listening().is_some() || session.client.hears_of_prefixes();
        let class = if listens { OutputClass::Pubsub } else { OutputClass::Normal };
        self.instance.settings.output_limits(class)
    }

    fn may_be_evicted(&self, session: &Session) -> bool {
        !session.client.info.is_no_evict()
    }

    fn waits_at_will(&self, session: &Session) -> bool {
        // Not who is paused.
        session.client.rare().and_then(|rare| rare.begun.as_ref()).is_some_and(Begun::waits_for_others)
    }

    fn on_moved_here(&mut self, _: Handle<'_>, session: &mut Session, turn: &Turn<'_, Self>) {
        self.awaited = self.awaited.max(session.awaited);
        session.client.info.set_worker(turn.worker);
    }

    fn last_word(
        &mut self,
        _: Token,
        session: &mut Session,
        reason: CloseReason,
        out: &mut Out<'_>,
        _: &Turn<'_, Self>,
    ) {
        let text = match reason {
            CloseReason::InputLimit => "ERR closed: the request is larger than client-query-buffer-limit",
            CloseReason::System => {
                "ERR closed: the system has no memory for the request, or does not watch the connection"
            }
            CloseReason::MemoryStall => {
                "ERR closed: the memory of all clients (maxmemory-clients) was used up, and this client, which held much of it, made no progress"
            }
            _ => return,
        };
        Encoder::new(out.tail(), session.client.protocol).error(text);
    }

    fn on_handed_out(&mut self, token: Token, mut out: HandedOut<Session>, _: &Turn<'_, Self>) {
        self.forget(token, &mut out.session);
        self.instance.clients.remove(out.session.client.info.id);
        self.farewell.keep(out.socket);
    }

    fn on_close(&mut self, token: Token, mut session: Session, reason: CloseReason, _: &Turn<'_, Self>) {
        self.forget(token, &mut session);
        if let Some(begun) = session.client.take_begun() {
            self.deadlines.leave(&begun, session.client.info.id);
        }
        let client = session.client.info.id;
        tracing::debug!(client, ?reason, "a client has gone");
        if reason == CloseReason::OutputLimit {
            tracing::warn!(
                client,
                "closed: it did not read fast enough, and more than client-output-buffer-limit allows waited for it"
            );
        }
        self.instance.clients.remove(session.client.info.id);
    }
}

fn protocol_error(client: &Client, out: &mut Out<'_>, error: ProtocolError) {
    Encoder::new(out.tail(), client.protocol).error(format!("ERR {error}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_session_is_small() {
        let bytes = size_of::<Session>();
        assert!(bytes <= 40, "{bytes} bytes per session");
    }
}
