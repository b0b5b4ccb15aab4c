//! Turns of a core over sockets that are scripts: no thread, no clock, no system.

mod any;
mod ends;
mod fake;
mod flow;
mod holds;
mod times;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::*;
use crate::poll::{Event, Interest};
use crate::{AcceptorStats, Connections, Flow, In, Undelivered, Workers};
use fake::{Fake, Wire};

/// A line protocol with everything that a service can do.
#[derive(Default)]
struct Lines {
    release: Rc<Cell<Option<Release>>>,
    end_turns: Rc<Cell<u64>>,
    closed: Rc<std::cell::RefCell<Vec<CloseReason>>>,
    refuse: Rc<Cell<bool>>,
    timer: Rc<Cell<Option<Instant>>>,
}

/// What is left of a large reply.
#[derive(Default, Debug)]
struct Reply {
    bytes_left: usize,
}

/// To a connection: go on, or close.
enum Post {
    Resume(Token),
    Close(Token),
    Say(&'static str),
}

impl Service for Lines {
    type Session = Reply;
    type Message = Post;

    fn open(&mut self, _: Token, _: Peer, out: &mut Out<'_>, _: &Turn<'_, Self>) -> Opening<Reply> {
        if self.refuse.get() {
            out.buffer().extend_from_slice(b"full\n");
            return Opening::Refused;
        }
        Opening::Serve(Reply::default())
    }

    fn on_input(
        &mut self,
        reply: &mut Reply,
        input: &mut In<'_>,
        out: &mut Out<'_>,
        _: &Turn<'_, Self>,
    ) -> Flow {
        loop {
            while reply.bytes_left > 0 {
                if out.is_full() {
                    return Flow::Yield;
                }
                let piece = reply.bytes_left.min(100);
                out.buffer().extend(std::iter::repeat_n(b'#', piece));
                reply.bytes_left -= piece;
            }
            let Some(end) = input.bytes().iter().position(|&byte| byte == b'\n') else {
                return Flow::NeedInput;
            };
            if !input.spend() {
                return Flow::Yield;
            }
            let line = String::from_utf8(input.bytes()[..end].to_vec()).unwrap();
            input.consume(end + 1);
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match verb {
                "echo" => out.buffer().extend_from_slice(format!("{rest}\n").as_bytes()),
                "hold" => {
                    let (seq, text) = rest.split_once(' ').unwrap();
                    out.hold_until(Seq(seq.parse().unwrap()));
                    out.buffer().extend_from_slice(format!("{text}\n").as_bytes());
                }
                "large" => reply.bytes_left = rest.parse().unwrap(),
                "monster" => out.buffer().extend(std::iter::repeat_n(b'#', rest.parse().unwrap())),
                "block" => return Flow::Blocked,
                "quit" => {
                    out.buffer().extend_from_slice(b"bye\n");
                    return Flow::Close;
                }
                other => panic!("no such line: {other}"),
            }
        }
    }

    fn on_message(&mut self, message: Post, connections: &mut dyn Connections<Reply>, _: &Turn<'_, Self>) {
        match message {
            Post::Resume(token) => {
                if let Some((_, mut out)) = connections.get(token) {
                    out.buffer().extend_from_slice(b"resumed\n");
                }
                connections.resume(token);
            }
            Post::Close(token) => {
                connections.close(token);
            }
            Post::Say(text) => {
                connections.for_each(&mut |_, _, mut out| out.buffer().extend_from_slice(text.as_bytes()));
            }
        }
    }

    fn next_timer(&self) -> Option<Instant> {
        self.timer.get()
    }

    fn on_timer(&mut self, connections: &mut dyn Connections<Reply>, _: &Turn<'_, Self>) {
        self.timer.set(None);
        connections.for_each(&mut |_, _, mut out| out.buffer().extend_from_slice(b"ding\n"));
    }

    fn end_turn(&mut self, _: &Turn<'_, Self>) -> Release {
        self.end_turns.set(self.end_turns.get() + 1);
        self.release.get().unwrap_or(Release::Upto(Seq::ZERO))
    }

    fn on_close(&mut self, _: Reply, reason: CloseReason, _: &Turn<'_, Self>) {
        self.closed.borrow_mut().push(reason);
    }
}

/// A worker's surroundings for a core that has none.
#[derive(Default)]
struct Alone(AtomicUsize);

impl Workers<Post> for Alone {
    fn count(&self) -> usize {
        1
    }
    fn post(&self, _: usize, message: Post) -> Result<(), Undelivered<Post>> {
        Err(Undelivered(message))
    }
    fn connections(&self) -> usize {
        self.0.load(Relaxed)
    }
    fn set_max_connections(&self, _: usize) {}
    fn max_connections(&self) -> usize {
        usize::MAX
    }
    fn set_idle_timeout(&self, _: Option<Duration>) {}
    fn drain(&self, _: usize, _: bool) {}
    fn move_away(&self, _: usize, _: usize) -> bool {
        false
    }
    fn acceptor_stats(&self) -> AcceptorStats {
        AcceptorStats::default()
    }
    fn stats(&self, _: usize) -> WorkerStats {
        WorkerStats::default()
    }
    fn shutdown(&self) {}
}

/// A core, its time, and what a worker would know of the sockets.
struct Bench {
    core: Core<Lines, Fake>,
    now: Instant,
    release: Rc<Cell<Option<Release>>>,
    closed: Rc<std::cell::RefCell<Vec<CloseReason>>>,
    refuse: Rc<Cell<bool>>,
    timer: Rc<Cell<Option<Instant>>>,
    end_turns: Rc<Cell<u64>>,
    /// What the poller was told, in order.
    interests: Vec<(Token, Interest)>,
    gone: Vec<Token>,
    alone: Alone,
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
        shutdown_timeout: Duration::from_secs(10),
        ..Limits::default()
    }
}

impl Bench {
    fn new() -> Self {
        Self::with(small_limits())
    }

    fn with(limits: Limits) -> Self {
        let service = Lines::default();
        let now = Instant::now();
        Self {
            release: service.release.clone(),
            closed: service.closed.clone(),
            refuse: service.refuse.clone(),
            timer: service.timer.clone(),
            end_turns: service.end_turns.clone(),
            core: Core::new(service, limits, now),
            now,
            interests: Vec::new(),
            gone: Vec::new(),
            alone: Alone::default(),
        }
    }

    /// A new connection over a wire without limits.
    fn connect(&mut self) -> (Token, Wire) {
        let (fake, wire) = fake::pair();
        let address = "127.0.0.1:1".parse().unwrap();
        let turn = Turn { now: self.now, worker: 0, workers: &self.alone };
        let peer = Peer { remote: address, local: address };
        (self.core.open(fake, peer, &turn).unwrap(), wire)
    }

    /// A turn in which these events are reported.
    fn turn(&mut self, events: &[Event]) {
        self.turn_with(events, []);
    }

    fn turn_with(&mut self, events: &[Event], messages: impl IntoIterator<Item = Post>) {
        let turn = Turn { now: self.now, worker: 0, workers: &self.alone };
        for event in events {
            self.core.event(*event, &turn);
        }
        self.core.run_ready(&turn);
        for message in messages {
            self.core.message(message, &turn);
        }
        self.core.timers(&turn);
        self.core.finish(&turn);
        for action in self.core.actions().drain(..) {
            match action {
                Action::Modify(token, interest) => self.interests.push((token, interest)),
                Action::Close(token, _) => self.gone.push(token),
            }
        }
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
