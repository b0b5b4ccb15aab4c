//! Unix. What each item means is written in `sys/mod.rs`.

use std::process::Command;

use rustix::termios::tcgetwinsize;

use crate::terminal::window::Stream;

pub(in crate::terminal) const READER_GONE: Option<i32> = None;

/// The locale decides.
pub(in crate::terminal) const SHOWS_UNICODE: bool = false;

pub(in crate::terminal) fn window_size(stream: Stream) -> Option<(usize, usize)> {
    let size = match stream {
        Stream::Stdout => tcgetwinsize(std::io::stdout()),
        Stream::Stderr => tcgetwinsize(std::io::stderr()),
    };
    size.ok().map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)))
}

/// Every terminal does that is not dumb.
pub(in crate::terminal) fn shows_colors(_: Stream) -> bool {
    true
}

pub(in crate::terminal) fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]);
    shell
}
