//! The window that a stream leads to: how wide it is, and which characters it shows.

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
    let columns = sys::window_columns(stream)?;
    // A serial line does not know.
    Some(if columns == 0 { DEFAULT_COLUMNS } else { columns })
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
