//! A large reply on its way out, piece by piece, so that writing it holds nobody up. Pure.
//!
//! Invariants: the pieces together are the reply, as it would be written at once; what it says that it holds is there until the last of them,
//! since a value is one piece of memory, however much of it has left.

use bytes::Bytes;
use modb_net::resp::{Encoder, Protocol};

use super::packed::Packing;
use super::reply::Reply;

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
            Reply::Bulk(bytes) => {
                let head = Bytes::from(format!("${}\r\n", bytes.len()));
                Form::written(vec![head, bytes, Bytes::from_static(b"\r\n")])
            }
            reply => {
                let mut written = Vec::with_capacity(reply.bytes());
                reply.encode(&mut Encoder::new(&mut written, protocol));
                Form::written(vec![written.into()])
            }
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
    fn a_reply_in_pieces_is_the_reply() {
        let packed = |shape| {
            let mut packed = Packed::new(shape);
            (0..200_u32).for_each(|n| assert!(packed.push("x".repeat(n as usize % 70).as_bytes())));
            Reply::Packed(packed)
        };
        let replies = [
            Reply::Bulk(Bytes::from(vec![b'v'; 5000])),
            Reply::Bulk(Bytes::new()),
            Reply::Array(vec![Reply::Int(1), Reply::Null, Reply::text("two")]),
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
