//! A reply as a tree that owns its bytes, for clients. Pure.

use std::fmt;

/// One reply of either protocol. What RESP2 writes differently for the same meaning (its two nulls, a map as
/// an array) reads as what it is on the wire, except that there is one null.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// A boolean (RESP3).
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A double (RESP3).
    Double(f64),
    /// An integer beyond 64 bits, as its decimal digits (RESP3).
    BigNumber(String),
    /// A status such as `OK`.
    Simple(Vec<u8>),
    /// A string of any bytes.
    Bulk(Vec<u8>),
    /// Text for humans (RESP3).
    Verbatim {
        /// What it is written in, such as `txt` or `mkd`.
        format: [u8; 3],
        /// The text.
        text: Vec<u8>,
    },
    /// An error; it begins with its code.
    Error(Vec<u8>),
    /// An array.
    Array(Vec<Value>),
    /// A map, in the order of the wire (RESP3).
    Map(Vec<(Value, Value)>),
    /// A set, in the order of the wire (RESP3).
    Set(Vec<Value>),
    /// A message that answers no request (RESP3).
    Push(Vec<Value>),
    /// A reply with something said about it (RESP3).
    Attributed {
        /// What is said.
        attributes: Vec<(Value, Value)>,
        /// The reply itself.
        value: Box<Value>,
    },
}

impl Value {
    /// The bytes of a string of any kind.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Simple(bytes) | Self::Bulk(bytes) | Self::Verbatim { text: bytes, .. } => Some(bytes),
            Self::BigNumber(digits) => Some(digits.as_bytes()),
            Self::Attributed { value, .. } => value.as_bytes(),
            _ => None,
        }
    }

    /// The reply without what is said about it.
    pub fn without_attributes(self) -> Self {
        match self {
            Self::Attributed { value, .. } => value.without_attributes(),
            other => other,
        }
    }
}

/// As text, for people: strings as they are, where they are not UTF-8 with the replacement character; nothing as `(nil)`; several
/// with commas between.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("(nil)"),
            Self::Boolean(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Double(value) => value.fmt(f),
            Self::BigNumber(digits) => f.write_str(digits),
            Self::Simple(bytes)
            | Self::Bulk(bytes)
            | Self::Verbatim { text: bytes, .. }
            | Self::Error(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            Self::Array(values) | Self::Push(values) => list(f, ["[", "]"], values, |f, value| value.fmt(f)),
            Self::Set(values) => list(f, ["{", "}"], values, |f, value| value.fmt(f)),
            Self::Map(pairs) => list(f, ["{", "}"], pairs, |f, (key, value)| write!(f, "{key}: {value}")),
            Self::Attributed { value, .. } => value.fmt(f),
        }
    }
}

fn list<T>(
    f: &mut fmt::Formatter<'_>,
    [open, close]: [&str; 2],
    items: &[T],
    show: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    f.write_str(open)?;
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        show(f, item)?;
    }
    f.write_str(close)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_prints_as_text() {
        let text = |text: &str| Value::Bulk(text.into());
        let map = Value::Map(vec![(text("a"), Value::Integer(1)), (text("b"), Value::Null)]);
        let reply = Value::Array(vec![text("x"), map, Value::Set(vec![]), Value::Bulk(vec![0xff])]);
        assert_eq!(reply.to_string(), "[x, {a: 1, b: (nil)}, {}, \u{fffd}]");
    }
}
