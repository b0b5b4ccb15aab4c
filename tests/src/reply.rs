//! A RESP reader written apart from `modb_net::resp`, so that a fault in one does not hide the same fault in the
//! other. It keeps what a server may choose between ($-1, *-1, _) apart, since the oracle compares exactly.

use std::fmt;

/// One reply, as it stood on the wire.
#[derive(Clone, PartialEq)]
pub enum Reply {
    /// `+`
    Simple(Vec<u8>),
    /// `-`
    Error(Vec<u8>),
    /// `:`
    Int(i64),
    /// `$`
    Bulk(Vec<u8>),
    /// `$-1`
    NullBulk,
    /// `*-1`
    NullArray,
    /// `_`
    Null,
    /// `*`
    Array(Vec<Self>),
    /// `%`, keys and values in turn.
    Map(Vec<Self>),
    /// `~`
    Set(Vec<Self>),
    /// `>`
    Push(Vec<Self>),
    /// `,` with the digits as sent.
    Double(Vec<u8>),
    /// `#`
    Bool(bool),
    /// `(`
    BigNumber(Vec<u8>),
    /// `=` with its three-letter format.
    Verbatim(Vec<u8>),
}

/// The bytes are not RESP.
#[derive(Debug)]
pub struct NotResp(pub String);

impl Reply {
    /// Reads one reply from the front of `bytes`: it and its length, or `None` if more bytes are needed.
    ///
    /// # Errors
    /// If this is not RESP.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, NotResp> {
        let Some(line_len) = bytes.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
        let mut at = line_len + 2;
        let (kind, line) = (bytes[0], &bytes[1..line_len]);
        let reply = match kind {
            b'+' => Self::Simple(line.to_vec()),
            b'-' => Self::Error(line.to_vec()),
            b':' => Self::Int(number(line)?),
            b',' => Self::Double(line.to_vec()),
            b'(' => Self::BigNumber(line.to_vec()),
            b'_' => Self::Null,
            b'#' => Self::Bool(line == b"t"),
            b'$' | b'=' => {
                let len = number(line)?;
                if len < 0 {
                    return Ok(Some((Self::NullBulk, at)));
                }
                let end = at + usize::try_from(len).map_err(|e| NotResp(e.to_string()))?;
                if bytes.len() < end + 2 {
                    return Ok(None);
                }
                if &bytes[end..end + 2] != b"\r\n" {
                    return Err(NotResp(format!("no line end after a payload of {len} bytes")));
                }
                let payload = bytes[at..end].to_vec();
                at = end + 2;
                if kind == b'$' { Self::Bulk(payload) } else { Self::Verbatim(payload) }
            }
            b'*' | b'~' | b'>' | b'%' => {
                let count = number(line)?;
                if count < 0 {
                    return Ok(Some((Self::NullArray, at)));
                }
                let count = if kind == b'%' { count * 2 } else { count };
                let mut items = Vec::new();
                for _ in 0..count {
                    let Some((item, len)) = Self::parse(&bytes[at..])? else { return Ok(None) };
                    items.push(item);
                    at += len;
                }
                match kind {
                    b'*' => Self::Array(items),
                    b'~' => Self::Set(items),
                    b'>' => Self::Push(items),
                    _ => Self::Map(items),
                }
            }
            other => return Err(NotResp(format!("a reply cannot begin with {:?}", other as char))),
        };
        Ok(Some((reply, at)))
    }

    /// `+OK`.
    pub fn ok() -> Self {
        Self::Simple(b"OK".to_vec())
    }

    /// A bulk string.
    pub fn bulk(bytes: impl AsRef<[u8]>) -> Self {
        Self::Bulk(bytes.as_ref().to_vec())
    }

    /// The text of an error, if this is one.
    pub fn error(&self) -> Option<String> {
        match self {
            Self::Error(text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        }
    }

    /// The number, of an integer reply.
    ///
    /// # Panics
    /// If it is something else.
    pub fn int(&self) -> i64 {
        match self {
            Self::Int(n) => *n,
            other => panic!("an integer was expected, not {other:?}"),
        }
    }

    /// The bytes of a simple, bulk or verbatim string.
    ///
    /// # Panics
    /// If it is something else.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Simple(bytes) | Self::Bulk(bytes) => bytes,
            Self::Verbatim(bytes) => &bytes[4..],
            other => panic!("a string was expected, not {other:?}"),
        }
    }

    /// The same as text.
    ///
    /// # Panics
    /// If it is no string.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// The items of an array, set, map or push.
    ///
    /// # Panics
    /// If it is something else.
    pub fn items(&self) -> &[Self] {
        match self {
            Self::Array(items) | Self::Set(items) | Self::Map(items) | Self::Push(items) => items,
            other => panic!("an array was expected, not {other:?}"),
        }
    }

    /// Whether it is any of the three ways to say nothing.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null | Self::NullBulk | Self::NullArray)
    }
}

fn number(line: &[u8]) -> Result<i64, NotResp> {
    std::str::from_utf8(line)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| NotResp(format!("not a number: {:?}", String::from_utf8_lossy(line))))
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, mark: &str, items: &[Self]| {
            write!(f, "{mark}")?;
            f.debug_list().entries(items).finish()
        };
        match self {
            Self::Simple(s) => write!(f, "+{}", s.escape_ascii()),
            Self::Error(s) => write!(f, "-{}", s.escape_ascii()),
            Self::Int(n) => write!(f, ":{n}"),
            Self::Bulk(s) if s.len() > 300 => {
                write!(f, "${}... ({} bytes)", s[..300].escape_ascii(), s.len())
            }
            Self::Bulk(s) => write!(f, "${:?}", s.escape_ascii().to_string()),
            Self::NullBulk => write!(f, "$-1"),
            Self::NullArray => write!(f, "*-1"),
            Self::Null => write!(f, "_"),
            Self::Array(items) => list(f, "*", items),
            Self::Map(items) => list(f, "%", items),
            Self::Set(items) => list(f, "~", items),
            Self::Push(items) => list(f, ">", items),
            Self::Double(s) => write!(f, ",{}", s.escape_ascii()),
            Self::Bool(b) => write!(f, "#{b}"),
            Self::BigNumber(s) => write!(f, "({}", s.escape_ascii()),
            Self::Verbatim(s) => write!(f, "={}", s.escape_ascii()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_asks_for_more_and_the_whole_parses() {
        let wire = b"*5\r\n$3\r\na\r\n\r\n:-7\r\n%1\r\n+k\r\n_\r\n$-1\r\n*-1\r\n";
        for cut in 0..wire.len() {
            assert!(Reply::parse(&wire[..cut]).unwrap().is_none(), "{cut}");
        }
        let (reply, len) = Reply::parse(wire).unwrap().unwrap();
        assert_eq!(len, wire.len());
        let map = Reply::Map(vec![Reply::Simple(b"k".to_vec()), Reply::Null]);
        let all = vec![Reply::bulk("a\r\n"), Reply::Int(-7), map, Reply::NullBulk, Reply::NullArray];
        assert_eq!(reply, Reply::Array(all));
    }

    #[test]
    fn what_is_not_resp_is_an_error() {
        assert!(Reply::parse(b"HTTP/1.1 400\r\n").is_err());
        assert!(Reply::parse(b"$1\r\nabc\r\n").is_err());
    }
}
