//! Connections to which others write faster than their peers read.

use super::*;
use crate::connection::service::OutputLimits;

/// At most 5,000 bytes, and more than 2,000 for 60 seconds only.
const LIMITS: OutputLimits =
    OutputLimits { hard_bytes: 5000, soft_bytes: 2000, soft_timeout: Duration::from_secs(60) };

/// A connection that takes nothing, with these limits.
fn deaf(bench: &mut Bench) -> (Token, Wire) {
    bench.limits.set(LIMITS);
    let (token, wire) = bench.connect();
    wire.room(0);
    (token, wire)
}

fn say(bench: &mut Bench, bytes: usize) {
    let text: &'static str = Box::leak("#".repeat(bytes).into_boxed_str());
    bench.turn_with(&[], [Post::Say(text)]);
}

#[test]
fn more_unsent_output_than_a_session_may_have_closes_it_at_once() {
    let mut bench = Bench::new();
    let (_token, _wire) = deaf(&mut bench);
    say(&mut bench, 5000);
    assert_eq!(bench.closed(), []);
    say(&mut bench, 1);
    assert_eq!(bench.closed(), [CloseReason::OutputLimit]);
    assert_eq!(bench.core.next_deadline(), None, "nothing is left to look at");
}

#[test]
fn much_unsent_output_closes_a_session_once_it_has_had_it_for_too_long() {
    let mut bench = Bench::new();
    let (_token, _wire) = deaf(&mut bench);
    say(&mut bench, 2001);
    let due = bench.now + Duration::from_secs(60);
    assert_eq!(bench.core.next_deadline(), Some(due));
    bench.now += Duration::from_secs(30);
    say(&mut bench, 1);
    assert_eq!(bench.core.next_deadline(), Some(due), "measured from when it began");
    bench.pass(Duration::from_secs(29));
    assert_eq!(bench.closed(), []);
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.closed(), [CloseReason::OutputLimit]);
}

#[test]
fn whoever_has_caught_up_meanwhile_stays() {
    let mut bench = Bench::new();
    let (token, wire) = deaf(&mut bench);
    say(&mut bench, 2500);
    wire.room(500);
    bench.turn(&[writable(token)]);
    bench.pass(Duration::from_secs(70));
    say(&mut bench, 1);
    assert_eq!(bench.core.next_deadline().map(|at| at - bench.now), Some(Duration::from_secs(60)), "anew");
    assert_eq!(bench.closed(), []);
}

#[test]
fn a_parked_request_runs_when_it_is_resumed_although_the_output_is_full() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    wire.room(0);
    bench.send(token, &wire, "park\necho next\n");
    bench.turn_with(&[], [Post::Fill(token)]);
    // What was kept for it, others wait for.
    bench.turn_with(&[], [Post::Resume(token)]);
    bench.turn(&[]);
    assert!(!bench.core.has_ready(), "it would spin");
    let full = "#".repeat(1000);
    wire.room(1000 + "resumed\nran\n".len());
    bench.turn(&[writable(token)]);
    assert_eq!(wire.sent(), format!("{full}resumed\nran\n"), "the next one waits until half has drained");
    wire.room(100);
    while bench.core.has_ready() {
        bench.turn(&[]);
    }
    assert_eq!(wire.sent(), "drained\nnext\n");
}

#[test]
fn output_that_others_wrote_is_closed_when_memory_is_short() {
    let limits = Limits {
        max_memory_bytes: 200_000,
        output_high_water_bytes: 1 << 20,
        max_output_bytes: 1 << 20,
        stall_timeout: Duration::from_secs(5),
        ..small_limits()
    };
    let mut bench = Bench::with(limits);
    let (_deaf, wire) = bench.connect();
    wire.room(0);
    say(&mut bench, 150_000);
    let (token, other) = bench.connect();
    bench.send(token, &other, "value 100000\n");
    assert_eq!(other.sent(), "", "there is no room");
    for _ in 0..20 {
        bench.pass(Duration::from_secs(1));
    }
    assert_eq!(bench.closed(), [CloseReason::MemoryStall]);
    assert_eq!(other.sent().len(), 100_000);
}
