//! Connecting to oneself, in one thread, without ever taking a stranger for oneself.
//!
//! The connecting end sends a random nonce. Whoever is accepted must show it; everyone else is turned away
//! and accepting goes on, until the deadline. Then the accepted end shows a second nonce, so that the
//! connecting end knows too whom it has reached (someone could have taken over the port). Where both
//! addresses are known they are compared first, which turns most strangers away without waiting for them.
//!
//! Several who were accepted can be under examination at once, so a silent or slow stranger does not
//! hold up the others, and there is room for [`MAX_CANDIDATES`], so a crowd does not use up descriptors.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use socket2::{SockAddr, Socket};

use super::error::at;
use super::{Cause, Step, StepError, Strategy};
use crate::system::sys::{self, Watch};

/// Connections that the system completes before they are accepted. One is ours; with room for only that
/// one, a single stranger would keep it out (Linux completes two at a backlog of 1).
pub(super) const BACKLOG: i32 = 16;

/// Accepted connections under examination. When one more comes the oldest is turned away: ours has sent
/// its nonce before it can be accepted, so it is recognised when it is first looked at.
pub(super) const MAX_CANDIDATES: usize = 4;

/// How long to wait before looking again, whatever the system reports: some systems do not report a
/// connection that failed (`WSAPoll` before Windows 10 2004).
const WAIT_SLICE: Duration = Duration::from_millis(20);

/// How long a connection may be under way before it is given up and made anew, while strangers come; so much longer each
/// time. A request that finds the backlog full is dropped by Linux without a word, and repeated only after a second, two
/// and four: too seldom to meet one of the moments in which there is room. Growing by a step makes some thirty attempts
/// in five seconds (doubling from 100 ms made five, and a crowd now and then kept all of them out), and still gives a
/// slow machine time.
const PATIENCE_STEP: Duration = Duration::from_millis(10);

/// 128 random bits cannot be guessed within the deadline.
const NONCE_BYTES: usize = 16;

type Nonce = [u8; NONCE_BYTES];

/// What is needed to connect to oneself.
pub(super) struct Rendezvous<'a> {
    pub(super) strategy: Strategy,
    /// Bound and listening.
    pub(super) listener: Socket,
    /// Where to connect.
    pub(super) address: SockAddr,
    /// The same, for messages.
    pub(super) what: String,
    /// Makes the connecting socket: non-blocking, and bound if its address can be compared.
    pub(super) make_connector: &'a dyn Fn() -> Result<Socket, StepError>,
    /// Whether to turn strangers away by their address before asking for the nonce.
    pub(super) compare_addresses: bool,
    pub(super) until: Instant,
}

/// Returns the connected and the accepted end, both non-blocking.
pub(super) fn rendezvous(place: Rendezvous<'_>) -> Result<(Socket, Socket), StepError> {
    place.listener.set_nonblocking(true).map_err(place.failed(Step::Configure))?;
    let (to_accepted, to_connector) = (place.nonce()?, place.nonce()?);
    let (connector, accepted) = place.find_ourselves(&to_accepted)?;
    send(&accepted, &to_connector).map_err(place.failed(Step::Verify))?;
    place.expect_answer(connector, &to_connector).map(|connector| (connector, accepted))
}

impl Rendezvous<'_> {
    fn failed<E: Into<Cause>>(&self, step: Step) -> impl FnOnce(E) -> StepError {
        at(self.strategy, step, &self.what)
    }

    fn nonce(&self) -> Result<Nonce, StepError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(io::Error::from).map_err(self.failed(Step::Random))?;
        Ok(nonce)
    }

    /// Connects, sends `nonce`, and accepts until somebody shows it.
    fn find_ourselves(&self, nonce: &Nonce) -> Result<(Socket, Socket), StepError> {
        let mut connector = Connector {
            socket: (self.make_connector)()?,
            progress: Progress::Idle,
            refusals: 0,
            begun: Instant::now(),
            patience: PATIENCE_STEP,
        };
        let mut candidates = VecDeque::<Candidate>::with_capacity(MAX_CANDIDATES + 1);
        let mut strangers = 0;
        loop {
            // In this order: whoever is accepted is examined only after our nonce has been sent, if it is us.
            // One at a time, so that no crowd keeps the deadline from being looked at.
            let newcomer = match accept(&self.listener) {
                Err(error) if candidates.pop_front().is_none() => {
                    return Err(self.failed(Step::Accept)(error));
                }
                // Descriptors have run out, and a stranger had one of them.
                Err(_) => None,
                Ok(newcomer) => newcomer,
            };
            if connector.begins_again() {
                candidates.clear();
                strangers += self.empty_the_backlog();
            }
            connector.advance(self, nonce)?;
            if strangers > 0 {
                connector.begin_again_if_dropped(self)?;
            }
            let somebody_came = newcomer.is_some();
            if let Some(socket) = newcomer {
                if self.compare_addresses && self.is_stranger(&socket, &connector.socket) {
                    strangers += 1;
                } else {
                    socket.set_nonblocking(true).map_err(self.failed(Step::Configure))?;
                    candidates.push_back(Candidate { socket, seen: [0; NONCE_BYTES], len: 0 });
                }
            }
            for _ in 0..candidates.len() {
                let mut candidate = candidates.pop_front().expect("as many as were counted");
                match candidate.examine(nonce) {
                    Verdict::Ours => return Ok((connector.socket, candidate.socket)),
                    Verdict::Stranger => strangers += 1,
                    Verdict::Unknown => candidates.push_back(candidate),
                }
            }
            if candidates.len() > MAX_CANDIDATES {
                candidates.pop_front();
                strangers += 1;
            }
            let left = self.until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let connected = connector.progress == Progress::Connected;
                let step = if connected { Step::Accept } else { Step::Connect };
                return Err(self.failed(step)(Cause::Deadline { strangers, refusals: connector.refusals }));
            }
            if !somebody_came {
                let mut watches = vec![Watch { socket: &self.listener, write: false }];
                if connector.progress == Progress::Connecting {
                    watches.push(Watch { socket: &connector.socket, write: true });
                }
                let read = |candidate| Watch { socket: candidate, write: false };
                watches.extend(candidates.iter().map(|candidate| read(&candidate.socket)));
                sys::poll_sockets(&watches, left.min(WAIT_SLICE)).map_err(self.failed(Step::Accept))?;
            }
        }
    }

    /// Turns away, unseen and as fast as it goes, who waits to be accepted, so that there is room for our own request. Nobody
    /// among them can be us: no connection of ours is under way. Returns how many.
    fn empty_the_backlog(&self) -> u32 {
        let waiting = (0..=BACKLOG).map_while(|_| accept(&self.listener).ok().flatten());
        waiting.map(drop).count() as u32
    }

    /// Waits until the connecting end has been shown `nonce`.
    fn expect_answer(&self, connector: Socket, nonce: &Nonce) -> Result<Socket, StepError> {
        let mut answer = Candidate { socket: connector, seen: [0; NONCE_BYTES], len: 0 };
        loop {
            match answer.examine(nonce) {
                Verdict::Ours => return Ok(answer.socket),
                Verdict::Stranger => return Err(self.failed(Step::Verify)(Cause::Stranger)),
                Verdict::Unknown => {}
            }
            let left = self.until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.failed(Step::Verify)(Cause::Deadline { strangers: 0, refusals: 0 }));
            }
            let watch = Watch { socket: &answer.socket, write: false };
            sys::poll_sockets(&[watch], left.min(WAIT_SLICE)).map_err(self.failed(Step::Verify))?;
        }
    }

    /// Whether the addresses show that `accepted` is not the other end of `connector`. An address that the
    /// system does not tell (some filters answer 0.0.0.0) shows nothing.
    fn is_stranger(&self, accepted: &Socket, connector: &Socket) -> bool {
        let (Ok(peer), Ok(local)) = (accepted.peer_addr(), accepted.local_addr()) else {
            return true; // It has gone already.
        };
        let ours = connector.local_addr().ok().and_then(|address| address.as_socket());
        differ(peer.as_socket(), ours) || differ(local.as_socket(), self.address.as_socket())
    }
}

fn differ(a: Option<SocketAddr>, b: Option<SocketAddr>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) if !a.ip().is_unspecified() && !b.ip().is_unspecified() => {
            (a.ip(), a.port()) != (b.ip(), b.port())
        }
        _ => false,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Not begun, or to be begun again.
    Idle,
    /// The system is at it.
    Connecting,
    /// Connected, and the nonce is sent.
    Connected,
}

struct Connector {
    socket: Socket,
    progress: Progress,
    refusals: u32,
    /// When the connection under way was begun.
    begun: Instant,
    patience: Duration,
}

impl Connector {
    /// Takes the next step towards being connected, without blocking.
    fn advance(&mut self, place: &Rendezvous<'_>, nonce: &Nonce) -> Result<(), StepError> {
        let connected = match self.progress {
            Progress::Connected => return Ok(()),
            Progress::Idle => {
                self.begun = Instant::now();
                match self.socket.connect(&place.address) {
                    Ok(()) => Ok(true),
                    Err(error) if sys::is_connecting(&error) => Ok(false),
                    Err(error) => Err(error),
                }
            }
            Progress::Connecting => match self.socket.take_error() {
                Ok(None) => Ok(self.socket.peer_addr().is_ok()),
                Ok(Some(error)) | Err(error) => Err(error),
            },
        };
        match connected {
            Ok(false) => self.progress = Progress::Connecting,
            Ok(true) => {
                send(&self.socket, nonce).map_err(place.failed(Step::Verify))?;
                self.progress = Progress::Connected;
            }
            // The backlog is full of strangers: try again after some have been accepted.
            Err(error) if is_refused(&error) => self.begin_again(place)?,
            Err(error) => return Err(place.failed(Step::Connect)(error)),
        }
        Ok(())
    }

    /// Whether the next step is to connect, and not for the first time.
    fn begins_again(&self) -> bool {
        self.progress == Progress::Idle && self.refusals > 0
    }

    /// Gives up a connection that has been under way for long, in a crowd. If it was not dropped after all, what is accepted
    /// of it is one more who closes at once.
    fn begin_again_if_dropped(&mut self, place: &Rendezvous<'_>) -> Result<(), StepError> {
        if self.progress == Progress::Connecting && self.begun.elapsed() > self.patience {
            self.patience += PATIENCE_STEP;
            self.begin_again(place)?;
        }
        Ok(())
    }

    fn begin_again(&mut self, place: &Rendezvous<'_>) -> Result<(), StepError> {
        self.socket = (place.make_connector)()?;
        self.progress = Progress::Idle;
        self.refusals += 1;
        Ok(())
    }
}

/// What systems say when a backlog is full: Windows refuses or resets, a Unix socket would block.
fn is_refused(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, WouldBlock};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | WouldBlock)
}

/// The next connection, if there is one that has not gone already.
fn accept(listener: &Socket) -> io::Result<Option<Socket>> {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
    match listener.accept() {
        Ok((socket, _)) => Ok(Some(socket)),
        Err(error) => match error.kind() {
            WouldBlock | Interrupted | ConnectionAborted | ConnectionReset => Ok(None),
            _ => Err(error),
        },
    }
}

/// Sends a nonce, which fits into the buffer of any new connection at once.
fn send(socket: &Socket, nonce: &Nonce) -> io::Result<()> {
    loop {
        match socket.send_with_flags(nonce, sys::SEND_FLAGS) {
            Ok(NONCE_BYTES) => return Ok(()),
            Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A connection of which it is not known yet who is at the other end.
struct Candidate {
    socket: Socket,
    seen: Nonce,
    len: usize,
}

enum Verdict {
    Ours,
    Stranger,
    /// It has not shown a whole nonce yet.
    Unknown,
}

impl Candidate {
    fn examine(&mut self, nonce: &Nonce) -> Verdict {
        while self.len < NONCE_BYTES {
            match (&self.socket).read(&mut self.seen[self.len..]) {
                Ok(0) => return Verdict::Stranger,
                Ok(count) => self.len += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Verdict::Unknown,
                Err(_) => return Verdict::Stranger,
            }
        }
        if equal_in_constant_time(&self.seen, nonce) { Verdict::Ours } else { Verdict::Stranger }
    }
}

/// Takes equally long wherever the difference is, so that a nonce cannot be guessed byte by byte.
fn equal_in_constant_time(a: &Nonce, b: &Nonce) -> bool {
    let difference = a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b));
    std::hint::black_box(difference) == 0
}
