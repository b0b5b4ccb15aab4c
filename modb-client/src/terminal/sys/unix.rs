//! Unix. What each item means is written in `sys/mod.rs`.

use rustix::termios::tcgetwinsize;

use crate::terminal::window::Stream;

/// The locale decides.
pub(in crate::terminal) const SHOWS_UNICODE: bool = false;

pub(in crate::terminal) fn window_columns(stream: Stream) -> Option<usize> {
    let size = match stream {
        Stream::Stdout => tcgetwinsize(std::io::stdout()),
        Stream::Stderr => tcgetwinsize(std::io::stderr()),
    };
    size.ok().map(|size| usize::from(size.ws_col))
}
