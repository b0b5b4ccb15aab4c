//! Who takes much of a worker stands in line, and a turn serves a part of it; who takes little is served at once.

use super::*;

/// More than a turn serves of the line, so that it serves one.
const LARGE_BYTES: usize = 100_000;
const CLIENTS: usize = 8;

/// Connections each of which has sent the first half of a large request, so that they are known to take much.
struct Many {
    bench: Bench,
    large: Vec<(Token, Wire)>,
    small: (Token, Wire),
}

fn many() -> Many {
    let limits = Limits {
        max_input_bytes: 1 << 20,
        max_output_bytes: 1 << 20,
        output_high_water_bytes: 1 << 20,
        read_bytes_per_turn: 1 << 20,
        work_bytes_per_turn: LARGE_BYTES,
        ..small_limits()
    };
    let mut bench = Bench::with(limits);
    let large: Vec<_> = (0..CLIENTS).map(|_| bench.connect()).collect();
    let small = bench.connect();
    for (token, wire) in &large {
        bench.send(*token, wire, &first_half());
    }
    // The first half of what was read counts, too, so it may have come to stand in line.
    while bench.core.has_ready() {
        bench.turn(&[]);
    }
    Many { bench, large, small }
}

fn first_half() -> String {
    format!("echo {}", "x".repeat(LARGE_BYTES / 2))
}

fn second_half() -> String {
    format!("{}\n", "x".repeat(LARGE_BYTES / 2))
}

impl Many {
    /// Everybody's request becomes whole; each socket is reported once and not again.
    fn complete(&mut self) {
        let events: Vec<_> = self.large.iter().map(|(token, _)| readable(*token)).collect();
        for (_, wire) in &self.large {
            wire.arrive(second_half().as_bytes());
        }
        self.turn(&events);
    }

    /// A turn in which a small request has come, too.
    fn turn(&mut self, events: &[Event]) {
        let (token, wire) = &self.small;
        wire.arrive(b"echo s\n");
        self.bench.turn(&[events, &[readable(*token)]].concat());
        assert_eq!(wire.sent(), "s\n", "it was served in the turn in which it came");
    }

    /// Who was answered since this was last asked.
    fn answered(&self) -> Vec<usize> {
        let wires = self.large.iter().enumerate();
        wires.filter(|(_, (_, wire))| wire.sent().starts_with('x')).map(|(client, _)| client).collect()
    }
}

#[test]
fn a_turn_executes_one_large_request_and_every_small_one_and_loses_nobody() {
    let mut many = many();
    many.complete();
    let mut order = Vec::new();
    while order.len() < CLIENTS {
        let answered = many.answered();
        assert_eq!(answered.len(), 1, "of {CLIENTS} that are due, after {order:?}");
        order.extend(answered);
        assert_eq!(many.bench.core.has_ready(), order.len() < CLIENTS, "the worker goes on until it is done");
        many.turn(&[]);
    }
    assert_eq!(order, Vec::from_iter(0..CLIENTS), "in the order in which they came");
    assert!(!many.bench.core.has_ready());
}

#[test]
fn who_yields_has_taken_all_that_a_turn_has_for_the_line() {
    let limits = Limits { work_bytes_per_turn: 1 << 20, ..small_limits() };
    let mut bench = Bench::with(limits);
    let large: Vec<_> = (0..CLIENTS).map(|_| bench.connect()).collect();
    let small = bench.connect();
    let mut many = Many { bench, large, small };
    let events: Vec<_> = many.large.iter().map(|(token, _)| readable(*token)).collect();
    for (_, wire) in &many.large {
        wire.arrive(b"long\nlong\n");
    }
    many.turn(&events);
    assert_eq!(many.answered(), Vec::from_iter(0..CLIENTS), "nobody is known to take long");
    for client in 0..CLIENTS {
        assert!(many.bench.core.has_ready());
        many.turn(&[]);
        assert_eq!(many.answered(), [client], "few bytes, and yet one in a turn");
    }
}

#[test]
fn who_always_has_more_is_served_as_often_as_the_others() {
    let mut many = many();
    many.complete();
    let mut served = [0; CLIENTS];
    for _ in 0..5 * CLIENTS {
        let mut events = Vec::new();
        for client in many.answered() {
            served[client] += 1;
            let (token, wire) = &many.large[client];
            wire.arrive((first_half() + &second_half()).as_bytes());
            events.push(readable(*token));
        }
        many.turn(&events);
    }
    assert!(served.iter().all(|&times| times == 5), "{served:?}");
}

#[test]
fn who_took_much_and_now_asks_for_little_is_served_in_the_same_turn_and_then_at_once() {
    let mut many = many();
    let (token, wire) = &many.large[0];
    many.bench.send(*token, wire, &second_half());
    wire.sent();
    for _ in 0..2 {
        many.bench.send(*token, wire, "echo y\n");
        assert_eq!(wire.sent(), "y\n");
        assert!(!many.bench.core.has_ready());
    }
    assert_eq!(many.bench.core.conns.slab[token.slot as usize].lists.share, Share::Small);
}

#[test]
fn who_stands_in_line_and_ends_leaves_its_place_to_nobody() {
    let mut many = many();
    many.complete();
    let (token, wire) = &many.large[CLIENTS - 1];
    wire.reset();
    let (slot, token) = (token.slot, *token);
    let turn = Turn { now: many.bench.now, worker: 0, workers: &many.bench.alone };
    many.bench.core.abort_token(token, CloseReason::Requested, &turn);
    let (new, new_wire) = many.bench.connect();
    assert_eq!(new.slot, slot);
    new_wire.arrive(b"echo n\n");
    for _ in 0..2 * CLIENTS {
        many.turn(&[]);
    }
    assert_eq!((new_wire.reads(), many.bench.core.has_ready()), (0, false), "it was not reported");
    many.bench.turn(&[readable(new)]);
    assert_eq!(new_wire.sent(), "n\n");
}

#[test]
fn who_stands_in_line_is_neither_idle_nor_stalled() {
    let mut many = many();
    many.bench.core.set_idle_timeout(Some(Duration::from_secs(1)), many.bench.now);
    many.complete();
    many.bench.budget.set_limit(0);
    let (waits, wire) = many.bench.connect();
    many.bench.send(waits, &wire, "value 100000\n");
    assert!(many.bench.budget.is_awaited(), "one waits for what they hold");
    for _ in 2..CLIENTS {
        many.bench.now += Duration::from_secs(10);
        // Only who does not wait for this worker may be found idle.
        many.small.1.arrive(b"echo s\n");
        let small = readable(many.small.0);
        many.bench.turn(&[small]);
    }
    let answered = many.answered();
    assert_eq!(answered.len(), CLIENTS, "{:?}", many.bench.closed());
}
