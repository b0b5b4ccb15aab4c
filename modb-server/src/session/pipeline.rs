//! What has come behind the request that is executed: whether it goes on with the same key, so that requests may be executed together
//! (`command/streak.rs`), and these requests.
//!
//! Invariants: what follows is looked at only where it has come whole, so that it is decoded once; what was not executed
//! stays unread.

use modb_net::resp::{Args, Decoded, Limits, RequestDecoder, glance};

use crate::command::{self, Followers, Instance, RanTogether, Resolved, Stopwatch};

/// What was served of a connection's input at one time.
pub(super) struct Served {
    /// Measures each request.
    pub(super) watch: Stopwatch,
    /// What those take of the input that were executed with the last request, in bytes.
    pub(super) followers_bytes: usize,
    /// Requests are executed one by one from here on: the last did not go together with what follows it.
    pub(super) each_alone: bool,
}

impl Served {
    /// Nothing was, yet.
    pub(super) fn nothing() -> Self {
        Self { watch: Stopwatch::start(), followers_bytes: 0, each_alone: false }
    }
}

/// Space that is used again for the followers of every request.
#[derive(Default)]
pub(super) struct Space {
    pub(super) decoder: RequestDecoder,
    pub(super) ran: Vec<RanTogether>,
}

/// Whether a request of so many bytes at the start of the input, no line of text, is followed by one on the same key, all of which is there.
/// Mostly both begin alike, and then the ends of their keys tell.
#[inline(always)]
pub(super) fn goes_on_with(input: &[u8], bytes: usize, key: &[u8]) -> bool {
    let behind = &input[bytes..];
    let at = (key.as_ptr() as usize).wrapping_sub(input.as_ptr() as usize);
    let is_another = ends_alike(input, behind, at) == Some(true)
        && ends_alike(input, behind, at.wrapping_add(key.len())) == Some(false);
    !is_another && is_about(behind, key)
}

/// Whether both are the same in front of a place, as far as is compared without a call.
#[inline(always)]
fn ends_alike(a: &[u8], b: &[u8], end: usize) -> Option<bool> {
    const COMPARED_BYTES: usize = 8;
    let last = |bytes: &[u8]| {
        bytes
            .get(end.wrapping_sub(COMPARED_BYTES)..)?
            .first_chunk()
            .map(|last: &[u8; COMPARED_BYTES]| u64::from_ne_bytes(*last))
    };
    Some(last(a)? == last(b)?)
}

/// Whether the input begins with a request on that key, all of which is there.
#[inline(never)]
fn is_about(input: &[u8], key: &[u8]) -> bool {
    glance(input).is_some_and(|next| next.second_word == Some(key))
}

/// The requests behind another one.
pub(super) struct Behind<'b> {
    pub(super) decoder: &'b mut RequestDecoder,
    /// What was not executed.
    pub(super) input: &'b [u8],
    pub(super) key: &'b [u8],
    pub(super) limits: Limits,
    /// What was, in bytes.
    pub(super) bytes: usize,
    /// It was asked whether one follows: until then more of them would have been too much.
    pub(super) is_asked: bool,
}

impl Followers for Behind<'_> {
    fn next(&mut self, instance: &Instance) -> Option<(Resolved, Args<'_>)> {
        self.is_asked = true;
        if !is_about(self.input, self.key) {
            return None;
        }
        let Ok(Decoded::Request { consumed }) = self.decoder.decode(self.input, &self.limits) else {
            // It is found once more when its turn has come.
            *self.decoder = RequestDecoder::new();
            return None;
        };
        let (request, input) = self.input.split_at(consumed);
        let args = self.decoder.args(request);
        let resolved = command::follower(args, consumed, instance)?;
        self.bytes += consumed;
        self.input = input;
        Some((resolved, args))
    }
}

#[cfg(test)]
mod tests {
    use modb_net::resp::encode_request;

    use super::*;

    #[test]
    fn a_request_goes_on_with_the_next_one_on_its_key_whatever_its_command_and_only_if_that_is_all_there() {
        let requests: [&[&str]; 8] = [
            &["SET", "key:1", "v"],
            &["SET", "key:2", "v"],
            &["INCR", "key:1"],
            &["LPUSH", "key:1", "a", "b"],
            &["SET", "", "v"],
            &["SET", "a key that is much longer than the others", "v"],
            &["PING"],
            &["SET", "xey:1", "v"],
        ];
        for one in requests.iter().filter(|one| one.len() > 1) {
            for next in requests {
                let mut input = Vec::new();
                encode_request(&mut input, *one);
                let bytes = input.len();
                encode_request(&mut input, next);
                let at =
                    format!("*{}\r\n${}\r\n{}\r\n${}\r\n", one.len(), one[0].len(), one[0], one[1].len())
                        .len();
                let key = &input[at..at + one[1].len()];
                assert_eq!(key, one[1].as_bytes());
                let expected = next.get(1) == Some(&one[1]);
                assert_eq!(goes_on_with(&input, bytes, key), expected, "{one:?} {next:?}");
                assert!(!goes_on_with(&input[..input.len() - 1], bytes, key), "it is cut short");
                assert!(!goes_on_with(&input[..bytes], bytes, key));
            }
        }
    }
}
