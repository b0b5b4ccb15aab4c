//! A large reply on its way out, piece by piece, so that writing it holds nobody up. Pure.
//!
//! Invariants: the pieces together are the reply, as it would be written at once; what it says that it holds is there until the last of them,
//! since a value is one piece of memory, however much of it has left.

use bytes::Bytes;
use modb_net::resp::{Encoder, Protocol};

use super::packed::Packing;
use super::reply::Reply;

/// A value of so many bytes is not copied to be written: there is room for it once.
const SHARED_BYTES: usize = if cfg!(test) { 1000 } else { 64 << 10 };

/// What of a reply has not been written yet.
#[derive(Debug)]
pub struct Feed(Form);

#[derive(Debug)]
enum Form {
    /// As it leaves: all parts, and how much of which comes next.
    Written { parts: Vec<Bytes>, part: usize, at: usize },
    /// Written when it leaves.
    Packed(Packing, Protocol),
}

impl Form {
    fn written(parts: Vec<Bytes>) -> Self {
        Self::Written { parts, part: 0, at: 0 }
    }
}

impl Feed {
    /// A reply that is written from now on.
    pub fn new(reply: Reply, protocol: Protocol) -> Self {
        Self(match reply {
            Reply::Packed(packed) => Form::Packed(Packing::new(packed), protocol),
            reply => Form::written(parts(reply, protocol)),
        })
    }

    /// Appends a piece of some `bytes` to `out`. Whether there is more.
    pub fn write(&mut self, out: &mut Encoder<'_>, bytes: usize) -> bool {
        match &mut self.0 {
            Form::Written { parts, part, at } => {
                let mut left = bytes;
                while left > 0
                    && let Some(rest) = parts.get(*part).map(|part| &part[*at..])
                {
                    let piece = &rest[..left.min(rest.len())];
                    out.raw(piece);
                    left -= piece.len();
                    (*part, *at) =
                        if piece.len() < rest.len() { (*part, *at + piece.len()) } else { (*part + 1, 0) };
                }
                *part < parts.len()
            }
            Form::Packed(packing, protocol) => {
                out.speak(*protocol);
                packing.write(out, bytes)
            }
        }
    }

    /// Memory that it holds, in bytes.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Form::Written { parts, .. } => parts.iter().map(Bytes::len).sum(),
            Form::Packed(packing, _) => packing.bytes(),
        }
    }
}

/// A reply as it leaves: what is written of it, and in between the values that it shares.
fn parts(reply: Reply, protocol: Protocol) -> Vec<Bytes> {
    let (mut written, mut shared) =
        (Vec::with_capacity(reply.bytes().saturating_sub(shared_bytes(&reply))), Vec::new());
    write(reply, protocol, &mut written, &mut shared);
    let (written, mut from) = (Bytes::from(written), 0);
    let mut parts = Vec::with_capacity(2 * shared.len() + 1);
    for (at, value) in shared {
        parts.extend([written.slice(from..at), value]);
        from = at;
    }
    parts.push(written.slice(from..));
    parts
}

/// Appends a reply to `out`, but for the values that it shares: for each of those, where in `out` it belongs.
fn write(reply: Reply, protocol: Protocol, out: &mut Vec<u8>, shared: &mut Vec<(usize, Bytes)>) {
    match reply {
        Reply::Bulk(value) if value.len() >= SHARED_BYTES => {
            out.extend_from_slice(format!("${}\r\n", value.len()).as_bytes());
            shared.push((out.len(), value));
            out.extend_from_slice(b"\r\n");
        }
        Reply::Array(items) => {
            Encoder::new(&mut *out, protocol).array(items.len());
            items.into_iter().for_each(|item| write(item, protocol, out, shared));
        }
        reply => reply.encode(&mut Encoder::new(out, protocol)),
    }
}

fn shared_bytes(reply: &Reply) -> usize {
    match reply {
        Reply::Bulk(value) if value.len() >= SHARED_BYTES => value.len(),
        Reply::Array(items) => items.iter().map(shared_bytes).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::language::packed::{Packed, Shape};

    #[test]
    fn what_it_holds_is_whole_until_the_last_piece() {
        let mut feed = Feed::new(Reply::Bulk(Bytes::from(vec![b'v'; 5000])), Protocol::Resp2);
        let (whole, mut out) = (feed.bytes(), Vec::new());
        assert!(whole >= 5000);
        while feed.write(&mut Encoder::new(&mut out, Protocol::Resp2), 1000) {
            assert_eq!(feed.bytes(), whole, "{} bytes have left", out.len());
        }
    }

    #[test]
    fn a_large_value_is_not_copied() {
        let value = Bytes::from(vec![b'v'; SHARED_BYTES]);
        let values = || Reply::Array(vec![Reply::Null, Reply::Bulk(value.clone())]);
        for reply in [Reply::Bulk(value.clone()), values(), Reply::Array(vec![values(), Reply::Ok])] {
            let feed = Feed::new(reply, Protocol::Resp2);
            let Form::Written { parts, .. } = &feed.0 else { panic!("it is written") };
            assert!(parts.iter().any(|part| part.as_ptr() == value.as_ptr()), "{parts:?}");
        }
    }

    #[test]
    fn a_reply_in_pieces_is_the_reply() {
        let packed = |shape| {
            let mut packed = Packed::new(shape);
            (0..200_u32).for_each(|n| assert!(packed.push("x".repeat(n as usize % 70).as_bytes())));
            Reply::Packed(packed)
        };
        let large = || Reply::Bulk(Bytes::from(vec![b'v'; 5000]));
        let replies = [
            large(),
            Reply::Bulk(Bytes::new()),
            Reply::Array(vec![Reply::Int(1), Reply::Null, Reply::text("two")]),
            Reply::Array(vec![
                large(),
                Reply::Null,
                Reply::Array(vec![Reply::Int(1), large(), large()]),
                large(),
            ]),
            Reply::Array(vec![Reply::Spoken(Protocol::Resp2, Box::new(Reply::Null)), large(), Reply::Null]),
            packed(Shape::Array),
            packed(Shape::Set),
            packed(Shape::Map),
            packed(Shape::Pairs),
            Reply::Packed(Packed::new(Shape::Map)),
        ];
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            for reply in &replies {
                let mut whole = Vec::new();
                reply.encode(&mut Encoder::new(&mut whole, protocol));
                for piece in [1, 7, 100, 1 << 20] {
                    let (mut feed, mut out) = (Feed::new(reply.clone(), protocol), Vec::new());
                    while feed.write(&mut Encoder::new(&mut out, protocol), piece) {}
                    assert_eq!(out, whole, "{piece} {protocol:?} {reply:?}");
                }
            }
        }
    }
}
