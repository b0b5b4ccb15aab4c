//! Strict serializability: what some clients at once got from the server is what a database would give that does one thing at a time, in an
//! order that agrees with the clocks.
//!
//! What a history has in it: commands with one key and several, transactions with and without watched keys, and waits,
//! of which each burst is sent before its first reply is there. The clients of a seed do the same each time, but meet
//! differently: so a seed that has failed is given by `MODB_HISTORY_SEED` and tried as often as there are histories.

mod check;
mod model;
mod program;

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use modb_tests::platform::Product;
use modb_tests::{Launch, Peer, Platform, Reply, Server};

use check::{Event, History};
use model::{CLIENTS, Op};
use program::Burst;

/// What a history has.
const OPS: usize = 200;
const FIRST_SEED: u64 = 20_271_127;

pub(crate) fn what_clients_get_at_once_has_an_order(platform: &Platform) {
    histories(platform, if platform.is(modb_tests::Where::Wine) { 20 } else { 100 });
}

pub(crate) fn long_what_clients_get_at_once_has_an_order_a_thousand_times(platform: &Platform) {
    histories(platform, 1000);
}

fn histories(platform: &Platform, count: u64) {
    let launch = Launch::new(platform);
    let launch = if platform.product == Product::Modb { launch.with("--workers", "4") } else { launch };
    let server = launch.start();
    let (mut waited, mut aborted) = (0, 0);
    for seed in seeds(count) {
        let history = history(&server, seed);
        check::explain(&history)
            .unwrap_or_else(|failure| panic!("MODB_HISTORY_SEED={seed} has no order: {failure}"));
        let events = || history.iter().flatten();
        waited += events().filter(|event| event.is_of_a_wait()).count();
        aborted += events().filter(|event| event.is_aborted()).count();
    }
    println!(
        "{count} histories: {waited} elements came by commands that may wait, {aborted} transactions were in vain"
    );
    assert!(waited > 0 && aborted > 0, "too little has met");
    assert_eq!(server.info("blocked_clients"), "0");
}

/// One after the other; or the one that is asked for, again and again.
fn seeds(count: u64) -> Box<dyn Iterator<Item = u64>> {
    match std::env::var("MODB_HISTORY_SEED") {
        Ok(seed) => Box::new(std::iter::repeat_n(seed.parse().expect("a number"), count as usize)),
        Err(_) => Box::new(FIRST_SEED..FIRST_SEED + count),
    }
}

impl Event {
    fn is_of_a_wait(&self) -> bool {
        let waits =
            matches!(&self.op, Op::One(model::Command::BlockingPop(..) | model::Command::BlockingMove(..)));
        waits && self.reply != Reply::Null
    }

    fn is_aborted(&self) -> bool {
        matches!(&self.op, Op::Transaction(_)) && self.reply == Reply::Null
    }
}

/// Has clients do what a seed says, all at once.
fn history(server: &Server, seed: u64) -> History {
    let mut peers: Vec<Peer> = (0..CLIENTS).map(|_| server.peer()).collect();
    assert_eq!(peers[0].ask("FLUSHALL"), Reply::ok());
    let (start, clock) = (Barrier::new(CLIENTS), Instant::now());
    let now_ns = || clock.elapsed().as_nanos() as u64;
    let mut history = History::default();
    thread::scope(|scope| {
        let clients = program::program(seed, OPS / CLIENTS).into_iter().zip(&mut history).zip(&mut peers);
        for ((bursts, events), peer) in clients {
            let (start, now_ns) = (&start, &now_ns);
            scope.spawn(move || {
                start.wait();
                bursts.into_iter().for_each(|burst| act(peer, burst, now_ns, events));
            });
        }
    });
    history
}

fn act(peer: &mut Peer, burst: Burst, now_ns: &dyn Fn() -> u64, events: &mut Vec<Event>) {
    let wire: Vec<u8> = burst.iter().flat_map(Op::wire).collect();
    let begun_ns = now_ns();
    peer.send(&wire);
    for op in burst {
        let reply = match &op {
            Op::One(command) => command.normal(peer.reply()),
            Op::Watch(_) => peer.reply(),
            Op::Transaction(commands) => {
                peer.replies(1 + commands.len());
                match peer.reply() {
                    Reply::Array(items) => {
                        let normal = commands.iter().zip(items).map(|(command, item)| command.normal(item));
                        Reply::Array(normal.collect())
                    }
                    Reply::NullArray => Reply::Null,
                    other => panic!("EXEC was answered {other:?}"),
                }
            }
        };
        events.push(Event { op, reply, begun_ns, ended_ns: now_ns() });
    }
}
