//! Timers, idle timeouts, and connections that come from elsewhere.

use super::*;

fn with_idle_timeout() -> Bench {
    Bench::with(Limits { idle_timeout: Some(Duration::from_secs(60)), ..small_limits() })
}

#[test]
fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let mut bench = with_idle_timeout();
    let (_, idle_wire) = bench.connect();
    let (busy, busy_wire) = bench.connect();
    for _ in 0..10 {
        bench.pass(Duration::from_secs(7));
        bench.send(busy, &busy_wire, "echo x\n");
    }
    assert!(idle_wire.is_shut() && !busy_wire.is_shut());
    assert_eq!(bench.closed(), [CloseReason::Idle]);
}

#[test]
fn a_byte_a_second_is_not_idle_and_a_blocked_connection_is_exempt() {
    let mut bench = with_idle_timeout();
    let (slow, slow_wire) = bench.connect();
    let (blocked, blocked_wire) = bench.connect();
    bench.send(blocked, &blocked_wire, "block\n");
    for byte in format!("echo {}\n", "x".repeat(300)).split_inclusive(|_| true) {
        bench.pass(Duration::from_secs(1));
        bench.send(slow, &slow_wire, byte);
    }
    assert_eq!(slow_wire.sent().len(), 301);
    assert_eq!(bench.closed(), []);
}

#[test]
fn the_idle_timeout_can_change_while_connections_are_open() {
    let mut bench = Bench::new();
    let (_, wire) = bench.connect();
    bench.pass(Duration::from_secs(3600));
    assert!(!wire.is_shut());
    bench.core.set_idle_timeout(Some(Duration::from_secs(7200)), bench.now);
    bench.pass(Duration::from_secs(3599));
    assert!(!wire.is_shut());
    bench.core.set_idle_timeout(Some(Duration::from_secs(10)), bench.now);
    bench.pass(Duration::from_secs(1));
    assert!(wire.is_shut());
}

#[test]
fn waiting_ends_when_the_next_thing_falls_due() {
    let mut bench = with_idle_timeout();
    assert_eq!(bench.core.next_deadline(), None);
    bench.connect();
    bench.turn(&[]);
    let idle_at = bench.core.next_deadline().unwrap();
    assert!(idle_at >= bench.now + Duration::from_secs(60) && idle_at < bench.now + Duration::from_secs(66));
    bench.timer.set(Some(bench.now + Duration::from_secs(5)));
    assert_eq!(bench.core.next_deadline(), Some(bench.now + Duration::from_secs(5)));
}

#[test]
fn the_timer_comes_at_its_time_and_once() {
    let mut bench = Bench::new();
    let (_, wire) = bench.connect();
    bench.timer.set(Some(bench.now + Duration::from_secs(5)));
    bench.pass(Duration::from_secs(4));
    assert_eq!(wire.sent(), "");
    bench.pass(Duration::from_secs(1));
    bench.pass(Duration::from_secs(1));
    assert_eq!(wire.sent(), "ding\n");
}

#[test]
fn a_connection_moves_with_unread_input_unsent_output_and_holds() {
    let (mut here, mut there) = (Bench::new(), Bench::new());
    let (token, wire) = here.connect();
    wire.room(3);
    here.send(token, &wire, &format!("echo first\nhold 7 held\n{}ech", "echo x\n".repeat(20)));
    let turn = Turn { now: here.now, worker: 0, workers: &here.alone };
    let (_, moved) = here.core.detach(token.slot, &turn).expect("it may move");
    assert!(here.core.is_empty());
    wire.room(10_000);
    let turn = Turn { now: there.now, worker: 1, workers: &there.alone };
    let token = there.core.adopt(moved, &turn).unwrap();
    there.turn(&[writable(token)]);
    assert_eq!(wire.sent(), "first\n");
    there.release.set(Some(Release::Upto(Seq(7))));
    there.send(token, &wire, "o end\n");
    while there.core.has_ready() {
        there.turn(&[]);
    }
    there.turn(&[readable(token)]);
    assert_eq!(wire.sent(), format!("held\n{}end\n", "x\n".repeat(20)));
    assert_eq!((here.closed(), there.closed()), (vec![], vec![]), "a move is not an end");
}

#[test]
fn blocked_and_closing_connections_stay() {
    let mut bench = Bench::new();
    let (blocked, wire) = bench.connect();
    bench.send(blocked, &wire, "block\n");
    let (closing, wire) = bench.connect();
    bench.send(closing, &wire, "quit\n");
    let turn = Turn { now: bench.now, worker: 0, workers: &bench.alone };
    assert!(bench.core.detach(blocked.slot, &turn).is_none());
    assert!(bench.core.detach(closing.slot, &turn).is_none());
}
