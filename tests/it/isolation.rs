//! What one client sees of the commands of another: all of it or nothing, and who waits for whom.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use modb_tests::peer::encode;
use modb_tests::platform::Product;
use modb_tests::{Launch, Platform, Reply};

/// Keys of one `MSET`: so many that it takes milliseconds to make them visible.
const KEYS: usize = 5_000;
/// Pairs of `GET` in one pipeline.
const PAIRS: usize = 32;

pub(crate) fn nobody_sees_half_of_a_command(platform: &Platform) {
    torn_pairs(platform, 2, Duration::from_secs(2));
}

pub(crate) fn long_nobody_sees_half_of_a_command_in_a_minute(platform: &Platform) {
    torn_pairs(platform, 4, Duration::from_secs(60));
}

/// One client sets all keys again and again, the others read one of the keys and then another: what comes later is
/// never older.
fn torn_pairs(platform: &Platform, workers: usize, time: Duration) {
    const READERS: usize = 3;
    let server = start(platform, workers);
    let key = |n: usize| format!("key:{n}");
    let set_all = |value: u64| {
        let value = value.to_string();
        let words = (0..KEYS).flat_map(|n| [key(n), value.clone()]);
        encode(std::iter::once("MSET".to_owned()).chain(words))
    };
    let mut writer = server.peer();
    writer.send(&set_all(0));
    assert_eq!(writer.replies(1), [Reply::ok()]);
    let done = AtomicBool::new(false);
    let (mut rounds, mut pairs, mut torn, mut between) = (0, 0, 0, 0);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                let (server, done) = (&server, &done);
                scope.spawn(move || {
                    let mut peer = server.peer();
                    // In both orders: whichever is made visible first.
                    let (first, then) = if reader % 2 == 0 { (0, KEYS - 1) } else { (KEYS - 1, 0) };
                    let wire =
                        [encode(["GET", &key(first)]), encode(["GET", &key(then)])].concat().repeat(PAIRS);
                    let value = |reply: &Reply| reply.text().parse::<u64>().expect("a number was set");
                    let (mut pairs, mut torn, mut between) = (0, 0, 0);
                    while !done.load(Ordering::Relaxed) {
                        peer.send(&wire);
                        let values: Vec<u64> = peer.replies(2 * PAIRS).iter().map(value).collect();
                        pairs += PAIRS;
                        torn += values.windows(2).filter(|two| two[1] < two[0]).count();
                        between += usize::from(values.first() != values.last());
                    }
                    (pairs, torn, between)
                })
            })
            .collect();
        let end = Instant::now() + time;
        while Instant::now() < end {
            rounds += 1;
            writer.send(&set_all(rounds));
            assert_eq!(writer.replies(1), [Reply::ok()]);
        }
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            let (more, bad, met) = reader.join().expect("the reader did not panic");
            (pairs, torn, between) = (pairs + more, torn + bad, between + met);
        }
    });
    println!("{rounds} commands of {KEYS} keys, {pairs} pairs, {between} pipelines met one, {torn} torn");
    assert!(between > 0, "no reader met a command while it became visible: nothing was tested");
    assert_eq!(torn, 0, "of {pairs} pairs");
}

fn start(platform: &Platform, workers: usize) -> modb_tests::Server {
    let launch = Launch::new(platform);
    let launch = if platform.product == Product::Modb {
        launch.with("--workers", &workers.to_string())
    } else {
        launch
    };
    launch.start()
}
