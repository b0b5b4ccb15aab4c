//! What others notice beside commands that work long on very many elements, with one worker and with two: each is held to 50 ms at the
//! 99th of a hundred, or to twice what it is beside threads that only burn processor time. What answers all elements does so in full.
//!
//! A million elements, since the programs of a test run are not built for speed; `MODB_TEST_ELEMENTS=10000000` has the number that is promised.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use modb_tests::peer::encode;
use modb_tests::random::Random;
use modb_tests::{Launch, Peer, Platform, Reply, Server, sys, wait};

use crate::beside::{Waits, burn};
use crate::care::care_served;

const ELEMENTS: u64 = 1_000_000;
/// Keys of one MSET and one DEL.
const KEYS_AT_ONCE: u64 = 1_000_000;
const BITS: u64 = 1 << 30;
const TEXT_BYTES: usize = 10_000;
/// Below this nobody complains.
const MOST: Duration = Duration::from_millis(50);
/// What is shorter is done again, so that there is something to look at.
const WATCHED: Duration = Duration::from_secs(2);
const CONTROL: Duration = Duration::from_secs(3);
/// Elements of one command that fills, and such commands under way.
const AT_ONCE: u64 = 500;
const PIPELINE: usize = 16;

/// What must come as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    items: u64,
    sum: u64,
}

impl Sum {
    fn add(&mut self, item: &[u8]) {
        let mut word = [0; 16];
        let length = item.len().min(word.len());
        word[..length].copy_from_slice(&item[..length]);
        // In whatever order they come.
        let mixed = u128::from_le_bytes(word).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        self.items += 1;
        self.sum = self.sum.wrapping_add((mixed >> 64) as u64);
    }
}

/// A command, again and again, and what must be answered if that is told.
struct Case {
    name: &'static str,
    commands: Vec<Vec<u8>>,
    whole: Option<Sum>,
}

pub(crate) fn long_others_are_served_beside_what_works_long_on_very_many_elements(platform: &Platform) {
    let given = std::env::var("MODB_TEST_ELEMENTS").ok();
    let elements = given.map_or(ELEMENTS, |n| n.parse().expect("MODB_TEST_ELEMENTS is a number"));
    let copies = tempfile::tempdir().expect("a folder");
    let copy = copies.path().join("copy");
    let launch = |workers| Launch::new(platform).with("--workers", workers);
    let mut complaints = Vec::new();
    {
        let server = launch("1").start();
        let begin = Instant::now();
        fill(&server, elements);
        println!("filled in {:?}", begin.elapsed());
        let outcome = care_served(&[&"backup", &copy], &server);
        assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
        complaints.extend(watch_all(&server, elements, "1 worker"));
    }
    let server = launch("2").in_folder(&copy).start();
    complaints.extend(watch_all(&server, elements, "2 workers"));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// What the one who is watched waits while something is done.
fn beside(others: &mut Peer, act: impl FnOnce() + Send) -> Waits {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let over_at_the_end = wait::Over(&over);
        scope.spawn(move || {
            let _over = over_at_the_end;
            act();
        });
        Waits::of(others, &encode(["GET", "nothing"]), &Reply::NullBulk, &over)
    })
}

fn watch_all(server: &Server, elements: u64, workers: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut others = server.peer();
    // As many as work: the one who asks, and the one who executes.
    let control = beside(&mut others, || {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            (0..2).for_each(|_| drop(scope.spawn(|| burn(&over))));
            let _over = wait::Over(&over);
            thread::sleep(CONTROL); // the time of the measurement
        });
    });
    control.print(&format!("{workers}, beside two that burn"));
    for case in cases(elements) {
        let (mut rounds, mut took) = (0, Duration::ZERO);
        let waits = beside(&mut others, || {
            let begin = Instant::now();
            while rounds == 0 || begin.elapsed() < WATCHED {
                case.run(server);
                rounds += 1;
            }
            took = begin.elapsed();
        });
        waits.print(&format!("{workers}, beside {} of {:?}", case.name, took / rounds));
        let complaint = waits.complaint(&control, MOST);
        complaints.extend(complaint.map(|what| format!("{workers}, {}: {what}", case.name)));
    }
    let memory = sys::peak_rss_bytes(server.pid()).unwrap_or(0) >> 20;
    let longest = server.info("modb_longest_command_usec");
    println!("{workers}: no worker was kept longer than {longest} us; {memory} MiB at most");
    complaints
}

impl Case {
    fn of(name: &'static str, commands: &[&str]) -> Self {
        let commands = commands.iter().map(|words| encode(words.split(' '))).collect();
        Self { name, commands, whole: None }
    }

    fn run(&self, server: &Server) {
        let peer = server.peer();
        // However long it takes on a machine that is busy.
        peer.stream().set_read_timeout(None).expect("a timeout can be taken away");
        for command in &self.commands {
            peer.stream().write_all(command).expect("the server takes it");
            let sum = read_whole(peer.stream());
            assert!(self.whole.is_none_or(|whole| whole == sum), "{}: {sum:?}", self.name);
        }
    }
}

/// What works long. Each leaves what there was.
fn cases(elements: u64) -> Vec<Case> {
    let fields = (0..elements).flat_map(|n| [name(n), value(n)]);
    let whole = |items: &mut dyn Iterator<Item = String>| {
        let mut sum = Sum::default();
        items.for_each(|item| sum.add(item.as_bytes()));
        Some(sum)
    };
    let many = |command: &str, value: bool| {
        let words = (0..KEYS_AT_ONCE).flat_map(|n| {
            let key = std::iter::once(format!("many:{n}"));
            key.chain(value.then(|| "v".to_owned()))
        });
        encode(std::iter::once(command.to_owned()).chain(words))
    };
    vec![
        Case { whole: whole(&mut fields.into_iter()), ..Case::of("HGETALL", &["HGETALL hash"]) },
        Case { whole: whole(&mut (0..elements).map(name)), ..Case::of("SMEMBERS", &["SMEMBERS set"]) },
        Case { whole: whole(&mut (0..elements).map(value)), ..Case::of("LRANGE", &["LRANGE list 0 -1"]) },
        Case::of("LREM", &["LREM list 0 nothing"]),
        Case::of("SORT", &["SORT list LIMIT 0 10"]),
        Case::of("SORT ALPHA, stored", &["SORT set ALPHA STORE sorted", "DEL sorted"]),
        Case::of("SUNIONSTORE", &["SUNIONSTORE other set half", "DEL other"]),
        Case::of("SINTERSTORE", &["SINTERSTORE other set half", "DEL other"]),
        Case::of("SDIFFSTORE", &["SDIFFSTORE other set half", "DEL other"]),
        Case::of("COPY", &["COPY hash other", "DEL other"]),
        Case {
            commands: vec![many("MSET", true), many("DEL", false)],
            ..Case::of("MSET and DEL of a million keys", &[])
        },
        Case::of("BITOP of 128 MiB", &["BITOP NOT other bits", "DEL other"]),
        Case::of("LCS", &["LCS first second"]),
        Case::of("KEYS", &["SELECT 1", "KEYS *"]),
        Case::of("FLUSHALL", &["FLUSHALL"]),
    ]
}

fn name(n: u64) -> String {
    format!("name:{n}")
}

fn value(n: u64) -> String {
    (n * 7 % 1_000_003).to_string()
}

/// How a command begins, for how many elements, and its words for each.
type Filling = (&'static str, u64, fn(u64) -> Vec<String>);

fn fill(server: &Server, elements: u64) {
    let commands: [Filling; 5] = [
        ("HSET hash", elements, |n| vec![name(n), value(n)]),
        ("SADD set", elements, |n| vec![name(n)]),
        ("SADD half", elements / 2, |n| vec![name(2 * n)]),
        ("RPUSH list", elements, |n| vec![value(n)]),
        // In a database of their own.
        ("MSET", elements, |n| vec![name(n), String::from("v")]),
    ];
    let mut peer = server.peer();
    for (command, count, words) in commands {
        if command == "MSET" {
            assert_eq!(peer.ask("SELECT 1"), Reply::ok());
        }
        let first_of_each: Vec<u64> = (0..count).step_by(AT_ONCE as usize).collect();
        for some in first_of_each.chunks(PIPELINE) {
            let encoded = some.iter().flat_map(|&first| {
                let elements = (first..count.min(first + AT_ONCE)).flat_map(words);
                encode(command.split(' ').map(str::to_owned).chain(elements))
            });
            peer.send(&encoded.collect::<Vec<u8>>());
            assert!(peer.replies(some.len()).iter().all(|reply| reply.error().is_none()));
        }
    }
    let mut peer = server.peer();
    assert_eq!(peer.ask(&format!("SETBIT bits {} 1", BITS - 1)), Reply::Int(0));
    let mut random = Random::new(3);
    for text in ["first", "second"] {
        let letters: Vec<u8> = (0..TEXT_BYTES).map(|_| b'a' + random.below(4) as u8).collect();
        assert_eq!(peer.call([b"SET", text.as_bytes(), &letters]), Reply::ok());
    }
}

/// Reads a reply without keeping it: that of a scenario's own client would take more memory than the server.
fn read_whole(stream: &TcpStream) -> Sum {
    let mut reader = BufReader::with_capacity(1 << 18, stream);
    let (mut sum, mut left, mut line, mut item) = (Sum::default(), 1, Vec::new(), Vec::new());
    while left > 0 {
        line.clear();
        reader.read_until(b'\n', &mut line).expect("a reply comes");
        left -= 1;
        let text = String::from_utf8_lossy(&line);
        let number = || text[1..].trim_end().parse::<usize>().expect("a number");
        match line.first() {
            Some(b'*') => left += number(),
            Some(b'$') => {
                item.resize(number() + 2, 0);
                reader.read_exact(&mut item).expect("the rest comes");
                sum.add(&item[..item.len() - 2]);
            }
            Some(b'+' | b':') => {}
            _ => panic!("{text}"),
        }
    }
    sum
}
