//! What clients hold while they wait for many keys, and for the keys that they track, is counted with all that connections hold: it is
//! bounded, others are served meanwhile, and it is given back.

use modb_tests::peer::encode;
use modb_tests::{Launch, Peer, Platform, Reply, Server, sys, wait};

const MIB: u64 = 1 << 20;
const CACHE_MB: u64 = 32;
/// What connections may hold in these scenarios, in bytes.
const CONNECTIONS_BYTES: u64 = 16 * MIB;
/// What a server takes beside `--cache-mb`, in bytes, as the README says.
const BESIDE_CACHE_BYTES: u64 = 96 * MIB;

fn start(platform: &Platform) -> Server {
    let launch = Launch::new(platform).with("--cache-mb", &CACHE_MB.to_string());
    launch.with("--maxmemory-clients", &CONNECTIONS_BYTES.to_string()).start()
}

fn number(server: &Server, field: &str) -> u64 {
    server.info(field).parse().expect("a number")
}

/// What all connections hold, in bytes.
fn held(server: &Server) -> u64 {
    number(server, "mem_clients_normal")
}

fn assert_within_the_promise(server: &Server) {
    let (peak_bytes, promised) = (
        sys::peak_rss_bytes(server.pid()).unwrap_or(0),
        CACHE_MB * MIB + BESIDE_CACHE_BYTES + CONNECTIONS_BYTES,
    );
    assert!(peak_bytes <= promised, "{} MiB, promised {}", peak_bytes / MIB, promised / MIB);
}

pub(crate) fn those_who_wait_for_very_many_keys_hold_no_more_than_connections_may(platform: &Platform) {
    const CLIENTS: usize = 40;
    const KEYS: usize = 5_000;
    /// What a key takes at least that is waited for.
    const KEY_BYTES: u64 = 400;
    let server = start(platform);
    let mut honest = server.peer();
    let before = held(&server);
    let waiting: Vec<Peer> = (0..CLIENTS)
        .map(|client| {
            let keys = (0..KEYS).map(|n| format!("{client}:{n}"));
            let mut peer = server.peer();
            peer.send(&encode(["BLPOP".to_owned()].into_iter().chain(keys).chain(["0".to_owned()])));
            peer
        })
        .collect();
    // The largest of those who hold what others want are closed, so that these go on; until then they wait unexecuted.
    let most = CONNECTIONS_BYTES / (KEYS as u64 * KEY_BYTES) + 1;
    wait::until("one is closed for what it holds", || {
        let blocked = number(&server, "blocked_clients");
        assert!(blocked <= most, "{blocked} wait, and hold more than {most} may");
        assert_eq!(honest.ask("SET k v"), Reply::ok());
        assert_eq!(honest.ask("GET k"), Reply::bulk("v"));
        (number(&server, "evicted_clients") > 0).then_some(())
    });
    assert!(held(&server) > CONNECTIONS_BYTES / 4, "{} are counted", held(&server));
    assert_within_the_promise(&server);
    drop(waiting);
    wait::until("all is given back", || (held(&server) <= before + MIB).then_some(()));
    // Who stood in line until then is executed before it is noticed that he has gone.
    wait::until("nobody waits", || (server.info("blocked_clients") == "0").then_some(()));
    assert_eq!(honest.ask("RPUSH 0:0 x"), Reply::Int(1));
    assert_eq!(honest.ask("LLEN 0:0"), Reply::Int(1), "who has gone was given it");
}

pub(crate) fn who_waits_for_many_keys_is_gone_with_its_connection(platform: &Platform) {
    let server = start(platform);
    let mut pusher = server.peer();
    // More than is read ahead of one who waits, and once more than a worker does itself.
    for keys in [3_000, 12_000] {
        let mut peer = server.peer();
        let words = (0..keys).map(|n| format!("key:{n}"));
        peer.send(&encode(["BLPOP".to_owned()].into_iter().chain(words).chain(["0".to_owned()])));
        wait::until("it waits", || (server.info("blocked_clients") == "1").then_some(()));
        drop(peer);
        wait::until("it has gone", || (server.info("blocked_clients") == "0").then_some(()));
        assert_eq!(pusher.ask("RPUSH key:7 x"), Reply::Int(1));
        assert_eq!(pusher.ask("LPOP key:7"), Reply::bulk("x"));
    }
}

pub(crate) fn keys_that_are_tracked_are_counted_until_nobody_tracks_them(platform: &Platform) {
    const KEYS: usize = 20_000;
    /// What a key takes at least that is tracked.
    const KEY_BYTES: u64 = 150;
    let server = start(platform);
    let before = held(&server);
    let mut reader = server.peer();
    assert!(matches!(reader.ask("HELLO 3"), Reply::Map(_)));
    assert_eq!(reader.ask("CLIENT TRACKING ON"), Reply::ok());
    for first in (0..KEYS).step_by(1_000) {
        let gets: Vec<u8> =
            (first..first + 1_000).flat_map(|n| encode(["GET".to_owned(), format!("key:{n}")])).collect();
        reader.send(&gets);
        reader.replies(1_000);
    }
    assert_eq!(number(&server, "tracking_total_keys"), KEYS as u64);
    wait::until("what it tracks is counted", || {
        (held(&server) >= before + KEYS as u64 * KEY_BYTES).then_some(())
    });
    // With fewer that may be tracked, less is held, as soon as it reads more.
    let mut other = server.peer();
    assert_eq!(other.ask("CONFIG SET tracking-table-max-keys 1000"), Reply::ok());
    reader.send(&(0..400).flat_map(|n| encode(["GET".to_owned(), format!("more:{n}")])).collect::<Vec<u8>>());
    for _ in 0..400 {
        while matches!(reader.reply(), Reply::Push(_)) {}
    }
    assert_eq!(number(&server, "tracking_total_keys"), 1_000);
    assert!(held(&server) <= before + 2 * MIB, "{} are counted for 1,000 keys", held(&server));
    drop(reader);
    wait::until("all is given back", || {
        (number(&server, "tracking_total_keys") == 0 && held(&server) <= before + MIB / 2).then_some(())
    });
    assert_within_the_promise(&server);
}
