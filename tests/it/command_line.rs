//! `modb-client` as scripts use it: what it prints, and what its exit status says.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;

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
