//! What carries a wake-up into the loop: a byte in a socket pair, or the count of an eventfd.
//!
//! Both are level: readable from the first write until emptied, and one that cannot take more is readable
//! already, so a full one is no error.

use std::io;
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::sync::{Arc, Weak};

use socket2::Socket;

use crate::poll::{AsSource, Source};
use crate::sys::{self, BorrowedSource, EventFd};

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
        sender: Socket,
        /// To end the stream from this side if the sender has failed. Weak: wakers do not keep it open.
        receiver: Weak<Socket>,
    },
    Event(Arc<EventFd>),
}

pub(super) fn of_pair(receiver: Socket, sender: Socket) -> (Receiver, Sender) {
    let receiver = Arc::new(receiver);
    let sender = Sender::Socket { sender, receiver: Arc::downgrade(&receiver) };
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
            Self::Socket { sender, .. } => match sender.send_with_flags(&[1], sys::SEND_FLAGS) {
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
            let _ = sender.shutdown(Shutdown::Write);
            if let Some(receiver) = receiver.upgrade() {
                let _ = receiver.shutdown(Shutdown::Both);
            }
        }
    }
}
