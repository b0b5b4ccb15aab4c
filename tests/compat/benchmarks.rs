//! redis-benchmark against the server; and our own, which has its tests, beside it.

use std::collections::BTreeSet;
use std::process::Command;

use modb_tests::peer::Peer;
use modb_tests::{Reply, Server, binary, skip, tool};

use crate::{LIMIT, start};

#[test]
fn redis_benchmark_runs_its_tests_without_an_error() {
    if !binary::is_installed("redis-benchmark") {
        skip!("redis-benchmark is not installed (Debian: redis-tools)");
    }
    let server = start();
    for (pipeline, requests) in [("1", "1000"), ("16", "6000")] {
        let mut benchmark = Command::new("redis-benchmark");
        benchmark
            .args(["-p", &server.addr().port().to_string(), "-q", "-c", "20", "-n", requests, "-P", pipeline])
            .args([
                "-r",
                "1000",
                "-t",
                "ping,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange,mset",
            ]);
        let outcome = tool::run(&mut benchmark, b"", LIMIT);
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(!said.to_lowercase().contains("err"), "{said}");
        assert_eq!(said.matches("requests per second").count(), 20, "{said}");
        outcome.success();
    }
}

/// Servers that were loaded by either hold the same keys, fields, members and values, but for their numbers.
#[test]
fn our_benchmark_sends_what_redis_benchmark_sends() {
    if !binary::is_installed("redis-benchmark") {
        skip!("redis-benchmark is not installed (Debian: redis-tools)");
    }
    const TESTS: &str = "set,get,incr,lpush,rpush,lpop,sadd,hset,zadd,lrange_100,mset";
    let loaded_by = |mut benchmark: Command, requests: &[&str]| {
        let server = start();
        benchmark.args(["-p", &server.addr().port().to_string(), "-c", "5", "-P", "4", "-t", TESTS]);
        tool::run(benchmark.args(requests), b"", LIMIT).success();
        shapes(&server)
    };
    let theirs = loaded_by(Command::new("redis-benchmark"), &["-q", "-n", "400", "-r", "1000"]);
    let mut ours = binary::client().command();
    ours.arg("bench");
    let ours = loaded_by(ours, &["--requests", "400", "--keys", "1000"]);
    assert_eq!(ours, theirs);
    assert_eq!(ours.len(), 6, "strings, counters, a list, a set, a hash and a sorted set: {ours:?}");
}

/// What a server holds: names and types of keys and an element of each, with `#` for every digit, and lengths for values.
fn shapes(server: &Server) -> BTreeSet<String> {
    let mut peer = server.peer();
    let keys = texts(&peer.ask("KEYS *"));
    keys.iter().map(|key| shape(&mut peer, key)).collect()
}

fn shape(peer: &mut Peer, key: &str) -> String {
    let Reply::Simple(kind) = peer.ask(&format!("TYPE {key}")) else { panic!("TYPE {key}") };
    let element = match &kind[..] {
        b"string" => format!("MGET {key}"),
        b"list" => format!("LRANGE {key} 0 0"),
        b"set" => format!("SRANDMEMBER {key} 1"),
        b"zset" => format!("ZRANGE {key} 0 0"),
        b"hash" => format!("HRANDFIELD {key} 1 WITHVALUES"),
        _ => panic!("{key} is of another type"),
    };
    let without_digits = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "#");
    let parts = texts(&peer.ask(&element)).into_iter().map(|part| match part {
        number if key.starts_with("counter") => format!("a number: {}", number.parse::<u64>().is_ok()),
        element if element.starts_with("element:") => without_digits(&element),
        value => format!("{} bytes", value.len()),
    });
    format!("{} {} {:?}", without_digits(key), String::from_utf8_lossy(&kind), parts.collect::<Vec<_>>())
}

fn texts(reply: &Reply) -> Vec<String> {
    let Reply::Array(items) = reply else { panic!("{reply:?} is no array") };
    let text = |item: &Reply| match item {
        Reply::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => panic!("{other:?} is no string"),
    };
    items.iter().map(text).collect()
}
