//! The service under test: a line protocol with everything a service can do; and a client for it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use modb_net::{
    Address, Builder, CloseReason, Connections, Flow, Handle, In, Limits, Opening, Out, Peer, Release, Seq,
    Server, Service, Token, Turn, WorkerContext,
};

/// Longer than anything here takes: a test that waits for it has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// What the tests see of all workers together.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) opened: AtomicU64,
    pub(crate) closed: AtomicU64,
    pub(crate) moved: AtomicU64,
    pub(crate) stalls: AtomicU64,
    /// Sessions that have answered that they wait.
    pub(crate) blocked: AtomicU64,
    /// Messages that reached the connection they were for, and those that came back.
    pub(crate) delivered: AtomicU64,
    pub(crate) undelivered: AtomicU64,
    /// Of all connections, in the order in which they came.
    pub(crate) addresses: std::sync::Mutex<Vec<Address>>,
    /// The commit up to which replies may leave.
    pub(crate) committed: AtomicU64,
    reasons: std::sync::Mutex<Vec<CloseReason>>,
}

impl Ledger {
    pub(crate) fn reasons(&self) -> Vec<CloseReason> {
        self.reasons.lock().unwrap().clone()
    }
}

#[derive(Default)]
pub(crate) struct Lines {
    ledger: Arc<Ledger>,
}

#[derive(Default)]
pub(crate) struct Session {
    bytes_left: usize,
    count: u64,
    pinned: bool,
}

impl Service for Lines {
    type Session = Session;
    type Message = String;

    fn open(&mut self, conn: Handle<'_>, _: &Peer, _: &mut Out<'_>, _: &Turn<'_, Self>) -> Opening<Session> {
        self.ledger.addresses.lock().unwrap().push(conn.address());
        self.ledger.opened.fetch_add(1, SeqCst);
        Opening::Serve(Session::default())
    }

    fn on_input(
        &mut self,
        _: Handle<'_>,
        session: &mut Session,
        input: &mut In<'_>,
        out: &mut Out<'_>,
        turn: &Turn<'_, Self>,
    ) -> Flow {
        loop {
            while session.bytes_left > 0 {
                if out.is_full() {
                    return Flow::Yield;
                }
                let piece = session.bytes_left.min(16 << 10);
                session.bytes_left -= piece;
                let end = if session.bytes_left == 0 { b'\n' } else { b'#' };
                out.tail().extend(std::iter::repeat_n(b'#', piece - 1));
                out.tail().push(end);
            }
            let bytes = input.bytes();
            let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else { return Flow::NeedInput };
            let line = std::str::from_utf8(&bytes[..end]).unwrap();
            input.consume(end + 1);
            let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
            let mut say = |text: &str| {
                out.tail().extend_from_slice(text.as_bytes());
                out.tail().push(b'\n');
            };
            match verb {
                "echo" => say(rest),
                "where" => say(&turn.worker.to_string()),
                "count" => {
                    session.count += 1;
                    say(&session.count.to_string());
                }
                "pin" => {
                    session.pinned = true;
                    say("pinned");
                }
                "large" => session.bytes_left = rest.parse().unwrap(),
                "hold" => {
                    out.hold_until(Seq(rest.parse().unwrap()));
                    out.tail().extend_from_slice(b"held\n");
                }
                "post" => {
                    let (worker, text) = rest.split_once(' ').unwrap();
                    let sent = turn.workers.post(worker.parse().unwrap(), format!("{text}\n"));
                    say(if sent.is_ok() { "posted" } else { "undelivered" });
                }
                // As no service should: it keeps its worker.
                "stall" => {
                    self.ledger.stalls.fetch_add(1, SeqCst);
                    while self.ledger.committed.load(SeqCst) < rest.parse().unwrap() {
                        std::thread::yield_now();
                    }
                }
                "block" => {
                    self.ledger.blocked.fetch_add(1, SeqCst);
                    return Flow::Blocked;
                }
                "quit" => {
                    say("bye");
                    return Flow::Close;
                }
                "panic" => panic!("a client asked for it"),
                other => panic!("no such line: {other}"),
            }
        }
    }

    fn on_message(
        &mut self,
        message: String,
        to: Option<Token>,
        connections: &mut dyn Connections<Session>,
        _: &Turn<'_, Self>,
    ) {
        if let Some(token) = to {
            let (_, mut out) = connections.get(token).expect("it is told of those that are there");
            out.tail().extend_from_slice(message.as_bytes());
            self.ledger.delivered.fetch_add(1, SeqCst);
            return;
        }
        connections.for_each(&mut |_, _, mut out| out.tail().extend_from_slice(message.as_bytes()));
    }

    fn on_undelivered(&mut self, _: String, _: &Turn<'_, Self>) {
        self.ledger.undelivered.fetch_add(1, SeqCst);
    }

    fn end_turn(&mut self, _: &Turn<'_, Self>) -> Release {
        Release::Upto(Seq(self.ledger.committed.load(SeqCst)))
    }

    fn may_move(&self, session: &Session) -> bool {
        !session.pinned
    }

    fn on_moved_here(&mut self, _: Handle<'_>, _: &mut Session, _: &Turn<'_, Self>) {
        self.ledger.moved.fetch_add(1, SeqCst);
    }

    fn on_close(&mut self, _: Token, _: Session, reason: CloseReason, _: &Turn<'_, Self>) {
        self.ledger.closed.fetch_add(1, SeqCst);
        self.ledger.reasons.lock().unwrap().push(reason);
    }
}

/// A running server, and what it writes down.
pub(crate) struct Running {
    pub(crate) server: Server<String>,
    pub(crate) ledger: Arc<Ledger>,
}

/// The defaults, but without a second of patience for clients that are still there when the test ends.
pub(crate) fn limits() -> Limits {
    Limits { linger_timeout: Duration::from_millis(100), ..Limits::default() }
}

pub(crate) fn start(workers: usize, limits: Limits) -> Running {
    start_with(Server::builder().workers(workers).limits(limits).refuse_with(|_| b"full\n".to_vec()))
}

pub(crate) fn start_with(builder: Builder) -> Running {
    start_service(builder, |_| {})
}

/// `each` sees every worker's context on its thread.
pub(crate) fn start_service(
    builder: Builder,
    each: impl Fn(&WorkerContext<String>) + Send + Sync + 'static,
) -> Running {
    let ledger = Arc::new(Ledger::default());
    let for_workers = ledger.clone();
    let server = builder
        .listen(TcpListener::bind("127.0.0.1:0").unwrap())
        .start(move |context| {
            each(&context);
            Lines { ledger: for_workers.clone() }
        })
        .unwrap();
    Running { server, ledger }
}

impl Running {
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.local_addrs()[0]
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    pub(crate) fn end(self) {
        self.server.shutdown();
        self.server.join().unwrap();
    }

    /// Turns of all workers so far.
    pub(crate) fn turns(&self) -> u64 {
        let workers = self.server.workers();
        (0..workers.count()).map(|worker| workers.stats(worker).turns).sum()
    }

    /// Waits for something that the server does by itself.
    pub(crate) fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        wait_until(what, || condition(self));
    }

    /// Waits until a client that reads nothing has got all that its buffers take: until then each piece of it is a turn.
    pub(crate) fn until_buffers_are_full(&self) {
        let mut client = self.connect();
        let sent_by_ten_questions = |client: &mut Client| {
            let before = self.server.workers().stats(0).bytes_out;
            for _ in 0..10 {
                client.ask("echo x");
            }
            self.server.workers().stats(0).bytes_out - before
        };
        let end = Instant::now() + DEADLINE;
        // Answers only; the count of a turn may come a moment after its answer.
        while sent_by_ten_questions(&mut client) > 100 {
            assert!(Instant::now() < end, "the client takes more and more");
        }
    }

    /// No loop turns without a reason: a hundred questions, asked elsewhere, cost a turn each, and a few for
    /// whatever else came to its end meanwhile; a spin makes as many as the processor can.
    pub(crate) fn assert_no_spin(&self) {
        let mut client = self.connect();
        client.ask("echo warm");
        let before = self.turns();
        for _ in 0..100 {
            client.ask("echo x");
        }
        let turns = self.turns() - before;
        assert!(turns <= 130, "{turns} turns for 100 requests");
    }
}

/// Waits for something that another thread does.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        Self { stream, reader }
    }

    pub(crate) fn send(&mut self, lines: &str) {
        self.stream.write_all(format!("{lines}\n").as_bytes()).unwrap();
    }

    /// The next line, without its end; empty at the end of the stream.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.line()
    }

    /// Everything until the server closes.
    pub(crate) fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut self.reader, &mut rest).unwrap();
        rest
    }

    /// Ends the connection with a reset, which also leaves no port in TIME_WAIT.
    pub(crate) fn reset(self) {
        let socket = socket2::Socket::from(self.reader.into_inner());
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
}
