//! Requests that are kept to be executed later, without what stands between their words on the wire.

use super::request::{Args, Span};

/// What is made room for with the first request, so that some ten short ones need no more.
const FIRST_BYTES: usize = 256;
const FIRST_WORDS: usize = 32;
const FIRST_REQUESTS: usize = 12;

/// The arguments of some requests, one request behind another, each with what is known of it.
#[derive(Debug)]
pub struct KeptRequests<T> {
    bytes: Vec<u8>,
    /// Each counts from where its request begins.
    spans: Vec<Span>,
    requests: Vec<Kept<T>>,
}

#[derive(Debug)]
struct Kept<T> {
    known: T,
    /// Where it ends in each.
    bytes_end: usize,
    spans_end: usize,
}

impl<T> Default for KeptRequests<T> {
    fn default() -> Self {
        Self { bytes: Vec::new(), spans: Vec::new(), requests: Vec::new() }
    }
}

impl<T: Copy> KeptRequests<T> {
    /// Keeps one more.
    pub fn push(&mut self, args: Args<'_>, known: T) {
        if self.requests.is_empty() {
            self.bytes.reserve(FIRST_BYTES);
            self.spans.reserve(FIRST_WORDS);
            self.requests.reserve(FIRST_REQUESTS);
        }
        let first = self.bytes.len();
        for arg in args {
            // No longer than the request was, whose spans are of the same kind.
            self.spans.push(Span { start: (self.bytes.len() - first) as u32, len: arg.len() as u32 });
            self.bytes.extend_from_slice(arg);
        }
        let (bytes_end, spans_end) = (self.bytes.len(), self.spans.len());
        self.requests.push(Kept { known, bytes_end, spans_end });
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// All of them, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (T, Args<'_>)> {
        let (mut bytes_from, mut spans_from) = (0, 0);
        self.requests.iter().map(move |&Kept { known, bytes_end, spans_end }| {
            let bytes = &self.bytes[bytes_from..bytes_end];
            let spans = &self.spans[spans_from..spans_end];
            (bytes_from, spans_from) = (bytes_end, spans_end);
            (known, Args { bytes, spans })
        })
    }

    /// What their arguments take, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// How many words they have.
    pub fn words(&self) -> usize {
        self.spans.len()
    }

    /// Heap memory held, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.spans.capacity() * size_of::<Span>()
            + self.requests.capacity() * size_of::<Kept<T>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::{Decoded, Limits, RequestDecoder};

    #[test]
    fn what_is_kept_is_what_came() {
        let (mut kept, mut decoder) = (KeptRequests::default(), RequestDecoder::new());
        let came: [&[&[u8]]; 3] = [&[b"SET", b"a", b""], &[b"PING"], &[b"\r\n", b"$1"]];
        for words in came {
            let mut wire = Vec::new();
            crate::resp::encode_request(&mut wire, words);
            let decoded = decoder.decode(&wire, &Limits::default());
            assert_eq!(decoded, Ok(Decoded::Request { consumed: wire.len() }));
            kept.push(decoder.args(&wire), words.len());
            decoder.release();
        }
        let all: Vec<Vec<&[u8]>> = kept.iter().map(|(_, args)| args.iter().collect()).collect();
        assert_eq!(all, came);
        assert!(kept.iter().all(|(count, args)| count == args.len()));
        assert_eq!((kept.len(), kept.words(), kept.bytes()), (3, 6, 12));
        assert!(kept.memory_bytes() >= 12);
    }
}
