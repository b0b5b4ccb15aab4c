//! Names of connections: a slab slot with a generation, so that a stale name never reaches a new owner.
//!
//! Pure. Invariant: two connections of one worker never share a token while the process lives
//! (a 32-bit generation per slot; at one reuse per microsecond it wraps after 71 minutes of one slot).

/// Names one connection within one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token {
    /// The index of the slot in the worker's slab.
    pub slot: u32,
    /// How often the slot had been reused when this connection took it.
    pub generation: u32,
}
