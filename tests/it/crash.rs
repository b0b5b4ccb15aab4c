//! Kill at random moments under load, again and again, on the same data: no acknowledged write may be lost, no
//! unacknowledged one may appear by half, counters stay exact.
//!
//! Each client owns its keys, so it knows for each what it may be: the last acknowledged state, or any state that
//! it had sent after that and whose answer the kill cut off.

use std::thread;
use std::time::Duration;

use modb_tests::peer::encode;
use modb_tests::random::Random;
use modb_tests::{Launch, Peer, Platform, Reply, Server};

const CLIENTS: usize = 8;
const KEYS_PER_CLIENT: usize = 50;
/// The kill comes up to so long after the first write of a round.
const MAX_ROUND: Duration = Duration::from_millis(120);
/// A client that hears nothing for so long takes itself for cut off. Under Wine a connection that was not yet accepted
/// outlives the killed server, and nothing ever closes it.
const SILENCE: Duration = Duration::from_secs(2);

pub(crate) fn acknowledged_writes_survive_25_kills(platform: &Platform) {
    survive(platform, 25);
}

pub(crate) fn long_acknowledged_writes_survive_500_kills(platform: &Platform) {
    survive(platform, 500);
}

fn survive(platform: &Platform, rounds: u64) {
    let modes = ["always", "everysec", "os"];
    let mut writes = 0;
    for (mode_number, mode) in modes.iter().enumerate() {
        let mut server = Launch::new(platform).with_durability(mode).start();
        let mut clients: Vec<Client> = (0..CLIENTS).map(Client::new).collect();
        for round in 0..rounds {
            // 25 rounds are shared between the modes; 500 as well.
            if round % modes.len() as u64 != mode_number as u64 {
                continue;
            }
            load_until_killed(&mut server, &mut clients, round);
            server = server.launch().clone().start();
            let mut peer = server.peer();
            for client in &mut clients {
                client.verify(&mut peer).unwrap_or_else(|lost| panic!("{mode}, round {round}: {lost}"));
                writes += std::mem::take(&mut client.acknowledged);
            }
            let live: usize = clients.iter().map(Client::live_keys).sum();
            assert_eq!(peer.ask("DBSIZE"), Reply::Int(live as i64), "{mode}, round {round}: the count");
        }
    }
    println!("{writes} acknowledged writes survived {rounds} kills");
    assert!(writes > rounds, "too little load to show anything: {writes} writes");
}

/// Who writes until the connection is gone.
pub(crate) trait Writer: Send {
    fn write_until_cut_off(&mut self, peer: Peer, random: &mut Random);
}

/// All of them write at once, until the server is killed at a random moment.
pub(crate) fn load_until_killed(server: &mut Server, writers: &mut [impl Writer], round: u64) {
    let addr = server.addr();
    let mut random = Random::new(round);
    thread::scope(|scope| {
        for writer in writers.iter_mut() {
            let seed = random.next_u64();
            scope.spawn(move || {
                if let Ok(peer) = Peer::try_connect(addr) {
                    peer.stream().set_read_timeout(Some(SILENCE)).expect("a timeout can be set");
                    writer.write_until_cut_off(peer, &mut Random::new(seed));
                }
            });
        }
        thread::sleep(MAX_ROUND * random.below(1000) as u32 / 1000); // the random moment
        server.kill();
    });
}

/// What a key may hold. `None`: it is not there.
type State = Option<Vec<u8>>;

struct Client {
    name: usize,
    /// For each key the last acknowledged state, then those sent after it in order.
    keys: Vec<Vec<State>>,
    acknowledged: u64,
}

impl Writer for Client {
    /// Sends pipelines of writes, noting each before it leaves and each answer when it comes.
    fn write_until_cut_off(&mut self, mut peer: Peer, random: &mut Random) {
        loop {
            let mut wire = Vec::new();
            let mut sent = Vec::new();
            for _ in 0..=random.below(16) {
                let n = random.below(KEYS_PER_CLIENT as u64) as usize;
                let now = self.keys[n].last().expect("a key has a state").clone();
                let (command, next) = self.random_write(n, now, random);
                wire.extend(command);
                self.keys[n].push(next);
                sent.push(n);
            }
            if peer.try_send(&wire).is_err() {
                return;
            }
            for n in sent {
                match peer.try_reply() {
                    Ok(Reply::Error(text)) => panic!("a write was refused: {}", text.escape_ascii()),
                    // The oldest state sent is the acknowledged one now.
                    Ok(_) => drop(self.keys[n].remove(0)),
                    Err(_) => return,
                }
                self.acknowledged += 1;
            }
        }
    }
}

impl Client {
    fn new(name: usize) -> Self {
        Self { name, keys: vec![vec![None]; KEYS_PER_CLIENT], acknowledged: 0 }
    }

    fn key(&self, n: usize) -> String {
        format!("client:{}:{n}", self.name)
    }

    /// A command on key `n`, whose state is `now`, and the state after it.
    fn random_write(&self, n: usize, now: State, random: &mut Random) -> (Vec<u8>, State) {
        let key = self.key(n);
        // The first keys count, the others hold text: each command always fits.
        if n < KEYS_PER_CLIENT / 4 {
            let count = now.map_or(0, |v| String::from_utf8_lossy(&v).parse::<i64>().expect("it counts")) + 1;
            return (encode(["INCR", &key]), Some(count.to_string().into_bytes()));
        }
        match random.below(4) {
            0 => (encode(["DEL", &key]), None),
            1 => {
                let more = random.next_u64().to_string();
                let all = [now.unwrap_or_default(), more.clone().into_bytes()].concat();
                // A text that only grew would make the test slower with each round.
                if all.len() > 4096 {
                    (encode(["DEL", &key]), None)
                } else {
                    (encode(["APPEND", &key, &more]), Some(all))
                }
            }
            _ => {
                let len = random.below(300) as usize;
                let value = random.bytes(len);
                (encode([b"SET", key.as_bytes(), &value]), Some(value))
            }
        }
    }

    /// Reads all keys back; what was found becomes the only state.
    fn verify(&mut self, peer: &mut Peer) -> Result<(), String> {
        for n in 0..KEYS_PER_CLIENT {
            peer.send(&encode(["GET", &self.key(n)]));
        }
        for n in 0..KEYS_PER_CLIENT {
            let found = match peer.reply() {
                Reply::Bulk(value) => Some(value),
                Reply::NullBulk => None,
                other => return Err(format!("{} was read as {other:?}", self.key(n))),
            };
            if !self.keys[n].contains(&found) {
                let may_be = self.keys[n].len();
                return Err(format!(
                    "{} holds {found:?}, none of the {may_be} states it may have: {:?}",
                    self.key(n),
                    self.keys[n]
                ));
            }
            self.keys[n] = vec![found];
        }
        Ok(())
    }

    fn live_keys(&self) -> usize {
        self.keys.iter().filter(|states| states[0].is_some()).count()
    }
}
