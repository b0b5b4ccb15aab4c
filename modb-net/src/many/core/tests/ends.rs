//! How connections end.

use super::memory::memory_limits;
use super::*;
use crate::connection::conn::WAITING_INPUT_BYTES;

#[test]
fn a_peer_that_has_closed_its_side_gets_every_answer_first() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    wire.arrive("echo x\n".repeat(25).as_bytes());
    wire.end();
    bench.turn(&[readable(token)]);
    bench.turn(&[readable(token)]);
    bench.turn(&[readable(token)]);
    bench.turn(&[readable(token)]);
    assert_eq!(wire.sent(), "x\n".repeat(25));
    assert_eq!(bench.closed(), [CloseReason::PeerClosed]);
    assert_eq!(bench.gone, [token]);
}

#[test]
fn a_half_closed_peer_that_reads_slowly_gets_the_rest_and_costs_no_spin() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    wire.room(1);
    wire.arrive(b"echo hello\n");
    wire.end();
    bench.turn(&[readable(token)]);
    bench.turn(&[readable(token)]);
    assert_eq!(bench.interest(token), Interest::WRITE, "the end would be reported for ever");
    wire.room(100);
    bench.turn(&[writable(token)]);
    assert_eq!(wire.sent(), "hello\n");
    assert_eq!(bench.gone, [token]);
}

#[test]
fn a_request_that_was_never_finished_ends_with_its_peer() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    bench.send(token, &wire, "echo ");
    wire.end();
    bench.turn(&[readable(token)]);
    assert_eq!(bench.closed(), [CloseReason::PeerClosed]);
}

#[test]
fn a_blocked_connection_ends_when_its_peer_does() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    bench.send(token, &wire, "block\n");
    wire.end();
    bench.turn(&[readable(token)]);
    assert_eq!(bench.closed(), [CloseReason::PeerClosed]);
    bench.turn_with(&[], [Post::Resume(token)]);
    assert_eq!(wire.sent(), "");
}

#[test]
fn a_blocked_connection_ends_with_its_peer_however_large_its_request_is() {
    let mut bench = Bench::with(memory_limits(1 << 30));
    let (token, wire) = bench.connect();
    let request = format!("stay {}\n", "x".repeat(3 * WAITING_INPUT_BYTES));
    wire.arrive(request.as_bytes());
    bench.settle(&[(token, &wire)]);
    assert_eq!(wire.unread(), 0);
    // What comes behind it is read in part, and no more of it for being resumed in vain.
    wire.arrive("echo x\n".repeat(16 * WAITING_INPUT_BYTES).as_bytes());
    for _ in 0..10 {
        bench.turn_with(&[readable(token)], [Post::Resume(token)]);
        bench.turn(&[readable(token)]);
    }
    assert!(wire.unread() > 64 * WAITING_INPUT_BYTES, "{} were not read", wire.unread());
    assert_eq!(bench.closed(), []);

    let (token, wire) = bench.connect();
    wire.arrive(request.as_bytes());
    bench.settle(&[(token, &wire)]);
    wire.arrive(b"echo x\n");
    wire.end();
    bench.turn(&[readable(token)]);
    bench.turn(&[readable(token)]);
    assert_eq!(bench.closed(), [CloseReason::PeerClosed]);
}

#[test]
fn the_last_reply_is_sent_and_unread_input_is_drained_before_the_close() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    bench.send(token, &wire, "quit\necho ignored\n");
    assert_eq!(wire.sent(), "bye\n");
    assert!(wire.is_shut());
    assert_eq!(bench.gone, [], "the peer has not closed yet");
    assert_eq!(bench.closed(), [CloseReason::Requested]);
    bench.send(token, &wire, "more that nobody reads");
    assert_eq!(wire.unread(), 0);
    wire.end();
    bench.turn(&[readable(token)]);
    assert_eq!(bench.gone, [token]);
    assert_eq!(bench.closed().len(), 1, "told once");
}

#[test]
fn draining_is_bounded_in_bytes_and_in_time() {
    let mut bench = Bench::new();
    let (chatty, chatty_wire) = bench.connect();
    let (silent, silent_wire) = bench.connect();
    chatty_wire.arrive(b"quit\n");
    silent_wire.arrive(b"quit\n");
    bench.turn(&[readable(chatty), readable(silent)]);
    bench.send(chatty, &chatty_wire, &"?".repeat(1001));
    assert_eq!(bench.gone, [chatty]);
    bench.pass(Duration::from_millis(900));
    assert_eq!(bench.gone, [chatty]);
    bench.pass(Duration::from_millis(300));
    assert_eq!(bench.gone, [chatty, silent]);
}

#[test]
fn one_that_took_its_time_to_take_the_last_reply_lingers_no_longer_than_others() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    wire.room(0);
    bench.send(token, &wire, "quit\n");
    // It was looked at meanwhile, and had more time left then than lingering has.
    for _ in 0..11 {
        bench.pass(Duration::from_millis(100));
    }
    wire.room(100);
    bench.turn(&[writable(token)]);
    assert_eq!((wire.sent().as_str(), bench.gone.clone()), ("bye\n", vec![]));
    for _ in 0..11 {
        bench.pass(Duration::from_millis(100));
    }
    assert_eq!(bench.gone, [token]);
}

#[test]
fn a_closing_connection_whose_peer_takes_nothing_is_cut_off() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    wire.room(0);
    bench.send(token, &wire, "quit\n");
    for _ in 0..9 {
        bench.pass(Duration::from_secs(1));
    }
    assert_eq!(bench.gone, []);
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.gone, [token]);
}

#[test]
fn a_reset_while_paused_ends_the_connection_in_that_turn() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    wire.room(0);
    bench.send(token, &wire, "large 3000\n");
    bench.turn(&[event(token, false, false, true)]);
    assert_eq!(bench.gone, [token]);
    assert_eq!(bench.closed(), [CloseReason::PeerReset]);
}

#[test]
fn a_reset_is_noticed_when_reading_and_when_writing() {
    let mut bench = Bench::new();
    let (reading, wire) = bench.connect();
    wire.reset();
    bench.turn(&[readable(reading)]);
    let (writing, wire) = bench.connect();
    wire.reset();
    bench.turn_with(&[], [Post::Say("hello")]);
    assert_eq!(bench.gone, [reading, writing]);
    assert_eq!(bench.closed(), [CloseReason::PeerReset; 2]);
}

#[test]
fn the_service_can_close_any_connection_once() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    bench.turn_with(&[], [Post::Say("go"), Post::Close(token), Post::Close(token), Post::Say("unheard")]);
    assert_eq!(wire.sent(), "go");
    assert_eq!(bench.closed(), [CloseReason::Requested]);
}

#[test]
fn a_refused_connection_reads_why_and_was_never_served() {
    let mut bench = Bench::new();
    bench.refuse.set(true);
    let (token, wire) = bench.connect();
    bench.send(token, &wire, "echo x\n");
    assert_eq!(wire.sent(), "full\n");
    assert!(wire.is_shut());
    bench.turn(&[readable(token)]);
    wire.end();
    bench.turn(&[readable(token)]);
    assert_eq!(bench.gone, [token]);
    assert_eq!(bench.closed(), []);
    assert_eq!(bench.core.stats().accepted, 0);
}

#[test]
fn nobody_is_asked_or_called_for_a_connection_that_is_about_to_end() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    bench.send(token, &wire, "alarm 1\n");
    bench.now += Duration::from_secs(1);
    // Closed by the service in the turn in which its alarm falls due: `on_alarm` would look for it in vain.
    bench.turn_with(&[], [Post::Close(token)]);
    assert_eq!((wire.sent().as_str(), bench.closed()), ("", vec![CloseReason::Requested]));
    let (token, _wire) = bench.connect();
    assert!(bench.core.serves(token));
    let turn = Turn { now: bench.now, worker: 0, workers: &bench.alone };
    bench.core.message(Post::Close(token), None, &turn);
    assert!(!bench.core.serves(token), "a message to it comes back");
}

#[test]
fn a_shutdown_answers_what_was_read_sends_it_and_closes() {
    let mut bench = Bench::new();
    let (busy, busy_wire) = bench.connect();
    let (idle, idle_wire) = bench.connect();
    let (blocked, blocked_wire) = bench.connect();
    bench.send(blocked, &blocked_wire, "block\n");
    bench.send(busy, &busy_wire, &"echo x\n".repeat(25));
    bench.core.shutdown(bench.now);
    while bench.core.has_ready() {
        bench.turn(&[]);
    }
    assert_eq!(busy_wire.sent(), "x\n".repeat(25));
    assert!(busy_wire.is_shut() && idle_wire.is_shut() && blocked_wire.is_shut());
    assert_eq!(bench.closed(), [CloseReason::Shutdown; 3]);
    for (token, wire) in [(busy, busy_wire), (idle, idle_wire), (blocked, blocked_wire)] {
        wire.end();
        bench.turn(&[readable(token)]);
    }
    assert!(bench.core.is_empty());
}

#[test]
fn a_shutdown_waits_for_held_replies_but_not_for_ever() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    bench.send(token, &wire, "hold 1 x\n");
    bench.core.shutdown(bench.now);
    bench.pass(Duration::from_secs(9));
    assert!(!bench.core.is_empty());
    bench.pass(Duration::from_secs(2));
    assert!(bench.core.is_empty());
    assert_eq!(wire.sent(), "");
}
