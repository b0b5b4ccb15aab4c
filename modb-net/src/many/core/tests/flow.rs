//! Input, budgets, output and back-pressure.

use super::*;

#[test]
fn a_pipeline_is_answered_with_one_write() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    bench.send(token, &wire, "echo a\necho b\necho c\n");
    assert_eq!(wire.sent(), "a\nb\nc\n");
    assert_eq!((wire.writes(), wire.reads()), (1, 1));
    assert_eq!(bench.core.stats().writes, 1);
    assert!(!bench.core.has_ready());
}

#[test]
fn a_request_in_pieces_is_answered_when_it_is_whole() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    for piece in "echo slow".split_inclusive(|_| true) {
        bench.send(token, &wire, piece);
    }
    assert_eq!(wire.sent(), "");
    bench.send(token, &wire, "\necho n");
    assert_eq!(wire.sent(), "slow\n");
    bench.send(token, &wire, "ext\n");
    assert_eq!(wire.sent(), "next\n");
}

#[test]
fn a_long_pipeline_gives_others_their_turn_and_goes_on_without_new_input() {
    let mut bench = Bench::new();
    let (greedy, greedy_wire) = bench.connect();
    let (other, other_wire) = bench.connect();
    greedy_wire.arrive("echo x\n".repeat(25).as_bytes());
    other_wire.arrive(b"echo y\n");
    bench.turn(&[readable(greedy), readable(other)]);
    assert_eq!(greedy_wire.sent(), "x\n".repeat(10));
    assert_eq!(other_wire.sent(), "y\n");
    assert!(bench.core.has_ready());
    bench.turn(&[]);
    bench.turn(&[]);
    assert_eq!(greedy_wire.sent(), "x\n".repeat(15));
    assert!(!bench.core.has_ready());
}

#[test]
fn an_event_and_a_place_on_the_ready_list_are_one_turn_not_two() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    bench.send(token, &wire, &"echo x\n".repeat(25));
    wire.sent();
    bench.turn(&[readable(token)]);
    assert_eq!(wire.sent(), "x\n".repeat(10), "the budget of one turn");
    assert_eq!(wire.writes(), 2);
}

#[test]
fn the_bytes_of_a_turn_are_bounded_and_the_rest_stays_in_the_kernel() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    bench.send(token, &wire, &"?".repeat(5000));
    assert_eq!(wire.unread(), 5000 - 4096);
}

#[test]
fn input_that_never_becomes_a_request_ends_at_the_limit() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    while bench.closed().is_empty() {
        bench.send(token, &wire, &"?".repeat(4000));
    }
    assert_eq!(bench.closed(), [CloseReason::InputLimit]);
    assert!(bench.core.stats().bytes_in <= 10_000 + 4096);
}

#[test]
fn who_does_not_read_is_neither_read_nor_executed_until_half_has_drained() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    wire.room(0);
    bench.send(token, &wire, "large 3000\necho end\n");
    assert_eq!(bench.interest(token), Interest::WRITE);
    assert!(!bench.core.has_ready(), "it would spin");
    let reads = wire.reads();
    wire.arrive(b"echo later\n");
    bench.turn(&[readable(token)]);
    assert_eq!(wire.reads(), reads, "paused");
    wire.room(400);
    bench.turn(&[writable(token)]);
    assert_eq!(wire.sent().len(), 400);
    assert_eq!(bench.interest(token), Interest::WRITE, "600 of 1000 are still there");
    wire.room(100_000);
    bench.turn(&[writable(token)]);
    assert!(bench.core.has_ready());
    while bench.core.has_ready() {
        bench.turn(&[]);
    }
    bench.turn(&[readable(token)]);
    assert_eq!(wire.sent(), format!("{}end\nlater\n", "#".repeat(2600)));
    assert_eq!(bench.interest(token), Interest::READ);
}

#[test]
fn a_reply_far_over_the_mark_closes_the_connection() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    wire.room(10);
    bench.send(token, &wire, "monster 20000\n");
    assert_eq!(bench.closed(), [CloseReason::OutputLimit]);
    assert_eq!(bench.gone, [token]);
}

#[test]
fn a_partial_write_waits_for_the_socket_and_is_not_tried_again_before() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    wire.room(2);
    bench.send(token, &wire, "echo hello\n");
    assert_eq!((wire.sent().as_str(), wire.writes()), ("he", 1));
    assert_eq!(bench.interest(token), Interest::BOTH);
    bench.send(token, &wire, "echo more\n");
    assert_eq!(wire.writes(), 1, "the socket is known to be full");
    wire.room(100);
    bench.turn(&[writable(token)]);
    assert_eq!(wire.sent(), "llo\nmore\n");
    assert_eq!(bench.interest(token), Interest::READ);
}

#[test]
fn a_blocked_connection_keeps_its_place_until_it_is_resumed() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    bench.send(token, &wire, "echo a\nblock\necho b\n");
    assert_eq!(wire.sent(), "a\n");
    bench.send(token, &wire, "echo c\n");
    assert_eq!(wire.sent(), "");
    assert!(!bench.core.has_ready());
    bench.turn_with(&[], [Post::Resume(token)]);
    assert_eq!(wire.sent(), "resumed\n");
    bench.turn(&[]);
    assert_eq!(wire.sent(), "b\nc\n");
}

#[test]
fn a_blocked_connection_is_read_only_so_far() {
    let mut bench = Bench::with(Limits { read_bytes_per_turn: 1 << 20, ..small_limits() });
    let (token, wire) = bench.connect();
    bench.send(token, &wire, "block\n");
    bench.send(token, &wire, &"echo x\n".repeat(100_000));
    assert!(bench.core.stats().bytes_in < 200_000, "{}", bench.core.stats().bytes_in);
    assert_eq!(bench.interest(token), Interest::NONE);
}

#[test]
fn what_a_message_says_to_all_reaches_all_and_costs_one_write_each() {
    let mut bench = Bench::new();
    let wires: Vec<Wire> = (0..5).map(|_| bench.connect().1).collect();
    bench.turn_with(&[], [Post::Say("one "), Post::Say("two")]);
    for wire in wires {
        assert_eq!((wire.sent().as_str(), wire.writes()), ("one two", 1));
    }
}

#[test]
fn a_stale_event_does_not_reach_the_new_owner_of_the_slot() {
    let mut bench = Bench::new();
    let (old, wire) = bench.connect();
    wire.reset();
    bench.turn(&[readable(old)]);
    let (new, new_wire) = bench.connect();
    assert_eq!(old.slot, new.slot);
    new_wire.arrive(b"echo x\n");
    bench.turn(&[broken(old)]);
    assert_eq!(new_wire.reads(), 0);
    bench.turn(&[readable(new)]);
    assert_eq!(new_wire.sent(), "x\n");
}

#[test]
fn an_idle_connection_owns_no_buffer_and_is_small() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    bench.send(token, &wire, "hold 1 x\necho y\nech");
    bench.release.set(Some(Release::Upto(Seq(1))));
    bench.send(token, &wire, "o z\n");
    assert_eq!(wire.sent(), "x\ny\nz\n");
    let conn = &bench.core.conns.slab[token.slot as usize];
    assert_eq!((conn.buffer_bytes(), conn.account.counted()), (0, 0));
    let size = size_of::<Conn<(), Arc<socket2::Socket>>>();
    assert!(size <= 168, "{size} bytes per connection");
}
