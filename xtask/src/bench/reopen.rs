//! `cargo xtask bench reopen`: how long a server takes to serve again after a kill, how much memory it takes meanwhile,
//! and that it serves a data set larger than its memory: every key is looked for.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::servers::{Durability, Kind, Running, Setting};
use crate::failure::{Context as _, Result};

pub(crate) const USAGE: &str =
    "cargo xtask bench reopen [--keys N,N] [--value-bytes N] [--server FILE] [-- OPTIONS OF MODB-SERVER]
    Stores each number of keys, kills the server, starts it again and reads all of them back; Linux.";

/// Requests under way: enough that neither side waits for the other, few enough for the sockets' buffers.
const PIPELINE: u64 = 200;
const WORKERS: usize = 2;
/// A server that says nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(60);

struct Options {
    keys: Vec<u64>,
    value_bytes: usize,
    /// Instead of one that is built now.
    server: Option<PathBuf>,
    modb_options: Vec<String>,
}

pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = parse(args)?;
    let modb_server = match &options.server {
        Some(file) => file.clone(),
        None => super::programs::server()?,
    };
    let setting = Setting { modb_options: &options.modb_options, ..Setting::plain(&modb_server) };
    println!("values of {} bytes, options {:?}", options.value_bytes, options.modb_options);
    println!("    keys  stored  reopened  peak storing  after reopening  peak reading  on disk  read");
    for keys in &options.keys {
        measure(*keys, options.value_bytes, &setting)?;
    }
    Ok(())
}

fn measure(keys: u64, value_bytes: usize, setting: &Setting<'_>) -> Result<()> {
    let durability = Durability::EverySecond;
    let mut server = Running::start(Kind::Modb { workers: WORKERS }, durability, setting)?;
    let begin = Instant::now();
    exchange(server.port, keys, |n| set(n, value_bytes), |_, reply| reply == b"+OK")?;
    let stored = begin.elapsed();
    let peak_storing = server.peak_rss_bytes()?;
    let reopened = server.kill_and_reopen(WORKERS, durability, setting)?;
    let after = server.rss_bytes()?;
    let begin = Instant::now();
    // In another order than they were stored.
    exchange(
        server.port,
        keys,
        |n| get(shuffled(n, keys)),
        |n, reply| reply == value(shuffled(n, keys), value_bytes).as_bytes(),
    )?;
    let read = begin.elapsed();
    let peak_reading = server.peak_rss_bytes()?;
    println!(
        "{keys:>8}  {:>4.1} s  {:>6.2} s  {:>8} MB  {:>11} MB  {:>8} MB  {:>4} MB  {:>4.0} thousand/s",
        stored.as_secs_f64(),
        reopened.as_secs_f64(),
        peak_storing >> 20,
        after >> 20,
        peak_reading >> 20,
        server.disk_bytes() >> 20,
        keys as f64 / read.as_secs_f64() / 1000.0,
    );
    Ok(())
}

/// Sends `count` requests in pipelines and looks at each reply.
fn exchange(
    port: u16,
    count: u64,
    request: impl Fn(u64) -> String,
    is_right: impl Fn(u64, &[u8]) -> bool,
) -> Result<()> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("cannot connect")?;
    stream.set_read_timeout(Some(SILENCE)).context("cannot set a timeout")?;
    let mut replies = BufReader::with_capacity(64 << 10, &stream);
    for first in (0..count).step_by(PIPELINE as usize) {
        let part = first..(first + PIPELINE).min(count);
        let requests: String = part.clone().map(&request).collect();
        (&stream).write_all(requests.as_bytes()).context("cannot send")?;
        for n in part {
            let reply = reply(&mut replies)?;
            if !is_right(n, &reply) {
                return Err(format!("request {n}: {}", String::from_utf8_lossy(&reply)).into());
            }
        }
    }
    Ok(())
}

/// A line, or what a bulk holds.
fn reply(from: &mut BufReader<&TcpStream>) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line).context("no reply")?;
    line.truncate(line.len().saturating_sub(2));
    let length = line.strip_prefix(b"$").and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let Some(length) = length else { return Ok(line) };
    let length: usize = length;
    let mut bulk = vec![0; length + 2];
    from.read_exact(&mut bulk).context("half a reply")?;
    bulk.truncate(length);
    Ok(bulk)
}

fn key(n: u64) -> String {
    format!("key:{n:012}")
}

/// Different for each key and hard to compress.
fn value(n: u64, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 16);
    let mut state = n;
    while text.len() < bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text += &format!("{state:016x}");
    }
    text.truncate(bytes);
    text
}

fn set(n: u64, value_bytes: usize) -> String {
    let (key, value) = (key(n), value(n, value_bytes));
    format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${value_bytes}\r\n{value}\r\n", key.len())
}

fn get(n: u64) -> String {
    let key = key(n);
    format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len())
}

/// A permutation of `0..count`: a step that has no divisor in common with any count that is not its multiple.
fn shuffled(n: u64, count: u64) -> u64 {
    const PRIME: u64 = 2_147_483_647;
    (u128::from(n) * u128::from(PRIME) % u128::from(count)) as u64
}

fn parse(args: &[String]) -> Result<Options> {
    let mut options =
        Options { keys: vec![1_000_000, 3_000_000], value_bytes: 32, server: None, modb_options: Vec::new() };
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let mut following = || rest.next().ok_or_else(|| format!("what follows {arg}?\n{USAGE}"));
        let bad = |text: &str| format!("{text} is no number\n{USAGE}");
        match arg.as_str() {
            "--keys" => {
                let list = following()?;
                let keys: Option<Vec<u64>> = list.split(',').map(|n| n.parse().ok()).collect();
                options.keys = keys.filter(|keys| !keys.contains(&0)).ok_or_else(|| bad(list))?;
            }
            "--value-bytes" => {
                let text = following()?;
                options.value_bytes = text.parse().map_err(|_| bad(text))?;
            }
            "--server" => options.server = Some(following()?.into()),
            "--" => {
                options.modb_options = rest.cloned().collect();
                break;
            }
            _ => return Err(format!("what is {arg}?\n{USAGE}").into()),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let words: Vec<String> =
            "--keys 5,6 --value-bytes 9 -- --cache-mb 7".split(' ').map(str::to_owned).collect();
        let options = parse(&words).expect("valid");
        assert_eq!((options.keys, options.value_bytes), (vec![5, 6], 9));
        assert_eq!(options.modb_options, ["--cache-mb", "7"]);
        assert!(parse(&["--keys".to_owned(), "0".to_owned()]).is_err());
    }

    #[test]
    fn every_key_is_read_once() {
        let mut seen: Vec<u64> = (0..1000).map(|n| shuffled(n, 1000)).collect();
        assert_ne!(seen[..3], [0, 1, 2]);
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..1000));
    }
}
