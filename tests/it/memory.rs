//! Memory is bounded however fast clients write and however large the values are: the most that was ever resident, against
//! what the README promises; and that much is enough where the system gives no more.
//!
//! Others are served meanwhile: whoever only reads does not wait for the flusher as those do who write.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use modb_tests::peer::encode;
use modb_tests::random::Random;
use modb_tests::{Launch, Platform, Reply, Server, skip, sys, wait};

const MIB: u64 = 1 << 20;
/// What a server takes beside `--cache-mb`, in bytes, as the README says.
const BESIDE_CACHE_BYTES: u64 = 96 * MIB;
/// What its connections hold, in bytes: `maxmemory-clients` as it is without being set.
const CONNECTIONS_BYTES: u64 = 256 * MIB;

/// How often one who only reads asks.
const GET_INTERVAL: Duration = Duration::from_millis(2);

/// How long one in a hundred of its GETs may take, or twice as long as beside threads that are only busy.
const GETS_P99: Duration = Duration::from_millis(100);

/// What a client sends at once, again and again.
#[derive(Clone, Copy)]
enum Request {
    /// So many SETs.
    Sets(usize),
    /// An MSET of so many keys.
    Mset(u64),
    /// An APPEND to each of so many keys.
    Appends(u64),
}

/// Writers at full speed.
#[derive(Clone, Copy)]
struct Load {
    cache_mb: u64,
    clients: usize,
    request: Request,
    value_bytes: usize,
    keys_per_client: u64,
    /// What is written in all.
    total_bytes: u64,
    /// What the connections may hold, in bytes.
    connections_bytes: u64,
}

const SMALL_VALUES: Load = Load {
    cache_mb: 32,
    clients: 64,
    request: Request::Sets(64),
    value_bytes: 4096,
    keys_per_client: 10_000,
    total_bytes: 256 * MIB,
    // Each request is small, and executed as it comes.
    connections_bytes: 0,
};

const LARGE_VALUES: Load = Load {
    cache_mb: 256,
    clients: 8,
    request: Request::Sets(1),
    value_bytes: 16 << 20,
    keys_per_client: 4,
    total_bytes: 384 * MIB,
    connections_bytes: CONNECTIONS_BYTES,
};

const LARGE_BATCHES: Load = Load {
    cache_mb: 64,
    clients: 2,
    request: Request::Mset(1000),
    value_bytes: 100_000,
    keys_per_client: 1000,
    total_bytes: 300 * MIB,
    // One of 100 MB takes three times that while it runs, which is more than all connections may hold otherwise.
    connections_bytes: CONNECTIONS_BYTES + 300_000_000,
};

const GROWING_VALUES: Load = Load {
    cache_mb: 64,
    clients: 4,
    request: Request::Appends(1000),
    value_bytes: 4000,
    keys_per_client: 1000,
    total_bytes: 64 * MIB,
    connections_bytes: 0,
};

impl Load {
    fn promised_bytes(&self) -> u64 {
        self.cache_mb * MIB + BESIDE_CACHE_BYTES + self.connections_bytes
    }

    fn launch(&self, platform: &Platform) -> Launch {
        Launch::new(platform).with("--cache-mb", &self.cache_mb.to_string())
    }

    /// Runs it and holds the server to the promise.
    fn stays_within_the_promise(&self, platform: &Platform) {
        wait::not_each_time(|| self.delays_of_others(platform));
    }

    /// Holds a server to the promise of memory, and says what others met if they had to wait for long.
    fn delays_of_others(&self, platform: &Platform) -> Option<String> {
        let server = self.launch(platform).start();
        let gets = self.run(&server);
        let peak_bytes = sys::peak_rss_bytes(server.pid()).unwrap_or(0);
        let said =
            format!("at most {} MiB, promised {}; {gets}", peak_bytes / MIB, self.promised_bytes() / MIB);
        println!("{said}");
        assert!(peak_bytes <= self.promised_bytes(), "{said}");
        // As the machine is.
        let control = beside_busy_threads(&server);
        println!("beside busy threads: {control}");
        let bound = (2 * control.p99()).max(GETS_P99);
        (gets.p99() > bound).then(|| format!("{gets}; beside busy threads: {control}"))
    }

    fn run(&self, server: &Server) -> Gets {
        let (written, done) = (AtomicU64::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            let watcher = scope.spawn(|| watch(server, &done));
            let writers: Vec<_> = (0..self.clients)
                .map(|client| {
                    let written = &written;
                    scope.spawn(move || self.write(client as u64, server, written))
                })
                .collect();
            let over = wait::Over(&done);
            writers.into_iter().for_each(|writer| writer.join().expect("it writes"));
            drop(over);
            watcher.join().expect("it watches")
        })
    }

    fn write(&self, client: u64, server: &Server, written: &AtomicU64) {
        let (mut peer, mut random) = (server.peer(), Random::new(client));
        let value = random.bytes(self.value_bytes);
        while written.load(Ordering::Relaxed) < self.total_bytes {
            let requests = self.requests(client, &mut random, &value);
            let wire = requests.concat();
            peer.send(&wire);
            assert!(peer.replies(requests.len()).iter().all(|reply| reply.error().is_none()));
            written.fetch_add(wire.len() as u64, Ordering::Relaxed);
        }
    }

    fn requests(&self, client: u64, random: &mut Random, value: &[u8]) -> Vec<Vec<u8>> {
        let key = |n: u64| format!("k{client}:{n}").into_bytes();
        match self.request {
            Request::Sets(count) => {
                let keys = (0..count).map(|_| key(random.below(self.keys_per_client)));
                keys.map(|key| encode([b"SET", &key[..], value])).collect()
            }
            Request::Mset(keys) => {
                let keys: Vec<_> = (0..keys).map(key).collect();
                let pairs = keys.iter().flat_map(|key| [&key[..], value]);
                vec![encode([&b"MSET"[..]].into_iter().chain(pairs))]
            }
            // The same keys for all.
            Request::Appends(keys) => {
                (0..keys).map(|n| encode([b"APPEND", format!("a{n}").as_bytes(), value])).collect()
            }
        }
    }
}

/// What one who only reads meets beside the load.
struct Gets {
    took: Vec<Duration>,
}

impl Gets {
    fn p99(&self) -> Duration {
        self.took[self.took.len() * 99 / 100]
    }
}

impl std::fmt::Display for Gets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (count, last) = (self.took.len(), self.took.len() - 1);
        write!(f, "{count} GETs beside it: p99 {:?}, max {:?}", self.p99(), self.took[last])
    }
}

/// GETs beside a busy thread for each processor, for a second.
fn beside_busy_threads(server: &Server) -> Gets {
    let busy = thread::available_parallelism().map_or(1, usize::from);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(server, &done));
        for _ in 0..busy {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let over = wait::Over(&done);
        thread::sleep(Duration::from_secs(1));
        drop(over);
        watcher.join().expect("it watches")
    })
}

fn watch(server: &Server, done: &AtomicBool) -> Gets {
    let (mut gets, mut peer) = (Gets { took: Vec::new() }, server.peer());
    while !done.load(Ordering::Relaxed) {
        // Evenly paced, so that each moment counts the same.
        thread::sleep(GET_INTERVAL);
        let begin = Instant::now();
        assert_eq!(peer.ask("GET nothing"), Reply::NullBulk);
        gets.took.push(begin.elapsed());
    }
    gets.took.sort_unstable();
    gets
}

pub(crate) fn pipelined_writes_of_4_kib_stay_within_the_promise(platform: &Platform) {
    SMALL_VALUES.stays_within_the_promise(platform);
}

pub(crate) fn values_of_16_mb_stay_within_the_promise(platform: &Platform) {
    LARGE_VALUES.stays_within_the_promise(platform);
}

pub(crate) fn batches_of_a_thousand_large_values_stay_within_the_promise(platform: &Platform) {
    LARGE_BATCHES.stays_within_the_promise(platform);
}

pub(crate) fn a_thousand_growing_values_stay_within_the_promise(platform: &Platform) {
    GROWING_VALUES.stays_within_the_promise(platform);
}

pub(crate) fn a_restart_with_little_memory_stays_within_the_promise(platform: &Platform) {
    let load = Load { cache_mb: 1024, request: Request::Sets(64), total_bytes: 200 * MIB, ..SMALL_VALUES };
    let mut server = load.launch(platform).start();
    load.run(&server);
    server.kill();
    let little = Load { cache_mb: load.cache_mb / 32, ..load };
    let server = little.launch(platform).in_folder(server.launch().folder()).start();
    let (peak_bytes, promised) = (sys::peak_rss_bytes(server.pid()).unwrap_or(0), little.promised_bytes());
    println!("at most {} MiB, promised {}", peak_bytes / MIB, promised / MIB);
    assert!(peak_bytes <= promised, "{} MiB, promised {}", peak_bytes / MIB, promised / MIB);
    assert_ne!(server.peer().ask("DBSIZE"), Reply::Int(0));
}

pub(crate) fn the_promised_memory_is_enough(platform: &Platform) {
    for load in [SMALL_VALUES, LARGE_VALUES] {
        let group = match sys::MemoryGroup::of_bytes(load.promised_bytes()) {
            Ok(group) => group,
            Err(reason) => skip!("{reason}"),
        };
        let mut server = load.launch(platform).in_shell(&group.script()).start();
        let gets = load.run(&server);
        println!("{} MiB: {gets}", load.promised_bytes() / MIB);
        assert!(server.is_running());
        assert_eq!(server.peer().ask("PING"), Reply::Simple(b"PONG".to_vec()));
        drop(server);
    }
}

/// A collection, the command that fills it, and the words of one element.
type Filling = (&'static str, &'static str, fn(u64) -> Vec<String>);

const COLLECTIONS: [Filling; 4] = [
    ("hash", "HSET", |n| vec![format!("name:{n}"), format!("value:{n}")]),
    ("set", "SADD", |n| vec![format!("name:{n}")]),
    ("list", "RPUSH", |n| vec![format!("value:{n}")]),
    ("zset", "ZADD", |n| vec![(n * 7 % 1_000_003).to_string(), format!("name:{n}")]),
];

/// Copies share memory in the table with what they are copied from, so it takes large ones to tell what is kept too long.
///
/// With one heap for all threads: what glibc keeps in those that threads have of their own comes on top (docs/performance/ten_million.md).
/// Nor are there results of sorted sets: what those gather is in memory as a whole.
pub(crate) fn long_collections_that_come_and_go_stay_within_the_promise(platform: &Platform) {
    const CACHE_MB: u64 = 128;
    const ELEMENTS: u64 = 1_000_000;
    const AT_ONCE: u64 = 500;
    const PIPELINE: usize = 16;
    const ROUNDS: usize = 2;
    let given = std::env::var("MODB_TEST_ELEMENTS").ok();
    let elements = given.map_or(ELEMENTS, |n| n.parse().expect("MODB_TEST_ELEMENTS is a number"));
    let promised = CACHE_MB * MIB + BESIDE_CACHE_BYTES;
    let launch = Launch::new(platform).with("--cache-mb", &CACHE_MB.to_string());
    let server = launch.in_shell("MALLOC_ARENA_MAX=1 exec \"$@\"").start();
    let mut peer = server.peer();
    // However long it takes on a machine that is busy.
    peer.stream().set_read_timeout(None).expect("a timeout can be taken away");
    let begin = Instant::now();
    let over = |what: &str| {
        let (peak, now) = (sys::peak_rss_bytes(server.pid()), sys::rss_bytes(server.pid()));
        let (peak, now) = (peak.unwrap_or(0), now.unwrap_or(0) / MIB);
        println!("{:.1?}: {now} MiB, {} at most until now, behind {what}", begin.elapsed(), peak / MIB);
    };
    for (key, command, words) in COLLECTIONS {
        let firsts: Vec<u64> = (0..elements).step_by(AT_ONCE as usize).collect();
        for some in firsts.chunks(PIPELINE) {
            let request = |first: &u64| {
                let all = (*first..elements.min(first + AT_ONCE)).flat_map(words);
                encode([command.to_owned(), key.to_owned()].into_iter().chain(all))
            };
            peer.send(&some.iter().flat_map(request).collect::<Vec<u8>>());
            assert!(peer.replies(some.len()).iter().all(|reply| reply.error().is_none()));
        }
        over(&format!("{command} of {elements}"));
    }
    let all = Reply::Int(elements as i64);
    for _ in 0..ROUNDS {
        for (key, ..) in COLLECTIONS {
            for line in [&format!("COPY {key} copy:{key}")[..], &format!("COPY {key} {key}:copy")] {
                assert_eq!(peer.ask(line), Reply::Int(1), "{line}");
                over(line);
            }
        }
        for (line, reply) in [
            ("SDIFFSTORE result set nothing", &all),
            ("SUNIONSTORE result set copy:set", &all),
            ("RENAME copy:hash result", &Reply::ok()),
            ("RENAME copy:list copy:hash", &Reply::ok()),
            ("COPY hash copy:set REPLACE", &Reply::Int(1)),
            ("DEL result copy:set", &Reply::Int(2)),
            ("UNLINK copy:hash copy:zset hash:copy", &Reply::Int(3)),
            ("DEL set:copy list:copy zset:copy", &Reply::Int(3)),
        ] {
            assert_eq!(peer.ask(line), *reply, "{line}");
            over(line);
        }
    }
    for line in ["HLEN hash", "SCARD set", "LLEN list", "ZCARD zset"] {
        assert_eq!(peer.ask(line), all, "{line}");
    }
    let peak = sys::peak_rss_bytes(server.pid()).unwrap_or(0);
    assert!(peak <= promised, "{} MiB at most, promised {}", peak / MIB, promised / MIB);
}
