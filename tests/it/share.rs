//! What the clients of a server can take of its memory together, whatever they do: at most what the README says, and whoever
//! makes progress is served.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use modb_tests::hostile::{BIG_KEY, Crowd, Kind, OWN_KEYS, Size, own_key};
use modb_tests::peer::encode;
use modb_tests::wait::DEADLINE;
use modb_tests::{Launch, Peer, Platform, Reply, Server, sys, wait};

use crate::costs::compact;

const MIB: u64 = 1 << 20;
/// What a server takes beside `--cache-mb`, in MiB, as the README says.
const BESIDE_CACHE_MB: u64 = 96;
/// `maxmemory-clients` as it is without being set, in MiB.
const CLIENTS_MB: u64 = 256;

const THOUSAND: Size = Size { threads: 4, connections: 1000 };
/// Longer than the time after which a client is closed that makes no progress while others wait.
const CROWD_TIME: Duration = Duration::from_secs(8);
const LARGE_BYTES: usize = 16 << 20;

/// Panics if the server ever had more than it promises for so much cache.
#[track_caller]
fn assert_within_the_promise(server: &Server, cache_mb: u64) {
    assert_within(server, cache_mb + BESIDE_CACHE_MB + CLIENTS_MB);
}

/// Panics if the server ever had more than so many MiB.
#[track_caller]
fn assert_within(server: &Server, promised_mb: u64) {
    let peak_bytes = sys::peak_rss_bytes(server.pid()).unwrap_or(0);
    let said = format!("at most {} MiB, promised {promised_mb}", peak_bytes / MIB);
    println!("{said}");
    assert!(peak_bytes <= promised_mb * MIB, "{said}");
}

/// A thousand of a kind; an honest client is served beside them.
fn endure(server: &Server, kind: Kind) {
    sys::raise_descriptor_limit(4000);
    let mut honest = server.peer();
    let crowd = Crowd::start(kind, server.addr(), THOUSAND);
    let begun = Instant::now();
    let mut slowest = Duration::ZERO;
    let mut n = 0;
    // Longer where the machine is so slow that the crowd takes its time to come.
    while begun.elapsed() < CROWD_TIME
        || (crowd.connects() < THOUSAND.connections as u64 && begun.elapsed() < DEADLINE)
    {
        let asked = Instant::now();
        assert_eq!(honest.ask(&format!("SET honest {n}")), Reply::ok());
        assert_eq!(honest.ask("GET honest"), Reply::bulk(n.to_string()));
        slowest = slowest.max(asked.elapsed());
        n += 1;
        thread::sleep(Duration::from_millis(5));
    }
    println!("{n} requests beside it, the slowest took {slowest:?}; {} connects", crowd.connects());
    assert!(crowd.connects() >= THOUSAND.connections as u64, "the crowd never came");
    crowd.stop();
    assert_eq!(honest.ask("GET honest"), Reply::bulk((n - 1).to_string()));
}

pub(crate) fn a_thousand_half_sent_requests_stay_within_the_promise(platform: &Platform) {
    let server = Launch::new(platform).with("--cache-mb", "32").start();
    endure(&server, Kind::HalfSent);
    assert_within_the_promise(&server, 32);
}

pub(crate) fn a_thousand_that_ask_for_16_mb_and_never_read_stay_within_the_promise(platform: &Platform) {
    let server = Launch::new(platform).start();
    let value = vec![b'v'; LARGE_BYTES];
    assert_eq!(server.peer().call([b"SET", BIG_KEY.as_bytes(), &value]), Reply::ok());
    endure(&server, Kind::FourTimes);
    assert_within_the_promise(&server, 256);
}

pub(crate) fn long_a_thousand_that_ask_for_their_own_megabyte_and_never_read_stay_within_the_promise(
    platform: &Platform,
) {
    let server = Launch::new(platform).with("--cache-mb", "64").start();
    let (mut peer, value) = (server.peer(), vec![b'v'; 1 << 20]);
    for n in 0..OWN_KEYS {
        assert_eq!(peer.call([b"SET", own_key(n).as_bytes(), &value]), Reply::ok());
    }
    endure(&server, Kind::FourTimesOwn);
    assert_within_the_promise(&server, 64);
}

/// So many set a large value at once, then as many get different ones.
fn large_values_at_once(platform: &Platform, clients: usize) {
    let server = Launch::new(platform).start();
    let value = vec![b'v'; LARGE_BYTES];
    let all_do = |act: &(dyn Fn(usize, Peer) + Sync)| {
        thread::scope(|scope| {
            for client in 0..clients {
                let peer = server.peer();
                scope.spawn(move || act(client, peer));
            }
        });
    };
    all_do(&|client, mut peer| {
        let mut wire =
            format!("*3\r\n$3\r\nSET\r\n${}\r\n{}\r\n", key(client).len(), key(client)).into_bytes();
        wire.extend_from_slice(format!("${LARGE_BYTES}\r\n").as_bytes());
        peer.send(&wire);
        peer.send(&value);
        peer.send(b"\r\n");
        assert_eq!(peer.reply(), Reply::ok());
    });
    assert_within_the_promise(&server, 256);
    all_do(&|client, mut peer| {
        let other = (client + 1) % clients;
        peer.send(&encode(["GET", &key(other)]));
        peer.expect(format!("${LARGE_BYTES}\r\n").as_bytes());
        assert_eq!(peer.skip(LARGE_BYTES), LARGE_BYTES as u64 * u64::from(b'v'), "the sum of its bytes");
        peer.expect(b"\r\n");
    });
    assert_within_the_promise(&server, 256);
    assert_eq!(server.info("evicted_clients"), "0");
}

/// Of the values of a reply that lie on the disk alone no more is read than there is room for beside what others hold, be it by a worker or by a
/// thread; who asks for more waits, and is answered once they have given it back.
pub(crate) fn large_values_on_the_disk_are_read_where_there_is_room_beside_what_others_hold(
    platform: &Platform,
) {
    const CACHE_MB: u64 = 8;
    const VALUE_BYTES: usize = 3 << 20;
    const VALUES: usize = 8;
    const CLIENTS: u64 = 3;
    /// While it is read, a value may be there twice.
    const ONE_VALUE_MB: u64 = 2 * (VALUE_BYTES as u64 / MIB) + 1;
    let launch = Launch::new(platform).with("--workers", "1").with("--cache-mb", &CACHE_MB.to_string());
    let mut server = launch.start();
    let keys: Vec<String> = (0..VALUES).map(key).collect();
    let values: Vec<Vec<u8>> = (0..VALUES).map(|n| vec![b'a' + n as u8; VALUE_BYTES]).collect();
    let mut peer = server.peer();
    for (key, value) in keys.iter().zip(&values) {
        assert_eq!(peer.call([b"SET", key.as_bytes(), value]), Reply::ok());
    }
    compact(&mut peer);
    server.stop();
    wait::not_each_time(|| {
        let server = launch.start();
        let number = |field: &str| server.info(field).parse::<u64>().expect("a number");
        // A request of which the last byte has not come yet; there is room for it and for one value, not for two.
        let mut holds = server.peer();
        holds.send(format!("*2\r\n$6\r\nEXISTS\r\n${LARGE_BYTES}\r\n").as_bytes());
        holds.send(&vec![b'k'; LARGE_BYTES]);
        let held = wait::until("it has come", || {
            Some(number("mem_clients_normal")).filter(|held| *held >= LARGE_BYTES as u64)
        });
        let room_bytes = held + VALUE_BYTES as u64 + MIB;
        assert_eq!(server.peer().ask(&format!("CONFIG SET maxmemory-clients {room_bytes}")), Reply::ok());
        let before = sys::peak_rss_bytes(server.pid()).unwrap_or(0) / MIB;
        let mut asking: Vec<Peer> = (0..CLIENTS).map(|_| server.peer()).collect();
        for peer in &mut asking {
            peer.send(&encode(["MGET"].into_iter().chain(keys.iter().map(String::as_str))));
        }
        wait::until("all have begun, and none goes on", || {
            let states =
                ["", "_running", "_queued"].map(|state| number(&format!("modb_long_commands{state}")));
            (states == [CLIENTS, 0, 0]).then_some(())
        });
        let after = sys::peak_rss_bytes(server.pid()).unwrap_or(0) / MIB;
        if server.info("evicted_clients") != "0" {
            return Some("who holds so much was closed meanwhile".to_owned());
        }
        println!("{held} bytes are held: {before} MiB, and {after} MiB with those who wait");
        assert!(after <= before + ONE_VALUE_MB, "{after} MiB, {before} MiB before");
        assert!(!asking.iter().any(Peer::has_come), "there is no room for it");
        holds.send(b"\r\n");
        assert_eq!(holds.reply(), Reply::Int(0));
        let expected = Reply::Array(values.iter().map(Reply::bulk).collect());
        thread::scope(|scope| {
            for peer in &mut asking {
                scope.spawn(|| assert!(peer.reply() == expected));
            }
        });
        assert_eq!(number("keyspace_hits"), CLIENTS * VALUES as u64, "however often they were begun");
        let reply_mb = (VALUES * VALUE_BYTES) as u64 / MIB;
        assert_within(&server, CACHE_MB + BESIDE_CACHE_MB + room_bytes / MIB + 3 * reply_mb);
        None
    });
}

/// A part of a large value holds no more than it counts for while it leaves, and several in one transaction need no more room than one of the values.
pub(crate) fn parts_of_large_values_hold_no_more_than_they_are(platform: &Platform) {
    const PART_BYTES: usize = 6 << 20;
    const CLIENTS: usize = 12;
    let mut server = Launch::new(platform)
        .with("--cache-mb", "8")
        .with("--maxmemory-clients", "256mb")
        .with("--long-command-threads", "1")
        .start();
    let value = vec![b'v'; LARGE_BYTES];
    assert_eq!(server.peer().call([b"SET", BIG_KEY.as_bytes(), &value]), Reply::ok());
    compact(&mut server.peer());
    server = server.restart();
    let number = |field: &str| server.info(field).parse::<u64>().expect("a number");
    let before = sys::peak_rss_bytes(server.pid()).unwrap_or(0);
    let part = encode(["GETRANGE", BIG_KEY, "0", &(PART_BYTES - 1).to_string()]);
    let mut slow: Vec<Peer> = (0..CLIENTS).map(|_| Peer::connect_with_small_window(server.addr())).collect();
    slow.iter_mut().for_each(|peer| peer.send(&part));
    wait::until("all are executed", || {
        let states = ["", "_running", "_queued"].map(|state| number(&format!("modb_long_commands{state}")));
        (states == [CLIENTS as u64, 0, 0]).then_some(())
    });
    let peak = sys::peak_rss_bytes(server.pid()).unwrap_or(0);
    let most = before + (CLIENTS * PART_BYTES + 2 * LARGE_BYTES) as u64 + 8 * MIB;
    println!("{} MiB, {} MiB before, at most {}", peak / MIB, before / MIB, most / MIB);
    assert!(peak <= most, "{} MiB, {} MiB before", peak / MIB, before / MIB);
    drop(slow);
    // The first run finds out how large a value is, the second reads each once.
    let reads = number("modb_store_cold_reads");
    let mut peer = server.peer();
    let queued =
        [encode(["MULTI"]), encode(["GETRANGE", BIG_KEY, "0", "9"]).repeat(CLIENTS), encode(["EXEC"])];
    peer.send(&queued.concat());
    peer.replies(CLIENTS + 1);
    assert_eq!(peer.reply(), Reply::Array(vec![Reply::bulk("v".repeat(10)); CLIENTS]));
    let reads = number("modb_store_cold_reads") - reads;
    assert!(reads <= 2 * CLIENTS as u64 + 2, "{reads} reads");
}

fn key(client: usize) -> String {
    format!("large:{client}")
}

pub(crate) fn values_of_16_mb_at_once_are_all_served(platform: &Platform) {
    large_values_at_once(platform, 24);
}

pub(crate) fn long_64_values_of_16_mb_at_once_are_all_served(platform: &Platform) {
    large_values_at_once(platform, 64);
}

pub(crate) fn an_mset_of_half_a_million_pairs_is_served(platform: &Platform) {
    const PAIRS: usize = 530_000;
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    let pairs = (0..PAIRS).flat_map(|n| [format!("key:{n}"), n.to_string()]);
    assert_eq!(peer.call(["MSET".to_owned()].into_iter().chain(pairs)), Reply::ok());
    assert_eq!(peer.ask("DBSIZE"), Reply::Int(PAIRS as i64));
    assert_eq!(peer.ask("GET key:529999"), Reply::bulk("529999"));
}

pub(crate) fn long_an_mset_of_20_million_pairs_is_served_or_refused_readably(platform: &Platform) {
    const PAIRS: usize = 20_000_000;
    let server = Launch::new(platform).start();
    let (mut peer, mut other) = (server.peer(), server.peer());
    peer.send(format!("*{}\r\n$4\r\nMSET\r\n", 2 * PAIRS + 1).as_bytes());
    let some = b"$1\r\nk\r\n$1\r\nv\r\n".repeat(10_000);
    for _ in 0..PAIRS / 10_000 {
        peer.send(&some);
    }
    peer.stream().set_read_timeout(Some(5 * DEADLINE)).expect("a timeout can be set");
    let reply = peer.reply();
    println!("{reply:?}");
    let served = reply == Reply::ok() && peer.ask("GET k") == Reply::bulk("v");
    assert!(served || reply.error().is_some_and(|text| text.contains("arguments")), "{reply:?}");
    assert_eq!(other.ask("PING"), Reply::Simple(b"PONG".to_vec()));
}

/// A hundred requests that take 5 ms each, sent at once, are not one turn: others are served between any two of them.
pub(crate) fn who_sends_many_that_take_a_while_lets_others_in_between(platform: &Platform) {
    const REQUESTS: usize = 100;
    let server = Launch::new(platform).with("--workers", "1").with("--enable-debug-command", "local").start();
    let (mut slow, mut other) = (server.peer(), server.peer());
    let both = [encode(["INCR", "done"]), encode(["DEBUG", "SLEEP", "0.005"])].concat();
    // A machine that stands still meanwhile has them executed between two looks.
    wait::not_each_time(|| {
        slow.send(&both.repeat(REQUESTS));
        let mut seen = BTreeSet::new();
        wait::until("all are executed", || {
            let done = other.ask("GET done");
            seen.insert(format!("{done:?}"));
            (done == Reply::bulk(REQUESTS.to_string())).then_some(())
        });
        assert!(slow.replies(2 * REQUESTS).iter().all(|reply| !matches!(reply, Reply::Error(_))));
        other.ask("DEL done");
        (seen.len() <= REQUESTS / 10).then(|| format!("served after {seen:?} of {REQUESTS}"))
    });
}

pub(crate) fn who_reads_steadily_is_not_idle(platform: &Platform) {
    const VALUE_BYTES: usize = 1 << 20;
    const REQUESTS: usize = 60;
    const TIMEOUT: Duration = Duration::from_secs(2);
    let server = Launch::new(platform).with("--timeout", &TIMEOUT.as_secs().to_string()).start();
    assert_eq!(server.peer().call([&b"SET"[..], b"big", &vec![b'v'; VALUE_BYTES]]), Reply::ok());
    let expected = REQUESTS * (VALUE_BYTES + format!("${VALUE_BYTES}\r\n\r\n").len());
    wait::not_each_time(|| {
        let mut peer = server.peer();
        peer.send(&encode(["GET", "big"]).repeat(REQUESTS));
        let (mut piece, mut read) = (vec![0; 100_000], 0);
        let begun = Instant::now();
        let (mut read_at, mut longest) = (begun, Duration::ZERO);
        while read < expected {
            // As slow a reader as this is what is tried.
            thread::sleep(Duration::from_millis(10));
            let some = peer.stream().read(&mut piece);
            longest = longest.max(read_at.elapsed());
            read_at = Instant::now();
            match some {
                Ok(some @ 1..) => read += some,
                // It did not read steadily: the machine stood still.
                ended if longest > TIMEOUT / 4 => return Some(format!("{ended:?} after {longest:?}")),
                ended => panic!("{ended:?} after {read} bytes"),
            }
            assert!(read == expected || begun.elapsed() < DEADLINE * 3, "{read} of {expected}");
        }
        assert!(begun.elapsed() > 2 * TIMEOUT, "it was not slow: {:?}", begun.elapsed());
        None
    });
}

pub(crate) fn who_quits_and_pauses_still_gets_everything(platform: &Platform) {
    const VALUE_BYTES: usize = 30_000_000;
    let server = Launch::new(platform).start();
    assert_eq!(server.peer().call([&b"SET"[..], b"big", &vec![b'v'; VALUE_BYTES]]), Reply::ok());
    let mut peer = Peer::connect_with_small_window(server.addr());
    peer.send(&[encode(["GET", "big"]), encode(["QUIT"])].concat());
    peer.stream().shutdown(Shutdown::Write).expect("it is connected");
    let _ = peer.stream().flush();
    thread::sleep(Duration::from_millis(1500)); // the pause that is tried
    peer.expect(format!("${VALUE_BYTES}\r\n").as_bytes());
    assert_eq!(peer.skip(VALUE_BYTES), VALUE_BYTES as u64 * u64::from(b'v'), "the sum of its bytes");
    peer.expect(b"\r\n+OK\r\n");
    assert_eq!(peer.read_to_close(), b"");
}
