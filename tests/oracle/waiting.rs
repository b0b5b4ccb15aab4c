//! Clients that wait, step by step: one command at a time to both servers, and once both are quiet all replies of all clients
//! are compared. So it shows who is served by what, and in which order; and which transactions of who watches keys are broken by that.
//!
//! A server is quiet when as many clients wait for a reply as it says wait for what others bring. Where 7.2 differs from 7.0.15
//! nothing is tried here: of several keys that have something at once 7.2 takes the first in the order of the arguments and 7.0.15
//! the one that was written first, so clients that wait for several keys wait for such that are written one at a time
//! (the scenario `what_was_named_first_is_taken_first` is about those); and where `SORT ... STORE` replaces something of another type
//! Redis leaves who waits for a list waiting beside it, so here it replaces nothing.

use std::thread;
use std::time::{Duration, Instant};

use modb_tests::peer::encode;
use modb_tests::random::Random;
use modb_tests::{Peer, Platform, Reply, Server};

use crate::schedules;

const CLIENTS: usize = 5;
const LIMIT: Duration = Duration::from_secs(30);
/// After so many steps everything begins anew.
const PROGRAM: usize = 100;

/// One command of a step. `ID` stands for the number of a client, which differs between servers.
type Words = Vec<String>;

/// What both servers are given, by how often of a hundred or so.
#[rustfmt::skip]
const STEPS: &[(u64, &str)] = &[
    (14, "BLPOP L 0"), (8, "BRPOP L 0"), (6, "BLPOP d e 0"), (4, "BRPOP e d e 0"), (5, "BLMPOP 0 1 L LEFT COUNT 2"), (3, "BLMPOP 0 2 d e RIGHT"),
    (12, "BLMOVE L L LEFT RIGHT 0"), (6, "BLMOVE L L RIGHT LEFT 0"), (6, "BRPOPLPUSH L L 0"), (8, "BZPOPMIN Z 0"), (4, "BZPOPMAX Z 0"), (4, "BZMPOP 0 1 Z MIN COUNT 2"),
    (3, "BLPOP L 0.003"), (2, "BLMOVE L L LEFT LEFT 0.003"), (2, "BZPOPMIN Z 0.003"),
    (14, "RPUSH L v"), (6, "LPUSH L v v"), (4, "RPUSH L v v v"), (8, "RPUSH d v"), (6, "LPUSH e v v"), (8, "ZADD Z 1 v"), (4, "ZADD Z 1 v 2 v"),
    (5, "LMOVE L L LEFT RIGHT"), (3, "RPOPLPUSH L L"), (3, "LPOP L"), (3, "LRANGE L 0 -1"), (2, "LRANGE d 0 -1"), (2, "ZRANGE Z 0 -1"),
    (4, "DEL L"), (3, "DEL d"), (2, "DEL Z"), (3, "SET L v"), (4, "RENAME L L"), (3, "COPY L L"), (2, "COPY L L REPLACE"), (2, "ZUNIONSTORE Z 1 Z"), (2, "ZRANGESTORE Z Z 0 -1"),
    (2, "MULTI;DEL d;SORT L ALPHA STORE d;EXEC"), (1, "FLUSHALL"),
    (5, "MULTI;RPUSH L v;RPUSH L v;EXEC"), (3, "MULTI;RPUSH L v;DEL L;EXEC"), (3, "MULTI;RPUSH L v;LPOP L;RPUSH L v v;EXEC"), (2, "MULTI;BLPOP L 0;BLMOVE L L LEFT LEFT 0;BZPOPMIN Z 0;EXEC"),
    (5, "WATCH L"), (2, "WATCH L d Z"), (1, "UNWATCH"), (6, "MULTI"),
    (5, "CLIENT UNBLOCK ID"), (4, "CLIENT UNBLOCK ID ERROR"), (2, "CLIENT UNBLOCK ID TIMEOUT"),
    (1, "WAIT 0 0"), (1, "WAIT 1 3"),
];

/// The same for who has said `MULTI` and nothing more yet. What is queued is about one list, see above.
#[rustfmt::skip]
const QUEUED: &[(u64, &str)] = &[
    (6, "RPUSH L v"), (2, "LPUSH L v v"), (2, "LPOP L"), (2, "LRANGE L 0 -1"), (1, "LMOVE L L LEFT RIGHT"), (1, "DEL L"), (1, "BLPOP L 0"), (1, "LPUSH L"), (12, "EXEC"), (1, "DISCARD"),
];

/// What is known of a step before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// It is answered at once.
    AtOnce,
    /// It is answered once its time is over, or before.
    InTime,
    /// It may wait for what others bring.
    Whenever,
}

impl Answer {
    fn of(step: &[Words], is_queued: bool) -> Self {
        // What stands behind `MULTI` waits for nothing, and nothing else is a step of several commands.
        let [words] = step else { return Self::AtOnce };
        match () {
            () if is_queued => Self::AtOnce,
            () if words.last().is_some_and(|last| last == "0.003" || last == "3") => Self::InTime,
            () if words[0].starts_with('B') => Self::Whenever,
            () => Self::AtOnce,
        }
    }
}

/// One server and its clients.
struct Side {
    name: &'static str,
    clients: Vec<Seat>,
    /// Asks who waits.
    watcher: Peer,
    /// What has come since the step began.
    replies: Vec<Vec<Reply>>,
}

struct Seat {
    peer: Peer,
    id: i64,
    /// Replies that have not come yet.
    owed: usize,
}

impl Side {
    fn new(name: &'static str, server: &Server) -> Self {
        let mut watcher = server.peer();
        watcher.send(&encode(["FLUSHALL"]));
        let mut clients: Vec<Seat> =
            (0..CLIENTS).map(|_| Seat { peer: server.peer(), id: 0, owed: 0 }).collect();
        for (n, seat) in clients.iter_mut().enumerate() {
            if n % 2 == 1 {
                seat.peer.send(&encode(["HELLO", "3"]));
            }
            seat.peer.send(&encode(["CLIENT", "ID"]));
        }
        for (n, seat) in clients.iter_mut().enumerate() {
            if n % 2 == 1 {
                seat.peer.reply();
            }
            seat.id = seat.peer.reply().int();
        }
        watcher.reply();
        let mut side = Self { name, clients, watcher, replies: Vec::new() };
        // Those of the program before, who have gone, are counted until that is noticed.
        let begun = Instant::now();
        while side.blocked() > 0 {
            assert!(begun.elapsed() < LIMIT, "{name} waits for those who have gone");
        }
        side
    }

    /// Begins a step.
    fn send(&mut self, client: usize, step: &[Words], unblocked: usize) {
        self.replies = vec![Vec::new(); CLIENTS];
        let id = self.clients[unblocked].id.to_string();
        let seat = &mut self.clients[client];
        let with_id = |words: &Words| {
            encode(words.iter().map(|word| if word == "ID" { id.as_str() } else { word.as_str() }))
        };
        let wire: Vec<u8> = step.iter().flat_map(with_id).collect();
        seat.peer.send(&wire);
        seat.owed += step.len();
    }

    /// Waits for all that a client is owed.
    fn answer(&mut self, client: usize) -> Result<(), String> {
        let seat = &mut self.clients[client];
        while seat.owed > 0 {
            let reply =
                seat.peer.try_reply().map_err(|error| format!("{} does not answer: {error}", self.name))?;
            self.replies[client].push(reply);
            seat.owed -= 1;
        }
        Ok(())
    }

    /// Takes what has come.
    fn take(&mut self) {
        for (seat, replies) in self.clients.iter_mut().zip(&mut self.replies) {
            while seat.owed > 0 && seat.peer.has_come() {
                replies.push(seat.peer.reply());
                seat.owed -= 1;
            }
        }
    }

    fn ask_who_waits(&mut self) {
        self.watcher.send(&encode(["INFO", "clients"]));
    }

    fn hear_who_waits(&mut self) -> usize {
        let info = self.watcher.reply().text();
        let line = info.lines().find_map(|line| line.strip_prefix("blocked_clients:"));
        line.and_then(|count| count.trim().parse().ok()).expect("it counts those who wait")
    }

    fn blocked(&mut self) -> usize {
        self.ask_who_waits();
        self.hear_who_waits()
    }

    fn waits(&self, client: usize) -> bool {
        self.clients[client].owed > 0
    }

    fn waiting(&self) -> usize {
        self.clients.iter().filter(|seat| seat.owed > 0).count()
    }
}

/// Takes all replies that come until both are quiet; until `client` is answered, if he is to be. Both are asked at the same time.
fn settle(sides: &mut [Side; 2], client: usize, answer: Answer) -> Result<(), String> {
    let begun = Instant::now();
    if answer == Answer::AtOnce {
        // Also whom he serves is no longer counted then.
        sides.iter_mut().try_for_each(|side| side.answer(client))?;
    }
    let mut quiet = [false; 2];
    loop {
        let mut waiting = [0; 2];
        for (side, waiting) in sides.iter_mut().zip(&mut waiting) {
            side.take();
            // Asked after that: all whose replies have not come are counted, or have got one meanwhile.
            *waiting = side.waiting();
        }
        for (side, quiet) in sides.iter_mut().zip(quiet) {
            if !quiet {
                side.ask_who_waits();
            }
        }
        for ((side, quiet), waiting) in sides.iter_mut().zip(&mut quiet).zip(waiting) {
            if *quiet {
                continue;
            }
            let blocked = side.hear_who_waits();
            *quiet = waiting == blocked && (answer == Answer::Whenever || !side.waits(client));
            if !*quiet && begun.elapsed() > LIMIT {
                return Err(format!(
                    "{} does not come to rest: {waiting} wait, it says {blocked}",
                    side.name
                ));
            }
        }
        if quiet == [true; 2] {
            return Ok(());
        }
        if answer == Answer::InTime {
            // His time is to pass, and not that of others. Redis looks at its clock when it is asked for something.
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A step, with keys and values for what stands for them. `list`: the only one that it is about.
fn choose(
    random: &mut Random,
    value: &mut u64,
    steps: &'static [(u64, &'static str)],
    list: Option<usize>,
) -> Vec<Words> {
    let step = random.weighted(steps);
    let (lists, sets) = (["a", "b", "c"], ["x", "y"]);
    // In a transaction one key throughout: see above.
    let list = list.or_else(|| step.contains(';').then(|| random.below(3) as usize));
    let mut word = |word: &str| match word {
        "L" => lists[list.unwrap_or_else(|| random.below(3) as usize)].to_owned(),
        "Z" => sets[random.below(2) as usize].to_owned(),
        "v" => {
            *value += 1;
            format!("v{value}")
        }
        other => other.to_owned(),
    };
    step.split(';').map(|command| command.split(' ').map(&mut word).collect()).collect()
}

/// Gives both servers the same steps; how many were answered by what others did, and how many transactions were executed and broken.
fn program(servers: &[Server; 2], seed: u64) -> Result<schedules::Counts, String> {
    let [ours, theirs] = servers;
    let mut sides = [Side::new("modb", ours), Side::new("redis", theirs)];
    let mut random = Random::new(seed);
    let (mut value, mut history, mut counts) = (0, Vec::new(), schedules::Counts::default());
    // Who has said MULTI, and not yet how it ends.
    let mut queues = [false; CLIENTS];
    for _ in 0..PROGRAM {
        let free: Vec<usize> = (0..CLIENTS).filter(|client| !sides[0].waits(*client)).collect();
        let unblocked = random.below(CLIENTS as u64) as usize;
        let (client, step) = if free.is_empty() {
            // Everybody waits: one of them is let go.
            (unblocked, Vec::new())
        } else {
            let client = free[random.below(free.len() as u64) as usize];
            let (steps, list) = if queues[client] { (QUEUED, Some(client % 3)) } else { (STEPS, None) };
            (client, choose(&mut random, &mut value, steps, list))
        };
        history.push(format!("{client}: {step:?} ({unblocked})"));
        let is_queued = queues[client];
        for side in &mut sides {
            side.send(client, &step, unblocked);
            if step.is_empty() {
                let id = side.clients[unblocked].id.to_string();
                side.watcher.call(["CLIENT", "UNBLOCK", &id]);
            }
        }
        let done = settle(&mut sides, client, Answer::of(&step, is_queued));
        let [ours, theirs] = sides.each_ref().map(|side| &side.replies);
        if done.is_err() || ours != theirs {
            let said = done.err().unwrap_or_default();
            return Err(format!(
                "modb {ours:?}, then redis {theirs:?} {said}, after\n{}",
                history.join("\n")
            ));
        }
        let is = |word: &str| step.last().is_some_and(|words| words[..] == [word]);
        queues[client] = is("MULTI") || is_queued && !is("EXEC") && !is("DISCARD");
        let served = |(n, replies): &(usize, &Vec<Reply>)| *n != client && !replies.is_empty();
        counts[0] += ours.iter().enumerate().filter(served).count();
        if is("EXEC") {
            counts[1] += usize::from(matches!(ours[client].last(), Some(Reply::Array(_))));
            counts[2] += usize::from(ours[client].last().is_some_and(Reply::is_null));
        }
    }
    Ok(counts)
}

/// Gives both servers the same steps, so many.
pub(crate) fn compare(platform: &Platform, steps: usize, seed: u64) {
    let programs = steps.div_ceil(PROGRAM);
    let counts = schedules::run(platform, programs, seed, program);
    let [served, executed, broken] = counts;
    println!(
        "{} steps, in which {served} were answered by what others did; {executed} transactions, {broken} more broken",
        programs * PROGRAM
    );
    let least = [15, 40, 400].map(|part| programs * PROGRAM / part);
    assert!(counts.iter().zip(least).all(|(count, least)| *count > least), "too few to show anything");
}
