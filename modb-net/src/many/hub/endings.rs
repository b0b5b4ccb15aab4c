//! What workers are told beside their mail, and who is told it when a worker has ended.
//!
//! Invariant: a message, or the purpose of a connection, that was taken in reaches a service, as long as one is left.

use std::sync::atomic::Ordering::Release;

use super::Hub;
use crate::connection::seat::Address;
use crate::connection::service::Service;
use crate::many::handoff::aside::Thing;
use crate::many::handoff::{Arrival, Letter, Way};

impl<S: Service> Hub<S> {
    /// Passes on a resume for a connection that is at `worker` now.
    pub(crate) fn pass_on(&self, worker: usize, address: Address) {
        // One that has ended has no connection to resume.
        let _ = self.put_aside(worker, Thing::Resumed(address));
    }

    /// A message to a connection cannot be delivered: its sender gets it back, or `here` if nobody here sent it.
    pub(crate) fn give_back(&self, message: S::Message, from: Option<usize>, here: usize) {
        let sender = from.filter(|&from| from < self.desks.len());
        self.put_aside_somewhere(sender.unwrap_or(here), here, Thing::CameBack(message));
    }

    /// `Err`: the worker has ended.
    fn put_aside(&self, worker: usize, thing: Thing<S::Message>) -> Result<(), Thing<S::Message>> {
        let desk = &self.desks[worker];
        desk.aside.put(thing)?;
        desk.mailbox.wake();
        Ok(())
    }

    /// For worker `first` if that is still there, else for `second`, else for any.
    fn put_aside_somewhere(&self, first: usize, second: usize, mut thing: Thing<S::Message>) {
        for worker in [first, second].into_iter().chain(0..self.desks.len()) {
            match self.put_aside(worker, thing) {
                Ok(()) => return,
                Err(back) => thing = back,
            }
        }
        // All have ended: nobody is left who could be told.
    }

    /// Whether something was put aside for `worker`.
    pub(crate) fn has_aside(&self, worker: usize) -> bool {
        self.desks[worker].aside.any()
    }

    /// What was put aside for `worker`.
    pub(crate) fn take_aside(&self, worker: usize) -> Vec<Thing<S::Message>> {
        self.desks[worker].aside.take()
    }

    /// The last that was put aside for `worker`, which ends: from now on others are given what it would have been.
    pub(crate) fn close_aside(&self, worker: usize) -> Vec<Thing<S::Message>> {
        self.desks[worker].aside.close()
    }

    /// A worker has ended, and with it the server: closes what waits for it. If it could not end as it should, others are
    /// told what it was to be told.
    pub(crate) fn end_worker(&self, worker: usize) {
        self.moves.fetch_add(1, Release);
        let things = self.close_aside(worker);
        let shared = self.shared.iter().flat_map(|shared| shared.close()).map(Letter::Arrived);
        self.leave_to_others(worker, self.desks[worker].mailbox.close().into_iter().chain(shared));
        self.desks[worker].lane.close();
        for mail in self.desks[worker].mail.close() {
            self.give_back(mail.message, None, worker);
        }
        for thing in things {
            self.put_aside_somewhere(worker, worker, thing);
        }
    }

    /// What `worker` did not take of its mail, since it ended: whoever sent it is told.
    pub(crate) fn leave_to_others(&self, worker: usize, letters: impl IntoIterator<Item = Letter<S>>) {
        for letter in letters {
            match letter {
                Letter::Message(message) => self.give_back(message, None, worker),
                Letter::MessageTo { message, from, .. } => self.give_back(message, from, worker),
                Letter::Arrived(Arrival { way: Way::Adopted { purpose, .. }, .. }) => {
                    self.give_back(purpose, None, worker);
                }
                Letter::Arrived(Arrival { way: Way::Opens { remote, purpose, .. }, .. }) => {
                    self.put_aside_somewhere(worker, worker, Thing::NotOpened { remote, purpose });
                }
                // Their seats count them as gone.
                Letter::Arrived(Arrival { way: Way::Accepted(_), .. }) | Letter::Moved(_) => {}
                Letter::MoveAway { .. } => {}
            }
        }
    }
}
