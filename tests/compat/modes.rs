//! redis-cli in all its modes.

use std::process::Command;

use modb_tests::terminal::Terminal;
use modb_tests::{Launch, Platform, Server, binary, skip};

use crate::{redis_cli, start};

/// A key of each type, and what `commands` writes besides.
fn filled(server: &Server) {
    let peer = &mut server.peer();
    for command in ["SET a 1", "RPUSH l a b c", "HSET h f 1 g 2", "ZADD z 1 a", "SADD s x y z"] {
        peer.ask(command);
    }
}

/// Arguments, input, the status that it ends with, and what it says then.
type Mode<'a> = (&'a [&'a str], &'a str, i32, &'a [&'a str]);

const MODES: &[Mode<'_>] = &[
    (&["-r", "3", "-i", "0.01", "INCR", "a"], "", 0, &["2\n3\n4\n"]),
    (&["-x", "SET", "x"], "hello", 0, &["OK"]),
    (&["-X", "tag", "SET", "tag", "tagged"], "key", 0, &["OK"]),
    (&["GET", "key"], "", 0, &["tagged"]),
    (&["-d", ";", "LRANGE", "l", "0", "-1"], "", 0, &["a;b;c"]),
    (&["-e", "GET", "l"], "", 1, &["WRONGTYPE"]),
    (&["--csv", "LRANGE", "l", "0", "-1"], "", 0, &["\"a\",\"b\",\"c\""]),
    (&["--json", "HGETALL", "h"], "", 0, &["{\"f\":\"1\",\"g\":\"2\"}"]),
    (&["--quoted-json", "GET", "x"], "", 0, &["\"hello\""]),
    (&["--quoted-input", "SET", "\"\\xff!\"", "v"], "", 0, &["OK"]),
    (&["--no-raw", "-3", "HGETALL", "h"], "", 0, &["1# \"f\" => \"1\"", "2# \"g\" => \"2\""]),
    (&["--no-raw", "-2", "HGETALL", "h"], "", 0, &["1) \"f\"", "4) \"2\""]),
    (&["-c", "GET", "a"], "", 0, &["4"]),
    (&["--scan", "--pattern", "[alh]"], "", 0, &["a\n", "l\n", "h\n"]),
    (&["--scan", "--quoted-pattern", "\"\\xff*\""], "", 0, &["!\n"]),
    (
        &["--bigkeys"],
        "",
        0,
        &["Biggest   list found '\"l\"' has 3 items", "Sampled 8 keys", "1 zsets with 1 members"],
    ),
    (
        &["--memkeys", "--memkeys-samples", "2"],
        "",
        0,
        &["Sampled 8 keys", "Biggest   hash found '\"h\"' has"],
    ),
    (&["--hotkeys"], "", 1, &["An LFU maxmemory policy is not selected"]),
    (&["--latency", "--csv", "-i", "0.1"], "", 0, &[","]),
    (&["--intrinsic-latency", "1"], "", 0, &["total runs"]),
    (&["HELP", "SET"], "", 0, &["group:", "string"]),
    (&["--pipe"], "SET b 1\r\nINCR l\r\nINCR b\r\n", 1, &["errors: 1, replies: 3"]),
    // Refused readably: there is no replication, no cluster.
    (&["--rdb", "-"], "", 1, &["SYNC with master failed: -ERR unknown command"]),
    (&["--functions-rdb", "-"], "", 1, &["Failed requesting functions only RDB"]),
    (&["--replica"], "", 1, &["SYNC with master failed: -ERR unknown command"]),
];

#[test]
#[ignore = "with --long"]
fn long_redis_cli_in_the_modes_that_end() {
    if !binary::is_installed("redis-cli") {
        skip!("redis-cli is not installed (Debian: redis-tools)");
    }
    let server = start();
    filled(&server);
    for (args, input, status, says) in MODES {
        let outcome = redis_cli(&server, args, input.as_bytes());
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert_eq!(outcome.status, Some(*status), "{args:?}: {said}");
        for words in *says {
            assert!(said.contains(words), "{args:?}: {words:?} is not in {said}");
        }
    }
    let address = server.addr().to_string();
    let cluster = redis_cli(&server, &["--cluster", "check", &address], b"");
    assert!((cluster.stdout + &cluster.stderr).contains("is not configured as a cluster node"));
}

/// The modes that go on until they are interrupted, with what they come to show.
const ENDLESS: &[(&[&str], &str)] = &[
    (&["--stat", "-i", "0.05"], "(+1)"),
    (&["--latency"], "avg: "),
    (&["--latency-history", "-i", "0.1"], "seconds range"),
    (&["--latency-dist", "-i", "0.1"], "milliseconds"),
    (&["--lru-test", "1000"], "Hits: "),
];

#[test]
#[ignore = "with --long"]
fn long_redis_cli_in_the_modes_that_go_on() {
    if !cfg!(unix) || !binary::is_installed("redis-cli") {
        skip!("redis-cli is not installed (Debian: redis-tools)");
    }
    let server = start();
    filled(&server);
    for (args, shows) in ENDLESS {
        let mut cli = Command::new("redis-cli");
        cli.args(["-p", &server.addr().port().to_string()]).args(*args);
        Terminal::start(&mut cli, 150).wait_for(shows);
    }
}

#[test]
#[ignore = "with --long"]
fn long_redis_cli_gives_the_password_in_every_way() {
    if !cfg!(unix) || !binary::is_installed("redis-cli") {
        skip!("redis-cli is not installed (Debian: redis-tools)");
    }
    let server = Launch::new(&Platform::here()).with_password("secret").start();
    let url = format!("redis://default:secret@{}/2", server.addr());
    for args in [
        &["-a", "secret", "PING"][..],
        &["--user", "default", "--pass", "secret", "PING"],
        &["-3", "-a", "secret", "PING"],
        &["-u", &url, "PING"],
    ] {
        assert_eq!(redis_cli(&server, args, b"").success(), "PONG\n", "{args:?}");
    }
    assert!(redis_cli(&server, &["PING"], b"").stdout.contains("NOAUTH"));
    let wrong = redis_cli(&server, &["-a", "wrong", "PING"], b"");
    assert!((wrong.stdout + &wrong.stderr).contains("WRONGPASS"));

    let mut asking = Command::new("redis-cli");
    asking.args(["-p", &server.addr().port().to_string(), "--askpass"]);
    let prompt = Terminal::start(&mut asking, 100);
    prompt.wait_for("password: ");
    prompt.enter("secret\r");
    prompt.wait_for(&format!("127.0.0.1:{}> ", server.addr().port()));
    prompt.enter("ECHO open\r");
    prompt.wait_for("\"open\"");
}
