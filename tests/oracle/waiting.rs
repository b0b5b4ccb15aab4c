//! Clients that wait, step by step: one command at a time to both servers, and once both are quiet all replies of all clients
//! are compared. So it shows who is served by what, and in which order.
//!
//! A server is quiet when as many clients wait for a reply as it says wait for what others bring. Where 7.2 differs from 7.0.15
//! nothing is tried here: of several keys that have something at once 7.2 takes the first in the order of the arguments and 7.0.15
//! the one that was written first, so clients that wait for several keys wait for such that are written one at a time
//! (the scenario `what_was_named_first_is_taken_first` is about those); and where `SORT ... STORE` replaces something of another type
//! Redis leaves who waits for a list waiting beside it, so here it replaces nothing.

use std::time::{Duration, Instant};

use modb_tests::peer::encode;
use modb_tests::random::Random;
use modb_tests::{Launch, Peer, Platform, Reply};

const CLIENTS: usize = 5;
const LIMIT: Duration = Duration::from_secs(30);
/// After so many steps everything begins anew.
const PROGRAM: usize = 60;

/// One command of a step. `ID` stands for the number of a client, which differs between servers.
type Words = Vec<String>;

/// What both servers are given, by how often of a hundred or so.
#[rustfmt::skip]
const STEPS: &[(u64, &str)] = &[
    (14, "BLPOP L 0"), (8, "BRPOP L 0"), (6, "BLPOP d e 0"), (4, "BRPOP e d e 0"), (5, "BLMPOP 0 1 L LEFT COUNT 2"), (3, "BLMPOP 0 2 d e RIGHT"),
    (12, "BLMOVE L L LEFT RIGHT 0"), (6, "BLMOVE L L RIGHT LEFT 0"), (6, "BRPOPLPUSH L L 0"), (8, "BZPOPMIN Z 0"), (4, "BZPOPMAX Z 0"), (4, "BZMPOP 0 1 Z MIN COUNT 2"),
    (3, "BLPOP L 0.02"), (2, "BLMOVE L L LEFT LEFT 0.02"), (2, "BZPOPMIN Z 0.02"),
    (14, "RPUSH L v"), (6, "LPUSH L v v"), (4, "RPUSH L v v v"), (8, "RPUSH d v"), (6, "LPUSH e v v"), (8, "ZADD Z 1 v"), (4, "ZADD Z 1 v 2 v"),
    (5, "LMOVE L L LEFT RIGHT"), (3, "RPOPLPUSH L L"), (3, "LPOP L"), (3, "LRANGE L 0 -1"), (2, "LRANGE d 0 -1"), (2, "ZRANGE Z 0 -1"),
    (4, "DEL L"), (3, "DEL d"), (2, "DEL Z"), (3, "SET L v"), (4, "RENAME L L"), (3, "COPY L L"), (2, "COPY L L REPLACE"), (2, "ZUNIONSTORE Z 1 Z"), (2, "ZRANGESTORE Z Z 0 -1"),
    (2, "MULTI;DEL d;SORT L ALPHA STORE d;EXEC"), (1, "FLUSHALL"),
    (5, "MULTI;RPUSH L v;RPUSH L v;EXEC"), (3, "MULTI;RPUSH L v;DEL L;EXEC"), (3, "MULTI;RPUSH L v;LPOP L;RPUSH L v v;EXEC"), (2, "MULTI;BLPOP L 0;BLMOVE L L LEFT LEFT 0;BZPOPMIN Z 0;EXEC"),
    (5, "CLIENT UNBLOCK ID"), (4, "CLIENT UNBLOCK ID ERROR"), (2, "CLIENT UNBLOCK ID TIMEOUT"),
    (1, "WAIT 0 0"), (1, "WAIT 1 10"),
];

/// One server and its clients.
struct Side {
    name: &'static str,
    clients: Vec<Seat>,
    /// Asks who waits.
    watcher: Peer,
}

struct Seat {
    peer: Peer,
    id: i64,
    /// Replies that have not come yet.
    owed: usize,
}

impl Side {
    fn new(name: &'static str, connect: impl Fn() -> Peer) -> Self {
        let seat = |n: usize| {
            let mut peer = connect();
            if n % 2 == 1 {
                peer.ask("HELLO 3");
            }
            Seat { id: peer.ask("CLIENT ID").int(), peer, owed: 0 }
        };
        Self { name, clients: (0..CLIENTS).map(seat).collect(), watcher: connect() }
    }

    fn send(&mut self, client: usize, step: &[Words], unblocked: usize) {
        let id = self.clients[unblocked].id.to_string();
        let seat = &mut self.clients[client];
        for words in step {
            let words = words.iter().map(|word| if word == "ID" { &id } else { word });
            seat.peer.send(&encode(words));
            seat.owed += 1;
        }
    }

    /// All replies that come until it is quiet; until `client` is answered, if he is to be.
    fn settle(&mut self, client: usize, must_answer: bool) -> Vec<Vec<Reply>> {
        let mut replies = vec![Vec::new(); CLIENTS];
        let begun = Instant::now();
        loop {
            for (seat, replies) in self.clients.iter_mut().zip(&mut replies) {
                let mut has_come = seat.owed > 0 && has_come(&seat.peer);
                while has_come {
                    replies.push(seat.peer.reply());
                    seat.owed -= 1;
                    // What came with it was read with it.
                    has_come = seat.owed > 0 && seat.peer.is_answered_within(Duration::from_millis(1));
                }
            }
            // Asked after that: all whose replies have not come are counted, or have got one meanwhile.
            let waiting = self.clients.iter().filter(|seat| seat.owed > 0).count();
            let blocked = self.blocked();
            if waiting == blocked && !(must_answer && self.clients[client].owed > 0) {
                return replies;
            }
            assert!(
                begun.elapsed() < LIMIT,
                "{} does not come to rest: {waiting} wait, it says {blocked}",
                self.name
            );
        }
    }

    fn blocked(&mut self) -> usize {
        let info = self.watcher.ask("INFO clients").text();
        let line = info.lines().find_map(|line| line.strip_prefix("blocked_clients:"));
        line.and_then(|count| count.trim().parse().ok()).expect("it counts those who wait")
    }

    fn waits(&self, client: usize) -> bool {
        self.clients[client].owed > 0
    }
}

/// Whether there is something to be read now. Nothing that was read before is left.
fn has_come(peer: &Peer) -> bool {
    let stream = peer.stream();
    stream.set_nonblocking(true).expect("a socket can be looked at");
    let has_come = stream.peek(&mut [0]).is_ok();
    stream.set_nonblocking(false).expect("a socket can be looked at");
    has_come
}

/// A step, with keys and values for what stands for them.
fn choose(random: &mut Random, value: &mut u64) -> Vec<Words> {
    let step = random.weighted(STEPS);
    let (lists, sets) = (["a", "b", "c"], ["x", "y"]);
    let mut key = [random.below(3) as usize, random.below(2) as usize];
    let in_multi = step.contains(';');
    let mut word = |word: &str| match word {
        "L" => {
            // In a transaction one key throughout: see above.
            if !in_multi {
                key[0] = random.below(3) as usize;
            }
            lists[key[0]].to_owned()
        }
        "Z" => sets[{
            key[1] = random.below(2) as usize;
            key[1]
        }]
        .to_owned(),
        "v" => {
            *value += 1;
            format!("v{value}")
        }
        other => other.to_owned(),
    };
    step.split(';').map(|command| command.split(' ').map(&mut word).collect()).collect()
}

/// Gives both servers the same steps.
pub(crate) fn compare(platform: &Platform, steps: usize, seed: u64) {
    let ours = Launch::new(platform).with("--workers", "4").start();
    let theirs = Launch::product(modb_tests::platform::Product::Redis).start();
    let mut random = Random::new(seed);
    let (mut value, mut done, mut served) = (0, 0, 0);
    while done < steps {
        let mut sides = [Side::new("modb", || ours.peer()), Side::new("redis", || theirs.peer())];
        sides.iter_mut().for_each(|side| drop(side.watcher.ask("FLUSHALL")));
        let mut history = Vec::new();
        for _ in 0..PROGRAM {
            let free: Vec<usize> = (0..CLIENTS).filter(|client| !sides[0].waits(*client)).collect();
            let unblocked = random.below(CLIENTS as u64) as usize;
            let (client, step) = if free.is_empty() {
                // Everybody waits: one of them is let go.
                for side in &mut sides {
                    let id = side.clients[unblocked].id;
                    side.watcher.ask(&format!("CLIENT UNBLOCK {id}"));
                }
                (unblocked, Vec::new())
            } else {
                (free[random.below(free.len() as u64) as usize], choose(&mut random, &mut value))
            };
            history.push(format!("{client}: {step:?} ({unblocked})"));
            let timed =
                step.iter().any(|words| words.last().is_some_and(|last| last == "0.02" || last == "10"));
            let replies = sides.each_mut().map(|side| {
                side.send(client, &step, unblocked);
                side.settle(client, timed)
            });
            assert_eq!(
                replies[0],
                replies[1],
                "seed {seed}: modb, then redis, after\n{}",
                history.join("\n")
            );
            served += replies[0]
                .iter()
                .enumerate()
                .filter(|(n, replies)| *n != client && !replies.is_empty())
                .count();
            done += 1;
        }
    }
    println!("{done} steps, in which {served} were answered by what others did");
    assert!(served * 10 > done, "too few waited to show anything");
}
