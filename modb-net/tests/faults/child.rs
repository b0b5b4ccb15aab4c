//! A test in a process of its own.

use std::process::Command;

const CHILD: &str = "MODB_NET_TEST_CHILD";

/// Runs `body` in a new process, through `launcher` if it is not empty, and fails unless that succeeds.
/// The process is this test binary started again for the test `name` alone (its path within the binary),
/// which therefore has to lead here.
pub(crate) fn in_child_by(launcher: &[&str], name: &str, body: impl FnOnce()) {
    if std::env::var(CHILD).is_ok_and(|child| child == name) {
        body();
        std::process::exit(0);
    }
    let this = std::env::current_exe().unwrap();
    let mut command = match launcher {
        [] => Command::new(this),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(this);
            command
        }
    };
    let output = command
        .args([name, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(CHILD, name)
        .output()
        .unwrap_or_else(|error| panic!("{launcher:?}: {error}"));
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&text));
}

/// As [`in_child_by`], directly.
pub(crate) fn in_child(name: &str, body: impl FnOnce()) {
    in_child_by(&[], name, body);
}
