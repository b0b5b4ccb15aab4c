//! Connections for which there is no seat: each is told why and is gone, within a moment.
//!
//! The words are written, the sending side is closed, and what the client still sends is read and dropped, so that the
//! end is not a reset that would take the words away; at most [`DRAINED_BYTES`], and for a time that is bounded, too.
//! Invariant: at most so many sockets at a time as [`Refusals::new`] was told; one more is told without waiting and
//! closed.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;
use socket2::Socket;

use crate::base::limits::after;
use crate::base::token::Token;
use crate::connection::conn::{ReadEnd, Stream, read};
use crate::system::poll::{Interest, Poller};

/// What is read of a client that is being refused, in bytes.
const DRAINED_BYTES: usize = 16 << 10;

/// The sockets that are being refused now.
#[derive(Debug)]
pub(crate) struct Refusals {
    sockets: Slab<Refusal>,
    at_most: usize,
    timeout: Duration,
    generation: u32,
}

#[derive(Debug)]
struct Refusal {
    socket: Arc<Socket>,
    /// What is still to be written.
    words: Vec<u8>,
    drained_bytes: usize,
    until: Instant,
    generation: u32,
}

/// What is still to be done for a refused socket.
enum Next {
    Write,
    Read,
    Nothing,
}

impl Refusal {
    /// Goes on as far as the socket lets it.
    fn go_on(&mut self) -> Next {
        while !self.words.is_empty() {
            match self.socket.write(&self.words) {
                Ok(n) => drop(self.words.drain(..n)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Next::Write,
                Err(_) => return Next::Nothing,
            }
            if self.words.is_empty() && self.socket.shutdown_write().is_err() {
                return Next::Nothing;
            }
        }
        let mut scratch = [0; 4096];
        while self.drained_bytes < DRAINED_BYTES {
            match read(&mut self.socket, &mut scratch) {
                ReadEnd::Bytes(n) => self.drained_bytes += n,
                ReadEnd::Nothing => return Next::Read,
                ReadEnd::Closed | ReadEnd::Broken => return Next::Nothing,
            }
        }
        Next::Nothing
    }
}

impl Refusals {
    /// At most so many at a time, each for at most `timeout`.
    pub(crate) fn new(at_most: usize, timeout: Duration) -> Self {
        Self { sockets: Slab::new(), at_most, timeout, generation: 0 }
    }

    /// Tells a client why it is refused.
    pub(crate) fn begin(&mut self, socket: Socket, words: Vec<u8>, poller: &mut Poller, now: Instant) {
        let shut = words.is_empty();
        self.generation = self.generation.wrapping_add(1).max(1);
        let until = after(now, self.timeout);
        let (socket, generation) = (Arc::new(socket), self.generation);
        let mut refusal = Refusal { socket, words, drained_bytes: 0, until, generation };
        if shut {
            let _ = refusal.socket.shutdown_write();
        }
        let interest = match refusal.go_on() {
            Next::Write => Interest::WRITE,
            Next::Read => Interest::READ,
            Next::Nothing => return,
        };
        if self.sockets.len() >= self.at_most {
            return;
        }
        let source = refusal.socket.clone();
        let token = Token { slot: self.sockets.insert(refusal) as u32, generation };
        if poller.add(token.key(), source, interest).is_err() {
            self.sockets.remove(token.slot as usize);
        }
    }

    /// A socket has news. Whether it is one of ours.
    pub(crate) fn event(&mut self, key: usize, poller: &mut Poller) {
        let slot = Token::slot_of(key);
        let Some(refusal) = self.sockets.get_mut(slot) else { return };
        let token = Token { slot: slot as u32, generation: refusal.generation };
        if !token.has_key(key) {
            return;
        }
        let interest = match refusal.go_on() {
            Next::Write => Interest::WRITE,
            Next::Read => Interest::READ,
            Next::Nothing => return self.end(slot, poller),
        };
        if poller.modify(key, interest).is_err() {
            self.end(slot, poller);
        }
    }

    /// Closes those whose time is over.
    pub(crate) fn expire(&mut self, poller: &mut Poller, now: Instant) {
        let due: Vec<usize> =
            self.sockets.iter().filter(|(_, refusal)| refusal.until <= now).map(|(slot, _)| slot).collect();
        for slot in due {
            self.end(slot, poller);
        }
    }

    /// When [`Refusals::expire`] is wanted next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.sockets.iter().map(|(_, refusal)| refusal.until).min()
    }

    fn end(&mut self, slot: usize, poller: &mut Poller) {
        let refusal = self.sockets.remove(slot);
        let _ = poller.delete(Token { slot: slot as u32, generation: refusal.generation }.key());
    }
}
