//! Whole runs against small servers in this process, over real sockets.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use modb_client::Config;
use modb_net::resp::{Decoded, Limits, RequestDecoder};

use super::measure;
use super::options::{Limit, Options, Wire, Work};
use super::suite;
use super::tally::Tally;

/// What a server says to a request, or `None` to close the connection.
type Answer = fn(&[Vec<u8>]) -> Option<Vec<u8>>;

/// How often each request came.
type Seen = BTreeMap<Vec<Vec<u8>>, u64>;

/// A server for as many connections as it is told, one thread each. It ends when they have ended.
struct Server {
    port: u16,
    thread: JoinHandle<Seen>,
}

impl Server {
    fn start(connections: usize, answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = thread::spawn(move || {
            let accept = |_| {
                let (stream, _) = listener.accept().unwrap();
                thread::spawn(move || serve(stream, answer))
            };
            let threads: Vec<_> = (0..connections).map(accept).collect();
            let mut seen = Seen::new();
            for thread in threads {
                for (request, count) in thread.join().unwrap() {
                    *seen.entry(request).or_default() += count;
                }
            }
            seen
        });
        Self { port, thread }
    }

    fn seen(self) -> Seen {
        self.thread.join().unwrap()
    }
}

fn serve(mut stream: TcpStream, answer: Answer) -> Seen {
    let (mut decoder, mut seen) = (RequestDecoder::default(), Seen::new());
    let (mut input, mut piece, mut output) = (Vec::new(), vec![0; 64 << 10], Vec::new());
    loop {
        while let Ok(Decoded::Request { consumed }) = decoder.decode(&input, &Limits::default()) {
            let request: Vec<Vec<u8>> = decoder.args(&input).iter().map(<[u8]>::to_vec).collect();
            input.drain(..consumed);
            let Some(reply) = answer(&request) else { return seen };
            output.extend_from_slice(&reply);
            *seen.entry(request).or_default() += 1;
        }
        if stream.write_all(&output).is_err() {
            return seen;
        }
        output.clear();
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return seen,
            Ok(bytes) => input.extend_from_slice(&piece[..bytes]),
        }
    }
}

fn ordinary(request: &[Vec<u8>]) -> Option<Vec<u8>> {
    let reply: &[u8] = match &request[0][..] {
        b"PING" => b"+PONG\r\n",
        b"GET" | b"HGET" => b"$5\r\nvalue\r\n",
        b"HSET" => b":1\r\n",
        b"SET" | b"SELECT" => b"+OK\r\n",
        b"AUTH" if request[1] == b"right" => b"+OK\r\n",
        b"AUTH" => b"-WRONGPASS invalid username-password pair or user is disabled.\r\n",
        _ => b"-ERR unknown command\r\n",
    };
    Some(reply.to_vec())
}

fn options(server: &Server, connections: usize, limit: Limit) -> Options {
    Options {
        server: Config::new("127.0.0.1", server.port),
        connections,
        limit,
        quiet: true,
        ..Options::default()
    }
}

fn tally(options: &Options) -> Tally {
    measure(options).unwrap().0
}

fn count(seen: &Seen, name: &[u8]) -> u64 {
    seen.iter().filter(|(request, _)| request[0] == name).map(|(_, count)| count).sum()
}

#[test]
fn exactly_the_requests_asked_for_are_sent_and_counted() {
    let server = Server::start(5, ordinary);
    let options = Options { pipeline: 7, threads: 2, ..options(&server, 5, Limit::Requests(1000)) };
    let tally = tally(&options);
    assert!(tally.is_clean());
    assert_eq!((tally.requests, tally.latencies_ns.len()), (1000, 1000));
    assert!(tally.elapsed > Duration::ZERO && tally.requests_per_s() > 0.0);
    let seen = server.seen();
    assert_eq!(count(&seen, b"GET") + count(&seen, b"SET"), 1000);
    assert_eq!(count(&seen, b"PING"), 5);
}

#[test]
fn a_preload_stores_every_key_once() {
    let server = Server::start(3, ordinary);
    let options = Options {
        threads: 2,
        keys: 500,
        preload: true,
        read_ratio: 1.0,
        ..options(&server, 3, Limit::Requests(10))
    };
    assert!(tally(&options).is_clean());
    let seen = server.seen();
    let stored: Vec<_> = seen.iter().filter(|(request, _)| request[0] == b"SET").collect();
    assert!(stored.iter().all(|(_, count)| **count == 1));
    let keys: Vec<_> = stored.iter().map(|(request, _)| request[1].clone()).collect();
    let expected: Vec<_> = (0..500).map(|key| format!("key:{key:012}").into_bytes()).collect();
    assert_eq!(keys, expected);
}

#[test]
fn a_warm_up_is_not_counted() {
    let server = Server::start(1, ordinary);
    let options = Options { warm_up: Duration::from_millis(20), ..options(&server, 1, Limit::Requests(10)) };
    assert_eq!(tally(&options).requests, 10);
    let seen = server.seen();
    assert!(count(&seen, b"GET") + count(&seen, b"SET") > 10);
}

#[test]
fn a_run_for_a_time_ends_with_every_reply() {
    let server = Server::start(2, ordinary);
    let tally = tally(&options(&server, 2, Limit::Duration(Duration::from_millis(50))));
    assert!(tally.is_clean());
    assert!(tally.elapsed >= Duration::from_millis(50));
    let seen = server.seen();
    assert_eq!(count(&seen, b"GET") + count(&seen, b"SET"), tally.requests);
}

#[test]
fn batches_larger_than_the_sockets_take_arrive_whole() {
    let server = Server::start(2, ordinary);
    let options = Options {
        pipeline: 100,
        value_bytes: 100_000,
        read_ratio: 0.0,
        ..options(&server, 2, Limit::Requests(400))
    };
    assert!(tally(&options).is_clean());
    assert_eq!(count(&server.seen(), b"SET"), 400);
}

#[test]
fn a_test_finds_every_element_in_the_collection_where_it_was_put() {
    let test = |name: &str, preload| {
        let server = Server::start(2, ordinary);
        let options = Options {
            work: Work::Test(suite::find(name)[0]),
            collections: 3,
            keys: 30,
            preload,
            ..options(&server, 2, Limit::Requests(200))
        };
        tally(&options);
        server.seen()
    };
    let places = |seen: &Seen, command: &[u8]| -> BTreeMap<Vec<u8>, Vec<u8>> {
        let of_command = seen.keys().filter(|request| request[0] == command);
        of_command.map(|request| (request[2].clone(), request[1].clone())).collect()
    };
    let seen = test("hget", true);
    let (put, sought) = (places(&seen, b"HSET"), places(&seen, b"HGET"));
    assert_eq!((put.len(), count(&seen, b"HSET"), count(&seen, b"HGET")), (30, 30, 200));
    assert_eq!(put[&b"element:000000000029"[..]], b"myhash:000000000002");
    assert!(sought.iter().all(|(element, at)| put[element] == *at));
    assert_eq!(count(&test("hget", false), b"HSET"), 0, "only if told to");
}

#[test]
fn errors_are_counted_and_one_is_told() {
    let server = Server::start(1, ordinary);
    let options = Options {
        work: Work::Command(vec!["NONSENSE".to_owned(), "__key__".to_owned()]),
        pipeline: 3,
        ..options(&server, 1, Limit::Requests(9))
    };
    let tally = tally(&options);
    assert!(!tally.is_clean());
    assert_eq!((tally.requests, tally.errors), (9, 9));
    assert_eq!(tally.error.as_deref(), Some("ERR unknown command"));
    assert_eq!(server.seen().len(), 10);
}

#[test]
fn a_server_that_dies_is_told_with_what_it_left_unanswered() {
    fn dying(request: &[Vec<u8>]) -> Option<Vec<u8>> {
        (request[0] == b"PING").then(|| b"+PONG\r\n".to_vec())
    }
    let server = Server::start(2, dying);
    let tally = tally(&Options { pipeline: 4, ..options(&server, 2, Limit::Requests(100)) });
    assert!(!tally.is_clean());
    assert_eq!((tally.requests, tally.unanswered, tally.lost_connections), (0, 8, 2));
    assert!(tally.loss.is_some());
    server.seen();
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    fn silent(request: &[Vec<u8>]) -> Option<Vec<u8>> {
        Some(if request[0] == b"PING" { b"+PONG\r\n".to_vec() } else { Vec::new() })
    }
    let server = Server::start(2, silent);
    let options =
        Options { reply_timeout: Duration::from_millis(100), ..options(&server, 2, Limit::Requests(100)) };
    let tally = tally(&options);
    assert_eq!((tally.requests, tally.unanswered, tally.lost_connections), (0, 2, 2));
    assert_eq!(tally.loss.as_deref(), Some("no reply for 100ms"));
    server.seen();
}

#[test]
fn an_open_loop_counts_every_request_that_was_due_in_a_stall_and_a_closed_one_hides_them() {
    const STALL: Duration = Duration::from_millis(200);
    thread_local! { static STALLED: Cell<bool> = const { Cell::new(false) } }
    fn stalling_once(request: &[Vec<u8>]) -> Option<Vec<u8>> {
        if request[0] != b"PING" && !STALLED.replace(true) {
            thread::sleep(STALL);
        }
        ordinary(request)
    }
    let delayed = |requests_per_s| {
        let server = Server::start(1, stalling_once);
        let options = Options { requests_per_s, ..options(&server, 1, Limit::Requests(300)) };
        let tally = tally(&options);
        assert!(tally.is_clean() && tally.unsent == 0);
        server.seen();
        tally.latencies_ns.count_between(STALL.as_nanos() as u64 / 2, u64::MAX)
    };
    let open = delayed(Some(1000));
    assert!(open >= 100, "one per millisecond in the first half of the stall: {open}");
    let closed = delayed(None);
    assert!((1..=10).contains(&closed), "only the one that met it: {closed}");
}

#[test]
fn an_open_loop_keeps_to_its_rate_and_tells_what_it_could_not_send() {
    let server = Server::start(2, ordinary);
    let limit = Limit::Duration(Duration::from_millis(100));
    let slow = Options { requests_per_s: Some(500), threads: 2, ..options(&server, 2, limit) };
    let kept = tally(&slow);
    server.seen();
    assert_eq!((kept.requests + kept.unsent, kept.is_clean()), (50, true));
    assert!(kept.elapsed >= Duration::from_millis(98));

    let server = Server::start(1, ordinary);
    let fast = tally(&Options { requests_per_s: Some(100_000_000), ..options(&server, 1, limit) });
    server.seen();
    assert_eq!(fast.requests + fast.unsent, 10_000_000);
    assert!(fast.unsent > 0);
}

#[test]
fn nobody_listening_is_told_before_anything_is_measured() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = Options { server: Config::new("127.0.0.1", port), ..Options::default() };
    let error = measure(&options).unwrap_err().to_string();
    assert!(error.starts_with(&format!("connection 1 to 127.0.0.1:{port} failed: ")), "{error}");
}

#[test]
fn a_wrong_password_is_told_before_anything_is_measured() {
    let server = Server::start(1, ordinary);
    let mut wrong = options(&server, 1, Limit::Requests(1));
    wrong.server.password = Some("wrong".to_owned());
    let error = measure(&wrong).unwrap_err().to_string();
    assert!(error.contains("WRONGPASS"), "{error}");
    server.seen();
}

#[test]
fn password_and_database_are_given_on_every_connection() {
    let server = Server::start(2, ordinary);
    let mut options = options(&server, 2, Limit::Requests(10));
    options.server.username = Some("right".to_owned());
    options.server.password = Some("right".to_owned());
    options.server.database = 3;
    assert!(tally(&options).is_clean());
    let seen = server.seen();
    let args = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    assert_eq!(seen[&args(&["AUTH", "right", "right"])], 2);
    assert_eq!(seen[&args(&["SELECT", "3"])], 2);
}

#[test]
fn another_protocol_is_told() {
    fn memcached(_: &[Vec<u8>]) -> Option<Vec<u8>> {
        Some(b"ERROR\r\n".to_vec())
    }
    let server = Server::start(1, memcached);
    let error = measure(&options(&server, 1, Limit::Requests(1))).unwrap_err().to_string();
    assert!(error.contains("does not speak resp"), "{error}");
    server.seen();
}

#[test]
fn memcached_is_loaded_in_its_own_protocol() {
    // Commands without quotes are inline requests to the decoder; only `get`, so that no value follows.
    fn memcached(request: &[Vec<u8>]) -> Option<Vec<u8>> {
        Some(match &request[0][..] {
            b"version" => b"VERSION 1.6\r\n".to_vec(),
            _ => [b"VALUE ", &request[1][..], b" 0 5\r\nvalue\r\nEND\r\n"].concat(),
        })
    }
    let server = Server::start(2, memcached);
    let options = Options {
        wire: Wire::Memcached,
        pipeline: 3,
        read_ratio: 1.0,
        ..options(&server, 2, Limit::Requests(100))
    };
    let tally = tally(&options);
    assert!(tally.is_clean(), "{:?}", tally.loss);
    assert_eq!(tally.requests, 100);
    assert_eq!(count(&server.seen(), b"get"), 100);
}
