//! How the descriptors of a process are shared: connections get what is left when everything else has its reserve.
//!
//! Invariant: what connections and refused sockets can take never reaches the reserve, so the owner of the process (its
//! files, its pollers, its listeners) never finds none left, whatever clients do.

use crate::system::sys;

/// What an owner with many files needs beside connections.
const RESERVE: usize = 320;
/// What it needs at the least; with few descriptors all shares shrink.
const LEAST_RESERVE: usize = 96;
/// Sockets that are being refused at the same time.
const REFUSING: usize = 32;

/// How many descriptors each use may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorShares {
    /// What the process may have open in all; `usize::MAX` where the system has no such limit.
    pub limit: usize,
    /// [`crate::Limits::max_connections`].
    pub connections: usize,
    /// [`crate::Limits::max_refusing`].
    pub refusing: usize,
    /// What nobody but the owner of the process takes.
    pub reserve: usize,
}

/// Raises the limit of open descriptors as far as `connections` need it and the system allows it, and shares what there
/// is. With few of them the connections become fewer, in proportion: a limit of 512 leaves 378, one of 256 half.
pub fn share_descriptors(connections: usize) -> DescriptorShares {
    let wanted = connections.saturating_add(REFUSING + RESERVE);
    let limit = match sys::raise_descriptor_limit(wanted as u64) {
        Ok(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
        Err(error) => {
            tracing::warn!(%error, "the limit of open descriptors could not be raised");
            sys::raise_descriptor_limit(0)
                .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
        }
    };
    shares(limit, connections)
}

fn shares(limit: usize, wanted: usize) -> DescriptorShares {
    let refusing = REFUSING.min(limit / 8);
    let reserve = (limit / 5).clamp(LEAST_RESERVE, RESERVE).min(limit / 2);
    let connections = wanted.min(limit - refusing - reserve);
    DescriptorShares { limit, connections, refusing, reserve }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_few_descriptors_everything_shrinks_in_proportion_and_the_reserve_stays() {
        let of = |limit| shares(limit, 10_000);
        assert_eq!((of(512).connections, of(256).connections), (378, 128));
        assert_eq!((of(20_000).connections, of(20_000).reserve, of(20_000).refusing), (10_000, 320, 32));
        for limit in 0..3000 {
            let DescriptorShares { connections, refusing, reserve, .. } = of(limit);
            assert!(connections + refusing + reserve <= limit, "{limit}");
            assert!(reserve >= LEAST_RESERVE || limit < 2 * LEAST_RESERVE, "{limit}");
        }
    }
}
