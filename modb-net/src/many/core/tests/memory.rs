//! What connections hold is counted, and given in order when it is short.

use proptest::prelude::*;

use super::*;

const KIB: usize = 1 << 10;

fn with_memory(max_memory_bytes: usize) -> Bench {
    Bench::with(Limits {
        max_memory_bytes,
        max_input_bytes: 1 << 30,
        max_output_bytes: 1 << 30,
        output_high_water_bytes: 1 << 20,
        read_bytes_per_turn: 64 * KIB,
        stall_timeout: Duration::from_secs(5),
        ..Limits::default()
    })
}

impl Bench {
    /// Turns until nothing is left to do, with everything reported that a poller would.
    fn settle(&mut self, wires: &[(Token, &Wire)]) {
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

    /// What connections and the pool hold, by looking at each.
    fn held_bytes(&self) -> usize {
        let conns = &self.core.conns;
        conns.slab.iter().map(|(_, conn)| conn.buffer_bytes()).sum::<usize>() + conns.pool.bytes()
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

/// What happens to a connection.
#[derive(Clone, Debug)]
enum Step {
    Come,
    Send { which: usize, bytes: usize },
    Ask { which: usize, bytes: usize },
    Take { which: usize, bytes: usize },
    Break { which: usize },
    Leave { which: usize },
    Move { which: usize },
    Pass,
}

fn step() -> impl Strategy<Value = Step> {
    let which = any::<usize>;
    prop_oneof![
        3 => Just(Step::Come),
        5 => (which(), 1..200 * KIB).prop_map(|(which, bytes)| Step::Send { which, bytes }),
        3 => (which(), 1..300 * KIB).prop_map(|(which, bytes)| Step::Ask { which, bytes }),
        4 => (which(), 1..300 * KIB).prop_map(|(which, bytes)| Step::Take { which, bytes }),
        1 => which().prop_map(|which| Step::Break { which }),
        1 => which().prop_map(|which| Step::Leave { which }),
        1 => which().prop_map(|which| Step::Move { which }),
        2 => Just(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Seats are as many as connections and the budget knows what is held, whatever happens.
    #[test]
    fn admission_and_budget_never_drift(
        limit in prop_oneof![Just(0usize), Just(1), 64 * KIB..512 * KIB, Just(usize::MAX)],
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut bench = with_memory(limit);
        let mut clients: Vec<(Token, Wire)> = Vec::new();
        for step in steps {
            match step {
                Step::Come => {
                    let (token, wire) = bench.connect();
                    wire.room(1000);
                    clients.push((token, wire));
                }
                Step::Pass => bench.pass(Duration::from_secs(1)),
                _ if clients.is_empty() => {}
                Step::Send { which, bytes } => {
                    let (_, wire) = &clients[which % clients.len()];
                    wire.arrive(format!("echo {}\n", "x".repeat(bytes)).as_bytes());
                }
                Step::Ask { which, bytes } => {
                    let (_, wire) = &clients[which % clients.len()];
                    wire.arrive(format!("value {bytes}\n").as_bytes());
                }
                Step::Take { which, bytes } => clients[which % clients.len()].1.room(bytes),
                Step::Break { which } => {
                    let (token, wire) = clients.swap_remove(which % clients.len());
                    wire.reset();
                    bench.turn(&[broken(token)]);
                }
                Step::Leave { which } => {
                    let (token, wire) = clients.swap_remove(which % clients.len());
                    wire.end();
                    wire.room(1 << 30);
                    for _ in 0..100 {
                        bench.turn(&[event(token, true, true, false)]);
                    }
                }
                Step::Move { which } => {
                    let at = which % clients.len();
                    let turn = Turn { now: bench.now, worker: 0, workers: &bench.alone };
                    if let Some((_, moved)) = bench.core.detach(clients[at].0.slot, &turn) {
                        clients[at].0 = bench.core.adopt(moved, &turn).unwrap();
                    }
                }
            }
            let reported: Vec<_> = clients.iter().map(|(token, wire)| (*token, wire)).collect();
            bench.settle(&reported);
            let gone = std::mem::take(&mut bench.gone);
            clients.retain(|(token, _)| !gone.contains(token));
            prop_assert_eq!(bench.core.conns.slab.len(), bench.admission.taken());
            prop_assert_eq!(bench.budget.used(), bench.held_bytes());
        }
        drop(bench.core);
        prop_assert_eq!(bench.admission.taken(), 0);
        prop_assert!(!bench.budget.is_awaited());
    }
}
