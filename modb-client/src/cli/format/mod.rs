//! Replies as text: for humans, raw, JSON, CSV. Pure.

mod csv;
mod human;
mod json;
mod raw;

use modb_client::Value;
use modb_client::terminal::window::{self, Charset, Stream};

/// How replies are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// With types, numbers of elements and indentation.
    Human(Look),
    /// The bytes themselves, with these between them: a line each, unless the arguments say otherwise.
    Raw(Delimiters),
    /// One line of JSON per reply.
    Json,
    /// One line of comma-separated values per reply.
    Csv,
}

/// What the reader's terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) charset: Charset,
    pub(crate) has_colors: bool,
}

impl Look {
    /// Of standard output, as far as the environment and the terminal say.
    pub(crate) fn of_stdout() -> Self {
        Self { charset: Charset::of_environment(), has_colors: window::has_colors(Stream::Stdout) }
    }
}

/// What raw bytes have between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delimiters {
    /// Between the elements of a reply.
    pub(crate) element: &'static [u8],
    /// Behind each reply.
    pub(crate) reply: &'static [u8],
}

impl Delimiters {
    /// A line each.
    pub(crate) const LINES: Self = Self { element: b"\n", reply: b"\n" };
}

impl Format {
    /// Appends `reply` and a line end.
    pub(crate) fn write(self, out: &mut Vec<u8>, reply: &Value) {
        match self {
            Self::Human(look) => human::write(out, reply, look),
            Self::Raw(delimiters) => raw::write(out, reply, delimiters),
            Self::Json => json::write(out, reply),
            Self::Csv => csv::write(out, reply),
        }
    }
}

/// Appends `bytes` in double quotes, so that the prompt would read them back: text as it is, everything that
/// a terminal would not show as an escape.
pub(crate) fn push_quoted(out: &mut Vec<u8>, bytes: &[u8], charset: Charset) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                '\x07' => out.extend_from_slice(b"\\a"),
                '\x08' => out.extend_from_slice(b"\\b"),
                c if is_invisible(c) || (charset == Charset::Ascii && !c.is_ascii()) => {
                    push_escaped(out, c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        push_escaped(out, chunk.invalid());
    }
    out.push(b'"');
}

/// Appends text that is meant to be read, with its lines: everything that a terminal would not show as an escape.
fn push_shown(out: &mut Vec<u8>, bytes: &[u8], charset: Charset) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            let text = c.encode_utf8(&mut [0; 4]).as_bytes().to_vec();
            let is_layout = matches!(c, '\n' | '\r' | '\t');
            if !is_layout && (is_invisible(c) || (charset == Charset::Ascii && !c.is_ascii())) {
                push_escaped(out, &text);
            } else {
                out.extend_from_slice(&text);
            }
        }
        push_escaped(out, chunk.invalid());
    }
}

fn push_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for &byte in bytes {
        out.extend_from_slice(b"\\x");
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// Controls, and characters that reorder or hide text: a value must not play tricks on a terminal.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(format: Format, reply: &Value) -> String {
        let mut out = Vec::new();
        format.write(&mut out, reply);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Without colours.
    const PLAIN: Format = Format::Human(Look { charset: Charset::Unicode, has_colors: false });

    #[test]
    fn colours_tell_errors_nothing_and_types_apart_and_change_no_text() {
        let colored = Format::Human(Look { charset: Charset::Unicode, has_colors: true });
        let with = text(colored, &tree());
        for part in ["\x1b[31m(error) ERR no\x1b[0m", "\x1b[90m(nil)\x1b[0m", "\x1b[36m(integer)\x1b[0m -5"] {
            assert!(with.contains(part), "{part:?} is not in {with}");
        }
        let mut without = with;
        for escape in ["\x1b[31m", "\x1b[90m", "\x1b[36m", "\x1b[0m"] {
            without = without.replace(escape, "");
        }
        assert_eq!(without, text(PLAIN, &tree()));
    }

    fn bulk(text: &str) -> Value {
        Value::Bulk(text.as_bytes().to_vec())
    }

    fn tree() -> Value {
        Value::Array(vec![
            bulk("a \"b\"\n"),
            Value::Integer(-5),
            Value::Null,
            Value::Array(vec![]),
            Value::Map(vec![
                (bulk("k"), Value::Double(1.5)),
                (bulk("list"), Value::Set(vec![Value::Boolean(true), Value::Simple(b"OK".to_vec())])),
            ]),
            Value::Error(b"ERR no".to_vec()),
            Value::Array(vec![Value::Array(vec![bulk("x"), bulk("y")])]),
            bulk(""),
            bulk(""),
            Value::BigNumber("123".into()),
        ])
    }

    #[test]
    fn humans_see_types_and_nesting() {
        let expected = r#" 1) "a \"b\"\n"
 2) (integer) -5
 3) (nil)
 4) (empty array)
 5) 1# "k" => (double) 1.5
    2# "list" =>
       1~ (true)
       2~ OK
 6) (error) ERR no
 7) 1) 1) "x"
       2) "y"
 8) ""
 9) ""
10) (big number) 123
"#;
        assert_eq!(text(PLAIN, &tree()), expected);
        assert_eq!(text(PLAIN, &Value::Map(vec![])), "(empty hash)\n");
    }

    #[test]
    fn programs_get_the_bytes() {
        assert_eq!(
            text(Format::Raw(Delimiters::LINES), &tree()),
            "a \"b\"\n\n-5\n\n\nk 1.5\nlist true\nOK\nERR no\nx\ny\n\n\n123\n"
        );
        assert_eq!(text(Format::Raw(Delimiters::LINES), &Value::Null), "\n");
        let of_others = Delimiters { element: b", ", reply: b"" };
        let pair = Value::Array(vec![bulk("a"), Value::Array(vec![Value::Integer(1), bulk("b")])]);
        assert_eq!(text(Format::Raw(of_others), &pair), "a, 1, b");
    }

    #[test]
    fn json_and_csv_are_one_line() {
        assert_eq!(
            text(Format::Json, &tree()),
            "[\"a \\\"b\\\"\\n\",-5,null,[],{\"k\":1.5,\"list\":[true,\"OK\"]},{\"error\":\"ERR no\"},[[\"x\",\"y\"]],\"\",\"\",123]\n"
        );
        let binary = Value::Bulk(b"\xff\x01\xc3\xa9".to_vec());
        assert_eq!(text(Format::Json, &binary), "\"data:;base64,/wHDqQ==\"\n");
        let key = Value::Map(vec![(Value::Integer(1), Value::Double(f64::INFINITY))]);
        assert_eq!(text(Format::Json, &key), "{\"1\":\"inf\"}\n");
        assert_eq!(
            text(Format::Csv, &tree()),
            "\"a \"\"b\"\"\n\",-5,,\"k\",1.5,\"list\",true,\"OK\",\"ERR no\",\"x\",\"y\",\"\",\"\",123\n"
        );
    }

    #[test]
    fn a_terminal_is_shown_text_and_no_controls() {
        let error = Value::Error(b"ERR unknown '\x1b[2J'\xff".to_vec());
        assert_eq!(text(PLAIN, &error), "(error) ERR unknown '\\x1b[2J'\\xff\n");
        let info = Value::Verbatim { format: *b"txt", text: "a:\tü\r\nb".into() };
        assert_eq!(text(PLAIN, &info), "a:\tü\r\nb\n");
        let mut out = Vec::new();
        push_quoted(&mut out, "grüße \u{1b}[31m\u{202e}".as_bytes(), Charset::Unicode);
        push_quoted(&mut out, b"\xff\x00", Charset::Unicode);
        assert_eq!(String::from_utf8(out).unwrap(), "\"grüße \\x1b[31m\\xe2\\x80\\xae\"\"\\xff\\x00\"");
        let mut out = Vec::new();
        push_quoted(&mut out, "ü".as_bytes(), Charset::Ascii);
        assert_eq!(out, b"\"\\xc3\\xbc\"");
    }
}
