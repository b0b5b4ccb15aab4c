//! `modb-client` as scripts use it: what it prints, and what its exit status says.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};

use modb_tests::tool::{self, Outcome};
use modb_tests::wait::DEADLINE;
use modb_tests::{Launch, Platform, Reply, binary};

fn client(addr: SocketAddr, args: &[&str]) -> Outcome {
    let mut command: Command = binary::client().command();
    command.args(["-h", &addr.ip().to_string(), "-p", &addr.port().to_string()]).args(args);
    tool::run(&mut command, b"", DEADLINE)
}

pub(crate) fn one_shot_commands_print_the_reply(platform: &Platform) {
    let server = Launch::new(platform).start();
    let says = |args: &[&str]| client(server.addr(), args).success().trim_end().to_owned();
    assert_eq!(says(&["SET", "a", "1"]), "OK");
    // Not a terminal: raw, as redis-cli does.
    assert_eq!(says(&["GET", "a"]), "1");
    assert_eq!(says(&["INCRBY", "a", "-5"]), "-4");
    assert_eq!(says(&["GET", "missing"]), "");
    assert_eq!(says(&["SET", "with space", "two words"]), "OK");
    assert_eq!(says(&["GET", "with space"]), "two words");
    assert_eq!(server.peer().call(["GET", "with space"]), Reply::bulk("two words"));
}

pub(crate) fn the_exit_status_tells_errors(platform: &Platform) {
    let server = Launch::new(platform).start();
    client(server.addr(), &["SET", "a", "x"]).success();
    let outcome = client(server.addr(), &["INCR", "a"]);
    assert!(!matches!(outcome.status, Some(0) | None), "{outcome:?}");
    let said = outcome.stdout + &outcome.stderr;
    assert!(said.contains("ERR value is not an integer or out of range"), "{said}");
}

pub(crate) fn a_dead_server_is_one_clear_line(_platform: &Platform) {
    let addr = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
    let outcome = client(addr, &["PING"]);
    assert!(!matches!(outcome.status, Some(0) | None), "{outcome:?}");
    assert!(outcome.stderr.contains(&addr.port().to_string()), "{outcome:?}");
    assert_eq!(outcome.stderr.trim_end().lines().count(), 1, "{outcome:?}");
}

pub(crate) fn the_password_and_the_database_can_be_given(platform: &Platform) {
    let server = Launch::new(platform).with_password("secret").start();
    assert!(client(server.addr(), &["SET", "a", "1"]).status != Some(0));
    client(server.addr(), &["-a", "secret", "-n", "3", "SET", "a", "1"]).success();
    let mut peer = server.peer();
    assert_eq!(peer.ask("EXISTS a"), Reply::Int(0));
    assert_eq!(peer.ask("SELECT 3"), Reply::ok());
    assert_eq!(peer.ask("GET a"), Reply::bulk("1"));
}

pub(crate) fn a_full_output_is_an_error_with_status_2(platform: &Platform) {
    let server = Launch::new(platform).start();
    let port = server.addr().port().to_string();
    let full = || OpenOptions::new().write(true).open("/dev/full").expect("Linux has a device that is full");
    let run = |args: &[&str], input: &str| {
        let mut command = binary::client().command();
        command.args(args).stdin(Stdio::piped()).stdout(full()).stderr(Stdio::piped());
        let mut child = tool::spawn(&mut command);
        // What it does not read does not matter.
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
        child.wait_with_output().expect("it ends")
    };
    for (args, input) in [
        (&["--help"][..], ""),
        (&["--version"], ""),
        (&["--man"], ""),
        (&["bench", "--help"], ""),
        (&["-p", &port, "SET", "a", "1"], ""),
        (&["-p", &port], "GET a\n"),
        (&["-p", &port, "--scan"], ""),
        (&["-p", &port, "--bigkeys"], ""),
        (&["-p", &port, "--stat"], ""),
        (&["-p", &port, "--latency", "-i", "0.01"], ""),
        (&["bench", "-p", &port, "--requests", "10"], ""),
    ] {
        let output = run(args, input);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains("cannot write the output: ") && !said.contains("os error"), "{args:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
    }
    // Where even the complaint cannot be written, the status still tells.
    for args in [&["--nope"][..], &["bench", "--nope"], &["-p", "1", "PING"]] {
        let mut command = binary::client().command();
        let status = command.args(args).stderr(full()).stdout(Stdio::null()).status().expect("it starts");
        assert_eq!(status.code(), Some(2), "{args:?}");
    }
}

pub(crate) fn a_reader_that_goes_ends_it_quietly(platform: &Platform) {
    let server = Launch::new(platform).start();
    let port = server.addr().port().to_string();
    // More than a pipe holds, so that it is still writing when the reader has gone.
    let mut peer = server.peer();
    assert_eq!(peer.call(["SET", "a", &"x".repeat(1 << 20)]), Reply::ok());
    let endless = ["-p", &port, "-r", "-1", "GET", "a"];
    let lines = ["-p", &port, "--stat", "-i", "0"];
    let bench = ["bench", "-p", &port, "--requests", "10"];
    for (args, reads) in [(&endless[..], true), (&lines, true), (&bench, false), (&["--help"], false)] {
        let mut command = binary::client().command();
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = tool::spawn(&mut command);
        let mut stdout = child.stdout.take().expect("piped");
        if reads {
            stdout.read_exact(&mut [0]).expect("something is written");
        }
        drop(stdout);
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), said.as_ref()), (Some(0), ""), "{args:?}");
    }
}
