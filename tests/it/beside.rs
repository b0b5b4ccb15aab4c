//! What one client notices while others give the store much to do: readers beside writers of large values and beside syncs
//! of a slow disk, writers beside a backup. Each is held to 100 ms, or to twice what the same client notices beside threads that only burn processor time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use modb_tests::peer::encode;
use modb_tests::random::Random;
use modb_tests::slow_disk::SlowDisk;
use modb_tests::{Launch, Peer, Platform, Reply, Server, skip, wait};

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
pub(crate) struct Waits(Vec<Duration>);

impl Waits {
    /// Of one request after the other, until it is over.
    pub(crate) fn of(peer: &mut Peer, request: &[u8], reply: &Reply, over: &AtomicBool) -> Self {
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

    /// Within what such a part of them came, rounded up: of few the longest counts.
    fn part(&self, part: f64) -> Duration {
        self.0[((self.0.len() as f64 * part).ceil() as usize).max(1) - 1]
    }

    pub(crate) fn print(&self, what: &str) {
        let [p50, p99, most] = [0.5, 0.99, 1.0].map(|part| self.part(part));
        println!(
            "{what}: {} replies, half within {p50:?}, 99 % within {p99:?}, all within {most:?}",
            self.0.len()
        );
    }

    /// If one in a hundred takes longer than this, and than twice what it does in the control.
    pub(crate) fn complaint(&self, control: &Self, most: Duration) -> Option<String> {
        let (took, most) = (self.part(0.99), most.max(2 * control.part(0.99)));
        (took > most).then(|| format!("{took:?}, {most:?} allowed"))
    }

    fn hold_to(&self, control: &Self) {
        assert_eq!(self.complaint(control, MOST), None);
    }
}

/// What the one who is watched waits while so many threads do something.
fn beside(
    watched: (&mut Peer, &[u8], &Reply),
    threads: usize,
    act: impl Fn(usize, &AtomicBool) + Sync,
) -> Waits {
    beside_for(TIME, watched, threads, act)
}

fn beside_for(
    time: Duration,
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
            wait::within(time, || timer.load(Ordering::Acquire).then_some(()));
            timer.store(true, Ordering::Release);
        });
        let waits = Waits::of(peer, request, reply, &over);
        drop(over_at_the_end);
        waits
    })
}

pub(crate) fn burn(over: &AtomicBool) {
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

pub(crate) fn readers_beside_syncs_of_10_ms_wait_no_longer_than_where_nobody_syncs(platform: &Platform) {
    const SYNC: Duration = Duration::from_millis(10);
    const TIME: Duration = Duration::from_millis(1500);
    /// Half of what a reader waits at the 99th of a hundred whose worker is syncing.
    const MOST: Duration = SYNC.checked_div(2).expect("by two");
    let disk = match SlowDisk::with_syncs_of(SYNC) {
        Ok(disk) => disk,
        Err(why) => skip!("{why}"),
    };
    let read = |mode| {
        let launch = Launch::new(platform).with("--workers", "1").with_durability(mode);
        let server = launch.in_shell(&disk.script()).start();
        let (mut reader, written) = (server.peer(), Mutex::new(Waits(Vec::new())));
        let get = encode(["GET", "k"]);
        let waits = beside_for(TIME, (&mut reader, &get, &Reply::NullBulk), 1, |_, over| {
            let waits = Waits::of(&mut server.peer(), &encode(["SET", "other", "v"]), &Reply::ok(), over);
            *written.lock().expect("nobody panics") = waits;
        });
        waits.print(&format!("beside syncs of {SYNC:?} in {mode}"));
        (waits, written.into_inner().expect("nobody panics"), server.info("modb_store_syncs_led"))
    };
    wait::not_each_time(|| {
        let (control, _, _) = read("everysec");
        let (waits, written, led) = read("always");
        assert!(written.part(0.5) >= SYNC, "who writes does not wait for this disk");
        assert_eq!(led, "0", "a worker has synced that others wait for");
        waits.complaint(&control, MOST)
    });
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

/// How many keys there are, or were, where keys are drawn at random.
const KEYS: usize = 200_000;
const DRAWS: usize = 2000;

/// Whatever was written and deleted before, and wherever it lies. Pings in between tell how the machine is.
pub(crate) fn long_random_keys_come_within_a_millisecond_in_every_state(platform: &Platform) {
    let draw = |server: &Server, state: &str| {
        let mut peer = server.peer();
        let (mut draws, mut pings) = (Vec::new(), Vec::new());
        let mut time = |request: &str, took: &mut Vec<Duration>| {
            let begin = Instant::now();
            let reply = peer.ask(request);
            took.push(begin.elapsed());
            reply
        };
        let is_empty = time("DBSIZE", &mut Vec::new()) == Reply::Int(0);
        for _ in 0..DRAWS {
            assert_eq!(time("RANDOMKEY", &mut draws).is_null(), is_empty, "{state}");
            time("PING", &mut pings);
        }
        draws.sort_unstable();
        pings.sort_unstable();
        let (draws, pings) = (Waits(draws), Waits(pings));
        draws.print(&format!("{state}, RANDOMKEY"));
        pings.print(&format!("{state}, PING"));
        let most = Duration::from_millis(1).max(2 * pings.part(0.99));
        assert!(draws.part(0.99) <= most, "{state}: {:?}, {most:?} allowed", draws.part(0.99));
    };
    let all = |server: &Server, command: &[&str], more: &[&str], keys: std::ops::Range<usize>| {
        let mut peer = server.peer();
        for first in keys.clone().step_by(1000) {
            let wire: Vec<u8> = (first..keys.end.min(first + 1000))
                .flat_map(|n| {
                    encode(command.iter().copied().chain([&*format!("k{n}")]).chain(more.iter().copied()))
                })
                .collect();
            peer.send(&wire);
            assert!(
                peer.replies(keys.end.min(first + 1000) - first).iter().all(|reply| reply.error().is_none())
            );
        }
    };
    // All of it in memory, and a tenth of it.
    for cache_mb in ["256", "4"] {
        let with = |state: &str| format!("--cache-mb {cache_mb}, {state}");
        let server = Launch::new(platform).with("--cache-mb", cache_mb).start();
        draw(&server, &with("nothing"));
        all(&server, &["SET"], &["value"], 0..KEYS);
        draw(&server, &with("200,000 keys"));
        all(&server, &["DEL"], &[], 0..KEYS - 3);
        draw(&server, &with("3 of them left"));
        all(&server, &["DEL"], &[], KEYS - 3..KEYS);
        draw(&server, &with("none left"));
        all(&server, &["SET"], &["value"], 0..1);
        draw(&server, &with("one that is new"));
        let server = server.kill_and_restart();
        draw(&server, &with("one, after a kill"));
        all(&server, &["SET"], &["value"], 0..KEYS);
        all(&server, &["PEXPIRE"], &["1"], 1..KEYS);
        draw(&server, &with("one, and the others running out"));
        wait::until("what ran out is gone", || (server.peer().ask("DBSIZE") == Reply::Int(1)).then_some(()));
        draw(&server, &with("one, and the others run out"));
        all(&server, &["SET"], &["value"], 0..KEYS);
        assert_eq!(server.peer().ask("FLUSHALL"), Reply::ok());
        draw(&server, &with("all flushed"));
        all(&server, &["SET"], &["value"], 0..3);
        draw(&server, &with("three behind what was flushed"));
        all(&server, &["SET"], &["value"], 0..KEYS);
        let server = server.restart();
        draw(&server, &with("200,000 keys that nobody has read yet"));
    }
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
