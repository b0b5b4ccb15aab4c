//! What `INFO` says beside what `counts.rs` looks at: what comes and goes, who listens, the log, and what tools of Redis ask for.

use std::collections::BTreeMap;

use modb_tests::peer::encode;
use modb_tests::{Launch, Peer, Platform, Reply, Server, wait};

fn info(server: &Server) -> BTreeMap<String, String> {
    let text = server.peer().ask("INFO everything").text();
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn number(said: &BTreeMap<String, String>, field: &str) -> u64 {
    said.get(field).unwrap_or_else(|| panic!("no {field}")).parse().expect("a number")
}

/// Waits until a number of `INFO` has grown by so much: connections end when their workers see it.
fn wait_until_grown(server: &Server, before: &BTreeMap<String, String>, field: &str, by: u64) {
    let mut last = 0;
    let grown = wait::within(wait::DEADLINE, || {
        last = number(&info(server), field) - number(before, field);
        (last >= by).then_some(last)
    });
    assert_eq!(grown, Some(by), "{field}: {last}");
}

pub(crate) fn what_info_says_of_those_who_come_and_go_is_so(platform: &Platform) {
    const PEERS: u64 = 5;
    let server = Launch::new(platform).start();
    let before = info(&server);
    let peers: Vec<Peer> = (0..PEERS).map(|_| server.peer()).collect();
    let mut ears = server.peer();
    ears.ask("SUBSCRIBE a");
    ears.ask("PSUBSCRIBE b*");
    ears.ask("PSUBSCRIBE c*");
    let there = info(&server);
    // Each look is one who comes as well.
    let came = number(&there, "total_connections_received") - number(&before, "total_connections_received");
    assert_eq!(came, PEERS + 2);
    let listens = ["pubsub_clients", "pubsub_channels", "pubsub_patterns"].map(|field| number(&there, field));
    assert_eq!(listens, [1, 1, 2]);
    let of_workers = |said: &BTreeMap<String, String>, field: &str| -> u64 {
        let workers = said.iter().filter(|(name, _)| {
            name.strip_prefix("worker").is_some_and(|number| number.parse::<usize>().is_ok())
        });
        let counted = workers.flat_map(|(_, line)| line.split(',')).filter_map(|pair| pair.split_once('='));
        counted.filter(|(name, _)| *name == field).map(|(_, n)| n.parse::<u64>().expect("a number")).sum()
    };
    // A worker counts at the end of its turn: some that have gone, or the one who asks, may be counted still, or not yet.
    wait::until("workers have counted them", || {
        let said = info(&server);
        let are_there =
            of_workers(&said, "accepted") >= PEERS + 2 && of_workers(&said, "connections") > PEERS;
        are_there.then_some(())
    });
    assert!(["turns", "bytes_in", "bytes_out"].iter().all(|field| of_workers(&there, field) > 0));

    let before = info(&server);
    peers.into_iter().for_each(Peer::reset);
    if !platform.wine {
        // There a reset is told as an end, as which each look ends, too.
        wait_until_grown(&server, &before, "modb_closed_peer_reset", PEERS);
    }
    assert_eq!(ears.ask("QUIT"), Reply::ok());
    ears.read_to_close();
    let mut idle: Vec<Peer> = (0..PEERS).map(|_| server.peer()).collect();
    let before = info(&server);
    assert_eq!(server.peer().ask("CONFIG SET timeout 1"), Reply::ok());
    assert!(idle.iter_mut().all(|peer| peer.is_closed_within(wait::DEADLINE)), "who is idle is closed");
    // Where the machine stands still whoever asks is idle, too.
    wait::until("nobody is closed any more", || {
        let mut peer = server.peer();
        let set = peer.try_send(&encode(["CONFIG", "SET", "timeout", "0"])).and_then(|()| peer.try_reply());
        set.is_ok_and(|reply| reply == Reply::ok()).then_some(())
    });
    wait::until("they are counted", || {
        let closed = number(&info(&server), "modb_closed_idle") - number(&before, "modb_closed_idle");
        (closed >= PEERS).then_some(())
    });
    let said = info(&server);
    assert_eq!(
        ["pubsub_clients", "pubsub_channels", "pubsub_patterns"].map(|field| number(&said, field)),
        [0; 3]
    );
}

pub(crate) fn what_info_says_of_the_log_and_to_tools_is_so(platform: &Platform) {
    const VALUE_BYTES: u64 = 100_000;
    let server = Launch::new(platform).with_durability("always").start();
    let before = info(&server);
    let value = vec![b'v'; VALUE_BYTES as usize];
    assert_eq!(server.peer().call([&b"SET"[..], b"k", &value]), Reply::ok());
    let after = info(&server);
    for field in ["modb_store_log_written_bytes", "modb_store_log_bytes"] {
        let grown = number(&after, field) - number(&before, field);
        assert!((VALUE_BYTES..2 * VALUE_BYTES).contains(&grown), "{field}: {grown}");
    }
    if !platform.wine {
        // It has numbers of its own.
        assert_eq!(after["process_id"], server.pid().to_string());
    }
    let id = &after["run_id"];
    assert!(id.len() == 40 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
    assert_eq!((id, id), (&before["run_id"], &after["master_replid"]));
    for (field, value) in [
        ("redis_mode", "standalone"),
        ("role", "master"),
        ("connected_slaves", "0"),
        ("cluster_enabled", "0"),
        ("loading", "0"),
        ("aof_enabled", "1"),
        ("rdb_bgsave_in_progress", "0"),
        ("rdb_last_bgsave_status", "ok"),
        ("maxmemory_policy", "noeviction"),
        ("evicted_keys", "0"),
        ("modb_waiting_writers", "0"),
        ("modb_store_waiting_threads", "0"),
    ] {
        assert_eq!(after[field], value, "{field}");
    }
    // Another run is another one.
    let again = server.restart();
    assert_ne!(info(&again)["run_id"], *id);
}
