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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;
    use crate::system::poll::Events;
    use crate::system::socketpair;

    const TIMEOUT: Duration = Duration::from_millis(50);

    /// Refusals, what they wait with, and their time.
    struct Bench {
        refusals: Refusals,
        poller: Poller,
        now: Instant,
    }

    impl Bench {
        fn new(at_most: usize) -> Self {
            let refusals = Refusals::new(at_most, TIMEOUT);
            Self { refusals, poller: Poller::new().unwrap(), now: Instant::now() }
        }

        /// The client's end of a connection that is refused with these words. It waits when it reads.
        fn refuse(&mut self, words: &[u8]) -> Socket {
            let (near, far) = socketpair::pair().unwrap();
            far.set_nonblocking(false).unwrap();
            self.refusals.begin(near, words.to_vec(), &mut self.poller, self.now);
            far
        }

        /// How many are being refused; the poller knows them and no others.
        fn held(&self) -> usize {
            assert_eq!(self.refusals.sockets.len(), self.poller.len());
            self.poller.len()
        }

        /// Deals with what has come, until `done`.
        fn until(&mut self, mut done: impl FnMut(&Self) -> bool) {
            let mut events = Events::new();
            while !done(self) {
                self.poller.wait(&mut events, Some(Duration::from_secs(20))).unwrap();
                assert!(!events.is_empty(), "it waits in vain");
                events.iter().for_each(|event| self.refusals.event(event.key, &mut self.poller));
            }
        }

        fn pass(&mut self, time: Duration) {
            self.now += time;
            self.refusals.expire(&mut self.poller, self.now);
        }
    }

    fn all_said(mut far: &Socket) -> Vec<u8> {
        let mut said = Vec::new();
        far.read_to_end(&mut said).unwrap();
        said
    }

    #[test]
    fn so_many_are_kept_and_whoever_comes_beyond_them_is_told_without_waiting() {
        for at_most in [0, 1, 2, 5, 32] {
            let mut bench = Bench::new(at_most);
            let clients: Vec<Socket> = (0..100).map(|_| bench.refuse(b"full")).collect();
            assert_eq!(bench.held(), at_most);
            assert!(
                clients.iter().all(|client| all_said(client) == b"full"),
                "all are told, and that it is over"
            );
            bench.pass(TIMEOUT);
            assert_eq!((bench.held(), bench.refusals.next()), (0, None));
            let again = bench.refuse(b"full");
            assert_eq!(
                (bench.held(), all_said(&again)),
                (at_most.min(1), b"full".to_vec()),
                "there is room again"
            );
        }
    }

    #[test]
    fn one_who_stays_is_kept_for_its_time_and_not_longer() {
        let mut bench = Bench::new(32);
        let mut client = bench.refuse(b"full");
        assert_eq!(bench.refusals.next(), Some(bench.now + TIMEOUT));
        bench.pass(TIMEOUT - Duration::from_nanos(1));
        assert_eq!(bench.held(), 1);
        bench.pass(Duration::from_nanos(1));
        assert_eq!(bench.held(), 0);
        // The first may be taken by the system before it knows.
        let closed = (0..1000).any(|_| client.write(b"anybody?").is_err());
        assert!(closed, "it is closed, not forgotten");
    }

    #[test]
    fn one_who_goes_is_not_kept() {
        let mut bench = Bench::new(32);
        drop(bench.refuse(b"full"));
        drop(bench.refuse(b""));
        bench.until(|bench| bench.held() == 0);
    }

    #[test]
    fn what_a_client_sends_is_dropped_so_far() {
        let mut bench = Bench::new(32);
        let mut client = bench.refuse(b"full");
        client.write_all(&[0; DRAINED_BYTES - 1]).unwrap();
        let read = |bench: &Bench| bench.refusals.sockets.iter().next().map(|(_, it)| it.drained_bytes);
        bench.until(|bench| read(bench) == Some(DRAINED_BYTES - 1));
        client.write_all(&[0; 1]).unwrap();
        bench.until(|bench| bench.held() == 0);
    }

    #[test]
    fn words_that_do_not_fit_at_once_are_written_as_they_are_taken() {
        let mut bench = Bench::new(32);
        let words = vec![b'#'; 4 << 20];
        let mut client = bench.refuse(&words);
        let reading = std::thread::spawn(move || {
            let mut said = Vec::new();
            client.read_to_end(&mut said).unwrap();
            said
        });
        bench.until(|bench| bench.held() == 0);
        assert!(reading.join().unwrap() == words);
    }
}
