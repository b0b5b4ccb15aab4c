//! How connections and servers end.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use modb_net::{CloseReason, Limits, Server, ServerError};

use crate::lines;

#[test]
fn a_half_closed_client_gets_every_answer_and_then_the_end() {
    let running = lines::start(1, Limits { requests_per_turn: 7, ..lines::limits() });
    let mut client = running.connect();
    client.send(&vec!["echo x"; 1000].join("\n"));
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.rest(), "x\n".repeat(1000).as_bytes());
    running.until("it is told", |running| running.ledger.reasons() == [CloseReason::PeerClosed]);
    running.end();
}

#[test]
fn the_last_reply_arrives_though_input_was_left_unread() {
    let running = lines::start(1, Limits::default());
    for _ in 0..100 {
        let mut client = running.connect();
        // More than is read at once: a close without draining would be a reset, and take "bye" with it.
        client.send(&format!("quit\n{}", "echo ignored\n".repeat(20_000)));
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.rest(), b"bye\n");
    }
    running.end();
}

#[test]
fn a_shutdown_answers_what_was_read() {
    let limits = Limits { requests_per_turn: 5, shutdown_timeout: lines::DEADLINE, ..lines::limits() };
    let running = lines::start(1, limits);
    let mut client = running.connect();
    client.send(&vec!["echo x"; 1000].join("\n"));
    assert_eq!(client.line(), "x", "it has been read");
    running.server.shutdown();
    assert_eq!(client.rest(), "x\n".repeat(999).as_bytes());
    running.server.join().unwrap();
}

#[test]
fn a_shutdown_closes_the_idle_and_the_blocked_and_does_not_wait_for_who_never_reads() {
    let limits = Limits {
        shutdown_timeout: Duration::from_millis(200),
        linger_timeout: Duration::from_millis(100),
        ..lines::limits()
    };
    let running = lines::start(2, limits);
    let mut idle = running.connect();
    idle.ask("echo x");
    let mut blocked = running.connect();
    blocked.ask("echo x");
    blocked.send("block");
    let mut deaf = running.connect();
    deaf.send("large 100000000");
    running.until("it is paused", |running| {
        (0..2).any(|worker| running.server.workers().stats(worker).bytes_out > 100)
    });
    let address = running.address();
    running.server.shutdown();
    assert_eq!(idle.rest(), b"");
    assert_eq!(blocked.rest(), b"");
    running.server.join().unwrap();
    assert!(TcpStream::connect(address).is_err(), "the listener is closed");
    drop(deaf);
}

#[test]
fn dropping_a_server_ends_it() {
    let running = lines::start(2, lines::limits());
    let mut client = running.connect();
    client.ask("echo x");
    let workers = running.server.workers();
    drop(running.server);
    assert_eq!(client.rest(), b"");
    assert_eq!(workers.connections(), 0);
    assert!(workers.post(0, "late".into()).is_err(), "a worker that has ended gives messages back");
}

#[test]
fn a_panic_in_a_worker_ends_the_server_and_comes_out_of_join() {
    let running = lines::start(2, lines::limits());
    let mut clients: Vec<_> = (0..4).map(|_| running.connect()).collect();
    for client in &mut clients {
        client.ask("echo x");
    }
    let address = running.address();
    clients[0].send("panic");
    for client in clients {
        // Those of the worker that panicked may see a reset.
        let mut stream = client.stream;
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    }
    match running.server.join() {
        Err(ServerError::Panicked { thread, message }) => {
            assert!(thread.starts_with("worker-"));
            assert_eq!(message, "a client asked for it");
        }
        other => panic!("{other:?}"),
    }
    assert!(TcpStream::connect(address).is_err(), "nobody accepts any more");
}

#[test]
fn a_panic_while_a_service_is_made_comes_out_too() {
    let running = lines::start_service(Server::builder().workers(3), |context| {
        assert!(context.index != 1, "no service for this worker");
    });
    assert!(matches!(running.server.join(), Err(ServerError::Panicked { .. })));
}

#[test]
fn a_service_that_cannot_be_made_is_an_error_of_the_start_and_nothing_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let started = Server::builder().workers(3).listen(listener).try_start(|context| match context.index {
        1 => Err("it is out of paper".into()),
        _ => Ok(lines::Lines::default()),
    });
    match started {
        Err(ServerError::Service { worker: 1, source }) => {
            assert_eq!(source.to_string(), "it is out of paper");
        }
        other => panic!("{other:?}"),
    }
    assert!(TcpStream::connect(address).is_err(), "the listener is closed");
}

#[test]
fn an_idle_client_is_closed_and_one_that_speaks_is_not() {
    let running = lines::start(1, Limits { idle_timeout: None, ..lines::limits() });
    let idle = running.connect();
    let mut busy = running.connect();
    busy.ask("echo x");
    running.server.workers().set_idle_timeout(Some(Duration::from_secs(3600)));
    busy.ask("echo x");
    running.server.workers().set_idle_timeout(Some(Duration::from_millis(50)));
    // `busy` may be closed as well if this machine stalls; who is idle is closed for sure.
    assert_eq!(idle.rest(), b"");
    assert!(running.ledger.reasons().contains(&CloseReason::Idle));
    running.end();
}

#[test]
fn an_idle_timeout_may_be_as_short_as_one_likes() {
    for timeout in [Duration::from_nanos(1), Duration::from_micros(999)] {
        let running = lines::start(1, lines::limits());
        let client = running.connect();
        running.until("it is served", |running| running.ledger.opened.load(SeqCst) == 1);
        running.server.workers().set_idle_timeout(Some(timeout));
        assert_eq!(client.rest(), b"");
        assert_eq!(running.ledger.reasons(), [CloseReason::Idle]);
        running.end();
    }
}

#[test]
fn without_a_listener_there_is_no_server() {
    let started = Server::builder().start(|_| -> lines::Lines { unreachable!() });
    assert!(matches!(started, Err(ServerError::NoListener)));
}
