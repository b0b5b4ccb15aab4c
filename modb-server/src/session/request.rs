//! One request: find its command, see whether it may run now, execute it, encode the reply.
//!
//! Invariants: a request that has to wait is begun once, and gone on with; while it is, the session holds it, so that a
//! connection that ends takes it along.

use std::cell::RefCell;
use std::time::Duration;

use bytes::Bytes;
use modb_net::resp::{Args, Encoder, RequestDecoder};
use modb_net::{Flow, Handle, Out, Seq, Turn};

use super::desk::Desk;
use super::network::Net;
use super::pipeline::{self, Behind, Served, Space};
use super::{Session, Worker};
use crate::command::{
    self, Begun, Client, CommandError, Env, Executed, Feed, Flags, Listening, Load, Long, Notes, Outcome,
    RanTogether, Reply, Resolved, Scratch, Stage, Stopwatch, Then,
};
use crate::data::{Committed, Ticket, ensure_memory};

/// A request that has come whole.
#[derive(Clone, Copy)]
pub(super) struct Whole<'r> {
    args: Args<'r>,
    is_inline: bool,
    bytes: usize,
    /// All that has come, from its beginning on.
    input: &'r [u8],
}

impl<'r> Whole<'r> {
    /// What `decoder` has just found in the first bytes of `input`, so many.
    #[inline]
    pub(super) fn new(decoder: &'r RequestDecoder, input: &'r [u8], bytes: usize) -> Self {
        Self { args: decoder.args(&input[..bytes]), is_inline: decoder.is_inline(), bytes, input }
    }
}

/// A request whose command was found.
#[derive(Clone, Copy)]
struct Request<'r> {
    resolved: Resolved,
    args: Args<'r>,
    /// What it takes of the input.
    bytes: usize,
    now_ms: u64,
    /// For how long it was worked on before, or by others.
    worked_ns: u64,
}

/// What a session keeps of a request that is executed for it.
struct Asker<'s> {
    client: &'s mut Client,
    /// The latest commit that a reply of its waits for.
    awaited: &'s mut Seq,
}

/// How often what a command writes is there until it is written: in its batch, whose values then become those of the records,
/// and in the log's buffer, which shares only values that are large one by one.
const BATCH_COPIES: usize = 2;

/// More is not copied into the output at once.
const AT_ONCE_BYTES: usize = 16 << 20;

/// Whether a command may run now, as far as memory goes.
enum Room {
    Free,
    /// When others have given some back.
    Short,
    /// It would take more than any request may: the error to answer.
    Never(String),
}

/// Whether there is room for what a client is about to keep for longer than its request.
#[inline(never)]
fn has_room_to_keep(client: &Client, resolved: Resolved, load: &Load, out: &mut Out<'_>) -> bool {
    let bytes = client.room_to_keep(resolved.spec, load);
    bytes == 0 || out.reserve_to_keep(bytes)
}

impl Worker {
    /// Executes one request and appends its reply. `Some`: what stops the connection for now.
    pub(super) fn request(
        &mut self,
        conn: Handle<'_>,
        session: &mut Session,
        whole: Whole<'_>,
        out: &mut Out<'_>,
        turn: &Turn<'_, Self>,
        served: &mut Served,
    ) -> Option<Flow> {
        if session.client.has_begun() {
            return self.go_on(conn, session, whole, out, turn, served);
        }
        let Session { client, awaited, .. } = session;
        let Whole { args, is_inline, bytes, input } = whole;
        let now_ms = self.clock.now_ms(turn.now);
        if is_inline && self.is_stranger(args, true, client, now_ms) {
            return Some(Flow::Close);
        }
        let resolved = match command::resolve(args, client, &self.instance) {
            Ok(resolved) if client.authenticated || resolved.spec.flags.has(Flags::NO_AUTH) => resolved,
            Ok(_) => {
                self.calls.add_rejected(args);
                let error = CommandError::Text("NOAUTH Authentication required.".into());
                let error = command::refuse(args, client, &self.instance, error);
                self.error(client, out, &error.text());
                return None;
            }
            Err(_) if self.is_stranger(args, false, client, now_ms) => return Some(Flow::Close),
            Err(error) => {
                self.calls.add_rejected(args);
                self.error(client, out, &error.text());
                return None;
            }
        };
        let load = command::load(resolved, args, bytes, client);
        if let Some(listening) = client.listening()
            && let Some(text) = self.why_not(client, listening, resolved, &load)
        {
            self.calls.add_rejected(args);
            let error = command::refuse(args, client, &self.instance, CommandError::Text(text.into()));
            self.error(client, out, &error.text());
            return None;
        }
        if self.is_paused(conn, resolved.spec, &load, now_ms, turn) {
            return Some(Flow::Blocked);
        }
        if self.is_crowded(conn, &load) {
            return Some(Flow::Parked);
        }
        match self.room_for_batch(&load, out) {
            Room::Free => {}
            Room::Short => return Some(Flow::AwaitRoom),
            Room::Never(text) => {
                let error = command::refuse(args, client, &self.instance, CommandError::Text(text.into()));
                self.error(client, out, &error.text());
                return None;
            }
        }
        if client.may_keep_much(&load) && !has_room_to_keep(client, resolved, &load, out) {
            return Some(Flow::AwaitRoom);
        }
        let request = Request { resolved, args, bytes, now_ms, worked_ns: 0 };
        if self.leads(resolved, whole, client, served) {
            let leader = (request, &input[bytes..], None);
            return self.request_and_followers(conn, session, leader, out, turn, served);
        }
        let ran = self.with_env(conn, out, turn, now_ms, |env, scratch| {
            command::execute(resolved, args, client, env, scratch)
        });
        self.settle(request, ran, Asker { client, awaited }, out, &mut served.watch)
    }

    /// Whether a request is to be executed together with those behind it.
    #[inline(always)]
    fn leads(&self, resolved: Resolved, whole: Whole<'_>, client: &Client, served: &Served) -> bool {
        let Whole { args, is_inline, bytes, input } = whole;
        let is_last = bytes == input.len();
        !(is_last || is_inline || served.each_alone)
            && command::changes_one_key(resolved)
            && pipeline::goes_on_with(input, bytes, &args[1])
            && command::may_lead(resolved, args.len(), client, &self.instance)
    }

    /// Executes a request that leads, which may have queued for its key, and what follows it; appends their replies. Apart from
    /// [`Worker::request`], which is short.
    #[inline(never)]
    fn request_and_followers(
        &mut self,
        conn: Handle<'_>,
        session: &mut Session,
        (request, behind, queued): (Request<'_>, &[u8], Option<Ticket>),
        out: &mut Out<'_>,
        turn: &Turn<'_, Self>,
        served: &mut Served,
    ) -> Option<Flow> {
        let limits = self.limits(&session.client);
        let Session { client, awaited, .. } = session;
        let Request { resolved, args, now_ms, .. } = request;
        let Space { mut decoder, mut ran } = std::mem::take(&mut self.space);
        let mut behind =
            Behind { decoder: &mut decoder, input: behind, key: &args[1], limits, bytes: 0, is_asked: false };
        let executed = self.with_env(conn, out, turn, now_ms, |env, scratch| {
            let notes = Notes { watch: &mut served.watch, ran: &mut ran };
            let held = match queued {
                Some(ticket) => env.instance.data.hold_queued(ticket, &|| env.host.waker()),
                None => command::hold_for_leader(resolved, args, client, env),
            };
            command::execute_together((resolved, args), held, &mut behind, client, env, scratch, notes)
        });
        let flow = match executed {
            Executed::Alone(outcome) => {
                served.each_alone = true;
                // What was dropped is not kept until others go together.
                ran.clear();
                self.settle(request, outcome, Asker { client, awaited }, out, &mut served.watch)
            }
            Executed::Together(committed) => {
                served.followers_bytes = behind.bytes;
                // One that writes so much that none may follow is mostly followed by its like.
                served.each_alone = !behind.is_asked;
                self.answer_all(ran.drain(..), committed, Asker { client, awaited }, out, &mut served.watch);
                None
            }
        };
        self.space = Space { decoder, ran };
        flow
    }

    /// Appends the replies of requests that were executed together, and counts these.
    fn answer_all(
        &mut self,
        ran: impl Iterator<Item = RanTogether>,
        committed: Committed,
        Asker { client, awaited }: Asker<'_>,
        out: &mut Out<'_>,
        watch: &mut Stopwatch,
    ) {
        let (mut first, mut all_ns) = (None, 0);
        for RanTogether { resolved, took_ns, reply } in ran {
            let has_failed = reply.is_err();
            self.reply(client, awaited, &Outcome { reply, committed }, out);
            all_ns += took_ns;
            match first {
                None => first = Some((resolved, took_ns, has_failed)),
                Some(_) => self.calls.add(resolved, took_ns, has_failed),
            }
        }
        // As the commit, the replies are the first one's: what follows in the pipeline has not taken that time.
        let replies_ns = watch.lap_ns();
        self.calls.kept_for(all_ns + replies_ns);
        if let Some((resolved, took_ns, has_failed)) = first {
            self.calls.add(resolved, took_ns + replies_ns, has_failed);
        }
    }

    /// Goes on with the request that the session has begun.
    #[cold]
    fn go_on(
        &mut self,
        conn: Handle<'_>,
        session: &mut Session,
        whole: Whole<'_>,
        out: &mut Out<'_>,
        turn: &Turn<'_, Self>,
        served: &mut Served,
    ) -> Option<Flow> {
        let Session { client, awaited, .. } = session;
        let mut waits = client.take_begun()?;
        self.deadlines.leave(&waits, client.info.id);
        let (Whole { args, bytes, input, .. }, resolved) = (whole, waits.resolved());
        let now_ms = self.clock.now_ms(turn.now);
        // What was done waits for nothing else; who is paused, or waits for memory, stands in no queue meanwhile.
        if !waits.has_run() {
            let load = command::load(resolved, args, bytes, client);
            if self.is_paused(conn, resolved.spec, &load, now_ms, turn) {
                return Some(Flow::Blocked);
            }
            if self.is_crowded(conn, &load) {
                return Some(Flow::Parked);
            }
            if !matches!(self.room_for_batch(&load, out), Room::Free)
                || !has_room_to_keep(client, resolved, &load, out)
            {
                return Some(Flow::AwaitRoom);
            }
        }
        if self.leads(resolved, whole, client, served) {
            match waits.into_ticket() {
                Ok(ticket) => {
                    let request = Request { resolved, args, bytes, now_ms, worked_ns: 0 };
                    let leader = (request, &input[bytes..], Some(ticket));
                    return self.request_and_followers(conn, session, leader, out, turn, served);
                }
                Err(others) => waits = others,
            }
        }
        let mut worked_ns = waits.worked_ns();
        let ran = self.with_env(conn, out, turn, now_ms, |env, scratch| {
            command::go_on(waits, args, client, env, scratch, &mut worked_ns)
        });
        let request = Request { resolved, args, bytes, now_ms, worked_ns };
        self.settle(request, ran, Asker { client, awaited }, out, &mut served.watch)
    }

    /// Has `run` execute a command for a connection.
    #[inline(always)]
    fn with_env<R>(
        &mut self,
        conn: Handle<'_>,
        out: &mut Out<'_>,
        turn: &Turn<'_, Self>,
        now_ms: u64,
        run: impl FnOnce(&Env<'_>, &mut Scratch) -> R,
    ) -> R {
        let (listeners, workers) = (&self.listeners, &self.workers);
        let network = Net { turn, listeners, workers, token: conn.token() };
        let host = Desk { out: RefCell::new(out), conn: &conn, workers: &self.workers, calls: &self.calls };
        let env = Env {
            instance: &self.instance,
            network: &network,
            tally: &self.tally,
            now_ms,
            host: &host,
            may_sleep: false,
        };
        run(&env, &mut self.scratch)
    }

    /// Appends the reply of a request that was executed, or keeps one that has to wait.
    #[inline(always)]
    fn settle(
        &mut self,
        request: Request<'_>,
        mut ran: Result<Outcome, Begun>,
        asker: Asker<'_>,
        out: &mut Out<'_>,
        watch: &mut Stopwatch,
    ) -> Option<Flow> {
        match ran {
            // In its place: a reply that is moved whole after it was written in parts waits for those.
            Ok(ref mut outcome) => self.answer(request, asker, outcome, out, watch),
            Err(mut waits) => {
                waits.set_worked_ns(request.worked_ns + self.lap_ns(watch));
                Some(self.keep(waits, asker.client))
            }
        }
    }

    /// Keeps a request that has to wait.
    #[cold]
    pub(super) fn keep(&mut self, waits: Begun, client: &mut Client) -> Flow {
        // What may never come is not waited for by who has gone.
        let flow = if waits.waits_for_others() { Flow::Blocked } else { Flow::Parked };
        self.deadlines.enter(&waits, client.info.id);
        client.change_rare(|rare| rare.begun = Some(waits));
        flow
    }

    /// Whether a request has to wait for the end of a pause.
    #[inline]
    fn is_paused(
        &mut self,
        conn: Handle<'_>,
        spec: &command::Spec,
        load: &Load,
        now_ms: u64,
        turn: &Turn<'_, Self>,
    ) -> bool {
        let Some(until_ms) = self.instance.clients.paused_until(spec, load.flags, now_ms) else {
            return false;
        };
        let at = turn.now + Duration::from_millis(until_ms - now_ms);
        self.resume_at = Some(self.resume_at.map_or(at, |first| first.min(at)));
        self.paused.push(conn.token());
        true
    }

    /// Whether a write has to wait until the store has room.
    #[inline]
    fn is_crowded(&mut self, conn: Handle<'_>, load: &Load) -> bool {
        if !load.flags.has(Flags::WRITE) {
            return false;
        }
        let Some(until) = self.instance.data.store().crowded_until() else { return false };
        self.look_for_room_at = Some(self.look_for_room_at.map_or(until, |first| first.min(until)));
        self.crowded.push(conn.address());
        self.tally.crowded.set(self.crowded.len() as u64);
        true
    }

    /// Appends the reply of a request that was executed.
    #[inline(always)]
    fn answer(
        &mut self,
        request: Request<'_>,
        Asker { client, awaited }: Asker<'_>,
        outcome: &mut Outcome,
        out: &mut Out<'_>,
        watch: &mut Stopwatch,
    ) -> Option<Flow> {
        if matches!(outcome.reply, Err(CommandError::NoRoom)) {
            return Some(Flow::AwaitRoom);
        }
        let feed = match &mut outcome.reply {
            Ok(Reply::Bulk(bytes)) if bytes.len() > AT_ONCE_BYTES => Some(std::mem::take(bytes)),
            _ => None,
        };
        if let Some(bytes) = feed {
            self.count(request, client, false, watch);
            return self.answer_in_pieces(request, Asker { client, awaited }, bytes, outcome.committed, out);
        }
        let has_failed = outcome.reply.is_err();
        self.reply(client, awaited, outcome, out);
        // With its reply: what follows in the pipeline has not taken that time.
        self.count(request, client, has_failed, watch);
        Self::what_follows(client)
    }

    /// Answers with what takes long to be copied, a piece at a time. The request stays unread until that has left.
    #[cold]
    fn answer_in_pieces(
        &mut self,
        request: Request<'_>,
        Asker { client, awaited }: Asker<'_>,
        bytes: Bytes,
        committed: Committed,
        out: &mut Out<'_>,
    ) -> Option<Flow> {
        self.reply(client, awaited, &Outcome { reply: Ok(Reply::Nothing), committed }, out);
        if !client.wants_reply() {
            return Self::what_follows(client);
        }
        let feed = Feed::new(Reply::Bulk(bytes), client.protocol);
        let long = Long { request_bytes: request.bytes, beside_bytes: 0, stage: Stage::Answered(feed) };
        client.keep_begun(Begun::long(request.resolved, long));
        Some(Flow::Yield)
    }

    /// What a client wants to be done behind its reply.
    #[inline(always)]
    fn what_follows(client: &Client) -> Option<Flow> {
        match client.then {
            Then::GoOn => None,
            Then::NextTurn => Some(Flow::Yield),
            Then::Close => Some(Flow::Close),
            Then::EndWithServer => Some(Flow::HandOut),
        }
    }

    /// Appends the reply of what was executed.
    #[inline(always)]
    pub(super) fn reply(
        &mut self,
        client: &mut Client,
        awaited: &mut Seq,
        outcome: &Outcome,
        out: &mut Out<'_>,
    ) {
        let wait_for = outcome.committed.awaited(self.instance.data.reads_wait());
        if wait_for > Seq::ZERO {
            *awaited = wait_for.max(*awaited);
            self.awaited = wait_for.max(self.awaited);
            out.hold_until(wait_for);
        }
        match &outcome.reply {
            Ok(Reply::Nothing) => {}
            Ok(reply) => {
                if client.wants_reply() || reply.is_push() {
                    reply.encode(&mut Encoder::new(out.tail(), client.protocol));
                }
            }
            Err(error) => {
                let text = error.text();
                self.calls.add_error(&text);
                if client.wants_reply() {
                    Encoder::new(out.tail(), client.protocol).error(text);
                }
            }
        }
    }

    /// Whether there is memory for what a request gathers before it is applied.
    #[inline(always)]
    fn room_for_batch(&self, load: &Load, out: &mut Out<'_>) -> Room {
        if !load.flags.has(Flags::WRITE) || load.is_small() {
            return Room::Free;
        }
        self.room_for_large_batch(load, out)
    }

    #[cold]
    fn room_for_large_batch(&self, load: &Load, out: &mut Out<'_>) -> Room {
        let bytes = load.batch_bytes();
        if bytes > self.instance.settings.query_buffer_bytes() {
            let (count, mib) = (load.words, bytes >> 20);
            return Room::Never(format!(
                "ERR a command with {count} arguments takes {mib} MiB while it runs, more than client-query-buffer-limit \
                 allows; split it"
            ));
        }
        let bytes = bytes.saturating_mul(BATCH_COPIES);
        if let Err(error) = ensure_memory(bytes) {
            return Room::Never(error.to_string());
        }
        if out.reserve(bytes) { Room::Free } else { Room::Short }
    }

    /// Whether the client speaks another protocol: it is closed without an answer, as Redis does.
    fn is_stranger(&self, args: Args<'_>, inline: bool, client: &Client, now_ms: u64) -> bool {
        let Some(protocol) = command::spoken_by_strangers(args, inline) else { return false };
        if let Some(left_out) = self.instance.notices.stranger.due(now_ms) {
            let remote = client.info.peer().map(tracing::field::display);
            tracing::warn!(
                remote,
                left_out,
                "possible SECURITY ATTACK: a client speaks {protocol}, perhaps a web page that tries to give commands; closed"
            );
        }
        true
    }

    /// Why a client that listens may not give this command, if it may not.
    #[cold]
    fn why_not(
        &self,
        client: &Client,
        listening: &Listening,
        resolved: Resolved,
        load: &Load,
    ) -> Option<String> {
        if client.only_listens() && !command::may_be_given_while_listening(resolved.spec) {
            let name = resolved.name(self.instance.table);
            return Some(format!(
                "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed \
                 in this context"
            ));
        }
        let concerns_keys = [Flags::READONLY, Flags::WRITE, Flags::MAY_REPLICATE];
        (listening.monitors() && concerns_keys.iter().any(|flag| load.flags.has(*flag)))
            .then(|| "ERR Replica can't interact with the keyspace".to_owned())
    }

    fn error(&self, client: &mut Client, out: &mut Out<'_>, text: &[u8]) {
        self.tally.errors.bump();
        self.calls.add_error(text);
        if client.wants_reply() {
            Encoder::new(out.tail(), client.protocol).error(text);
        }
    }

    /// How long this worker has just worked.
    #[inline(always)]
    fn lap_ns(&self, watch: &mut Stopwatch) -> u64 {
        let ns = watch.lap_ns();
        self.calls.kept_for(ns);
        ns
    }

    /// Counts a command that was executed; notes it if it was slow.
    #[inline(always)]
    fn count(
        &self,
        Request { resolved, args, now_ms, worked_ns, .. }: Request<'_>,
        client: &Client,
        has_failed: bool,
        watch: &mut Stopwatch,
    ) {
        let took_ns = worked_ns + self.lap_ns(watch);
        if client.is_in_multi() && !resolved.spec.flags.has(Flags::AT_ONCE) {
            // It was queued, and is counted once it is executed; or it cannot be.
            if has_failed {
                self.calls.add_rejected(args);
            }
            return;
        }
        self.instance.note_if_slow(resolved, args, took_ns, &client.info, now_ms);
        self.calls.add(resolved, took_ns, has_failed);
    }
}
