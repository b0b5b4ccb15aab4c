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
        // At once: step by step it could come to take more than `room_for` says.
        let bytes: usize = args.iter().map(<[u8]>::len).sum();
        if self.requests.is_empty() {
            self.bytes.reserve(bytes.max(FIRST_BYTES));
            self.spans.reserve(args.len().max(FIRST_WORDS));
            self.requests.reserve(FIRST_REQUESTS);
        } else {
            self.bytes.reserve(bytes);
            self.spans.reserve(args.len());
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

    /// Forgets all of them, and keeps their room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.requests.clear();
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

    /// How many bytes of memory more are held, at most, while one more request of so many words and bytes comes to be kept: what has to grow
    /// doubles, and is there twice until it has moved. 0: nothing has to grow.
    pub fn room_for(&self, words: usize, bytes: usize) -> usize {
        let bytes = grown(&self.bytes, bytes, FIRST_BYTES);
        let spans = grown(&self.spans, words, FIRST_WORDS);
        bytes.saturating_add(spans).saturating_add(grown(&self.requests, 1, FIRST_REQUESTS))
    }
}

/// What `list` takes, in bytes, once it has grown for so many more; 0: it need not.
fn grown<T>(list: &Vec<T>, more: usize, first: usize) -> usize {
    let needed = list.len().saturating_add(more);
    if needed <= list.capacity() && list.capacity() > 0 {
        return 0;
    }
    needed.max(list.capacity().saturating_mul(2)).max(first).saturating_mul(size_of::<T>())
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

    #[test]
    fn what_it_comes_to_take_is_known_before() {
        let (mut kept, mut decoder) = (KeptRequests::default(), RequestDecoder::new());
        let mut grew = 0;
        for round in 0..2_000_usize {
            let words: Vec<Vec<u8>> =
                (0..1 + round % 7).map(|word| vec![b'x'; (round * 31 + word * 17) % 300]).collect();
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let mut wire = Vec::new();
            crate::resp::encode_request(&mut wire, &words);
            assert!(matches!(decoder.decode(&wire, &Limits::default()), Ok(Decoded::Request { .. })));
            let bytes = words.iter().map(|word| word.len()).sum();
            let (before, room) = (kept.memory_bytes(), kept.room_for(words.len(), bytes));
            kept.push(decoder.args(&wire), round);
            let more = kept.memory_bytes() - before;
            assert!(more <= room, "{more} more in round {round}, {room} were told");
            assert!(room == 0 || more > 0, "{room} were told in round {round} for nothing");
            grew += usize::from(more > 0);
            decoder.release();
        }
        assert!((20..60).contains(&grew), "it doubles: {grew} times");
    }
}
