//! Very many keys that one command sets or removes: hashed, encoded, and brought into the order of their records before it holds
//! anything.
//!
//! With a million keys a command holds nearly every stripe. What takes it long then is not work but memory: each key is at another place
//! of every table. So whatever needs no stripe is done here, and what is left goes through the records in their order.
//!
//! Invariants: each key is there once, with what it was given last; the order is that of hashes, which is the store's; small records lie in
//! one piece of memory, which no engine keeps (see [`COPIED_RECORD_BYTES`]), and larger values each in their own.

use bytes::Bytes;

use super::layout::{Head, MAX_KEY_BYTES, Place, RECORD_PREFIX_BYTES, Record};
use super::stripes::{Need, Union};
use super::{Data, ensure_memory};
use crate::store::vast::COPIED_RECORD_BYTES;

/// They are brought near to where they will be by the highest byte of their hashes, and into order among those few.
const PARTS: usize = 256;

/// A key, and what it is to be set to, if that.
pub(super) type Item<'a> = (&'a [u8], Option<&'a [u8]>);

/// See the top of this file.
#[derive(Debug)]
pub struct Many {
    namespace: u32,
    /// The store keys of all and the records of most.
    bytes: Bytes,
    /// The other records.
    apart: Vec<Bytes>,
    keys: Vec<Key>,
    union: Union,
}

/// One of them: its store key is in the bytes, so is its record behind that.
#[derive(Clone, Copy, Debug)]
struct Key {
    hash: u64,
    start: u32,
    key_bytes: u32,
    value: Value,
}

#[derive(Clone, Copy, Debug)]
enum Value {
    None,
    Beside(u32),
    Apart(u32),
}

/// One of them, as [`Many::iter`] gives it.
pub(super) struct One<'m> {
    pub(super) place: Place<'m>,
    pub(super) store_key: &'m [u8],
    pub(super) record: Option<Bytes>,
}

/// What an item takes of the bytes.
fn bytes_of((key, value): Item<'_>) -> usize {
    let key_bytes = RECORD_PREFIX_BYTES + key.len();
    key_bytes
        + value.filter(|value| is_beside(key, value)).map_or(0, |value| Head::STRING.bytes() + value.len())
}

fn is_beside(key: &[u8], value: &[u8]) -> bool {
    RECORD_PREFIX_BYTES + key.len() + Head::STRING.bytes() + value.len() <= COPIED_RECORD_BYTES
}

fn part(hash: u64) -> usize {
    (hash >> 56) as usize
}

impl Many {
    /// Keys of a database. `None`: one cannot be a key, they are more than 4 GiB, or there is no memory for that.
    pub fn new<'a>(
        data: &Data,
        database: u32,
        items: impl Iterator<Item = Item<'a>> + Clone,
    ) -> Option<Self> {
        let namespace = data.catalog.namespace(database);
        let (mut hashes, mut union) =
            (Vec::with_capacity(items.size_hint().1.unwrap_or(0)), Union::default());
        let (mut parts, mut bytes_apart) = ([(0_usize, 0_usize); PARTS], 0_usize);
        for (key, value) in items.clone() {
            if key.len() > MAX_KEY_BYTES {
                return None;
            }
            let hash = data.hash(key);
            union.add(hash);
            let (count, bytes) = &mut parts[part(hash)];
            (*count, *bytes) = (*count + 1, *bytes + bytes_of((key, value)));
            bytes_apart += value.filter(|value| !is_beside(key, value)).map_or(0, <[u8]>::len);
            hashes.push(hash);
        }
        // Where the next one of each part goes.
        let (mut count, mut bytes) = (0, 0);
        for next in &mut parts {
            let here = std::mem::replace(next, (count, bytes));
            (count, bytes) = (count + here.0, bytes + here.1);
        }
        u32::try_from(bytes).ok()?;
        // Whoever takes them one by one asks for each.
        ensure_memory(bytes.saturating_add(bytes_apart)).ok()?;
        let (mut piece, mut apart) = (vec![0; bytes], Vec::new());
        let mut keys = vec![Key { hash: 0, start: 0, key_bytes: 0, value: Value::None }; count];
        for ((key, value), hash) in items.zip(hashes) {
            let (at, start) = &mut parts[part(hash)];
            let place = Place { namespace, hash, key };
            let rest = place.write_record_key(&mut piece[*start..]);
            let value = match value {
                None => Value::None,
                Some(value) if is_beside(key, value) => Value::Beside(Record::write_string(value, rest)),
                Some(value) => {
                    apart.push(Record::encode(Head::STRING, &[value]));
                    Value::Apart(apart.len() as u32 - 1)
                }
            };
            // All of it is below 4 GiB.
            keys[*at] = Key { hash, start: *start as u32, key_bytes: key.len() as u32, value };
            (*at, *start) = (*at + 1, *start + keys[*at].bytes());
        }
        let mut many = Self { namespace, bytes: piece.into(), apart, keys, union };
        many.bring_into_order();
        Some(many)
    }

    /// Of each key the last stays, which lies behind the others.
    fn bring_into_order(&mut self) {
        let mut keys = std::mem::take(&mut self.keys);
        for part in keys.chunk_by_mut(|left, right| part(left.hash) == part(right.hash)) {
            part.sort_unstable_by_key(|key| (key.hash, key.start));
        }
        let last = |at: usize| {
            let key = &keys[at];
            let later = keys[at + 1..].iter().take_while(|other| other.hash == key.hash);
            !{ later }.any(|other| self.name(other) == self.name(key))
        };
        let is_last: Vec<bool> = (0..keys.len()).map(last).collect();
        let mut is_last = is_last.into_iter();
        keys.retain(|_| is_last.next().unwrap_or(true));
        self.keys = keys;
    }

    fn name(&self, key: &Key) -> &[u8] {
        &self.bytes[key.start as usize + RECORD_PREFIX_BYTES..][..key.key_bytes as usize]
    }

    /// The stripes of all of them.
    pub fn need(&self) -> Need {
        self.union.need()
    }

    /// How many they are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The generation of the database that they are in.
    pub(super) fn namespace(&self) -> u32 {
        self.namespace
    }

    /// In the order of their records.
    pub(super) fn iter(&self) -> impl Iterator<Item = One<'_>> {
        self.keys.iter().map(|key| {
            let behind = key.start as usize + RECORD_PREFIX_BYTES + key.key_bytes as usize;
            let record = match key.value {
                Value::None => None,
                Value::Beside(bytes) => Some(self.bytes.slice(behind..behind + bytes as usize)),
                Value::Apart(at) => self.apart.get(at as usize).cloned(),
            };
            One {
                place: Place { namespace: self.namespace, hash: key.hash, key: self.name(key) },
                store_key: &self.bytes[key.start as usize..behind],
                record,
            }
        })
    }
}

impl Key {
    /// What it takes of the bytes.
    fn bytes(&self) -> usize {
        let beside = if let Value::Beside(bytes) = self.value { bytes } else { 0 };
        RECORD_PREFIX_BYTES + self.key_bytes as usize + beside as usize
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::data::{Kind, Need, Set, Tally, Tx, check};
    use crate::messages::{Classes, Event};
    use crate::store::{EngineKind, OpenOptions, Store, open};

    fn store() -> Arc<dyn Store> {
        open(&OpenOptions { engine: EngineKind::Memory, ..OpenOptions::new("") }).unwrap()
    }

    fn with_tx<R>(data: &Data, many: Option<&Many>, work: impl FnOnce(&mut Tx<'_>) -> R) -> R {
        let (tally, mut buf, held) = (Tally::default(), Vec::new(), data.hold_sleeping(Need::everything()));
        let mut tx = Tx::new(data, &held, &tally, &mut buf, 1_000);
        tx.set_many(many);
        work(&mut tx)
    }

    /// The keys of a database, with what strings hold, and what is counted of them.
    fn all(data: &Data, store: &dyn Store) -> (BTreeMap<Bytes, (Head, Bytes)>, (u64, u64)) {
        assert_eq!(check(store, &mut |_, _| {}).unwrap().described, [""; 0]);
        let (mut keys, mut cursor) = (Vec::new(), 0);
        with_tx(data, None, |tx| {
            loop {
                let page = tx.scan(0, cursor, 1_000).unwrap();
                keys.extend(page.keys.into_iter().map(|(key, _)| key));
                cursor = page.cursor;
                if cursor == 0 {
                    break;
                }
            }
            let value = |key: Bytes| {
                let record = tx.read(0, &key).unwrap().unwrap();
                let is_string = record.head.kind == Kind::String;
                let value = if is_string { record.to_payload() } else { Bytes::new() };
                (key, (record.head, value))
            };
            (keys.into_iter().map(value).collect(), data.sizes(0))
        })
    }

    /// Something of each kind that a key may hold, among keys of which some are named.
    fn fill(data: &Data) {
        with_tx(data, None, |tx| {
            for n in 0_u32..40 {
                let key = n.to_string();
                match n % 4 {
                    0 => tx.set(0, key.as_bytes(), b"old", None).unwrap(),
                    1 => tx.set(0, key.as_bytes(), b"old", Some(500_000)).unwrap(),
                    2 => {
                        let entry = tx.entry(0, key.as_bytes()).unwrap();
                        let mut set = Set::replacing(tx, entry);
                        (0..n * 3).for_each(|n| assert!(set.add(tx, &n.to_be_bytes()).unwrap()));
                        set.save(tx, Event::SET).unwrap();
                    }
                    _ => {}
                }
            }
            tx.commit().unwrap();
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn what_comes_of_many_is_what_comes_of_one_after_the_other(
            items in prop::collection::vec((0_u32..60, prop_oneof![0_usize..40, 900_usize..1100, Just(70_000)]), 1..200),
            removes in any::<bool>(),
        ) {
            let items: Vec<(String, Vec<u8>)> = items
                .into_iter()
                .enumerate()
                .map(|(at, (key, bytes))| (key.to_string(), vec![at as u8; bytes]))
                .collect();
            let (store, plain_store) = (store(), store());
            let [data, plain] =
                [&store, &plain_store].map(|store| Data::open(Arc::clone(store), 16, false).unwrap());
            for data in [&data, &plain] {
                data.keep_pages_small(true);
                fill(data);
            }
            let pairs = items.iter().map(|(key, value)| (key.as_bytes(), (!removes).then_some(&value[..])));
            let many = Many::new(&data, 0, pairs).unwrap();
            prop_assert!(many.keys.is_sorted_by_key(|key| key.hash));
            let (mut counted, mut expected) = (0, 0);
            with_tx(&data, Some(&many), |tx| {
                let many = tx.many(0).unwrap();
                if removes {
                    counted = tx.delete_all(0, many).unwrap();
                } else {
                    tx.put_all(0, many).unwrap();
                    // It sees what it has written.
                    let (key, value) = items.last().unwrap();
                    assert_eq!(tx.get(0, key.as_bytes()).unwrap().unwrap(), value);
                }
                tx.commit().unwrap();
            });
            with_tx(&plain, None, |tx| {
                for (key, value) in &items {
                    if removes {
                        expected += u64::from(tx.delete(0, key.as_bytes()).unwrap());
                    } else {
                        tx.set(0, key.as_bytes(), value, None).unwrap();
                    }
                }
                tx.commit().unwrap();
            });
            prop_assert_eq!(counted, expected);
            prop_assert!(all(&data, &*store) == all(&plain, &*plain_store));
        }
    }

    #[test]
    fn they_are_taken_one_by_one_where_their_order_could_be_seen() {
        let data = Data::open(store(), 16, false).unwrap();
        let pairs = ["a", "b"].map(|key| (key.as_bytes(), Some(&b"v"[..])));
        let many = Many::new(&data, 0, pairs.into_iter()).unwrap();
        let fits = |work: &dyn Fn(&mut Tx<'_>)| {
            with_tx(&data, Some(&many), |tx| {
                work(tx);
                tx.many(0).is_some()
            })
        };
        assert!(fits(&|_| {}));
        assert!(!fits(&|tx| tx.set(0, b"c", b"v", None).unwrap()));
        assert!(!fits(&|tx| tx.swap_databases(0, 1)), "they were another database's");
        data.exchange().tell_events(Classes::parse("KEA").unwrap());
        assert!(!fits(&|_| {}));
        let long = [0; MAX_KEY_BYTES + 1];
        assert!(Many::new(&data, 0, [(&long[..], None)].into_iter()).is_none());
    }
}
