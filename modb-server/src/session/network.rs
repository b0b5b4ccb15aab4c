//! The other connections and workers, as a command sees them while it runs.
//!
//! Invariant: nothing here waits for another worker; what has to is handed out as a closure for a thread ([`Network::place`]).

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use modb_net::{AcceptorStats, Address, CloseReason, Token, Turn, WorkerStats, Workers};

use super::listeners::Listeners;
use super::{Message, Worker};
use crate::command::{ClientInfo, Network};
use crate::config::Settings;
use crate::limits;
use crate::messages::{Ear, Scope};

/// See the top of this file.
pub(super) struct Net<'t, 'w> {
    pub(super) turn: &'t Turn<'w, Worker>,
    pub(super) listeners: &'t RefCell<Listeners>,
    pub(super) workers: &'t Arc<dyn Workers<Message>>,
    pub(super) token: Token,
}

impl Network for Net<'_, '_> {
    fn kill(&self, client: &ClientInfo) -> bool {
        kill(self.turn.workers, client)
    }

    fn can_listen(&self) -> bool {
        true
    }

    fn listen(&self, scope: Scope, name: &[u8]) -> Bytes {
        self.listeners.borrow_mut().add(scope, name, self.token)
    }

    fn leave(&self, scope: Scope, name: &[u8]) {
        self.listeners.borrow_mut().remove(scope, name, self.token);
    }

    fn ear(&self, client: &ClientInfo) -> Option<Arc<Ear>> {
        Some(client.place(self.listeners.borrow().inbox(), self.token))
    }

    fn place(&self, other: &ClientInfo) -> Box<dyn FnOnce() + Send> {
        place(self.workers, other)
    }

    fn resume(&self) {
        resume_all(self.turn.workers);
    }

    fn shutdown(&self) {
        self.turn.workers.shutdown();
    }

    fn is_ending(&self) -> bool {
        self.turn.workers.is_ending()
    }

    fn apply(&self, settings: &Settings) {
        limits::apply(settings, self.turn.workers);
    }

    fn acceptor(&self) -> AcceptorStats {
        self.turn.workers.acceptor_stats()
    }

    fn closed(&self, reason: CloseReason) -> u64 {
        self.turn.workers.closed(reason)
    }

    fn memory_bytes(&self) -> usize {
        self.turn.workers.memory_bytes()
    }

    fn workers(&self) -> Vec<WorkerStats> {
        (0..self.turn.workers.count()).map(|worker| self.turn.workers.stats(worker)).collect()
    }
}

/// Has the connection of a client closed; `false` if its worker could not be told.
pub(super) fn kill(workers: &dyn Workers<Message>, client: &ClientInfo) -> bool {
    let Some(address) = client.connection() else { return false };
    let told = workers.post_to(address, Message::Kill, None).is_ok();
    if !told && !address.is_gone() {
        tracing::warn!(client = client.id, "could not be told to close: its worker's mailbox is full");
    }
    told
}

/// What has a client stay where it is, and sleeps until it does, or has gone.
pub(super) fn place(workers: &Arc<dyn Workers<Message>>, client: &ClientInfo) -> Box<dyn FnOnce() + Send> {
    /// How long its worker has, until it is looked whether the client is still there.
    const AGAIN: Duration = Duration::from_millis(10);
    let (workers, ear, address) = (Arc::clone(workers), client.ear(), client.connection().cloned());
    Box::new(move || {
        let is_gone = || address.as_ref().is_none_or(Address::is_gone);
        let mut is_sent = false;
        while !ear.has_place() {
            if is_gone() {
                ear.end();
            }
            if let Some(address) = address.as_ref().filter(|_| !is_sent) {
                // A mailbox that is full has room soon.
                is_sent = workers.post_to(address, Message::Place, None).is_ok();
            }
            ear.wait(AGAIN);
        }
    })
}

/// Lets paused connections go on, whosever they are.
pub(super) fn resume_all(workers: &dyn Workers<Message>) {
    for worker in 0..workers.count() {
        // A worker that cannot be told resumes by its timer.
        let _ = workers.post(worker, Message::Resume);
    }
}
