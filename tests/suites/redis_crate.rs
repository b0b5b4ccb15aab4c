//! The `redis` crate's own suite, as its package has it: the tests of its synchronous commands.
//!
//! A package is made of them in the build folder, since cargo runs no tests of a dependency. Each test starts a server of
//! its own through a script that takes redis-server's arguments. The other files of the suite need a macro that is not
//! published, or are about cluster, sentinel, modules and TLS.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use modb_tests::{binary, tool};

use crate::outcome::{End, Outcome};

/// With the time to build it, on a machine that does other things.
const LIMIT: Duration = Duration::from_secs(900);

/// Starts the server as redis-server is started. Every test names a log in a folder of its own.
const STARTER: &str = r#"#!/bin/sh
while [ $# -gt 1 ]; do
    case "$1" in
        --port) port=$2 ;;
        --bind) bind=$2 ;;
        --logfile) folder=$(dirname "$2") ;;
    esac
    shift 2
done
exec "$MODB_SERVER" --port "$port" --bind "$bind" --enable-debug-command yes --dir "$folder/data"
"#;

pub(crate) fn run() -> Result<Vec<Outcome>, String> {
    if !binary::is_installed("redis-server") {
        return Err("the suite asks redis-server for its version, which is not installed".into());
    }
    let package = package();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(&package)
        .args(["test", "--quiet", "--test", "test_basic", "--", "--format=pretty"])
        .env("CARGO_TARGET_DIR", package.join("target"))
        .env("MODB_SERVER", binary::server().path)
        .env("REDISRS_SERVER_BIN", package.join("start-server"))
        .env("PROTOCOL", "RESP3")
        .env_remove("RUSTFLAGS");
    let outcome = tool::run(&mut cargo, b"", LIMIT);
    let outcomes = read(&outcome.stdout, &left_out());
    assert!(!outcomes.is_empty(), "no tests:\n{}\n{}", outcome.stdout, outcome.stderr);
    Ok(outcomes)
}

/// Makes the package of the suite; what it needs is built once.
fn package() -> PathBuf {
    let source = source();
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("redis-crate-suite");
    let write = |name: &str, text: &[u8]| {
        let path = package.join(name);
        fs::create_dir_all(path.parent().expect("it lies in the package"))
            .expect("the build folder can be written");
        // A new time stamp would have it built again.
        if fs::read(&path).is_ok_and(|there| there == text) {
            return path;
        }
        fs::write(&path, text).expect("the build folder can be written");
        path
    };
    write("Cargo.toml", include_bytes!("redis_crate.toml"));
    write("src/lib.rs", b"");
    let starter = write("start-server", STARTER.as_bytes());
    modb_tests::sys::make_executable(&starter).expect("a file of ours can be made executable");
    let read = |path: &Path| fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    write("tests/test_basic.rs", &read(&source.join("tests/test_basic.rs")));
    for file in fs::read_dir(source.join("tests/support")).expect("the crate brings its tests") {
        let file = file.expect("a folder can be read");
        write(&format!("tests/support/{}", file.file_name().display()), &read(&file.path()));
    }
    package
}

/// The folder of the crate, as cargo unpacked it to build the other tests with it.
fn source() -> PathBuf {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(["metadata", "--format-version=1", "--locked"]);
    let metadata = tool::run(&mut cargo, b"", LIMIT).success();
    metadata
        .split("\"manifest_path\":\"")
        .filter_map(|rest| rest.split_once('"'))
        .map(|(path, _)| PathBuf::from(path))
        .filter_map(|manifest| manifest.parent().map(Path::to_path_buf))
        .find(|folder| folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("redis-1.")))
        .expect("the tests depend on the redis crate")
}

/// How the reason begins of a test that passes where the machine is quick enough.
const AT_TIMES: &str = "at times: ";

/// Tests that are not counted, with the reason that stands above them in the list.
fn left_out() -> Vec<(&'static str, &'static str)> {
    let mut reason = "";
    let mut tests = Vec::new();
    for line in include_str!("redis_crate_left_out.txt").lines().map(str::trim) {
        match line.strip_prefix('#') {
            Some(words) => reason = words.trim(),
            None if line.is_empty() => {}
            None => tests.push((line, reason)),
        }
    }
    tests
}

/// Reads what the test program printed.
fn read(printed: &str, left_out: &[(&str, &str)]) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for line in printed.lines() {
        let Some((name, end)) = line.strip_prefix("test ").and_then(|test| test.split_once(" ... ")) else {
            continue;
        };
        let reason = left_out.iter().find(|(test, _)| *test == name).map(|(_, reason)| *reason);
        let end = match (end, reason) {
            ("ok", None) => End::Passed,
            ("ok", Some(reason)) if reason.starts_with(AT_TIMES) => End::Passed,
            ("ok", Some(_)) => End::Failed("it passes: take it off the list of those left out".into()),
            (_, Some(reason)) => End::LeftOut(reason.to_owned()),
            ("FAILED", None) => failure(printed, name),
            (other, None) => End::LeftOut(format!("the suite skips them: {other}")),
        };
        outcomes.push(Outcome { name: name.to_owned(), end });
    }
    for (test, _) in left_out {
        if !outcomes.iter().any(|outcome| outcome.name == *test) {
            let end = End::Failed("no test has this name any more".into());
            outcomes.push(Outcome { name: format!("left out: {test}"), end });
        }
    }
    outcomes
}

/// What a test said when it failed.
fn failure(printed: &str, name: &str) -> End {
    let begin = format!("---- {name} stdout ----\n");
    let said = printed.split_once(&begin).map_or("", |(_, rest)| rest.split("\n---- ").next().unwrap_or(""));
    match unknown_command(said) {
        Some(command) => End::UnknownCommand(command.to_ascii_uppercase()),
        None => End::Failed(said.to_owned()),
    }
}

/// The command of `unknown command 'X'`, or of `unknown subcommand 'Y'. Try X HELP.`
fn unknown_command(said: &str) -> Option<String> {
    if let Some((_, rest)) = said.split_once("unknown command '") {
        return Some(rest.split('\'').next()?.to_owned());
    }
    let (name, rest) = said.split_once("unknown subcommand '")?.1.split_once("'. Try ")?;
    Some(format!("{} {name}", rest.split(' ').next()?))
}
