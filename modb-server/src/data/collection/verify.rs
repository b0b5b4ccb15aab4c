//! The proof that collections are whole, and that each page has one owner.
//!
//! Memory does not grow with the number of collections: what is owned and what is there are each summed up as a number of
//! pages and a sum of their hashes, in any order, and the two sums compared at the end.

use bytes::Bytes;
use modb_net::Seq;

use super::payload::{Payload, Roots, number_in};
use crate::data::DataError;
use crate::data::hash::Seed;
use crate::data::layout::{CollectionId, Kind, Record};
use crate::data::tree::{
    Fault, Ground, Hashed, Limits, NodeNumber, Numbers, Order, Pages, Scored, Sorted, Tree, read_hashed,
    read_scored,
};
use crate::store::{Store, StoreError};

/// Who owns which pages, as a check goes over all records of a store that nobody writes to.
pub(in crate::data) struct Owners<'s> {
    store: &'s dyn Store,
    /// Without it nothing is where it can be found, and nothing is checked.
    seed: Option<Seed>,
    owned: Sum,
    there: Sum,
}

impl<'s> Owners<'s> {
    pub(in crate::data) fn new(store: &'s dyn Store, seed: Option<Seed>) -> Self {
        Self { store, seed, owned: Sum::default(), there: Sum::default() }
    }

    /// Reads all of what a key record holds. `Some`: what is wrong with it.
    pub(in crate::data) fn record(&mut self, record: &Record) -> Result<Option<String>, StoreError> {
        let Some(seed) = self.seed.filter(|_| record.head.kind != Kind::String) else { return Ok(None) };
        match verify_record(self.store, seed, record) {
            Ok(sum) => {
                self.owned.add_all(sum);
                Ok(None)
            }
            Err(DataError::Store(error)) => Err(*error),
            // It may be whole.
            Err(DataError::NoMemory) => {
                Err(StoreError::io("cannot read a large record", std::io::ErrorKind::OutOfMemory.into()))
            }
            Err(error) => Ok(Some(error.to_string())),
        }
    }

    /// A record of a database that was dropped: what is left of its pages is its own, unless it has a grave by now.
    pub(in crate::data) fn dropped(&mut self, record: &Record) -> Result<(), StoreError> {
        match number_in(record.head.kind, record.payload()) {
            Some((id, next)) if self.store.get(&id.grave_key())?.value.is_none() => self.count_left(id, next),
            _ => Ok(()),
        }
    }

    /// The grave of a collection. `false`: it cannot be read.
    pub(in crate::data) fn grave(&mut self, key: &[u8], value: &[u8]) -> Result<bool, StoreError> {
        let next = value.try_into().map(u32::from_be_bytes).ok();
        let (Some(id), Some(next)) = (CollectionId::from_grave_key(key), next) else { return Ok(false) };
        self.count_left(id, next).map(|()| true)
    }

    /// A page. `false`: its key cannot be read.
    pub(in crate::data) fn page(&mut self, key: &[u8]) -> bool {
        if let Some(seed) = self.seed {
            self.there.add(seed, key);
        }
        CollectionId::from_page_key(key).is_some()
    }

    /// When all records were seen. `Some`: pages are there that nobody owns, or more than one.
    pub(in crate::data) fn finish(&self) -> Option<String> {
        let (owned, there) = (self.owned.pages, self.there.pages);
        (self.owned != self.there).then(|| {
            format!("{there} pages of collections are there, and {owned} are owned, not all the same")
        })
    }

    fn count_left(&mut self, id: CollectionId, next: u32) -> Result<(), StoreError> {
        let Some(seed) = self.seed else { return Ok(()) };
        let mut key = Vec::new();
        for node in 1..next {
            id.page_key(node, &mut key);
            if self.store.get(&key)?.value.is_some() {
                self.owned.add(seed, &key);
            }
        }
        Ok(())
    }
}

/// Some pages, in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    pages: u64,
    hashes: u64,
}

impl Sum {
    /// One page more, of which this is the store key.
    fn add(&mut self, seed: Seed, key: &[u8]) {
        self.pages += 1;
        self.hashes = self.hashes.wrapping_add(seed.hash(key));
    }

    fn add_all(&mut self, other: Self) {
        self.pages += other.pages;
        self.hashes = self.hashes.wrapping_add(other.hashes);
    }
}

/// Pages as they lie in a store that nobody writes to.
struct StorePages<'s> {
    store: &'s dyn Store,
    id: Option<CollectionId>,
    key: Vec<u8>,
}

impl Pages for StorePages<'_> {
    type Error = DataError;

    fn read(&mut self, node: NodeNumber) -> Result<(Bytes, Seq), DataError> {
        let missing = Fault::Damaged { node, what: "its page is missing" };
        let Some(id) = self.id else { return Err(missing.into()) };
        id.page_key(node, &mut self.key);
        let page = self.store.get(&self.key)?;
        Ok((page.value.ok_or(DataError::Collection(missing))?, page.seq))
    }

    fn put(&mut self, _: NodeNumber, _: Bytes) -> Result<(), DataError> {
        Err(DataError::Corrupt("a check changes nothing"))
    }
}

fn verify_record(store: &dyn Store, seed: Seed, record: &Record) -> Result<Sum, DataError> {
    let unreadable = DataError::Corrupt("the record of a collection");
    let payload = Payload::decode(record.to_payload()).ok_or(unreadable)?;
    if payload.len == 0 {
        return Err(DataError::Corrupt("a collection without elements"));
    }
    let numbers = payload.numbers;
    let mut verifier = Verifier {
        pages: StorePages { store, id: payload.id, key: Vec::new() },
        numbers,
        seen: Seen::new(numbers.next),
        len: payload.len,
    };
    if record.head.kind == Kind::List {
        let elements = payload.into_sequence().ok_or(DataError::Corrupt("the record of a list"))?;
        let Verifier { pages, numbers, seen, .. } = &mut verifier;
        let mut ground = Ground { pages, numbers, limits: NOTHING_GROWS };
        elements.verify(&mut ground, &mut |node| seen.note(node))?;
        return verifier.finish(seed);
    }
    let mut roots = payload.roots.into_iter().flatten();
    let mut root = || roots.next().ok_or(DataError::Corrupt("a collection without a root"));
    match record.head.kind {
        Kind::String | Kind::Stream | Kind::List => {
            return Err(DataError::Corrupt("a collection of no known type"));
        }
        Kind::Map => verifier.tree(root()?, Sorted, |_| 0)?,
        Kind::Hash | Kind::Set => verifier.tree(root()?, Hashed(seed), |_| 0)?,
        Kind::SortedSet => {
            let mut buf = Vec::new();
            let mut pair = |score: &[u8], member: &[u8]| {
                buf.clear();
                buf.extend_from_slice(score);
                buf.extend_from_slice(member);
                seed.hash(&buf)
            };
            let scores = root()?;
            let by_score = verifier.tree(scores, Scored, |entry| {
                let (score, member) = read_scored(entry);
                pair(&score.to_be_bytes(), member)
            })?;
            if payload.id.is_some() {
                let by_member = verifier.tree(root()?, Hashed(seed), |entry| {
                    let (member, score) = read_hashed(entry);
                    pair(score, member)
                })?;
                if by_score != by_member {
                    return Err(DataError::Corrupt("the two trees of a sorted set differ"));
                }
            }
            by_score
        }
    };
    if roots.next().is_some() {
        return Err(DataError::Corrupt("a collection with a root too many"));
    }
    verifier.finish(seed)
}

const NOTHING_GROWS: Limits = Limits { root_bytes: 0, inner_bytes: 0, leaf_bytes: 0, end_bytes: 0 };

struct Verifier<'s> {
    pages: StorePages<'s>,
    numbers: Numbers,
    seen: Seen,
    len: u64,
}

impl Verifier<'_> {
    /// Verifies a tree; returns the sum of what `digest` makes of its entries.
    fn tree<O: Order>(
        &mut self,
        root: Roots,
        order: O,
        mut digest: impl FnMut(&[u8]) -> u64,
    ) -> Result<u64, DataError> {
        let tree: Tree<O> = root.tree(order, self.len);
        let mut ground = Ground { pages: &mut self.pages, numbers: &mut self.numbers, limits: NOTHING_GROWS };
        let seen = &mut self.seen;
        let mut sum = 0u64;
        tree.verify_with(&mut ground, &mut |node| seen.note(node), &mut |entry| {
            sum = sum.wrapping_add(digest(entry));
        })?;
        Ok(sum)
    }

    /// Each number is that of a node once, or free once.
    fn finish(mut self, seed: Seed) -> Result<Sum, DataError> {
        let seen = &mut self.seen;
        self.numbers.verify(&mut self.pages, &mut |node| seen.note(node))?;
        if !self.seen.is_whole() {
            return Err(DataError::Corrupt("a node of a collection is there twice, or lost"));
        }
        let mut sum = Sum::default();
        let Some(id) = self.pages.id else { return Ok(sum) };
        for node in 1..self.numbers.next {
            id.page_key(node, &mut self.pages.key);
            sum.add(seed, &self.pages.key);
        }
        Ok(sum)
    }
}

/// Which numbers were met, a bit each.
struct Seen {
    bits: Vec<u64>,
    next: u32,
    met: u32,
    twice: bool,
}

impl Seen {
    fn new(next: u32) -> Self {
        Self { bits: vec![0; next as usize / 64 + 1], next, met: 0, twice: false }
    }

    fn note(&mut self, node: NodeNumber) {
        let bit = 1u64 << (node % 64);
        match self.bits.get_mut(node as usize / 64) {
            Some(word) if *word & bit == 0 && node < self.next => {
                *word |= bit;
                self.met += 1;
            }
            _ => self.twice = true,
        }
    }

    fn is_whole(&self) -> bool {
        !self.twice && self.met == self.next.saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::list::{End, List};
    use crate::data::layout::{self, Head, Record};
    use crate::data::tree::MAX_END_BYTES;
    use crate::data::{Data, Need, Tally, Tx, check};
    use crate::messages::Event;
    use crate::store::{Batch, EngineKind, OpenOptions, Store, Write, open};

    /// A list with two ends that are nearly full and pages between them, and its key record.
    fn list() -> (Arc<dyn Store>, Write) {
        let store = open(&OpenOptions { engine: EngineKind::Memory, ..OpenOptions::new("") }).unwrap();
        let data = Data::open(Arc::clone(&store), 16, false).unwrap();
        let (held, tally) = (data.hold_sleeping(Need::everything()), Tally::default());
        let mut buf = Vec::new();
        let mut tx = Tx::new(&data, &held, &tally, &mut buf, 1000);
        let mut list = List::open(&mut tx, 0, b"key").unwrap();
        for number in 0..2170 {
            let end = if number % 2 == 0 { End::Left } else { End::Right };
            list.push(&mut tx, end, format!("{number:03}").as_bytes()).unwrap();
        }
        list.save(&mut tx, Event::SET).unwrap();
        tx.commit().unwrap();
        let from = layout::records_from(0, 0);
        let (key, value) = store.scan(&from, &layout::records_to(0), 1).unwrap().records.remove(0);
        (store, Write::Put(key.into(), value))
    }

    /// What a check says of a list whose payload was changed so.
    fn said_of(change: impl FnOnce(&mut Vec<u8>)) -> String {
        let (store, record) = list();
        let Write::Put(key, value) = record else { unreachable!("it was put") };
        let record = Record::decode(value).unwrap();
        let (head, mut payload) = (record.head, record.payload().to_vec());
        change(&mut payload);
        store.apply(Batch { writes: vec![Write::Put(key, Record::encode(head, &[&payload]))] }).unwrap();
        assert!(head == Head { kind: layout::Kind::List, ..head });
        check(&*store, &mut |_, _| {}).unwrap().described.join("; ")
    }

    /// Where the root of the front lies: behind the numbers of the list, and its own.
    const FRONT: usize = 21 + 7;

    #[test]
    fn an_end_of_a_list_that_is_not_what_it_says_is_found() {
        assert_eq!(said_of(|_| {}), "");
        let said = said_of(|payload| payload[20] ^= 1);
        assert!(said.contains("not as many entries as it says"), "{said}");
        // An element less in front.
        let said = said_of(|payload| {
            let length = usize::from(payload[FRONT + 3]) + 1;
            payload.drain(FRONT + 3..FRONT + 3 + length);
            payload[FRONT - 1] -= length as u8;
            payload[FRONT + 2] -= 1;
        });
        assert!(said.contains("not as many entries as it says"), "{said}");
        // One that is larger than an end may be, and all counts are right.
        let said = said_of(|payload| {
            let first = usize::from(payload[FRONT + 3]);
            payload[FRONT + 3] = 120;
            payload.splice(FRONT + 4..FRONT + 4, vec![b'x'; 120 - first]);
            let bytes = u16::from(payload[FRONT - 1]) + (120 - first) as u16;
            payload[FRONT - 2..FRONT].copy_from_slice(&bytes.to_be_bytes());
            assert!(usize::from(bytes) > MAX_END_BYTES, "{bytes}");
        });
        assert!(said.contains("an end of a list is more than a leaf"), "{said}");
        // The ends alone.
        let said = said_of(|payload| payload.truncate(FRONT + usize::from(payload[FRONT - 1])));
        assert!(said.contains("not as many entries") || said.contains("record of a list"), "{said}");
    }
    #[test]
    fn a_list_that_an_earlier_program_wrote_is_one_tree() {
        let said = said_of(|payload| {
            let count =
                |payload: &[u8], at: usize| u32::from(payload[at + 1]) << 8 | u32::from(payload[at + 2]);
            let bytes =
                |payload: &[u8], at: usize| usize::from(payload[at - 2]) << 8 | usize::from(payload[at - 1]);
            let middle = FRONT + bytes(payload, FRONT) + 7;
            let back = middle + bytes(payload, middle) + 7;
            let elements = 2170 - count(payload, FRONT) - count(payload, back);
            payload[17..21].copy_from_slice(&elements.to_be_bytes());
            payload.truncate(back - 7);
            payload.drain(FRONT - 7..middle - 7);
        });
        assert_eq!(said, "");
    }
}
