//! The disk that data take, while they are overwritten, deleted and flushed as fast as can be: what is dead goes.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use modb_tests::peer::encode;
use modb_tests::random::Random;
use modb_tests::{Launch, Peer, Platform, Reply, Server, wait};

const WRITERS: u64 = 4;
/// What the log and runs that are not merged yet may take, whatever the data.
const BESIDE_BYTES: u64 = 1 << 30;
/// Of so many writes one is a deletion.
const WRITES_PER_DELETION: u64 = 8;

/// What is written over and over.
struct Load {
    keys: u64,
    /// Each value has from half of this up to this.
    value_bytes: u64,
    pipeline: usize,
    /// How long it goes on between two FLUSHALLs.
    until_flushed: Duration,
}

const SMALL: Load =
    Load { keys: 400_000, value_bytes: 1_000, pipeline: 100, until_flushed: Duration::from_secs(40) };
const LARGE: Load =
    Load { keys: 60, value_bytes: 5_000_000, pipeline: 1, until_flushed: Duration::from_secs(20) };

impl Load {
    /// Twice what lives at most, and the rest.
    fn most_bytes(&self) -> u64 {
        2 * self.keys * self.value_bytes * 3 / 4 + BESIDE_BYTES
    }
}

pub(crate) fn long_the_disk_holds_twice_what_lives_and_a_gibibyte_for_ten_minutes(platform: &Platform) {
    hold(platform, &SMALL, Duration::from_secs(600));
}

pub(crate) fn long_the_disk_holds_twice_what_lives_and_a_gibibyte_beside_large_values(platform: &Platform) {
    hold(platform, &LARGE, Duration::from_secs(90));
}

fn hold(platform: &Platform, load: &Load, time: Duration) {
    let server = Launch::new(platform).start();
    let (over, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let most_seen = thread::scope(|scope| {
        let _over = wait::Over(&over);
        for writer in 0..WRITERS {
            let (server, over, written) = (&server, &over, &written);
            scope.spawn(move || write(&mut server.peer(), load, writer, over, written));
        }
        watch(&server, load, time)
    });
    let (written, most) = (written.load(Ordering::Relaxed), load.most_bytes());
    println!("{written} bytes written, {most_seen} on the disk at most, {most} allowed");
    assert!(most_seen <= most, "{most_seen} bytes on the disk");
    assert!(written > load.keys * load.value_bytes, "too little to show anything: {written} bytes");
}

/// The most that there was on the disk.
fn watch(server: &Server, load: &Load, time: Duration) -> u64 {
    let (mut flushed, mut most) = (Instant::now(), 0);
    let mut peer = server.peer();
    wait::within(time, || {
        most = most.max(bytes_in(server.launch().folder()));
        if flushed.elapsed() > load.until_flushed {
            assert_eq!(peer.ask("FLUSHALL"), Reply::ok());
            flushed = Instant::now();
        }
        None::<()>
    });
    most
}

/// Sets and deletes its part of the keys.
fn write(peer: &mut Peer, load: &Load, writer: u64, over: &AtomicBool, written: &AtomicU64) {
    let mut random = Random::new(writer);
    let bytes = random.bytes(usize::try_from(2 * load.value_bytes).expect("it fits"));
    while !over.load(Ordering::Acquire) {
        let mut requests = Vec::new();
        for _ in 0..load.pipeline {
            let key = format!("k{}", random.below(load.keys / WRITERS) * WRITERS + writer);
            if random.below(WRITES_PER_DELETION) == 0 {
                requests.extend(encode(["DEL", &key]));
                continue;
            }
            let length = load.value_bytes / 2 + random.below(load.value_bytes / 2);
            let begin = random.below(load.value_bytes);
            let value = &bytes[begin as usize..(begin + length) as usize];
            requests.extend(encode([&b"SET"[..], key.as_bytes(), value]));
            written.fetch_add(length, Ordering::Relaxed);
        }
        peer.send(&requests);
        assert!(peer.replies(load.pipeline).iter().all(|reply| reply.error().is_none()));
    }
}

/// Of all files in a folder, those that vanish meanwhile left out.
fn bytes_in(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(of) if of.is_dir() => bytes_in(&entry.path()),
        Ok(of) => of.len(),
        Err(_) => 0,
    });
    bytes.sum()
}
