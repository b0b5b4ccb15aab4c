//! Writing replies, and requests. Pure.
//!
//! Invariants: what is written is a well-formed reply for the protocol that the connection speaks, if the caller
//! writes as many elements as it announces; the text of a simple string or an error never breaks its line.

use super::number::{MAX_DIGITS, push_f64, push_i64, write_before};
use crate::base::buf::Tail;

/// Which protocol a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// What every connection begins with.
    #[default]
    Resp2,
    /// After `HELLO 3`.
    Resp3,
}

/// The place of an array whose length is not known yet: [`Encoder::end_array`] closes it.
#[derive(Debug)]
#[must_use = "the array has no head before `end_array`"]
pub struct Deferred {
    at: usize,
}

/// Appends replies to a buffer.
///
/// Types that RESP2 lacks are written as Redis writes them there: a map as an array of twice the length, a set
/// and a push message as an array, a boolean as 0 or 1, a double, a big number and a verbatim string as a string.
///
/// ```
/// use modb_net::resp::{Encoder, Protocol};
///
/// let mut out = Vec::new();
/// let mut reply = Encoder::new(&mut out, Protocol::Resp2);
/// reply.array(2);
/// reply.bulk(b"a");
/// reply.integer(-1);
/// assert_eq!(out, b"*2\r\n$1\r\na\r\n:-1\r\n");
/// ```
#[derive(Debug)]
pub struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    /// What lies before is not this encoder's.
    floor: usize,
    protocol: Protocol,
}

impl<'a> Encoder<'a> {
    /// Appends to `out`: the output of a connection ([`crate::Out::tail`]) or any vector.
    #[inline]
    pub fn new(out: impl Into<Tail<'a>>, protocol: Protocol) -> Self {
        let (out, floor) = out.into().into_parts();
        Self { out, floor, protocol }
    }

    /// What the connection speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Goes on in another protocol, as after `HELLO`.
    pub fn speak(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// Bytes in the buffer, what was there before included.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether the buffer is empty.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Takes back all that was written since the buffer had `len` bytes.
    ///
    /// # Panics
    /// If it had so few before this encoder began: what is there already is not its own.
    pub fn truncate(&mut self, len: usize) {
        assert!(len >= self.floor, "more than this encoder has written");
        self.out.truncate(len);
    }

    /// `+OK`
    #[inline]
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// `+QUEUED`
    #[inline]
    pub fn queued(&mut self) {
        self.raw(b"+QUEUED\r\n");
    }

    /// A short string without line breaks (one that is there becomes a space).
    #[inline]
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// An error. `text` begins with its code, usually `ERR`; a line break in it becomes a space.
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        self.line(b'-', text.as_ref());
    }

    /// A whole number.
    #[inline]
    pub fn integer(&mut self, n: i64) {
        self.number(b':', n);
    }

    /// A string of any bytes.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.length(b'$', bytes.len());
        self.out.reserve(bytes.len() + 2);
        self.out.extend_from_slice(bytes);
        self.end_line();
    }

    /// A string that holds a number, as `INCRBYFLOAT` or `CONFIG GET` answer.
    pub fn bulk_integer(&mut self, n: i64) {
        let mut digits = Vec::with_capacity(20);
        push_i64(&mut digits, n);
        self.bulk(&digits);
    }

    /// No value. In RESP2 the null string.
    #[inline]
    pub fn null(&mut self) {
        match self.protocol {
            Protocol::Resp2 => self.raw(b"$-1\r\n"),
            Protocol::Resp3 => self.raw(b"_\r\n"),
        }
    }

    /// No value where there would be an array (a blocking command that timed out, an aborted transaction).
    #[inline]
    pub fn null_array(&mut self) {
        match self.protocol {
            Protocol::Resp2 => self.raw(b"*-1\r\n"),
            Protocol::Resp3 => self.raw(b"_\r\n"),
        }
    }

    /// A boolean.
    pub fn boolean(&mut self, value: bool) {
        match (self.protocol, value) {
            (Protocol::Resp2, true) => self.raw(b":1\r\n"),
            (Protocol::Resp2, false) => self.raw(b":0\r\n"),
            (Protocol::Resp3, true) => self.raw(b"#t\r\n"),
            (Protocol::Resp3, false) => self.raw(b"#f\r\n"),
        }
    }

    /// A double.
    pub fn double(&mut self, value: f64) {
        match self.protocol {
            Protocol::Resp2 => self.bulk_double(value),
            Protocol::Resp3 => {
                self.out.push(b',');
                push_f64(self.out, value);
                self.end_line();
            }
        }
    }

    /// A double, given as its decimal digits.
    pub fn double_digits(&mut self, digits: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(digits.as_bytes()),
            Protocol::Resp3 => self.line(b',', digits.as_bytes()),
        }
    }

    /// A string that holds a double.
    pub fn bulk_double(&mut self, value: f64) {
        let mut digits = Vec::with_capacity(24);
        push_f64(&mut digits, value);
        self.bulk(&digits);
    }

    /// An integer beyond 64 bits, given as its decimal digits.
    pub fn big_number(&mut self, digits: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(digits.as_bytes()),
            Protocol::Resp3 => self.line(b'(', digits.as_bytes()),
        }
    }

    /// Text for humans, in a format such as `txt` or `mkd`.
    pub fn verbatim(&mut self, format: &[u8; 3], text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                self.length(b'=', text.len() + 4);
                self.out.extend_from_slice(format);
                self.out.push(b':');
                self.out.extend_from_slice(text);
                self.end_line();
            }
        }
    }

    /// The head of an array; `len` replies follow.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.length(b'*', len);
    }

    /// The head of a map; `len` pairs of replies follow.
    pub fn map(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.length(b'*', len * 2),
            Protocol::Resp3 => self.length(b'%', len),
        }
    }

    /// The head of a set; `len` replies follow.
    pub fn set(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.length(b'*', len),
            Protocol::Resp3 => self.length(b'~', len),
        }
    }

    /// The head of a message that answers no request; `len` replies follow.
    pub fn push(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.length(b'*', len),
            Protocol::Resp3 => self.length(b'>', len),
        }
    }

    /// The head of the attributes of the next reply; `len` pairs of replies follow. RESP2 has none: `false`,
    /// nothing was written, and the pairs must not be either.
    pub fn attributes(&mut self, len: usize) -> bool {
        if self.protocol == Protocol::Resp3 {
            self.length(b'|', len);
        }
        self.protocol == Protocol::Resp3
    }

    /// Begins an array whose length is known only when its elements are written. Nothing before it in the
    /// buffer may be removed until [`Encoder::end_array`].
    pub fn begin_array(&mut self) -> Deferred {
        Deferred { at: self.out.len() }
    }

    /// Puts the head of an array of `len` replies before what was written since [`Encoder::begin_array`],
    /// which is moved by the few bytes of the head.
    pub fn end_array(&mut self, array: Deferred, len: usize) {
        let body_end = self.out.len();
        self.array(len);
        let head_bytes = self.out.len() - body_end;
        self.out[array.at..].rotate_right(head_bytes);
    }

    /// Bytes that are encoded already: a whole reply, or pieces that together are one.
    #[inline]
    pub fn raw(&mut self, reply: &[u8]) {
        self.out.extend_from_slice(reply);
    }

    fn length(&mut self, kind: u8, len: usize) {
        let mut line = [0; 1 + MAX_DIGITS + 2];
        let (number, end) = line.split_at_mut(1 + MAX_DIGITS);
        end.copy_from_slice(b"\r\n");
        let start = write_before(number, len as u64) - 1;
        number[start] = kind;
        self.out.extend_from_slice(&line[start..]);
    }

    fn number(&mut self, kind: u8, n: i64) {
        self.out.push(kind);
        push_i64(self.out, n);
        self.end_line();
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
        self.out.reserve(text.len() + 3);
        self.out.push(kind);
        if text.iter().any(is_break) {
            self.out.extend(text.iter().map(|byte| if is_break(byte) { b' ' } else { *byte }));
        } else {
            self.out.extend_from_slice(text);
        }
        self.end_line();
    }

    #[inline]
    fn end_line(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }
}

/// Appends a request as clients send it: an array of strings.
pub fn encode_request<I>(out: &mut Vec<u8>, args: I)
where
    I: IntoIterator<IntoIter: ExactSizeIterator, Item: AsRef<[u8]>>,
{
    let args = args.into_iter();
    // Requests are the same in both protocols.
    let mut request = Encoder::new(out, Protocol::Resp2);
    request.array(args.len());
    for arg in args {
        request.bulk(arg.as_ref());
    }
}
