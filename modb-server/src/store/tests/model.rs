//! Random commits, reads, scans and reopenings, beside the in-memory store.

use proptest::prelude::*;

use super::*;
use crate::store::memory::MemoryStore;
use crate::store::{Change, Patch};

#[derive(Clone, Debug)]
enum Step {
    Apply(Batch),
    /// These bytes are put into a record somewhere, or become one.
    Change(Bytes, prop::sample::Index, Vec<u8>),
    Get(Bytes),
    Scan {
        from: Bytes,
        to: Bytes,
        limit: usize,
    },
    Sweep {
        from: Bytes,
        to: Bytes,
    },
    Settle,
    Compact,
    Reopen,
}

/// Few keys, so that they meet; of both routed and unrouted kind, some sharing the routing bytes.
fn key() -> impl Strategy<Value = Bytes> {
    (prop_oneof![Just(1u8), Just(0x10), Just(0x20)], 0u8..6, 0u8..3).prop_map(|(kind, hash, tail)| {
        let mut key = vec![kind, 0, 0, 0, 1];
        key.extend_from_slice(&(u64::from(hash) << 61 | u64::from(hash)).to_be_bytes());
        key.extend(std::iter::repeat_n(tail, usize::from(tail)));
        Bytes::from(key)
    })
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        4 => (key(), proptest::collection::vec(any::<u8>(), 0..200)).prop_map(|(k, v)| Write::Put(k.into(), v.into())),
        2 => key().prop_map(|k| Write::Delete(k.into())),
        1 => (0u32..3, any::<i64>()).prop_map(|(c, by)| Write::Add(Counter(c), by)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => proptest::collection::vec(write(), 0..6).prop_map(|writes| Step::Apply(Batch { writes })),
        6 => (key(), any::<prop::sample::Index>(), proptest::collection::vec(any::<u8>(), 0..20))
            .prop_map(|(key, at, added)| Step::Change(key, at, added)),
        4 => key().prop_map(Step::Get),
        3 => (key(), key(), 1usize..8).prop_map(|(from, to, limit)| Step::Scan { from, to, limit }),
        1 => (key(), key()).prop_map(|(from, to)| Step::Sweep { from, to }),
        3 => Just(Step::Settle),
        1 => Just(Step::Compact),
        1 => Just(Step::Reopen),
    ]
}

pub(super) fn run(engine: EngineKind) {
    let config = ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(steps in proptest::collection::vec(step(), 1..60))| {
        let dir = tempfile::tempdir().unwrap();
        let model = MemoryStore::new();
        let mut store = Some(open_in(dir.path(), engine));
        for step in steps {
            let real = store.as_deref().unwrap();
            match step {
                Step::Apply(batch) => {
                    model.apply(batch.clone()).unwrap();
                    real.apply(batch).unwrap();
                }
                Step::Change(key, at, added) => {
                    let found = real.get(&key).unwrap();
                    let write = match found.value {
                        None => Write::Put(key.into(), added.into()),
                        Some(base) => {
                            let at = at.index(base.len() + 1);
                            let value = Bytes::from([&base[..at], &added, &base[at..]].concat());
                            Write::Patch(Box::new(Patch { key: key.into(), base_seq: found.seq, value, change: Change::From(base) }))
                        }
                    };
                    let batch = Batch { writes: vec![write] };
                    model.apply(batch.clone()).unwrap();
                    real.apply(batch).unwrap();
                }
                Step::Get(key) => prop_assert_eq!(real.get(&key).unwrap().value, model.get(&key).unwrap().value),
                Step::Scan { from, to, limit } => {
                    let (got, want) = (real.scan(&from, &to, limit).unwrap(), model.scan(&from, &to, limit).unwrap());
                    prop_assert_eq!(&got.records, &want.records);
                    prop_assert!(got.next.is_some() || want.next.is_none(), "ended early");
                }
                Step::Sweep { from, to } => {
                    model.sweep(&from, &to).unwrap();
                    real.sweep(&from, &to).unwrap();
                }
                Step::Settle => drop(real.settle().unwrap()),
                Step::Compact => real.compact().unwrap(),
                Step::Reopen => {
                    drop(store.take());
                    store = Some(open_in(dir.path(), engine));
                }
            }
        }
        let real = store.as_deref().unwrap();
        prop_assert_eq!(all(real, 3), all(&model, 100));
        for counter in 0..3 {
            prop_assert_eq!(real.counter(Counter(counter)), model.counter(Counter(counter)));
        }
        real.check().unwrap();
    });
}
