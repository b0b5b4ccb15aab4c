//! `cargo xtask bench instructions`: what a request costs in instructions, beside an earlier commit.
//!
//! The same session, byte for byte, goes to the server of the working tree and to that of the base, both built here by
//! the same compiler and run under callgrind: one worker, one connection that waits for its replies, a folder in memory.
//! Time does not enter, so a noisy machine does not either. What a run takes without the counted requests (start, the
//! keys, stop) is measured apart and subtracted. Against the default base each request is judged: it may take
//! so much and no more, whatever is built around it. `--types`: single elements of one collection instead, which are only told.
//!
//! It must never decide anything by processor time or by a clock.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use super::servers::port_of;
use super::{base, programs};
use crate::failure::{Context as _, Result};
use crate::process;
use crate::workspace;

pub(crate) const USAGE: &str = "cargo xtask bench instructions [--base REV] [--rounds N] [--types]";

/// What a request may take, in instructions of the default base.
const BOUND: f64 = 1.04;

const KEYS: u64 = 1000;
const VALUE_BYTES: usize = 100;
/// Of each collection.
const ELEMENTS: u64 = 10_000;

/// Under callgrind everything takes some fifty times as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is sent in one go, and what comes back.
struct Part {
    name: &'static str,
    command: fn(u64) -> Vec<u8>,
    /// Lines of each reply.
    reply_lines: u64,
    pipeline: u64,
    requests: u64,
}

/// What is stored first, and what is sent and counted then.
struct Scenario {
    stored: &'static Part,
    counted: Part,
}

const fn part(
    name: &'static str,
    command: fn(u64) -> Vec<u8>,
    reply_lines: u64,
    pipeline: u64,
    requests: u64,
) -> Part {
    Part { name, command, reply_lines, pipeline, requests }
}

static KEYS_STORED: Part = part("keys", set, 1, 10, KEYS);

static SCENARIOS: [Scenario; 4] = [
    on(&KEYS_STORED, part("GET, P1", get, 2, 1, 8_000)),
    on(&KEYS_STORED, part("GET, P16", get, 2, 16, 32_000)),
    on(&KEYS_STORED, part("SET, P1", set, 1, 1, 8_000)),
    on(&KEYS_STORED, part("SET, P16", set, 1, 16, 32_000)),
];

static LIST: Part = part("list", |_| request(&["RPUSH", "list", "xyz"]), 1, 100, ELEMENTS);
static HASH: Part = part("hash", |n| request(&["HSET", "hash", &element(n), "xyz"]), 1, 100, ELEMENTS);
static SET: Part = part("set", |n| request(&["SADD", "set", &element(n)]), 1, 100, ELEMENTS);
static SORTED_SET: Part = part("sorted set", |n| zadd(n, &element(n)), 1, 100, ELEMENTS);

#[rustfmt::skip]
static TYPES: [Scenario; 15] = [
    on(&LIST, single("LPUSH", |_| request(&["LPUSH", "list", "xyz"]), 1)),
    on(&LIST, single("RPUSH", |_| request(&["RPUSH", "list", "xyz"]), 1)),
    on(&LIST, single("LPOP", |_| request(&["LPOP", "list"]), 2)),
    on(&LIST, single("RPOP", |_| request(&["RPOP", "list"]), 2)),
    on(&LIST, single("LINDEX", |n| request(&["LINDEX", "list", &mixed(n).to_string()]), 2)),
    on(&HASH, single("HGET", |n| request(&["HGET", "hash", &element(mixed(n))]), 2)),
    on(&HASH, single("HSET", |n| request(&["HSET", "hash", &element(mixed(n)), &format!("{:03}", n % 997)]), 1)),
    on(&HASH, single("HSET, new", |n| request(&["HSET", "hash", &new(n), "xyz"]), 1)),
    on(&SET, single("SISMEMBER", |n| request(&["SISMEMBER", "set", &element(mixed(n))]), 1)),
    on(&SET, single("SADD, new", |n| request(&["SADD", "set", &new(n)]), 1)),
    on(&SET, single("SPOP", |_| request(&["SPOP", "set"]), 2)),
    on(&SORTED_SET, single("ZSCORE", |n| request(&["ZSCORE", "zset", &element(mixed(n))]), 2)),
    on(&SORTED_SET, single("ZADD", |n| zadd(31 * n + 7, &element(mixed(n))), 1)),
    on(&SORTED_SET, single("ZADD, new", |n| zadd(31 * n + 7, &new(n)), 1)),
    on(&SORTED_SET, single("ZPOPMIN", |_| request(&["ZPOPMIN", "zset"]), 5)),
];

const fn on(stored: &'static Part, counted: Part) -> Scenario {
    Scenario { stored, counted }
}

/// One element a request.
const fn single(name: &'static str, command: fn(u64) -> Vec<u8>, reply_lines: u64) -> Part {
    part(name, command, reply_lines, 16, 1_600)
}

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (mut base, mut rounds, mut scenarios) = (base::DEFAULT.to_owned(), 1, &SCENARIOS[..]);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{argument} needs a value\n{USAGE}"));
        match argument.as_str() {
            "--base" => value()?.clone_into(&mut base),
            "--rounds" => {
                rounds = value()?.parse().map_err(|_| format!("--rounds: not a number\n{USAGE}"))?;
            }
            "--types" => scenarios = &TYPES,
            _ => return Err(format!("unknown option: {argument}\n{USAGE}").into()),
        }
    }
    let Some(valgrind) = process::find("valgrind", &[]) else {
        println!("skipped: needs valgrind (Debian: apt-get install valgrind)");
        return Ok(());
    };
    let servers = [programs::server_of(&base)?, programs::server()?];
    let count = |server: &Path, parts: &[&Part]| Counted::start(&valgrind, server)?.session(parts);
    let measure = |parts: &[&Part]| -> Result<[u64; 2]> {
        let mut least = [u64::MAX; 2];
        for _ in 0..rounds.max(1) {
            for (least, server) in least.iter_mut().zip(&servers) {
                // Whatever is not the same each time (threads, timers) only adds: the least is nearest to the code.
                *least = count(server, parts)?.min(*least);
            }
        }
        Ok(least)
    };
    println!("{:<16} {:>14} {:>14} {:>8}", "instructions", base, "working tree", "ratio");
    let (mut missed, mut rest) = (false, (None, [0; 2]));
    for Scenario { stored, counted } in scenarios {
        if rest.0 != Some(stored.name) {
            rest = (Some(stored.name), measure(&[stored])?);
            let [before, after] = rest.1;
            let ratio = after as f64 / before as f64;
            println!("{:<16} {before:>14} {after:>14} {ratio:>8.4}", stored.name);
        }
        let all = measure(&[stored, counted])?;
        let each =
            [0, 1].map(|which| all[which].saturating_sub(rest.1[which]) as f64 / counted.requests as f64);
        let ratio = each[1] / each[0];
        let is_judged = base == base::DEFAULT && stored.name == KEYS_STORED.name;
        let judgement = match is_judged {
            true if ratio <= BOUND => "kept",
            true => "MISSED",
            false => "",
        };
        missed |= judgement == "MISSED";
        println!("{:<16} {:>14.1} {:>14.1} {ratio:>8.4} {judgement}", counted.name, each[0], each[1]);
    }
    println!("what is stored: in all, with start and stop; the others: per request");
    if missed {
        Err(format!("a request takes more than {BOUND} of the instructions of {}", base::DEFAULT).into())
    } else {
        Ok(())
    }
}

/// A request as it is sent.
fn request(words: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len());
    for word in words {
        out += &format!("${}\r\n{word}\r\n", word.len());
    }
    out.into_bytes()
}

fn element(n: u64) -> String {
    format!("element:{n:08}")
}

fn new(n: u64) -> String {
    format!("another:{n:08}")
}

/// Every element in turn, but not in order.
fn mixed(n: u64) -> u64 {
    n.wrapping_mul(7919) % ELEMENTS
}

/// Scores of five digits, so that all answers are as long.
fn zadd(n: u64, member: &str) -> Vec<u8> {
    request(&["ZADD", "zset", &(ELEMENTS + mixed(n)).to_string(), member])
}

fn key(n: u64) -> String {
    // Every key in turn, but not in order.
    format!("key:{:08}", n.wrapping_mul(7919) % KEYS)
}

fn get(n: u64) -> Vec<u8> {
    request(&["GET", &key(n)])
}

fn set(n: u64) -> Vec<u8> {
    request(&["SET", &key(n), &format!("{n:0VALUE_BYTES$}")])
}

/// A server that runs under callgrind; killed, and its folder removed, when dropped.
struct Counted {
    child: Child,
    stream: TcpStream,
    folder: PathBuf,
}

impl Counted {
    fn start(valgrind: &Path, server: &Path) -> Result<Self> {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = folder.join(format!("modb-instructions-{}", std::process::id()));
        workspace::remove_folder(&folder)?;
        workspace::make_folder(&folder)?;
        let mut command = process::command(valgrind);
        command.args(["--tool=callgrind", "--quiet", "--fair-sched=yes"]);
        command.arg(format!("--callgrind-out-file={}", folder.join("counts").display())).arg(server);
        command
            .args(["--port", "0", "--workers", "1", "--durability", "os", "--dir"])
            .arg(folder.join("data"));
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = spawned.context(format_args!("{}", valgrind.display()))?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let read = BufReader::new(stdout).read_line(&mut line).context("its start-up line");
        let connected = read.and_then(|_| {
            let port = port_of(&line).ok_or_else(|| format!("no port in its start-up line {line:?}"))?;
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("cannot connect")?;
            stream
                .set_nodelay(true)
                .and_then(|()| stream.set_read_timeout(Some(PATIENCE)))
                .context("cannot set")?;
            Ok(stream)
        });
        match connected {
            Ok(stream) => Ok(Self { child, stream, folder }),
            Err(failure) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(failure)
            }
        }
    }

    /// Sends the parts, ends the server; how many instructions all of that took.
    fn session(mut self, parts: &[&Part]) -> Result<u64> {
        for part in parts {
            self.send(part).context(format_args!("{}", part.name))?;
        }
        self.stream.write_all(b"*1\r\n$8\r\nSHUTDOWN\r\n").context("cannot end the server")?;
        self.child.wait().context("cannot wait for the server")?;
        let counts = self.folder.join("counts");
        let text = fs::read_to_string(&counts).context(format_args!("cannot read {}", counts.display()))?;
        let totals = text.lines().find_map(|line| line.strip_prefix("totals:"));
        totals.and_then(|total| total.trim().parse().ok()).ok_or_else(|| "callgrind told no totals".into())
    }

    fn send(&mut self, part: &Part) -> std::io::Result<()> {
        let mut replies = BufReader::new(self.stream.try_clone()?);
        let mut line = Vec::new();
        for first in (0..part.requests).step_by(part.pipeline as usize) {
            let batch: Vec<u8> = (first..first + part.pipeline).flat_map(part.command).collect();
            self.stream.write_all(&batch)?;
            for _ in 0..part.pipeline * part.reply_lines {
                line.clear();
                replies.read_until(b'\n', &mut line)?;
                if line.is_empty() || line[0] == b'-' {
                    return Err(std::io::Error::other(String::from_utf8_lossy(&line).into_owned()));
                }
            }
        }
        Ok(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_is_whole_batches_of_requests_on_keys_that_are_there() {
        for Scenario { stored, counted } in SCENARIOS.iter().chain(&TYPES) {
            for part in [*stored, counted] {
                assert_eq!(part.requests % part.pipeline, 0, "{}", part.name);
            }
        }
        let stored: std::collections::BTreeSet<String> = (0..KEYS).map(key).collect();
        assert_eq!(stored.len() as u64, KEYS, "every key once");
        assert!(stored.contains(&key(123_456)));
        assert_eq!(set(5).iter().filter(|&&byte| byte == b'\n').count(), 7);
        let mixed: std::collections::BTreeSet<u64> = (0..ELEMENTS).map(mixed).collect();
        assert_eq!(mixed.into_iter().collect::<Vec<_>>(), (0..ELEMENTS).collect::<Vec<_>>());
    }
}
