//! What both servers tell clients that they did not ask for: which keys that they keep have changed, and what others do.
//!
//! One step at a time: a client gives a command, and once it is answered each says `PING`; all that came to anybody until its answer
//! is compared, in its order. Not tried is what differs by intent, see docs/COMPATIBILITY.md: SWAPDB, which tells nobody in Redis; keys
//! that were read before tracking was turned off; transactions of who tracks what they write. Nor is it compared what those who monitor
//! see of these PINGs, which all say at once.

use modb_tests::peer::encode;
use modb_tests::random::Random;
use modb_tests::{Peer, Platform, Reply, Server};

use crate::schedules;

const CLIENTS: usize = 5;
/// After so many steps everything begins anew.
const PROGRAM: usize = 80;
/// What is said once a step is over.
const QUIET: &str = "quiet";

/// What is tried, by how often. `K` stands for a key, `v` for a new value, `ID` for the number of another client.
#[rustfmt::skip]
const STEPS: &[(u64, &str)] = &[
    (30, "GET K"), (10, "MGET K K"), (4, "EXISTS K K"), (3, "TTL K"), (3, "STRLEN K"), (2, "TYPE K"), (3, "LRANGE K 0 -1"), (2, "HGETALL K"), (2, "DBSIZE"),
    (14, "SET K v"), (4, "MSET K v K v"), (4, "APPEND K v"), (4, "INCR K"), (5, "DEL K"), (3, "DEL K K"), (3, "EXPIRE K 1000"), (2, "PERSIST K"), (2, "SET K v KEEPTTL"),
    (2, "GETDEL K"), (2, "GETEX K EX 100"), (2, "SETRANGE K 0 v"), (2, "SETBIT K 3 1"), (2, "SETNX K v"), (2, "UNLINK K"), (2, "EXPIRE K -1"), (2, "GETSET K v"),
    (4, "RPUSH K v"), (3, "LPOP K"), (2, "LSET K 0 v"), (2, "LREM K 0 none"), (3, "HSET K f v"), (2, "HSET K f same"), (2, "HDEL K f"), (2, "SADD K v"), (1, "SREM K none"), (2, "ZADD K 1 v"),
    (4, "RENAME K K"), (3, "COPY K K"), (2, "COPY K K REPLACE"), (2, "MOVE K 1"), (2, "SUNIONSTORE K K K"), (2, "SORT K ALPHA STORE K"), (2, "LMOVE K K LEFT RIGHT"), (1, "PFADD K v"),
    (2, "FLUSHALL"), (2, "FLUSHDB"), (2, "SELECT 1"), (4, "SELECT 0"),
    (3, "WATCH K"), (1, "UNWATCH"), (4, "CLIENT TRACKING OFF;MULTI;SET K v;SET K v;EXEC"), (4, "MULTI;GET a;MGET b c;EXEC"), (2, "CLIENT TRACKING OFF;MULTI;SET a v;INCR b;DEL c;EXEC"), (2, "MULTI;GET a;FOO;EXEC"), (1, "MULTI;SET K v;DISCARD"),
    (8, "CLIENT TRACKING ON"), (3, "CLIENT TRACKING ON NOLOOP"), (4, "CLIENT TRACKING ON BCAST"), (3, "CLIENT TRACKING ON BCAST NOLOOP PREFIX a PREFIX b"), (2, "CLIENT TRACKING ON BCAST PREFIX c"),
    (4, "CLIENT TRACKING ON OPTIN"), (3, "CLIENT TRACKING ON OPTOUT"), (12, "CLIENT TRACKING ON REDIRECT ID"), (2, "CLIENT TRACKING ON REDIRECT ID BCAST"), (1, "CLIENT TRACKING ON REDIRECT 12345678"),
    (4, "CLIENT TRACKING OFF"), (5, "CLIENT CACHING YES"), (4, "CLIENT CACHING NO"), (3, "CLIENT CACHING YES;MULTI;GET a;GET b;EXEC"), (5, "CLIENT TRACKINGINFO"),
    (2, "SUBSCRIBE __redis__:invalidate"), (1, "UNSUBSCRIBE"), (2, "CLIENT TRACKING OFF;MONITOR"), (4, "RESET"), (2, "HELLO 3"), (1, "HELLO 2"), (2, "PUBLISH news v"), (2, "BLPOP a b 0.003"), (8, "DEAD"),
];

/// One server and its clients.
struct Side<'s> {
    server: &'s Server,
    clients: Vec<Seat>,
    /// Tidies up behind them.
    broom: Seat,
    /// What the number and the address of each client are called that there ever was.
    names: Vec<(i64, String, String)>,
}

struct Seat {
    peer: Peer,
    id: i64,
    address: String,
}

impl Seat {
    /// Several at once; whether each speaks RESP3.
    fn several(server: &Server, resp3: impl Iterator<Item = bool>) -> Vec<Self> {
        let begin = |resp3| {
            let mut peer = server.peer();
            // Tracking on and off, so that it stays where it is: who monitors sees what waits for that before its answer.
            let words: [&[&str]; 4] = [
                &["HELLO", if resp3 { "3" } else { "2" }],
                &["CLIENT", "TRACKING", "ON"],
                &["CLIENT", "TRACKING", "OFF"],
                &["CLIENT", "ID"],
            ];
            peer.send(&words.iter().flat_map(|words| encode(*words)).collect::<Vec<u8>>());
            peer
        };
        let all: Vec<Peer> = resp3.map(begin).collect();
        let seat = |mut peer: Peer| {
            let id = peer.replies(4)[3].int();
            let address = peer.stream().local_addr().expect("it is connected").to_string();
            Self { peer, id, address }
        };
        all.into_iter().map(seat).collect()
    }
}

impl<'s> Side<'s> {
    fn new(server: &'s Server) -> Self {
        let mut clients = Seat::several(server, (0..=CLIENTS).map(|n| n % 2 == 1 && n < CLIENTS));
        let mut broom = clients.pop().expect("one more");
        broom.peer.ask("FLUSHALL");
        let mut side = Self { server, clients, broom, names: Vec::new() };
        let name = |seat: &Seat, name: String| (seat.id, seat.address.clone(), name);
        side.names =
            side.clients.iter().enumerate().map(|(n, seat)| name(seat, format!("client {n}"))).collect();
        side.names.push(name(&side.broom, "broom".into()));
        side
    }

    /// One of them goes without a word, and another one comes.
    fn replace(&mut self, client: usize, number: usize) {
        let killed = self.broom.peer.call(["CLIENT", "KILL", "ID", &self.clients[client].id.to_string()]);
        assert_eq!(killed, Reply::Int(1));
        let seat = Seat::several(self.server, [client % 2 == 1].into_iter()).pop().expect("one");
        self.names.push((seat.id, seat.address.clone(), format!("client {client} of step {number}")));
        self.clients[client] = seat;
    }

    fn send(&mut self, client: usize, other: usize, step: &[Vec<String>]) {
        let id = self.clients[other].id.to_string();
        let with_id = |words: &Vec<String>| {
            encode(words.iter().map(|word| if word == "ID" { id.as_str() } else { word.as_str() }))
        };
        let wire: Vec<u8> = step.iter().flat_map(with_id).collect();
        self.clients[client].peer.send(&wire);
    }

    fn say(&mut self, client: usize, mark: &str) {
        self.clients[client].peer.send(&encode(["PING", mark]));
    }

    /// All that comes to a client until what it has said is answered.
    fn hear(&mut self, client: usize, mark: &str, is_exec: bool, told: &mut [Vec<String>]) {
        loop {
            let reply = self.clients[client].peer.reply();
            let is_mark = match &reply {
                Reply::Bulk(text) => text == mark.as_bytes(),
                // In RESP2, while it listens.
                Reply::Array(items) => {
                    items.len() == 2 && matches!(&items[1], Reply::Bulk(text) if text == mark.as_bytes())
                }
                _ => false,
            };
            if is_mark {
                return;
            }
            match &reply {
                // 7.0 tells of what a transaction does between the replies in it, and counts that as one of them.
                Reply::Array(items) if is_exec => {
                    told[client].extend(items.iter().map(|item| self.shown(item)));
                }
                reply => {
                    let text = self.shown(reply);
                    if !text.ends_with(&format!("\"PING\" \"{QUIET}\"")) {
                        told[client].push(text);
                    }
                }
            }
        }
    }

    /// A reply, without what differs between servers: numbers and addresses of clients, and times.
    fn shown(&self, reply: &Reply) -> String {
        if let Reply::Simple(text) = reply
            && let Some((_, line)) = std::str::from_utf8(text).ok().and_then(|text| text.split_once(" ["))
        {
            let by_name = |line: String, (id, address, name): &(i64, String, String)| {
                let line = line.replace(address, name);
                line.replace(&format!("\"REDIRECT\" \"{id}\""), &format!("\"REDIRECT\" {name}"))
            };
            return self.names.iter().fold(line.to_owned(), by_name);
        }
        let text = format!("{reply:?}");
        if text.contains("modules") {
            return "the answer to HELLO".into();
        }
        if text.contains("redir") {
            let by_name = |text: String, (id, _, name): &(i64, String, String)| {
                let text = text.replace(&format!(":{id},"), &format!("{name},"));
                text.replace(&format!(":{id}]"), &format!("{name}]"))
            };
            return self.names.iter().fold(text, by_name);
        }
        // Redis writes it in the protocol of who reads the keys, here it is in that of who is told.
        if text.contains("invalidate") { text.replace("$-1", "_") } else { text }
    }
}

/// Has both take a step; all that came to everybody, in words. Both are asked at the same time.
fn take(
    sides: &mut [Side<'_>; 2],
    (client, other): (usize, usize),
    step: &[Vec<String>],
    number: usize,
) -> [Vec<Vec<String>>; 2] {
    let mut told = [(); 2].map(|()| vec![Vec::new(); CLIENTS]);
    let end = format!("end-{number}");
    if step[0][0] == "DEAD" {
        sides.iter_mut().for_each(|side| side.replace(client, number));
    } else {
        for side in &mut *sides {
            side.send(client, other, step);
            // What monitors do not see: once it is answered Redis has told of the step what it gathers for a while.
            side.broom.peer.send(&encode(["CONFIG", "GET", "port"]));
        }
        for side in &mut *sides {
            side.broom.peer.reply();
            side.say(client, &end);
        }
        let is_exec = step.iter().any(|words| words[0] == "EXEC");
        for (side, told) in sides.iter_mut().zip(&mut told) {
            side.hear(client, &end, is_exec, told);
        }
    }
    // What was read before tracking ended is not told here.
    let ends_tracking = |words: &Vec<String>| words[0] == "RESET" || words.iter().any(|word| word == "OFF");
    if step.iter().any(ends_tracking) {
        sides.iter_mut().for_each(|side| side.broom.peer.send(&encode(["FLUSHALL"])));
        for side in &mut *sides {
            side.broom.peer.reply();
        }
    }
    for side in &mut *sides {
        (0..CLIENTS).for_each(|client| side.say(client, QUIET));
    }
    for (side, told) in sides.iter_mut().zip(&mut told) {
        (0..CLIENTS).for_each(|client| side.hear(client, QUIET, false, told));
    }
    told.map(|told| in_order(told, client, &end))
}

/// Which of its keys a command tells first is open, and so is whom.
fn in_order(mut told: Vec<Vec<String>>, client: usize, end: &str) -> Vec<Vec<String>> {
    let is_told = |text: &String| {
        text.contains("invalidate") && !text.contains("ubscribe") || text.contains("redir-broken")
    };
    // As in 7.2 what is told comes behind the reply of who causes it, also to who is told in the place of another.
    told[client].sort_by_key(is_told);
    let said = format!("\"PING\" \"{end}\"");
    for told in &mut told {
        if let Some(end) = told.iter().position(|text| text.ends_with(&said)) {
            // Who monitors, too, sees in Redis what a command changes before or behind it, by who gave it, and of a transaction
            // between its commands; here it comes before it, and behind all commands of a transaction.
            told[..end].sort_by_key(is_told);
        }
        told.chunk_by_mut(|one, next| is_told(one) && is_told(next)).for_each(<[String]>::sort);
    }
    told
}

fn choose(random: &mut Random, value: &mut u64) -> Vec<Vec<String>> {
    let step = random.weighted(STEPS);
    let keys = ["a", "b", "c", "ab", "list"];
    let mut word = |word: &str| match word {
        "K" => keys[random.below(keys.len() as u64) as usize].to_owned(),
        "v" => {
            *value += 1;
            format!("v{value}")
        }
        other => other.to_owned(),
    };
    step.split(';').map(|command| command.split(' ').map(&mut word).collect()).collect()
}

/// Gives both servers the same steps; of how many changed keys, broken ways and commands clients were told.
fn program(servers: &[Server; 2], seed: u64) -> Result<schedules::Counts, String> {
    let mut sides = servers.each_ref().map(Side::new);
    let mut random = Random::new(seed);
    let (mut value, mut history, mut counts) = (0, Vec::new(), schedules::Counts::default());
    for number in 0..PROGRAM {
        let [client, other] = [0; 2].map(|_| random.below(CLIENTS as u64) as usize);
        let step = choose(&mut random, &mut value);
        history.push(format!("{client}: {step:?} ({other})"));
        let [ours, theirs] = take(&mut sides, (client, other), &step, number);
        if ours != theirs {
            return Err(format!("modb {ours:?}, then redis {theirs:?}, after\n{}", history.join("\n")));
        }
        for (count, of) in counts.iter_mut().zip(["invalidate", "redir-broken", "client "]) {
            *count += ours.iter().flatten().filter(|text| text.contains(of)).count();
        }
    }
    Ok(counts)
}

/// Gives both servers the same steps, so many.
pub(crate) fn compare(platform: &Platform, steps: usize, seed: u64) {
    let programs = steps.div_ceil(PROGRAM);
    let counts = schedules::run(platform, programs, seed, program);
    println!(
        "{} steps: {} invalidations, {} broken ways, {} lines",
        programs * PROGRAM,
        counts[0],
        counts[1],
        counts[2]
    );
    assert!(counts.iter().all(|count| *count * 2_000 > steps), "too few to show anything");
}
