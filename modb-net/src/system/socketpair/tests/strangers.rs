//! Strangers that connect to the listener of an emulated pair. They are real connections of other threads,
//! in each case made before the pair's own.
//!
//! Every case runs in three ways: TCP as it is, where strangers have the wrong address; TCP without that
//! comparison, and a Unix socket, where there is none: only the nonce tells them from us.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use super::super::connect::{self, BACKLOG, Rendezvous};
use super::super::{Cause, DEFAULT_DEADLINE, Step, StepError, Strategy, loopback, unix_path};
use super::{assert_connected, working};

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A listener of ours that strangers may find, and how to make a pair with it.
struct Target {
    name: &'static str,
    address: SockAddr,
    make: Box<Make>,
}

type Make = dyn FnOnce(Duration) -> Result<(Socket, Socket), StepError>;

fn tcp() -> Target {
    let strategy = Strategy::LoopbackV4;
    let (listener, address) = loopback::listen(strategy, HOME).unwrap();
    let make = move |deadline| loopback::connect_to(strategy, listener, address, Instant::now() + deadline);
    Target { name: "tcp", address: address.into(), make: Box::new(make) }
}

fn tcp_by_nonce() -> Target {
    let (listener, address) = loopback::listen(Strategy::LoopbackV4, HOME).unwrap();
    let make = move |deadline| connect::rendezvous(by_nonce(listener, address, deadline));
    Target { name: "tcp by nonce", address: address.into(), make: Box::new(make) }
}

fn by_nonce(listener: Socket, address: SocketAddr, deadline: Duration) -> Rendezvous<'static> {
    Rendezvous {
        strategy: Strategy::LoopbackV4,
        listener,
        address: address.into(),
        what: address.to_string(),
        make_connector: &|| loopback::bound(Strategy::LoopbackV4, SocketAddr::new(HOME, 0)),
        compare_addresses: false,
        until: Instant::now() + deadline,
    }
}

fn unix() -> Target {
    let (listener, place) = unix_path::listen_in(&std::env::temp_dir()).unwrap();
    let address = SockAddr::unix(&place.file).unwrap();
    let make = move |deadline| unix_path::connect_to(listener, &place, Instant::now() + deadline);
    Target { name: "unix", address, make: Box::new(make) }
}

fn targets() -> Vec<Target> {
    let mut targets = vec![tcp(), tcp_by_nonce()];
    if working().contains(&Strategy::UnixPath) {
        targets.push(unix());
    }
    targets
}

fn stranger(address: &SockAddr) -> Socket {
    let socket = Socket::new(address.domain(), Type::STREAM, None).unwrap();
    socket.connect(address).unwrap();
    socket
}

/// The pair comes about, well before the deadline, with each other at its ends.
fn assert_made(target: Target) {
    let (name, begun) = (target.name, Instant::now());
    let (mut a, mut b) = (target.make)(DEFAULT_DEADLINE).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(begun.elapsed() < DEFAULT_DEADLINE, "{name}");
    assert_connected(&mut a, &mut b);
}

fn assert_turned_away(mut stranger: Socket, name: &str) {
    stranger.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    match stranger.read(&mut [0; 64]) {
        Ok(0) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        other => panic!("{name}: the stranger has got {other:?}"),
    }
}

#[test]
fn one_that_comes_first_and_stays_silent_is_turned_away() {
    for target in targets() {
        let (name, stranger) = (target.name, stranger(&target.address));
        assert_made(target);
        assert_turned_away(stranger, name);
    }
}

#[test]
fn more_silent_ones_than_there_is_room_for_are_turned_away() {
    for target in targets() {
        let strangers: Vec<_> = (0..12).map(|_| stranger(&target.address)).collect();
        let name = target.name;
        assert_made(target);
        strangers.into_iter().for_each(|stranger| assert_turned_away(stranger, name));
    }
}

#[test]
fn one_that_closes_at_once_is_passed_over() {
    for target in targets() {
        drop(stranger(&target.address));
        assert_made(target);
    }
}

#[test]
fn one_with_a_wrong_nonce_is_turned_away() {
    for target in targets() {
        let (name, mut stranger) = (target.name, stranger(&target.address));
        stranger.write_all(&[0; 16]).unwrap();
        assert_made(target);
        assert_turned_away(stranger, name);
    }
}

#[test]
fn one_that_drips_does_not_hold_up_the_pair() {
    for target in targets() {
        let mut stranger = stranger(&target.address);
        let dripping = std::thread::spawn(move || while stranger.write_all(&[7]).is_ok() {});
        assert_made(target);
        dripping.join().unwrap(); // It ends when it is turned away.
    }
}

/// A thread that does something to the listener until it is told to stop.
struct Harassment {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Harassment {
    fn begin(address: &SockAddr, mut harass: impl FnMut(&SockAddr) + Send + 'static) -> Self {
        let (stop, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(Barrier::new(2)));
        let (address, told, ready) = (address.clone(), stop.clone(), begun.clone());
        let thread = std::thread::spawn(move || {
            harass(&address);
            ready.wait();
            while !told.load(Ordering::Relaxed) {
                harass(&address);
            }
        });
        begun.wait();
        Self { stop, thread }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

#[test]
fn a_flood_that_fills_the_backlog_does_not_keep_the_pair_out() {
    for target in targets() {
        let mut held = std::collections::VecDeque::new();
        let flood = Harassment::begin(&target.address, move |address| {
            while held.len() < 4 * BACKLOG as usize {
                let socket = Socket::new(address.domain(), Type::STREAM, None).unwrap();
                socket.set_nonblocking(true).unwrap();
                let _ = socket.connect(address); // In progress, refused, or the pair is made already.
                held.push_back(socket);
            }
            held.pop_front();
        });
        assert_made(target);
        flood.end();
    }
}

#[test]
fn one_that_comes_again_each_time_it_is_turned_away_is_turned_away_again() {
    for target in targets() {
        let again = Harassment::begin(&target.address, |address| {
            let mut socket = Socket::new(address.domain(), Type::STREAM, None).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            if socket.connect(address).is_ok() {
                let _ = socket.write(&[0; 16]);
            }
        });
        assert_made(target);
        again.end();
    }
}

/// Someone who has our port instead of us: connections to `address` reach `serve` on another thread.
fn usurper(serve: impl FnOnce(Socket) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let (listener, address) = loopback::listen(Strategy::LoopbackV4, HOME).unwrap();
    listener.set_nonblocking(false).unwrap();
    let thread = std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(false).unwrap();
        serve(socket);
    });
    (address, thread)
}

#[test]
fn a_port_that_was_taken_over_gives_no_pair() {
    let (ours, _) = loopback::listen(Strategy::LoopbackV4, HOME).unwrap();
    let (address, thread) = usurper(|mut socket| {
        let _ = socket.read(&mut [0; 16]);
        let _ = socket.write_all(&[0; 16]);
        let _ = socket.read(&mut [0; 1]);
    });
    let deadline = Duration::from_millis(200);
    let error = connect::rendezvous(by_nonce(ours, address, deadline)).unwrap_err();
    // Where the machine stood still it may not have come further than to connect.
    assert!(matches!(error.step, Step::Accept | Step::Connect), "{error}");
    assert!(matches!(error.cause, Cause::Deadline { .. }), "{error}");
    thread.join().unwrap();
}

#[test]
fn one_in_the_middle_that_repeats_our_nonce_but_does_not_know_the_answer_gives_no_pair() {
    let (ours, our_address) = loopback::listen(Strategy::LoopbackV4, HOME).unwrap();
    let (address, thread) = usurper(move |mut socket| {
        let mut nonce = [0; 16];
        socket.read_exact(&mut nonce).unwrap();
        let mut relay = stranger(&our_address.into());
        relay.write_all(&nonce).unwrap();
        let _ = socket.write_all(&[0; 16]);
        let _ = socket.read(&mut [0; 1]);
    });
    let error = connect::rendezvous(by_nonce(ours, address, DEFAULT_DEADLINE)).unwrap_err();
    assert_eq!(error.step, Step::Verify);
    assert!(matches!(error.cause, Cause::Stranger), "{error}");
    thread.join().unwrap();
}

#[test]
fn one_in_the_middle_that_relays_everything_is_found_by_its_address() {
    assert_turned_away_in_time(1, |time| {
        let (ours, our_address) = loopback::listen(Strategy::LoopbackV4, HOME).unwrap();
        let (address, thread) = usurper(move |mut near| {
            let mut far = stranger(&our_address.into());
            let (mut back_from, mut back_to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
            let back = std::thread::spawn(move || std::io::copy(&mut back_from, &mut back_to));
            let _ = std::io::copy(&mut near, &mut far);
            let _ = far.shutdown(Shutdown::Both);
            let _ = back.join().unwrap();
        });
        let until = Instant::now() + time;
        let error = loopback::connect_to(Strategy::LoopbackV4, ours, address, until).unwrap_err();
        thread.join().unwrap();
        error
    });
}

/// So many strangers are turned away until the time is over: more of it where the machine stood still.
fn assert_turned_away_in_time(expected: u32, end: impl Fn(Duration) -> StepError) {
    let enough = [200, 2_000, 20_000].into_iter().any(|ms| {
        let error = end(Duration::from_millis(ms));
        let Cause::Deadline { strangers, .. } = error.cause else { panic!("{error}") };
        assert!(strangers <= expected, "{error}");
        strangers == expected && error.step == Step::Accept
    });
    assert!(enough, "not all are turned away");
}

/// How it ends if our own connection never comes.
fn without_us(time: Duration, come: impl FnOnce(&SockAddr)) -> StepError {
    let (ours, our_address) = loopback::listen(Strategy::LoopbackV4, HOME).unwrap();
    let (address, thread) = usurper(|mut socket| drop(socket.read(&mut [0; 64])));
    come(&our_address.into());
    let error = connect::rendezvous(by_nonce(ours, address, time)).unwrap_err();
    thread.join().unwrap();
    error
}

#[test]
fn silent_ones_beyond_the_room_are_not_held() {
    assert_turned_away_in_time(6 - connect::MAX_CANDIDATES as u32, |time| {
        let mut silent = Vec::new();
        without_us(time, |address| silent.extend((0..6).map(|_| stranger(address))))
    });
}

#[test]
fn those_that_have_closed_are_not_held() {
    let come = |address: &SockAddr| (0..3).for_each(|_| drop(stranger(address)));
    assert_turned_away_in_time(3, |time| without_us(time, come));
}

#[test]
fn a_refused_connection_is_tried_again_until_the_deadline() {
    // A port that nobody listens on any more stands for a backlog that stays full.
    let (_, refusing) = loopback::listen(Strategy::LoopbackV4, HOME).unwrap();
    let (ours, _) = loopback::listen(Strategy::LoopbackV4, HOME).unwrap();
    let error = connect::rendezvous(by_nonce(ours, refusing, Duration::from_millis(100))).unwrap_err();
    assert_eq!(error.step, Step::Connect);
    assert!(matches!(error.cause, Cause::Deadline { refusals: 1.., .. }), "{error}");
}

#[test]
fn a_listener_that_does_not_know_its_address_still_makes_a_pair() {
    // Bound to all addresses, the system answers 0.0.0.0, as some stacks and filters always do.
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into()).unwrap();
    listener.listen(BACKLOG).unwrap();
    let address = loopback::address_of(&listener, HOME).unwrap();
    let until = Instant::now() + DEFAULT_DEADLINE;
    let (mut a, mut b) = loopback::connect_to(Strategy::LoopbackV4, listener, address, until).unwrap();
    assert_connected(&mut a, &mut b);
}

#[test]
fn nobody_else_can_bind_the_port_of_the_listener() {
    let (_listener, address) = loopback::listen(Strategy::LoopbackV4, HOME).unwrap();
    let thief = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    thief.set_reuse_address(true).unwrap();
    assert!(thief.bind(&address.into()).and_then(|()| thief.listen(1)).is_err());
}
