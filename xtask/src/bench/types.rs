//! The loads of `bench compare --types`: a command or two of each type, as redis-benchmark sends them.

use super::load::{Length, Load, Operation};

/// What "over many keys" means.
pub(super) const MANY_KEYS: u32 = 1000;

/// Values, as redis-benchmark has them.
const VALUE_BYTES: u32 = 3;

/// Elements that loads draw from, unless they take them.
const ELEMENTS: u32 = 100_000;

/// The tests, with about how many requests two seconds are.
const TESTS: [(&str, u64); 14] = [
    ("lpush", 500_000),
    ("rpush", 500_000),
    ("lpop", 500_000),
    ("rpop", 500_000),
    ("sadd", 500_000),
    ("spop", 500_000),
    ("hset", 400_000),
    ("hget", 800_000),
    ("zadd", 200_000),
    ("zpopmin", 500_000),
    ("lrange_100", 100_000),
    ("lrange_300", 30_000),
    ("lrange_600", 20_000),
    ("mset", 200_000),
];

/// What a quick run is shorter by.
const QUICKER: u64 = 10;

/// Each test on each number of keys; MSET is over many as it is.
pub(super) fn loads(keys: &[u32], quick: bool) -> impl Iterator<Item = Load> {
    TESTS.into_iter().flat_map(move |(name, requests)| {
        let test = (name, if quick { requests / QUICKER } else { requests });
        let keys = if test.0 == "mset" { &[1] } else { keys };
        keys.iter().map(move |&collections| load(test, collections))
    })
}

fn load((name, requests): (&'static str, u64), collections: u32) -> Load {
    let takes = name.ends_with("pop") || name == "zpopmin";
    Load {
        operation: Operation::Test { name, collections },
        value_bytes: VALUE_BYTES,
        connections: 50,
        pipeline: 16,
        keys: if takes { requests as u32 } else { ELEMENTS },
        length: Length::Requests(requests),
        rate_per_s: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_rows_on_one_key_and_over_many_and_pops_find_something() {
        let all: Vec<Load> = loads(&[1, MANY_KEYS], false).collect();
        assert_eq!(all.len(), 2 * TESTS.len() - 1);
        assert_eq!(all[0].name(), "LPUSH 3 B, 50 conn, P16");
        assert_eq!(all[1].name(), "LPUSH over 1000 keys 3 B, 50 conn, P16");
        let pops = all.iter().filter(|load| load.operation.name().contains("POP"));
        assert!(pops.into_iter().all(|load| Length::Requests(load.keys.into()) == load.length));
    }
}
