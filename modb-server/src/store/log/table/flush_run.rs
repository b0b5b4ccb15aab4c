//! What a flush reads: the dirty records of all shards as one ascending run, page by page.
//!
//! Invariant: no lock is held between two records, so each is as it is when the run reaches it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Bound;

use bytes::Bytes;

use super::super::cold::Record;
use super::{OrderedKey, PAGE_RECORDS, Shard, Table};

impl Table {
    /// All dirty records in ascending order, each as it is when it is reached, marked as being flushed. Ends with
    /// [`Table::flushed`] or [`Table::flush_failed`]; one flush at a time.
    pub(crate) fn flush_run(&self) -> FlushRun<'_> {
        let pages = self.shards.iter().map(|_| Vec::new().into_iter()).collect();
        let mut run = FlushRun { table: self, pages, heads: BinaryHeap::new() };
        for shard in 0..self.shards.len() {
            run.advance(shard, None);
        }
        run
    }
}

/// The dirty records of all shards in ascending order, merged; see [`Table::flush_run`].
pub(crate) struct FlushRun<'a> {
    table: &'a Table,
    pages: Vec<std::vec::IntoIter<(OrderedKey, Option<Bytes>)>>,
    /// The next record of each shard that has one.
    heads: BinaryHeap<Reverse<Head>>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    /// Unique, so that what follows never decides.
    key: OrderedKey,
    shard: usize,
    value: Option<Bytes>,
}

impl FlushRun<'_> {
    /// Puts the shard's next record, after `last`, among the heads.
    fn advance(&mut self, shard: usize, last: Option<&OrderedKey>) {
        let next = self.pages[shard].next().or_else(|| {
            self.pages[shard] = self.take_page(shard, last).into_iter();
            self.pages[shard].next()
        });
        if let Some((key, value)) = next {
            self.heads.push(Reverse(Head { key, shard, value }));
        }
    }

    fn take_page(&self, shard: usize, last: Option<&OrderedKey>) -> Vec<(OrderedKey, Option<Bytes>)> {
        let mut guard = self.table.shards[shard].lock();
        let Shard { records, dirty, .. } = &mut *guard;
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut page = Vec::with_capacity(PAGE_RECORDS.min(dirty.len()));
        for key in dirty.range((from, Bound::Unbounded)).take(PAGE_RECORDS) {
            if let Some(record) = records.get_mut(&key.key) {
                record.marks_mut().in_flush = true;
                page.push((key.clone(), record.value()));
            }
        }
        page
    }
}

impl Iterator for FlushRun<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let Reverse(Head { key, shard, value }) = self.heads.pop()?;
        self.advance(shard, Some(&key));
        Some((key.key, value))
    }
}
