//! `cargo xtask bench instructions`: what a request costs in instructions, beside an earlier commit.
//!
//! The same session, byte for byte, goes to the server of the working tree and to that of the base, both built here by
//! the same compiler and run under callgrind: one worker, one connection that waits for its replies, a folder in memory.
//! Time does not enter, so a noisy machine does not either. What a run takes without the counted requests (start, the
//! keys, stop) is measured apart and subtracted. Against the default base each request is judged: it may take
//! so much and no more, whatever is built around it.
//!
//! It must never decide anything by processor time or by a clock.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use super::servers::port_of;
use super::{base, programs};
use crate::failure::{Context as _, Result};
use crate::process;
use crate::workspace;

pub(crate) const USAGE: &str = "cargo xtask bench instructions [--base REV] [--rounds N]";

/// What a request may take, in instructions of the default base.
const BOUND: f64 = 1.04;

const KEYS: u64 = 1000;
const VALUE_BYTES: usize = 100;

/// Under callgrind everything takes some fifty times as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is sent when the keys are there, and what is counted.
struct Scenario {
    name: &'static str,
    command: fn(u64) -> Vec<u8>,
    /// Length of each reply.
    reply_bytes: usize,
    pipeline: u64,
    requests: u64,
}

const SET_REPLY_BYTES: usize = "+OK\r\n".len();
const GET_REPLY_BYTES: usize = "$100\r\n".len() + VALUE_BYTES + "\r\n".len();

const SCENARIOS: [Scenario; 4] = [
    Scenario { name: "GET, P1", command: get, reply_bytes: GET_REPLY_BYTES, pipeline: 1, requests: 8_000 },
    Scenario { name: "GET, P16", command: get, reply_bytes: GET_REPLY_BYTES, pipeline: 16, requests: 32_000 },
    Scenario { name: "SET, P1", command: set, reply_bytes: SET_REPLY_BYTES, pipeline: 1, requests: 8_000 },
    Scenario { name: "SET, P16", command: set, reply_bytes: SET_REPLY_BYTES, pipeline: 16, requests: 32_000 },
];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (mut base, mut rounds) = (base::DEFAULT.to_owned(), 1);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{argument} needs a value\n{USAGE}"));
        match argument.as_str() {
            "--base" => value()?.clone_into(&mut base),
            "--rounds" => {
                rounds = value()?.parse().map_err(|_| format!("--rounds: not a number\n{USAGE}"))?;
            }
            _ => return Err(format!("unknown option: {argument}\n{USAGE}").into()),
        }
    }
    let Some(valgrind) = process::find("valgrind", &[]) else {
        println!("skipped: needs valgrind (Debian: apt-get install valgrind)");
        return Ok(());
    };
    let servers = [programs::server_of(&base)?, programs::server()?];
    let count = |server: &Path, scenario| Counted::start(&valgrind, server)?.session(scenario);
    let measure = |scenario| -> Result<[u64; 2]> {
        let mut least = [u64::MAX; 2];
        for _ in 0..rounds.max(1) {
            for (least, server) in least.iter_mut().zip(&servers) {
                // Whatever is not the same each time (threads, timers) only adds: the least is nearest to the code.
                *least = count(server, scenario)?.min(*least);
            }
        }
        Ok(least)
    };
    println!("{:<16} {:>14} {:>14} {:>8}", "instructions", base, "working tree", "ratio");
    let rest = measure(None)?;
    println!(
        "{:<16} {:>14} {:>14} {:>8.4}",
        "start, stop",
        rest[0],
        rest[1],
        rest[1] as f64 / rest[0] as f64
    );
    let mut missed = false;
    for scenario in &SCENARIOS {
        let all = measure(Some(scenario))?;
        let each =
            [0, 1].map(|which| all[which].saturating_sub(rest[which]) as f64 / scenario.requests as f64);
        let ratio = each[1] / each[0];
        let judgement = match base == base::DEFAULT {
            true if ratio <= BOUND => "kept",
            true => "MISSED",
            false => "",
        };
        missed |= judgement == "MISSED";
        println!("{:<16} {:>14.1} {:>14.1} {ratio:>8.4} {judgement}", scenario.name, each[0], each[1]);
    }
    println!(
        "start, stop: in all, with {KEYS} keys stored; the others: per request, at most {BOUND} of {}",
        base::DEFAULT
    );
    if missed { Err("a request takes more instructions than it may".into()) } else { Ok(()) }
}

fn key(n: u64) -> String {
    // Every key in turn, but not in order.
    format!("key:{:08}", n.wrapping_mul(7919) % KEYS)
}

fn get(n: u64) -> Vec<u8> {
    let key = key(n);
    format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len()).into_bytes()
}

fn set(n: u64) -> Vec<u8> {
    let (key, value) = (key(n), format!("{n:0VALUE_BYTES$}"));
    format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${VALUE_BYTES}\r\n{value}\r\n", key.len()).into_bytes()
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

    /// Stores the keys, sends the scenario, ends the server; how many instructions all of that took.
    fn session(mut self, scenario: Option<&Scenario>) -> Result<u64> {
        let keys = Scenario {
            name: "keys",
            command: set,
            reply_bytes: SET_REPLY_BYTES,
            pipeline: 10,
            requests: KEYS,
        };
        for part in [Some(&keys), scenario].into_iter().flatten() {
            self.send(part).context(format_args!("{}", part.name))?;
        }
        self.stream.write_all(b"*1\r\n$8\r\nSHUTDOWN\r\n").context("cannot end the server")?;
        self.child.wait().context("cannot wait for the server")?;
        let counts = self.folder.join("counts");
        let text = fs::read_to_string(&counts).context(format_args!("cannot read {}", counts.display()))?;
        let totals = text.lines().find_map(|line| line.strip_prefix("totals:"));
        totals.and_then(|total| total.trim().parse().ok()).ok_or_else(|| "callgrind told no totals".into())
    }

    fn send(&mut self, part: &Scenario) -> std::io::Result<()> {
        let mut replies = vec![0; part.reply_bytes * part.pipeline as usize];
        for first in (0..part.requests).step_by(part.pipeline as usize) {
            let batch: Vec<u8> = (first..first + part.pipeline).flat_map(part.command).collect();
            self.stream.write_all(&batch)?;
            self.stream.read_exact(&mut replies)?;
            if replies[0] == b'-' {
                return Err(std::io::Error::other(String::from_utf8_lossy(&replies).into_owned()));
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
        for scenario in &SCENARIOS {
            assert_eq!(scenario.requests % scenario.pipeline, 0, "{}", scenario.name);
        }
        let stored: std::collections::BTreeSet<String> = (0..KEYS).map(key).collect();
        assert_eq!(stored.len() as u64, KEYS, "every key once");
        assert!(stored.contains(&key(123_456)));
        assert_eq!(set(5).iter().filter(|&&byte| byte == b'\n').count(), 7);
    }
}
