//! The server's half of decoding: requests as arrays of strings, or inline. Pure.
//!
//! The decoder holds where it stopped, not the bytes: those stay in the caller's read buffer, which may grow
//! or move between calls, and arguments are slices of it. Only inline commands are copied (unquoting).
//!
//! Invariants: no byte is looked at again with each piece of the input, however it is split; how it is split never changes
//! the outcome; memory is bounded by what has arrived, not by what was announced; after an error the
//! connection cannot go on.

use super::inline::split_args;
use super::number::{SHORT_DIGITS, parse_i64, short_line};
use super::{Limits, ProtocolError};

/// Room for arguments that a decoder keeps between requests; what a huge request needed is given back.
const KEPT_SPANS: usize = 64;
/// Room for inline commands that a decoder keeps between requests, in bytes.
const KEPT_INLINE_BYTES: usize = 256;

/// What [`RequestDecoder::decode`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// The request is not complete before the input has `wanted_bytes`, counted from its start. A hint
    /// for the read buffer: it comes from the wire, so it is no reason to allocate ahead of the bytes.
    Incomplete {
        /// More than the length of the input that was given.
        wanted_bytes: usize,
    },
    /// A request, whose arguments [`RequestDecoder::args`] gives.
    Request {
        /// The bytes it took of the input.
        consumed: usize,
    },
    /// An empty line or an empty array, which is answered with nothing.
    Nothing {
        /// The bytes it took of the input.
        consumed: usize,
    },
}

/// The place of one argument, relative to the start of the request. 32 bits: a request is below 4 GiB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) len: u32,
}

/// Where the decoder stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a request.
    Start,
    /// In an inline command.
    Inline,
    /// In the line that says how many arguments there are.
    Count,
    /// In the line that says how long the next argument is.
    Length,
    /// In an argument of that length.
    Bulk(u32),
}

/// Decodes the requests of one connection.
///
/// ```
/// use modb_net::resp::{Decoded, Limits, RequestDecoder};
///
/// let mut decoder = RequestDecoder::new();
/// let input = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n$4\r\nPI";
/// let Ok(Decoded::Request { consumed }) = decoder.decode(input, &Limits::default()) else { panic!() };
/// assert!(decoder.args(input).iter().eq([&b"GET"[..], b"a"]));
/// let rest = &input[consumed..];
/// assert_eq!(decoder.decode(rest, &Limits::default()), Ok(Decoded::Incomplete { wanted_bytes: 14 }));
/// ```
#[derive(Debug)]
pub struct RequestDecoder {
    state: State,
    /// Where the current line or argument begins, relative to the start of the request.
    position: usize,
    /// Up to where the current line was searched for its end.
    searched: usize,
    /// Arguments that are still to come.
    remaining: u32,
    spans: Vec<Span>,
    /// The unquoted words of an inline command; empty: the arguments are in the input.
    inline: Vec<u8>,
}

impl Default for RequestDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestDecoder {
    /// A decoder before the first request. Allocates nothing.
    pub const fn new() -> Self {
        Self {
            state: State::Start,
            position: 0,
            searched: 0,
            remaining: 0,
            spans: Vec::new(),
            inline: Vec::new(),
        }
    }

    /// Decodes one request at the start of `input`.
    ///
    /// After [`Decoded::Incomplete`] call it again with the same bytes and more behind them; after the other
    /// two, with what follows the `consumed` bytes.
    ///
    /// # Errors
    /// The input is not RESP, or over a limit: answer with the error's text and close.
    pub fn decode(&mut self, input: &[u8], limits: &Limits) -> Result<Decoded, ProtocolError> {
        if self.state == State::Start {
            let Some(&first) = input.first() else {
                return Ok(Decoded::Incomplete { wanted_bytes: 1 });
            };
            self.begin();
            self.state = if first == b'*' { State::Count } else { State::Inline };
        }
        if self.state == State::Inline {
            return self.inline_command(input, limits);
        }
        if self.state == State::Count {
            let Some(count) = self.count(input, limits)? else { return Ok(self.incomplete(input)) };
            self.remaining = count;
            self.state = if count == 0 { State::Start } else { State::Length };
            if count == 0 {
                return Ok(Decoded::Nothing { consumed: self.position });
            }
        }
        self.arguments(input, limits)
    }

    /// Reads on from the length of an argument, or from an argument.
    #[inline(always)]
    fn arguments(&mut self, input: &[u8], limits: &Limits) -> Result<Decoded, ProtocolError> {
        let mut begun = if let State::Bulk(len) = self.state { Some(len) } else { None };
        loop {
            let len = match begun.take() {
                Some(len) => len,
                None => match self.length(input, limits)? {
                    Some(len) => len,
                    None => {
                        self.state = State::Length;
                        return Ok(self.incomplete(input));
                    }
                },
            };
            let end = self.position + len as usize + 2;
            if input.len() < end {
                self.state = State::Bulk(len);
                return Ok(Decoded::Incomplete { wanted_bytes: end });
            }
            if self.spans.len() == self.spans.capacity() {
                self.grow()?;
            }
            self.spans.push(Span { start: self.position as u32, len });
            self.next_line_at(end);
            self.remaining -= 1;
            if self.remaining == 0 {
                self.state = State::Start;
                return Ok(Decoded::Request { consumed: end });
            }
        }
    }

    /// The number of arguments; `None` if its line has not come whole.
    #[inline(always)]
    fn count(&mut self, input: &[u8], limits: &Limits) -> Result<Option<u32>, ProtocolError> {
        let count = match self.short_line(input, b'*', limits) {
            Some(count) => count,
            None => match self.line(input, limits, ProtocolError::TooBigMultibulkCount)? {
                Some(line) => parse_i64(&line[1..]).ok_or(ProtocolError::InvalidMultibulkLength)?,
                None => return Ok(None),
            },
        };
        element_count(count, limits).map(Some)
    }

    /// The length of the next argument; `None` if its line has not come whole.
    #[inline(always)]
    fn length(&mut self, input: &[u8], limits: &Limits) -> Result<Option<u32>, ProtocolError> {
        let len = match self.short_line(input, b'$', limits) {
            Some(len) => len,
            None => match self.line(input, limits, ProtocolError::TooBigBulkCount)? {
                Some(line) => announced_length(line)?,
                None => return Ok(None),
            },
        };
        let len = bulk_length(len, limits)?;
        // The whole request stays addressable with 32 bits, with room for the next length line.
        if self.position + len as usize > (u32::MAX - limits.max_inline_bytes) as usize {
            return Err(ProtocolError::InvalidBulkLength);
        }
        Ok(Some(len))
    }

    /// The arguments of the request that [`RequestDecoder::decode`] has just found in `input`, which begins
    /// with the request as it did then.
    ///
    /// # Panics
    /// On use of an argument, if `input` is another one and shorter.
    #[inline]
    pub fn args<'a>(&'a self, input: &'a [u8]) -> Args<'a> {
        let bytes = if self.inline.is_empty() { input } else { &self.inline };
        Args { bytes, spans: &self.spans }
    }

    /// Whether the request that [`RequestDecoder::decode`] has just found is a line of text, not an array.
    pub fn is_inline(&self) -> bool {
        !self.inline.is_empty()
    }

    /// Whether a part of a request has come: the input may not end here.
    pub fn is_mid_request(&self) -> bool {
        self.state != State::Start
    }

    /// Heap memory held, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.spans.capacity() * size_of::<Span>() + self.inline.capacity()
    }

    /// Gives back what a huge request needed. Call it when the last request is done: the next one may be long in coming.
    #[inline]
    pub fn release(&mut self) {
        if self.spans.capacity() > KEPT_SPANS || self.inline.capacity() > KEPT_INLINE_BYTES {
            self.begin();
        }
    }

    /// Makes room for more arguments, of which a client sends as many as it likes.
    #[cold]
    fn grow(&mut self) -> Result<(), ProtocolError> {
        self.spans.try_reserve(1).map_err(|_| ProtocolError::NoMemory)
    }

    /// Forgets the last request.
    fn begin(&mut self) {
        self.spans.clear();
        self.inline.clear();
        if self.spans.capacity() > KEPT_SPANS {
            self.spans.shrink_to(KEPT_SPANS);
        }
        if self.inline.capacity() > KEPT_INLINE_BYTES {
            self.inline.shrink_to(KEPT_INLINE_BYTES);
        }
        self.next_line_at(0);
    }

    fn next_line_at(&mut self, position: usize) {
        self.position = position;
        self.searched = position;
    }

    /// One byte more may be all it takes.
    fn incomplete(&self, input: &[u8]) -> Decoded {
        Decoded::Incomplete { wanted_bytes: input.len() + 1 }
    }

    /// The number in the current line, and the position behind it, if the line has come whole and is as nearly all are:
    /// `sign` and a few digits. Otherwise nothing has changed.
    #[inline(always)]
    fn short_line(&mut self, input: &[u8], sign: u8, limits: &Limits) -> Option<i64> {
        // Of a line that was looked at before, the beginning is not looked at again.
        if self.searched != self.position || limits.max_inline_bytes as usize <= SHORT_DIGITS {
            return None;
        }
        let (number, next) = short_line(input, self.position, sign)?;
        self.next_line_at(next);
        Some(i64::from(number))
    }

    /// The current line without its end, and the position behind it; `None` if its end has not come.
    ///
    /// The end is a CR and one more byte, as in Redis.
    fn line<'a>(
        &mut self,
        input: &'a [u8],
        limits: &Limits,
        too_long: ProtocolError,
    ) -> Result<Option<&'a [u8]>, ProtocolError> {
        let max_end = self.position + limits.max_inline_bytes as usize;
        let Some(end) = find(b'\r', input, self.searched, max_end) else {
            self.searched = input.len();
            return if input.len() > max_end { Err(too_long) } else { Ok(None) };
        };
        self.searched = end;
        if input.len() < end + 2 {
            return Ok(None);
        }
        let line = &input[self.position..end];
        self.next_line_at(end + 2);
        Ok(Some(line))
    }

    fn inline_command(&mut self, input: &[u8], limits: &Limits) -> Result<Decoded, ProtocolError> {
        let max_end = limits.max_inline_bytes as usize;
        let Some(end) = find(b'\n', input, self.searched, max_end) else {
            self.searched = input.len();
            return if input.len() > max_end {
                Err(ProtocolError::TooBigInline)
            } else {
                Ok(self.incomplete(input))
            };
        };
        let line = &input[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // A byte in front, so that `inline` is not empty even if all words are.
        self.inline.push(0);
        let spans = &mut self.spans;
        split_args(line, &mut self.inline, |word| {
            spans.push(Span { start: word.start as u32, len: word.len() as u32 });
        })
        .map_err(|_| ProtocolError::UnbalancedQuotes)?;
        self.state = State::Start;
        let consumed = end + 1;
        Ok(if self.spans.is_empty() { Decoded::Nothing { consumed } } else { Decoded::Request { consumed } })
    }
}

/// Where `byte` is in `input[from..=last]`.
#[inline]
fn find(byte: u8, input: &[u8], from: usize, last: usize) -> Option<usize> {
    let window = input.get(from..input.len().min(last + 1))?;
    window.iter().position(|&b| b == byte).map(|at| from + at)
}

/// The number of arguments, if so many may be announced; of fewer than none there are none.
fn element_count(count: i64, limits: &Limits) -> Result<u32, ProtocolError> {
    if count > i64::from(limits.max_elements) {
        return Err(ProtocolError::InvalidMultibulkLength);
    }
    if !limits.authenticated && count > i64::from(Limits::UNAUTHENTICATED_ELEMENTS) {
        return Err(ProtocolError::UnauthenticatedMultibulkLength);
    }
    Ok(count.max(0) as u32)
}

/// The length of an argument that the line announces.
fn announced_length(line: &[u8]) -> Result<i64, ProtocolError> {
    let Some((b'$', text)) = line.split_first() else {
        // The end of the line is there, so an empty line begins with a CR.
        return Err(ProtocolError::ExpectedBulk(line.first().copied().unwrap_or(b'\r')));
    };
    parse_i64(text).ok_or(ProtocolError::InvalidBulkLength)
}

/// The length of an argument, if one so long may be announced.
fn bulk_length(len: i64, limits: &Limits) -> Result<u32, ProtocolError> {
    if len < 0 || len > i64::from(limits.max_bulk_bytes) {
        return Err(ProtocolError::InvalidBulkLength);
    }
    if !limits.authenticated && len > i64::from(Limits::UNAUTHENTICATED_BULK_BYTES) {
        return Err(ProtocolError::UnauthenticatedBulkLength);
    }
    Ok(len as u32)
}

/// The arguments of one request, the name of the command first. Never empty.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) spans: &'a [Span],
}

impl<'a> Args<'a> {
    /// How many there are.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a request is never empty")]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// The argument at `index`, if there are that many.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        self.spans.get(index).map(|&span| slice(self.bytes, span))
    }

    /// The arguments from `first` on (none if there are fewer).
    #[inline]
    pub fn skip(&self, first: usize) -> Self {
        Self { bytes: self.bytes, spans: self.spans.get(first..).unwrap_or_default() }
    }

    /// All of them in order.
    #[inline]
    pub fn iter(&self) -> ArgsIter<'a> {
        ArgsIter { bytes: self.bytes, spans: self.spans.iter() }
    }
}

#[inline]
fn slice(bytes: &[u8], span: Span) -> &[u8] {
    &bytes[span.start as usize..][..span.len as usize]
}

impl std::ops::Index<usize> for Args<'_> {
    type Output = [u8];

    #[inline]
    fn index(&self, index: usize) -> &[u8] {
        slice(self.bytes, self.spans[index])
    }
}

impl<'a> IntoIterator for Args<'a> {
    type Item = &'a [u8];
    type IntoIter = ArgsIter<'a>;

    fn into_iter(self) -> ArgsIter<'a> {
        self.iter()
    }
}

impl std::fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|arg| arg.escape_ascii().to_string())).finish()
    }
}

/// Iterates over [`Args`].
#[derive(Clone, Debug)]
pub struct ArgsIter<'a> {
    bytes: &'a [u8],
    spans: std::slice::Iter<'a, Span>,
}

impl<'a> Iterator for ArgsIter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.spans.next().map(|&span| slice(self.bytes, span))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.spans.size_hint()
    }
}

impl DoubleEndedIterator for ArgsIter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.spans.next_back().map(|&span| slice(self.bytes, span))
    }
}

impl ExactSizeIterator for ArgsIter<'_> {}
