//! Moments of a connection that not every protocol needs.

use super::*;

#[test]
fn the_end_of_the_input_can_itself_be_a_request() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    bench.send(token, &wire, "go");
    assert_eq!(wire.sent(), "");
    wire.end();
    bench.turn(&[readable(token)]);
    assert_eq!(wire.sent(), "gone\n");
    assert_eq!((bench.closed(), bench.gone.clone()), (vec![CloseReason::PeerClosed], vec![token]));
}

#[test]
fn a_parked_request_is_answered_though_the_peer_has_closed_its_side() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    wire.arrive(b"park\necho next\n");
    wire.end();
    bench.turn(&[readable(token)]);
    bench.turn(&[readable(token)]);
    assert_eq!((wire.sent().as_str(), bench.closed()), ("", vec![]));
    bench.turn_with(&[], [Post::Resume(token)]);
    while bench.core.has_ready() {
        bench.turn(&[]);
    }
    assert_eq!(wire.sent(), "resumed\nran\nnext\n");
    assert_eq!(bench.gone, [token]);
}

#[test]
fn a_parked_request_is_answered_during_a_shutdown_and_a_reset_takes_it_away() {
    let mut bench = Bench::new();
    let (stays, stays_wire) = bench.connect();
    let (breaks, breaks_wire) = bench.connect();
    bench.send(stays, &stays_wire, "park\n");
    bench.send(breaks, &breaks_wire, "park\n");
    bench.core.shutdown(bench.now);
    bench.turn(&[]);
    assert_eq!(bench.closed(), []);
    breaks_wire.reset();
    bench.turn(&[broken(breaks)]);
    assert_eq!(bench.closed(), [CloseReason::PeerReset]);
    bench.turn_with(&[], [Post::Resume(stays)]);
    bench.turn(&[]);
    assert_eq!(stays_wire.sent(), "resumed\nran\n");
    assert_eq!(bench.closed(), [CloseReason::PeerReset, CloseReason::Shutdown]);
}

#[test]
fn an_alarm_comes_once_and_goes_with_a_connection_that_moves_and_ends_with_it() {
    let (mut here, mut there) = (Bench::new(), Bench::new());
    let (token, wire) = here.connect();
    here.send(token, &wire, "alarm 5\n");
    assert_eq!(here.core.next_deadline(), Some(here.now + Duration::from_secs(5)));
    let turn = Turn { now: here.now, worker: 0, workers: &here.alone };
    let (_, moved) = here.core.detach(token.slot, &turn).unwrap();
    assert_eq!(here.core.next_deadline(), None);
    there.now = here.now;
    let turn = Turn { now: there.now, worker: 1, workers: &there.alone };
    let token = there.core.adopt(moved, &turn).unwrap();
    there.pass(Duration::from_secs(5));
    there.pass(Duration::from_secs(5));
    assert_eq!(wire.sent(), "alarm\n");
    there.send(token, &wire, "alarm 5\nquit\n");
    assert!(there.core.next_deadline().unwrap() < there.now + Duration::from_secs(5), "its wheel only");
}

#[test]
fn a_last_word_reaches_who_is_closed_for_being_idle() {
    let mut bench = Bench::with(Limits { idle_timeout: Some(Duration::from_secs(60)), ..small_limits() });
    let (_, wire) = bench.connect();
    bench.pass(Duration::from_secs(70));
    assert_eq!((wire.sent().as_str(), bench.closed()), ("idle", vec![CloseReason::Idle]));
}

#[test]
fn who_reads_steadily_is_not_idle() {
    let mut bench = Bench::with(Limits { idle_timeout: Some(Duration::from_secs(60)), ..small_limits() });
    let (token, wire) = bench.connect();
    wire.room(100);
    bench.send(token, &wire, "monster 5000\n");
    for _ in 0..20 {
        bench.pass(Duration::from_secs(20));
        wire.room(100);
        bench.turn(&[writable(token)]);
    }
    assert_eq!((wire.sent().len(), bench.closed()), (2100, vec![]));
    for _ in 0..5 {
        bench.pass(Duration::from_secs(20));
    }
    assert_eq!(bench.closed(), [CloseReason::Idle], "nothing was taken for a minute");
}

#[test]
fn a_connection_leaves_the_layer_when_its_output_is_sent_and_takes_its_unread_input_along() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    wire.room(3);
    bench.send(token, &wire, "echo hello\nleave\nPRI * HTTP/2.0");
    assert_eq!(bench.handed_out, []);
    wire.room(100);
    bench.turn(&[writable(token)]);
    assert_eq!((wire.sent().as_str(), wire.is_shut()), ("hello\n", false));
    assert_eq!((bench.handed_out.clone(), bench.unread.clone()), (vec![token], b"PRI * HTTP/2.0".to_vec()));
    assert_eq!((bench.closed(), bench.gone.clone()), (vec![], vec![]));
    assert!(bench.core.is_empty());
}

#[test]
fn a_closing_connection_has_a_bound_of_its_own_and_who_takes_something_now_and_then_gets_all() {
    let mut bench = Bench::with(Limits { shutdown_timeout: Duration::from_secs(1), ..small_limits() });
    let (token, wire) = bench.connect();
    wire.room(0);
    bench.send(token, &wire, "echo hello\nquit\n");
    for _ in 0..10 {
        bench.pass(Duration::from_secs(9));
        wire.room(1);
        bench.turn(&[writable(token)]);
    }
    assert_eq!(wire.sent(), "hello\nbye\n");
}

#[test]
fn any_duration_is_valid() {
    let forever = Duration::MAX;
    let limits = Limits {
        idle_timeout: Some(forever),
        linger_timeout: forever,
        closing_timeout: forever,
        shutdown_timeout: forever,
        stall_timeout: forever,
        ..small_limits()
    };
    let mut bench = Bench::with(limits);
    let (token, wire) = bench.connect();
    bench.send(token, &wire, "echo x\nquit\n");
    bench.core.shutdown(bench.now);
    bench.pass(Duration::from_secs(1 << 31));
    assert_eq!((wire.sent().as_str(), bench.gone.clone()), ("x\nbye\n", vec![]));
    assert!(bench.core.next_deadline().unwrap() > bench.now, "and nothing is due already");
}
