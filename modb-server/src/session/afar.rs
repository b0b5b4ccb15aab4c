//! The network as a command sees it that a thread executes, away from the worker of its client: it reaches all workers, and none from
//! within.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use modb_net::{AcceptorStats, CloseReason, WorkerStats, Workers};

use super::{Message, kill, resume_all};
use crate::command::{ClientInfo, Heard, Network};
use crate::config::Settings;
use crate::limits;
use crate::messages::Scope;

/// All workers, and what is left to that of the client.
pub(super) struct Afar {
    workers: Arc<dyn Workers<Message>>,
    heard: RefCell<Vec<Heard>>,
}

impl Afar {
    pub(super) fn new(workers: &Arc<dyn Workers<Message>>) -> Self {
        Self { workers: Arc::clone(workers), heard: RefCell::default() }
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

    fn resume(&self) {
        resume_all(&*self.workers);
    }

    fn shutdown(&self) {
        self.workers.shutdown();
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
