//! What is to be seen in a terminal after what a program has written. Pure.
//!
//! As much of a terminal as line editors and progress bars use: the cursor, erasing, wrapping, scrolling. Colours are not
//! seen. Each character is one column wide.

/// The screen of a terminal.
#[derive(Clone, Debug)]
pub struct Screen {
    columns: usize,
    rows: usize,
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
    /// The last column is written: the next character begins a new line.
    wrap_pending: bool,
    wraps: usize,
    state: State,
    /// Bytes of a character that are there so far.
    partial: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Text,
    Escape,
    /// `ESC [` and what has come of its parameters.
    Csi(String),
    /// `ESC ]`, until BEL or the next escape.
    Osc,
}

impl Screen {
    /// An empty one.
    pub fn new(columns: usize, rows: usize) -> Self {
        Self {
            columns,
            rows,
            lines: vec![Vec::new(); rows],
            row: 0,
            column: 0,
            wrap_pending: false,
            wraps: 0,
            state: State::Text,
            partial: Vec::new(),
        }
    }

    /// The window has another size. Lines are cut, not wrapped anew.
    pub fn resize(&mut self, columns: usize, rows: usize) {
        (self.columns, self.rows) = (columns, rows);
        self.lines.resize(rows, Vec::new());
        self.lines.iter_mut().for_each(|line| line.truncate(columns));
        self.row = self.row.min(rows - 1);
        self.column = self.column.min(columns - 1);
        self.wrap_pending = false;
    }

    /// How often a line was too long for the window.
    pub fn wraps(&self) -> usize {
        self.wraps
    }

    /// All lines without what is empty at their ends; `█` is where the cursor is.
    pub fn text(&self) -> String {
        let shown = |(row, line): (usize, &Vec<char>)| {
            let mut line = line.clone();
            if row == self.row {
                line.resize(line.len().max(self.column + 1), ' ');
                line[self.column] = '█';
            }
            line.iter().collect::<String>().trim_end().to_owned()
        };
        let lines: Vec<String> = self.lines.iter().enumerate().map(shown).collect();
        lines.join("\n").trim_end().to_owned()
    }

    /// A program writes.
    pub fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.partial.push(byte);
            match std::str::from_utf8(&self.partial) {
                Ok(text) => {
                    let character = text.chars().next();
                    self.partial.clear();
                    character.into_iter().for_each(|c| self.take(c));
                }
                Err(error) if error.error_len().is_some() => {
                    self.partial.clear();
                    self.take('\u{fffd}');
                }
                Err(_) => {}
            }
        }
    }

    fn take(&mut self, c: char) {
        match (std::mem::replace(&mut self.state, State::Text), c) {
            (State::Text, '\x1b') | (State::Osc, '\x1b') => self.state = State::Escape,
            (State::Text, c) => self.show(c),
            (State::Escape, '[') => self.state = State::Csi(String::new()),
            (State::Escape, ']') => self.state = State::Osc,
            (State::Escape, _) | (State::Osc, '\x07') => {}
            (State::Osc, _) => self.state = State::Osc,
            (State::Csi(parameters), '@'..='~') => self.control(&parameters, c),
            (State::Csi(mut parameters), c) => {
                parameters.push(c);
                self.state = State::Csi(parameters);
            }
        }
    }

    fn show(&mut self, c: char) {
        match c {
            '\r' => self.column = 0,
            '\n' => self.line_feed(),
            '\x08' => self.column = self.column.saturating_sub(1),
            '\t' => self.column = (self.column / 8 * 8 + 8).min(self.columns - 1),
            c if c.is_control() => return,
            c => {
                if self.wrap_pending {
                    self.wraps += 1;
                    self.column = 0;
                    self.line_feed();
                }
                let line = &mut self.lines[self.row];
                line.resize(line.len().max(self.column + 1), ' ');
                line[self.column] = c;
                self.wrap_pending = self.column + 1 == self.columns;
                self.column = (self.column + 1).min(self.columns - 1);
                return;
            }
        }
        self.wrap_pending = false;
    }

    fn line_feed(&mut self) {
        if self.row + 1 == self.rows {
            self.lines.remove(0);
            self.lines.push(Vec::new());
        } else {
            self.row += 1;
        }
        self.wrap_pending = false;
    }

    /// A control sequence.
    fn control(&mut self, parameters: &str, name: char) {
        let mut numbers = parameters.split(';').map(|text| text.parse::<usize>().ok());
        let first = numbers.next().flatten();
        let count = first.unwrap_or(1).max(1);
        match name {
            'A' => self.row = self.row.saturating_sub(count),
            'B' => self.row = (self.row + count).min(self.rows - 1),
            'C' => self.column = (self.column + count).min(self.columns - 1),
            'D' => self.column = self.column.saturating_sub(count),
            'G' => self.column = (count - 1).min(self.columns - 1),
            'H' => {
                let column = numbers.next().flatten().unwrap_or(1).max(1);
                (self.row, self.column) =
                    ((count - 1).min(self.rows - 1), (column - 1).min(self.columns - 1));
            }
            'J' => {
                let kept = if first == Some(2) { 0 } else { self.row };
                self.lines[kept..].iter_mut().skip(usize::from(first != Some(2))).for_each(Vec::clear);
                if first != Some(2) {
                    self.lines[self.row].truncate(self.column);
                }
            }
            'K' => match first.unwrap_or(0) {
                0 => self.lines[self.row].truncate(self.column),
                _ => self.lines[self.row].clear(),
            },
            // Colours, modes: not seen.
            _ => return,
        }
        self.wrap_pending = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> String {
        let mut screen = Screen::new(5, 3);
        screen.write(text.as_bytes());
        screen.text()
    }

    #[test]
    fn text_is_where_the_cursor_was() {
        assert_eq!(seen("ab\r\nc"), "ab\nc█");
        assert_eq!(seen("abcde"), "abcd█", "the last column is full, and nothing has wrapped yet");
        assert_eq!(seen("abcdef"), "abcde\nf█");
        assert_eq!(seen("1\r\n2\r\n3\r\n4"), "2\n3\n4█");
        assert_eq!(seen("abc\r\x1b[Kx"), "x█");
        assert_eq!(seen("ab\r\ncd\x1b[A\x1b[J"), "ab█");
        assert_eq!(seen("ab\x1b[1D\x1b[31mü\x1b[0m"), "aü█");
        assert_eq!(seen("ab\x1b[H\x1b[2Jx"), "x█");
        assert_eq!(seen("\x1b]0;title\x07\x1b[?2004ha"), "a█");
    }
}
