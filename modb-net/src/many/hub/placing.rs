//! Which worker gets a connection, and how it gets there.
//!
//! Invariant: a connection that no worker has room for is given back, and whoever tried is told when one has.

use std::sync::atomic::Ordering::Relaxed;

use super::Hub;
use crate::connection::service::Service;
use crate::many::handoff::{Arrival, Handoff, Letter};

impl<S: Service> Hub<S> {
    /// Gives a new connection to a worker. `Err`: none has room (or all are ending); the acceptor is woken
    /// when one has.
    pub(crate) fn place(&self, arrival: Arrival<S::Message>) -> Result<(), Arrival<S::Message>> {
        if let Some(shared) = &self.shared {
            return shared.try_send_or_await(arrival).map_err(|refused| refused.into_inner());
        }
        match self.send_to_any(None, self.first_choice(), Letter::Arrived(arrival)) {
            Ok(()) => Ok(()),
            Err(Letter::Arrived(arrival)) => Err(arrival),
            Err(_) => unreachable!("what is refused is given back"),
        }
    }

    /// Gives a live connection of worker `from` to another one. `Err`: none has room; [`Hub::moves`] changes when one has.
    pub(crate) fn place_moved(&self, from: usize, letter: Letter<S>) -> Result<(), Letter<S>> {
        self.send_to_any(Some(from), self.least_loaded(Some(from)), letter)
    }

    /// Asked twice: only when all have refused is it time to wait for room in any.
    fn send_to_any(
        &self,
        except: Option<usize>,
        first: usize,
        mut letter: Letter<S>,
    ) -> Result<(), Letter<S>> {
        for await_room in [false, true] {
            for worker in self.in_turn_from(first).filter(|&worker| self.takes_part(worker, except)) {
                let sent =
                    self.desks[worker].mailbox.try_send(letter, await_room, |letter| letter.assign(worker));
                match sent {
                    Ok(()) => return Ok(()),
                    Err(refused) => letter = refused.into_inner(),
                }
            }
        }
        Err(letter)
    }

    fn takes_part(&self, worker: usize, except: Option<usize>) -> bool {
        Some(worker) != except && !self.is_draining(worker)
    }

    /// Whether a worker other than `from` takes connections.
    pub(crate) fn has_another(&self, from: usize) -> bool {
        (0..self.desks.len()).any(|worker| self.takes_part(worker, Some(from)))
    }

    fn first_choice(&self) -> usize {
        match self.handoff {
            Handoff::LeastConnections => self.least_loaded(None),
            Handoff::RoundRobin | Handoff::Shared => self.next.fetch_add(1, Relaxed) % self.desks.len(),
        }
    }

    /// The worker with the fewest connections; among equals, the next in turn.
    fn least_loaded(&self, except: Option<usize>) -> usize {
        let first = self.next.fetch_add(1, Relaxed) % self.desks.len();
        self.in_turn_from(first)
            .filter(|&worker| self.takes_part(worker, except))
            .min_by_key(|&worker| self.admission.load(worker))
            .unwrap_or(first)
    }

    fn in_turn_from(&self, first: usize) -> impl Iterator<Item = usize> + use<S> {
        let count = self.desks.len();
        (0..count).map(move |i| (first + i) % count)
    }
}
