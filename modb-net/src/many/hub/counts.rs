//! Counts of a running server, each written by one thread and read by anyone.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::connection::counts::WorkerStats;

/// `AcceptorStats`, written by the acceptor alone.
#[derive(Default)]
pub(crate) struct ArrivalCounts {
    pub(crate) turns: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) pauses: AtomicU64,
    pub(crate) system_refusals: AtomicU64,
    pub(crate) refused: AtomicU64,
}

/// [`WorkerStats`], written by the worker once per turn and read by anyone. On its own cache lines.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct StatsCell {
    connections: AtomicU64,
    accepted: AtomicU64,
    turns: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    looks: AtomicU64,
    looks_found: AtomicU64,
}

impl StatsCell {
    /// For the worker alone.
    pub(super) fn publish(&self, stats: &WorkerStats) {
        self.connections.store(stats.connections, Relaxed);
        self.accepted.store(stats.accepted, Relaxed);
        self.turns.store(stats.turns, Relaxed);
        self.reads.store(stats.reads, Relaxed);
        self.writes.store(stats.writes, Relaxed);
        self.bytes_in.store(stats.bytes_in, Relaxed);
        self.bytes_out.store(stats.bytes_out, Relaxed);
        self.looks.store(stats.looks, Relaxed);
        self.looks_found.store(stats.looks_found, Relaxed);
    }

    pub(super) fn snapshot(&self) -> WorkerStats {
        WorkerStats {
            connections: self.connections.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            turns: self.turns.load(Relaxed),
            reads: self.reads.load(Relaxed),
            writes: self.writes.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            looks: self.looks.load(Relaxed),
            looks_found: self.looks_found.load(Relaxed),
        }
    }
}
