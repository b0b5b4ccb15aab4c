//! What one client sees of the commands of another: all of it or nothing, and who waits for whom.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use modb_tests::peer::encode;
use modb_tests::platform::Product;
use modb_tests::{Launch, Peer, Platform, Reply, Server, wait};

/// Keys of one `MSET`: so many that it takes milliseconds to make them visible.
const KEYS: usize = 5_000;
/// How much longer readers may take to meet a command.
const PATIENCE: Duration = Duration::from_secs(60);
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
    let (done, met) = (AtomicBool::new(false), AtomicBool::new(false));
    let (mut rounds, mut pairs, mut torn, mut between) = (0, 0, 0, 0);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                let (server, done, met) = (&server, &done, &met);
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
                        met.fetch_or(between > 0, Ordering::Relaxed);
                    }
                    (pairs, torn, between)
                })
            })
            .collect();
        let over = wait::Over(&done);
        let end = Instant::now() + time;
        // Longer where the machine is so busy that no reader met one.
        while Instant::now() < end || (!met.load(Ordering::Relaxed) && Instant::now() < end + PATIENCE) {
            rounds += 1;
            writer.send(&set_all(rounds));
            assert_eq!(writer.replies(1), [Reply::ok()]);
        }
        drop(over);
        for reader in readers {
            let (more, bad, met) = reader.join().expect("the reader did not panic");
            (pairs, torn, between) = (pairs + more, torn + bad, between + met);
        }
    });
    println!("{rounds} commands of {KEYS} keys, {pairs} pairs, {between} pipelines met one, {torn} torn");
    assert!(between > 0, "no reader met a command while it became visible: nothing was tested");
    assert_eq!(torn, 0, "of {pairs} pairs");
}

/// A key that one client holds.
pub(crate) struct Held<'s> {
    server: &'s Server,
    holder: Peer,
}

/// Has a client hold a key until it is released, however long that takes.
pub(crate) fn hold<'s>(server: &'s Server, key: &str) -> Held<'s> {
    let mut holder = server.peer();
    holder.send(&encode(["DEBUG", "HOLD", key, "600000"]));
    wait::until("it is held", || (server.peer().ask("DEBUG HOLDS") == Reply::Int(1)).then_some(()));
    Held { server, holder }
}

impl Held<'_> {
    /// Releases it. It was held until now.
    pub(crate) fn release(mut self) {
        assert_eq!(self.server.peer().ask("DEBUG RELEASE"), Reply::Int(1), "it is held no longer");
        assert_eq!(self.holder.reply(), Reply::ok());
    }

    /// Releases it, and has the same worker do this at once.
    pub(crate) fn release_and(mut self, lines: &[&str]) {
        let mut peer = self.server.peer();
        let lines = ["DEBUG RELEASE"].iter().chain(lines);
        peer.send(&lines.flat_map(|line| encode(line.split(' '))).collect::<Vec<u8>>());
        assert_eq!(peer.reply(), Reply::Int(1), "it is held no longer");
        assert_eq!(self.holder.reply(), Reply::ok());
    }

    /// Has the server end, which releases it. It was held until now.
    pub(crate) fn release_by_shutdown(mut self) {
        let mut peer = self.server.peer();
        peer.send(&[encode(["DEBUG", "HOLDS"]), encode(["SHUTDOWN"])].concat());
        assert_eq!(peer.reply(), Reply::Int(1), "it is held no longer");
        assert_eq!(self.holder.reply(), Reply::ok());
    }
}

/// Waits until the server has begun to execute the last command of `peer`, or has no such client any more: what `CLIENT LIST` shows
/// of it.
fn wait_until_at(server: &Server, peer: &SocketAddr, command: Option<&str>) {
    let address = format!(" addr={peer} ");
    wait::until("it is there", || {
        let all = server.peer().ask("CLIENT LIST").text();
        let line = all.lines().find(|line| line.contains(&address));
        match (line, command) {
            (None, None) => Some(()),
            (Some(line), Some(command)) => line.contains(&format!(" cmd={command} ")).then_some(()),
            _ => None,
        }
    });
}

/// One client holds a key and fifty want to change it: they wait, and nobody else does.
pub(crate) fn who_wants_what_is_held_waits_and_nobody_else_does(platform: &Platform) {
    for workers in [1, 2] {
        let server = start(platform, workers);
        let mut looks = 0;
        wait::not_each_time(|| {
            looks += 1;
            delay_beside_a_holder(&server, &format!("wanted{looks}"))
        });
    }
}

/// Whether others were late while those who want `key` wait for it; these are served in the order in which they came.
fn delay_beside_a_holder(server: &Server, key: &str) -> Option<String> {
    const WANTING: usize = 50;
    // As the machine is: in which nobody holds anything.
    let control = p99_of_others(server, Duration::from_secs(1));
    let held = hold(server, key);
    let mut wanting: Vec<_> = (0..WANTING).map(|_| server.peer()).collect();
    for peer in &mut wanting {
        peer.send(&encode(["INCR", key]));
    }
    let others = p99_of_others(server, Duration::from_secs(1));
    let bound = (2 * control).max(Duration::from_millis(20));
    let said = format!("p99 of others {others:?}, without a holder {control:?}");
    println!("{said}");
    assert!(wanting.iter().all(|peer| !peer.has_come()), "it is held");
    held.release();
    let mut counts: Vec<i64> = wanting.iter_mut().map(|peer| peer.reply().int()).collect();
    counts.sort_unstable();
    assert!(counts.into_iter().eq(1..=WANTING as i64));
    (others > bound).then_some(said)
}

/// How long commands on another key take, for some time.
fn p99_of_others(server: &Server, time: Duration) -> Duration {
    let (mut peer, key) = another(server);
    let mut times = Vec::new();
    let end = Instant::now() + time;
    while Instant::now() < end {
        let begun = Instant::now();
        assert_eq!(peer.call(["SET", &key, "1"]), Reply::ok());
        assert_eq!(peer.call(["GET", &key]), Reply::bulk("1"));
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// A key that is not held together with one that is: one of a thousand is. And a connection.
fn another(server: &Server) -> (Peer, String) {
    let mut some: Vec<_> = (0..3).map(|n| (server.peer(), format!("other:{n}"))).collect();
    for (peer, key) in &mut some {
        peer.send(&encode(["SET", key, "1"]));
    }
    let at = wait::until("others need not wait", || some.iter().position(|(peer, _)| peer.has_come()));
    let (mut peer, key) = some.swap_remove(at);
    assert_eq!(peer.reply(), Reply::ok());
    (peer, key)
}

/// Clients that hold stripes all the time, each for a moment: who needs many of them, or all, gets his turn.
pub(crate) fn who_needs_many_gets_them_beside_those_who_hold_without_pause(platform: &Platform) {
    const HOLDING: usize = 50;
    const TURNS: usize = 3;
    let server = start(platform, 2);
    let done = AtomicBool::new(false);
    let held = AtomicUsize::new(0);
    thread::scope(|scope| {
        for client in 0..HOLDING {
            let (server, done, held) = (&server, &done, &held);
            scope.spawn(move || {
                let mut peer = server.peer();
                // Half of them want the same.
                let key = format!("held:{}", if client % 2 == 0 { 0 } else { client });
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(peer.call(["DEBUG", "HOLD", &key, "10"]), Reply::ok());
                    held.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _over = wait::Over(&done);
        wait::until("all hold", || (held.load(Ordering::Relaxed) > 2 * HOLDING).then_some(()));
        let mut peer = server.peer();
        let words = (0..100).flat_map(|n| [format!("held:{n}"), "1".to_owned()]);
        let mset: Vec<String> = std::iter::once("MSET".to_owned()).chain(words).collect();
        for command in [&["FLUSHALL".to_owned()][..], &mset] {
            wait::not_each_time(|| {
                let (begun, before) = (Instant::now(), held.load(Ordering::Relaxed));
                assert_eq!(peer.call(command), Reply::ok());
                let passed = held.load(Ordering::Relaxed) - before;
                let said = format!("{} after {:?}, {passed} holds", command[0], begun.elapsed());
                println!("{said}");
                // In turns of those who hold, however slow the server is: those who were before it, and those of keys that it
                // had not come to yet. Those count as well who held while this thread did not run.
                (passed > TURNS * HOLDING).then_some(said)
            });
        }
    });
}

/// A request that waits is executed and answered, although its client has said all it had to say, and in a shutdown.
pub(crate) fn who_waits_is_answered_after_a_half_close_and_in_a_shutdown(platform: &Platform) {
    let mut server = start(platform, 2);
    let address = |peer: &Peer| peer.stream().local_addr().expect("it is connected");
    let held = hold(&server, "wanted");
    let mut half = server.peer();
    half.send(&[encode(["INCR", "wanted"]), encode(["INCR", "wanted"])].concat());
    half.finish_sending();
    wait_until_at(&server, &address(&half), Some("incr"));
    // A client that is gone leaves nothing behind: it is neither executed nor waited for.
    let mut gone = server.peer();
    let of_gone = address(&gone);
    gone.send(&encode(["SET", "wanted", "gone"]));
    wait_until_at(&server, &of_gone, Some("set"));
    gone.reset();
    wait_until_at(&server, &of_gone, None);
    held.release();
    assert_eq!(half.replies(2), [Reply::Int(1), Reply::Int(2)]);
    assert_eq!(half.read_to_close(), b"");

    let held = hold(&server, "wanted");
    let mut late = server.peer();
    late.send(&encode(["INCR", "wanted"]));
    wait_until_at(&server, &address(&late), Some("incr"));
    held.release_by_shutdown();
    assert_eq!(late.reply(), Reply::Int(3));
    assert!(server.wait_for_end().success());
}

fn start(platform: &Platform, workers: usize) -> Server {
    let launch = Launch::new(platform);
    let launch = if platform.product == Product::Modb {
        launch.with("--workers", &workers.to_string()).with("--enable-debug-command", "local")
    } else {
        launch
    };
    launch.start()
}
