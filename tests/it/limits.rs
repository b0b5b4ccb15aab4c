//! Clients that do harm, by malice or by accident: each is bounded in memory and time and answered or closed with a
//! reason, and the others do not notice.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use modb_tests::peer::encode;
use modb_tests::random::Random;
use modb_tests::wait::{self, DEADLINE};
use modb_tests::{Launch, Peer, Platform, Reply, Server};

/// How much a server may grow through what one bad client does, in bytes: a few buffers' worth.
const GROWTH_BYTES: u64 = 48 << 20;

/// Runs `harm` and asserts that the server did not grow over [`GROWTH_BYTES`], measured while the harm lasts, and
/// that another client is served meanwhile and afterwards.
fn unharmed<T>(server: &Server, harm: impl FnOnce() -> T) {
    let mut other = server.peer();
    assert_eq!(other.ask("SET unharmed yes"), Reply::ok());
    let before = server.rss_bytes();
    let still_there = harm();
    assert_eq!(other.ask("GET unharmed"), Reply::bulk("yes"));
    if let (Some(before), Some(after)) = (before, server.rss_bytes()) {
        assert!(after < before + GROWTH_BYTES, "grew from {before} to {after} bytes");
    }
    drop(still_there);
    assert_eq!(other.ask("GET unharmed"), Reply::bulk("yes"));
    assert_eq!(server.peer().ask("GET unharmed"), Reply::bulk("yes"));
}

/// Sends `bytes`, of which the server may refuse the rest at any point, and gives what it answered.
fn answer_to(server: &Server, bytes: &[u8]) -> String {
    let mut peer = server.peer();
    let _ = peer.try_send(bytes);
    String::from_utf8_lossy(&peer.read_to_close()).into_owned()
}

pub(crate) fn an_endless_inline_line_is_refused_in_bounded_memory(platform: &Platform) {
    let server = Launch::new(platform).start();
    unharmed(&server, || {
        // Just over the limit: all of it is read, so the reason must arrive.
        let answer = answer_to(&server, &vec![b'a'; (64 << 10) + 1]);
        assert_eq!(answer, "-ERR Protocol error: too big inline request\r\n");
        // Endless: the reason may be lost in the reset that the rest provokes, the end may not.
        let mut peer = server.peer();
        let mut sent = 0;
        while sent < 1 << 30 && peer.try_send(&[b'a'; 64 << 10]).is_ok() {
            sent += 64 << 10;
        }
        assert!(sent < 1 << 30, "a gigabyte without a line end was taken");
        peer
    });
}

pub(crate) fn a_bulk_length_of_2_to_the_63_is_refused(platform: &Platform) {
    let server = Launch::new(platform).start();
    unharmed(&server, || {
        for length in ["9223372036854775808", "9223372036854775807", "18446744073709551616", "536870913"] {
            let answer = answer_to(&server, format!("*1\r\n${length}\r\n").as_bytes());
            assert_eq!(answer, "-ERR Protocol error: invalid bulk length\r\n", "{length}");
            let answer = answer_to(&server, format!("*{length}0000\r\n").as_bytes());
            assert_eq!(answer, "-ERR Protocol error: invalid multibulk length\r\n", "{length}0000");
        }
    });
}

pub(crate) fn nesting_a_million_deep_is_refused(platform: &Platform) {
    let server = Launch::new(platform).start();
    unharmed(&server, || {
        let answer = answer_to(&server, &b"*1\r\n".repeat(1_000_000));
        // It must end; the reason may be lost in the reset that a million bytes behind it provoke.
        let reason = "-ERR Protocol error: expected '$', got '*'\r\n";
        assert!(answer.is_empty() || answer == reason, "{answer}");
        assert_eq!(answer_to(&server, b"*1\r\n*1\r\n"), reason);
    });
}

pub(crate) fn a_key_of_70_kb_is_kept_or_refused_with_a_reason(platform: &Platform) {
    let server = Launch::new(platform).with_durability("everysec").start();
    let mut peer = server.peer();
    let key = vec![b'k'; 70 << 10];
    match peer.call([b"SET", &key[..], b"v"]) {
        Reply::Error(text) => {
            let text = String::from_utf8_lossy(&text);
            assert!(text.starts_with("ERR ") && text.contains("key"), "{text}");
        }
        reply => {
            assert_eq!(reply, Reply::ok());
            assert_eq!(peer.call([b"GET", &key[..]]), Reply::bulk("v"));
            let longer = [&key[..], b"k"].concat();
            assert_eq!(peer.call([b"GET", &longer[..]]), Reply::NullBulk);
            assert_eq!(peer.call([b"DEL", &key[..]]), Reply::Int(1));
        }
    }
    assert_eq!(peer.ask("SET k v"), Reply::ok());
    assert_eq!(server.kill_and_restart().peer().ask("DBSIZE"), Reply::Int(1));
}

pub(crate) fn a_large_bulk_that_never_comes_costs_no_memory(platform: &Platform) {
    let server = Launch::new(platform).start();
    unharmed(&server, || {
        let mut waiting = Vec::new();
        for _ in 0..100 {
            let mut peer = server.peer();
            peer.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nbegin");
            waiting.push(peer);
        }
        assert_eq!(server.peer().ask("EXISTS k"), Reply::Int(0));
        waiting
    });
}

pub(crate) fn a_client_that_sends_a_byte_at_a_time_is_served_and_others_unharmed(platform: &Platform) {
    let server = Launch::new(platform).start();
    unharmed(&server, || {
        let mut slow = server.peer();
        let mut other = server.peer();
        let wire = [encode(["SET", "slow", "value"]), encode(["GET", "slow"])].concat();
        for byte in wire {
            slow.send(&[byte]);
            assert_eq!(other.ask("PING"), Reply::Simple(b"PONG".to_vec()));
        }
        assert_eq!(slow.replies(2), [Reply::ok(), Reply::bulk("value")]);
    });
}

pub(crate) fn a_slow_reader_gets_everything(platform: &Platform) {
    const VALUE_BYTES: usize = 1 << 20;
    const REPLIES: usize = 16;
    let server = Launch::new(platform).start();
    let value = Random::new(1).bytes(VALUE_BYTES);
    assert_eq!(server.peer().call([b"SET", b"big", &value[..]]), Reply::ok());
    unharmed(&server, || {
        let mut slow = Peer::connect_with_small_window(server.addr());
        slow.send(&encode(["GET", "big"]).repeat(REPLIES));
        let mut other = server.peer();
        let mut got = Vec::new();
        let mut chunk = [0; 16 << 10];
        let expected = [format!("${VALUE_BYTES}\r\n").as_bytes(), &value, b"\r\n"].concat().repeat(REPLIES);
        while got.len() < expected.len() {
            let n = slow.stream().read(&mut chunk).expect("the reply goes on");
            assert_ne!(n, 0, "closed after {} bytes", got.len());
            got.extend_from_slice(&chunk[..n]);
            if got.len() % 64 == 0 {
                assert_eq!(other.ask("PING"), Reply::Simple(b"PONG".to_vec()));
            }
        }
        assert!(got == expected, "the replies differ from the value");
    });
}

pub(crate) fn a_client_that_never_reads_is_bounded_and_others_unharmed(platform: &Platform) {
    let server = Launch::new(platform).start();
    let value = Random::new(2).bytes(100 << 10);
    assert_eq!(server.peer().call([b"SET", b"big", &value[..]]), Reply::ok());
    unharmed(&server, || {
        let mut deaf = Peer::connect_with_small_window(server.addr());
        // 10 GB of replies, asked for by requests that fit the server's and the kernel's buffers, or do not.
        let requests = encode(["GET", "big"]).repeat(100_000);
        deaf.send_until_blocked(&requests, Duration::from_millis(500));
        for _ in 0..100 {
            assert_eq!(server.peer().ask("PING"), Reply::Simple(b"PONG".to_vec()));
        }
        deaf
    });
}

pub(crate) fn a_reset_while_paused_frees_the_connection_without_a_spin(platform: &Platform) {
    let server = Launch::new(platform).start();
    let value = Random::new(3).bytes(1 << 20);
    assert_eq!(server.peer().call([b"SET", b"big", &value[..]]), Reply::ok());
    let mut watcher = server.peer();
    for _ in 0..10 {
        let mut deaf = Peer::connect_with_small_window(server.addr());
        deaf.send_until_blocked(&encode(["GET", "big"]).repeat(64), Duration::from_millis(200));
        deaf.reset();
    }
    wait::until("the reset connections are freed", || (clients(&mut watcher) == 1).then_some(()));
    // A server that spins on a dead connection uses all of a core.
    assert_ne!(server.rests(Duration::from_secs(1), 25), Some(false));
}

/// How many clients the server counts.
pub(crate) fn clients(peer: &mut Peer) -> usize {
    let info = peer.ask("INFO clients").text();
    let count = info.lines().find_map(|line| line.strip_prefix("connected_clients:"));
    count.expect("INFO counts the clients").trim().parse().expect("it is a number")
}

pub(crate) fn half_a_request_and_gone_leaves_nothing(platform: &Platform) {
    let server = Launch::new(platform).start();
    unharmed(&server, || {
        for n in 0..200 {
            let mut peer = server.peer();
            peer.send(b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$5\r\nva");
            if n % 2 == 0 {
                peer.reset();
            }
        }
    });
    let mut watcher = server.peer();
    wait::until("they are all gone", || (clients(&mut watcher) == 1).then_some(()));
    assert_eq!(watcher.ask("EXISTS half"), Reply::Int(0));
}

pub(crate) fn random_bytes_never_harm_the_others(platform: &Platform) {
    const CONNECTIONS: u64 = 400;
    let server = Launch::new(platform).start();
    unharmed(&server, || {
        for seed in 0..CONNECTIONS {
            let mut random = Random::new(seed);
            let mut peer = server.peer();
            let bytes = garbage(&mut random);
            let _ = peer.try_send(&bytes);
            if random.below(2) == 0 {
                peer.reset();
            } else {
                let _ = peer.stream().shutdown(std::net::Shutdown::Write);
                assert!(peer.is_closed_within(DEADLINE), "seed {seed}: {}", bytes.escape_ascii());
            }
        }
    });
}

/// Bytes that are RESP nearly, hardly, or not at all.
fn garbage(random: &mut Random) -> Vec<u8> {
    let pieces: [&[u8]; 16] = [
        b"*",
        b"$",
        b"\r\n",
        b"*2\r\n",
        b"$3\r\n",
        b"GET",
        b"\n",
        b"-1",
        b":",
        b"\"",
        b"99999999999",
        b"\\x",
        b"PING\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"\0",
        b"*3\r\n$3\r\nSET\r\n$1\r\nz\r\n",
    ];
    let mut bytes = Vec::new();
    for _ in 0..random.below(60) {
        if random.below(4) == 0 {
            let len = random.below(40) as usize;
            bytes.extend(random.bytes(len));
        } else {
            bytes.extend_from_slice(pieces[random.below(pieces.len() as u64) as usize]);
        }
    }
    // SHUTDOWN or FLUSHALL cannot come of this: no piece holds their letters.
    bytes
}

pub(crate) fn descriptors_used_up_stop_accepting_without_a_spin(platform: &Platform) {
    let server = Launch::new(platform).with("--maxclients", "100000").start();
    let Some(limit) = modb_tests::sys::lower_descriptor_limit_of(server.pid(), 64) else {
        modb_tests::skip!("the limit of another process cannot be changed here")
    };
    let mut first = server.peer();
    let mut crowd: Vec<Peer> =
        (0..limit + 40).filter_map(|_| Peer::try_connect(server.addr()).ok()).collect();
    assert_eq!(first.ask("SET a 1"), Reply::ok());
    assert_eq!(server.rests(Duration::from_secs(1), 25), Some(true));
    crowd.truncate(4);
    wait::until("it accepts again", || {
        let mut peer = Peer::try_connect(server.addr()).ok()?;
        peer.stream().set_read_timeout(Some(Duration::from_millis(500))).ok()?;
        peer.stream().write_all(b"GET a\r\n").ok()?;
        peer.try_reply().ok().filter(|reply| *reply == Reply::bulk("1"))
    });
}

/// What a server takes beside `--cache-mb`, in bytes, as the README says: the program itself, the log's buffers, the
/// indexes and filters of table files, a flush under way, and what an allocator wastes.
const BESIDE_CACHE_BYTES: u64 = 96 << 20;

pub(crate) fn data_of_four_times_the_memory_is_served_within_it(platform: &Platform) {
    const CACHE_MB: u64 = 32;
    const VALUE_BYTES: usize = 1000;
    const KEYS: usize = 4 * (CACHE_MB as usize) * (1 << 20) / VALUE_BYTES;
    const PIPELINE: usize = 500;
    let server = Launch::new(platform).with("--cache-mb", &CACHE_MB.to_string()).start();
    let mut peer = server.peer();
    let value = |n: usize| n.to_string().repeat(VALUE_BYTES)[..VALUE_BYTES].to_owned();
    let mut peak = 0;
    let keys: Vec<usize> = (0..KEYS).collect();
    for part in keys.chunks(PIPELINE) {
        let requests = part.iter().flat_map(|n| encode(["SET", &format!("k{n}"), &value(*n)]));
        peer.send(&requests.collect::<Vec<u8>>());
        assert!(peer.replies(part.len()).iter().all(|reply| *reply == Reply::ok()));
        peak = peak.max(server.rss_bytes().unwrap_or(0));
    }
    for part in keys.chunks(PIPELINE) {
        peer.send(&part.iter().flat_map(|n| encode(["GET", &format!("k{n}")])).collect::<Vec<u8>>());
        for (n, reply) in part.iter().zip(peer.replies(part.len())) {
            assert_eq!(reply, Reply::bulk(value(*n)), "k{n}");
        }
        peak = peak.max(server.rss_bytes().unwrap_or(0));
    }
    println!("peak {} MiB with --cache-mb {CACHE_MB}", peak >> 20);
    assert!(peak < (CACHE_MB << 20) + BESIDE_CACHE_BYTES, "{peak} bytes");
}
