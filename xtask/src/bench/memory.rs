//! `cargo xtask bench memory`: what an element of each type takes of memory, beside redis.
//!
//! Each server is filled with elements of one type, in another order than they will have, and nothing else is asked of it: what its
//! resident memory grew by, for each element. Both keep everything in memory, and write everything into their logs.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use super::costs::request;
use super::programs;
use super::report::median;
use super::servers::{Durability, Kind, Running, Setting};
use crate::failure::{Context as _, Result};

pub(crate) const USAGE: &str = "cargo xtask bench memory [--rounds N] [--elements N]";

/// A server that says nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(60);
/// Elements that one command adds; and the fields of a small hash.
const AT_ONCE: u64 = 20;
/// Commands under way.
const PIPELINE: u64 = 50;

/// Elements of one type.
struct Shape {
    name: &'static str,
    /// The command, and the name of the key before its number.
    command: &'static str,
    /// How many elements are in one key, at most.
    per_key: u64,
    words: fn(u64) -> Vec<String>,
    /// What an element may take, to redis's.
    bound: f64,
}

const SHAPES: [Shape; 6] = [
    Shape {
        name: "hash, field and value of 10 B",
        command: "HSET",
        per_key: u64::MAX,
        words: |n| vec![format!("f:{n:08}"), format!("v:{n:08}")],
        bound: 1.0,
    },
    Shape {
        name: "set of 10 B",
        command: "SADD",
        per_key: u64::MAX,
        words: |n| vec![format!("m:{n:08}")],
        bound: 1.0,
    },
    Shape {
        name: "set of integers",
        command: "SADD",
        per_key: u64::MAX,
        words: |n| vec![n.to_string()],
        bound: 1.0,
    },
    Shape {
        name: "sorted set of 10 B",
        command: "ZADD",
        per_key: u64::MAX,
        words: |n| vec![n.to_string(), format!("m:{n:08}")],
        bound: 1.0,
    },
    Shape {
        name: "list of 10 B",
        command: "RPUSH",
        per_key: u64::MAX,
        words: |n| vec![format!("e:{n:08}")],
        bound: 1.25,
    },
    Shape {
        name: "hashes of 20 fields, 10 B each",
        command: "HSET",
        per_key: AT_ONCE,
        words: |n| vec![format!("f:{n:08}"), format!("v:{n:08}")],
        bound: 1.25,
    },
];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (mut rounds, mut elements) = (3, 500_000_u64);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let number = rest.next().and_then(|value| value.parse::<u64>().ok());
        match (argument.as_str(), number) {
            ("--rounds", Some(number)) => rounds = number.max(1),
            ("--elements", Some(number)) => elements = number.max(AT_ONCE) / AT_ONCE * AT_ONCE,
            _ => return Err(format!("unknown option, or no number after it: {argument}\n{USAGE}").into()),
        }
    }
    let modb_server = programs::server()?;
    let setting = Setting::plain(&modb_server);
    println!("| {elements} elements | redis, bytes each | modb, bytes each | ratio | at most | |");
    println!("|---|---:|---:|---:|---:|---|");
    for shape in &SHAPES {
        let measure = |kind| {
            let samples = (0..rounds).map(|_| bytes_each(shape, kind, elements, &setting));
            Ok::<f64, crate::failure::Failure>(median(&samples.collect::<Result<Vec<f64>>>()?))
        };
        let (redis, modb) = (measure(Kind::Redis)?, measure(Kind::Modb { workers: 1 })?);
        let ratio = modb / redis;
        let judgement = if ratio <= shape.bound { "kept" } else { "MISSED" };
        println!("| {} | {redis:.0} | {modb:.0} | {ratio:.2} | {} | {judgement} |", shape.name, shape.bound);
    }
    Ok(())
}

fn bytes_each(shape: &Shape, kind: Kind, elements: u64, setting: &Setting<'_>) -> Result<f64> {
    let server = Running::start(kind, Durability::EverySecond, setting)?;
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).context("cannot connect")?;
    stream.set_read_timeout(Some(SILENCE)).context("cannot set a socket's options")?;
    let before = server.rss_bytes()?;
    let requests = elements / AT_ONCE;
    for first in (0..requests).step_by(PIPELINE as usize) {
        let part = first..(first + PIPELINE).min(requests);
        let awaited = (part.end - part.start) as usize;
        let batch: Vec<u8> = part.flat_map(|n| filling(shape, n, requests)).collect();
        stream.write_all(&batch).context("cannot send")?;
        read_lines(&mut stream, awaited)?;
    }
    Ok((server.rss_bytes()?.saturating_sub(before)) as f64 / elements as f64)
}

/// The `n`th request of `requests`: some elements of one key.
fn filling(shape: &Shape, n: u64, requests: u64) -> Vec<u8> {
    // Every one in turn, but not in order: the number is a prime that divides none of them.
    let first = n.wrapping_mul(1_000_003) % requests * AT_ONCE;
    let key = format!("key:{:07}", first / shape.per_key);
    let words = (first..first + AT_ONCE).flat_map(shape.words);
    let words: Vec<String> = [shape.command.to_owned(), key].into_iter().chain(words).collect();
    request(&words.iter().map(String::as_bytes).collect::<Vec<_>>())
}

fn read_lines(stream: &mut TcpStream, mut awaited: usize) -> Result<()> {
    let mut buffer = [0; 4096];
    while awaited > 0 {
        let read = stream.read(&mut buffer).context("cannot read the answers")?;
        if read == 0 || buffer[0] == b'-' {
            return Err(format!("the server answers {:?}", String::from_utf8_lossy(&buffer[..read])).into());
        }
        let lines = buffer[..read].iter().filter(|&&byte| byte == b'\n').count();
        awaited = awaited.checked_sub(lines).ok_or("the server answers more than it should")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_added_once() {
        let integers = &SHAPES[2];
        let mut all: Vec<u64> = (0..50)
            .flat_map(|n| {
                let text = String::from_utf8(filling(integers, n, 50)).expect("it is text");
                let words: Vec<u64> =
                    text.split("\r\n").skip(6).step_by(2).filter_map(|word| word.parse().ok()).collect();
                words
            })
            .collect();
        all.sort_unstable();
        assert_eq!(all, (0..50 * AT_ONCE).collect::<Vec<u64>>());
    }
}
