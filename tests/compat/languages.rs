//! Clients of other languages, each with a script that does what applications do with it by default: handshake, values of
//! every type and of any bytes, a pipeline, errors, a timeout, a connection that is lost.
//!
//! They come from Debian's packages, iredis from PyPI; `cargo xtask setup --long` installs them. A timeout is provoked with
//! CLIENT PAUSE, a lost connection with CLIENT KILL: nothing here waits for a time to pass but the client itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use modb_tests::terminal::Terminal;
use modb_tests::tool;
use modb_tests::{Launch, Platform, binary, skip};

use crate::{LIMIT, script};

/// A password is part of the handshake.
const PASSWORD: &str = "secret";

/// Runs `client` with the port of a server of its own, and the password.
fn meets(client: &mut Command) {
    let server = Launch::new(&Platform::here()).with_password(PASSWORD).start();
    client.arg(server.addr().port().to_string()).arg(PASSWORD);
    println!("{}", tool::run(client, b"", LIMIT).success());
}

/// Skips the test it stands in unless programs are installed.
macro_rules! needs {
    ($($program:literal from $package:literal),+) => {
        $(if !cfg!(unix) || !binary::is_installed($program) {
            skip!("{} is not installed (Debian: {})", $program, $package);
        })+
    };
}

/// Where what is compiled for these tests stays from run to run.
fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compat-languages");
    std::fs::create_dir_all(&folder).expect("the build folder can be written");
    folder
}

#[test]
#[ignore = "with --long"]
fn long_hiredis_does_what_applications_do() {
    needs!("cc" from "gcc");
    if !Path::new("/usr/include/hiredis/hiredis.h").exists() {
        skip!("hiredis is not installed (Debian: libhiredis-dev)");
    }
    let program = folder().join("hiredis");
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-Wall", "-Wextra", "-Werror"]).arg(script("hiredis.c")).arg("-o").arg(&program);
    tool::run(cc.args(["-lhiredis", "-levent"]), b"", LIMIT).success();
    meets(&mut Command::new(program));
}

#[test]
#[ignore = "with --long"]
fn long_go_redis_does_what_applications_do() {
    needs!("go" from "golang-go");
    const LIBRARIES: &str = "/usr/share/gocode";
    if !Path::new(LIBRARIES).join("src/gopkg.in/redis.v5").exists() {
        skip!("go-redis is not installed (Debian: golang-gopkg-redis.v5-dev)");
    }
    let mut go = Command::new("go");
    go.args(["run"]).arg(script("go_redis.go"));
    meets(go.env("GO111MODULE", "off").env("GOPATH", LIBRARIES).env("GOCACHE", folder().join("go")));
}

#[test]
#[ignore = "with --long"]
fn long_phpredis_does_what_applications_do() {
    needs!("php" from "php-cli, php-redis");
    meets(Command::new("php").arg(script("phpredis.php")));
}

#[test]
#[ignore = "with --long"]
fn long_predis_does_what_applications_do() {
    needs!("php" from "php-cli, php-predis");
    meets(Command::new("php").arg(script("predis.php")));
}

#[test]
#[ignore = "with --long"]
fn long_perls_redis_does_what_applications_do() {
    needs!("perl" from "perl, libredis-perl");
    meets(Command::new("perl").arg(script("perl_redis.pl")));
}

#[test]
#[ignore = "with --long"]
fn long_redis_lua_does_what_applications_do() {
    needs!("lua5.1" from "lua5.1, lua-redis");
    meets(Command::new("lua5.1").arg(script("lua_redis.lua")));
}

#[test]
#[ignore = "with --long"]
fn long_redis_rb_does_what_applications_do() {
    needs!("ruby" from "ruby-redis");
    meets(Command::new("ruby").arg(script("ruby_redis.rb")));
}

#[test]
#[ignore = "with --long"]
fn long_iredis_asks_and_is_answered_at_its_prompt_and_without() {
    let Some(iredis) = std::env::var_os("MODB_IREDIS") else {
        skip!("MODB_IREDIS names no iredis (cargo xtask setup --long installs one)")
    };
    let server = Launch::new(&Platform::here()).with_password(PASSWORD).start();
    let home = tempfile::tempdir().expect("a folder can be made");
    let port = server.addr().port().to_string();
    let start = || {
        let mut command = Command::new(&iredis);
        command.args(["-p", &port, "-a", PASSWORD, "-n", "2"]);
        // Its history and its log; and this terminal does not say where its cursor is.
        command.env("HOME", home.path()).env("PROMPT_TOOLKIT_NO_CPR", "1");
        command
    };
    let says = |input: &[u8]| tool::run(&mut start(), input, LIMIT).success();
    assert_eq!(says(b"SET a 41").trim(), "OK");
    assert_eq!(says(b"INCR a").trim(), "42");
    assert_eq!(says(b"HSET h field value").trim(), "1");

    let prompt = Terminal::start(&mut start(), 100);
    let ready = format!("127.0.0.1:{port}[2]> ");
    for (typed, answered) in [
        ("GET a", "\"42\""),
        ("HGETALL h", "\"value\""),
        ("GET h", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("TTL a", "(integer) -1"),
        ("NOSUCH", "unknown command"),
        ("EXISTS a h nothing", "(integer) 2"),
    ] {
        prompt.wait_for(&ready);
        prompt.enter(&format!("{typed}\r"));
        prompt.wait_for(answered);
    }
}
