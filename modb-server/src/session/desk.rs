//! Who has commands executed for a connection: room for replies is asked of its output, and what wakes him lets it go on.
//!
//! Invariant: nothing here waits; what is large has no room, so it is left to a thread.

use std::cell::RefCell;
use std::sync::Arc;

use modb_net::{Address, Handle, Out, Workers};

use super::Message;
use crate::command::{Calls, Host};
use crate::data::Wake;

/// A connection, as a command sees it that is executed for it.
pub(super) struct Desk<'d, 'o> {
    pub(super) out: RefCell<&'d mut Out<'o>>,
    pub(super) conn: &'d Handle<'d>,
    pub(super) workers: &'d Arc<dyn Workers<Message>>,
    pub(super) calls: &'d Calls,
}

impl Host for Desk<'_, '_> {
    fn has_room(&self, bytes: usize) -> bool {
        self.out.borrow_mut().reserve(bytes)
    }

    /// What is large is left to a thread, which has room for it.
    fn room_bytes(&self) -> usize {
        0
    }

    fn waker(&self) -> Box<dyn Wake> {
        Box::new(Resume { workers: Arc::clone(self.workers), connection: self.conn.address() })
    }

    fn calls(&self) -> Option<&Calls> {
        Some(self.calls)
    }
}

/// Lets a parked connection go on.
#[derive(Clone)]
pub(super) struct Resume {
    pub(super) workers: Arc<dyn Workers<Message>>,
    pub(super) connection: Address,
}

impl Wake for Resume {
    fn wake(&self) {
        self.workers.resume(&self.connection);
    }
}
