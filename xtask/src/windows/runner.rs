//! `xtask wine WINE PROGRAM ARGS`: what cargo runs programs for Windows with, on this machine.
//!
//! Wine's server refuses a process now and then that is started from outside of Wine, before the program begins: then it is
//! started again. Invariant: a program that has printed anything of its own is not, whatever it ends with.

use std::io::{self, Read, Write};
use std::process::{ExitStatus, Stdio};
use std::thread;

use crate::failure::{Context as _, Result};
use crate::process;

/// The word for it.
pub(crate) const WORD: &str = "wine";

const ATTEMPTS: usize = 5;

/// Ends this program as the other one ended.
pub(crate) fn command(args: &[String]) -> Result<()> {
    let status = run(args)?;
    std::process::exit(status.code().unwrap_or(1))
}

fn run(args: &[String]) -> Result<ExitStatus> {
    let (wine, args) = args.split_first().ok_or("which program?")?;
    again_if_refused(|| {
        let (status, printed, complaint) = run_once(wine, args).context(format_args!("cannot run {wine}"))?;
        Ok((status, !status.success() && is_refusal(printed, &complaint)))
    })
}

/// Until `run` does not say that it was refused.
fn again_if_refused<T>(mut run: impl FnMut() -> Result<(T, bool)>) -> Result<T> {
    let mut attempts = 1;
    loop {
        let (ended, refused) = run()?;
        if !refused || attempts == ATTEMPTS {
            return Ok(ended);
        }
        attempts += 1;
    }
}

/// Whether what a program printed, so much and this on standard error, is a complaint of Wine's alone.
fn is_refusal(printed: usize, complaint: &[u8]) -> bool {
    printed == 0 && complaint.starts_with(b"wine client error:")
}

/// Runs it, and passes on what it prints: its end, how much it printed, and how its standard error begins.
fn run_once(wine: &str, args: &[String]) -> io::Result<(ExitStatus, usize, Vec<u8>)> {
    let mut child =
        process::command(wine).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        let printed = scope.spawn(|| out.map_or(Ok((0, Vec::new())), |out| pass_on(out, io::stdout())));
        let complaint = err.map_or(Ok((0, Vec::new())), |err| pass_on(err, io::stderr()))?.1;
        let printed = printed.join().unwrap_or(Ok((0, Vec::new())))?.0;
        Ok((child.wait()?, printed, complaint))
    })
}

/// Passes on what comes when it comes: how much it was, and how it began.
fn pass_on(mut from: impl Read, mut to: impl Write) -> io::Result<(usize, Vec<u8>)> {
    let (mut buffer, mut bytes, mut begin) = ([0; 8192], 0, Vec::new());
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok((bytes, begin)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if bytes == 0 {
            begin.extend_from_slice(&buffer[..read]);
        }
        bytes += read;
        to.write_all(&buffer[..read])?;
        to.flush()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wine_refuses_is_started_again_and_nothing_else() {
        let complaint = b"wine client error:0: recvmsg: Connection reset by peer";
        assert!(is_refusal(0, complaint));
        assert!(!is_refusal(1, complaint), "it had begun");
        assert!(!is_refusal(0, b"something else"));
        for (refusals, runs) in [(0, 1), (2, 3), (100, ATTEMPTS)] {
            let mut run = 0;
            let ended = again_if_refused(|| {
                run += 1;
                Ok((run, run <= refusals))
            });
            assert_eq!(ended.ok(), Some(runs));
        }
    }
}
