//! What connections hold is counted, and given in order when it is short.

use super::*;

pub(super) const KIB: usize = 1 << 10;

fn with_memory(max_memory_bytes: usize) -> Bench {
    Bench::with(memory_limits(max_memory_bytes))
}

pub(super) fn memory_limits(max_memory_bytes: usize) -> Limits {
    Limits {
        max_memory_bytes,
        max_input_bytes: 1 << 30,
        max_output_bytes: 1 << 30,
        output_high_water_bytes: 1 << 20,
        read_bytes_per_turn: 64 * KIB,
        stall_timeout: Duration::from_secs(5),
        ..Limits::default()
    }
}

impl Bench {
    /// Turns until nothing is left to do, with everything reported that a poller would.
    pub(super) fn settle(&mut self, wires: &[(Token, &Wire)]) {
        let mut quiet = 0;
        for _ in 0..10_000 {
            let mut events = Vec::new();
            for (token, wire) in wires {
                if self.core.conns.slot_of_key(token.key()).is_some() {
                    let interest = self.interest(*token);
                    let event = event(
                        *token,
                        interest.readable && wire.unread() > 0,
                        interest.writable && wire.has_room(),
                        false,
                    );
                    if event.readable || event.writable {
                        events.push(event);
                    }
                }
            }
            if events.is_empty() && !self.core.has_ready() && self.core.conns.starved.is_empty() {
                return;
            }
            let before: usize = wires.iter().map(|(_, wire)| wire.unread() + wire.total_sent()).sum();
            self.turn(&events);
            let after: usize = wires.iter().map(|(_, wire)| wire.unread() + wire.total_sent()).sum();
            quiet = if before == after && !self.core.has_ready() { quiet + 1 } else { 0 };
            if quiet == 4 {
                return;
            }
        }
        panic!("it does not come to rest");
    }
}

#[test]
fn requests_that_began_first_are_read_to_their_end_while_the_others_wait_unread() {
    let mut bench = with_memory(256 * KIB);
    let clients: Vec<(Token, Wire)> = (0..4).map(|_| bench.connect()).collect();
    let line = format!("echo {}\n", "x".repeat(200 * KIB));
    let wires: Vec<(Token, &Wire)> = clients.iter().map(|(token, wire)| (*token, wire)).collect();
    // Half of each first.
    for (_, wire) in &clients {
        wire.arrive(&line.as_bytes()[..100 * KIB]);
    }
    bench.settle(&wires);
    assert!(bench.budget.used() < 256 * KIB + 200 * KIB, "{} bytes", bench.budget.used());
    let unread: Vec<usize> = clients.iter().map(|(_, wire)| wire.unread()).collect();
    assert_eq!(unread[0], 0, "the first is read: {unread:?}, used {}", bench.budget.used());
    assert!(unread[3] >= 64 * KIB, "the last waits: {unread:?}");
    for (_, wire) in &clients {
        wire.arrive(&line.as_bytes()[100 * KIB..]);
    }
    bench.settle(&wires);
    for (_, wire) in &clients {
        assert_eq!(wire.sent().len(), line.len() - 5, "all are served in the end");
    }
    assert_eq!(bench.closed(), []);
    assert!(!bench.budget.is_awaited());
}

#[test]
fn a_small_request_always_finds_room() {
    let mut bench = with_memory(64 * KIB);
    let (holder, holder_wire) = bench.connect();
    bench.send(holder, &holder_wire, &format!("echo {}", "x".repeat(63 * KIB)));
    bench.turn(&[readable(holder)]);
    assert!(bench.budget.is_short());
    let (small, wire) = bench.connect();
    for _ in 0..10 {
        bench.send(small, &wire, &format!("echo {}\n", "y".repeat(10 * KIB)));
        assert_eq!(wire.sent().len(), 10 * KIB + 1);
    }
}

#[test]
fn a_large_reply_waits_for_room_unexecuted_and_one_larger_than_all_is_made_alone() {
    let mut bench = with_memory(256 * KIB);
    let (first, first_wire) = bench.connect();
    let (second, second_wire) = bench.connect();
    first_wire.room(0);
    bench.send(first, &first_wire, &format!("value {}\n", 300 * KIB));
    bench.send(second, &second_wire, &format!("value {}\n", 300 * KIB));
    let wires = [(first, &first_wire), (second, &second_wire)];
    bench.settle(&wires);
    assert_eq!(second_wire.sent().len(), 0, "one at a time");
    assert!(bench.budget.used() < 2 * 300 * KIB);
    first_wire.room(1 << 30);
    bench.turn(&[writable(first)]);
    bench.settle(&wires);
    assert_eq!((first_wire.sent().len(), second_wire.sent().len()), (300 * KIB, 300 * KIB));
}

#[test]
fn who_makes_no_progress_while_others_wait_is_closed_and_told_and_nobody_else() {
    let mut bench = with_memory(256 * KIB);
    let (silent, silent_wire) = bench.connect();
    let (slow, slow_wire) = bench.connect();
    let (waiting, waiting_wire) = bench.connect();
    let wires = [(silent, &silent_wire), (slow, &slow_wire), (waiting, &waiting_wire)];
    silent_wire.arrive(format!("echo {}", "x".repeat(180 * KIB)).as_bytes());
    slow_wire.arrive(format!("echo {}", "x".repeat(20 * KIB)).as_bytes());
    bench.settle(&wires);
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.closed(), [], "nobody waits");
    bench.send(waiting, &waiting_wire, &format!("echo {}\n", "x".repeat(60 * KIB)));
    bench.settle(&wires);
    for _ in 0..4 {
        bench.pass(Duration::from_secs(1));
        silent_wire.arrive(b"x");
        slow_wire.arrive("x".repeat(8 * KIB).as_bytes());
        bench.settle(&wires);
        assert_eq!(bench.closed(), []);
    }
    for _ in 0..3 {
        bench.pass(Duration::from_secs(1));
    }
    assert_eq!(bench.closed(), [CloseReason::MemoryStall], "a byte a second is no progress");
    assert_eq!(silent_wire.sent(), "memory-stall");
    bench.settle(&wires);
    assert_eq!(waiting_wire.sent().len(), 60 * KIB + 1);
    assert!(!slow_wire.is_shut());
}

impl Bench {
    /// A connection with so much of a request that does not go on.
    fn silent(&mut self, bytes: usize) -> (Token, Wire) {
        let (token, wire) = self.connect();
        wire.arrive(format!("echo {}", "x".repeat(bytes)).as_bytes());
        self.settle(&[(token, &wire)]);
        (token, wire)
    }
}

#[test]
fn of_all_who_are_stalled_the_largest_goes_and_no_more_than_must() {
    let mut bench = with_memory(1024 * KIB);
    let silent = [200, 300, 100].map(|kib| bench.silent(kib * KIB));
    let (waiting, wire) = bench.connect();
    wire.arrive(format!("echo {}", "x".repeat(400 * KIB)).as_bytes());
    bench.settle(&[(waiting, &wire)]);
    assert!(bench.budget.is_awaited());
    for _ in 0..8 {
        bench.pass(Duration::from_secs(1));
    }
    assert_eq!(bench.closed(), [CloseReason::MemoryStall]);
    assert_eq!(silent.map(|(_, wire)| wire.is_shut()), [false, true, false]);
}

#[test]
fn for_what_is_larger_than_all_only_those_before_it_go() {
    let mut bench = with_memory(512 * KIB);
    let (_, oldest) = bench.silent(40 * KIB);
    // It has its place since it began what it does not end yet.
    let (waiting, wire) = bench.silent(20 * KIB);
    let (_, behind) = bench.silent(60 * KIB);
    let (keeper, keeps) = bench.connect();
    bench.send(keeper, &keeps, &format!("keep {}\n", 80 * KIB));
    bench.send(waiting, &wire, &format!("\nvalue {}\n", 600 * KIB));
    for _ in 0..8 {
        bench.pass(Duration::from_secs(1));
    }
    assert_eq!([&oldest, &behind, &keeps].map(Wire::is_shut), [true, false, false]);
    assert_eq!(wire.sent().len(), (20 + 600) * KIB + 1);
}

#[test]
fn nor_do_others_where_it_comes_to_be_the_oldest_who_waits_only_while_somebody_is_chosen() {
    let mut bench = with_memory(512 * KIB);
    let (_, oldest) = bench.silent(100 * KIB);
    let mut elsewhere = Account::new(&bench.budget);
    elsewhere.begin_large(1, bench.now);
    let (waiting, wire) = bench.silent(20 * KIB);
    let (_, behind) = bench.silent(120 * KIB);
    bench.send(waiting, &wire, &format!("\nvalue {}\n", 600 * KIB));
    assert!(!elsewhere.reserve(450 * KIB, 0, 1, bench.now));
    bench.core.service.ends_meanwhile.set(Some(elsewhere));
    for seconds in [1, 10] {
        bench.pass(Duration::from_secs(seconds));
    }
    bench.settle(&[(waiting, &wire)]);
    assert_eq!([&oldest, &behind].map(Wire::is_shut), [true, false]);
    assert_eq!(wire.sent().len(), (20 + 600) * KIB + 1);
}

#[test]
fn who_has_become_the_oldest_goes_on_and_nobody_else_is_closed_for_it() {
    let mut bench = with_memory(512 * KIB);
    let (_, oldest) = bench.silent(200 * KIB);
    // It has its place since it began what it does not end yet.
    let (waiting, wire) = bench.silent(20 * KIB);
    let (_, behind) = bench.silent(100 * KIB);
    bench.send(waiting, &wire, &format!("\nvalue {}\n", 460 * KIB));
    for _ in 0..8 {
        bench.pass(Duration::from_secs(1));
        bench.settle(&[(waiting, &wire)]);
    }
    assert_eq!([&oldest, &behind].map(Wire::is_shut), [true, false]);
    assert_eq!(wire.sent().len(), (20 + 460) * KIB + 1);
}

#[test]
fn who_waits_at_will_is_closed_for_what_it_holds_and_who_is_blocked_otherwise_is_not() {
    let mut bench = with_memory(1024 * KIB);
    let blocked = [("block", 500), ("will", 200), ("will", 250), ("will", 10)].map(|(verb, kib)| {
        let (token, wire) = bench.connect();
        bench.send(token, &wire, &format!("keep {}\n{verb}\n", kib * KIB));
        wire
    });
    for _ in 0..8 {
        bench.pass(Duration::from_secs(1));
    }
    assert_eq!(bench.closed(), [], "nobody waits for what they hold");
    // The first who wants more always goes on, and the second waits.
    bench.silent(50 * KIB);
    let (waiting, wire) = bench.connect();
    wire.arrive(format!("echo {}\n", "x".repeat(400 * KIB)).as_bytes());
    bench.settle(&[(waiting, &wire)]);
    for _ in 0..16 {
        bench.pass(Duration::from_secs(1));
        bench.settle(&[(waiting, &wire)]);
    }
    assert_eq!(blocked.map(|wire| wire.is_shut()), [false, true, true, false]);
    assert_eq!(wire.unread(), 0);
}

#[test]
fn of_two_workers_the_one_that_looks_first_leaves_the_larger_to_the_other() {
    for first in [0, 1] {
        let one = with_memory(1024 * KIB);
        let (admission, budget) = (one.admission.clone(), one.budget.clone());
        let mut workers = [one, Bench::of(1, memory_limits(1024 * KIB), admission, budget.clone())];
        workers[1].now = workers[0].now;
        let (_, small) = workers[0].silent(200 * KIB);
        let (_, large) = workers[1].silent(300 * KIB);
        let (waiting, wire) = workers[0].connect();
        wire.arrive(format!("echo {}", "x".repeat(600 * KIB)).as_bytes());
        workers[0].settle(&[(waiting, &wire)]);
        assert!(budget.is_awaited());
        // Each looks when it is time, one always a little before the other.
        for _ in 0..80 {
            for at in [first, 1 - first] {
                workers[at].pass(Duration::from_millis(100));
            }
        }
        assert_eq!((small.is_shut(), large.is_shut()), (false, true), "{first} first");
    }
}

#[test]
fn what_sessions_come_to_keep_finds_room_first_and_who_keeps_much_goes_when_others_wait() {
    let mut bench = with_memory(256 * KIB);
    let clients: Vec<(Token, Wire)> = (0..5).map(|_| bench.connect()).collect();
    let wires: Vec<(Token, &Wire)> = clients.iter().map(|(token, wire)| (*token, wire)).collect();
    let [(_, large), (_, small), (_, active), (_, first), (_, wanting)] = &clients[..] else {
        panic!("five")
    };
    // Each little by little, while nobody waits.
    for _ in 0..20 {
        large.arrive(format!("grow {}\n", 6 * KIB).as_bytes());
        active.arrive(format!("grow {}\n", 5 * KIB).as_bytes());
        bench.settle(&wires);
    }
    small.arrive(format!("grow {}\n", 15 * KIB).as_bytes());
    bench.settle(&wires);
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.closed(), [], "nobody waits");
    // The first who wants more always goes on, and the second waits.
    first.arrive(format!("grow {}\n", 30 * KIB).as_bytes());
    bench.settle(&wires);
    let used = bench.budget.used();
    wanting.arrive(format!("grow {}\n", 30 * KIB).as_bytes());
    bench.settle(&wires);
    assert_eq!((first.sent(), wanting.sent()), ("grown\n".into(), String::new()));
    assert!(bench.budget.is_awaited());
    assert!(bench.budget.used() <= used + KIB, "nothing is kept before there is room for it");
    for _ in 0..8 {
        bench.pass(Duration::from_secs(1));
        active.arrive(format!("echo {}\n", "x".repeat(8 * KIB)).as_bytes());
        bench.settle(&wires);
    }
    assert_eq!(bench.closed(), [CloseReason::MemoryStall]);
    assert_eq!(
        [large, small, active, first].map(Wire::is_shut),
        [true, false, false, false],
        "the largest that rests"
    );
    assert_eq!(wanting.sent(), "grown\n");
    assert!(!bench.budget.is_awaited());
}

#[test]
fn who_keeps_what_others_wait_for_goes_though_its_traffic_moves() {
    let mut bench = with_memory(256 * KIB);
    let (keeper, keeper_wire) = bench.connect();
    let (waiting, wire) = bench.connect();
    let wires = [(keeper, &keeper_wire), (waiting, &wire)];
    // It is the first who wants much, so it may, and is the oldest for as long as it keeps that.
    keeper_wire.arrive(format!("grow {}\n", 300 * KIB).as_bytes());
    bench.settle(&wires);
    wire.arrive(format!("echo {}\n", "x".repeat(60 * KIB)).as_bytes());
    bench.settle(&wires);
    assert!(bench.budget.is_awaited());
    for second in 0..8 {
        bench.pass(Duration::from_secs(1));
        if second < 4 {
            assert_eq!(bench.closed(), [], "after {second} s");
        }
        (0..3).for_each(|_| keeper_wire.arrive(format!("echo {}\n", "x".repeat(8 * KIB)).as_bytes()));
        bench.settle(&wires);
    }
    assert_eq!((bench.closed(), keeper_wire.is_shut()), (vec![CloseReason::MemoryStall], true));
    assert_eq!(wire.sent().len(), 60 * KIB + 1);
}

#[test]
fn who_keeps_little_beside_a_large_request_that_moves_is_read_to_its_end() {
    let mut bench = with_memory(256 * KIB);
    let (first, first_wire) = bench.connect();
    let (waiting, wire) = bench.connect();
    let wires = [(first, &first_wire), (waiting, &wire)];
    first_wire.arrive(format!("grow {}\necho {}", 20 * KIB, "x".repeat(100 * KIB)).as_bytes());
    bench.settle(&wires);
    wire.arrive(format!("echo {}\n", "x".repeat(100 * KIB)).as_bytes());
    bench.settle(&wires);
    for _ in 0..16 {
        assert!(bench.budget.is_awaited());
        bench.pass(Duration::from_secs(1));
        first_wire.arrive("x".repeat(17 * KIB).as_bytes());
        bench.settle(&wires);
    }
    first_wire.arrive(b"\n");
    bench.settle(&wires);
    assert_eq!(bench.closed(), []);
    assert_eq!(first_wire.sent().len(), "grown\n".len() + 372 * KIB + 1);
    assert_eq!(wire.sent().len(), 100 * KIB + 1);
}

#[test]
fn who_may_not_be_closed_for_what_it_keeps_is_not_waited_for() {
    let mut bench = with_memory(256 * KIB);
    let (keeper, keeper_wire) = bench.connect();
    let (waiting, wire) = bench.connect();
    let wires = [(keeper, &keeper_wire), (waiting, &wire)];
    keeper_wire.arrive(format!("stays\ngrow {}\n", 300 * KIB).as_bytes());
    bench.settle(&wires);
    wire.arrive(format!("echo {}\n", "x".repeat(60 * KIB)).as_bytes());
    bench.settle(&wires);
    assert!(bench.budget.is_awaited());
    for _ in 0..8 {
        bench.pass(Duration::from_secs(1));
        bench.settle(&wires);
    }
    assert_eq!((bench.closed(), wire.sent().len()), (vec![], 60 * KIB + 1));
}

#[test]
fn who_asks_twice_for_one_request_waits_for_both() {
    let mut bench = with_memory(256 * KIB);
    // An older claim, so that the other is not the first, who always goes on.
    let (_, silent) = bench.silent(40 * KIB);
    let room = 256 * KIB - bench.budget.used();
    let (token, wire) = bench.connect();
    // There is room for either, and not for both.
    wire.arrive(format!("both {} {}\n", room - 10 * KIB, 20 * KIB).as_bytes());
    bench.turn(&[readable(token)]);
    for _ in 0..4 {
        bench.turn(&[]);
        assert!(
            !bench.core.has_ready(),
            "it is shown what it has asked for again, though nothing was given back"
        );
        assert!(bench.budget.missing().bytes > 0, "it waits for less than it needs");
    }
    for _ in 0..8 {
        bench.pass(Duration::from_secs(1));
    }
    assert_eq!((silent.is_shut(), wire.sent()), (true, "both\n".into()), "who rests on what is missing goes");
    assert!(!bench.budget.is_awaited());
}

#[test]
fn what_was_granted_to_a_request_that_is_answered_is_not_waited_for_again() {
    let mut bench = with_memory(512 * KIB);
    let (_, _silent) = bench.silent(40 * KIB);
    let (token, wire) = bench.connect();
    wire.room(0);
    bench.send(token, &wire, &format!("value {}\nvalue {}\n", 100 * KIB, 400 * KIB));
    // The reply of the first is held, and counted; of the second all is missing but what is left.
    let missing = bench.budget.used() + 400 * KIB - 512 * KIB;
    assert_eq!(bench.budget.missing().bytes, missing);
}

#[test]
fn what_was_granted_to_a_request_that_nobody_is_told_of_is_not_waited_for_again() {
    let mut bench = with_memory(512 * KIB);
    let (_, _silent) = bench.silent(40 * KIB);
    let (token, wire) = bench.connect();
    bench.send(token, &wire, &format!("mute {}\nvalue {}\n", 100 * KIB, 480 * KIB));
    let large = 480 * KIB;
    let waits = bench.budget.missing().bytes + 512 * KIB - bench.budget.used();
    assert_eq!(waits, large, "it waits for more than it has asked for");
}

#[test]
fn a_session_hears_what_its_connection_holds() {
    let mut bench = with_memory(256 * KIB);
    let (token, wire) = bench.connect();
    let held = bench.core.service.held.clone();
    bench.send(token, &wire, "echo x\n");
    assert_eq!(held.get(), Holdings::default(), "who holds nothing is not told");
    bench.send(token, &wire, "keep 1000\necho ");
    let said = held.get();
    assert_eq!((said.session, said.unread, said.unsent), (1000, 5, 0));
    assert_eq!(said.sum() + bench.core.conns.pool.bytes(), bench.budget.used());
    bench.send(token, &wire, "x\nkeep 0\n");
    assert_eq!(held.get().sum(), 0, "nor is anything left");
    wire.room(0);
    bench.send(token, &wire, &format!("echo {}\n", "x".repeat(10 * KIB)));
    let said = held.get();
    assert_eq!((said.unread, said.unsent), (0, 10 * KIB + 1));
    assert!(said.output >= said.unsent && said.sum() + bench.core.conns.pool.bytes() == bench.budget.used());
}

#[test]
fn without_a_bound_nothing_waits_and_nothing_has_a_claim() {
    let mut bench = with_memory(usize::MAX);
    let (token, wire) = bench.connect();
    bench.send(token, &wire, &format!("echo {}\nvalue {}\n", "x".repeat(500 * KIB), 500 * KIB));
    bench.settle(&[(token, &wire)]);
    assert_eq!(wire.sent().len(), 1000 * KIB + 1);
}

#[test]
fn the_list_of_held_outputs_does_not_grow_while_connections_come_and_go() {
    let mut bench = Bench::new();
    for _ in 0..1000 {
        let (token, wire) = bench.connect();
        bench.send(token, &wire, "hold 1 x\n");
        assert_eq!(bench.core.conns.held(), 1);
        bench.turn(&[broken(token)]);
        wire.reset();
        bench.turn(&[broken(token)]);
        assert_eq!(bench.core.conns.held(), 0);
    }
}
