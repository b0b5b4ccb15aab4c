//! One queue for all workers and one socket pair, of which every worker polls a share of the reading end
//! (the design of MySQL Proxy). Selectable so that it can be measured beside the mailboxes.
//!
//! The acceptor puts a connection into the queue and writes one byte; all sleeping workers wake, each
//! tries to read one byte, and whoever got one takes one connection. It costs a wake-up of every worker
//! per connection, which is why it is not the default.
//! Invariant: there are at least as many connections in the queue as bytes in the pair.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;

use socket2::Socket;

use super::Arrival;
use super::queue::{Queue, Refused};
use crate::system::socketpair::{self, PairError};

#[derive(Debug)]
pub(crate) struct SharedQueue<M> {
    queue: Queue<Arrival<M>>,
    sender: Socket,
    receiver: Arc<Socket>,
}

impl<M> SharedQueue<M> {
    pub(crate) fn new(capacity: usize) -> Result<Self, PairError> {
        let (receiver, sender) = socketpair::pair()?;
        Ok(Self { queue: Queue::new(capacity), sender, receiver: Arc::new(receiver) })
    }

    /// A share of the reading end, for one worker's poller.
    pub(crate) fn source(&self) -> io::Result<Arc<Socket>> {
        Ok(Arc::new(self.receiver.try_clone()?))
    }

    /// Puts a connection in and wakes the workers. Full also means that the pair takes no more bytes.
    pub(crate) fn try_send_or_await(&self, arrival: Arrival<M>) -> Result<(), Refused<Arrival<M>>> {
        let mut state = self.queue.lock();
        state.push(arrival, true, |_| ())?;
        // Written under the lock: whoever reads the byte finds the connection, and if it cannot be
        // written, the last one is still this one.
        if write_byte(&self.sender).is_err()
            && let Some(arrival) = state.unpush()
        {
            state.await_room();
            return Err(Refused::Full(arrival));
        }
        Ok(())
    }

    /// Takes one connection, if this worker is the one to get it; and whether the acceptor waits for room.
    pub(crate) fn take(&self) -> (Option<Arrival<M>>, bool) {
        if !read_byte(&self.receiver) {
            return (None, false);
        }
        self.queue.lock().pop()
    }

    /// Refuses everything from now on, and gives back what is left.
    pub(crate) fn close(&self) -> VecDeque<Arrival<M>> {
        self.queue.lock().close()
    }
}

fn write_byte(mut socket: &Socket) -> io::Result<()> {
    loop {
        match socket.write(&[1]) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn read_byte(mut socket: &Socket) -> bool {
    let mut byte = [0];
    loop {
        match socket.read(&mut byte) {
            Ok(n) => return n == 1,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}
