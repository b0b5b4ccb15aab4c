//! The network as a command sees it that a thread executes, away from the worker of its client: it reaches all workers, and none from
//! within.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use modb_net::{AcceptorStats, CloseReason, Token, WorkerStats, Workers};

use super::Message;
use super::network::{kill, place, resume_all};
use crate::command::{ClientInfo, Heard, Network};
use crate::config::Settings;
use crate::limits;
use crate::messages::{Ear, Scope};

/// All workers, and what is left to that of the client.
pub(super) struct Afar {
    workers: Arc<dyn Workers<Message>>,
    /// The inbox of its worker, and its name there.
    stand: (u64, Token),
    heard: RefCell<Vec<Heard>>,
}

impl Afar {
    pub(super) fn new(workers: &Arc<dyn Workers<Message>>, stand: (u64, Token)) -> Self {
        Self { workers: Arc::clone(workers), stand, heard: RefCell::default() }
    }

    /// What the client has said that it listens to.
    pub(super) fn into_heard(self) -> Vec<Heard> {
        self.heard.into_inner()
    }
}

impl Network for Afar {
    fn kill(&self, client: &ClientInfo) -> bool {
        kill(&*self.workers, client)
    }

    fn can_listen(&self) -> bool {
        true
    }

    fn listen(&self, scope: Scope, name: &[u8]) -> Bytes {
        let name = Bytes::copy_from_slice(name);
        self.heard.borrow_mut().push(Heard { scope, name: name.clone(), listens: true });
        name
    }

    fn leave(&self, scope: Scope, name: &[u8]) {
        let name = Bytes::copy_from_slice(name);
        self.heard.borrow_mut().push(Heard { scope, name, listens: false });
    }

    fn ear(&self, client: &ClientInfo) -> Option<Arc<Ear>> {
        let (inbox, token) = self.stand;
        Some(client.place(inbox, token))
    }

    fn place(&self, other: &ClientInfo) -> Box<dyn FnOnce() + Send> {
        place(&self.workers, other)
    }

    fn resume(&self) {
        resume_all(&*self.workers);
    }

    fn shutdown(&self) {
        self.workers.shutdown();
    }

    fn is_ending(&self) -> bool {
        self.workers.is_ending()
    }

    fn apply(&self, settings: &Settings) {
        limits::apply(settings, &*self.workers);
    }

    fn acceptor(&self) -> AcceptorStats {
        self.workers.acceptor_stats()
    }

    fn closed(&self, reason: CloseReason) -> u64 {
        self.workers.closed(reason)
    }

    fn memory_bytes(&self) -> usize {
        self.workers.memory_bytes()
    }

    fn workers(&self) -> Vec<WorkerStats> {
        (0..self.workers.count()).map(|worker| self.workers.stats(worker)).collect()
    }
}
