//! Which shard a record lies in, and which shards a range touches. Pure.
//!
//! Invariant: records of one prefix are ordered across shards, in the order of the shards' numbers; shard 0 holds
//! what has no routing bytes (see [`crate::store::Store`]).

use std::ops::RangeInclusive;

/// Shards of routed records; a power of two.
pub(super) const ROUTED_SHARDS: usize = 128;
/// The first byte from which on records are routed, and where their routing bytes lie.
const FIRST_ROUTED: u8 = 0x10;
const ROUTING: std::ops::Range<usize> = 5..13;

pub(super) fn shard_of(key: &[u8]) -> usize {
    match key.get(ROUTING) {
        Some(routing) if key[0] >= FIRST_ROUTED => 1 + routed_shard(routing[0]),
        _ => 0,
    }
}

/// The shard by the first of the routing bytes.
fn routed_shard(first: u8) -> usize {
    usize::from(first) * ROUTED_SHARDS / 256
}

/// The routed shards with keys between the bounds, if both lie within one prefix.
pub(super) fn routed_shards(from: &[u8], to: &[u8]) -> Option<RangeInclusive<usize>> {
    let prefix = from.get(..ROUTING.start)?;
    let first = 1 + routed_shard(from.get(ROUTING.start).copied().unwrap_or(0));
    let last = if to.starts_with(prefix) {
        1 + routed_shard(to.get(ROUTING.start).copied().unwrap_or(0))
    } else if is_successor(prefix, to) {
        ROUTED_SHARDS
    } else {
        return None;
    };
    (prefix[0] >= FIRST_ROUTED).then_some(first..=last)
}

/// Whether `to` is the least key above all that start with `prefix`.
fn is_successor(prefix: &[u8], to: &[u8]) -> bool {
    let kept = prefix.iter().rposition(|byte| *byte < 0xff).map_or(0, |at| at + 1);
    kept > 0
        && to.len() == kept
        && to[..kept - 1] == prefix[..kept - 1]
        && to[kept - 1] == prefix[kept - 1] + 1
}
