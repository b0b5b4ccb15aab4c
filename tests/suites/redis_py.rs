//! redis-py's own suite, as its source archive has it, run by pytest.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use modb_tests::{Launch, Platform, tool};

use crate::outcome::{End, Outcome};

/// Ten times what it takes on a quiet machine.
const LIMIT: Duration = Duration::from_secs(900);

/// The files with tests that speak to one server; the others are about clusters, modules, or redis-py's own inside.
const FILES: [&str; 28] = [
    "tests/test_client.py",
    "tests/test_commands.py",
    "tests/test_connect.py",
    "tests/test_connection.py",
    "tests/test_connection_pool.py",
    "tests/test_encoding.py",
    "tests/test_function.py",
    "tests/test_hash.py",
    "tests/test_keyspace_notifications.py",
    "tests/test_lock.py",
    "tests/test_max_connections_error.py",
    "tests/test_monitor.py",
    "tests/test_multiprocessing.py",
    "tests/test_pipeline.py",
    "tests/test_pubsub.py",
    "tests/test_retry.py",
    "tests/test_scripting.py",
    "tests/test_asyncio/test_client.py",
    "tests/test_asyncio/test_commands.py",
    "tests/test_asyncio/test_connection.py",
    "tests/test_asyncio/test_connection_pool.py",
    "tests/test_asyncio/test_encoding.py",
    "tests/test_asyncio/test_hash.py",
    "tests/test_asyncio/test_keyspace_notifications.py",
    "tests/test_asyncio/test_lock.py",
    "tests/test_asyncio/test_monitor.py",
    "tests/test_asyncio/test_pipeline.py",
    "tests/test_asyncio/test_pubsub.py",
];

/// Those in which the protocol makes a difference: they run once more, in RESP2.
const IN_RESP2: [&str; 2] = ["tests/test_commands.py", "tests/test_pipeline.py"];

pub(crate) fn run() -> Result<Vec<Outcome>, String> {
    let (Some(python), Some(suite)) =
        (std::env::var_os("MODB_PYTHON"), std::env::var_os("MODB_REDIS_PY_SUITE"))
    else {
        return Err(
            "MODB_PYTHON and MODB_REDIS_PY_SUITE name no redis-py with its tests (cargo xtask setup makes one)".into()
        );
    };
    let mut outcomes = Vec::new();
    // Without an answer redis-py speaks RESP3.
    for (protocol, files) in [("", &FILES[..]), ("2", &IN_RESP2)] {
        let server = Launch::new(&Platform::here()).with("--enable-debug-command", "local").start();
        let folder = tempfile::tempdir().expect("a folder can be made");
        let report = folder.path().join("report");
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("suites");
        let mut pytest = Command::new(&python);
        pytest
            .current_dir(&suite)
            .args(["-m", "pytest", "--quiet", "--tb=native", "-p", "redis_py"])
            // Of the test itself only: in what pytest does around it, a timeout would end the session.
            .args(["--timeout=60", "-o", "timeout_func_only=true"])
            // Neither its configuration nor its caches: the archive's folder is left as it is.
            .args(["-c", "/dev/null", "--rootdir", ".", "-p", "no:cacheprovider", "-W", "ignore"])
            .args(["-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"])
            .arg(format!("--redis-url=redis://{}/0", server.addr()))
            .arg(format!("--protocol={protocol}"))
            .args(files)
            .env("PYTHONPATH", &here)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("MODB_SUITE_LEFT_OUT", here.join("redis_py_left_out.txt"))
            .env("MODB_SUITE_REPORT", &report);
        let outcome = tool::run(&mut pytest, b"", LIMIT);
        let said = || format!("pytest told of no tests:\n{}\n{}", outcome.stdout, outcome.stderr);
        let report = fs::read_to_string(&report).unwrap_or_else(|_| panic!("{}", said()));
        let before = outcomes.len();
        outcomes.extend(report.lines().map(|line| read(protocol, line)));
        assert!(outcomes.len() > before, "{}", said());
    }
    Ok(outcomes)
}

/// A line of the plugin's report.
fn read(protocol: &str, line: &str) -> Outcome {
    let mut fields = line.splitn(3, '\t');
    let (name, end, why) = (fields.next(), fields.next(), fields.next());
    let (Some(name), Some(end), Some(why)) = (name, end, why) else { panic!("no line of a report: {line}") };
    let why = why.replace("\\n", "\n");
    let name = if protocol.is_empty() { name.to_owned() } else { format!("RESP{protocol}: {name}") };
    let end = match end {
        "passed" => End::Passed,
        "left out" => End::LeftOut(why),
        "unknown command" => End::UnknownCommand(why.to_ascii_uppercase()),
        _ => End::Failed(why),
    };
    Outcome { name, end }
}
