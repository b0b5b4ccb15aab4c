//! Turns of a core over sockets that are scripts: no thread, no clock, no system.

mod any;
mod drift;
mod ends;
mod fake;
mod flow;
mod holds;
mod hooks;
mod line;
mod memory;
mod slow;
mod times;

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::*;
use crate::connection::budget::Account;
use crate::connection::conn::{Conn, Share, Then};
use crate::connection::counts::AcceptorStats;
use crate::connection::io::{Handle, In, Out};
use crate::connection::lane::{Room, Tell};
use crate::connection::seat::{Address, Admission, Seat};
use crate::connection::service::{Flow, Holdings, Opening, OutputLimits};
use crate::connection::workers::{Control, Counts, JoinError, Joining, Messages, Undelivered};
use crate::system::peer::Peer;
use crate::system::poll::{Event, Interest};
use fake::{Fake, Wire};

/// A line protocol with everything that a service can do.
#[derive(Default)]
struct Lines {
    release: Rc<Cell<Option<Release>>>,
    end_turns: Rc<Cell<u64>>,
    closed: Rc<std::cell::RefCell<Vec<CloseReason>>>,
    refuse: Rc<Cell<bool>>,
    timer: Rc<Cell<Option<Instant>>>,
    /// Who has just said its last.
    last: Option<Token>,
    /// Connections that could not be opened: for what, and why.
    failed: Rc<std::cell::RefCell<Vec<(&'static str, ErrorKind)>>>,
    limits: Rc<Cell<OutputLimits>>,
    /// What connections were last said to hold.
    held: Rc<Cell<Holdings>>,
    /// What another worker counts of a connection that ends while this one looks whom to close.
    ends_meanwhile: Rc<Cell<Option<Account>>>,
}

/// What is left of a large reply.
#[derive(Default, Debug)]
struct Reply {
    bytes_left: usize,
    /// A request was parked, and runs when it is shown again.
    parked: bool,
    /// It was filled, and says so when it has drained.
    filled: bool,
    /// Its alarm wants to come again at once.
    ticks: bool,
    /// What it says it holds, in bytes.
    kept: usize,
    /// It has asked to wait.
    at_will: bool,
    /// It has asked not to be closed for what it holds.
    stays: bool,
}

/// To a connection: go on, or close.
enum Post {
    Resume(Token),
    Close(Token),
    Say(&'static str),
    /// Write until the output is full.
    Fill(Token),
}

impl Service for Lines {
    type Session = Reply;
    type Message = Post;

    fn open(&mut self, _: Handle<'_>, _: &Peer, out: &mut Out<'_>, _: &Turn<'_, Self>) -> Opening<Reply> {
        if self.refuse.get() {
            out.tail().extend_from_slice(b"full\n");
            return Opening::Refused;
        }
        Opening::Serve(Reply::default())
    }

    fn open_with(
        &mut self,
        purpose: Post,
        _: Handle<'_>,
        _: &Peer,
        out: &mut Out<'_>,
        _: &Turn<'_, Self>,
    ) -> Opening<Reply> {
        if let Post::Say(text) = purpose {
            out.tail().extend_from_slice(text.as_bytes());
        }
        Opening::Serve(Reply::default())
    }

    fn on_connect_failed(&mut self, purpose: Post, _: SocketAddr, error: io::Error, _: &Turn<'_, Self>) {
        if let Post::Say(text) = purpose {
            self.failed.borrow_mut().push((text, error.kind()));
        }
    }

    fn on_drained(&mut self, _: Handle<'_>, reply: &mut Reply, out: &mut Out<'_>, _: &Turn<'_, Self>) {
        if std::mem::take(&mut reply.filled) {
            out.tail().extend_from_slice(b"drained\n");
        }
    }

    fn on_input(
        &mut self,
        conn: Handle<'_>,
        reply: &mut Reply,
        input: &mut In<'_>,
        out: &mut Out<'_>,
        turn: &Turn<'_, Self>,
    ) -> Flow {
        loop {
            while reply.bytes_left > 0 {
                if out.is_full() {
                    return Flow::Yield;
                }
                let piece = reply.bytes_left.min(100);
                out.tail().extend(std::iter::repeat_n(b'#', piece));
                reply.bytes_left -= piece;
            }
            let Some(end) = input.bytes().iter().position(|&byte| byte == b'\n') else {
                return Flow::NeedInput;
            };
            let line = String::from_utf8(input.bytes()[..end].to_vec()).unwrap();
            let whole = end + 1;
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            // What waits is not consumed, and executed when it goes on.
            match verb {
                "park" if !std::mem::replace(&mut reply.parked, true) => return Flow::Parked,
                "stay" => return Flow::Blocked,
                "grow" if !out.reserve_to_keep(rest.parse().unwrap()) => return Flow::AwaitRoom,
                "both" if !rest.split(' ').all(|part| out.reserve_to_keep(part.parse().unwrap())) => {
                    return Flow::AwaitRoom;
                }
                "value" | "mute" if !out.reserve(rest.parse().unwrap()) => return Flow::AwaitRoom,
                _ => input.consume(whole),
            }
            match verb {
                "" | "mute" => {}
                "echo" => out.tail().extend_from_slice(format!("{rest}\n").as_bytes()),
                "long" => {
                    out.tail().extend_from_slice(b"x\n");
                    return Flow::Yield;
                }
                "hold" => {
                    let (seq, text) = rest.split_once(' ').unwrap();
                    out.hold_until(Seq(seq.parse().unwrap()));
                    out.tail().extend_from_slice(format!("{text}\n").as_bytes());
                }
                "large" => reply.bytes_left = rest.parse().unwrap(),
                "monster" => out.tail().extend(std::iter::repeat_n(b'#', rest.parse().unwrap())),
                "block" => return Flow::Blocked,
                "will" => {
                    reply.at_will = true;
                    return Flow::Blocked;
                }
                "park" => {
                    reply.parked = false;
                    out.tail().extend_from_slice(b"ran\n");
                }
                "leave" => return Flow::HandOut,
                "stays" => reply.stays = true,
                "keep" => reply.kept = rest.parse().unwrap(),
                "grow" => {
                    reply.kept += rest.parse::<usize>().unwrap();
                    out.tail().extend_from_slice(b"grown\n");
                }
                "both" => out.tail().extend_from_slice(b"both\n"),
                "panic" => panic!("a client asked for it"),
                "tick" => {
                    reply.ticks = true;
                    conn.set_alarm(turn.now);
                }
                "alarm" => conn.set_alarm(turn.now + Duration::from_secs(rest.parse().unwrap())),
                "value" => out.tail().extend(std::iter::repeat_n(b'#', rest.parse().unwrap())),
                "quit" => {
                    out.tail().extend_from_slice(b"bye\n");
                    return Flow::Close;
                }
                other => panic!("no such line: {other}"),
            }
        }
    }

    fn on_message(
        &mut self,
        message: Post,
        _: Option<Token>,
        connections: &mut dyn Connections<Reply>,
        _: &Turn<'_, Self>,
    ) {
        match message {
            Post::Resume(token) => {
                if let Some((_, mut out)) = connections.get(token) {
                    out.tail().extend_from_slice(b"resumed\n");
                }
                connections.resume(token);
            }
            Post::Close(token) => {
                connections.close(token);
            }
            Post::Fill(token) => {
                let Some((reply, mut out)) = connections.get(token) else { return };
                reply.filled = true;
                while !out.is_full() {
                    out.tail().extend_from_slice(&[b'#'; 100]);
                }
            }
            Post::Say(text) => {
                connections.for_each(&mut |_, _, mut out| out.tail().extend_from_slice(text.as_bytes()));
            }
        }
    }

    fn on_end(
        &mut self,
        _: Handle<'_>,
        _: &mut Reply,
        input: &mut In<'_>,
        out: &mut Out<'_>,
        _: &Turn<'_, Self>,
    ) -> Flow {
        if input.bytes() == b"go" {
            out.tail().extend_from_slice(b"gone\n");
            return Flow::Close;
        }
        while let [byte, ..] = *input.bytes()
            && byte == b'.'
        {
            input.consume(1);
            out.tail().extend_from_slice(&[b'#'; 100]);
        }
        Flow::NeedInput
    }

    fn on_alarm(&mut self, token: Token, connections: &mut dyn Connections<Reply>, turn: &Turn<'_, Self>) {
        let (reply, mut out) = connections.get(token).unwrap();
        out.tail().extend_from_slice(b"alarm\n");
        if reply.ticks {
            connections.set_alarm(token, turn.now);
        }
    }

    fn last_word(
        &mut self,
        token: Token,
        _: &mut Reply,
        reason: CloseReason,
        out: &mut Out<'_>,
        _: &Turn<'_, Self>,
    ) {
        self.last = Some(token);
        if matches!(reason, CloseReason::Idle | CloseReason::MemoryStall | CloseReason::CommitFailed) {
            out.tail().extend_from_slice(reason.name().as_bytes());
        }
    }

    fn next_timer(&self) -> Option<Instant> {
        self.timer.get()
    }

    fn on_timer(&mut self, connections: &mut dyn Connections<Reply>, _: &Turn<'_, Self>) {
        self.timer.set(None);
        connections.for_each(&mut |_, _, mut out| out.tail().extend_from_slice(b"ding\n"));
    }

    fn end_turn(&mut self, _: &Turn<'_, Self>) -> Release {
        self.end_turns.set(self.end_turns.get() + 1);
        self.release.get().unwrap_or(Release::Upto(Seq::ZERO))
    }

    fn waits_at_will(&self, reply: &Reply) -> bool {
        reply.at_will
    }

    fn output_limits(&self, _: &Reply) -> OutputLimits {
        self.limits.get()
    }

    fn session_bytes(&self, reply: &Reply) -> usize {
        reply.kept
    }

    fn kept_bytes(&self, reply: &Reply) -> usize {
        reply.kept
    }

    fn may_be_evicted(&self, reply: &Reply) -> bool {
        drop(self.ends_meanwhile.take());
        !reply.stays
    }

    fn on_held(&mut self, reply: &Reply, held: Holdings) {
        assert_eq!(held.session, reply.kept);
        self.held.set(held);
    }

    fn on_close(&mut self, token: Token, _: Reply, reason: CloseReason, _: &Turn<'_, Self>) {
        assert!(self.last.take().is_none_or(|last| last == token), "whoever says its last ends");
        self.closed.borrow_mut().push(reason);
    }
}

/// A worker's surroundings for a core that has none.
#[derive(Default)]
struct Alone(AtomicUsize);

impl Messages<Post> for Alone {
    fn post(&self, _: usize, message: Post) -> Result<(), Undelivered<Post>> {
        Err(Undelivered(message))
    }
    fn post_to(&self, _: &Address, message: Post, _: Option<usize>) -> Result<(), Undelivered<Post>> {
        Err(Undelivered(message))
    }
    fn reserve(&self, worker: usize, _: usize, _: &dyn Fn() -> Tell) -> Room {
        Room::nowhere(worker)
    }
    fn post_in(&self, _: Room, message: Post) -> Result<(), Undelivered<Post>> {
        Err(Undelivered(message))
    }
    fn resume(&self, _: &Address) {}
}

impl Joining<Post> for Alone {
    fn adopt(&self, _: socket2::Socket, _: Peer, _: Post) -> Result<(), JoinError> {
        Err(JoinError::NoWorker)
    }
    fn connect(&self, _: SocketAddr, _: Duration, _: Post) -> Result<(), JoinError> {
        Err(JoinError::NoWorker)
    }
}

impl Control for Alone {
    fn set_max_connections(&self, _: usize) {}
    fn set_max_memory_bytes(&self, _: usize) {}
    fn set_idle_timeout(&self, _: Option<Duration>) {}
    fn set_keep_alive(&self, _: Option<Duration>) {}
    fn drain(&self, _: usize, _: bool) {}
    fn move_away(&self, _: usize, _: usize) -> bool {
        false
    }
    fn shutdown(&self) {}
}

impl Counts for Alone {
    fn count(&self) -> usize {
        1
    }
    fn is_ending(&self) -> bool {
        false
    }
    fn connections(&self) -> usize {
        self.0.load(Relaxed)
    }
    fn max_connections(&self) -> usize {
        usize::MAX
    }
    fn load(&self, _: usize) -> usize {
        self.0.load(Relaxed)
    }
    fn memory_bytes(&self) -> usize {
        0
    }
    fn acceptor_stats(&self) -> AcceptorStats {
        AcceptorStats::default()
    }
    fn stats(&self, _: usize) -> WorkerStats {
        WorkerStats::default()
    }
    fn closed(&self, _: CloseReason) -> u64 {
        0
    }
}

/// A core, its time, and what a worker would know of the sockets.
struct Bench {
    worker: usize,
    core: Core<Lines, Fake>,
    now: Instant,
    release: Rc<Cell<Option<Release>>>,
    closed: Rc<std::cell::RefCell<Vec<CloseReason>>>,
    refuse: Rc<Cell<bool>>,
    timer: Rc<Cell<Option<Instant>>>,
    limits: Rc<Cell<OutputLimits>>,
    failed: Rc<std::cell::RefCell<Vec<(&'static str, ErrorKind)>>>,
    end_turns: Rc<Cell<u64>>,
    /// What the poller was told, in order.
    interests: Vec<(Token, Interest)>,
    gone: Vec<Token>,
    handed_out: Vec<Token>,
    /// What a worker would count, and how much of it was asked for.
    counted: Vec<CloseReason>,
    asked: usize,
    /// The poller does not let a socket go that is to be handed out.
    holds_on: bool,
    unread: Vec<u8>,
    alone: Alone,
    admission: Arc<Admission>,
    budget: Arc<Budget>,
}

fn small_limits() -> Limits {
    Limits {
        output_high_water_bytes: 1000,
        max_output_bytes: 10_000,
        max_input_bytes: 10_000,
        requests_per_turn: 10,
        read_bytes_per_turn: 4096,
        linger_bytes: 1000,
        linger_timeout: Duration::from_secs(1),
        closing_timeout: Duration::from_secs(10),
        shutdown_timeout: Duration::from_secs(10),
        ..Limits::default()
    }
}

impl Bench {
    fn new() -> Self {
        Self::with(small_limits())
    }

    fn with(limits: Limits) -> Self {
        let notifier = crate::system::notify::Notifier::new().unwrap();
        let budget = Arc::new(Budget::new(limits.max_memory_bytes, [notifier.waker(), notifier.waker()]));
        Self::of(0, limits, Arc::new(Admission::new(usize::MAX, 2)), budget)
    }

    /// One of two workers.
    fn of(worker: usize, limits: Limits, admission: Arc<Admission>, budget: Arc<Budget>) -> Self {
        let service = Lines::default();
        let now = Instant::now();
        Self {
            worker,
            release: service.release.clone(),
            closed: service.closed.clone(),
            refuse: service.refuse.clone(),
            timer: service.timer.clone(),
            limits: service.limits.clone(),
            failed: service.failed.clone(),
            end_turns: service.end_turns.clone(),
            core: Core::new(service, limits, budget.clone(), worker, now),
            admission,
            budget,
            now,
            interests: Vec::new(),
            gone: Vec::new(),
            handed_out: Vec::new(),
            counted: Vec::new(),
            asked: 0,
            holds_on: false,
            unread: Vec::new(),
            alone: Alone::default(),
        }
    }

    /// A new connection over a wire without limits.
    fn connect(&mut self) -> (Token, Wire) {
        let seat = self.admission.take(true).unwrap();
        self.connect_with(seat)
    }

    fn connect_with(&mut self, seat: Seat) -> (Token, Wire) {
        let (fake, wire) = fake::pair();
        let address = "127.0.0.1:1".parse().unwrap();
        let turn = Turn { now: self.now, worker: self.worker, workers: &self.alone };
        let peer = Peer::Tcp { remote: address, local: address };
        seat.assign(self.worker);
        (self.core.open(fake, &peer, None, seat, &turn).unwrap(), wire)
    }

    /// A connection that is being opened from here for `purpose`, within ten seconds.
    fn open_outward(&mut self, purpose: &'static str) -> (Token, Wire) {
        let seat = self.admission.take(true).unwrap();
        self.open_outward_with(seat, purpose)
    }

    fn open_outward_with(&mut self, seat: Seat, purpose: &'static str) -> (Token, Wire) {
        let (fake, wire) = fake::pair();
        let turn = Turn { now: self.now, worker: self.worker, workers: &self.alone };
        seat.assign(self.worker);
        let (remote, deadline) = ("192.0.2.1:1".parse().unwrap(), self.now + Duration::from_secs(10));
        let token = self.core.connecting(fake, remote, Post::Say(purpose), seat, deadline, &turn);
        (token.unwrap(), wire)
    }

    /// A turn in which these events are reported.
    fn turn(&mut self, events: &[Event]) {
        self.turn_with(events, []);
    }

    fn turn_with(&mut self, events: &[Event], messages: impl IntoIterator<Item = Post>) {
        let turn = Turn { now: self.now, worker: self.worker, workers: &self.alone };
        self.core.begin(&turn);
        for message in messages {
            self.core.message(message, None, &turn);
        }
        for event in events {
            self.core.event(*event, &turn);
        }
        self.core.run_ready(&turn);
        self.core.timers(&turn);
        self.core.finish(&turn);
        for action in std::mem::take(self.core.actions()) {
            match action {
                Action::Modify(token, interest) => self.interests.push((token, interest)),
                Action::Close(token, ..) => self.gone.push(token),
                Action::HandOut(token, _, leaving) if self.holds_on => {
                    self.core.not_handed_out(token, leaving.session, &turn);
                }
                Action::HandOut(token, _, leaving) => {
                    self.handed_out.push(token);
                    self.unread.clone_from(&leaving.unread);
                    let (socket, _) = crate::system::socketpair::pair().unwrap();
                    let Leaving { session, unread, .. } = *leaving;
                    self.core.handed_out(token, HandedOut { session, socket, unread }, &turn);
                }
            }
        }
        self.count();
    }

    /// Lets `bytes` arrive and reports them.
    fn send(&mut self, token: Token, wire: &Wire, bytes: &str) {
        wire.arrive(bytes.as_bytes());
        self.turn(&[readable(token)]);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.turn(&[]);
    }

    fn interest(&self, token: Token) -> Interest {
        self.core.interest(token)
    }

    fn closed(&self) -> Vec<CloseReason> {
        self.closed.borrow().clone()
    }

    /// What a worker would count, since this was last asked.
    fn counted(&mut self) -> Vec<CloseReason> {
        self.counted[std::mem::replace(&mut self.asked, self.counted.len())..].to_vec()
    }

    /// What is counted is what was told, but for those of whom nobody is told, or in another way.
    fn count(&mut self) {
        self.counted.extend(self.core.take_closed());
        let in_silence = [CloseReason::Refused, CloseReason::ConnectFailed, CloseReason::HandedOut];
        let told = self.counted.iter().filter(|reason| !in_silence.contains(reason));
        assert!(told.eq(self.closed.borrow().iter()), "{:?} counted, {:?} told", self.counted, self.closed);
    }
}

fn event(token: Token, readable: bool, writable: bool, broken: bool) -> Event {
    Event { key: token.key(), readable, writable, error: broken, hangup: broken }
}

fn readable(token: Token) -> Event {
    event(token, true, false, false)
}

fn writable(token: Token) -> Event {
    event(token, false, true, false)
}

fn broken(token: Token) -> Event {
    event(token, true, true, true)
}
