//! Random commands beside a model in memory, through reopening of the folder, on every engine that has one.
//!
//! A failure prints the shortest program that shows it; proptest keeps its seed in `model.proptest-regressions`.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::collections::BTreeMap;

use modb_server::{Database, LocalClient, Options, Reply};
use proptest::prelude::*;

/// Databases that programs use.
const DATABASES: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Select(usize),
    Set { key: u8, value: Vec<u8>, nx: bool, keep: bool },
    SetFor { key: u8, value: Vec<u8> },
    SetPairs(Vec<(u8, Vec<u8>)>),
    Get(u8),
    GetDelete(u8),
    Append(u8, Vec<u8>),
    Add(u8, i64),
    Delete(Vec<u8>),
    Rename(u8, u8),
    Copy { from: u8, to: u8, database: usize },
    Expire(u8),
    Persist(u8),
    ExpireAtOnce(u8),
    FlushDatabase,
    FlushAll,
    Swap(usize, usize),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0_u8..6;
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..12),
        any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        Just(vec![7; 5000]),
    ];
    let pair = (key.clone(), value.clone());
    let database = 0..DATABASES;
    let step = prop_oneof![
        2 => database.clone().prop_map(Step::Select),
        4 => (key.clone(), value, any::<bool>(), any::<bool>())
            .prop_map(|(key, value, nx, keep)| Step::Set { key, value, nx, keep }),
        2 => pair.clone().prop_map(|(key, value)| Step::SetFor { key, value }),
        2 => prop::collection::vec(pair.clone(), 1..4).prop_map(Step::SetPairs),
        3 => key.clone().prop_map(Step::Get),
        1 => key.clone().prop_map(Step::GetDelete),
        2 => pair.prop_map(|(key, value)| Step::Append(key, value)),
        3 => (key.clone(), -3_i64..1000).prop_map(|(key, by)| Step::Add(key, by)),
        2 => prop::collection::vec(key.clone(), 1..3).prop_map(Step::Delete),
        2 => (key.clone(), key.clone()).prop_map(|(from, to)| Step::Rename(from, to)),
        2 => (key.clone(), key.clone(), database.clone())
            .prop_map(|(from, to, database)| Step::Copy { from, to, database }),
        2 => key.clone().prop_map(Step::Expire),
        1 => key.clone().prop_map(Step::Persist),
        1 => key.prop_map(Step::ExpireAtOnce),
        1 => Just(Step::FlushDatabase),
        1 => Just(Step::FlushAll),
        1 => (database.clone(), database).prop_map(|(a, b)| Step::Swap(a, b)),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..60)
}

/// What a database should hold: values, and whether they expire (some day, not during the test).
type Contents = BTreeMap<u8, (Vec<u8>, bool)>;

struct Bench {
    folder: tempfile::TempDir,
    engine: &'static str,
    open: Option<(Database, LocalClient)>,
    model: Vec<Contents>,
    selected: usize,
}

impl Bench {
    fn new(engine: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut bench =
            Self { folder, engine, open: None, model: vec![Contents::new(); DATABASES], selected: 0 };
        bench.reopen();
        bench
    }

    fn reopen(&mut self) {
        // The old handles must go first: the folder has one user at a time.
        self.open = None;
        let database = Options::new(self.folder.path().join("data"))
            .set("store", self.engine)
            .and_then(|options| options.set("min-free-mb", "0"))
            .unwrap()
            .open()
            .unwrap();
        let client = database.client().unwrap();
        self.open = Some((database, client));
        self.selected = 0;
    }

    fn run(&mut self, words: &[&[u8]]) -> Reply {
        self.open.as_mut().unwrap().1.run(words.iter()).unwrap()
    }

    fn now(&mut self) -> &mut Contents {
        &mut self.model[self.selected]
    }

    fn step(&mut self, step: &Step) {
        let ok = Reply::Simple(b"OK".to_vec());
        let year = b"31536000";
        match step {
            Step::Select(index) => {
                assert_eq!(self.run(&[b"SELECT", index.to_string().as_bytes()]), ok);
                self.selected = *index;
            }
            Step::Set { key, value, nx, keep } => {
                let mut words: Vec<&[u8]> = vec![b"SET", name(key), value];
                words.extend(nx.then_some(&b"NX"[..]));
                words.extend(keep.then_some(&b"KEEPTTL"[..]));
                let reply = self.run(&words);
                let old = self.now().get(key).cloned();
                if *nx && old.is_some() {
                    assert_eq!(reply, Reply::Null);
                } else {
                    assert_eq!(reply, ok);
                    let expires = *keep && old.is_some_and(|(_, expires)| expires);
                    self.now().insert(*key, (value.clone(), expires));
                }
            }
            Step::SetFor { key, value } => {
                assert_eq!(self.run(&[b"SETEX", name(key), year, value]), ok);
                self.now().insert(*key, (value.clone(), true));
            }
            Step::SetPairs(pairs) => {
                let mut words: Vec<&[u8]> = vec![b"MSET"];
                words.extend(pairs.iter().flat_map(|(key, value)| [name(key), value]));
                assert_eq!(self.run(&words), ok);
                self.now().extend(pairs.iter().map(|(key, value)| (*key, (value.clone(), false))));
            }
            Step::Get(key) => {
                let reply = self.run(&[b"GET", name(key)]);
                assert_eq!(reply, bulk(self.now().get(key)));
            }
            Step::GetDelete(key) => {
                let reply = self.run(&[b"GETDEL", name(key)]);
                assert_eq!(reply, bulk(self.now().remove(key).as_ref()));
            }
            Step::Append(key, tail) => {
                let reply = self.run(&[b"APPEND", name(key), tail]);
                let (value, _) = self.now().entry(*key).or_default();
                value.extend_from_slice(tail);
                assert_eq!(reply, Reply::Integer(value.len() as i64));
            }
            Step::Add(key, by) => {
                let reply = self.run(&[b"INCRBY", name(key), by.to_string().as_bytes()]);
                let old = self.now().get(key).cloned();
                let number = old.as_ref().map_or(Some(0), |(value, _)| canonical(value));
                match number.and_then(|number| number.checked_add(*by)) {
                    None => assert!(matches!(reply, Reply::Error(_)), "{reply:?}"),
                    Some(sum) => {
                        assert_eq!(reply, Reply::Integer(sum));
                        let expires = old.is_some_and(|(_, expires)| expires);
                        self.now().insert(*key, (sum.to_string().into_bytes(), expires));
                    }
                }
            }
            Step::Delete(keys) => {
                let mut words: Vec<&[u8]> = vec![b"DEL"];
                words.extend(keys.iter().map(name));
                let reply = self.run(&words);
                let removed = keys.iter().filter(|key| self.now().remove(key).is_some()).count();
                assert_eq!(reply, Reply::Integer(removed as i64));
            }
            Step::Rename(from, to) => {
                let reply = self.run(&[b"RENAME", name(from), name(to)]);
                match self.now().remove(from) {
                    None => assert!(matches!(reply, Reply::Error(_)), "{reply:?}"),
                    Some(contents) => {
                        assert_eq!(reply, ok);
                        self.now().insert(*to, contents);
                    }
                }
            }
            Step::Copy { from, to, database } => {
                let index = database.to_string();
                let words: [&[u8]; 6] = [b"COPY", name(from), name(to), b"DB", index.as_bytes(), b"REPLACE"];
                let reply = self.run(&words);
                if *database == self.selected && from == to {
                    assert!(matches!(reply, Reply::Error(_)), "{reply:?}");
                } else if let Some(contents) = self.now().get(from).cloned() {
                    assert_eq!(reply, Reply::Integer(1));
                    self.model[*database].insert(*to, contents);
                } else {
                    assert_eq!(reply, Reply::Integer(0));
                }
            }
            Step::Expire(key) => {
                let reply = self.run(&[b"EXPIRE", name(key), year]);
                let found = self.now().get_mut(key).map(|(_, expires)| *expires = true);
                assert_eq!(reply, Reply::Integer(i64::from(found.is_some())));
            }
            Step::Persist(key) => {
                let reply = self.run(&[b"PERSIST", name(key)]);
                let had = self.now().get_mut(key).is_some_and(|(_, expires)| std::mem::take(expires));
                assert_eq!(reply, Reply::Integer(i64::from(had)));
            }
            Step::ExpireAtOnce(key) => {
                let reply = self.run(&[b"PEXPIRE", name(key), b"-1"]);
                let had = self.now().remove(key).is_some();
                assert_eq!(reply, Reply::Integer(i64::from(had)));
            }
            Step::FlushDatabase => {
                assert_eq!(self.run(&[b"FLUSHDB"]), ok);
                self.now().clear();
            }
            Step::FlushAll => {
                assert_eq!(self.run(&[b"FLUSHALL"]), ok);
                self.model.iter_mut().for_each(BTreeMap::clear);
            }
            Step::Swap(a, b) => {
                assert_eq!(self.run(&[b"SWAPDB", a.to_string().as_bytes(), b.to_string().as_bytes()]), ok);
                self.model.swap(*a, *b);
            }
            Step::Reopen => self.reopen(),
        }
    }

    /// Everything there is, in every database, is what the model has: keys, values, expiry, counters.
    fn check(&mut self) {
        let info = self.run(&[b"INFO", b"keyspace"]);
        let info = info.as_bytes().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
        let (database, _) = self.open.as_ref().unwrap();
        for (index, expected) in self.model.iter().enumerate() {
            let keyspace = database.keyspace(index as u32).unwrap();
            let mut keys: Vec<Vec<u8>> = keyspace.keys().map(|key| key.unwrap().to_vec()).collect();
            keys.sort();
            let mut wanted: Vec<Vec<u8>> = expected.keys().map(|key| name(key).to_vec()).collect();
            wanted.sort();
            assert_eq!(keys, wanted, "keys of database {index}");
            for (key, (value, _)) in expected {
                assert_eq!(keyspace.get(name(key)).unwrap().as_deref(), Some(&value[..]));
            }
            let expiring = expected.values().filter(|(_, expires)| *expires).count() as u64;
            assert_eq!(keyspace.len().unwrap(), expected.len() as u64, "the count of database {index}");
            let line = info.lines().find(|line| line.starts_with(&format!("db{index}:")));
            let wanted = format!("db{index}:keys={},expires={expiring},", expected.len());
            assert!(
                line.map_or(expected.is_empty(), |line| line.starts_with(&wanted)),
                "{info} instead of {wanted}"
            );
        }
    }
}

fn name(key: &u8) -> &'static [u8] {
    // The names differ in length, and one is empty.
    [&b""[..], b"a", b"bb", b"key:3", b"key:33", b"\x00\xff"][usize::from(*key)]
}

fn bulk(contents: Option<&(Vec<u8>, bool)>) -> Reply {
    contents.map_or(Reply::Null, |(value, _)| Reply::Bulk(value.clone()))
}

/// The integer that Redis reads in a string: only its shortest form.
fn canonical(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    text.parse::<i64>().ok().filter(|number| number.to_string() == text)
}

fn check(engine: &'static str, program: &[Step]) {
    let mut bench = Bench::new(engine);
    for step in program {
        bench.step(step);
    }
    bench.check();
    bench.reopen();
    bench.check();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn commands_agree_with_the_model_on_the_log_engine(program in steps()) {
        check("log", &program);
    }
}

#[cfg(feature = "fjall")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn commands_agree_with_the_model_on_fjall(program in steps()) {
        check("fjall", &program);
    }
}
