//! Which shard a record lies in, and in which order a walk comes to the shards. Pure.
//!
//! Invariant: the shard follows one byte of the key (see [`crate::store::Store`]), in its order; so of keys that are
//! alike up to that byte those of a lower shard are lower.

/// Shards of routed records; a power of two.
pub(super) const ROUTED_SHARDS: usize = 128;
/// The shard of what has no routing byte.
pub(super) const UNROUTED_SHARD: usize = 0;
/// The first byte from which on records are routed.
const FIRST_ROUTED: u8 = 0x10;
/// Where the byte lies that routes them.
const ROUTING_BYTE: usize = 5;

/// The beginning of a key, as far as it routes.
pub(super) type Beginning = [u8; ROUTING_BYTE + 1];

pub(super) fn shard_of(key: &[u8]) -> usize {
    match key.get(ROUTING_BYTE) {
        Some(byte) if key[0] >= FIRST_ROUTED => routed_shard(*byte),
        _ => UNROUTED_SHARD,
    }
}

fn routed_shard(byte: u8) -> usize {
    1 + usize::from(byte) * ROUTED_SHARDS / 256
}

/// The routed shards, each once, and no key of it that is at or above the start is below the beginning beside it;
/// those ascend.
pub(super) type Order = std::vec::IntoIter<(Beginning, usize)>;

/// The order in which a walk from `from` on needs the routed shards.
pub(super) fn shards_from(from: &[u8]) -> Order {
    let from = from.max(&[FIRST_ROUTED]);
    let mut start = Beginning::default();
    let given = from.len().min(start.len());
    start[..given].copy_from_slice(&from[..given]);
    let first = routed_shard(start[ROUTING_BYTE]);
    let mut order = Vec::with_capacity(ROUTED_SHARDS);
    order.push((start, first));
    order.extend((first + 1..=ROUTED_SHARDS).map(|shard| (beginning(start, shard), shard)));
    // Below the first one only keys with the next prefix can be at or above the start.
    if let Some(next) = next_prefix(start) {
        order.extend((1..first).map(|shard| (beginning(next, shard), shard)));
    }
    order.into_iter()
}

/// The least of the shard with that prefix.
#[allow(clippy::cast_possible_truncation)] // below 256 by the number of shards
fn beginning(prefix: Beginning, shard: usize) -> Beginning {
    let mut least = prefix;
    least[ROUTING_BYTE] = ((shard - 1) * 256 / ROUTED_SHARDS) as u8;
    least
}

/// The prefix behind that of `beginning`, if there is one.
fn next_prefix(beginning: Beginning) -> Option<Beginning> {
    let at = beginning[..ROUTING_BYTE].iter().rposition(|byte| *byte < 0xff)?;
    let mut next = Beginning::default();
    next[..=at].copy_from_slice(&beginning[..=at]);
    next[at] += 1;
    Some(next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = Vec<u8>> {
        let byte =
            || prop_oneof![Just(0u8), Just(1), Just(0x0f), Just(0x10), Just(0xfe), Just(0xff), any::<u8>()];
        proptest::collection::vec(byte(), 1..9)
    }

    proptest! {
        #[test]
        fn no_key_of_a_shard_is_below_what_its_place_in_the_order_says(from in key(), key in key()) {
            let order: Vec<_> = shards_from(&from).collect();
            prop_assert!(order.is_sorted_by(|a, b| a.0 < b.0));
            let shard = shard_of(&key);
            if shard != UNROUTED_SHARD && key >= from {
                let place = order.iter().find(|(_, at)| *at == shard);
                prop_assert!(place.is_some_and(|(least, _)| key[..] >= least[..]), "{place:?}");
            }
        }
    }
}
