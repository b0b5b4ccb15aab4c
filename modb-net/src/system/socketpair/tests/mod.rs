//! Every strategy makes a pair that behaves like the system's own.

mod remains;
mod strangers;

use std::io::{Read, Write};

use super::*;

/// The strategies that exist on this system: all on Linux, the loopback ones under Wine.
fn working() -> Vec<Strategy> {
    let exists = |strategy: &&Strategy| match strategy {
        Strategy::Native => sys::NATIVE_PAIR,
        Strategy::UnixPath => Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).is_ok(),
        _ => true,
    };
    Strategy::ALL.iter().filter(exists).copied().collect()
}

fn wait_readable(socket: &Socket) {
    sys::poll_sockets(&[sys::Watch { socket, write: false }], Duration::from_secs(5)).unwrap();
}

fn pair_of(strategy: Strategy) -> (Socket, Socket) {
    pair_by(&[strategy], DEFAULT_DEADLINE).unwrap_or_else(|error| panic!("{error}"))
}

/// What one end writes the other reads, both ways, and neither blocks.
fn assert_connected(a: &mut Socket, b: &mut Socket) {
    let mut seen = [0; 8];
    assert_eq!(b.read(&mut seen).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    a.write_all(b"there").unwrap();
    wait_readable(b);
    assert_eq!(b.read(&mut seen).unwrap(), 5);
    assert_eq!(&seen[..5], b"there");
    b.write_all(b"back").unwrap();
    wait_readable(a);
    assert_eq!(a.read(&mut seen).unwrap(), 4);
    assert_eq!(&seen[..4], b"back");
}

#[test]
fn bytes_go_both_ways_and_nothing_blocks() {
    for strategy in working() {
        let (mut a, mut b) = pair_of(strategy);
        assert_connected(&mut a, &mut b);
    }
}

#[test]
fn an_end_learns_that_the_other_has_stopped_writing() {
    for strategy in working() {
        let (mut a, b) = pair_of(strategy);
        b.shutdown(std::net::Shutdown::Write).unwrap();
        wait_readable(&a);
        assert_eq!(a.read(&mut [0; 8]).unwrap(), 0, "{strategy}");
    }
}

#[test]
fn strategies_have_names() {
    for &strategy in Strategy::ALL {
        assert_eq!(strategy.to_string().parse(), Ok(strategy));
    }
    let error = "tcp".parse::<Strategy>().unwrap_err().to_string();
    for strategy in Strategy::ALL {
        assert!(error.contains(strategy.name()), "{error} names {strategy}");
    }
}

#[test]
fn an_error_names_what_was_tried_and_where_it_failed() {
    let error = pair_by(&[Strategy::LoopbackV4, Strategy::LoopbackV6], Duration::ZERO).unwrap_err();
    assert_eq!(error.failed.len(), 2);
    let text = error.to_string();
    assert!(text.contains("loopback-v4 failed to") && text.contains("loopback-v6 failed to"), "{text}");
    assert!(text.contains("127.0.0.1:") && text.contains("[::1]:"), "{text}");
}
