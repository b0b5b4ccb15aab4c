//! The table: dirty and clean, order across shards, eviction.

use proptest::prelude::*;

use super::*;

fn bytes(s: &str) -> Bytes {
    Bytes::copy_from_slice(s.as_bytes())
}

fn routed(kind: u8, routing: u64, tail: &str) -> Bytes {
    let mut key = vec![kind, 0, 0, 0, 7];
    key.extend_from_slice(&routing.to_be_bytes());
    key.extend_from_slice(tail.as_bytes());
    Bytes::from(key)
}

fn found(table: &Table, key: &[u8]) -> Option<Option<Bytes>> {
    let mut shown = None;
    let shown_seq = table.look(key, &mut |value| shown = Some(Bytes::copy_from_slice(value)));
    match table.get(key) {
        Lookup::Found(value, seq) => {
            assert_eq!((&shown, shown_seq), (&value, value.is_some().then_some(seq)), "shown where it lies");
            Some(value)
        }
        Lookup::Unknown(_) => {
            assert_eq!((shown, shown_seq), (None, None));
            None
        }
    }
}

#[test]
fn a_record_written_while_it_is_flushed_stays_dirty() {
    let table = Table::new(1 << 20);
    table.write(&bytes("a"), Some(&bytes("1")), 1);
    table.write(&bytes("b"), Some(&bytes("1")), 2);
    let mut run = table.flush_run();
    assert_eq!(run.by_ref().count(), 2);
    table.write(&bytes("a"), Some(&bytes("2")), 3);
    table.flushed();
    let left: Vec<_> = table.flush_run().collect();
    assert_eq!(left, [(bytes("a"), Some(bytes("2")))]);
}

#[test]
fn a_failed_flush_leaves_all_dirty() {
    let table = Table::new(1 << 20);
    table.write(&bytes("a"), Some(&bytes("1")), 1);
    assert_eq!(table.flush_run().count(), 1);
    table.flush_failed();
    table.flushed();
    assert_eq!(table.flush_run().count(), 1);
}

#[test]
fn a_flushed_deletion_is_forgotten_and_its_bytes_given_back() {
    let table = Table::new(1 << 20);
    table.write(&bytes("a"), Some(&bytes("1")), 1);
    table.write(&bytes("a"), None, 2);
    assert_eq!(found(&table, b"a"), Some(None));
    assert_eq!(table.flush_run().count(), 1);
    table.flushed();
    assert_eq!(found(&table, b"a"), None);
    assert_eq!((table.bytes(), table.dirty_bytes()), (0, 0));
}

#[test]
fn a_read_that_began_before_a_write_does_not_fill() {
    let table = Table::new(1 << 20);
    let Lookup::Unknown(ticket) = table.get::<Bytes>(b"a") else { panic!("empty") };
    // Written, flushed and dropped while the reader was away with the old value.
    table.write(&bytes("a"), None, 1);
    assert_eq!(table.flush_run().count(), 1);
    table.flushed();
    table.fill(b"a", &bytes("old"), ticket);
    assert_eq!(found(&table, b"a"), None);
    let Lookup::Unknown(ticket) = table.get::<Bytes>(b"a") else { panic!("forgotten") };
    table.fill(b"a", &bytes("current"), ticket);
    assert_eq!(found(&table, b"a"), Some(Some(bytes("current"))));
}

#[test]
fn an_older_commit_does_not_overwrite_a_newer_one() {
    let table = Table::new(1 << 20);
    table.write(&bytes("a"), Some(&bytes("new")), 5);
    table.write(&bytes("a"), Some(&bytes("old")), 4);
    assert_eq!(found(&table, b"a"), Some(Some(bytes("new"))));
}

#[test]
fn clean_records_are_bounded_and_those_in_use_stay() {
    let table = Table::new(64 << 10);
    let value = Bytes::from(vec![0; 100]);
    let hot = bytes("hot");
    for n in 0..10_000 {
        let key = if n == 0 { hot.clone() } else { bytes(&format!("k{n}")) };
        let Lookup::Unknown(ticket) = table.get::<Bytes>(&key) else { panic!("new") };
        table.fill(&key, &value, ticket);
        assert!(found(&table, &hot).is_some(), "evicted in use after {n}");
    }
    assert!(table.bytes() <= 64 << 10);
    for n in 0..1000 {
        table.write(&bytes(&format!("d{n}")), Some(&value), n);
    }
    assert_eq!(table.flush_run().count(), 1000, "dirty records are never dropped");
}

fn key() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        (prop_oneof![Just(0x10u8), Just(0x11), Just(0xfe)], any::<u8>(), 0u8..3)
            .prop_map(|(kind, hash, tail)| { routed(kind, u64::from(hash) << 56, &"x".repeat(tail.into())) }),
        proptest::collection::vec(prop_oneof![Just(1u8), Just(0x10), Just(0), Just(7), Just(0xfe)], 1..15)
            .prop_map(Bytes::from),
    ]
}

proptest! {
    #[test]
    fn ranges_and_runs_are_ordered_whatever_the_shards(
        keys in proptest::collection::btree_set(key(), 0..80),
        from in key(), to in key(), limit in 1usize..100,
    ) {
        let table = Table::new(1 << 20);
        for key in &keys {
            table.write(key, Some(key), 1);
        }
        let run: Vec<Bytes> = table.flush_run().map(|(key, _)| key).collect();
        prop_assert_eq!(&run, &keys.iter().cloned().collect::<Vec<_>>());
        for to in [to, routed(0x10, 0, "").slice(..5), Bytes::from_static(&[0x10, 0, 0, 0, 8]), routed(0x11, 0, "")] {
            let got: Vec<Bytes> = table.walk(&from, &to, limit).take(limit).map(|(key, _)| key).collect();
            let want: Vec<Bytes> = keys.iter().filter(|k| **k >= from && **k < to).take(limit).cloned().collect();
            prop_assert_eq!(got, want);
        }
    }
}

#[test]
fn records_that_come_and_go_below_the_budget_leave_nothing_in_the_queue() {
    let table = Table::new(1 << 30);
    let queued = |table: &Table| table.shards.iter().map(|shard| shard.lock().queue.len()).sum::<usize>();
    let flush = |table: &Table| {
        table.flush_run().for_each(drop);
        table.flushed();
    };
    let key = |n: u64| routed(0x10, n << 56 | n, "");
    table.write(&bytes("stays"), Some(&bytes("1")), 1);
    for seq in 0..20_u64 {
        for n in 0..1000 {
            table.write(&key(1000 * seq + n), Some(&bytes("1")), 2 * seq + 1);
        }
        flush(&table);
        for n in 0..1000 {
            table.write(&key(1000 * seq + n), None, 2 * seq + 2);
        }
        flush(&table);
    }
    assert!(queued(&table) <= MAX_STALE_HANDLES * table.shards.len() + 1, "{} handles", queued(&table));
    assert!(found(&table, b"stays").is_some());
    let stays = table.shards[0].lock();
    assert!(stays.queue.iter().any(|at| stays.records.at(*at).is_some()), "what stays can still be dropped");
}

#[test]
fn what_is_read_often_stays_though_all_of_it_lies_in_one_shard() {
    const BUDGET: usize = 6 << 20;
    let table = Table::new(BUDGET);
    let value = Bytes::from(vec![0; 100]);
    let read = |key: &Bytes| match table.get::<Bytes>(key) {
        Lookup::Found(..) => true,
        Lookup::Unknown(ticket) => {
            table.fill(key, &value, ticket);
            false
        }
    };
    // Everywhere, until memory is full.
    for n in 0..100_000_u64 {
        read(&routed(0x10, n << 56 | n, ""));
    }
    let working_set: Vec<Bytes> = (0..4000_u64).map(|n| routed(0x11, 7 << 56 | n, "")).collect();
    for key in &working_set {
        read(key);
    }
    let mut hits = 0;
    for round in 0..5_u64 {
        for (n, key) in (0..).zip(&working_set) {
            hits += usize::from(read(key));
            // Others are read once in between.
            read(&routed(0x12, n << 56 | round << 32 | n, ""));
        }
    }
    assert!(hits > 18_000, "{hits} hits of 20000");
    assert!(table.bytes() <= BUDGET, "{} bytes", table.bytes());
}

#[test]
fn one_large_record_drops_as_many_small_ones_as_it_needs() {
    const BUDGET: usize = 4 << 20;
    let table = Table::new(BUDGET);
    for n in 0..20_000_u64 {
        let key = routed(0x10, n << 56 | n, "");
        let Lookup::Unknown(ticket) = table.get::<Bytes>(&key) else { panic!("new") };
        table.fill(&key, &bytes("value"), ticket);
    }
    assert!(table.bytes() > BUDGET / 2);
    table.write(&bytes("large"), Some(&Bytes::from(vec![0; BUDGET - (64 << 10)])), 1);
    assert!(table.bytes() <= BUDGET, "{} bytes", table.bytes());
}

#[test]
fn a_record_that_was_clean_and_is_written_again_is_never_dropped() {
    let table = Table::new(1 << 20);
    let key = |n: u64| routed(0x10, n << 56 | n, "");
    for n in 0..2000 {
        table.write(&key(n), Some(&bytes("old")), n + 1);
    }
    table.flush_run().for_each(drop);
    table.flushed();
    // In the eviction's queue, and dirty again.
    for n in 0..1000 {
        table.write(&key(n), Some(&bytes("new")), 5000 + n);
    }
    for n in 0..50_000 {
        let other = routed(0x11, n << 56 | n, "");
        let Lookup::Unknown(ticket) = table.get::<Bytes>(&other) else { panic!("new") };
        table.fill(&other, &bytes("value"), ticket);
    }
    assert!(found(&table, &key(1999)).is_none(), "there was pressure");
    for n in 0..1000 {
        assert_eq!(found(&table, &key(n)), Some(Some(bytes("new"))), "{n}");
    }
    assert_eq!(table.flush_run().count(), 1000);
}

#[test]
fn what_is_lent_of_the_budget_is_free_until_it_is_given_back_and_never_more_than_half() {
    const BUDGET_BYTES: usize = 1 << 20;
    let table = Table::new(BUDGET_BYTES);
    let fill = |from: u64| {
        for n in from..from + 2000 {
            table.write(
                &routed(0x10, n.wrapping_mul(0x9e37_79b9_7f4a_7c15), ""),
                Some(&Bytes::from(vec![0; 1000])),
                n,
            );
            if n % 200 == 0 {
                assert!(table.flush_run().count() > 0);
                table.flushed();
            }
        }
    };
    fill(1);
    assert!(table.bytes() > BUDGET_BYTES / 8 * 7);
    let loan = table.lend(BUDGET_BYTES / 4);
    assert!(table.bytes() <= BUDGET_BYTES / 4 * 3, "{} are kept", table.bytes());
    let more = table.lend(100 * BUDGET_BYTES);
    assert_eq!(table.lent_bytes(), BUDGET_BYTES / 2);
    assert!((BUDGET_BYTES / 8 * 3..=BUDGET_BYTES / 2).contains(&table.bytes()), "{} are kept", table.bytes());
    fill(3000);
    assert!(table.bytes() <= BUDGET_BYTES / 8 * 7, "dirty ones are kept beside it: {}", table.bytes());
    drop((loan, more));
    assert_eq!(table.lent_bytes(), 0);
    fill(6000);
    assert!(table.bytes() > BUDGET_BYTES / 8 * 7);
}

#[test]
fn what_a_ghost_says_is_what_the_cold_store_has_and_no_record_in_memory_has_one() {
    const KEYS: u32 = 8000;
    let (table, mut cold) = (Table::new(1 << 20), std::collections::HashMap::new());
    let key = |n: u32| routed(0x10, u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15), "");
    let (mut random, mut ghosts) = (1_u32, 0);
    let mut next = |below: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) % below
    };
    for step in 0..40_000 {
        let key = key(next(KEYS));
        let value = (next(4) > 0).then(|| Bytes::from(vec![next(200) as u8; 1 + next(300) as usize]));
        match next(4) {
            0 => {
                if let Lookup::Unknown(ticket) = table.get::<Bytes>(&key)
                    && let Some(value) = cold.get(&key)
                {
                    table.fill(&key, value, ticket);
                }
            }
            _ => table.write(&key, value.as_ref(), step + 1),
        }
        if step % 100 == 0 {
            for (key, value) in table.flush_run() {
                match value {
                    Some(value) => _ = cold.insert(key, value),
                    None => _ = cold.remove(&key),
                }
            }
            table.flushed();
        }
        let key = routed(0x10, u64::from(next(KEYS)).wrapping_mul(0x9e37_79b9_7f4a_7c15), "");
        let ghost = table.shards[shard_of(&key)].lock().ghosts.get(&key);
        if let Some(ghost) = ghost {
            ghosts += 1;
            assert_eq!(found(&table, &key), None, "in memory, and a ghost");
            assert_eq!(table.glimpse(&key, |_| true), Lookup::Found(Some(ghost), IN_COLD_STORE));
            assert!(matches!(table.glimpse(&key, |_| false), Lookup::Unknown(_)));
            let value = cold.get(&key).expect("it was there when it was dropped");
            assert_eq!((ghost.begin(), ghost.value_bytes()), (&value[..1], value.len()));
        }
    }
    assert!(ghosts > 1000, "{ghosts} seen");
}

#[test]
fn ghosts_take_of_the_room_of_records() {
    let table = Table::new(1 << 20);
    for n in 0..50_000_u64 {
        table.write(&routed(0x10, n.wrapping_mul(0x9e37_79b9_7f4a_7c15), ""), Some(&bytes("value")), n + 1);
        if n % 1000 == 0 {
            assert!(table.flush_run().count() > 0);
            table.flushed();
            let ghosts: usize = table.shards.iter().map(|shard| shard.lock().ghosts.memory_bytes()).sum();
            assert!(ghosts <= (1 << 20) / 8, "{ghosts} bytes of ghosts");
            assert!(table.bytes() + ghosts <= 1 << 20, "{} and {ghosts} bytes", table.bytes());
        }
    }
}

#[test]
fn a_very_large_value_that_was_read_is_put_aside_by_who_drops_it() {
    let (value, by) = vast::watched::value("read from the disk");
    let table = Table::new(64 << 20);
    let Lookup::Unknown(ticket) = table.get::<Bytes>(b"a") else { panic!("it is there") };
    table.fill(b"a", &value.into(), ticket);
    assert!(found(&table, b"a").is_some());
    let later = vast::later();
    drop(table);
    assert!(by.try_recv().is_err());
    drop(later);
    by.try_recv().unwrap();
}

#[test]
fn a_record_lies_where_one_was_that_was_dropped_whoever_brings_it() {
    const BUDGET: usize = 4 << 20;
    let table = Table::new(BUDGET);
    let fill = |kind: u8| {
        for n in 0..2 * BUDGET as u64 / 400 {
            let key = routed(kind, n.wrapping_mul(0x9e37_79b9_7f4a_7c15), "");
            let Lookup::Unknown(ticket) = table.get::<Bytes>(&key) else { panic!("new") };
            table.fill(&key, &Bytes::from(vec![0; 200 + (n * 7 % 300) as usize]), ticket);
        }
    };
    let places = || -> std::collections::HashSet<usize> {
        let of = |shard: &Guarded| -> Vec<usize> {
            shard.lock().records.values_mut().map(|record| record.key().as_ptr() as usize).collect()
        };
        table.shards.iter().flat_map(of).collect()
    };
    // Each thread has a heap of its own where the allocator gives it one.
    let filled_by_another = |kind: u8| {
        std::thread::scope(|scope| scope.spawn(|| fill(kind)).join().unwrap());
        places()
    };
    std::thread::scope(|scope| {
        let (filled, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let (fill, places) = (&fill, &places);
        // It stays: the heap of one that has ended is the next one's.
        scope.spawn(move || {
            fill(0x10);
            filled.send(places()).unwrap();
            _ = ended.recv();
        });
        let before = told.recv().unwrap();
        let after = filled_by_another(0x11);
        drop(end);
        let same = before.intersection(&after).count();
        assert!(same * 10 > after.len() * 8, "{same} of {} lie where one was before", after.len());
    });
}

#[test]
fn what_nobody_takes_of_what_was_dropped_is_bounded_and_goes() {
    const BUDGET: usize = 1 << 20;
    let table = Table::new(BUDGET);
    let fill = |kind: u8, len: usize| {
        for n in 0..BUDGET as u64 / (len as u64 + 30) {
            let key = routed(kind, n.wrapping_mul(0x9e37_79b9_7f4a_7c15), "");
            let Lookup::Unknown(ticket) = table.get::<Bytes>(&key) else { panic!("new") };
            table.fill(&key, &Bytes::from(vec![0; len]), ticket);
            assert!(table.dropped.bytes() <= BUDGET / DROPPED_PART);
        }
    };
    (0x10..0x12).for_each(|kind| fill(kind, 900));
    let large =
        || std::iter::from_fn(|| table.dropped.take(|| 900)).map(|room| room.memory_bytes()).sum::<usize>();
    assert!(large() > 0, "some was dropped last");
    (0x12..0x14).for_each(|kind| fill(kind, 900));
    (0x14..0x17).for_each(|kind| fill(kind, 30));
    // What is dropped at once has its room.
    let left = large();
    assert!(left <= BUDGET / DROPPED_PART / 8 * 7, "{left} bytes that nobody takes");
}
