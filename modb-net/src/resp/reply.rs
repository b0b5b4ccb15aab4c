//! The client's half of decoding: replies as [`Value`]s. Pure.
//!
//! Aggregates that are not complete wait on an explicit stack, so nesting costs no recursion and what has been
//! decoded is never decoded again.
//!
//! Invariants: nothing is allocated from a length on the wire beyond [`FIRST_ELEMENTS`] before the bytes are
//! there (hiredis #1336); nesting is bounded; how the input is split never changes the outcome.

use super::number::parse_i64;
use super::{ReplyError, ReplyLimits, Value};

/// Elements an aggregate gets room for from its announced length alone. Beyond, it grows as they come.
const FIRST_ELEMENTS: usize = 16;

/// An aggregate whose elements are still coming.
#[derive(Debug)]
struct Frame {
    kind: Kind,
    /// Elements still to come; keys and values of a map count separately.
    remaining: usize,
    items: Vec<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Array,
    Set,
    Push,
    Map,
    /// The pairs of attributes.
    Attributes,
    /// The reply behind attributes, which are in `items`.
    Attributed,
}

/// A string whose length is known and whose bytes have not all come.
#[derive(Clone, Copy, Debug)]
struct PendingString {
    kind: u8,
    len: usize,
}

/// Decodes the replies of one connection.
///
/// ```
/// use modb_net::resp::{ReplyDecoder, Value};
///
/// let mut decoder = ReplyDecoder::default();
/// let mut input = &b"*2\r\n:1\r\n$3\r\nab"[..];
/// assert_eq!(decoder.decode(&mut input), Ok(None));
/// assert_eq!(input, b"ab", "what was used need not be kept");
/// let mut input = &b"abc\r\n+OK\r\n"[..];
/// let reply = Value::Array(vec![Value::Integer(1), Value::Bulk(b"abc".to_vec())]);
/// assert_eq!(decoder.decode(&mut input), Ok(Some(reply)));
/// assert_eq!(input, b"+OK\r\n");
/// ```
#[derive(Debug, Default)]
pub struct ReplyDecoder {
    limits: ReplyLimits,
    stack: Vec<Frame>,
    pending: Option<PendingString>,
    /// How much of the input, from its start, was searched for the end of a line.
    searched: usize,
}

impl ReplyDecoder {
    /// A decoder before the first reply.
    pub fn new(limits: ReplyLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Decodes the next reply, and moves `input` behind what it used. After `None`, call it again with what
    /// is left of `input` and more behind it.
    ///
    /// # Errors
    /// The input is not RESP, or over a limit. The connection cannot go on.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Value>, ReplyError> {
        loop {
            let Some(step) = self.next_step(input)? else { return Ok(None) };
            let complete = match step {
                Step::Value(value) => self.place(value),
                Step::Open(kind, elements) => self.open(kind, elements)?,
            };
            if complete.is_some() {
                return Ok(complete);
            }
        }
    }

    /// Whether a part of a reply has been used: the input may not end here.
    pub fn is_mid_reply(&self) -> bool {
        !self.stack.is_empty() || self.pending.is_some()
    }

    /// Room held for elements that have not come, in bytes (a bound for tests).
    #[cfg(test)]
    pub(super) fn reserved_bytes(&self) -> usize {
        let frames = self.stack.iter();
        let items: usize = frames.map(|f| (f.items.capacity() - f.items.len()) * size_of::<Value>()).sum();
        items + (self.stack.capacity() - self.stack.len()) * size_of::<Frame>()
    }

    /// Reads a scalar, or the head of an aggregate.
    fn next_step(&mut self, input: &mut &[u8]) -> Result<Option<Step>, ReplyError> {
        if let Some(pending) = self.pending {
            return self.string(pending, input);
        }
        let Some(line) = self.line(input)? else { return Ok(None) };
        let (&kind, text) = line.split_first().ok_or(ReplyError::UnknownType(b'\r'))?;
        let value = match kind {
            b'+' => Value::Simple(text.to_vec()),
            b'-' => Value::Error(text.to_vec()),
            b':' => Value::Integer(parse_i64(text).ok_or(ReplyError::MalformedNumber)?),
            b'_' if text.is_empty() => Value::Null,
            b'#' if text == b"t" => Value::Boolean(true),
            b'#' if text == b"f" => Value::Boolean(false),
            b',' => Value::Double(parse_f64(text).ok_or(ReplyError::MalformedNumber)?),
            b'(' => Value::BigNumber(big_number(text).ok_or(ReplyError::MalformedNumber)?),
            b'$' | b'!' | b'=' => {
                return match parse_length(text, self.limits.max_bulk_bytes, ReplyError::BulkTooLong)? {
                    None => Ok(Some(Step::Value(Value::Null))),
                    Some(len) => {
                        let pending = PendingString { kind, len };
                        self.pending = Some(pending);
                        self.string(pending, input)
                    }
                };
            }
            b'*' | b'~' | b'>' | b'%' | b'|' => {
                let len = parse_length(text, self.limits.max_elements, ReplyError::TooManyElements)?;
                return Ok(Some(match (kind, len) {
                    (_, None) => Step::Value(Value::Null),
                    (b'~', Some(len)) => Step::Open(Kind::Set, len),
                    (b'>', Some(len)) => Step::Open(Kind::Push, len),
                    (b'%', Some(len)) => Step::Open(Kind::Map, len * 2),
                    (b'|', Some(len)) => Step::Open(Kind::Attributes, len * 2),
                    (_, Some(len)) => Step::Open(Kind::Array, len),
                }));
            }
            b'_' | b'#' => return Err(ReplyError::MalformedNumber),
            other => return Err(ReplyError::UnknownType(other)),
        };
        Ok(Some(Step::Value(value)))
    }

    /// The next line of `input` without its end.
    fn line<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, ReplyError> {
        let window = &input[..input.len().min(self.limits.max_line_bytes + 1)];
        let Some(end) = window[self.searched..].iter().position(|&b| b == b'\r') else {
            self.searched = window.len();
            return if input.len() > self.limits.max_line_bytes {
                Err(ReplyError::LineTooLong)
            } else {
                Ok(None)
            };
        };
        let end = self.searched + end;
        match input.get(end + 1) {
            None => {
                self.searched = end;
                return Ok(None);
            }
            Some(b'\n') => {}
            Some(_) => return Err(ReplyError::MissingLineEnd),
        }
        let line = &input[..end];
        *input = &input[end + 2..];
        self.searched = 0;
        Ok(Some(line))
    }

    /// The string that is being waited for, once it is there with its line end.
    fn string(&mut self, pending: PendingString, input: &mut &[u8]) -> Result<Option<Step>, ReplyError> {
        let PendingString { kind, len } = pending;
        if input.len() < len + 2 {
            return Ok(None);
        }
        let (bytes, rest) = input.split_at(len);
        *input = rest.strip_prefix(b"\r\n").ok_or(ReplyError::MissingLineEnd)?;
        self.pending = None;
        let value = match kind {
            b'!' => Value::Error(bytes.to_vec()),
            b'=' => {
                let (format, text) = bytes.split_first_chunk().ok_or(ReplyError::MalformedVerbatim)?;
                let text = text.strip_prefix(b":").ok_or(ReplyError::MalformedVerbatim)?;
                Value::Verbatim { format: *format, text: text.to_vec() }
            }
            _ => Value::Bulk(bytes.to_vec()),
        };
        Ok(Some(Step::Value(value)))
    }

    /// Begins an aggregate; gives the reply if that completes it.
    fn open(&mut self, kind: Kind, elements: usize) -> Result<Option<Value>, ReplyError> {
        if self.stack.len() >= self.limits.max_depth {
            return Err(ReplyError::TooDeep);
        }
        if kind == Kind::Push && !self.stack.is_empty() {
            return Err(ReplyError::NestedPush);
        }
        let items = Vec::with_capacity(elements.min(FIRST_ELEMENTS));
        let frame = Frame { kind, remaining: elements, items };
        if elements > 0 {
            self.stack.push(frame);
            return Ok(None);
        }
        Ok(self.close(frame).and_then(|value| self.place(value)))
    }

    /// Puts a complete value where it belongs; gives the reply if that completes it.
    fn place(&mut self, mut value: Value) -> Option<Value> {
        loop {
            let Some(frame) = self.stack.last_mut() else { return Some(value) };
            frame.items.push(value);
            frame.remaining -= 1;
            if frame.remaining > 0 {
                return None;
            }
            let frame = self.stack.pop()?;
            value = self.close(frame)?;
        }
    }

    /// Makes a value of an aggregate whose elements are there. Attributes are none yet: they wait on the
    /// stack, in the place of their aggregate, for the reply that they belong to.
    fn close(&mut self, frame: Frame) -> Option<Value> {
        let Frame { kind, mut items, .. } = frame;
        match kind {
            Kind::Array => Some(Value::Array(items)),
            Kind::Set => Some(Value::Set(items)),
            Kind::Push => Some(Value::Push(items)),
            Kind::Map => Some(Value::Map(pairs(items))),
            Kind::Attributes => {
                self.stack.push(Frame { kind: Kind::Attributed, remaining: 1, items });
                None
            }
            Kind::Attributed => {
                let value = Box::new(items.pop()?);
                Some(Value::Attributed { attributes: pairs(items), value })
            }
        }
    }
}

/// What [`ReplyDecoder::next_step`] reads: a scalar, or the head of an aggregate.
enum Step {
    Value(Value),
    Open(Kind, usize),
}

fn pairs(items: Vec<Value>) -> Vec<(Value, Value)> {
    let mut pairs = Vec::with_capacity(items.len() / 2);
    let mut items = items.into_iter();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        pairs.push((key, value));
    }
    pairs
}

/// A length of at most `max`; `None` for -1, the null of RESP2.
fn parse_length(text: &[u8], max: usize, too_long: ReplyError) -> Result<Option<usize>, ReplyError> {
    match parse_i64(text) {
        Some(-1) => Ok(None),
        Some(len) => match usize::try_from(len) {
            Ok(len) if len <= max => Ok(Some(len)),
            Ok(_) => Err(too_long),
            Err(_) => Err(ReplyError::MalformedNumber),
        },
        None => Err(ReplyError::MalformedNumber),
    }
}

fn parse_f64(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok()
}

fn big_number(text: &[u8]) -> Option<String> {
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| text.iter().copied().map(char::from).collect())
}
