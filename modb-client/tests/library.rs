//! The library against a server that does as it is told: timeouts, closes, pushes, large pipelines, pools.

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use common::FakeServer;
use modb_client::{
    Backoff, Client, Command, Config, Connection, Error, Message, Pipeline, Pool, Protocol, Subscriber, Value,
};

const MS_100: Duration = Duration::from_millis(100);

/// Long enough that only a hang reaches it.
const LONG: Duration = Duration::from_secs(60);

fn with_read_timeout(server: &FakeServer, timeout: Duration) -> Config {
    let mut config = server.config();
    config.read_timeout = Some(timeout);
    config
}

/// Where little time is given: a machine that stands still does not do so each time.
fn open_in_time(config: &Config) -> Connection {
    (0..10).find_map(|_| Connection::open(config).ok()).expect("the server answers at once")
}

#[test]
fn calls_give_typed_replies_and_the_errors_of_the_server_leave_the_connection_usable() {
    let server = FakeServer::start();
    let mut connection = Connection::open(&server.config()).unwrap();
    let error = connection.call::<String>(["FAIL"]).unwrap_err();
    assert!(matches!(&error, Error::Server(e) if e.code() == "ERR" && e.message() == "ERR failed"));
    assert!(!error.is_connection_lost());
    assert_eq!(connection.call::<i64>(Command::new("ECHO").arg(42)).unwrap(), 42);
    assert!(matches!(connection.call::<i64>(["ECHO", "x"]), Err(Error::UnexpectedReply { .. })));
    assert_eq!(connection.call::<String>(["ECHO", "y"]).unwrap(), "y");
}

#[test]
fn a_server_that_is_silent_or_drips_is_given_up_in_time() {
    let server = FakeServer::start();
    for name in ["SILENT", "DRIP"] {
        let mut connection = open_in_time(&with_read_timeout(&server, MS_100));
        let start = Instant::now();
        let error = connection.call::<()>([name]).unwrap_err();
        assert!(matches!(error, Error::Timeout), "{name}: {error}");
        assert!(start.elapsed() >= MS_100 && start.elapsed() < LONG, "{name}");
        // A late reply must not become the answer to the next request.
        assert!(matches!(connection.call::<()>(["ECHO", "a"]), Err(Error::Broken)));
    }
}

#[test]
fn a_server_that_closes_is_told_from_one_that_is_not_there() {
    let server = FakeServer::start();
    let mut connection = Connection::open(&server.config()).unwrap();
    assert!(matches!(connection.call::<()>(["CLOSE"]), Err(Error::Closed)));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = Connection::open(&Config::new("127.0.0.1", port)).unwrap_err();
    assert!(matches!(error, Error::Connect { .. }) && error.is_connection_lost(), "{error}");
}

#[test]
fn a_wrong_password_is_the_servers_error() {
    let server = FakeServer::start();
    let mut config = server.config();
    config.protocol = Protocol::Resp2;
    config.password = Some("wrong".to_owned());
    let error = Connection::open(&config).unwrap_err();
    assert!(matches!(&error, Error::Server(e) if e.code() == "WRONGPASS"), "{error}");
    config.password = Some("secret".to_owned());
    Connection::open(&config).unwrap();
}

#[test]
fn pushed_messages_do_not_take_the_place_of_replies() {
    let server = FakeServer::start();
    let mut connection = Connection::open(&server.config()).unwrap();
    assert_eq!(connection.call_value(["PUSH", "a"]).unwrap(), Value::Simple(b"OK".to_vec()));
    assert_eq!(connection.call::<String>(["ECHO", "x"]).unwrap(), "x");
    for _ in 0..2 {
        let push = connection.next_push(Some(MS_100)).unwrap().unwrap();
        assert_eq!(push[2], Value::Bulk(b"a".to_vec()));
    }
    assert_eq!(connection.next_push(Some(Duration::from_millis(10))).unwrap(), None);
    assert_eq!(connection.call::<String>(["ECHO", "y"]).unwrap(), "y", "waiting in vain leaves it usable");
}

#[test]
fn a_subscriber_gets_messages_and_no_confirmations() {
    let server = FakeServer::start();
    let mut subscriber = Subscriber::open(&server.config()).unwrap();
    subscriber.subscribe(["news"]).unwrap();
    let mut next = || {
        let Message { pattern, channel, payload, sharded, .. } =
            subscriber.next_message(Some(LONG)).unwrap()?;
        assert_eq!((channel, sharded), (b"news".to_vec(), false));
        Some((pattern, payload))
    };
    assert_eq!(next(), Some((None, b"hello".to_vec())));
    assert_eq!(next(), Some((Some(b"n*".to_vec()), b"again".to_vec())));
    assert_eq!(subscriber.next_message(Some(Duration::from_millis(10))).unwrap(), None);
}

#[test]
fn a_pipeline_larger_than_all_buffers_does_not_hang() {
    let server = FakeServer::start();
    let mut connection = Connection::open(&with_read_timeout(&server, LONG)).unwrap();
    let mut pipeline = Pipeline::new();
    // 32 MB each way: the server writes each reply before it reads on.
    let payload = "p".repeat(32 << 10);
    for index in 0..1000 {
        match index % 500 {
            3 => pipeline.push(["FAIL"]),
            _ => pipeline.push(["ECHO", &payload]),
        };
    }
    let replies = connection.run(&pipeline).unwrap();
    assert_eq!(replies.len(), 1000);
    assert_eq!(replies.iter().filter(|reply| reply.is_err()).count(), 2);
    assert!(matches!(&replies[999], Ok(Value::Bulk(bytes)) if bytes.len() == 32 << 10));
    assert_eq!(connection.call::<String>(["ECHO", "x"]).unwrap(), "x");
}

#[test]
fn replies_larger_than_the_buffer_come_whole() {
    let server = FakeServer::start();
    let mut connection = Connection::open(&server.config()).unwrap();
    for size in [0, 1, 16_383, 16_384, 5_000_000, 10] {
        let reply: Vec<u8> = connection.call(Command::new("BIG").arg(size)).unwrap();
        assert_eq!(reply.len(), size);
    }
}

#[test]
fn a_client_reconnects_after_a_loss_and_never_sends_twice() {
    let server = FakeServer::start();
    let mut client = Client::connect(server.config()).unwrap();
    assert!(matches!(client.call::<()>(["CLOSE"]), Err(Error::Closed)), "the failed call is not repeated");
    assert_eq!(client.call::<String>(["ECHO", "back"]).unwrap(), "back");
    assert_eq!(server.connections(), 2);
}

#[test]
fn a_client_tries_as_often_as_it_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut config = Config::new("127.0.0.1", port);
    config.protocol = Protocol::Resp2;
    let backoff = Backoff { first: MS_100, longest: MS_100, attempts: 3 };
    let mut client = Client::connect(config).unwrap().with_backoff(backoff);
    // With the listener and its side of the connection gone, the call fails, and then connecting does.
    drop(listener);
    assert!(client.call::<()>(["ECHO", "a"]).is_err());
    let start = Instant::now();
    assert!(matches!(client.call::<()>(["ECHO", "a"]), Err(Error::Connect { .. })));
    assert!(start.elapsed() >= MS_100, "two pauses of at least half of it each");
}

#[test]
fn a_pool_is_bounded_and_drops_what_is_not_clean() {
    let server = FakeServer::start();
    let pool = Pool::new(server.config(), 2);
    let mut first = pool.get(LONG).unwrap();
    let second = pool.get(LONG).unwrap();
    assert!(matches!(pool.get(MS_100), Err(Error::PoolTimeout)));
    assert_eq!(first.call::<String>(["ECHO", "1"]).unwrap(), "1");
    drop(first);
    let mut again = pool.get(LONG).unwrap();
    assert_eq!(server.connections(), 2, "it was reused");
    again.send(["ECHO", "left to come"]).unwrap();
    drop(again);
    assert_eq!(pool.open_connections(), 1);
    let mut fresh = pool.get(LONG).unwrap();
    assert_eq!(fresh.call::<String>(["ECHO", "2"]).unwrap(), "2");
    assert_eq!(server.connections(), 3);
    drop((second, fresh));
}

#[test]
fn a_waiting_thread_gets_the_connection_that_comes_free() {
    let server = FakeServer::start();
    let pool = Pool::new(server.config(), 1);
    let held = pool.get(LONG).unwrap();
    let waiting = thread::spawn(move || pool.get(LONG).unwrap().call::<String>(["ECHO", "a"]).unwrap());
    drop(held);
    assert_eq!(waiting.join().unwrap(), "a");
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_no_connection() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = Config::new("127.0.0.1", silent.local_addr().unwrap().port());
    config.connect_timeout = MS_100;
    for read_timeout in [None, Some(LONG)] {
        config.read_timeout = read_timeout;
        let start = Instant::now();
        let error = Connection::open(&config).unwrap_err();
        assert!(matches!(&error, Error::Connect { .. }), "{error}");
        assert!(error.to_string().contains("does not answer"), "{error}");
        assert!(start.elapsed() < LONG / 2);
    }
    // Afterwards replies may take as long as they are allowed to.
    let server = FakeServer::start();
    let mut config = server.config();
    config.connect_timeout = MS_100;
    config.read_timeout = None;
    let mut connection = open_in_time(&config);
    connection.send(["SILENT"]).unwrap();
    assert_eq!(connection.receive_any(Some(2 * MS_100)).unwrap(), None);
    assert!(connection.is_usable());
}

#[test]
fn a_host_in_brackets_is_an_address() {
    let server = FakeServer::start();
    let mut config = server.config();
    config.host = "[127.0.0.1]".to_owned();
    assert_eq!(Connection::open(&config).unwrap().call::<String>(["ECHO", "x"]).unwrap(), "x");
}

#[test]
fn replies_that_came_before_the_end_of_a_connection_are_given() {
    let server = FakeServer::start();
    let mut connection = Connection::open(&server.config()).unwrap();
    let mut pipeline = Pipeline::new();
    pipeline.push(["ECHO", "a"]).push(["FAIL"]).push(["CLOSE"]);
    let mut given = Vec::new();
    let error = connection.run_each(&pipeline, |value| given.push(value)).unwrap_err();
    assert!(matches!(error, Error::Closed), "{error}");
    assert_eq!(given, [Value::Bulk(b"a".to_vec()), Value::Error(b"ERR failed".to_vec())]);
}

#[test]
fn a_request_without_a_reply_leaves_the_connection_idle() {
    let server = FakeServer::start();
    let mut connection = Connection::open(&server.config()).unwrap();
    connection.send_unanswered(["SILENT"]).unwrap();
    assert!(connection.is_alive());
    assert_eq!(connection.call::<String>(["ECHO", "x"]).unwrap(), "x");
}

#[test]
fn a_push_that_has_come_in_part_leaves_the_connection_alive() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = Config::new("127.0.0.1", listener.local_addr().unwrap().port());
    config.protocol = Protocol::Resp3;
    let (go_on, rest_wanted) = mpsc::channel();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut answer = |reply: &[u8]| {
            assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
            stream.write_all(reply).unwrap();
        };
        answer(b"%0\r\n");
        answer(b"+OK\r\n>2\r\n$4\r\nne");
        rest_wanted.recv().unwrap();
        stream.write_all(b"ws\r\n:1\r\n").unwrap();
        assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
        stream.write_all(b"+PONG\r\n").unwrap();
    });
    let mut connection = Connection::open(&config).unwrap();
    assert_eq!(connection.call::<String>(["BEGIN"]).unwrap(), "OK");
    // A part of it has been read, or waits to be.
    assert_eq!(connection.receive_any(Some(MS_100)).unwrap(), None);
    assert!(connection.is_alive());
    go_on.send(()).unwrap();
    let push = vec![Value::Bulk(b"news".to_vec()), Value::Integer(1)];
    assert_eq!(connection.next_push(Some(LONG)).unwrap(), Some(push));
    assert_eq!(connection.call::<String>(["PING"]).unwrap(), "PONG");
    server.join().unwrap();
}
