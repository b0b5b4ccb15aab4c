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

/// Whether the input goes on with a request on that key, all of which is there.
pub(super) fn goes_on_with(behind: &[u8], key: &[u8]) -> bool {
    glance(behind).is_some_and(|next| next.second_word == Some(key))
}

/// The requests behind another one.
pub(super) struct Behind<'b> {
    pub(super) decoder: &'b mut RequestDecoder,
    pub(super) instance: &'b Instance,
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
    fn next(&mut self) -> Option<(Resolved, Args<'_>)> {
        self.is_asked = true;
        if !goes_on_with(self.input, self.key) {
            return None;
        }
        let Ok(Decoded::Request { consumed }) = self.decoder.decode(self.input, &self.limits) else {
            // It is found once more when its turn has come.
            *self.decoder = RequestDecoder::new();
            return None;
        };
        let (request, input) = self.input.split_at(consumed);
        let args = self.decoder.args(request);
        let resolved = command::follower(args, consumed, self.instance)?;
        self.bytes += consumed;
        self.input = input;
        Some((resolved, args))
    }
}
