//! A message, and how it is written to those who listen. Pure.
//!
//! Invariant: what of a message is the same for all who get it, in either protocol and however they listen, is made once.

use modb_net::resp::{Encoder, Protocol};

/// What one listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A channel.
    Channel,
    /// All channels that match a pattern.
    Pattern,
    /// A shard channel.
    Shard,
    /// What everybody does: what `MONITOR` shows.
    Commands,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Channel, Self::Pattern, Self::Shard, Self::Commands];

    /// Those of messages that are published.
    pub const PUBLISHED: [Self; 3] = [Self::Channel, Self::Pattern, Self::Shard];
}

/// A message to a channel, or a line for those who monitor.
#[derive(Debug)]
pub struct Frame {
    scope: Scope,
    /// Channel and payload, as replies hold them; or the line, as a status.
    written: Vec<u8>,
    /// Where the channel is in it, and the payload.
    channel: (usize, usize),
    payload: usize,
}

impl Frame {
    /// A message to a channel, or a shard channel.
    pub fn new(scope: Scope, channel: &[u8], payload: &[u8]) -> Self {
        // Two heads of at most 13 bytes, two ends of 2.
        let mut written = Vec::with_capacity(channel.len() + payload.len() + 32);
        let mut encoder = Encoder::new(&mut written, Protocol::Resp2);
        encoder.bulk(channel);
        let end = encoder.len() - 2;
        encoder.bulk(payload);
        let payload = encoder.len() - 2 - payload.len();
        Self { scope, channel: (end - channel.len(), end), payload, written }
    }

    /// A line for those who monitor: text without an end.
    pub fn line(text: &[u8]) -> Self {
        let written = [b"+", text, b"\r\n"].concat();
        Self { scope: Scope::Commands, channel: (0, 0), payload: 1, written }
    }

    /// The kind of channel.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Where it was published; a line nowhere.
    pub fn channel(&self) -> &[u8] {
        &self.written[self.channel.0..self.channel.1]
    }

    /// What was published.
    pub fn payload(&self) -> &[u8] {
        &self.written[self.payload..self.written.len() - 2]
    }

    /// About how many bytes it takes, kept or written.
    pub fn bytes(&self) -> usize {
        self.written.len() + 32
    }

    /// Writes it to one who listens through `pattern`, or to its channel.
    pub fn encode(&self, out: &mut Encoder<'_>, pattern: Option<&[u8]>) {
        match (self.scope, pattern) {
            // A reply like any other, in either protocol.
            (Scope::Commands, _) => {}
            (_, Some(pattern)) => {
                out.push(4);
                out.bulk(b"pmessage");
                out.bulk(pattern);
            }
            (scope, None) => {
                out.push(3);
                out.bulk(if scope == Scope::Shard { b"smessage" } else { b"message" });
            }
        }
        out.raw(&self.written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_a_message() {
        let text = |scope, protocol, pattern: Option<&[u8]>| {
            let frame = Frame::new(scope, b"news", b"a\r\nb");
            assert_eq!((frame.channel(), frame.payload()), (&b"news"[..], &b"a\r\nb"[..]));
            let mut out = Vec::new();
            frame.encode(&mut Encoder::new(&mut out, protocol), pattern);
            assert!(out.len() <= frame.bytes() + pattern.map_or(0, <[u8]>::len));
            String::from_utf8(out).unwrap()
        };
        let tail = "$4\r\nnews\r\n$4\r\na\r\nb\r\n";
        assert_eq!(text(Scope::Channel, Protocol::Resp2, None), format!("*3\r\n$7\r\nmessage\r\n{tail}"));
        assert_eq!(text(Scope::Shard, Protocol::Resp3, None), format!(">3\r\n$8\r\nsmessage\r\n{tail}"));
        let by_pattern = text(Scope::Channel, Protocol::Resp3, Some(b"n*"));
        assert_eq!(by_pattern, format!(">4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n{tail}"));
    }

    #[test]
    fn a_line_is_a_status_in_either_protocol() {
        let frame = Frame::line(b"1.5 [0 x] \"GET\"");
        assert_eq!((frame.channel(), frame.payload()), (&b""[..], &b"1.5 [0 x] \"GET\""[..]));
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let mut out = Vec::new();
            frame.encode(&mut Encoder::new(&mut out, protocol), None);
            assert_eq!(out, b"+1.5 [0 x] \"GET\"\r\n");
        }
    }

    #[test]
    fn an_empty_message_is_one() {
        let frame = Frame::new(Scope::Channel, b"", b"");
        assert_eq!((frame.channel(), frame.payload()), (&b""[..], &b""[..]));
    }
}
