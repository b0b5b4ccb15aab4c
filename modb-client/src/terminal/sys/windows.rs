//! Windows and Wine. What each item means is written in `sys/mod.rs`.

#![allow(unsafe_code)] // GetConsoleScreenBufferInfo.

use std::os::windows::io::AsRawHandle as _;

use windows_sys::Win32::System::Console::{
    CONSOLE_SCREEN_BUFFER_INFO, COORD, GetConsoleScreenBufferInfo, SMALL_RECT,
};

use crate::terminal::window::Stream;

/// Rust writes UTF-16 to a console.
pub(in crate::terminal) const SHOWS_UNICODE: bool = true;

pub(in crate::terminal) fn window_columns(stream: Stream) -> Option<usize> {
    let handle = match stream {
        Stream::Stdout => std::io::stdout().as_raw_handle(),
        Stream::Stderr => std::io::stderr().as_raw_handle(),
    };
    let zero = COORD { X: 0, Y: 0 };
    let mut info = CONSOLE_SCREEN_BUFFER_INFO {
        dwSize: zero,
        dwCursorPosition: zero,
        wAttributes: 0,
        srWindow: SMALL_RECT { Left: 0, Top: 0, Right: 0, Bottom: 0 },
        dwMaximumWindowSize: zero,
    };
    // SAFETY: a standard handle is valid or refused, and the place outlives the call.
    let told = unsafe { GetConsoleScreenBufferInfo(handle, &mut info) };
    let columns = i32::from(info.srWindow.Right) - i32::from(info.srWindow.Left) + 1;
    (told != 0).then(|| usize::try_from(columns).unwrap_or(0))
}
