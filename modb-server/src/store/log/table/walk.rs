//! The dirty records of a range in ascending order, streamed: what a scan reads of the table, and what a flush moves.
//!
//! Shards are opened one by one, as late as possible: the least key that a shard can have is known by its number, so a
//! page of ten keys of one database looks into one shard or two, and a range over many prefixes into all.
//!
//! Invariants: no lock is held between two records, so each is as it was when its page was read; a page is bounded
//! in records and in bytes, whatever the values are.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::ops::Bound;

use bytes::Bytes;

use super::super::merge::Record;
use super::records::State;
use super::routing::{self, UNROUTED_SHARD};
use super::{Table, copy_of};

/// The most records taken per hold of a shard's lock.
const PAGE_RECORDS: usize = 128;
/// A record is read this many ahead of its turn: one is at the head of its shard, one in the hand of whoever merges.
const READ_AHEAD: usize = 2;
/// Bytes of values after which a page ends.
const PAGE_BYTES: usize = 64 << 10;

/// What the records are read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Scan,
    /// They are marked as being flushed.
    Flush,
}

impl Table {
    /// The dirty records with `from <= key < to`. `wanted`: how many the caller is likely to read.
    pub(crate) fn walk(&self, from: &[u8], to: &[u8], wanted: usize) -> Walk<'_> {
        Walk::new(self, from, to, Purpose::Scan, wanted)
    }

    /// All dirty records, each as it is when it is reached, marked as being flushed. Ends with [`Table::flushed`] or
    /// [`Table::flush_failed`]; one flush at a time.
    pub(crate) fn flush_run(&self) -> Walk<'_> {
        Walk::new(self, &[], super::AFTER_ALL_KEYS, Purpose::Flush, PAGE_RECORDS)
    }
}

/// See the top of this file.
pub(crate) struct Walk<'a> {
    table: &'a Table,
    from: Vec<u8>,
    to: Vec<u8>,
    purpose: Purpose,
    /// Records of the next page: few for who wants few, and more the more are read.
    page_records: usize,
    /// Shards that were not looked into yet, in the order of the least keys that they can have.
    unopened: std::iter::Peekable<routing::Order>,
    /// The next record of each open shard that has one.
    heads: BinaryHeap<Reverse<Head>>,
    /// [`Table::flushes`] after the last page was read.
    flushes: u64,
    /// Records that were read, and looks into shards.
    looked_at: u64,
}

/// Where a walk is in one shard. In order of the keys, which are unique.
struct Head {
    key: Bytes,
    value: Option<Bytes>,
    shard: usize,
    page: std::vec::IntoIter<Record>,
    /// There may be more behind the page.
    more: bool,
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl<'a> Walk<'a> {
    fn new(table: &'a Table, from: &[u8], to: &[u8], purpose: Purpose, wanted: usize) -> Self {
        let mut walk = Self {
            table,
            from: from.to_vec(),
            to: to.to_vec(),
            purpose,
            page_records: wanted.saturating_add(READ_AHEAD).min(PAGE_RECORDS),
            unopened: routing::shards_from(from).peekable(),
            heads: BinaryHeap::new(),
            flushes: table.flushes(),
            looked_at: 0,
        };
        walk.open(UNROUTED_SHARD);
        walk
    }

    /// How many flushes had made their records clean when the last page was read: what was read until then lacks the
    /// records of those, and of no other.
    pub(crate) fn flushes(&self) -> u64 {
        self.flushes
    }

    /// What it has cost: records that were read, and looks into shards.
    pub(crate) fn looked_at(&self) -> u64 {
        self.looked_at
    }

    fn open(&mut self, shard: usize) {
        let (records, more) = self.read_page(shard, Bound::Included(&self.from), self.page_records);
        self.flushes = self.table.flushes();
        self.looked_at += 1 + records.len() as u64;
        let mut page = records.into_iter();
        if let Some((key, value)) = page.next() {
            self.heads.push(Reverse(Head { key, value, shard, page, more }));
        }
    }

    /// The shard's next records; whether there may be more behind them.
    fn read_page(&self, shard: usize, from: Bound<&[u8]>, limit: usize) -> (Vec<Record>, bool) {
        let mut guard = self.table.shards[shard].lock();
        let shard = &mut *guard;
        let (mut page, mut bytes) = (Vec::new(), 0);
        for at in shard.dirty.iter_from(from, &shard.records) {
            if page.len() == limit || bytes >= PAGE_BYTES {
                return (page, true);
            }
            let Some(record) = shard.records.at_mut(at) else { continue };
            if record.key() >= &self.to[..] {
                break;
            }
            if self.purpose == Purpose::Flush {
                record.marks_mut().state = State::Flushing;
            }
            let (key, value) = copy_of(record);
            bytes += value.as_ref().map_or(0, Bytes::len);
            page.push((key, value));
        }
        (page, false)
    }

    /// Takes the record at the head, and puts the next of its shard there.
    fn take(&mut self) -> Option<Record> {
        let refilled = match self.heads.peek() {
            Some(Reverse(head)) if head.page.len() == 0 && head.more => {
                self.page_records = (2 * self.page_records).min(PAGE_RECORDS);
                let (page, more) = self.read_page(head.shard, Bound::Excluded(&head.key), self.page_records);
                self.flushes = self.table.flushes();
                self.looked_at += 1 + page.len() as u64;
                Some((page.into_iter(), more))
            }
            _ => None,
        };
        let mut top = self.heads.peek_mut()?;
        let head = &mut top.0;
        if let Some((page, more)) = refilled {
            (head.page, head.more) = (page, more);
        }
        match head.page.next() {
            Some(next) => {
                let key = std::mem::replace(&mut head.key, next.0);
                Some((key, std::mem::replace(&mut head.value, next.1)))
            }
            None => {
                let Reverse(head) = PeekMut::pop(top);
                Some((head.key, head.value))
            }
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        if self.from >= self.to {
            return None;
        }
        while let Some((least, shard)) = self.unopened.peek().copied() {
            let not_yet = self.heads.peek().is_some_and(|Reverse(head)| head.key < least[..]);
            if not_yet || least[..] >= self.to[..] {
                break;
            }
            self.unopened.next();
            self.open(shard);
        }
        self.take()
    }
}
