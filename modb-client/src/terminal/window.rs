//! The window that a stream leads to: how wide it is, and which characters it shows.

use std::ffi::OsStr;

use super::sys;

/// Where no window is, text is this wide.
pub const DEFAULT_COLUMNS: usize = 80;

/// Which stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How many characters fit into a line of the window that `stream` leads to; `None`: it leads to none.
pub fn columns(stream: Stream) -> Option<usize> {
    let (columns, _) = sys::window_size(stream)?;
    // A serial line does not know.
    Some(if columns == 0 { DEFAULT_COLUMNS } else { columns })
}

/// A command of the user's, in the words of the system's shell.
pub fn shell(command: &str) -> std::process::Command {
    sys::shell(command)
}

/// How many lines fit into that window; `None`: it leads to none, or does not know.
pub fn rows(stream: Stream) -> Option<usize> {
    sys::window_size(stream).map(|(_, rows)| rows).filter(|rows| *rows > 0)
}

/// Whether what is written to `stream` may have colours: it is a terminal that has them, unless the environment forbids or
/// demands them (`NO_COLOR`, `CLICOLOR_FORCE`).
pub fn has_colors(stream: Stream) -> bool {
    let variable = |name| std::env::var_os(name).unwrap_or_default();
    match wanted_colors(&variable("NO_COLOR"), &variable("CLICOLOR_FORCE")) {
        Some(wanted) => wanted,
        None => can_overwrite(stream) && sys::shows_colors(stream),
    }
}

/// What the environment says about colours, if anything: to forbid them has the last word.
fn wanted_colors(no_color: &OsStr, force: &OsStr) -> Option<bool> {
    match (no_color.is_empty(), force.is_empty() || force == "0") {
        (false, _) => Some(false),
        (true, false) => Some(true),
        (true, true) => None,
    }
}

/// Whether lines of that window can be overwritten: it is a terminal that knows a carriage return.
pub fn can_overwrite(stream: Stream) -> bool {
    columns(stream).is_some() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// What can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// Everything, in UTF-8.
    Unicode,
    /// The 95 characters of ASCII.
    Ascii,
}

impl Charset {
    /// What the environment says.
    pub fn of_environment() -> Self {
        let variable = |name| std::env::var(name).unwrap_or_default();
        if sys::SHOWS_UNICODE {
            return Self::Unicode;
        }
        Self::of_locale(["LC_ALL", "LC_CTYPE", "LANG"].map(variable))
    }

    /// The first that is set decides; none is the locale `C`.
    fn of_locale(variables: [String; 3]) -> Self {
        let locale = variables.into_iter().find(|value| !value.is_empty()).unwrap_or_default();
        let codeset = locale.rsplit_once('.').map_or("", |(_, codeset)| codeset);
        let name: String = codeset.split('@').next().unwrap_or_default().replace('-', "").to_lowercase();
        if name == "utf8" { Self::Unicode } else { Self::Ascii }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_forbids_or_demands_colours() {
        let wanted = |no_color: &str, force: &str| wanted_colors(no_color.as_ref(), force.as_ref());
        assert_eq!([wanted("", ""), wanted("", "0"), wanted("", "1")], [None, None, Some(true)]);
        assert_eq!([wanted("1", ""), wanted("0", "1")], [Some(false); 2]);
    }

    #[test]
    fn the_locale_decides_what_can_be_shown() {
        let of =
            |all: &str, ctype: &str, lang: &str| Charset::of_locale([all, ctype, lang].map(str::to_owned));
        for unicode in [("", "", "de_DE.UTF-8"), ("C.utf8", "", "C"), ("", "en_US.UTF-8@euro", "C")] {
            assert_eq!(of(unicode.0, unicode.1, unicode.2), Charset::Unicode, "{unicode:?}");
        }
        for ascii in [("", "", ""), ("C", "", "de_DE.UTF-8"), ("", "POSIX", ""), ("", "", "de_DE.ISO-8859-1")]
        {
            assert_eq!(of(ascii.0, ascii.1, ascii.2), Charset::Ascii, "{ascii:?}");
        }
    }
}
