//! Running short is not failing: what the disk or the system has no room for is said, waited for, and done later, however
//! often it happens.

use std::fs;
use std::ops::Range;
use std::time::{Duration, Instant};

use modb_tests::peer::encode;
use modb_tests::sys::{self, SmallDisk};
use modb_tests::{Launch, Peer, Platform, Reply, Server, skip, wait};

use crate::costs::compact;

/// Who is still served so long after something was taken away had more of it than was thought.
const TAKEN_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// More than any disk has.
const NEARLY_FULL_MB: &str = "1000000000";

pub(crate) fn a_nearly_full_disk_takes_what_makes_room(platform: &Platform) {
    let launch = Launch::new(platform);
    let mut server = launch.start();
    let mut peer = server.peer();
    for key in ["a", "b", "c", "d"] {
        assert_eq!(peer.ask(&format!("SET {key} 1")), Reply::ok());
    }
    assert_eq!(peer.ask("SET soon 1 PX 600000"), Reply::ok());
    server.stop();
    let server = launch.clone().with("--min-free-mb", NEARLY_FULL_MB).start();
    let mut peer = server.peer();
    for refused in ["SET e 1", "APPEND a 1", "INCR b", "COPY a e"] {
        assert!(peer.ask(refused).error().is_some_and(|text| text.contains("disk")), "{refused}");
    }
    assert_eq!(peer.ask("DEL a"), Reply::Int(1));
    assert_eq!(peer.ask("EXPIRE b 100"), Reply::Int(1));
    assert_eq!(peer.ask("PEXPIRE soon 1"), Reply::Int(1));
    // The housekeeper removes it.
    wait::until("what expired is removed", || (peer.ask("DBSIZE") == Reply::Int(3)).then_some(()));
    assert_eq!(peer.ask("FLUSHALL"), Reply::ok());
    assert_eq!(peer.ask("DBSIZE"), Reply::Int(0));
    drop(server);
    let server = launch.start();
    assert_eq!(server.peer().ask("DBSIZE"), Reply::Int(0));
}

pub(crate) fn a_flush_that_cannot_be_done_is_said_and_done_once_it_can(platform: &Platform) {
    const VALUE_BYTES: usize = 10_000;
    const PIPELINE: usize = 100;
    let server = Launch::new(platform).with("--cache-mb", "16").start();
    let tables = server.launch().folder().join("tables").join("tables");
    let away = tables.with_file_name("away");
    let mut peer = server.peer();
    let mut written = 0;
    let mut write = |peer: &mut Peer| {
        let keys = written..written + PIPELINE;
        peer.send(
            &keys
                .flat_map(|n| encode(["SET", &format!("k{n}"), &value(n, VALUE_BYTES)]))
                .collect::<Vec<u8>>(),
        );
        let replies = peer.replies(PIPELINE);
        let done = replies.iter().take_while(|reply| **reply == Reply::ok()).count();
        written += done;
        done == PIPELINE
    };
    assert!(write(&mut peer));
    for _ in 0..3 {
        // No file can be made in a folder that is not there.
        fs::rename(&tables, &away).expect("a test may rename in its own folder");
        wait::until("writes are refused, since memory is full", || (!write(&mut peer)).then_some(()));
        let trouble = server.info("modb_store_trouble");
        assert!(trouble.contains("flush: "), "{trouble}");
        let refusal = peer.call(["SET", "k", &value(0, VALUE_BYTES)]).error().expect("it is full");
        assert!(refusal.contains("memory is full"), "{refusal}");
        let said = format!("MISCONF {}", server.info("modb_read_only_reason"));
        assert_eq!((server.info("modb_read_only"), said), ("1".to_owned(), refusal));
        assert_eq!(server.info("aof_last_write_status"), "err");
        assert_eq!(peer.ask("STRLEN k0"), Reply::Int(VALUE_BYTES as i64));
        fs::rename(&away, &tables).expect("a test may rename in its own folder");
        wait::until("writes are taken again", || write(&mut peer).then_some(()));
        wait::until("nothing is amiss", || server.info("modb_store_trouble").is_empty().then_some(()));
        let fields = ["modb_read_only", "aof_last_write_status"].map(|field| server.info(field));
        assert_eq!(fields, ["0", "ok"]);
    }
    drop((write, peer));
    let server = server.kill_and_restart();
    let mut peer = server.peer();
    assert_eq!(peer.ask("DBSIZE"), Reply::Int(written as i64));
    for n in (0..written).step_by(97) {
        assert_eq!(peer.ask(&format!("GET k{n}")), Reply::bulk(value(n, VALUE_BYTES)), "k{n}");
    }
}

/// What someone writes at once.
#[derive(Clone, Copy)]
struct Shape {
    value_bytes: usize,
    pipeline: usize,
}

const SMALL: Shape = Shape { value_bytes: 20_000, pipeline: 50 };
/// So large that the server asks for memory before it takes them.
const LARGE: Shape = Shape { value_bytes: 8 << 20, pipeline: 2 };

/// Someone who writes without pause, and knows what was acknowledged.
struct Writer<'s> {
    server: &'s Server,
    shape: Shape,
    peer: Option<Peer>,
    next: usize,
    acknowledged: Vec<usize>,
    /// What the last refusal said.
    refusal: String,
}

impl Writer<'_> {
    /// Writes some; whether all of it was acknowledged. A connection that was closed is opened again the next time.
    fn write(&mut self) -> bool {
        let mut peer = match self.peer.take() {
            Some(peer) => peer,
            None => match Peer::try_connect(self.server.addr()) {
                Ok(peer) => peer,
                Err(error) => {
                    self.refusal = error.to_string();
                    return false;
                }
            },
        };
        let keys = self.next..self.next + self.shape.pipeline;
        self.next = keys.end;
        let requests =
            keys.clone().flat_map(|n| encode(["SET", &format!("k{n}"), &value(n, self.shape.value_bytes)]));
        if peer.try_send(&requests.collect::<Vec<u8>>()).is_err() {
            return false;
        }
        let mut all = true;
        for n in keys {
            match peer.try_reply() {
                Ok(reply) if reply == Reply::ok() => self.acknowledged.push(n),
                Ok(reply) => {
                    all = false;
                    self.refusal = reply.error().unwrap_or_default();
                }
                Err(error) => {
                    self.refusal = error.to_string();
                    return false;
                }
            }
        }
        self.peer = Some(peer);
        all
    }
}

/// Takes something away so often and gives it back, while someone writes: each time writing stops with a reason that `INFO` or
/// the reply tells, reading goes on, and both go on once it is back. At the end all that was acknowledged is there.
fn run_short(server: Server, shape: Shape, rounds: usize, take: &dyn Fn(&Server), give: &dyn Fn(&Server)) {
    let mut looker = server.peer();
    let mut writer = Writer {
        server: &server,
        shape,
        peer: None,
        next: 0,
        acknowledged: Vec::new(),
        refusal: String::new(),
    };
    let length = Reply::Int(shape.value_bytes as i64);
    assert!(writer.write());
    for round in 0..rounds {
        take(&server);
        let mut taken = Instant::now();
        wait::until("writes are refused", || {
            // It had something to give back, so nothing was short.
            if taken.elapsed() > TAKEN_AGAIN_AFTER {
                take(&server);
                taken = Instant::now();
            }
            (!writer.write()).then_some(())
        });
        // What there is no memory for is one client's affair, who is told.
        let told = writer.refusal.starts_with("OOM ").then(|| writer.refusal.clone());
        let why = format!("INFO says why there was {:?}", writer.refusal);
        let reason = told.unwrap_or_else(|| wait::until(&why, || reason_in(&mut looker)));
        println!("round {round}, {} written: {reason}", writer.acknowledged.len());
        let sample = writer.acknowledged[round * 31 % writer.acknowledged.len()];
        assert_eq!(looker.ask(&format!("STRLEN k{sample}")), length);
        let given = Instant::now();
        give(&server);
        wait::until("writes are taken again", || writer.write().then_some(()));
        wait::until("nothing is amiss", || reason_in(&mut looker).is_none().then_some(()));
        println!("all is well after {:?}", given.elapsed());
    }
    let acknowledged = std::mem::take(&mut writer.acknowledged);
    drop((writer, looker));
    let server = server.kill_and_restart();
    let mut peer = server.peer();
    for part in acknowledged.chunks(500) {
        peer.send(&part.iter().flat_map(|n| encode(["STRLEN", &format!("k{n}")])).collect::<Vec<u8>>());
        for (n, reply) in part.iter().zip(peer.replies(part.len())) {
            assert_eq!(reply, length, "k{n} was acknowledged");
        }
    }
}

/// What `INFO` says that the store waits for, if it does.
fn reason_in(peer: &mut Peer) -> Option<String> {
    let info = peer.ask("INFO everything").text();
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let reason = [field("modb_store_trouble:"), field("modb_read_only_reason:")].into_iter().flatten();
    reason.into_iter().find(|reason| !reason.is_empty()).map(str::to_owned)
}

pub(crate) fn what_is_on_the_disk_is_read_where_no_descriptor_is_left(platform: &Platform) {
    const VALUE_BYTES: usize = 20_000;
    /// Lies apart.
    const LARGE_BYTES: usize = 200_000;
    const KEYS: usize = 1_500;
    /// Below this are those that each process has.
    const NONE: u64 = 3;
    let bytes = |n: usize| if n.is_multiple_of(50) { LARGE_BYTES } else { VALUE_BYTES };
    let launch = Launch::new(platform).with("--cache-mb", "16");
    let server = launch.start();
    let mut peer = server.peer();
    let write = |peer: &mut Peer, keys: Range<usize>| {
        for n in keys {
            assert_eq!(peer.call(["SET", &format!("k{n}"), &value(n, bytes(n))]), Reply::ok());
        }
    };
    write(&mut peer, 0..KEYS / 2);
    compact(&mut peer);
    // What is in memory is forgotten.
    let server = server.restart();
    let mut peer = server.peer();
    let read_all = |peer: &mut Peer, keys: Range<usize>| {
        assert_eq!(peer.ask("PING"), Reply::Simple(b"PONG".to_vec()), "it has its descriptor");
        let Some(limit) = sys::set_descriptor_limit_of(server.pid(), NONE) else { return false };
        assert!(sys::open_descriptors(server.pid()).is_some_and(|open| open as u64 > NONE));
        for n in keys.clone() {
            assert_eq!(peer.ask(&format!("GET k{n}")), Reply::bulk(value(n, bytes(n))), "k{n}");
        }
        let Reply::Array(found) = peer.ask("KEYS *") else { panic!("they are listed") };
        assert_eq!(found.len(), keys.len());
        assert_eq!(peer.ask("SETRANGE k1 0 1"), Reply::Int(VALUE_BYTES as i64));
        assert!(sys::set_descriptor_limit_of(server.pid(), limit).is_some());
        true
    };
    if !read_all(&mut peer, 0..KEYS / 2) {
        skip!("the limit of another process cannot be changed here")
    }
    // More than memory holds, so some of it is in files that were published now.
    write(&mut peer, KEYS / 2..KEYS);
    assert_ne!(server.info("modb_store_runs"), "0");
    assert!(read_all(&mut peer, 0..KEYS));
}

pub(crate) fn that_nobody_can_be_accepted_is_said_once_and_not_at_every_try(platform: &Platform) {
    /// Below this are those that each process has.
    const NONE: u64 = 3;
    const TRIES: u64 = 5;
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    assert_eq!(peer.ask("PING"), Reply::Simple(b"PONG".to_vec()), "it has its descriptor");
    let Some(limit) = sys::set_descriptor_limit_of(server.pid(), NONE) else {
        skip!("the limit of another process cannot be changed here")
    };
    // The system has accepted it; the server cannot.
    let mut waiting = Peer::connect(server.addr());
    wait::until("it has tried some times", || {
        let info = peer.ask("INFO stats").text();
        let failed = info.lines().find_map(|line| line.strip_prefix("modb_accepts_failed:"));
        (failed.expect("it is counted").trim().parse::<u64>().expect("a number") >= TRIES).then_some(())
    });
    assert!(sys::set_descriptor_limit_of(server.pid(), limit).is_some());
    assert_eq!(waiting.ask("PING"), Reply::Simple(b"PONG".to_vec()), "it has waited, and is served");
    assert!(server.comes_to_say("cannot accept now"));
    assert_eq!(server.output().matches("cannot accept now").count(), 1, "{}", server.output());
}

fn without_descriptors(platform: &Platform, rounds: usize) {
    let server = Launch::new(platform).with("--cache-mb", "16").start();
    let Some(limit) = sys::set_descriptor_limit_of(server.pid(), 1000) else {
        skip!("the limit of another process cannot be changed here")
    };
    let open = |server: &Server| sys::open_descriptors(server.pid()).expect("Linux tells") as u64;
    run_short(
        server,
        SMALL,
        rounds,
        &|server| _ = sys::set_descriptor_limit_of(server.pid(), open(server)),
        &|server| _ = sys::set_descriptor_limit_of(server.pid(), limit),
    );
}

/// `min_free_mb`: whether the server stops before the disk is full, or finds it full.
fn without_space(platform: &Platform, rounds: usize, min_free_mb: &str) {
    let disk = match SmallDisk::mount() {
        Ok(disk) => disk,
        Err(reason) => skip!("{reason}"),
    };
    let launch = Launch::new(platform).with("--cache-mb", "16").with("--min-free-mb", min_free_mb);
    let server = launch.in_folder(disk.path().join("data")).start();
    let ballast = disk.path().join("ballast");
    run_short(
        server,
        SMALL,
        rounds,
        &|_| {
            let file = fs::File::options().create(true).append(true).open(&ballast);
            let mut file = file.expect("there is room for a name");
            // It ends with an error: there is no more.
            let _ = std::io::copy(&mut std::io::repeat(1), &mut file);
        },
        &|_| fs::remove_file(&ballast).expect("it is there"),
    );
}

fn without_memory(platform: &Platform, rounds: usize) {
    // Nothing beside what the server leaves to others of it.
    const LEFT_BYTES: u64 = 16 << 20;
    let server = Launch::new(platform).with("--cache-mb", "64").start();
    if !sys::bound_memory_of(server.pid(), None) {
        skip!("the memory of another process cannot be bounded here")
    }
    run_short(
        server,
        LARGE,
        rounds,
        &|server| assert!(sys::bound_memory_of(server.pid(), Some(LEFT_BYTES))),
        &|server| assert!(sys::bound_memory_of(server.pid(), None)),
    );
}

pub(crate) fn memory_taken_away_5_times_comes_back_5_times(platform: &Platform) {
    without_memory(platform, 5);
}

pub(crate) fn long_memory_taken_away_20_times_comes_back_20_times(platform: &Platform) {
    without_memory(platform, 20);
}

pub(crate) fn descriptors_taken_away_5_times_come_back_5_times(platform: &Platform) {
    without_descriptors(platform, 5);
}

pub(crate) fn space_taken_away_5_times_comes_back_5_times(platform: &Platform) {
    without_space(platform, 5, "0");
}

pub(crate) fn long_descriptors_and_space_taken_away_20_times_come_back_20_times(platform: &Platform) {
    without_descriptors(platform, 20);
    without_space(platform, 20, "0");
    without_space(platform, 20, "16");
}

pub(crate) fn who_asks_for_more_memory_than_there_is_gets_an_error_and_nobody_else(platform: &Platform) {
    // More than the allocator keeps reserved for a thread, 64 MiB, with what the server leaves to others.
    const LARGE_BYTES: usize = 56 << 20;
    const LEFT_BYTES: u64 = 32 << 20;
    // So much that nothing is written to table files meanwhile: that takes memory, too.
    let server = Launch::new(platform).with("--cache-mb", "1024").start();
    let (mut asks, mut other) = (server.peer(), server.peer());
    assert_eq!(asks.ask(&format!("SETRANGE large {} x", LARGE_BYTES - 1)), Reply::Int(LARGE_BYTES as i64));
    let element = vec![b'e'; 1 << 20];
    // More than what the server has freed and kept for itself, beside many small ones, among which the large are not expected.
    for _ in 0..(3 * LARGE_BYTES) >> 20 {
        assert_eq!(asks.call([&b"RPUSH"[..], b"list", &element]).error(), None);
    }
    assert_eq!(asks.call(["RPUSH", "list"].into_iter().chain([""; 5000])).error(), None);
    assert_eq!(other.ask("SET small 1"), Reply::ok());
    let bound = || sys::bound_memory_of(server.pid(), Some(LEFT_BYTES));
    if !bound() {
        skip!("the memory of another process cannot be bounded here");
    }
    // What is asked for in few words, or is there already.
    for request in [
        "SETRANGE new 300000000 x",
        "SETBIT new 3000000000 1",
        "BITFIELD new SET u8 3000000000 1",
        "APPEND large x",
        "GET large",
        "BITOP NOT copy large",
        "LRANGE list 0 -1",
        "LRANGE list 0 150",
    ] {
        // Again while the server still had something to give back.
        let refusal = wait::until(request, || bound().then(|| asks.ask(request).error())?);
        assert!(refusal.starts_with("OOM "), "{request}: {refusal}");
        assert_eq!(other.ask("INCR small").error(), None, "{request}");
    }
    // What is sent: it is closed with the reason, or cut off while it sends.
    let mut sends = server.peer();
    let _ = sends.try_send(&encode(["SET".as_bytes(), b"new", &vec![b'x'; 4 * LARGE_BYTES]]));
    let heard = sends.try_reply();
    let told = |reply: &Reply| reply.error().is_some_and(|error| error.contains("memory"));
    assert!(heard.as_ref().map_or(true, told), "{heard:?}");
    assert_eq!(other.ask("EXISTS new"), Reply::Int(0));
    assert!(sys::bound_memory_of(server.pid(), None));
    let Reply::Int(bytes) = other.ask("STRLEN large") else { panic!("it is there") };
    assert_eq!(asks.ask("APPEND large x"), Reply::Int(bytes + 1));
    assert_eq!(other.ask("GET small"), Reply::bulk("9"));
}

pub(crate) fn a_record_on_the_disk_for_which_there_is_no_memory_is_an_error_to_who_reads_it(
    platform: &Platform,
) {
    const LARGE_BYTES: usize = 56 << 20;
    const LEFT_BYTES: u64 = 32 << 20;
    let server = Launch::new(platform).start();
    let mut asks = server.peer();
    assert_eq!(asks.ask(&format!("SETRANGE large {} x", LARGE_BYTES - 1)), Reply::Int(LARGE_BYTES as i64));
    compact(&mut asks);
    // What is in memory is forgotten.
    let server = server.restart();
    let (mut asks, mut other) = (server.peer(), server.peer());
    assert_eq!(other.ask("SET small 1"), Reply::ok());
    let bound = || sys::bound_memory_of(server.pid(), Some(LEFT_BYTES));
    if !bound() {
        skip!("the memory of another process cannot be bounded here");
    }
    for request in ["GET large", "GETRANGE large 0 0", "APPEND large x", "COPY large other"] {
        let refusal = wait::until(request, || bound().then(|| asks.ask(request).error())?);
        assert!(refusal.starts_with("OOM "), "{request}: {refusal}");
        assert_eq!(other.ask("INCR small").error(), None, "{request}");
    }
    // Who needs no bytes of it reads none.
    assert_eq!(asks.ask("STRLEN large"), Reply::Int(LARGE_BYTES as i64));
    assert_eq!(asks.ask("SCAN 0").error(), None);
    assert!(sys::bound_memory_of(server.pid(), None));
    assert_eq!(asks.ask("GETRANGE large -1 -1"), Reply::bulk("x"));
    assert_eq!(other.ask("GET small"), Reply::bulk("5"));
}

fn value(n: usize, bytes: usize) -> String {
    n.to_string().repeat(bytes)[..bytes].to_owned()
}
