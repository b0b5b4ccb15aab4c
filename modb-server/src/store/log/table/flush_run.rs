//! What a flush reads: the dirty records of all shards as one ascending run, page by page.
//!
//! Invariant: no lock is held between two records, so each is as it is when the run reaches it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use bytes::Bytes;

use super::super::cold::Record;
use super::{Table, copy_of};

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
    pages: Vec<std::vec::IntoIter<Record>>,
    /// The next record of each shard that has one.
    heads: BinaryHeap<Reverse<Head>>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    /// Unique, so that what follows never decides.
    key: Bytes,
    shard: usize,
    value: Option<Bytes>,
}

impl FlushRun<'_> {
    /// Puts the shard's next record, after `last`, among the heads.
    fn advance(&mut self, shard: usize, last: Option<&[u8]>) {
        let next = self.pages[shard].next().or_else(|| {
            self.pages[shard] = self.take_page(shard, last).into_iter();
            self.pages[shard].next()
        });
        if let Some((key, value)) = next {
            self.heads.push(Reverse(Head { key, shard, value }));
        }
    }

    fn take_page(&self, shard: usize, last: Option<&[u8]>) -> Vec<Record> {
        let mut guard = self.table.shards[shard].lock();
        let page = guard.dirty_page(last).into_iter().filter_map(|at| {
            let record = guard.records.at_mut(at)?;
            record.marks_mut().in_flush = true;
            Some(copy_of(record))
        });
        page.collect()
    }
}

impl Iterator for FlushRun<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let Reverse(Head { key, shard, value }) = self.heads.pop()?;
        self.advance(shard, Some(&key));
        Some((key, value))
    }
}
