//! `cargo xtask bench costs`: the processor time of what load generators do not send: transactions, and messages to those who
//! listen.
//!
//! One client with many connections sends a batch on each, then reads all answers, round after round, so that each server is
//! asked the same in the same order. What counts is the server's processor time for one transaction, or for one message that
//! came to somebody, as a ratio to redis's in the same round.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use super::programs;
use super::report::median;
use super::rounds::{Ratios, in_turns};
use super::servers::{Durability, Kind, Running, Setting};
use crate::failure::{Context as _, Result};

pub(crate) const USAGE: &str =
    "cargo xtask bench costs [--rounds N] [--workers N,N] [--only exec|message] [-- OPTIONS FOR modb-server]";

/// A server that says nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(60);
/// Before the clock starts: pools are empty then, and caches cold.
const WARM_UP: usize = 5;

/// Clients that run transactions, and the keys that they draw from.
const CLIENTS: usize = 20;
const KEYS: u64 = 100_000;
/// Those who publish.
const PUBLISHERS: usize = 4;
const MESSAGE: &[u8] = &[b'x'; 16];

/// What is measured.
#[derive(Clone, Copy)]
enum Work {
    /// Transactions of so many `INCR`.
    Exec { commands: usize },
    /// Messages to so many who listen to one channel.
    Message { listeners: usize },
}

struct Case {
    name: &'static str,
    work: Work,
    pipeline: usize,
    batches: usize,
}

const CASES: [Case; 5] = [
    Case { name: "EXEC of 1 INCR, P16", work: Work::Exec { commands: 1 }, pipeline: 16, batches: 100 },
    Case { name: "EXEC of 10 INCR, P16", work: Work::Exec { commands: 10 }, pipeline: 16, batches: 40 },
    Case { name: "message to 1, P1", work: Work::Message { listeners: 1 }, pipeline: 1, batches: 1500 },
    Case { name: "message to 1, P16", work: Work::Message { listeners: 1 }, pipeline: 16, batches: 600 },
    Case { name: "message to 1000, P16", work: Work::Message { listeners: 1000 }, pipeline: 16, batches: 8 },
];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (mut rounds, mut workers, mut only, mut modb_options) = (5, vec![1, 2], String::new(), Vec::new());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            modb_options = rest.cloned().collect();
            break;
        }
        let value = rest.next().ok_or_else(|| format!("{argument} needs a value\n{USAGE}"))?;
        let numbers: Option<Vec<usize>> = value.split(',').map(|number| number.parse().ok()).collect();
        match (argument.as_str(), numbers.as_deref()) {
            ("--rounds", Some(&[number])) => rounds = number.max(1),
            ("--workers", Some(numbers)) => workers = numbers.to_vec(),
            ("--only", None) => value.clone_into(&mut only),
            _ => return Err(format!("unknown option, or not what belongs to it: {argument}\n{USAGE}").into()),
        }
    }
    let modb_server = programs::server()?;
    let setting = Setting { modb_options: &modb_options, ..Setting::plain(&modb_server) };
    let mut kinds = vec![Kind::Redis];
    kinds.extend(workers.iter().map(|&workers| Kind::Modb { workers }));
    println!("| each | server | CPU µs | ratio | quartiles |");
    println!("|---|---|---:|---:|---:|");
    for case in CASES.iter().filter(|case| case.name.to_lowercase().contains(&only)) {
        let samples = in_turns(&kinds, rounds, |kind| sample(case, kind, &setting))?;
        for (kind, own) in kinds.iter().zip(&samples) {
            let ratios = Ratios::of(own, &samples[0]);
            println!("| {} | {} | {:.2} | {ratios} |", case.name, kind.name(), median(own));
        }
    }
    Ok(())
}

/// Processor time of a new server, in microseconds for each.
fn sample(case: &Case, kind: Kind, setting: &Setting<'_>) -> Result<f64> {
    let server = Running::start(kind, Durability::EverySecond, setting)?;
    let mut bench = Bench::start(case, server.port)?;
    for _ in 0..WARM_UP {
        bench.batch()?;
    }
    let before_ns = server.cpu_ns()?;
    for _ in 0..case.batches {
        bench.batch()?;
    }
    let each = bench.each_batch * case.batches;
    Ok((server.cpu_ns()? - before_ns) as f64 / 1000.0 / each as f64)
}

/// A connection, with what is sent on it in each batch, and how many bytes are answered.
struct Conn {
    stream: TcpStream,
    requests: Vec<u8>,
    awaited: Awaited,
}

/// The answers of a batch.
#[derive(Clone, Copy)]
enum Awaited {
    /// Whose numbers may have any length.
    Lines(usize),
    Bytes(usize),
}

/// The connections of a case.
struct Bench {
    conns: Vec<Conn>,
    /// How often a batch does what is measured.
    each_batch: usize,
    buffer: Vec<u8>,
}

impl Bench {
    fn start(case: &Case, port: u16) -> Result<Self> {
        let mut conns = Vec::new();
        let mut connect = |requests, awaited| -> Result<()> {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("cannot connect")?;
            let set = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(SILENCE)));
            set.context("cannot set a socket's options")?;
            conns.push(Conn { stream, requests, awaited });
            Ok(())
        };
        let each_batch = match case.work {
            Work::Exec { commands } => {
                let mut keys = (0..KEYS).map(|n| n.wrapping_mul(7919) % KEYS).cycle();
                for _ in 0..CLIENTS {
                    let requests =
                        (0..case.pipeline).flat_map(|_| transaction(commands, &mut keys)).collect();
                    // OK, QUEUED for each, the length of the array, and its elements.
                    connect(requests, Awaited::Lines(case.pipeline * (2 + 2 * commands)))?;
                }
                CLIENTS * case.pipeline
            }
            Work::Message { listeners } => {
                let messages = PUBLISHERS * case.pipeline;
                for _ in 0..listeners {
                    connect(request(&[b"SUBSCRIBE", b"ch"]), Awaited::Lines(6))?;
                }
                let publish = request(&[b"PUBLISH", b"ch", MESSAGE]).repeat(case.pipeline);
                for _ in 0..PUBLISHERS {
                    connect(publish.clone(), Awaited::Lines(case.pipeline))?;
                }
                messages * listeners
            }
        };
        let mut bench = Self { conns, each_batch, buffer: vec![0; 1 << 18] };
        if let Work::Message { listeners } = case.work {
            // They are told of all that is published from now on.
            let (listening, _) = bench.conns.split_at_mut(listeners);
            let read =
                [&b"*3\r\n$7\r\nmessage\r\n"[..], &request(&[b"ch", MESSAGE])[b"*2\r\n".len()..]].concat();
            exchange(listening, &mut bench.buffer)?;
            for conn in listening {
                conn.requests.clear();
                conn.awaited = Awaited::Bytes(read.len() * case.pipeline * PUBLISHERS);
            }
        }
        Ok(bench)
    }

    fn batch(&mut self) -> Result<()> {
        exchange(&mut self.conns, &mut self.buffer)
    }
}

/// Sends what each connection has to send, and reads what it is answered; those who publish stand behind those who listen.
fn exchange(conns: &mut [Conn], buffer: &mut [u8]) -> Result<()> {
    for conn in conns.iter_mut() {
        conn.stream.write_all(&conn.requests).context("cannot send")?;
    }
    for conn in conns {
        let mut left = match conn.awaited {
            Awaited::Lines(count) | Awaited::Bytes(count) => count,
        };
        while left > 0 {
            let read = conn.stream.read(buffer).context("cannot read the answers")?;
            let came = match conn.awaited {
                _ if read == 0 => return Err("the server has closed the connection".into()),
                Awaited::Bytes(_) => read,
                Awaited::Lines(_) => buffer[..read].iter().filter(|&&byte| byte == b'\n').count(),
            };
            left = left.checked_sub(came).ok_or("the server answers more than it should")?;
        }
    }
    Ok(())
}

fn transaction(commands: usize, keys: &mut impl Iterator<Item = u64>) -> Vec<u8> {
    let mut out = request(&[b"MULTI"]);
    for key in keys.take(commands) {
        out.extend(request(&[b"INCR", format!("key:{key:06}").as_bytes()]));
    }
    out.extend(request(&[b"EXEC"]));
    out
}

/// A request as it is sent.
pub(super) fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend(format!("${}\r\n", word.len()).into_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_what_it_should_be() {
        let text = String::from_utf8(transaction(1, &mut [7].into_iter())).expect("it is text");
        assert_eq!(
            text,
            "*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$10\r\nkey:000007\r\n*1\r\n$4\r\nEXEC\r\n"
        );
    }
}
