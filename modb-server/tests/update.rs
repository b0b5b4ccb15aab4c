//! Closures of `update` from four threads, on three keyspaces of one database that two servers serve meanwhile, beside a
//! model: whatever a closure, a reader in the program or a client saw is what one order of the closures leads to.
//!
//! Each closure counts a version in its keyspace, so the order is known afterwards, and it is replayed. A closure that fails
//! leaves no trace; a read of several keys sees the state after one version, and no other.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use modb_net::resp::{ReplyDecoder, encode_request};
use modb_server::{Database, Error, Keyspace, Reply, Server, Update, Value};

const THREADS: usize = 4;
const KEYSPACES: u32 = 3;
const SERVERS: usize = 2;
const UPDATES: usize = 400;
const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];
const VERSION: &str = "version";
/// What clients count, beside the closures.
const COUNTED: &str = "counted";

#[derive(Clone, Debug)]
enum Step {
    Get(usize),
    Set(usize, String),
    Append(usize, String),
    Increment(usize),
    Delete(usize),
    SetIfAbsent(usize, String),
    CompareAndSet(usize, String, String),
}

/// What a step gave back, as text.
type Outcome = String;

/// A closure's error of its own.
#[derive(Debug)]
enum Failed {
    OnPurpose,
    Database,
}

impl From<Error> for Failed {
    fn from(_: Error) -> Self {
        Self::Database
    }
}

/// A closure that was done.
struct Done {
    steps: Vec<Step>,
    outcomes: Vec<Outcome>,
}

/// A look at all keys at once: the version, and the values.
type Look = (u64, Vec<Option<String>>);

/// What is seen of one keyspace.
#[derive(Default)]
struct Seen {
    done: BTreeMap<u64, Done>,
    looks: Vec<Look>,
}

type AllSeen = BTreeMap<u32, Seen>;

/// Small and repeatable (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % sides
    }

    fn step(&mut self, named: &[usize]) -> Step {
        let key = named[self.roll(named.len())];
        // Numbers, so that some increments succeed.
        let value = self.roll(4).to_string();
        match self.roll(7) {
            0 => Step::Get(key),
            1 => Step::Set(key, value),
            2 => Step::Append(key, if self.roll(8) == 0 { "x".to_owned() } else { value }),
            3 => Step::Increment(key),
            4 => Step::Delete(key),
            5 => Step::SetIfAbsent(key, value),
            _ => Step::CompareAndSet(key, self.roll(4).to_string(), value),
        }
    }
}

fn take(keys: &mut Update<'_>, step: &Step) -> Result<Outcome, Error> {
    Ok(match step {
        Step::Get(key) => format!("{:?}", keys.get(KEYS[*key])?),
        Step::Set(key, value) => format!("{:?}", keys.set(KEYS[*key], value)?),
        Step::Append(key, tail) => keys.append(KEYS[*key], tail)?.to_string(),
        Step::Increment(key) => keys.increment(KEYS[*key], 1)?.to_string(),
        Step::Delete(key) => keys.delete(KEYS[*key])?.to_string(),
        Step::SetIfAbsent(key, value) => keys.set_if_absent(KEYS[*key], value)?.to_string(),
        Step::CompareAndSet(key, old, new) => keys.compare_and_set(KEYS[*key], old, new)?.to_string(),
    })
}

/// The same in the model.
fn replay(state: &mut BTreeMap<usize, String>, step: &Step) -> Outcome {
    match step {
        Step::Get(key) => format!("{:?}", state.get(key)),
        Step::Set(key, value) => {
            state.insert(*key, value.clone());
            "()".to_owned()
        }
        Step::Append(key, tail) => {
            let value = state.entry(*key).or_default();
            value.push_str(tail);
            value.len().to_string()
        }
        Step::Increment(key) => {
            let sum = state.get(key).map_or(0, |value| value.parse::<i64>().unwrap()) + 1;
            state.insert(*key, sum.to_string());
            sum.to_string()
        }
        Step::Delete(key) => state.remove(key).is_some().to_string(),
        Step::SetIfAbsent(key, value) => {
            let absent = !state.contains_key(key);
            state.entry(*key).or_insert_with(|| value.clone());
            absent.to_string()
        }
        Step::CompareAndSet(key, old, new) => {
            let is_old = state.get(key) == Some(old);
            if is_old {
                state.insert(*key, new.clone());
            }
            is_old.to_string()
        }
    }
}

/// One thread of the program.
fn update(database: &Database, seed: u64) -> AllSeen {
    let keyspaces: Vec<Keyspace> = (0..KEYSPACES).map(|index| database.keyspace(index).unwrap()).collect();
    let (mut dice, mut seen) = (Dice(seed), AllSeen::new());
    for _ in 0..UPDATES {
        let keyspace = &keyspaces[dice.roll(keyspaces.len())];
        let seen = seen.entry(keyspace.index()).or_default();
        if dice.roll(4) == 0 {
            let named: Vec<&str> = [VERSION].into_iter().chain(KEYS).collect();
            let got = keyspace.get_many(&named).unwrap();
            let got = got.into_iter().map(|value| value.map(|value: Value| value.to_string()));
            seen.looks.extend(look(got.collect()));
            continue;
        }
        let first = dice.roll(KEYS.len());
        let named: Vec<usize> = (first..KEYS.len().min(first + 1 + dice.roll(3))).collect();
        let steps: Vec<Step> = (0..1 + dice.roll(4)).map(|_| dice.step(&named)).collect();
        let fails = dice.roll(6) == 0;
        let names: Vec<&str> = named.iter().map(|&key| KEYS[key]).chain([VERSION]).collect();
        let done = keyspace.update(&names, |keys| {
            let version = keys.increment(VERSION, 1)?;
            assert!(matches!(keys.get(COUNTED), Err(Error::KeyNotNamed { .. })));
            assert!(matches!(keyspace.get(VERSION), Err(Error::InsideUpdate)));
            let outcomes = steps.iter().map(|step| take(keys, step)).collect::<Result<Vec<_>, _>>()?;
            if fails { Err(Failed::OnPurpose) } else { Ok((version, outcomes)) }
        });
        if let Ok((version, outcomes)) = done {
            let before = seen.done.insert(version.try_into().unwrap(), Done { steps, outcomes });
            assert!(before.is_none(), "version {version} was given twice");
        }
    }
    seen
}

fn look(mut values: Vec<Option<String>>) -> Option<Look> {
    let version = values.remove(0)?;
    Some((version.parse().unwrap(), values))
}

/// A client over the network: looks at all keys at once, and counts, until the updates have ended.
fn watch(addr: SocketAddr, seed: u64, ended: &AtomicBool, counted: &AtomicUsize) -> AllSeen {
    let mut stream = TcpStream::connect(addr).unwrap();
    let (mut input, mut dice, mut seen) = (Vec::new(), Dice(seed), AllSeen::new());
    let mut ask = |words: &[&str]| {
        let mut request = Vec::new();
        encode_request(&mut request, words);
        stream.write_all(&request).unwrap();
        let mut decoder = ReplyDecoder::default();
        loop {
            let mut rest = &input[..];
            let reply = decoder.decode(&mut rest).unwrap();
            input = rest.to_vec();
            if let Some(reply) = reply {
                return reply;
            }
            let mut more = [0; 4096];
            let read = stream.read(&mut more).unwrap();
            assert!(read > 0, "the server has gone");
            input.extend_from_slice(&more[..read]);
        }
    };
    while !ended.load(Ordering::Acquire) {
        let index = dice.roll(KEYSPACES as usize) as u32;
        ask(&["SELECT", &index.to_string()]);
        assert!(matches!(ask(&["INCR", COUNTED]), Reply::Integer(_)));
        counted.fetch_add(1, Ordering::Relaxed);
        let words: Vec<&str> = ["MGET", VERSION].into_iter().chain(KEYS).collect();
        let Reply::Array(values) = ask(&words) else { panic!("MGET answers an array") };
        let text = |value: &Reply| value.as_bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        seen.entry(index).or_default().looks.extend(look(values.iter().map(text).collect()));
    }
    seen
}

#[test]
fn what_closures_readers_and_clients_see_is_what_one_order_leads_to() {
    let database = Database::temporary().unwrap();
    let servers: Vec<Server> =
        (0..SERVERS).map(|_| Server::bind(&database, ([127, 0, 0, 1], 0).into()).unwrap()).collect();
    let (ended, counted) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut all = AllSeen::new();
    std::thread::scope(|scope| {
        let (ended, counted) = (&ended, &counted);
        let clients: Vec<_> = servers
            .iter()
            .zip(1..)
            .map(|(server, seed)| {
                let addr = server.local_addrs()[0];
                scope.spawn(move || watch(addr, 7919 * seed, ended, counted))
            })
            .collect();
        let threads: Vec<_> = (1..=THREADS as u64)
            .map(|seed| {
                let database = database.clone();
                scope.spawn(move || update(&database, 104_729 * seed))
            })
            .collect();
        let updates: Vec<AllSeen> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        ended.store(true, Ordering::Release);
        for seen in updates.into_iter().chain(clients.into_iter().map(|client| client.join().unwrap())) {
            for (index, more) in seen {
                let all = all.entry(index).or_default();
                for (version, done) in more.done {
                    assert!(all.done.insert(version, done).is_none(), "version {version} was given twice");
                }
                all.looks.extend(more.looks);
            }
        }
    });
    let (mut looks, mut closures) = (0, 0);
    for (index, seen) in &all {
        let mut state = BTreeMap::new();
        let mut states = vec![state.clone()];
        for ((version, done), expected) in seen.done.iter().zip(1..) {
            assert_eq!(*version, expected, "keyspace {index}: closures that failed leave no trace");
            let outcomes: Vec<Outcome> = done.steps.iter().map(|step| replay(&mut state, step)).collect();
            assert_eq!(outcomes, done.outcomes, "keyspace {index}, version {version}: {:?}", done.steps);
            states.push(state.clone());
        }
        for (version, values) in &seen.looks {
            let state = &states[usize::try_from(*version).unwrap()];
            let expected: Vec<_> = (0..KEYS.len()).map(|key| state.get(&key).cloned()).collect();
            assert_eq!(*values, expected, "keyspace {index}: what was seen at version {version}");
        }
        closures += seen.done.len();
        looks += seen.looks.len();
    }
    assert!(closures > UPDATES && looks > UPDATES / 2, "{closures} closures and {looks} looks are a test");
    let sum: usize = (0..KEYSPACES)
        .map(|index| database.keyspace(index).unwrap().get(COUNTED).unwrap())
        .map(|count| count.map_or(0, |count| count.as_str().unwrap().parse::<usize>().unwrap()))
        .sum();
    assert_eq!(sum, counted.into_inner(), "what clients counted");
}
