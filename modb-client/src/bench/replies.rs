//! Counting replies without building them, in either protocol. Pure.
//!
//! Invariant: constant memory, and no byte is looked at twice.

use modb_net::resp::{Counted, ReplyCounter};

/// The longest first word or error text of a memcached line that is kept, in bytes.
const KEPT_LINE_BYTES: usize = 256;

/// Counts the replies of one connection.
#[derive(Debug)]
pub(super) enum Replies {
    Resp(ReplyCounter),
    Memcached(MemcachedCounter),
}

impl Replies {
    /// Counts what `input`, all of it, completes.
    ///
    /// # Errors
    /// Why the input is not in the protocol.
    #[inline]
    pub(super) fn count(&mut self, input: &[u8]) -> Result<Counted, String> {
        match self {
            Self::Resp(counter) => counter.count(input).map_err(|error| error.to_string()),
            Self::Memcached(counter) => counter.count(input),
        }
    }

    /// The text of the last error that was counted, if any.
    pub(super) fn last_error(&self) -> Option<String> {
        match self {
            Self::Resp(counter) => counter.last_error(),
            Self::Memcached(counter) => counter.last_error.clone(),
        }
    }
}

/// Counts replies to `get` and `set` in memcached's text protocol
/// (<https://github.com/memcached/memcached/blob/master/doc/protocol.txt>).
#[derive(Debug, Default)]
pub(super) struct MemcachedCounter {
    /// The beginning of the current line.
    line: Vec<u8>,
    /// Bytes of a value to skip, its line end included.
    body_left: u64,
    last_error: Option<String>,
}

impl MemcachedCounter {
    fn count(&mut self, mut input: &[u8]) -> Result<Counted, String> {
        let mut counted = Counted::default();
        while !input.is_empty() {
            if self.body_left > 0 {
                let skipped = self.body_left.min(input.len() as u64);
                self.body_left -= skipped;
                input = &input[skipped as usize..];
                continue;
            }
            let end = input.iter().position(|&b| b == b'\n');
            let text = &input[..end.unwrap_or(input.len())];
            if self.line.len() + text.len() > KEPT_LINE_BYTES {
                return Err("a line that is too long for memcached".to_owned());
            }
            self.line.extend_from_slice(text);
            let Some(end) = end else { break };
            input = &input[end + 1..];
            self.end_line(&mut counted)?;
            self.line.clear();
        }
        Ok(counted)
    }

    fn end_line(&mut self, counted: &mut Counted) -> Result<(), String> {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        match line {
            b"END" | b"STORED" | b"NOT_STORED" => counted.replies += 1,
            [b'V', b'A', b'L', b'U', b'E', b' ', head @ ..] => {
                let length = head.rsplit(|&b| b == b' ').next().unwrap_or_default();
                let length = std::str::from_utf8(length).ok().and_then(|text| text.parse::<u32>().ok());
                self.body_left = u64::from(length.ok_or("a VALUE without a length")?) + 2;
            }
            _ if [&b"ERROR"[..], b"CLIENT_ERROR ", b"SERVER_ERROR "].iter().any(|e| line.starts_with(e)) => {
                counted.replies += 1;
                counted.errors += 1;
                self.last_error = Some(String::from_utf8_lossy(line).into_owned());
            }
            _ => return Err(format!("{:?} is no reply of memcached", line.escape_ascii().to_string())),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] =
        b"VALUE key:1 0 5\r\nEND\r\n\r\nEND\r\nEND\r\nSTORED\r\nSERVER_ERROR out of memory\r\n";

    #[test]
    fn memcached_replies_are_counted_however_they_are_split() {
        for piece in 1..=STREAM.len() {
            let mut counter = Replies::Memcached(MemcachedCounter::default());
            let mut total = (0, 0);
            for input in STREAM.chunks(piece) {
                let counted = counter.count(input).unwrap();
                total = (total.0 + counted.replies, total.1 + counted.errors);
            }
            assert_eq!(total, (4, 1), "in pieces of {piece}");
            assert_eq!(counter.last_error().as_deref(), Some("SERVER_ERROR out of memory"));
        }
    }

    #[test]
    fn what_memcached_never_says_is_refused() {
        for input in [&b"+OK\r\n"[..], b"VALUE key 0 x\r\n", &[b'x'; KEPT_LINE_BYTES + 1]] {
            assert!(MemcachedCounter::default().count(input).is_err());
        }
    }
}
