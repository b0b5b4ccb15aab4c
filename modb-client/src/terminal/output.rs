//! Standard output and standard error, where writing may fail.
//!
//! The printing macros panic when the output is full, and when whoever read it has gone. Here the first is an error, and of
//! the second [`is_reader_gone`] tells, since that is how `| head` ends. Rust opens a closed output as the null device.

use std::io::{self, Write};

use crate::terminal::sys;

/// Writes to standard output, at once.
///
/// # Errors
/// What the system says.
pub fn print(text: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text).and_then(|()| stdout.flush())
}

/// Writes `text` and a line end to standard error. If that fails, nobody is left who could be told.
pub fn complain(text: &str) {
    // One write, so that lines of several processes do not mix.
    let _ = io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}

/// Whether the output failed because whoever read it has gone: no reason to complain.
pub fn is_reader_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
        || error.raw_os_error().is_some_and(|number| Some(number) == sys::READER_GONE)
}

/// `text` without what Rust puts around what the system says: numbers such as `(os error 111)`, and what it was about to do.
pub fn in_plain_words(text: &str) -> String {
    let text = text.replace("failed to lookup address information: ", "");
    let text = text.as_str();
    const OPEN: &str = " (os error ";
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(OPEN) {
        plain.push_str(before);
        match behind.split_once(')') {
            Some((number, after)) if number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => {
                rest = after;
            }
            _ => {
                plain.push_str(OPEN);
                rest = behind;
            }
        }
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rust_adds_is_left_out_and_nothing_else_is() {
        assert_eq!(in_plain_words("a: No space (os error 28): b (os error -1)"), "a: No space: b");
        assert_eq!(in_plain_words("an (os error of mine) stays"), "an (os error of mine) stays");
    }
}
