//! Windows and Wine. What each item means is written in `sys/mod.rs`.

#![allow(unsafe_code)] // The console's functions.

use std::os::windows::io::{AsRawHandle as _, RawHandle};
use std::os::windows::process::CommandExt as _;
use std::process::Command;

use windows_sys::Win32::Foundation::ERROR_PIPE_NOT_CONNECTED;
use windows_sys::Win32::System::Console::{
    CONSOLE_SCREEN_BUFFER_INFO, COORD, ENABLE_VIRTUAL_TERMINAL_PROCESSING, GetConsoleMode,
    GetConsoleScreenBufferInfo, SMALL_RECT, SetConsoleMode,
};

use crate::terminal::window::Stream;

/// That nobody is at its other end; Rust knows two others.
pub(in crate::terminal) const READER_GONE: Option<i32> = Some(ERROR_PIPE_NOT_CONNECTED as i32);

/// Rust writes UTF-16 to a console.
pub(in crate::terminal) const SHOWS_UNICODE: bool = true;

fn handle(stream: Stream) -> RawHandle {
    match stream {
        Stream::Stdout => std::io::stdout().as_raw_handle(),
        Stream::Stderr => std::io::stderr().as_raw_handle(),
    }
}

/// A console takes the escapes of terminals if it is told to.
pub(in crate::terminal) fn shows_colors(stream: Stream) -> bool {
    let mut mode = 0;
    // SAFETY: a standard handle is valid or refused, and the place outlives the call.
    let told = unsafe { GetConsoleMode(handle(stream), &mut mode) };
    // SAFETY: as above.
    told != 0 && unsafe { SetConsoleMode(handle(stream), mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING) } != 0
}

pub(in crate::terminal) fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd");
    // As it is: `cmd` does not read quotes as other programs do.
    shell.arg("/C").raw_arg(command);
    shell
}

pub(in crate::terminal) fn window_size(stream: Stream) -> Option<(usize, usize)> {
    let zero = COORD { X: 0, Y: 0 };
    let mut info = CONSOLE_SCREEN_BUFFER_INFO {
        dwSize: zero,
        dwCursorPosition: zero,
        wAttributes: 0,
        srWindow: SMALL_RECT { Left: 0, Top: 0, Right: 0, Bottom: 0 },
        dwMaximumWindowSize: zero,
    };
    // SAFETY: a standard handle is valid or refused, and the place outlives the call.
    let told = unsafe { GetConsoleScreenBufferInfo(handle(stream), &mut info) };
    let between =
        |first: i16, last: i16| usize::try_from(i32::from(last) - i32::from(first) + 1).unwrap_or(0);
    let window = info.srWindow;
    (told != 0).then(|| (between(window.Left, window.Right), between(window.Top, window.Bottom)))
}
