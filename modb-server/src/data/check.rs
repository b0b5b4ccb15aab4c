//! Verifies what this floor promises of the records in a store: every record is of the format, the counters are
//! exact, and the expiry index has one entry for each record that expires and no other.
//!
//! Reads only, and needs a store that nobody writes to meanwhile. Memory does not grow with the number of records, and all of
//! them are read once, in order: that the index is that of the records is seen by two sums of hashes, under
//! a key made for this check. Only if they differ each record is looked up, in both directions, to say which.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::catalog::FIRST_GENERATION;
use super::hash::Seed;
use super::layout::{self, FORMAT_VERSION, MAX_KEY_BYTES, Place, Record, STRINGS_VERSION, space};
use super::{collection, expiring_counter, keys_counter};
use crate::store::{Store, StoreError};

/// Records read at once.
const PAGE_RECORDS: usize = 1024;
/// Faults that are described; more are only counted.
const FAULTS_DESCRIBED: usize = 20;
/// Bytes of a key that a fault shows.
const SHOWN_BYTES: usize = 64;

/// What a check found.
#[derive(Debug, Default)]
pub struct Report {
    /// Keys in databases; also those that expired and were not yet removed.
    pub keys: u64,
    /// Those of them that have an expiry.
    pub expiring: u64,
    /// Databases that hold a key.
    pub databases: u64,
    /// Records of flushed databases that are still to be removed.
    pub dropped_records: u64,
    /// How many faults there are.
    pub faults: u64,
    /// The first of them in words.
    pub described: Vec<String>,
}

impl Report {
    fn fault(&mut self, what: impl FnOnce() -> String) {
        self.faults += 1;
        if self.described.len() < FAULTS_DESCRIBED {
            self.described.push(what());
        }
    }
}

/// Checks all records. `progress` is told how many are done, and of about how many.
///
/// # Errors
/// If the store cannot be read.
pub fn check(store: &dyn Store, progress: &mut dyn FnMut(u64, u64)) -> Result<Report, StoreError> {
    let mut report = Report::default();
    if is_new(store)? {
        return Ok(report);
    }
    let seed = check_facts(store, &mut report)?;
    let map = Map::read(store, &mut report)?;
    let expected: i64 = map
        .all()
        .flat_map(|namespace| [keys_counter(namespace), expiring_counter(namespace)])
        .map(|counter| store.counter(counter))
        .sum();
    let owners = collection::Owners::new(store, seed);
    let mut checker = Checker {
        seed,
        map,
        report,
        counted: BTreeMap::new(),
        sums: Sums::random(),
        owners,
        buf: Vec::new(),
    };
    let mut done = 0;
    each_record(store, &mut |key, value| {
        checker.record(key, value)?;
        done += 1;
        if done % PAGE_RECORDS as u64 == 0 {
            progress(done, u64::try_from(expected).unwrap_or(0).max(done));
        }
        Ok(())
    })?;
    progress(done, done);
    checker.compare_counters(store);
    checker.compare_pages();
    if !checker.sums.are_equal() {
        each_record(store, &mut |key, value| checker.look_up(store, key, value))?;
    }
    Ok(checker.report)
}

fn each_record(
    store: &dyn Store,
    with: &mut dyn FnMut(&Bytes, &Bytes) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut cursor = Some(vec![space::DROPPED + 1]);
    while let Some(from) = cursor {
        let page = store.scan(&from, &[0xff], PAGE_RECORDS)?;
        page.records.iter().try_for_each(|(key, value)| with(key, value))?;
        cursor = page.next;
    }
    Ok(())
}

/// Two sums of hashes: one of the expiry entries that there should be, one of those that there are.
struct Sums {
    seeds: [Seed; 2],
    due: u128,
    found: u128,
}

impl Sums {
    fn random() -> Self {
        Self { seeds: [Seed::random(), Seed::random()], due: 0, found: 0 }
    }

    fn hash(&self, entry: &[u8]) -> u128 {
        let [high, low] = self.seeds.map(|seed| u128::from(seed.hash(entry)));
        high << 64 | low
    }

    /// Two sets that are not equal have equal sums once in 2^128 checks.
    fn are_equal(&self) -> bool {
        self.due == self.found
    }
}

/// A folder that was made and never written to.
fn is_new(store: &dyn Store) -> Result<bool, StoreError> {
    Ok(store.scan(&[], &[0xff], 1)?.records.is_empty())
}

/// Format, seed and nothing unknown; the seed, if there is one.
fn check_facts(store: &dyn Store, report: &mut Report) -> Result<Option<Seed>, StoreError> {
    let known = ["format", "seed", "next-namespace", collection::FACT].map(layout::fact_key);
    for (key, _) in store.scan(&[], &[space::DATABASES], PAGE_RECORDS)?.records {
        if !known.iter().any(|fact| **fact == *key) {
            report.fault(|| format!("an unknown fact {}", shown(&key)));
        }
    }
    let format = store.get(&layout::fact_key("format"))?.value;
    let known = [STRINGS_VERSION, FORMAT_VERSION].map(u32::to_be_bytes);
    if !known.iter().any(|version| format.as_deref() == Some(&version[..])) {
        report.fault(|| format!("the format version is {format:?}, expected {FORMAT_VERSION}"));
    }
    let seed = store.get(&layout::fact_key("seed"))?.value;
    let seed = seed.and_then(|bytes| Some(Seed::from_bytes(bytes.as_ref().try_into().ok()?)));
    if seed.is_none() {
        report.fault(|| "the seed of the hash is missing or not 16 bytes".to_owned());
    }
    Ok(seed)
}

/// Which namespaces there may be.
struct Map {
    /// Of databases that have a record.
    mapped: BTreeMap<u32, u32>,
    live: BTreeSet<u32>,
    dropped: BTreeSet<u32>,
}

impl Map {
    fn read(store: &dyn Store, report: &mut Report) -> Result<Self, StoreError> {
        let mut map = Self { mapped: BTreeMap::new(), live: BTreeSet::new(), dropped: BTreeSet::new() };
        let mut cursor = Some(vec![space::DATABASES]);
        while let Some(from) = cursor {
            let page = store.scan(&from, &[space::DROPPED + 1], PAGE_RECORDS)?;
            for (key, value) in &page.records {
                map.note(key, value, report);
            }
            cursor = page.next;
        }
        let unmapped = (0..FIRST_GENERATION).filter(|index| !map.mapped.contains_key(index));
        for namespace in unmapped.chain(map.mapped.values().copied()) {
            if !map.live.insert(namespace) {
                report.fault(|| format!("two databases share the namespace {namespace}"));
            }
            if map.dropped.contains(&namespace) && map.mapped.values().any(|mapped| *mapped == namespace) {
                report.fault(|| format!("the namespace {namespace} is in use and dropped"));
            }
        }
        let next = store.get(&layout::fact_key("next-namespace"))?.value;
        let next = next.map_or(Some(FIRST_GENERATION), |bytes| {
            Some(u32::from_be_bytes(bytes.as_ref().try_into().ok()?))
        });
        let last = map.live.iter().chain(&map.dropped).copied().max().unwrap_or(0);
        if next.is_none_or(|next| next <= last) {
            report.fault(|| format!("the next namespace is {next:?}, and {last} is in use"));
        }
        Ok(map)
    }

    fn note(&mut self, key: &[u8], value: &[u8], report: &mut Report) {
        let namespace = value.try_into().map(u32::from_be_bytes).ok();
        match (key.first(), layout::number_in(key).filter(|_| key.len() == 5), namespace) {
            (Some(&space::DATABASES), Some(index), Some(namespace)) => {
                self.mapped.insert(index, namespace);
            }
            (Some(&space::DROPPED), Some(namespace), _) => {
                self.dropped.insert(namespace);
            }
            _ => report.fault(|| format!("the map of databases has an unreadable record {}", shown(key))),
        }
    }

    fn all(&self) -> impl Iterator<Item = u32> {
        self.live.iter().copied()
    }
}

struct Checker<'s> {
    seed: Option<Seed>,
    map: Map,
    report: Report,
    /// By namespace: records, and those with an expiry.
    counted: BTreeMap<u32, (i64, i64)>,
    sums: Sums,
    owners: collection::Owners<'s>,
    buf: Vec<u8>,
}

impl Checker<'_> {
    fn record(&mut self, key: &[u8], value: &Bytes) -> Result<(), StoreError> {
        match key.first() {
            Some(&space::KEYS) => return self.key_record(key, value),
            Some(&space::PAGES) if self.owners.page(key) => {}
            Some(&space::GRAVES) if self.owners.grave(key, value)? => self.report.dropped_records += 1,
            Some(&(space::PAGES | space::GRAVES)) => {
                self.report.fault(|| format!("what is left of a collection is unreadable {}", shown(key)));
            }
            Some(&space::EXPIRY) => self.expiry_entry(key, value),
            _ => self.report.fault(|| format!("a record of an unknown kind {}", shown(key))),
        }
        Ok(())
    }

    fn key_record(&mut self, key: &[u8], value: &Bytes) -> Result<(), StoreError> {
        let Some(place) = Place::from_record_key(key) else {
            self.report.fault(|| format!("a key record whose own key is too short {}", shown(key)));
            return Ok(());
        };
        let record = Record::decode(value.clone());
        if !self.belongs_somewhere(&place) {
            return record.map_or(Ok(()), |record| self.owners.dropped(&record));
        }
        let Some(record) = record else {
            self.report.fault(|| format!("the record of the key {} is unreadable", shown(place.key)));
            return Ok(());
        };
        if let Some(fault) = self.owners.record(&record)? {
            self.report.fault(|| format!("the key {} holds {fault}", shown(place.key)));
        }
        let counts = self.counted.entry(place.namespace).or_default();
        counts.0 += 1;
        if let Some(at) = record.head.expires_at_ms {
            counts.1 += 1;
            place.expiry_key(at, &mut self.buf);
            self.sums.due = self.sums.due.wrapping_add(self.sums.hash(&self.buf));
        }
        Ok(())
    }

    /// Each page that is there is owned once. With other faults, its owner may be one that cannot be read.
    fn compare_pages(&mut self) {
        if let Some(fault) = self.owners.finish().filter(|_| self.report.faults == 0) {
            self.report.fault(|| fault);
        }
    }

    fn expiry_entry(&mut self, key: &[u8], value: &Bytes) {
        let Some((place, at)) = Place::from_expiry_key(key) else {
            return self.report.fault(|| format!("an entry of the expiry index is too short {}", shown(key)));
        };
        if !self.belongs_somewhere(&place) {
            return;
        }
        place.expiry_key(at, &mut self.buf);
        if self.buf != key || !value.is_empty() {
            self.report.fault(|| format!("the expiry entry of the key {} is misplaced", shown(place.key)));
        }
        self.sums.found = self.sums.found.wrapping_add(self.sums.hash(key));
    }

    /// Says whether the record has its entry in the index, or the entry its record.
    fn look_up(&mut self, store: &dyn Store, key: &[u8], value: &Bytes) -> Result<(), StoreError> {
        if let Some(place) = Place::from_record_key(key).filter(|place| self.is_live(place)) {
            let Some(at) = Record::decode(value.clone()).and_then(|record| record.head.expires_at_ms) else {
                return Ok(());
            };
            place.expiry_key(at, &mut self.buf);
            if store.get(&self.buf)?.value.is_none() {
                self.report
                    .fault(|| format!("the key {} expires, but has no entry in the index", shown(place.key)));
            }
        } else if let Some((place, at)) = Place::from_expiry_key(key).filter(|(place, _)| self.is_live(place))
        {
            place.record_key(&mut self.buf);
            let record = store.get(&self.buf)?.value.and_then(Record::decode);
            if record.and_then(|record| record.head.expires_at_ms) != Some(at) {
                self.report.fault(|| {
                    format!("the expiry index has the key {} at {at}, its record does not", shown(place.key))
                });
            }
        }
        Ok(())
    }

    fn is_live(&self, place: &Place<'_>) -> bool {
        self.map.live.contains(&place.namespace) && !self.map.dropped.contains(&place.namespace)
    }

    /// Whether the place is in a database that is checked on; counts and reports what is not.
    fn belongs_somewhere(&mut self, place: &Place<'_>) -> bool {
        // What a sweep has left may be half of anything.
        if self.map.dropped.contains(&place.namespace) {
            self.report.dropped_records += 1;
            return false;
        }
        if !self.map.live.contains(&place.namespace) {
            self.report.fault(|| {
                format!("the key {} is in the unknown namespace {}", shown(place.key), place.namespace)
            });
            return false;
        }
        if place.key.len() > MAX_KEY_BYTES {
            self.report.fault(|| format!("the key {} is too long", shown(place.key)));
        }
        if self.seed.is_some_and(|seed| seed.hash(place.key) != place.hash) {
            self.report.fault(|| format!("the key {} is not where its hash says", shown(place.key)));
        }
        true
    }

    fn compare_counters(&mut self, store: &dyn Store) {
        for namespace in self.map.all().filter(|namespace| !self.map.dropped.contains(namespace)) {
            let (keys, expiring) = self.counted.get(&namespace).copied().unwrap_or_default();
            self.report.keys += keys as u64;
            self.report.expiring += expiring as u64;
            self.report.databases += u64::from(keys > 0);
            let counters = [
                (keys_counter(namespace), keys, "keys"),
                (expiring_counter(namespace), expiring, "keys that expire"),
            ];
            for (counter, found, what) in counters {
                let counted = store.counter(counter);
                if counted != found {
                    self.report
                        .fault(|| format!("namespace {namespace} counts {counted} {what}, and has {found}"));
                }
            }
        }
    }
}

/// The beginning of a key, readable.
fn shown(key: &[u8]) -> String {
    let more = if key.len() > SHOWN_BYTES { "..." } else { "" };
    format!("\"{}\"{more}", key[..key.len().min(SHOWN_BYTES)].escape_ascii())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::{Data, Need, Tally, Tx};
    use crate::store::{Batch, EngineKind, OpenOptions, Write, open};

    /// A store with two keys, of which one expires.
    fn store() -> Arc<dyn Store> {
        let options = OpenOptions { engine: EngineKind::Memory, ..OpenOptions::new("") };
        let store = open(&options).unwrap();
        let data = Data::open(Arc::clone(&store), 16, false).unwrap();
        let (tally, mut buf) = (Tally::default(), Vec::new());
        let held = data.hold_sleeping(Need::everything());
        let mut tx = Tx::new(&data, &held, &tally, &mut buf, 1000);
        tx.swap_databases(3, 4);
        tx.commit().unwrap();
        let mut tx = Tx::new(&data, &held, &tally, &mut buf, 1000);
        for (key, expires_at_ms) in [(&b"stays"[..], None), (b"goes", Some(5000))] {
            let entry = tx.entry(3, key).unwrap();
            tx.put(&entry, layout::Head::STRING.expiring(expires_at_ms), &[b"value"], None).unwrap();
        }
        tx.commit().unwrap();
        store
    }

    fn first_in(store: &dyn Store, space: u8) -> (Bytes, Bytes) {
        store.scan(&[space], &[space + 1], 1).unwrap().records.remove(0)
    }

    fn faults_after(writes: impl FnOnce(&dyn Store) -> Vec<Write>) -> String {
        let store = store();
        let writes = writes(&*store);
        store.apply(Batch { writes }).unwrap();
        let report = check(&*store, &mut |_, _| {}).unwrap();
        assert_eq!(report.faults as usize, report.described.len());
        report.described.join("; ")
    }

    #[test]
    fn what_is_whole_is_counted_and_found_whole() {
        let mut seen = (0, 0);
        let report = check(&*store(), &mut |done, total| seen = (done, total)).unwrap();
        assert_eq!(report.described, [""; 0]);
        assert_eq!((report.keys, report.expiring, report.databases), (2, 1, 1));
        assert_eq!(seen, (3, 3));
    }

    #[test]
    fn each_broken_promise_is_found() {
        let delete = |space| move |store: &dyn Store| vec![Write::Delete(first_in(store, space).0.into())];
        let said = faults_after(delete(space::EXPIRY));
        assert!(said.contains("no entry in the index"), "{said}");
        let said = faults_after(delete(space::DATABASES));
        assert!(said.contains("unknown namespace"), "{said}");
        let said = faults_after(|store| {
            let (key, _) = first_in(store, space::EXPIRY);
            let (place, at) = Place::from_expiry_key(&key).unwrap();
            let mut buf = Vec::new();
            place.expiry_key(at + 7, &mut buf);
            vec![Write::Put(buf.into(), Bytes::new())]
        });
        assert!(said.contains("its record does not"), "{said}");
        let said =
            faults_after(|store| vec![Write::Put(first_in(store, space::KEYS).0.into(), Bytes::new())]);
        assert!(said.contains("unreadable") && said.contains("counts 2 keys, and has 1"), "{said}");
        let said = faults_after(|_| vec![Write::Add(keys_counter(5), 1)]);
        assert_eq!(said, "namespace 5 counts 1 keys, and has 0");
        let said = faults_after(|_| vec![Write::Put(b"\x30what".into(), Bytes::new())]);
        assert!(said.contains("unknown kind"), "{said}");
    }

    #[test]
    fn a_key_in_the_wrong_place_is_found() {
        let said = faults_after(|store| {
            let (mut key, value) = {
                let (k, v) = first_in(store, space::KEYS);
                (k.to_vec(), v)
            };
            let old = Bytes::copy_from_slice(&key);
            key[5] ^= 1;
            vec![Write::Delete(old.into()), Write::Put(key.into(), value)]
        });
        assert!(said.contains("not where its hash says"), "{said}");
    }
}
