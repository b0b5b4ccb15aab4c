//! What a reply to a command waits for. Pure.

use modb_net::Seq;

/// What [`Tx::commit`](super::Tx::commit) answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The commit, or [`Seq::ZERO`] if nothing was written.
    pub written: Seq,
    /// The latest commit among those that wrote what was read.
    pub read: Seq,
}

impl Committed {
    /// The commit that a reply has to wait for.
    pub fn awaited(self, reads_wait: bool) -> Seq {
        if reads_wait { self.written.max(self.read) } else { self.written }
    }
}
