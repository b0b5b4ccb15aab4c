//! Clients that nobody here wrote, against the server: redis-cli, redis-benchmark, redis-py, the `redis` crate, ioredis
//! and node-redis; and applications. With `--long` more of them, in files of their own: of other languages, in all modes, through proxies.
//!
//! A client that is not installed makes its test skip with what is missing. Python comes from `MODB_PYTHON` (an
//! interpreter that has redis-py); the Node.js clients are installed by npm into the build folder, in the versions
//! that `package.json` names: the last major ones that run on the Node.js of Debian 12.

#[cfg(unix)]
mod applications;
mod benchmarks;
mod languages;
mod modes;
#[cfg(unix)]
mod proxies;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use modb_tests::tool::{self, Outcome};
use modb_tests::{Launch, Platform, Reply, Server, binary, skip};
use redis::Commands as _;

/// Long enough for a benchmark on a machine that does other things.
const LIMIT: Duration = Duration::from_secs(300);

fn start() -> Server {
    Launch::new(&Platform::here()).start()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compat").join(name)
}

fn redis_cli(server: &Server, args: &[&str], input: &[u8]) -> Outcome {
    let mut cli = Command::new("redis-cli");
    tool::run(cli.args(["-p", &server.addr().port().to_string()]).args(args), input, LIMIT)
}

#[test]
fn redis_cli_asks_and_is_answered() {
    if !binary::is_installed("redis-cli") {
        skip!("redis-cli is not installed (Debian: redis-tools)");
    }
    let server = start();
    let says = |args: &[&str]| redis_cli(&server, args, b"").success().trim_end().to_owned();
    assert_eq!(says(&["SET", "a", "two words"]), "OK");
    assert_eq!(says(&["GET", "a"]), "two words");
    assert_eq!(says(&["-3", "GET", "missing"]), "");
    assert_eq!(says(&["--no-raw", "GET", "missing"]), "(nil)");
    assert_eq!(says(&["-n", "2", "DBSIZE"]), "0");
    assert_eq!(says(&["--json", "MGET", "a", "missing"]), r#"["two words",null]"#);
    let refused = redis_cli(&server, &["-e", "INCR", "a"], b"");
    assert_ne!(refused.status, Some(0));
    assert!((refused.stdout + &refused.stderr).contains("value is not an integer or out of range"));
    let lines = redis_cli(&server, &[], b"SET b 1\nINCR b\nGET b\n").success();
    assert_eq!(lines.split_whitespace().collect::<Vec<_>>(), ["OK", "2", "2"]);
}

#[test]
fn redis_cli_loads_scans_and_measures() {
    if !binary::is_installed("redis-cli") {
        skip!("redis-cli is not installed (Debian: redis-tools)");
    }
    const KEYS: usize = 5000;
    let server = start();
    let wire: Vec<u8> = (0..KEYS)
        .flat_map(|n| modb_tests::peer::encode(["SET", &format!("key:{n}"), &n.to_string()]))
        .collect();
    let piped = redis_cli(&server, &["--pipe"], &wire).success();
    assert!(piped.contains(&format!("errors: 0, replies: {KEYS}")), "{piped}");
    assert_eq!(server.peer().ask("DBSIZE"), Reply::Int(KEYS as i64));
    let scanned = redis_cli(&server, &["--scan", "--pattern", "key:*"], b"").success();
    assert_eq!(scanned.lines().count(), KEYS);
    let big = redis_cli(&server, &["--bigkeys"], b"").success();
    assert!(big.contains(&format!("{KEYS} strings with")), "{big}");
    let info = redis_cli(&server, &["INFO"], b"").success();
    assert!(info.contains("redis_version:7.2."), "{info}");
}

#[test]
fn redis_py_does_what_applications_do() {
    let Some(python) = std::env::var_os("MODB_PYTHON") else {
        skip!("MODB_PYTHON names no Python of this system that has redis-py (cargo xtask setup makes one)")
    };
    let server = start();
    let mut py = Command::new(python);
    py.arg(script("redis_py.py")).arg(server.addr().port().to_string());
    println!("{}", tool::run(&mut py, b"", LIMIT).success());
}

#[test]
fn the_redis_crate_does_what_applications_do() {
    for protocol in ["resp2", "resp3"] {
        let server = start();
        let url = format!("redis://{}/1?protocol={protocol}", server.addr());
        let client = redis::Client::open(url).expect("the address is well formed");
        let mut connection = client.get_connection().expect("the server takes clients");
        application(&mut connection).unwrap_or_else(|error| panic!("{protocol}: {error}"));
        assert_eq!(server.peer().ask("DBSIZE"), Reply::Int(0), "database 1 was asked for");
    }
}

fn application(connection: &mut redis::Connection) -> redis::RedisResult<()> {
    let _: () = connection.set("a", 40)?;
    let sum: i64 = connection.incr("a", 2)?;
    assert_eq!(sum, 42);
    let _: () = connection.set_ex("timed", "v", 1000)?;
    let left: i64 = connection.ttl("timed")?;
    assert!((990..=1000).contains(&left), "{left}");
    let missing: Option<String> = connection.get("missing")?;
    assert_eq!(missing, None);
    let binary: Vec<u8> = (0..=255).collect();
    let _: () = connection.set("binary", &binary)?;
    let back: Vec<u8> = connection.get("binary")?;
    assert_eq!(back, binary);

    let mut pipe = redis::pipe();
    for n in 0..1000 {
        pipe.set(format!("k:{n}"), n).ignore();
    }
    let (last, count): (i64, i64) = pipe.get("k:999").cmd("DBSIZE").query(connection)?;
    assert_eq!((last, count), (999, 1003));
    let found = connection.scan_match::<_, String>("k:*")?.collect::<Result<Vec<_>, _>>()?;
    assert_eq!(found.len(), 1000);

    let refused: redis::RedisResult<i64> = connection.incr("binary", 1);
    let text = refused.expect_err("it is no number").to_string();
    assert!(text.contains("value is not an integer or out of range"), "{text}");
    let still: String = redis::cmd("PING").query(connection)?;
    assert_eq!(still, "PONG");
    Ok(())
}

#[test]
fn ioredis_does_what_applications_do() {
    node("ioredis.js");
}

#[test]
fn node_redis_does_what_applications_do() {
    node("node_redis.js");
}

fn node(name: &str) {
    let modules = match node_modules() {
        Ok(modules) => modules,
        Err(missing) => return skip::note(name, missing),
    };
    let server = start();
    let mut node = Command::new("node");
    node.arg(script(name)).arg(server.addr().port().to_string()).env("NODE_PATH", modules);
    println!("{}", tool::run(&mut node, b"", LIMIT).success());
}

/// The folder with the clients that `package.json` names; installs them once.
fn node_modules() -> Result<&'static Path, &'static str> {
    static MODULES: OnceLock<Result<PathBuf, &'static str>> = OnceLock::new();
    let install = || {
        if !binary::is_installed("node") || !binary::is_installed("npm") {
            return Err("node and npm are not installed (Debian: nodejs, npm)");
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compat-node");
        let wanted = fs::read(script("package.json")).expect("the project has it");
        let modules = folder.join("node_modules");
        let done = folder.join("installed.json");
        if fs::read(&done).is_ok_and(|installed| installed == wanted) {
            return Ok(modules);
        }
        fs::create_dir_all(&folder).expect("the build folder can be written");
        fs::write(folder.join("package.json"), &wanted).expect("the build folder can be written");
        let mut npm = Command::new("npm");
        npm.current_dir(&folder).args([
            "install",
            "--no-package-lock",
            "--no-audit",
            "--no-fund",
            "--silent",
        ]);
        tool::run(&mut npm, b"", LIMIT).success();
        fs::write(&done, &wanted).expect("the build folder can be written");
        Ok(modules)
    };
    MODULES.get_or_init(install).as_deref().map_err(|missing| *missing)
}
