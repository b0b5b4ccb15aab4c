//! Many connections: what an idle one costs in memory and processor time, and whether busy ones are spread.

use std::time::Duration;

use modb_tests::platform::Product;
use modb_tests::{Launch, Peer, Platform, Reply, Server, skip, sys, wait};

use crate::limits::clients;

const PONG: &[u8] = b"+PONG\r\n";

const MOST_FOR_WINE: usize = 250;

/// How many connections a scenario takes that would like `count`. For each event Wine's server looks at every socket that is
/// waited for, in one thread for all programs: a thousand keep it from serving the other scenarios for seconds.
fn for_this(platform: &Platform, count: usize) -> usize {
    if platform.wine { count.min(MOST_FOR_WINE) } else { count }
}

/// Opens `count` connections and sends one request on each.
fn open(server: &Server, count: usize) -> Vec<Peer> {
    let mut peers: Vec<Peer> = (0..count).map(|_| server.peer()).collect();
    for peer in &mut peers {
        peer.send(b"PING\r\n");
    }
    for peer in &mut peers {
        peer.expect(PONG);
    }
    peers
}

pub(crate) fn idle_connections_cost_little_memory(platform: &Platform) {
    // On Windows the poller keeps its request for a socket in the process, not in the kernel; and few connections share
    // what the first ones cost.
    let bytes_each = if platform.windows_server { 3072 } else { 704 };
    let connections = for_this(platform, 10_000);
    let allowed = sys::raise_descriptor_limit(connections as u64 + 2000);
    if allowed < connections as u64 + 500 {
        skip!("needs {connections} descriptors, the system allows {allowed}");
    }
    let server = Launch::new(platform).with("--maxclients", "11000").start();
    drop(open(&server, 100));
    let mut watcher = server.peer();
    wait::until("the first ones are gone", || (clients(&mut watcher) == 1).then_some(()));
    let before = server.rss_bytes().expect("this system tells");
    let peers = open(&server, connections);
    let each = (server.rss_bytes().expect("this system tells").saturating_sub(before)) / connections as u64;
    println!("{each} bytes of RSS per idle connection");
    assert!(each <= bytes_each, "{each} bytes of RSS per idle connection");
    drop(peers);
    wait::until("they are gone", || (clients(&mut watcher) == 1).then_some(()));
}

pub(crate) fn a_thousand_busy_connections_are_spread_over_all_workers(platform: &Platform) {
    const WORKERS: usize = 4;
    const ROUNDS: usize = 20;
    let connections = for_this(platform, 1000);
    sys::raise_descriptor_limit(connections as u64 + 1000);
    let mut launch = Launch::new(platform);
    if platform.product == Product::Modb {
        launch = launch.with("--workers", &WORKERS.to_string());
    }
    let server = launch.start();
    let mut peers = open(&server, connections);
    for round in 0..ROUNDS {
        for (n, peer) in peers.iter_mut().enumerate() {
            peer.send(&modb_tests::peer::encode(["SET", &format!("busy:{n}"), &round.to_string()]));
        }
        for peer in &mut peers {
            assert_eq!(peer.reply(), Reply::ok());
        }
    }
    let mut watcher = server.peer();
    assert_eq!(watcher.ask("DBSIZE"), Reply::Int(connections as i64));
    assert_eq!(clients(&mut watcher), connections + 1);
    if platform.product == Product::Modb {
        let counts = connections_per_worker(&mut watcher);
        assert_eq!(counts.len(), WORKERS, "{counts:?}");
        assert_eq!(counts.iter().sum::<usize>(), connections + 1, "{counts:?}");
        let fair = connections / WORKERS;
        assert!(counts.iter().all(|&n| n > fair / 2 && n < fair * 2), "{counts:?}");
    }
}

/// What `INFO` counts for each worker: `worker0:connections=12,...`.
fn connections_per_worker(peer: &mut Peer) -> Vec<usize> {
    let info = peer.ask("INFO everything").text();
    let mut counts = Vec::new();
    for line in info.lines() {
        let Some((name, fields)) = line.split_once(':') else { continue };
        let is_worker = name.strip_prefix("worker").is_some_and(|n| n.parse::<usize>().is_ok());
        let count = fields.split(',').find_map(|field| field.trim().strip_prefix("connections="));
        if let (true, Some(count)) = (is_worker, count) {
            counts.push(count.parse().expect("a count is a number"));
        }
    }
    counts
}

pub(crate) fn idle_connections_cost_no_processor_time(platform: &Platform) {
    // Ten times the promise: a machine that runs other tests meanwhile charges for the switches.
    idle(platform, Duration::from_secs(3), 10);
}

pub(crate) fn long_idle_for_a_minute_costs_less_than_one_percent(platform: &Platform) {
    idle(platform, Duration::from_secs(60), 1);
}

fn idle(platform: &Platform, time: Duration, percent: u32) {
    let connections = for_this(platform, 1000);
    sys::raise_descriptor_limit(connections as u64 + 1000);
    let server = Launch::new(platform).start();
    let _peers = open(&server, connections);
    let Some(rests) = server.rests(time, percent) else { skip!("this system does not tell processor time") };
    assert!(rests, "{connections} idle connections cost more than {percent} % of a processor");
}

pub(crate) fn connections_come_and_go_without_a_leak(platform: &Platform) {
    const ROUNDS: usize = 20;
    const CONNECTIONS: usize = 100;
    const GROWTH_BYTES: u64 = 8 << 20;
    let server = Launch::new(platform).start();
    let mut watcher = server.peer();
    let mut come_and_go = || {
        drop(open(&server, CONNECTIONS));
        wait::until("they are gone", || (clients(&mut watcher) == 1).then_some(()));
    };
    come_and_go();
    let before = server.rss_bytes();
    for _ in 0..ROUNDS {
        come_and_go();
    }
    if let (Some(before), Some(after)) = (before, server.rss_bytes()) {
        assert!(after < before + GROWTH_BYTES, "grew from {before} to {after} bytes");
    }
}
