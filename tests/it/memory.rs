//! Memory is bounded however fast clients write and however large the values are: resident memory against what the README
//! promises.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use modb_tests::peer::encode;
use modb_tests::random::Random;
use modb_tests::{Launch, Platform, Reply, Server};

/// What a server takes beside `--cache-mb`, in bytes, as the README says.
const BESIDE_CACHE_BYTES: u64 = 96 << 20;

/// Writers that overwrite keys at full speed.
struct Load {
    cache_mb: u64,
    clients: usize,
    pipeline: usize,
    value_bytes: usize,
    keys_per_client: u64,
    /// What is written in all.
    total_bytes: u64,
    /// What the connections may hold of requests that are not complete, in bytes.
    connections_bytes: u64,
}

impl Load {
    fn run(&self, platform: &Platform) {
        let server = Launch::new(platform).with("--cache-mb", &self.cache_mb.to_string()).start();
        let (written, done) = (AtomicU64::new(0), AtomicBool::new(false));
        let peak = thread::scope(|scope| {
            let watcher = scope.spawn(|| watch(&server, &done));
            let writers: Vec<_> = (0..self.clients)
                .map(|client| {
                    let (server, written) = (&server, &written);
                    scope.spawn(move || self.write(client as u64, server, written))
                })
                .collect();
            writers.into_iter().for_each(|writer| writer.join().expect("it writes"));
            done.store(true, Ordering::Relaxed);
            watcher.join().expect("it watches")
        });
        let promised = (self.cache_mb << 20) + BESIDE_CACHE_BYTES + self.connections_bytes;
        println!("peak {} MiB, promised {}", peak.rss_bytes >> 20, promised >> 20);
        println!("slowest GET beside it: {:?} of {}", peak.slowest_get, peak.gets);
        assert!(peak.rss_bytes <= promised, "{} MiB, promised {}", peak.rss_bytes >> 20, promised >> 20);
    }

    fn write(&self, client: u64, server: &Server, written: &AtomicU64) {
        let (mut peer, mut random) = (server.peer(), Random::new(client));
        let value = random.bytes(self.value_bytes);
        while written.load(Ordering::Relaxed) < self.total_bytes {
            let mut wire = Vec::new();
            for _ in 0..self.pipeline {
                let key = format!("k{client}:{}", random.below(self.keys_per_client));
                wire.extend(encode([&b"SET"[..], key.as_bytes(), &value]));
            }
            peer.send(&wire);
            assert!(peer.replies(self.pipeline).iter().all(|reply| *reply == Reply::ok()));
            written.fetch_add(wire.len() as u64, Ordering::Relaxed);
        }
    }
}

#[derive(Default)]
struct Peak {
    rss_bytes: u64,
    slowest_get: Duration,
    gets: u64,
}

fn watch(server: &Server, done: &AtomicBool) -> Peak {
    let (mut peak, mut peer) = (Peak::default(), server.peer());
    while !done.load(Ordering::Relaxed) {
        peak.rss_bytes = peak.rss_bytes.max(server.rss_bytes().unwrap_or(0));
        let begin = Instant::now();
        let _ = peer.ask("GET k0:0");
        peak.slowest_get = peak.slowest_get.max(begin.elapsed());
        peak.gets += 1;
    }
    peak
}

pub(crate) fn pipelined_writes_of_4_kib_stay_within_the_promise(platform: &Platform) {
    Load {
        cache_mb: 32,
        clients: 64,
        pipeline: 64,
        value_bytes: 4096,
        keys_per_client: 10_000,
        total_bytes: 256 << 20,
        connections_bytes: 0,
    }
    .run(platform);
}

pub(crate) fn values_of_16_mb_stay_within_the_promise(platform: &Platform) {
    const VALUE_BYTES: usize = 16 << 20;
    const CLIENTS: usize = 8;
    Load {
        cache_mb: 64,
        clients: CLIENTS,
        pipeline: 1,
        value_bytes: VALUE_BYTES,
        keys_per_client: 4,
        total_bytes: 640 << 20,
        // Each holds a request, in a buffer of up to twice its bytes; and single values are on their way: in the log's buffers, in
        // the block that a flush writes, in the blocks that a compaction reads.
        connections_bytes: (CLIENTS * 2 * VALUE_BYTES + 16 * VALUE_BYTES) as u64,
    }
    .run(platform);
}
