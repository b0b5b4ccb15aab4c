//! What one client notices while others give the store much to do: readers beside writers of large values, writers beside a
//! backup. Each is held to 100 ms, or to twice what the same client notices beside threads that only burn processor time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use modb_tests::peer::encode;
use modb_tests::random::Random;
use modb_tests::{Launch, Peer, Platform, Reply, Server, wait};

use crate::care::care_served;

const WRITERS: usize = 8;
const LARGE_BYTES: usize = 16 << 20;
/// How long each is watched.
const TIME: Duration = Duration::from_secs(20);
/// Whoever is watched rests so long between two requests.
const PAUSE: Duration = Duration::from_millis(2);
/// Below this nobody complains.
const MOST: Duration = Duration::from_millis(100);

/// How long replies took, ascending.
struct Waits(Vec<Duration>);

impl Waits {
    /// Of one request after the other, until it is over.
    fn of(peer: &mut Peer, request: &[u8], reply: &Reply, over: &AtomicBool) -> Self {
        let mut waits = Vec::new();
        while !over.load(Ordering::Acquire) {
            let begin = Instant::now();
            peer.send(request);
            assert_eq!(peer.reply(), *reply);
            waits.push(begin.elapsed());
            thread::sleep(PAUSE); // the pace of the one who is watched
        }
        waits.sort_unstable();
        Self(waits)
    }

    fn part(&self, part: f64) -> Duration {
        self.0[((self.0.len() - 1) as f64 * part) as usize]
    }

    fn print(&self, what: &str) {
        let [p50, p99, most] = [0.5, 0.99, 1.0].map(|part| self.part(part));
        println!(
            "{what}: {} replies, half within {p50:?}, 99 % within {p99:?}, all within {most:?}",
            self.0.len()
        );
    }

    fn hold_to(&self, control: &Self) {
        let most = MOST.max(2 * control.part(0.99));
        assert!(self.part(0.99) <= most, "{:?}, {most:?} allowed", self.part(0.99));
    }
}

/// What the one who is watched waits while so many threads do something.
fn beside(
    (peer, request, reply): (&mut Peer, &[u8], &Reply),
    threads: usize,
    act: impl Fn(usize, &AtomicBool) + Sync,
) -> Waits {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let over_at_the_end = wait::Over(&over);
        for n in 0..threads {
            let (act, over) = (&act, &over);
            scope.spawn(move || act(n, over));
        }
        let timer = &over;
        scope.spawn(move || {
            wait::within(TIME, || timer.load(Ordering::Acquire).then_some(()));
            timer.store(true, Ordering::Release);
        });
        let waits = Waits::of(peer, request, reply, &over);
        drop(over_at_the_end);
        waits
    })
}

fn burn(over: &AtomicBool) {
    while !over.load(Ordering::Acquire) {
        std::hint::spin_loop();
    }
}

pub(crate) fn long_readers_beside_8_writers_of_16_mb_wait_no_longer_than_beside_busy_threads(
    platform: &Platform,
) {
    for workers in ["1", "2"] {
        let server = Launch::new(platform).with("--workers", workers).start();
        let mut peer = server.peer();
        assert_eq!(peer.ask("SET k v"), Reply::ok());
        let get = encode(["GET", "k"]);
        let control = beside((&mut peer, &get, &Reply::bulk("v")), WRITERS, |_, over| burn(over));
        control.print(&format!("{workers} workers, beside {WRITERS} that burn"));
        let waits = beside((&mut peer, &get, &Reply::bulk("v")), WRITERS, |n, over| {
            let mut peer = server.peer();
            let value = Random::new(n as u64).bytes(LARGE_BYTES);
            let set = encode([&b"SET"[..], format!("big{n}").as_bytes(), &value]);
            while !over.load(Ordering::Acquire) {
                peer.send(&set);
                assert_eq!(peer.reply(), Reply::ok());
            }
        });
        waits.print(&format!("{workers} workers, beside {WRITERS} that write"));
        waits.hold_to(&control);
    }
}

/// As many, of 10 KiB, make up a gigabyte.
const RECORDS: u64 = 100_000;
const RECORD_BYTES: usize = 10 << 10;

pub(crate) fn long_writers_beside_a_backup_of_a_gigabyte_wait_at_most_twice_as_long(platform: &Platform) {
    let server = Launch::new(platform).with("--workers", "2").start();
    fill(&server);
    let mut peer = server.peer();
    let set = encode(["SET", "k", "v"]);
    let set = (&set[..], Reply::ok());
    // Memory is dirty throughout: another one writes as well.
    let write = |over: &AtomicBool| {
        let (mut peer, mut random) = (server.peer(), Random::new(7));
        let value = random.bytes(RECORD_BYTES);
        while !over.load(Ordering::Acquire) {
            let key = format!("r{}", random.below(RECORDS));
            peer.send(&encode([&b"SET"[..], key.as_bytes(), &value]));
            assert_eq!(peer.reply(), Reply::ok());
        }
    };
    let control =
        beside((&mut peer, set.0, &set.1), 2, |n, over| if n == 0 { write(over) } else { burn(over) });
    control.print("beside a writer and one that burns");
    let copies = tempfile::tempdir().expect("a folder");
    let waits = beside((&mut peer, set.0, &set.1), 2, |n, over| {
        if n == 0 {
            return write(over);
        }
        let begin = Instant::now();
        let outcome = care_served(&[&"backup", &copies.path().join("copy"), &"--full"], &server);
        assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
        println!("{} after {:?}", outcome.stdout.trim(), begin.elapsed());
        over.store(true, Ordering::Release);
    });
    waits.print("beside a writer and a backup");
    waits.hold_to(&control);
}

fn fill(server: &Server) {
    let (mut peer, mut random) = (server.peer(), Random::new(1));
    for first in (0..RECORDS).step_by(100) {
        let value = random.bytes(RECORD_BYTES);
        let set = |n| encode([&b"SET"[..], format!("r{n}").as_bytes(), &value]);
        peer.send(&(first..first + 100).flat_map(set).collect::<Vec<u8>>());
        assert!(peer.replies(100).iter().all(|reply| *reply == Reply::ok()));
    }
}
