//! Many strings of a reply in one piece of memory: what a collection answers, however large it is. Pure.

use modb_net::resp::Encoder;

use crate::command::CommandError;
use crate::command::language::error::err;
use crate::command::language::reply::MAX_REPLY_BYTES;

/// Bytes before each string: its length.
const LENGTH_BYTES: usize = size_of::<u32>();

/// The error for that.
pub(crate) const TOO_LARGE: &str = "ERR the reply would be too large";

/// As what the strings are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// An array.
    Array,
    /// A set.
    Set,
    /// A map: keys, each with its value behind it.
    Map,
    /// An array of arrays of two.
    Pairs,
}

/// The strings.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed {
    shape: Shape,
    count: usize,
    /// Each as its length and its bytes.
    bytes: Vec<u8>,
}

impl Packed {
    /// No strings yet.
    pub(crate) fn new(shape: Shape) -> Self {
        Self { shape, count: 0, bytes: Vec::new() }
    }

    /// One more. `false`: the reply becomes too large, and no more are to follow.
    pub(crate) fn push(&mut self, string: &[u8]) -> bool {
        // No string is longer than a request.
        self.bytes.extend_from_slice(&(string.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(string);
        self.count += 1;
        self.fits()
    }

    /// Fails if so many strings more, of whatever length, would be too large: asked where their number is not that of the
    /// elements that there are.
    pub(crate) fn check_room(&self, strings: u64) -> Result<(), CommandError> {
        let more = usize::try_from(strings).unwrap_or(usize::MAX).saturating_mul(LENGTH_BYTES);
        if self.bytes.len().saturating_add(more) > MAX_REPLY_BYTES { err(TOO_LARGE) } else { Ok(()) }
    }

    fn fits(&self) -> bool {
        self.bytes.len() <= MAX_REPLY_BYTES
    }

    /// The whole, unless it became too large.
    pub(crate) fn reply(self) -> Result<crate::command::Reply, CommandError> {
        if !self.fits() {
            return err(TOO_LARGE);
        }
        Ok(crate::command::Reply::Packed(self))
    }

    /// About how many bytes it takes when it is written.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len() + self.count * LENGTH_BYTES
    }

    pub(crate) fn encode(&self, out: &mut Encoder<'_>) {
        match self.shape {
            Shape::Array => out.array(self.count),
            Shape::Set => out.set(self.count),
            Shape::Map => out.map(self.count / 2),
            Shape::Pairs => out.array(self.count / 2),
        }
        for (at, string) in self.strings().enumerate() {
            if self.shape == Shape::Pairs && at.is_multiple_of(2) {
                out.array(2);
            }
            out.bulk(string);
        }
    }

    fn strings(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            let (length, behind) = rest.split_first_chunk()?;
            let (string, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            rest = behind;
            Some(string)
        })
    }
}
