//! Replies that wait for a commit.

use super::*;

fn upto(seq: u64) -> Option<Release> {
    Some(Release::Upto(Seq(seq)))
}

#[test]
fn a_held_reply_leaves_in_the_turn_that_releases_it_and_not_before() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    bench.send(token, &wire, "echo before\nhold 1 held\necho behind\n");
    assert_eq!(wire.sent(), "before\n");
    bench.turn(&[]);
    assert_eq!((wire.sent().as_str(), wire.writes()), ("", 1), "nothing to write, nothing written");
    bench.release.set(upto(1));
    bench.turn(&[]);
    assert_eq!((wire.sent().as_str(), wire.writes()), ("held\nbehind\n", 2));
}

#[test]
fn each_connection_waits_for_its_own_commit() {
    let mut bench = Bench::new();
    let (one, one_wire) = bench.connect();
    let (two, two_wire) = bench.connect();
    one_wire.arrive(b"hold 1 one\n");
    two_wire.arrive(b"hold 2 two\n");
    bench.turn(&[readable(one), readable(two)]);
    bench.release.set(upto(1));
    bench.turn(&[]);
    assert_eq!((one_wire.sent().as_str(), two_wire.sent().as_str()), ("one\n", ""));
    bench.release.set(upto(2));
    bench.turn(&[]);
    assert_eq!(two_wire.sent(), "two\n");
}

#[test]
fn a_commit_settled_in_its_own_turn_costs_no_second_write() {
    let mut bench = Bench::new();
    bench.release.set(upto(9));
    let (token, wire) = bench.connect();
    bench.send(token, &wire, "hold 1 a\nhold 2 b\nhold 9 c\n");
    assert_eq!((wire.sent().as_str(), wire.writes()), ("a\nb\nc\n", 1));
}

#[test]
fn output_of_a_failed_commit_never_leaves_and_its_connection_closes() {
    let mut bench = Bench::new();
    let (hit, hit_wire) = bench.connect();
    let (spared, spared_wire) = bench.connect();
    hit_wire.arrive(b"echo read\nhold 1 safe\nhold 2 lost\necho behind\n");
    spared_wire.arrive(b"hold 1 fine\n");
    bench.turn(&[readable(hit), readable(spared)]);
    assert_eq!(hit_wire.sent(), "read\n");
    bench.release.set(Some(Release::Failed { after: Seq(1) }));
    bench.turn(&[]);
    assert_eq!(hit_wire.sent(), "safe\ncommit-failed");
    assert_eq!(spared_wire.sent(), "fine\n");
    assert_eq!(bench.closed(), [CloseReason::CommitFailed]);
    assert!(hit_wire.is_shut() && !spared_wire.is_shut());
    bench.send(spared, &spared_wire, "echo on\n");
    assert_eq!(spared_wire.sent(), "on\n");
}

#[test]
fn a_failure_after_part_of_the_output_was_released_but_not_taken_keeps_that_part() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    wire.room(3);
    bench.release.set(upto(1));
    bench.send(token, &wire, "hold 1 first\nhold 2 second\n");
    bench.release.set(Some(Release::Failed { after: Seq(1) }));
    wire.room(100);
    bench.turn(&[writable(token)]);
    assert_eq!(wire.sent(), "first\ncommit-failed");
    assert_eq!(bench.closed(), [CloseReason::CommitFailed]);
}

#[test]
fn a_connection_whose_reply_failed_does_not_leave_the_layer() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    bench.send(token, &wire, "echo before\nhold 1 lost\nleave\n");
    assert_eq!(wire.sent(), "before\n");
    bench.release.set(Some(Release::Failed { after: Seq::ZERO }));
    bench.turn(&[]);
    assert_eq!(
        (wire.sent().as_str(), wire.is_shut()),
        ("commit-failed", true),
        "its peer learns that it is over"
    );
    assert_eq!((bench.handed_out.clone(), bench.closed()), (vec![], vec![CloseReason::CommitFailed]));
    assert_eq!(bench.counted(), [CloseReason::CommitFailed]);
}

#[test]
fn a_peer_that_has_closed_its_side_is_not_waited_for_when_its_reply_failed() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    // Parked: it is not over when its input is.
    wire.arrive(b"hold 1 lost\npark\n");
    wire.end();
    bench.turn(&[readable(token)]);
    bench.turn(&[readable(token)]);
    bench.release.set(Some(Release::Failed { after: Seq::ZERO }));
    bench.turn(&[]);
    assert_eq!((bench.closed(), bench.gone.clone()), (vec![CloseReason::CommitFailed], vec![token]));
}

#[test]
fn held_output_over_the_mark_pauses_without_a_spin() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    bench.send(token, &wire, "hold 1 x\nlarge 3000\n");
    assert_eq!(bench.interest(token), Interest::NONE);
    assert!(!bench.core.has_ready());
    bench.release.set(upto(1));
    while {
        bench.turn(&[]);
        bench.core.has_ready()
    } {}
    assert_eq!(wire.sent().len(), 3002);
    assert_eq!(bench.interest(token), Interest::READ);
}

#[test]
fn the_end_of_the_turn_is_asked_exactly_once_per_turn() {
    let mut bench = Bench::new();
    let (token, wire) = bench.connect();
    for _ in 0..3 {
        bench.send(token, &wire, "echo x\n");
    }
    bench.turn(&[]);
    assert_eq!(bench.end_turns.get(), 4);
}
