//! Collections through kills: trees that are cut, joined, copied, renamed and swept while the server is killed again and
//! again lose no acknowledged command, show none by half, and leave no page behind that nobody owns.
//!
//! Each client owns its keys and has one command, or one transaction, under way, so after a kill there are two states that may be: with it, or
//! without it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::thread;
use std::time::Duration;

use modb_tests::random::Random;
use modb_tests::{Launch, Peer, Platform, Reply, Server, binary, tool, wait};

use crate::crash::{Writer, load_until_killed};

const CLIENTS: usize = 4;
/// Names of members and fields: few enough that many are replaced, enough for trees of several levels.
const NAMES: u64 = 300;
/// How many commands of each client trees grow by before each copy of them.
const GROWTH: u64 = 250;
const CHECK_LIMIT: Duration = Duration::from_secs(120);

pub(crate) fn collections_survive_12_kills(platform: &Platform) {
    survive(platform, 12);
}

pub(crate) fn long_collections_survive_500_kills(platform: &Platform) {
    survive(platform, 500);
}

fn survive(platform: &Platform, rounds: u64) {
    let launch = Launch::new(platform).with_durability("everysec").with("--enable-debug-command", "yes");
    let mut server = launch.start();
    let mut clients: Vec<Client> = (0..CLIENTS).map(Client::new).collect();
    let mut commands = 0;
    for round in 0..rounds {
        // In every other round as large as they come.
        let small = if round % 2 == 0 { "yes" } else { "no" };
        server.peer().ask(&format!("DEBUG SMALL-PAGES {small}"));
        load_until_killed(&mut server, &mut clients, round);
        server = server.launch().clone().start();
        let mut peer = server.peer();
        for client in &mut clients {
            client.verify(&mut peer).unwrap_or_else(|lost| panic!("round {round}: {lost}"));
            commands += std::mem::take(&mut client.acknowledged);
        }
    }
    println!("{commands} acknowledged commands survived {rounds} kills");
    assert!(commands > rounds, "too little load to show anything: {commands} commands");
    server.stop();
    check(server.launch().folder());
    // What is dropped is swept in the end: nothing is left of any page.
    server = server.launch().clone().start();
    assert_eq!(server.peer().ask("FLUSHALL"), Reply::Simple(b"OK".to_vec()));
    wait::until("what was dropped is swept", || {
        server.stop();
        let said = check(server.launch().folder());
        server = server.launch().clone().start();
        (!said.contains("to be removed")).then_some(())
    });
}

/// A copy that is made while trees are cut, joined and swept has each of them whole.
pub(crate) fn a_backup_under_load_has_whole_collections(platform: &Platform) {
    let launch = Launch::new(platform).with("--enable-debug-command", "yes");
    let mut server = launch.start();
    server.peer().ask("DEBUG SMALL-PAGES yes");
    let mut clients: Vec<Client> = (0..CLIENTS).map(Client::new).collect();
    let around = tempfile::tempdir().expect("a folder can be made");
    let (addr, port) = (server.addr(), server.addr().port().to_string());
    let mut outcomes = Vec::new();
    let executed =
        |server: &Server| server.info("total_commands_processed").parse::<u64>().expect("a number");
    thread::scope(|scope| {
        for (seed, client) in (1..).zip(&mut clients) {
            scope.spawn(move || {
                let peer = Peer::try_connect(addr).expect("it serves");
                client.write_until_cut_off(peer, &mut Random::new(seed));
            });
        }
        for number in 0..3 {
            // So that there is something in the first.
            let (before, grown) = (executed(&server), CLIENTS as u64 * GROWTH);
            wait::until("they have grown", || (executed(&server) > before + grown).then_some(()));
            let mut backup = binary::server().command();
            backup.args(["backup", "--port", &port, "--dir"]).arg(launch.folder());
            backup.arg(around.path().join(number.to_string()));
            outcomes.push(tool::run(&mut backup, b"", CHECK_LIMIT));
        }
        // What failed is said when nobody writes any more.
        server.kill();
    });
    for (number, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome.status, Some(0), "{}{}", outcome.stdout, outcome.stderr);
        check(&around.path().join(number.to_string()));
    }
    assert!(clients.iter().all(|client| client.acknowledged > 100), "all wrote meanwhile");
}

/// What `check` says of a folder that no server uses.
fn check(folder: &Path) -> String {
    let mut check = binary::server().command();
    let outcome = tool::run(check.arg("check").arg("--dir").arg(folder), b"", CHECK_LIMIT);
    assert_eq!(outcome.status, Some(0), "{}{}", outcome.stdout, outcome.stderr);
    outcome.stdout
}

/// What a client's keys hold.
#[derive(Clone, Debug, Default, PartialEq)]
struct State {
    scores: BTreeMap<String, i64>,
    copied: BTreeMap<String, i64>,
    fields: BTreeMap<String, String>,
    list: VecDeque<String>,
    members: BTreeSet<String>,
}

impl State {
    /// What differs, with what was found first.
    fn difference(&self, other: &Self) -> Vec<String> {
        fn of<V: std::fmt::Debug + PartialEq>(
            what: &str,
            found: &BTreeMap<String, V>,
            other: &BTreeMap<String, V>,
        ) -> Vec<String> {
            let names: BTreeSet<&String> = found.keys().chain(other.keys()).collect();
            let differ = names.into_iter().filter(|name| found.get(*name) != other.get(*name));
            differ
                .map(|name| format!("{what} {name}: {:?}, not {:?}", found.get(name), other.get(name)))
                .collect()
        }
        let mut all = of("score", &self.scores, &other.scores);
        all.extend(of("copied", &self.copied, &other.copied));
        all.extend(of("field", &self.fields, &other.fields));
        if self.list != other.list {
            all.push(format!("list: {:?}, not {:?}", self.list, other.list));
        }
        all.extend(self.members.symmetric_difference(&other.members).map(|name| format!("member {name}")));
        all
    }
}

struct Client {
    name: usize,
    state: State,
    /// What it is if the command under way was executed.
    next: Option<State>,
    acknowledged: u64,
}

impl Writer for Client {
    fn write_until_cut_off(&mut self, mut peer: Peer, random: &mut Random) {
        loop {
            let (commands, next) = self.random_commands(random);
            self.next = Some(next);
            let wire: Vec<u8> = commands.iter().flat_map(modb_tests::peer::encode).collect();
            if peer.try_send(&wire).is_err() {
                return;
            }
            for _ in &commands {
                match peer.try_reply() {
                    // Those of a transaction, too.
                    Ok(Reply::Array(all)) if all.iter().all(|reply| reply.error().is_none()) => {}
                    Ok(reply) if reply.error().is_none() && !matches!(reply, Reply::Array(_)) => {}
                    Ok(reply) => panic!("{commands:?} was refused: {reply:?}"),
                    Err(_) => return,
                }
            }
            self.state = self.next.take().expect("it was sent");
            self.acknowledged += 1;
        }
    }
}

impl Client {
    fn new(name: usize) -> Self {
        Self { name, state: State::default(), next: None, acknowledged: 0 }
    }

    /// A command; or several of a kind as a transaction, which lie beside each other, so that some change the same page.
    fn random_commands(&self, random: &mut Random) -> (Vec<Vec<String>>, State) {
        let (kind, name, number) = (random.below(20), random.below(NAMES), random.below(1000) as i64);
        if random.below(3) > 0 {
            let (words, next) = self.command(&self.state, (kind, name, number), random);
            return (vec![words], next);
        }
        let (mut next, mut commands) = (self.state.clone(), vec![vec!["MULTI".to_owned()]]);
        for n in 0..2 + random.below(3) {
            let (words, then) = self.command(&next, (kind, (name + n) % NAMES, number + n as i64), random);
            next = then;
            commands.push(words);
        }
        commands.push(vec!["EXEC".to_owned()]);
        (commands, next)
    }

    /// One of a kind, and what the keys hold then.
    fn command(
        &self,
        state: &State,
        (kind, name, number): (u64, u64, i64),
        random: &mut Random,
    ) -> (Vec<String>, State) {
        let mut next = state.clone();
        let key = |kind: &str| format!("{kind}:{}", self.name);
        let name = format!("name {name}");
        let words: Vec<String> = match kind {
            0..5 => {
                next.scores.insert(name.clone(), number);
                vec!["ZADD".into(), key("scores"), number.to_string(), name]
            }
            5 => {
                let (low, high) = (number, number + 20);
                next.scores.retain(|_, score| *score < low || *score > high);
                vec!["ZREMRANGEBYSCORE".into(), key("scores"), low.to_string(), high.to_string()]
            }
            6 if !next.scores.is_empty() => {
                next.copied = next.scores.clone();
                vec!["COPY".into(), key("scores"), key("copied"), "REPLACE".into()]
            }
            7 if !next.copied.is_empty() => {
                next.scores = std::mem::take(&mut next.copied);
                vec!["RENAME".into(), key("copied"), key("scores")]
            }
            8..12 => {
                let value = "v".repeat(number as usize % 60);
                next.fields.insert(name.clone(), value.clone());
                vec!["HSET".into(), key("fields"), name, value]
            }
            12 => {
                next.fields.remove(&name);
                vec!["HDEL".into(), key("fields"), name]
            }
            13..15 => {
                next.list.push_back(name.clone());
                vec!["RPUSH".into(), key("list"), name]
            }
            15 if next.list.len() > 200 => {
                next.list.drain(..100);
                vec!["LTRIM".into(), key("list"), "100".into(), "-1".into()]
            }
            16 => {
                next.list.pop_front();
                vec!["LPOP".into(), key("list")]
            }
            17 if random.below(20) == 0 => {
                next.fields.clear();
                vec!["DEL".into(), key("fields")]
            }
            18 => {
                next.members.remove(&name);
                vec!["SREM".into(), key("members"), name]
            }
            _ => {
                next.members.insert(name.clone());
                vec!["SADD".into(), key("members"), name]
            }
        };
        (words, next)
    }

    /// Reads all keys back; what was found becomes the only state.
    fn verify(&mut self, peer: &mut Peer) -> Result<(), String> {
        let found = self.read(peer);
        if found != self.state && Some(&found) != self.next.as_ref() {
            let next = self.next.as_ref().map(|next| found.difference(next));
            return Err(format!(
                "client {} differs from what was acknowledged: {:?}\nand from what was under way: {next:?}",
                self.name,
                found.difference(&self.state)
            ));
        }
        self.state = found;
        self.next = None;
        Ok(())
    }

    fn read(&self, peer: &mut Peer) -> State {
        let mut words = |command: &str, kind: &str, rest: &str| -> Vec<String> {
            let line = format!("{command} {kind}:{}{rest}", self.name);
            peer.ask(&line).items().iter().map(Reply::text).collect()
        };
        let pairs = |words: Vec<String>| {
            words.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect::<Vec<_>>()
        };
        let scores = |words: Vec<String>| {
            pairs(words)
                .into_iter()
                .map(|(name, score)| (name, score.parse().expect("a whole number")))
                .collect()
        };
        State {
            scores: scores(words("ZRANGE", "scores", " 0 -1 WITHSCORES")),
            copied: scores(words("ZRANGE", "copied", " 0 -1 WITHSCORES")),
            fields: pairs(words("HGETALL", "fields", "")).into_iter().collect(),
            list: words("LRANGE", "list", " 0 -1").into(),
            members: words("SMEMBERS", "members", "").into_iter().collect(),
        }
    }
}
