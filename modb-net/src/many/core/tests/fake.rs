//! A socket that is a script, and the hand that moves it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::rc::Rc;

use crate::connection::conn::Stream;
use crate::system::peer::Peer;

#[derive(Default)]
struct State {
    incoming: VecDeque<u8>,
    ended: bool,
    reset: bool,
    /// How many bytes the "kernel" takes before it is full. `None`: any number.
    room: Option<usize>,
    sent: Vec<u8>,
    total: usize,
    writes: usize,
    reads: usize,
    shut: bool,
}

/// The end that the core has.
pub(super) struct Fake(Rc<RefCell<State>>);

/// The end that the test has.
pub(super) struct Wire(Rc<RefCell<State>>);

pub(super) fn pair() -> (Fake, Wire) {
    let state = Rc::new(RefCell::new(State::default()));
    (Fake(state.clone()), Wire(state))
}

impl Stream for Fake {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.borrow_mut();
        state.reads += 1;
        if state.reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        if state.incoming.is_empty() {
            return if state.ended { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        let n = into.len().min(state.incoming.len());
        for (byte, place) in state.incoming.drain(..n).zip(into) {
            *place = byte;
        }
        Ok(n)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.borrow_mut();
        state.writes += 1;
        if state.reset {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let n = state.room.unwrap_or(usize::MAX).min(bytes.len());
        if n == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        if let Some(room) = &mut state.room {
            *room -= n;
        }
        state.sent.extend_from_slice(&bytes[..n]);
        state.total += n;
        Ok(n)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.borrow_mut().shut = true;
        Ok(())
    }

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        Ok(self.0.borrow().reset.then(|| ErrorKind::ConnectionRefused.into()))
    }

    fn peer(&self, remote: std::net::SocketAddr) -> Peer {
        Peer::Tcp { remote, local: remote }
    }
}

impl Wire {
    pub(super) fn arrive(&self, bytes: &[u8]) {
        self.0.borrow_mut().incoming.extend(bytes);
    }
    pub(super) fn end(&self) {
        self.0.borrow_mut().ended = true;
    }
    pub(super) fn reset(&self) {
        self.0.borrow_mut().reset = true;
    }
    /// The peer's window: so many more bytes are taken.
    pub(super) fn room(&self, bytes: usize) {
        self.0.borrow_mut().room = Some(bytes);
    }
    /// What was sent since the last call.
    pub(super) fn sent(&self) -> String {
        String::from_utf8(std::mem::take(&mut self.0.borrow_mut().sent)).unwrap()
    }
    /// Whether the peer takes more.
    pub(super) fn has_room(&self) -> bool {
        self.0.borrow().room != Some(0)
    }
    /// How many bytes were sent in all.
    pub(super) fn total_sent(&self) -> usize {
        self.0.borrow().total
    }
    pub(super) fn writes(&self) -> usize {
        self.0.borrow().writes
    }
    pub(super) fn reads(&self) -> usize {
        self.0.borrow().reads
    }
    pub(super) fn unread(&self) -> usize {
        self.0.borrow().incoming.len()
    }
    pub(super) fn is_shut(&self) -> bool {
        self.0.borrow().shut
    }
}
