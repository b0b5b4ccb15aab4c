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
    assert_eq!((bench.closed(), bench.gone.clone()), (vec![CloseReason::Requested], vec![token]));
    assert_eq!(bench.counted(), [CloseReason::Requested], "the service asked for it");
    let (token, wire) = bench.connect();
    wire.end();
    bench.turn(&[readable(token)]);
    assert_eq!(bench.counted(), [CloseReason::PeerClosed]);
}

#[test]
fn at_the_end_of_the_input_all_that_is_left_is_shown_whatever_the_budgets_of_a_turn() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    // More requests than a turn has, and more output than the mark allows.
    bench.send(token, &wire, &".".repeat(25));
    wire.end();
    bench.turn(&[readable(token)]);
    assert_eq!((wire.sent().len(), bench.gone.clone()), (2500, vec![token]));
}

#[test]
fn what_a_connection_was_opened_for_comes_back_exactly_once_however_it_ends() {
    let mut bench = Bench::new();
    let (stands, wire) = bench.open_outward("hello\n");
    let (refused, refused_wire) = bench.open_outward("refused");
    bench.open_outward("late");
    refused_wire.reset();
    bench.turn(&[writable(stands), broken(refused)]);
    assert_eq!(wire.sent(), "hello\n");
    bench.pass(Duration::from_secs(5));
    assert_eq!(*bench.failed.borrow(), [("refused", ErrorKind::ConnectionRefused)]);
    bench.pass(Duration::from_secs(6));
    bench.open_outward("stopped");
    bench.core.shutdown(bench.now);
    bench.turn(&[]);
    let failed = bench.failed.borrow();
    assert_eq!(failed[1..], [("late", ErrorKind::TimedOut), ("stopped", ErrorKind::ConnectionAborted)]);
    assert!(bench.core.purposes.is_empty() && !bench.core.has_ready());
    assert_eq!(bench.closed(), [CloseReason::Shutdown], "of the one that stood");
}

#[test]
fn one_that_is_being_opened_ends_once_whenever_the_server_does() {
    for (shutdown_timeout, pass) in [(0, 0), (0, 60), (10, 0), (10, 60)] {
        let shutdown_timeout = Duration::from_secs(shutdown_timeout);
        let mut bench = Bench::with(Limits { shutdown_timeout, ..small_limits() });
        bench.open_outward("before");
        bench.core.shutdown(bench.now);
        bench.open_outward("after");
        bench.pass(Duration::from_secs(pass));
        bench.turn(&[]);
        let failed = bench.failed.borrow().clone();
        assert_eq!(failed.len(), 2, "{failed:?}");
        assert!(bench.core.is_empty() && bench.core.purposes.is_empty());
        assert_eq!((bench.closed(), bench.counted()), (vec![], vec![CloseReason::ConnectFailed; 2]));
    }
}

#[test]
fn a_resume_that_finds_nobody_waiting_does_nothing_and_one_that_comes_late_ends_a_later_wait() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    bench.core.resume(token);
    bench.turn(&[]);
    assert!(!bench.core.has_ready());
    bench.send(token, &wire, "block\nblock\necho x\n");
    assert_eq!(wire.sent(), "");
    bench.core.resume(token);
    bench.core.resume(token);
    bench.turn(&[]);
    bench.turn(&[]);
    assert_eq!(
        (wire.sent().as_str(), bench.core.has_ready()),
        ("", false),
        "it waits again, and two were one"
    );
    bench.core.resume(token);
    bench.turn(&[]);
    bench.turn(&[]);
    assert_eq!(wire.sent(), "x\n");
}

#[test]
fn who_was_told_that_the_output_is_full_is_told_once_when_half_of_it_has_left() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    wire.room(0);
    bench.turn_with(&[], [Post::Fill(token)]);
    for (room, told) in [(499, ""), (1, ""), (400, ""), (200, "drained\n")] {
        wire.room(room);
        bench.turn(&[writable(token)]);
        while bench.core.has_ready() {
            bench.turn(&[]);
        }
        assert_eq!(wire.sent().trim_start_matches('#'), told, "{room}");
    }
    // What leaves in the same turn has drained, too.
    wire.room(5000);
    bench.turn_with(&[], [Post::Fill(token)]);
    bench.turn(&[]);
    assert!(wire.sent().ends_with("#drained\n"));
    assert!(!bench.core.has_ready());
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
fn an_alarm_that_wants_to_come_at_once_comes_once_a_turn_and_keeps_no_other_from_coming() {
    let mut bench = Bench::new();
    let (ticking, ticking_wire) = bench.connect();
    let (other, other_wire) = bench.connect();
    bench.send(ticking, &ticking_wire, "tick\n");
    bench.send(other, &other_wire, "alarm 1\n");
    ticking_wire.sent();
    bench.pass(Duration::from_secs(1));
    assert_eq!((ticking_wire.sent().as_str(), other_wire.sent().as_str()), ("alarm\n", "alarm\n"));
    bench.turn(&[]);
    assert_eq!(ticking_wire.sent(), "alarm\n");
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
fn what_is_counted_is_what_is_told_though_the_poller_does_not_let_a_socket_go() {
    let mut bench = Bench::new();
    for (holds_on, told) in [(false, vec![]), (true, vec![CloseReason::System])] {
        bench.holds_on = holds_on;
        let (token, wire) = bench.connect();
        bench.send(token, &wire, "leave\n");
        assert_eq!(bench.closed(), told);
        let counted = if holds_on { CloseReason::System } else { CloseReason::HandedOut };
        assert_eq!(bench.counted(), [counted]);
    }
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
