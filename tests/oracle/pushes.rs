//! What both servers tell clients that they did not ask for: which keys that they keep have changed, and what others do.
//!
//! One step at a time: a client gives a command, and once it is answered each says `PING`; all that came to anybody until its answer
//! is compared, in its order. Not tried is what differs by intent, see docs/COMPATIBILITY.md: SWAPDB, which tells nobody in Redis; keys
//! that were read before tracking was turned off; transactions of who tracks what they write.

use modb_tests::peer::encode;
use modb_tests::platform::Product;
use modb_tests::random::Random;
use modb_tests::{Launch, Peer, Platform, Reply, Server};

const CLIENTS: usize = 5;
/// After so many steps everything begins anew.
const PROGRAM: usize = 80;

/// What is tried, by how often. `K` stands for a key, `v` for a new value, `ID` for the number of another client.
#[rustfmt::skip]
const STEPS: &[(u64, &str)] = &[
    (30, "GET K"), (10, "MGET K K"), (4, "EXISTS K K"), (3, "TTL K"), (3, "STRLEN K"), (2, "TYPE K"), (3, "LRANGE K 0 -1"), (2, "HGETALL K"), (2, "DBSIZE"),
    (14, "SET K v"), (4, "MSET K v K v"), (4, "APPEND K v"), (4, "INCR K"), (5, "DEL K"), (3, "DEL K K"), (3, "EXPIRE K 1000"), (2, "PERSIST K"), (2, "SET K v KEEPTTL"),
    (2, "GETDEL K"), (2, "GETEX K EX 100"), (2, "SETRANGE K 0 v"), (2, "SETBIT K 3 1"), (2, "SETNX K v"), (2, "UNLINK K"), (2, "EXPIRE K -1"), (2, "GETSET K v"),
    (4, "RPUSH K v"), (3, "LPOP K"), (2, "LSET K 0 v"), (2, "LREM K 0 none"), (3, "HSET K f v"), (2, "HSET K f same"), (2, "HDEL K f"), (2, "SADD K v"), (1, "SREM K none"), (2, "ZADD K 1 v"),
    (4, "RENAME K K"), (3, "COPY K K"), (2, "COPY K K REPLACE"), (2, "MOVE K 1"), (2, "SUNIONSTORE K K K"), (2, "SORT K ALPHA STORE K"), (2, "LMOVE K K LEFT RIGHT"), (1, "PFADD K v"),
    (2, "FLUSHALL"), (2, "FLUSHDB"), (2, "SELECT 1"), (4, "SELECT 0"),
    (4, "CLIENT TRACKING OFF;MULTI;SET K v;SET K v;EXEC"), (4, "MULTI;GET a;MGET b c;EXEC"), (2, "CLIENT TRACKING OFF;MULTI;SET a v;INCR b;DEL c;EXEC"), (2, "MULTI;GET a;FOO;EXEC"), (1, "MULTI;SET K v;DISCARD"),
    (8, "CLIENT TRACKING ON"), (3, "CLIENT TRACKING ON NOLOOP"), (4, "CLIENT TRACKING ON BCAST"), (3, "CLIENT TRACKING ON BCAST NOLOOP PREFIX a PREFIX b"), (2, "CLIENT TRACKING ON BCAST PREFIX c"),
    (4, "CLIENT TRACKING ON OPTIN"), (3, "CLIENT TRACKING ON OPTOUT"), (12, "CLIENT TRACKING ON REDIRECT ID"), (2, "CLIENT TRACKING ON REDIRECT ID BCAST"), (1, "CLIENT TRACKING ON REDIRECT 12345678"),
    (4, "CLIENT TRACKING OFF"), (5, "CLIENT CACHING YES"), (4, "CLIENT CACHING NO"), (3, "CLIENT CACHING YES;MULTI;GET a;GET b;EXEC"), (5, "CLIENT TRACKINGINFO"),
    (2, "SUBSCRIBE __redis__:invalidate"), (1, "UNSUBSCRIBE"), (2, "CLIENT TRACKING OFF;MONITOR"), (4, "RESET"), (2, "HELLO 3"), (1, "HELLO 2"), (2, "PUBLISH news v"), (2, "BLPOP a b 0.01"), (8, "DEAD"),
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
    fn new(server: &Server, resp3: bool) -> Self {
        let mut peer = server.peer();
        if resp3 {
            peer.ask("HELLO 3");
        }
        // So that it stays where it is: who monitors sees what waits for that before its answer.
        peer.ask("CLIENT TRACKING ON");
        peer.ask("CLIENT TRACKING OFF");
        let address = peer.stream().local_addr().expect("it is connected").to_string();
        Self { id: peer.ask("CLIENT ID").int(), address, peer }
    }
}

impl<'s> Side<'s> {
    fn new(server: &'s Server) -> Self {
        let mut broom = Seat::new(server, false);
        broom.peer.ask("FLUSHALL");
        let clients: Vec<Seat> = (0..CLIENTS).map(|n| Seat::new(server, n % 2 == 1)).collect();
        let mut side = Self { server, clients, broom, names: Vec::new() };
        let name = |seat: &Seat, name: String| (seat.id, seat.address.clone(), name);
        side.names =
            side.clients.iter().enumerate().map(|(n, seat)| name(seat, format!("client {n}"))).collect();
        side.names.push(name(&side.broom, "broom".into()));
        side
    }

    /// All that came to everybody, in words.
    fn step(&mut self, client: usize, other: usize, step: &[Vec<String>], number: usize) -> Vec<Vec<String>> {
        let mut told = vec![Vec::new(); CLIENTS];
        if step[0][0] == "DEAD" {
            let killed = self.broom.peer.call(["CLIENT", "KILL", "ID", &self.clients[client].id.to_string()]);
            assert_eq!(killed, Reply::Int(1));
            let seat = Seat::new(self.server, client % 2 == 1);
            self.names.push((seat.id, seat.address.clone(), format!("client {client} of step {number}")));
            self.clients[client] = seat;
        } else {
            for words in step {
                let id = self.clients[other].id.to_string();
                let words = words.iter().map(|word| if word == "ID" { &id } else { word });
                self.clients[client].peer.send(&encode(words));
            }
            // What monitors do not see: once it is answered Redis has told of the step what it gathers for a while.
            self.broom.peer.ask("CONFIG GET port");
            let is_exec = step.iter().any(|words| words[0] == "EXEC");
            self.hear(client, &format!("end-{number}"), is_exec, &mut told);
        }
        // What was read before tracking ended is not told here.
        let ends_tracking =
            |words: &Vec<String>| words[0] == "RESET" || words.iter().any(|word| word == "OFF");
        if step.iter().any(ends_tracking) {
            self.broom.peer.ask("FLUSHALL");
        }
        for client in 0..CLIENTS {
            self.hear(client, &format!("quiet-{number}"), false, &mut told);
        }
        // Which of its keys a command tells first is open, and so is whom.
        let is_told = |text: &String| {
            text.contains("invalidate") && !text.contains("ubscribe") || text.contains("redir-broken")
        };
        // As in 7.2 what is told comes behind the reply of who causes it, also to who is told in the place of another.
        told[client].sort_by_key(is_told);
        for told in &mut told {
            if let Some(end) =
                told.iter().position(|text| text.ends_with(&format!("\"PING\" \"end-{number}\"")))
            {
                // Who monitors, too, sees in Redis what a command changes before or behind it, by who gave it, and of a transaction
                // between its commands; here it comes before it, and behind all commands of a transaction.
                told[..end].sort_by_key(is_told);
            }
            told.chunk_by_mut(|one, next| is_told(one) && is_told(next)).for_each(<[String]>::sort);
        }
        told
    }

    /// All that comes to a client until it is answered.
    fn hear(&mut self, client: usize, mark: &str, is_exec: bool, told: &mut [Vec<String>]) {
        self.clients[client].peer.send(&encode(["PING", mark]));
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
                reply => told[client].push(self.shown(reply)),
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

/// Gives both servers the same steps.
pub(crate) fn compare(platform: &Platform, steps: usize, seed: u64) {
    let ours = Launch::new(platform).with("--workers", "4").start();
    let theirs = Launch::product(Product::Redis).start();
    let mut random = Random::new(seed);
    let (mut value, mut done) = (0, 0);
    let mut counts = [0; 3];
    while done < steps {
        let mut sides = [Side::new(&ours), Side::new(&theirs)];
        let mut history = Vec::new();
        for _ in 0..PROGRAM {
            let [client, other] = [0; 2].map(|_| random.below(CLIENTS as u64) as usize);
            let step = choose(&mut random, &mut value);
            history.push(format!("{client}: {step:?} ({other})"));
            let told = sides.each_mut().map(|side| side.step(client, other, &step, done));
            assert_eq!(told[0], told[1], "seed {seed}: modb, then redis, after\n{}", history.join("\n"));
            for (n, of) in ["invalidate", "redir-broken", "client "].iter().enumerate() {
                counts[n] += told[0].iter().flatten().filter(|text| text.contains(of)).count();
            }
            done += 1;
        }
    }
    println!("{done} steps: {} invalidations, {} broken ways, {} lines", counts[0], counts[1], counts[2]);
    assert!(counts.iter().all(|count| *count * 2_000 > done), "too few to show anything");
}
