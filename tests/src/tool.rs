//! Runs a program to its end, with a deadline, and says everything when it fails.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::wait;

/// What a program did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Outcome {
    /// Asserts that it exited with 0; gives its stdout.
    ///
    /// # Panics
    /// If it did not; the message holds all it said.
    pub fn success(self) -> String {
        assert_eq!(self.status, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self.stdout
    }
}

/// Starts `command`.
///
/// Wine on a busy machine fails to start a process now and then, and says so with an error of Windows that
/// has no other cause here: it is asked again.
///
/// # Panics
/// If it cannot start.
pub fn spawn(command: &mut Command) -> Child {
    const ERROR_INTERNAL_ERROR: i32 = 1359;
    const ATTEMPTS: u32 = 5;
    let mut attempts = 1;
    loop {
        match command.spawn() {
            Ok(child) => return child,
            Err(error) if error.raw_os_error() == Some(ERROR_INTERNAL_ERROR) && attempts < ATTEMPTS => {
                attempts += 1;
            }
            Err(error) => panic!("{command:?} cannot start: {error}"),
        }
    }
}

/// Whether what was printed is a complaint of Wine's own, whose server has refused the process before the program began: it
/// happens now and then where a process is started from outside of Wine.
pub(crate) fn wine_has_failed(printed: &str) -> bool {
    printed.starts_with("wine client error:")
}

/// What `run` makes of a program, which it starts again where Wine itself has failed; `printed` is what the program has said.
pub(crate) fn despite_wine<T>(mut run: impl FnMut() -> T, printed: impl Fn(&T) -> &str) -> T {
    const ATTEMPTS: usize = 5;
    let mut ran = run();
    for _ in 1..ATTEMPTS {
        if !wine_has_failed(printed(&ran)) {
            break;
        }
        ran = run();
    }
    ran
}

/// Runs `command` with `input` on its stdin.
///
/// # Panics
/// If it cannot start, or has not ended after `limit`; it is killed then.
pub fn run(command: &mut Command, input: &[u8], limit: Duration) -> Outcome {
    despite_wine(|| run_once(command, input, limit), |outcome| &outcome.stderr)
}

fn run_once(command: &mut Command, input: &[u8], limit: Duration) -> Outcome {
    let named = format!("{command:?}");
    let mut child = spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let input = input.to_vec();
    // The program may end without reading all of it: that is its own business.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let (stdout, stderr) =
        (collect(child.stdout.take().expect("piped")), collect(child.stderr.take().expect("piped")));
    let ended = wait::within(limit, || child.try_wait().expect("a child can be waited for"));
    if ended.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let _ = writer.join();
    let text = |thread: thread::JoinHandle<Vec<u8>>| {
        String::from_utf8_lossy(&thread.join().expect("the reader does not panic")).into_owned()
    };
    let (stdout, stderr) = (text(stdout), text(stderr));
    let status = ended.unwrap_or_else(|| {
        panic!("{named} has not ended after {limit:?}; stdout:\n{stdout}\nstderr:\n{stderr}")
    });
    Outcome { status: status.code(), stdout, stderr }
}

fn collect(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        let _ = pipe.read_to_end(&mut all);
        all
    })
}
