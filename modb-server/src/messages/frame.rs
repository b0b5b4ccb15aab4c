//! A message, and how it is written to those who get it. Pure.
//!
//! Invariant: what of a message is the same for all who get it, in either protocol and however they listen, is made once.

use std::sync::Arc;

use bytes::Bytes;
use modb_net::resp::{Encoder, Protocol};

use super::ear::Ear;

/// Where clients of RESP2 hear of keys that have changed.
const INVALIDATE: &[u8] = b"__redis__:invalidate";

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

/// One who is told something on its own.
#[derive(Clone, Debug)]
pub struct Recipient {
    /// Where it hears.
    pub ear: Arc<Ear>,
    /// It is told in the place of another.
    pub redirected: bool,
}

/// To whom a message goes.
#[derive(Clone, Copy, Debug)]
pub enum To<'f> {
    /// To all who listen to this.
    Listeners(Scope, &'f [u8]),
    /// To these.
    Each(&'f [Recipient]),
}

/// How a message comes to one.
#[derive(Clone, Debug)]
pub enum Through {
    /// It listens to where it was published, or monitors.
    Channel,
    /// It listens to all channels that match this.
    Pattern(Bytes),
    /// It is told on its own, or in the place of another.
    Ear {
        /// The latter.
        redirected: bool,
    },
}

/// A message to a channel, a line for those who monitor, or what some are told on their own.
#[derive(Debug)]
pub struct Frame {
    what: What,
    /// Channel and payload, as replies hold them; or the line, as a status; or the keys, as an array.
    written: Vec<u8>,
}

#[derive(Debug)]
enum What {
    Published {
        scope: Scope,
        /// Where the channel is, and the payload.
        channel: (usize, usize),
        payload: usize,
    },
    Line,
    Told(News, Vec<Recipient>),
}

/// What some are told on their own.
#[derive(Clone, Copy, Debug)]
enum News {
    /// These keys may have changed.
    Invalid,
    /// Any key may have changed.
    AllInvalid,
    /// The client has gone that was told in its place.
    Broken(u64),
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
        Self { what: What::Published { scope, channel: (end - channel.len(), end), payload }, written }
    }

    /// A line for those who monitor: text without an end.
    pub fn line(text: &[u8]) -> Self {
        Self { what: What::Line, written: [b"+", text, b"\r\n"].concat() }
    }

    /// These keys may have changed.
    pub fn invalid(keys: &[&[u8]], to: Vec<Recipient>) -> Self {
        let mut written = Vec::new();
        let mut encoder = Encoder::new(&mut written, Protocol::Resp2);
        encoder.array(keys.len());
        keys.iter().for_each(|key| encoder.bulk(key));
        Self { what: What::Told(News::Invalid, to), written }
    }

    /// Any key may have changed.
    pub fn all_invalid(to: Vec<Recipient>) -> Self {
        Self { what: What::Told(News::AllInvalid, to), written: Vec::new() }
    }

    /// The client `redirect`, which was told in its place, has gone.
    pub fn broken(redirect: u64, to: Recipient) -> Self {
        Self { what: What::Told(News::Broken(redirect), vec![to]), written: Vec::new() }
    }

    /// To whom it goes.
    pub fn to(&self) -> To<'_> {
        match &self.what {
            What::Published { scope, channel: (from, end), .. } => {
                To::Listeners(*scope, &self.written[*from..*end])
            }
            What::Line => To::Listeners(Scope::Commands, b""),
            What::Told(_, to) => To::Each(to),
        }
    }

    /// Where it was published, if it was.
    pub fn channel(&self) -> &[u8] {
        match self.to() {
            To::Listeners(_, channel) => channel,
            To::Each(_) => b"",
        }
    }

    /// What was published, or all that there is of it.
    pub fn payload(&self) -> &[u8] {
        match self.what {
            What::Published { payload, .. } => &self.written[payload..self.written.len() - 2],
            What::Line | What::Told(..) => &self.written,
        }
    }

    /// About how many bytes it takes, kept or written.
    pub fn bytes(&self) -> usize {
        self.written.len() + 32
    }

    /// Whether it is a line for those who monitor.
    pub fn is_line(&self) -> bool {
        matches!(self.what, What::Line)
    }

    /// Whether one hears of it to whom it comes `through` this. `listens`: to something that is published.
    pub fn is_heard(&self, protocol: Protocol, through: &Through, listens: bool) -> bool {
        match (&self.what, through) {
            (What::Told(News::Broken(_), _), _) => protocol == Protocol::Resp3,
            // In RESP2 it is told as a message.
            (_, Through::Ear { redirected }) => protocol == Protocol::Resp3 || *redirected && listens,
            (_, Through::Channel | Through::Pattern(_)) => true,
        }
    }

    /// Writes it to one who hears of it, and to whom it comes `through` this.
    pub fn encode(&self, out: &mut Encoder<'_>, through: &Through) {
        match (&self.what, through) {
            // A reply like any other, in either protocol.
            (What::Line, _) => {}
            (What::Told(News::Broken(redirect), _), _) => {
                out.push(2);
                out.bulk(b"tracking-redir-broken");
                out.integer(i64::try_from(*redirect).unwrap_or(i64::MAX));
            }
            (What::Told(news, _), _) => {
                if out.protocol() == Protocol::Resp3 {
                    out.push(2);
                    out.bulk(b"invalidate");
                } else {
                    out.push(3);
                    out.bulk(b"message");
                    out.bulk(INVALIDATE);
                }
                if matches!(news, News::AllInvalid) {
                    out.null();
                }
            }
            (What::Published { .. }, Through::Pattern(pattern)) => {
                out.push(4);
                out.bulk(b"pmessage");
                out.bulk(pattern);
            }
            (What::Published { scope, .. }, Through::Channel | Through::Ear { .. }) => {
                out.push(3);
                out.bulk(if *scope == Scope::Shard { b"smessage" } else { b"message" });
            }
        }
        out.raw(&self.written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(frame: &Frame, protocol: Protocol, through: &Through) -> String {
        let mut out = Vec::new();
        frame.encode(&mut Encoder::new(&mut out, protocol), through);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_forms_of_a_message() {
        let text = |scope, protocol, through: &Through| {
            let frame = Frame::new(scope, b"news", b"a\r\nb");
            assert_eq!((frame.channel(), frame.payload()), (&b"news"[..], &b"a\r\nb"[..]));
            let text = written(&frame, protocol, through);
            assert!(text.len() <= frame.bytes() + if matches!(through, Through::Pattern(_)) { 2 } else { 0 });
            text
        };
        let tail = "$4\r\nnews\r\n$4\r\na\r\nb\r\n";
        let direct = text(Scope::Channel, Protocol::Resp2, &Through::Channel);
        assert_eq!(direct, format!("*3\r\n$7\r\nmessage\r\n{tail}"));
        let shard = text(Scope::Shard, Protocol::Resp3, &Through::Channel);
        assert_eq!(shard, format!(">3\r\n$8\r\nsmessage\r\n{tail}"));
        let by_pattern = text(Scope::Channel, Protocol::Resp3, &Through::Pattern("n*".into()));
        assert_eq!(by_pattern, format!(">4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n{tail}"));
    }

    #[test]
    fn an_empty_message_is_one() {
        let frame = Frame::new(Scope::Channel, b"", b"");
        assert_eq!((frame.channel(), frame.payload()), (&b""[..], &b""[..]));
    }

    #[test]
    fn a_line_is_a_status_in_either_protocol() {
        let frame = Frame::line(b"1.5 [0 x] \"GET\"");
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            assert_eq!(written(&frame, protocol, &Through::Channel), "+1.5 [0 x] \"GET\"\r\n");
        }
    }

    #[test]
    fn what_has_changed_is_a_push_or_for_who_listens_in_the_place_of_another_a_message() {
        let to = Recipient { ear: Arc::default(), redirected: false };
        let keys = Frame::invalid(&[b"a", b"bc"], vec![to.clone()]);
        let (own, other) = (Through::Ear { redirected: false }, Through::Ear { redirected: true });
        let names = "*2\r\n$1\r\na\r\n$2\r\nbc\r\n";
        assert_eq!(written(&keys, Protocol::Resp3, &own), format!(">2\r\n$10\r\ninvalidate\r\n{names}"));
        let message = "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n";
        assert_eq!(written(&keys, Protocol::Resp2, &other), format!("{message}{names}"));
        let all = Frame::all_invalid(vec![to.clone()]);
        assert_eq!(written(&all, Protocol::Resp3, &other), ">2\r\n$10\r\ninvalidate\r\n_\r\n");
        assert_eq!(written(&all, Protocol::Resp2, &other), format!("{message}$-1\r\n"));
        let broken = Frame::broken(7, to);
        assert_eq!(written(&broken, Protocol::Resp3, &own), ">2\r\n$21\r\ntracking-redir-broken\r\n:7\r\n");
        for (frame, protocol, through, listens, heard) in [
            (&keys, Protocol::Resp3, &own, false, true),
            (&keys, Protocol::Resp2, &own, true, false),
            (&keys, Protocol::Resp2, &other, true, true),
            (&all, Protocol::Resp2, &other, false, false),
            (&broken, Protocol::Resp2, &own, true, false),
            (&broken, Protocol::Resp3, &own, false, true),
        ] {
            assert_eq!(
                frame.is_heard(protocol, through, listens),
                heard,
                "{frame:?} {protocol:?} {through:?}"
            );
        }
    }
}
