//! How connections come and go besides being accepted and closed: adopted, opened from here, handed out, over a Unix-domain
//! socket; and who is told when the server ends first.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use modb_net::{
    Address, Builder, CloseReason, Flow, HandedOut, Handle, In, Limits, Opening, Out, Peer, Server, Service,
    Socket, Token, Turn,
};

use crate::lines::{self, Client, DEADLINE};

/// What a service was told.
#[derive(Debug)]
enum Told {
    Opened(Address, Peer, Option<&'static str>),
    NotOpened(&'static str, ErrorKind),
    Message(&'static str),
    Undelivered(&'static str),
    HandedOut(Socket, Vec<u8>),
    Closed(CloseReason),
}

/// A line protocol for it.
struct Ways {
    told: Sender<Told>,
    gate: Arc<Gate>,
}

/// Where a worker stands still, as no service should.
#[derive(Default)]
struct Gate {
    reached: AtomicBool,
    open: AtomicBool,
}

impl Ways {
    fn tell(&self, told: Told) {
        // The test may be over.
        let _ = self.told.send(told);
    }
}

impl Service for Ways {
    type Session = ();
    type Message = &'static str;

    fn open(&mut self, conn: Handle<'_>, peer: &Peer, _: &mut Out<'_>, _: &Turn<'_, Self>) -> Opening<()> {
        self.tell(Told::Opened(conn.address(), peer.clone(), None));
        Opening::Serve(())
    }

    fn open_with(
        &mut self,
        purpose: &'static str,
        conn: Handle<'_>,
        peer: &Peer,
        out: &mut Out<'_>,
        _: &Turn<'_, Self>,
    ) -> Opening<()> {
        out.tail().extend_from_slice(format!("for {purpose}\n").as_bytes());
        self.tell(Told::Opened(conn.address(), peer.clone(), Some(purpose)));
        Opening::Serve(())
    }

    fn on_input(
        &mut self,
        conn: Handle<'_>,
        (): &mut (),
        input: &mut In<'_>,
        out: &mut Out<'_>,
        turn: &Turn<'_, Self>,
    ) -> Flow {
        while let Some(end) = input.bytes().iter().position(|&byte| byte == b'\n') {
            let line = String::from_utf8(input.bytes()[..end].to_vec()).unwrap();
            input.consume(end + 1);
            match line.as_str() {
                "leave" => return Flow::HandOut,
                "quit" => return Flow::Close,
                "block" => return Flow::Blocked,
                // Whoever would resume it is faster than the answer.
                "hurry" => {
                    turn.workers.resume(&conn.address());
                    return Flow::Blocked;
                }
                "stand still" => {
                    self.gate.reached.store(true, SeqCst);
                    while !self.gate.open.load(SeqCst) {
                        std::thread::yield_now();
                    }
                }
                "panic" => panic!("a client asked for it"),
                _ => out.tail().extend_from_slice(format!("{line}\n").as_bytes()),
            }
        }
        Flow::NeedInput
    }

    fn on_message(
        &mut self,
        message: &'static str,
        _: Option<Token>,
        _: &mut dyn modb_net::Connections<()>,
        _: &Turn<'_, Self>,
    ) {
        self.tell(Told::Message(message));
    }

    fn on_undelivered(&mut self, message: &'static str, _: &Turn<'_, Self>) {
        self.tell(Told::Undelivered(message));
    }

    fn on_connect_failed(
        &mut self,
        purpose: &'static str,
        _: SocketAddr,
        error: std::io::Error,
        _: &Turn<'_, Self>,
    ) {
        self.tell(Told::NotOpened(purpose, error.kind()));
    }

    fn on_handed_out(&mut self, _: Token, out: HandedOut<()>, _: &Turn<'_, Self>) {
        self.tell(Told::HandedOut(out.socket, out.unread));
    }

    fn on_close(&mut self, _: Token, (): (), reason: CloseReason, _: &Turn<'_, Self>) {
        self.tell(Told::Closed(reason));
    }
}

struct Running {
    server: Server<&'static str>,
    told: Receiver<Told>,
    gate: Arc<Gate>,
}

fn start(builder: Builder) -> Running {
    let (sender, told) = mpsc::channel();
    let (sender, gate) = (Mutex::new(sender), Arc::new(Gate::default()));
    let for_workers = gate.clone();
    let server = builder
        .start(move |_| Ways { told: sender.lock().unwrap().clone(), gate: for_workers.clone() })
        .unwrap();
    Running { server, told, gate }
}

/// One worker that listens on a port of its own.
fn start_one(limits: Limits) -> Running {
    start(Server::builder().workers(1).limits(limits).listen(TcpListener::bind("127.0.0.1:0").unwrap()))
}

impl Running {
    fn connect(&self) -> Client {
        Client::connect(self.server.local_addrs()[0])
    }

    fn next(&self) -> Told {
        self.told.recv_timeout(DEADLINE).expect("something is told")
    }

    /// The address of the connection that has just come.
    fn opened(&self) -> Address {
        match self.next() {
            Told::Opened(address, ..) => address,
            other => panic!("{other:?}"),
        }
    }

    /// The worker of `client` stands still from now on.
    fn stand_still(&self, client: &mut Client) {
        client.send("stand still");
        lines::wait_until("it stands still", || self.gate.reached.load(SeqCst));
    }

    fn go_on(&self) {
        self.gate.open.store(true, SeqCst);
    }

    /// What a worker was told in all, once the server has ended.
    fn end(self) -> Vec<Told> {
        self.server.shutdown();
        let _ = self.server.join();
        self.told.iter().collect()
    }

    /// The server's end of a connection.
    fn handed_out(&self, client: &mut Client) -> Socket {
        client.send("leave");
        loop {
            if let Told::HandedOut(socket, _) = self.next() {
                return socket;
            }
        }
    }
}

fn undelivered(told: &[Told]) -> Vec<&'static str> {
    let mut texts: Vec<_> = told
        .iter()
        .filter_map(|told| match told {
            Told::Undelivered(text) => Some(*text),
            _ => None,
        })
        .collect();
    texts.sort_unstable();
    texts
}

#[test]
fn every_connection_has_the_options_that_are_in_force_when_it_is_accepted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It waits already when the server starts, so it cannot have inherited anything.
    let mut early = Client::connect(address);
    let limits = Limits { keep_alive: Some(Duration::from_secs(77)), ..lines::limits() };
    let running = start(Server::builder().workers(1).limits(limits).listen(listener));
    let options = |client: &mut Client| {
        let socket = running.handed_out(client);
        (socket.keepalive().unwrap(), socket.tcp_nodelay().unwrap())
    };
    assert_eq!(options(&mut early), (true, true));
    assert_eq!(options(&mut running.connect()), (true, true));
    for after in [None, Some(Duration::from_millis(1)), None, Some(Duration::MAX)] {
        running.server.workers().set_keep_alive(after);
        for _ in 0..2 {
            assert_eq!(options(&mut running.connect()), (after.is_some(), true), "{after:?}");
        }
    }
    running.end();
}

#[test]
fn a_socket_that_leaves_brings_what_was_not_read_and_its_seat_is_free() {
    let running = start_one(lines::limits());
    let mut client = running.connect();
    let address = running.opened();
    running.server.workers().post_to(&address, "a message", None).unwrap();
    assert!(matches!(running.next(), Told::Message("a message")));
    client.send("one\nleave\nand then");
    let (mut socket, unread) = match running.next() {
        Told::HandedOut(socket, unread) => (socket, unread),
        other => panic!("{other:?}"),
    };
    assert_eq!(client.line(), "one", "all that was written is sent before");
    assert_eq!(unread, b"and then\n");
    lines::wait_until("its seat is free", || running.server.workers().connections() == 0);
    assert!(address.is_gone() && running.server.workers().post_to(&address, "late", None).is_err());
    // It is a plain socket now, and outlives the server.
    running.end();
    socket.set_nonblocking(false).unwrap();
    socket.write_all(b"hello\n").unwrap();
    assert_eq!(client.line(), "hello");
}

#[test]
fn a_socket_that_was_adopted_is_a_connection_like_all_others() {
    let running = start_one(Limits { max_connections: 2, ..lines::limits() });
    let workers = running.server.workers();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let pair = || {
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, remote) = listener.accept().unwrap();
        let local = far.local_addr().unwrap();
        (Client::over(near), Socket::from(far), Peer::Tcp { remote, local })
    };
    let (mut one, socket, peer) = pair();
    workers.adopt(socket, peer.clone(), "one").unwrap();
    assert_eq!(one.line(), "for one");
    assert_eq!(one.ask("hello"), "hello");
    assert!(matches!(running.next(), Told::Opened(_, from, Some("one")) if from == peer));
    let (_two, socket, peer) = pair();
    workers.adopt(socket, peer, "two").unwrap();
    let (three, socket, peer) = pair();
    assert!(matches!(workers.adopt(socket, peer, "three"), Err(modb_net::JoinError::NoSeat)));
    assert_eq!((three.rest(), workers.connections()), (vec![], 2), "the socket is closed");
    let socket = loop {
        one.send("leave");
        if let Told::HandedOut(socket, _) = running.next() {
            break socket;
        }
    };
    assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
    running.end();
}

#[test]
fn a_connection_is_opened_from_here_or_it_is_told_why_not() {
    let running = start_one(lines::limits());
    let workers = running.server.workers();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    workers.connect(address, DEADLINE, "here").unwrap();
    let mut far = Client::over(listener.accept().unwrap().0);
    assert_eq!(far.line(), "for here");
    assert_eq!(far.ask("hello"), "hello");
    assert!(
        matches!(running.next(), Told::Opened(_, Peer::Tcp { remote, .. }, Some("here")) if remote == address)
    );
    // Nobody listens any more.
    drop(listener);
    match workers.connect(address, DEADLINE, "nowhere") {
        Ok(()) => assert!(matches!(running.next(), Told::NotOpened("nowhere", ErrorKind::ConnectionRefused))),
        // Where the system knows at once.
        Err(error) => assert!(matches!(error, modb_net::JoinError::System(_))),
    }
    lines::wait_until("its seat is free", || workers.connections() == 1);
    workers.set_max_connections(1);
    assert!(matches!(workers.connect(address, DEADLINE, "no"), Err(modb_net::JoinError::NoSeat)));
    running.end();
}

#[test]
fn a_connection_that_is_never_answered_is_given_up_at_its_deadline() {
    let running = start_one(lines::limits());
    let workers = running.server.workers();
    // A listener without room: Linux drops what comes when its backlog is full.
    let full = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    full.listen(0).unwrap();
    let address = full.local_addr().unwrap().as_socket().unwrap();
    if std::env::consts::OS != "linux" {
        return println!("not tried: this system has no listener that answers nobody");
    }
    let fill: Vec<Socket> = (0..4)
        .map(|_| {
            let socket = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&address.into());
            socket
        })
        .collect();
    workers.connect(address, Duration::from_millis(100), "in vain").unwrap();
    assert!(matches!(running.next(), Told::NotOpened("in vain", ErrorKind::TimedOut)));
    lines::wait_until("its seat is free", || workers.connections() == 0);
    lines::wait_until("it is counted", || workers.closed(CloseReason::ConnectFailed) == 1);
    drop(fill);
    running.end();
}

#[test]
fn a_unix_domain_socket_is_served_like_any_other() {
    let folder = std::env::temp_dir().join(format!("modb-ways-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("s");
    let Ok(listener) = modb_net::UnixListener::bind(&path, Some(0o600)) else {
        return println!("not tried: this system has no Unix-domain sockets");
    };
    let running = start(Server::builder().workers(2).limits(lines::limits()).listen_unix(listener));
    let connect = || {
        let socket = Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        socket.connect(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
        socket
    };
    let mut client = connect();
    client.write_all(b"hello\nquit\n").unwrap();
    let mut said = String::new();
    client.read_to_string(&mut said).unwrap();
    assert_eq!(said, "hello\n");
    assert!(matches!(running.next(), Told::Opened(_, peer @ Peer::Unix { .. }, None) if peer.is_local()));
    assert!(modb_net::UnixListener::bind(&path, None).is_err(), "it is living");
    running.end();
    assert!(!path.exists(), "its own file goes with it");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_resume_that_is_faster_than_the_answer_is_not_lost() {
    let running = start_one(lines::limits());
    let mut client = running.connect();
    for _ in 0..100 {
        client.send("hurry\non");
        assert_eq!(client.line(), "on");
    }
    running.end();
}

#[test]
fn what_a_worker_that_panicked_had_not_read_comes_back_to_who_is_still_there() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = start(Server::builder().workers(2).limits(lines::limits()).listen(listener));
    let workers = running.server.workers();
    let mut client = running.connect();
    let address = running.opened();
    let here = (0..2).find(|&worker| workers.load(worker) == 1).unwrap();
    client.send("stand still\npanic");
    lines::wait_until("it stands still", || running.gate.reached.load(SeqCst));
    workers.post(here, "to it").unwrap();
    workers.post_to(&address, "to its connection", None).unwrap();
    workers.post_to(&address, "from the other", Some(1 - here)).unwrap();
    running.go_on();
    // The panic ends the server.
    assert!(running.server.join().is_err());
    let told: Vec<Told> = running.told.iter().collect();
    assert_eq!(undelivered(&told), ["from the other", "to it", "to its connection"]);
}

#[test]
fn what_comes_when_the_server_ends_is_told_too() {
    let running = start_one(Limits { shutdown_timeout: Duration::ZERO, ..lines::limits() });
    let workers = running.server.workers();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // It lingers: it is there still, and takes no message.
    let mut closing = running.connect();
    let address = running.opened();
    assert_eq!(closing.ask("hello"), "hello");
    closing.send("quit");
    assert_eq!(closing.line(), "", "it has said its last");
    assert!(matches!(running.next(), Told::Closed(CloseReason::Requested)));
    let mut standing = running.connect();
    running.opened();
    running.stand_still(&mut standing);
    if address.is_gone() {
        return println!("not tried: this machine stalled for as long as a connection lingers");
    }
    workers.post_to(&address, "to one that is closing", None).unwrap();
    workers.connect(listener.local_addr().unwrap(), DEADLINE, "to open").unwrap();
    let (near, _far) = modb_net::socketpair::pair().unwrap();
    workers.adopt(near, Peer::Unix { path: std::path::Path::new("here").into() }, "to adopt").unwrap();
    running.server.shutdown();
    running.go_on();
    let told = running.end();
    assert_eq!(undelivered(&told), ["to adopt", "to one that is closing"]);
    let not_opened =
        told.iter().filter(|told| matches!(told, Told::NotOpened("to open", ErrorKind::ConnectionAborted)));
    assert_eq!(not_opened.count(), 1);
    assert_eq!(
        (workers.connections(), workers.closed(CloseReason::ConnectFailed)),
        (0, 1),
        "both have ended"
    );
}

#[test]
fn a_listener_at_which_many_wait_does_not_keep_another_from_its_turn() {
    for crowded in [0, 1] {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
        // All of them wait before anybody is accepted.
        let crowd: Vec<TcpStream> =
            (0..50).map(|_| TcpStream::connect(addresses[crowded]).unwrap()).collect();
        let _one = TcpStream::connect(addresses[1 - crowded]).unwrap();
        let limits = Limits { accepts_per_turn: 4, ..lines::limits() };
        let builder = Server::builder().workers(1).limits(limits);
        let running = start(listeners.into_iter().fold(builder, Builder::listen));
        let mut before = 0;
        loop {
            let Told::Opened(_, Peer::Tcp { local, .. }, _) = running.next() else { panic!("who else?") };
            if local == addresses[1 - crowded] {
                break;
            }
            before += 1;
        }
        assert!(before < 4, "{before} came before it");
        drop(crowd);
        running.end();
    }
}

#[test]
fn a_half_closed_connection_that_leaves_is_handed_out_all_the_same() {
    let running = start_one(lines::limits());
    let mut client = running.connect();
    client.send("leave");
    client.stream.shutdown(Shutdown::Write).unwrap();
    running.opened();
    assert!(matches!(running.next(), Told::HandedOut(..)));
    lines::wait_until("it is counted", || running.server.workers().closed(CloseReason::HandedOut) == 1);
    running.end();
}
