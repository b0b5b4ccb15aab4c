//! What clients hold while they wait for many keys, for what they have queued, and for the keys that they watch and track, is counted with
//! all that connections hold: it is bounded, others are served meanwhile, it is given back, and `CLIENT LIST` says whose it is.

use std::time::Duration;

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

/// What a server takes at most beside what it has taken before, where `clients` hold more than connections may: that, what is small of each,
/// which always finds room, and its input.
fn bound_bytes(clients: usize) -> u64 {
    CONNECTIONS_BYTES + clients as u64 * (32 << 10) + 16 * MIB
}

/// Many clients send `wire`, with which they would come to hold `each_bytes`, and read no answer. What they hold is bounded, others are
/// served, and the largest are closed that rest on it.
fn assert_held_within_bounds(
    platform: &Platform,
    clients: usize,
    each_bytes: u64,
    wire: impl Fn(usize) -> Vec<u8>,
) {
    assert!(clients as u64 * each_bytes >= 2 * bound_bytes(clients), "too little to show anything");
    sys::raise_descriptor_limit(clients as u64 + 1000);
    let server = start(platform);
    let mut honest = server.peer();
    let rss_bytes = server.rss_bytes();
    // Who is held up takes no more than fits on the way.
    let go_on = |client: usize, peer: &mut Peer, sent: usize, patience_ms| {
        sent + peer.send_until_blocked(&wire(client)[sent..], Duration::from_millis(patience_ms))
    };
    let mut crowd: Vec<(Peer, usize)> = (0..clients)
        .map(|client| {
            let mut peer = server.peer();
            let sent = go_on(client, &mut peer, 0, 5);
            (peer, sent)
        })
        .collect();
    wait::until("one is closed for what it holds", || {
        assert_eq!(honest.ask("SET k v"), Reply::ok());
        assert_eq!(honest.ask("GET k"), Reply::bulk("v"));
        if number(&server, "evicted_clients") > 0 {
            return Some(());
        }
        // Or was it the machine that held them up?
        for (client, (peer, sent)) in crowd.iter_mut().enumerate() {
            *sent = go_on(client, peer, *sent, 1);
        }
        None
    });
    assert!(held(&server) > CONNECTIONS_BYTES / 4, "{} are counted", held(&server));
    if let (Some(before), Some(peak)) = (rss_bytes, sys::peak_rss_bytes(server.pid())) {
        let (took, bound) = (peak.saturating_sub(before) / MIB, bound_bytes(clients) / MIB);
        println!("{clients} clients took {took} MiB at most, {bound} allowed");
        assert!(took <= bound, "{took} MiB, {bound} allowed");
    }
    drop(crowd);
    // What a worker keeps of buffers for whoever comes next is counted, too, and is nobody's.
    wait::until("all is given back", || {
        let left = honest.ask("CLIENT LIST").text();
        (left.lines().map(|line| figure(line, "tot-mem")).sum::<u64>() == 0).then_some(())
    });
}

/// So many clients with so much each; or, where Wine's server looks at each of them all the time, fewer with more.
fn crowd_of(platform: &Platform, clients: usize, each: usize) -> (usize, usize) {
    if platform.wine { (clients / 4, each * 4) } else { (clients, each) }
}

pub(crate) fn those_who_queue_much_hold_no_more_than_connections_may(platform: &Platform) {
    const VALUE_BYTES: usize = 1_000;
    let (clients, commands) = crowd_of(platform, 1_000, 250);
    let wire = |commands: usize| {
        let set = encode(["SET".as_bytes(), b"queued", &[b'v'; VALUE_BYTES]]);
        [encode(["MULTI"]), set.repeat(commands)].concat()
    };
    let each_bytes = (commands * VALUE_BYTES) as u64;
    assert_held_within_bounds(platform, clients, each_bytes, |_| wire(commands));
    // Alone, one may queue more than all may hold together.
    let server = start(platform);
    let mut alone = server.peer();
    let commands = (CONNECTIONS_BYTES / VALUE_BYTES as u64 + 1_000) as usize;
    alone.send(&[wire(commands), encode(["EXEC"])].concat());
    assert_eq!(alone.reply(), Reply::ok());
    (0..commands).for_each(|_| assert_eq!(alone.reply(), Reply::Simple(b"QUEUED".to_vec())));
    assert_eq!(alone.reply().items().len(), commands);
}

pub(crate) fn those_who_watch_many_keys_hold_no_more_than_connections_may(platform: &Platform) {
    /// What a key takes at least that is watched.
    const KEY_BYTES: u64 = 400;
    let (clients, count) = crowd_of(platform, 1_000, 400);
    let wire = |client: usize| {
        let keys = (0..count).map(|n| format!("{client}:{n}"));
        encode(["WATCH".to_owned()].into_iter().chain(keys))
    };
    assert_held_within_bounds(platform, clients, count as u64 * KEY_BYTES, wire);
}

pub(crate) fn those_who_watch_very_many_keys_hold_no_more_than_connections_may(platform: &Platform) {
    /// What a key takes at least that is watched.
    const KEY_BYTES: u64 = 400;
    // So many of each that a thread does it: what is lent has its room, too.
    let (clients, count) = (60, 12_000);
    let wire = |client: usize| {
        let keys = (0..count).map(|n| format!("{client}:{n}"));
        encode(["WATCH".to_owned()].into_iter().chain(keys))
    };
    assert_held_within_bounds(platform, clients, count * KEY_BYTES, wire);
}

pub(crate) fn those_who_track_many_keys_hold_no_more_than_connections_may(platform: &Platform) {
    const KEY_BYTES: usize = 1_000;
    let (clients, count) = (120, 1_000);
    let wire = |client: usize| {
        let mget = |from: usize| {
            let keys = (from..from + 10).map(|n| format!("{client}:{n:0KEY_BYTES$}"));
            encode(["MGET".to_owned()].into_iter().chain(keys))
        };
        let begin = [encode(["HELLO", "3"]), encode(["CLIENT", "TRACKING", "ON"])].concat();
        begin.into_iter().chain((0..count).step_by(10).flat_map(mget)).collect()
    };
    assert_held_within_bounds(platform, clients, (count * KEY_BYTES) as u64, wire);
}

/// The figure of a field of a client's line.
fn figure(line: &str, field: &str) -> u64 {
    let found = line.split(' ').find_map(|word| word.strip_prefix(field)?.strip_prefix('='));
    found.and_then(|figure| figure.parse().ok()).unwrap_or_else(|| panic!("{field} in {line:?}"))
}

pub(crate) fn what_each_client_holds_is_said(platform: &Platform) {
    let server = start(platform);
    let mut watcher = server.peer();
    let mut line = |id: i64| watcher.ask(&format!("CLIENT LIST ID {id}")).text();
    let come = || {
        let mut peer = server.peer();
        let id = peer.ask("CLIENT ID").int();
        (peer, id)
    };
    let mut until = |what: &str, id: i64, is: &dyn Fn(&str) -> bool| {
        wait::until(what, || {
            let line = line(id);
            is(&line).then_some(line)
        })
    };
    // What is queued.
    let (mut queues, id) = come();
    queues.send(&[encode(["MULTI"]), encode(["SET", "k", &"v".repeat(1_000)]).repeat(100)].concat());
    queues.replies(101);
    let said = until("it is said", id, &|line| figure(line, "multi-mem") >= 100_000);
    assert_eq!(figure(&said, "multi"), 100);
    assert!(figure(&said, "multi-mem") <= 400_000, "{said}");
    assert!(figure(&said, "tot-mem") >= figure(&said, "multi-mem"), "{said}");
    // What was sent of a request.
    let (mut sends, id) = come();
    sends.send(&encode(["SET", "k", &"v".repeat(5_000)])[..4_000]);
    let said = until("it is said", id, &|line| figure(line, "qbuf") == 4_000);
    assert!(figure(&said, "tot-mem") >= 4_000, "{said}");
    // What it watches, and tracks.
    let (mut watches, id) = come();
    assert_eq!(watches.ask("WATCH a b c"), Reply::ok());
    let said = until("it is said", id, &|line| figure(line, "watch") == 3);
    assert!(figure(&said, "tot-mem") >= 1_200, "{said}");
    let (mut tracks, id) = come();
    tracks.ask("HELLO 3");
    assert_eq!(tracks.ask("CLIENT TRACKING ON"), Reply::ok());
    tracks.call(["MGET".to_owned()].into_iter().chain((0..100).map(|n| format!("key:{n}"))));
    until("it is said", id, &|line| figure(line, "tot-mem") >= 15_000);
    // What it does not read.
    let mut reads = Peer::connect_with_small_window(server.addr());
    let id = reads.ask("CLIENT ID").int();
    assert_eq!(tracks.call(["SET", "large", &"v".repeat(4 << 20)]), Reply::ok());
    (0..8).for_each(|_| reads.send(&encode(["GET", "large"])));
    let said = until("it is said", id, &|line| figure(line, "omem") > MIB);
    assert!(figure(&said, "obl") > MIB && figure(&said, "tot-mem") >= figure(&said, "omem"), "{said}");
    // It is what is counted.
    let mut peer = server.peer();
    wait::until("together they hold what is counted", || {
        let all = peer.ask("CLIENT LIST").text();
        let sum: u64 = all.lines().map(|line| figure(line, "tot-mem")).sum();
        let counted = held(&server);
        (sum > MIB && sum <= counted && counted <= sum + MIB).then_some(())
    });
    // And nothing is left of it.
    assert_eq!(queues.ask("DISCARD"), Reply::ok());
    assert_eq!(watches.ask("UNWATCH"), Reply::ok());
    let (queues_id, watches_id) = (queues.ask("CLIENT ID").int(), watches.ask("CLIENT ID").int());
    for id in [queues_id, watches_id] {
        let said = until("it is said", id, &|line| figure(line, "tot-mem") == 0);
        assert_eq!(["multi-mem", "watch", "qbuf", "omem"].map(|field| figure(&said, field)), [0; 4]);
    }
}
