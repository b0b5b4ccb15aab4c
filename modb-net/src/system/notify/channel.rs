//! What carries a wake-up into the loop: a byte in a socket pair, or the count of an eventfd.
//!
//! Both are level: readable from the first write until emptied, and one that cannot take more is readable
//! already, so a full one is no error.
//!
//! Invariant: a socket is written to by one thread at a time. That is what makes `WouldBlock` mean "full": Wine
//! says it of an empty socket too, while another thread's send is on its way out of the system. That send may have
//! woken the loop long ago, and the loop may have taken its byte and fallen asleep again; to believe the refusal
//! then is to lose a wake-up.

use std::io;
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use socket2::Socket;

use crate::system::poll::{AsSource, Source};
use crate::system::sys::{self, BorrowedSource, EventFd};

/// Bytes taken from the socket at once. There is one per sleep; a few may have gathered.
const DRAIN_BYTES: usize = 64;

#[derive(Debug)]
pub(super) enum Receiver {
    Socket(Arc<Socket>),
    Event(Arc<EventFd>),
}

#[derive(Debug)]
pub(super) enum Sender {
    Socket {
        /// Locked for the one write, which does not block.
        sender: Mutex<Socket>,
        /// To end the stream from this side if the sender has failed. Weak: wakers do not keep it open.
        receiver: Weak<Socket>,
    },
    Event(Arc<EventFd>),
}

pub(super) fn of_pair(receiver: Socket, sender: Socket) -> (Receiver, Sender) {
    let receiver = Arc::new(receiver);
    let sender = Sender::Socket { sender: Mutex::new(sender), receiver: Arc::downgrade(&receiver) };
    (Receiver::Socket(receiver), sender)
}

/// # Errors
/// `Unsupported` where there is none, else what the system says.
pub(super) fn of_event() -> io::Result<(Receiver, Sender)> {
    let event = Arc::new(EventFd::new()?);
    Ok((Receiver::Event(event.clone()), Sender::Event(event)))
}

impl Receiver {
    pub(super) fn source(&self) -> Arc<dyn Source> {
        match self {
            Self::Socket(socket) => socket.clone(),
            Self::Event(event) => event.clone(),
        }
    }

    /// The same, borrowed.
    pub(super) fn as_source(&self) -> BorrowedSource<'_> {
        match self {
            Self::Socket(socket) => socket.source(),
            Self::Event(event) => event.source(),
        }
    }

    /// Whether a poller reports each write once, taken or not.
    pub(super) fn is_reported_once(&self) -> bool {
        sys::REPORTS_EACH_WRITE && matches!(self, Self::Event(_))
    }

    /// Takes what was written. May leave something if there is a lot: then it stays readable.
    ///
    /// # Errors
    /// `UnexpectedEof` if the stream has ended, else what the system says.
    pub(super) fn empty(&self) -> io::Result<()> {
        loop {
            let result = match self {
                Self::Socket(socket) => match socket.recv(&mut [MaybeUninit::uninit(); DRAIN_BYTES]) {
                    // The sending socket lives as long as this one: only a failed one ends the stream.
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    result => result.map(drop),
                },
                Self::Event(event) => event.take().map(drop),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                result => return result,
            }
        }
    }
}

impl Sender {
    /// Makes the receiver readable, if it is not already.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn write(&self) -> io::Result<()> {
        let result = match self {
            Self::Socket { sender, .. } => match lock(sender).send_with_flags(&[1], sys::SEND_FLAGS) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                result => result.map(drop),
            },
            Self::Event(event) => event.add_one(),
        };
        match result {
            // Full: it is readable, and the loop wakes.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            result => result,
        }
    }

    /// Makes the receiver readable for good, if there is a way left.
    pub(super) fn end_stream(&self) {
        // Whichever end has failed, the other will do. If neither can (an eventfd has no other), the loop
        // learns it when it next wakes.
        if let Self::Socket { sender, receiver } = self {
            let _ = lock(sender).shutdown(Shutdown::Write);
            if let Some(receiver) = receiver.upgrade() {
                let _ = receiver.shutdown(Shutdown::Both);
            }
        }
    }
}

fn lock(sender: &Mutex<Socket>) -> MutexGuard<'_, Socket> {
    // Nothing panics under the lock, and a socket has no state of ours to be half changed.
    sender.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::socketpair::{self, Strategy};
    use std::time::Duration;

    #[test]
    fn what_is_written_at_the_same_time_arrives() {
        const THREADS: usize = 4;
        // Far from filling any buffer.
        const WRITES_EACH: usize = 250;
        let pair = socketpair::pair_by(&[Strategy::LoopbackV4], socketpair::DEFAULT_DEADLINE).unwrap();
        let (receiver, sender) = of_pair(pair.0, pair.1);
        let Receiver::Socket(receiver) = receiver else { unreachable!("it is of a pair") };
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| (0..WRITES_EACH).for_each(|_| sender.write().unwrap()));
            }
        });
        let mut arrived = 0;
        while arrived < THREADS * WRITES_EACH {
            let watch = sys::Watch { socket: &receiver, write: false };
            sys::poll_sockets(&[watch], Duration::from_secs(5)).unwrap();
            let taken = receiver.recv(&mut [MaybeUninit::uninit(); DRAIN_BYTES]);
            arrived += taken.unwrap_or_else(|error| panic!("{arrived} writes have arrived, then {error}"));
        }
    }
}
