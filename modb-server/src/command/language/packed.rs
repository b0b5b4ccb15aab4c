//! Many strings of a reply in one piece of memory: what a collection answers, however large it is. Pure.

use modb_net::resp::Encoder;

use crate::command::CommandError;
use crate::command::language::error::err;
use crate::command::language::reply::MAX_REPLY_BYTES;
use crate::data::{DataError, ensure_memory};

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

/// Why no more strings are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    /// The reply became too large.
    TooLarge,
    /// The system has no memory for more.
    NoMemory,
}

/// The strings.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed {
    shape: Shape,
    count: usize,
    /// Each as its length and its bytes.
    bytes: Vec<u8>,
    full: Option<Full>,
}

impl Packed {
    /// No strings yet.
    pub(crate) fn new(shape: Shape) -> Self {
        Self { shape, count: 0, bytes: Vec::new(), full: None }
    }

    /// One more. `false`: there will be no reply, and no more are to follow.
    pub(crate) fn push(&mut self, string: &[u8]) -> bool {
        let more = LENGTH_BYTES + string.len();
        if self.full.is_none() && self.bytes.len() + more > self.bytes.capacity() {
            self.full = self.grow(more).err();
        }
        if self.full.is_some() {
            return false;
        }
        // No string is longer than a request.
        self.bytes.extend_from_slice(&(string.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(string);
        self.count += 1;
        true
    }

    /// Makes room for so many bytes more, and as many as there are.
    #[cold]
    fn grow(&mut self, more: usize) -> Result<(), Full> {
        let needed = self.bytes.len().saturating_add(more);
        if needed > MAX_REPLY_BYTES {
            return Err(Full::TooLarge);
        }
        let room = needed.saturating_mul(2).min(MAX_REPLY_BYTES);
        ensure_memory(room).map_err(|_| Full::NoMemory)?;
        self.bytes.try_reserve_exact(room - self.bytes.len()).map_err(|_| Full::NoMemory)
    }

    /// Fails if so many strings more, of whatever length, would be too large: asked where their number is not that of the
    /// elements that there are.
    pub(crate) fn check_room(&self, strings: u64) -> Result<(), CommandError> {
        let more = usize::try_from(strings).unwrap_or(usize::MAX).saturating_mul(LENGTH_BYTES);
        if self.bytes.len().saturating_add(more) > MAX_REPLY_BYTES { err(TOO_LARGE) } else { Ok(()) }
    }

    /// The whole, unless there was no room for it.
    pub(crate) fn reply(self) -> Result<crate::command::Reply, CommandError> {
        match self.full {
            None => Ok(crate::command::Reply::Packed(self)),
            Some(Full::TooLarge) => err(TOO_LARGE),
            Some(Full::NoMemory) => Err(DataError::NoMemory.into()),
        }
    }

    /// About how many bytes it takes when it is written.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len() + self.count * LENGTH_BYTES
    }

    pub(crate) fn encode(&self, out: &mut Encoder<'_>) {
        let (mut place, mut all) = (Place::default(), usize::MAX);
        while self.write(&mut place, out, &mut all) {}
    }

    /// Appends what comes next, at most `most` bytes of strings. Whether there is more.
    fn write(&self, place: &mut Place, out: &mut Encoder<'_>, most: &mut usize) -> bool {
        if place.at == 0 && place.strings == 0 {
            match self.shape {
                Shape::Array => out.array(self.count),
                Shape::Set => out.set(self.count),
                Shape::Map => out.map(self.count / 2),
                Shape::Pairs => out.array(self.count / 2),
            }
        }
        loop {
            let rest = &self.bytes[place.at..];
            if place.inside > 0 {
                // Of a string that is too long for one piece.
                let piece = &rest[..place.inside.min(*most)];
                out.raw(piece);
                (place.at, place.inside, *most) =
                    (place.at + piece.len(), place.inside - piece.len(), *most - piece.len());
                if place.inside > 0 {
                    return true;
                }
                out.raw(b"\r\n");
                continue;
            }
            let Some((length, rest)) = rest.split_first_chunk() else { return false };
            if *most == 0 {
                return true;
            }
            let length = u32::from_le_bytes(*length) as usize;
            if self.shape == Shape::Pairs && place.strings.is_multiple_of(2) {
                out.array(2);
            }
            (place.at, place.strings) = (place.at + LENGTH_BYTES, place.strings + 1);
            if length <= *most {
                out.bulk(&rest[..length]);
                place.at += length;
                // What is empty counts as well, so that each piece ends.
                *most -= length.max(1).min(*most);
            } else {
                out.raw(format!("${length}\r\n").as_bytes());
                place.inside = length;
            }
        }
    }
}

/// How much of the strings was written.
#[derive(Debug, Default)]
struct Place {
    /// The next byte.
    at: usize,
    strings: usize,
    /// What is left of the string that it is in.
    inside: usize,
}

/// Strings that are written piece by piece.
#[derive(Debug)]
pub(crate) struct Packing {
    packed: Packed,
    place: Place,
}

impl Packing {
    pub(crate) fn new(packed: Packed) -> Self {
        Self { packed, place: Place::default() }
    }

    /// Appends about so many bytes more. Whether there is more.
    pub(crate) fn write(&mut self, out: &mut Encoder<'_>, mut bytes: usize) -> bool {
        self.packed.write(&mut self.place, out, &mut bytes)
    }

    /// Memory that it holds, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.packed.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_no_room_for_is_an_error_and_not_the_end() {
        let mut strings = Packed::new(Shape::Array);
        assert_eq!(strings.grow(usize::MAX), Err(Full::TooLarge));
        let string = vec![b'x'; MAX_REPLY_BYTES / 4];
        assert!((0..3).all(|_| strings.push(&string)), "three and their lengths fit");
        assert!(!strings.push(&string) && !strings.push(b""), "and nothing behind what did not");
        assert!(strings.bytes.capacity() <= MAX_REPLY_BYTES);
        assert!(matches!(strings.reply(), Err(CommandError::Text(text)) if text == TOO_LARGE));
    }
}
