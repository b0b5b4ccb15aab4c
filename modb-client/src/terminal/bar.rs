//! A progress bar on standard error, as wide as the window.
//!
//! Invariants: nothing is written unless somebody looks, that is, unless standard error is a terminal whose lines can be
//! overwritten; a line is never as wide as the window, so that it never becomes two; the bar erases itself.

use std::io::Write;

use super::text::{bar, cut};
use super::window::{self, Charset, Stream};

/// A shorter bar than this tells nothing, in characters.
const MIN_BAR: usize = 8;

/// The bar, if somebody looks.
#[derive(Debug)]
pub struct Bar {
    is_shown: bool,
    charset: Charset,
    /// Characters on the line now.
    used: usize,
}

impl Bar {
    /// One that is silent if `quiet`, and where nobody looks.
    pub fn new(quiet: bool) -> Self {
        let is_shown = !quiet && window::can_overwrite(Stream::Stderr);
        Self { is_shown, charset: Charset::of_environment(), used: 0 }
    }

    /// Whether it is worth asking how far something is.
    pub fn is_shown(&self) -> bool {
        self.is_shown
    }

    /// Draws how far it is: `done` from 0 to 1, if that is known, and `facts`, of which the last are left out where the
    /// window is narrow.
    pub fn show(&mut self, label: &str, done: Option<f64>, facts: &[String]) {
        if self.is_shown {
            let columns =
                window::columns(Stream::Stderr).unwrap_or(window::DEFAULT_COLUMNS).saturating_sub(1);
            self.replace(&line(columns, self.charset, label, done, facts), columns);
        }
    }

    /// Erases it.
    pub fn clear(&mut self) {
        if self.is_shown && self.used > 0 {
            self.replace("", self.used);
        }
    }

    /// Overwrites with spaces: that needs nothing of the terminal but a carriage return.
    fn replace(&mut self, line: &str, columns: usize) {
        let width = line.chars().count();
        let padding = self.used.min(columns).saturating_sub(width);
        // A bar that cannot be drawn is no reason to stop what it tells of.
        let drawn = format!("\r{line}{:padding$}\r{line}", "");
        let _ = std::io::stderr().lock().write_all(drawn.as_bytes());
        self.used = width;
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}

/// At most `columns` characters.
fn line(columns: usize, charset: Charset, label: &str, done: Option<f64>, facts: &[String]) -> String {
    let frame = match charset {
        Charset::Unicode => ["▕", "▏"],
        Charset::Ascii => ["[", "]"],
    };
    for told in (0..=facts.len()).rev() {
        let facts: String = facts[..told].iter().map(|fact| format!("  {fact}")).collect();
        let text = match done.map(|done| (done.clamp(0.0, 1.0) * 100.0).floor()) {
            None => format!("{label} ...{facts}"),
            Some(percent) => {
                let behind = format!("{percent:3.0} %{facts}");
                let around = label.chars().count() + 3 + behind.chars().count();
                let width = columns.saturating_sub(around);
                if width >= MIN_BAR {
                    let filled = bar(percent / 100.0, width, charset);
                    let empty = width - filled.chars().count();
                    format!("{label} {}{filled}{:empty$}{}{behind}", frame[0], "", frame[1])
                } else {
                    format!("{label} {}", behind.trim_start())
                }
            }
        };
        // A bar tells more than the facts beside it.
        let is_drawn = done.is_none() || text.contains(frame[1]);
        if told == 0 || (is_drawn && text.chars().count() <= columns) {
            return cut(&text, columns).to_owned();
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(columns: usize, done: Option<f64>) -> String {
        let facts = ["1,234,567 requests/s".to_owned(), "6.0 s left".to_owned()];
        line(columns, Charset::Unicode, "measuring", done, &facts)
    }

    #[test]
    fn it_is_as_wide_as_the_window_and_tells_what_has_room() {
        assert_eq!(
            shown(79, Some(0.25)),
            "measuring ▕███████                     ▏ 25 %  1,234,567 requests/s  6.0 s left"
        );
        assert_eq!(shown(49, Some(0.5)), "measuring ▕█████     ▏ 50 %  1,234,567 requests/s");
        assert_eq!(shown(30, Some(1.5)), "measuring ▕█████████████▏100 %");
        assert_eq!(shown(79, None), "measuring ...  1,234,567 requests/s  6.0 s left");
        assert_eq!(line(25, Charset::Ascii, "filling", Some(0.5), &[]), "filling [#####     ] 50 %");
        assert_eq!(line(20, Charset::Ascii, "filling", Some(0.5), &[]), "filling 50 %");
    }

    #[test]
    fn no_window_is_too_narrow() {
        for columns in 0..200 {
            for done in [None, Some(0.0), Some(0.999), Some(7.0)] {
                assert!(shown(columns, done).chars().count() <= columns, "{columns}");
            }
        }
        assert!(shown(79, Some(0.999)).contains(" 99 %"), "it is never full before the end");
    }
}
