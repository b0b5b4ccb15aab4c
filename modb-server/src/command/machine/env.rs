//! What a command is executed with: who has it executed, and what he serves.

use super::calls::Calls;
use super::instance::{Instance, Network};
use crate::data::{Parker, Tally, Wake};

/// Who has a command executed.
pub trait Host {
    /// Whether there is room for a reply of so many bytes; asked before anything is committed, for large ones.
    fn has_room(&self, bytes: usize) -> bool;

    /// How many bytes of large values the command may hold before it has asked for room for its reply: those that it reads from the disk,
    /// and those that it answers with.
    fn room_bytes(&self) -> usize {
        usize::MAX
    }

    /// Makes what wakes him, if the command has to wait.
    fn waker(&self) -> Box<dyn Wake>;

    /// Where what `EXEC` executes is counted, if he counts.
    fn calls(&self) -> Option<&Calls> {
        None
    }
}

/// A thread that may sleep.
impl Host for Parker {
    fn has_room(&self, _: usize) -> bool {
        true
    }

    fn waker(&self) -> Box<dyn Wake> {
        Self::waker(self)
    }
}

/// What a command is executed with, besides its arguments and the client.
#[derive(Clone, Copy)]
pub struct Env<'e> {
    /// What all clients share.
    pub instance: &'e Instance,
    /// The other connections.
    pub network: &'e dyn Network,
    /// The counts of this worker.
    pub tally: &'e Tally,
    /// The time, in milliseconds since 1970.
    pub now_ms: u64,
    /// Who has it executed.
    pub host: &'e dyn Host,
    /// He serves nobody else: he may work as long as it takes. Who may not is told ([`Begun::is_long`](super::begun::Begun::is_long)) what takes long. Both have asked
    /// for room before ([`wait_for_room`](crate::command::wait_for_room)).
    pub may_sleep: bool,
}
