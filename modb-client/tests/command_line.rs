//! The command `modb-client` as a program: what it prints, and how it ends.

mod common;

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use common::FakeServer;

/// Runs the program against `server` with `input` on its standard input.
fn run(server: &FakeServer, args: &[&str], input: &[u8]) -> Output {
    let port = server.config().port.to_string();
    let all: Vec<&str> = ["-p", &port].iter().chain(args).copied().collect();
    run_with(&all, input)
}

fn run_with(args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_modb-client"))
        .args(args)
        .env_remove("REDISCLI_AUTH")
        .env_remove("MODB_PASSWORD")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program has been built");
    let mut stdin = child.stdin.take().expect("it is a pipe");
    // It may end without reading.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("the program ends")
}

#[track_caller]
fn assert_ends(output: &Output, status: i32, stdout: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), stdout, "standard error: {stderr}");
    assert_eq!(output.status.code(), Some(status), "standard error: {stderr}");
}

#[test]
fn a_command_prints_its_reply_and_its_arguments_may_look_like_options() {
    let server = FakeServer::start();
    assert_ends(&run(&server, &["ECHO", "hello"], b""), 0, "hello\n");
    assert_ends(&run(&server, &["ECHO", "--json"], b""), 0, "--json\n");
    assert_ends(&run(&server, &["--json", "ECHO", "a\"b"], b""), 0, "\"a\\\"b\"\n");
    assert_ends(&run(&server, &["--csv", "ECHO", "a\"b"], b""), 0, "\"a\"\"b\"\n");
    assert_ends(&run(&server, &["--no-raw", "ECHO", "a\"b"], b""), 0, "\"a\\\"b\"\n");
    assert_ends(&run(&server, &["-r", "2", "ECHO", "x"], b""), 0, "x\nx\n");
}

#[test]
fn the_last_argument_can_come_from_standard_input() {
    let server = FakeServer::start();
    assert_ends(&run(&server, &["-x", "ECHO"], b"from a pipe"), 0, "from a pipe\n");
}

#[test]
fn the_exit_status_tells_the_servers_errors_from_ones_own() {
    let server = FakeServer::start();
    assert_ends(&run(&server, &["FAIL"], b""), 1, "ERR failed\n");
    assert_ends(&run(&server, &["CLOSE"], b""), 2, "");
    assert_ends(&run(&server, &["--wrong"], b""), 2, "");
    assert_ends(&run(&server, &["--scan", "PING"], b""), 2, "");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let output = run_with(&["-p", &port, "PING"], b"");
    assert_ends(&output, 2, "");
    assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("127.0.0.1:{port}")));
}

#[test]
fn a_pipe_of_commands_is_answered_in_order_and_goes_on_after_an_error() {
    let server = FakeServer::start();
    let input = b"ECHO 1\n\n  ECHO \"a b\"\r\nFAIL\nECHO 'unbalanced\nECHO last";
    let output = run(&server, &[], input);
    assert_ends(&output, 1, "1\na b\nERR failed\nlast\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("line 5: unbalanced quotes"));
}

#[test]
fn a_pipe_longer_than_a_batch_is_answered_whole() {
    let server = FakeServer::start();
    let input: String = (0..5000).map(|n| format!("ECHO {n}\n")).collect();
    let expected: String = (0..5000).map(|n| format!("{n}\n")).collect();
    assert_ends(&run(&server, &[], input.as_bytes()), 0, &expected);
}

#[test]
fn scanning_prints_every_key_and_follows_the_cursor() {
    let server = FakeServer::start();
    assert_ends(&run(&server, &["--scan"], b""), 0, "a\nb\nc\n");
    assert_ends(&run(&server, &["--scan", "--pattern", "x*"], b""), 0, "x\n");
}

#[test]
fn watching_ends_after_as_many_lines_as_it_is_told() {
    let server = FakeServer::start();
    let output = run(&server, &["--stat", "-r", "1"], b"");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.lines().count(), 2, "the names of the columns, and one line: {text}");
    assert!(text.contains("7 (+0)"), "{text}");
    let output = run(&server, &["--latency", "-r", "1", "-i", "0.02"], b"");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.lines().count() == 1 && text.starts_with("min "), "{text}");
}

#[test]
fn the_password_of_the_environment_is_sent_and_never_shown() {
    let server = FakeServer::start();
    let port = server.config().port.to_string();
    for (password, status) in [("secret", 0), ("wrong", 2)] {
        let output = Command::new(env!("CARGO_BIN_EXE_modb-client"))
            .args(["-p", &port, "-2", "ECHO", "in"])
            .env("MODB_PASSWORD", password)
            .output()
            .unwrap();
        assert_ends(&output, status, if status == 0 { "in\n" } else { "" });
        assert!(!String::from_utf8_lossy(&output.stderr).contains(password));
    }
}
