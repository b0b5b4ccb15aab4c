//! Clients that do harm, in crowds: each kind keeps at it from a few threads until it is told to stop.
//!
//! They are single-minded: whatever the server answers, refuses or closes, they come again. They never fail a test
//! themselves, whoever looks at the server meanwhile decides.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::peer::encode;

/// The key whose value is large: what those ask for that do not read.
pub const BIG_KEY: &str = "hostile:big";

/// How many values there are of which each asks for one of its own.
pub const OWN_KEYS: usize = 1000;

/// The key of one of them.
pub fn own_key(n: usize) -> String {
    format!("hostile:own:{}", n % OWN_KEYS)
}

/// The beginning of a request that never comes to its end.
const HALF_SENT: &[u8] = b"*3\r\n$3\r\nSET\r\n$12\r\nhostile:half\r\n$900000\r\n";

const PIECE_BYTES: usize = 128 << 10;

/// How long a connect may take: a full backlog drops it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// What they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Connect as fast as they can, and keep only the last ones.
    Connects,
    /// Connect and say nothing.
    Silent,
    /// Send 128 KB a second of a request of 900 KB, as far as the server takes it, and never its end.
    HalfSent,
    /// Send a request, a byte a second.
    ByteASecond,
    /// Ask for far more than any buffer holds, and read nothing.
    NeverReading,
    /// Ask four times for [`BIG_KEY`], and read nothing.
    FourTimes,
    /// The same, each for one of the [`OWN_KEYS`].
    FourTimesOwn,
    /// As the ones that never read, and reset the connection once nothing more goes.
    ResetWhilePaused,
    /// All connect at the same time, ask once, and go at the same time.
    AllAtOnce,
    /// Nothing but burn processor time, which is what the others do beside: the control.
    Burn,
}

/// How many they are.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Threads that do it.
    pub threads: usize,
    /// Connections of all threads together.
    pub connections: usize,
}

/// Clients of one kind, at work until they are stopped.
#[derive(Debug)]
pub struct Crowd {
    stop: Arc<AtomicBool>,
    connects: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Crowd {
    /// They begin.
    pub fn start(kind: Kind, addr: SocketAddr, size: Size) -> Self {
        let (stop, connects) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let each = (size.connections / size.threads).max(1);
        let threads = (0..size.threads)
            .map(|_| {
                let member = Member { addr, each, stop: Arc::clone(&stop), connects: Arc::clone(&connects) };
                std::thread::spawn(move || member.run(kind))
            })
            .collect();
        Self { stop, connects, threads }
    }

    /// Connections they have opened so far.
    pub fn connects(&self) -> u64 {
        self.connects.load(Ordering::Relaxed)
    }

    /// They stop and are gone.
    ///
    /// # Panics
    /// If one of them panicked.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("a hostile client does not panic"));
    }
}

/// One thread of a crowd.
struct Member {
    addr: SocketAddr,
    /// Its connections.
    each: usize,
    stop: Arc<AtomicBool>,
    connects: Arc<AtomicU64>,
}

impl Member {
    fn run(&self, kind: Kind) {
        match kind {
            Kind::Connects => self.connect_and_keep(),
            Kind::Silent => self.hold(|_, _| true),
            Kind::HalfSent => {
                let rest = vec![b'x'; PIECE_BYTES];
                self.hold(move |stream, age| match age {
                    0 => send(stream, HALF_SENT),
                    1..=6 => send(stream, &rest),
                    _ => true,
                });
            }
            Kind::ByteASecond => {
                let request = encode(["SET", "hostile:slow", &"x".repeat(1000)]);
                self.hold(move |stream, age| send(stream, &request[age % request.len()..][..1]));
            }
            Kind::NeverReading => self.hold(|stream, age| age > 0 || ask_too_much(stream)),
            Kind::FourTimes => self.hold(|stream, age| age > 0 || ask_four_times(stream, BIG_KEY)),
            Kind::FourTimesOwn => self.hold(|stream, age| {
                let number = stream.local_addr().map_or(0, |addr| usize::from(addr.port()));
                age > 0 || ask_four_times(stream, &own_key(number))
            }),
            Kind::ResetWhilePaused => self.hold(|stream, age| age == 0 && ask_too_much(stream)),
            Kind::AllAtOnce => self.come_and_go(),
            Kind::Burn => self.burn(),
        }
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn connect(&self) -> Option<TcpStream> {
        let socket = Socket::new(Domain::for_address(self.addr), Type::STREAM, None).ok()?;
        // Soon full, and gone without a trace: a port in TIME_WAIT for each would soon leave none.
        socket.set_recv_buffer_size(4096).ok()?;
        socket.set_linger(Some(Duration::ZERO)).ok()?;
        let connected = socket.connect_timeout(&self.addr.into(), CONNECT_TIMEOUT);
        if connected.is_err() {
            // No port or no descriptor is left: that passes.
            std::thread::sleep(Duration::from_millis(1));
            return None;
        }
        socket.set_nonblocking(true).ok()?;
        self.connects.fetch_add(1, Ordering::Relaxed);
        Some(socket.into())
    }

    fn connect_and_keep(&self) {
        let mut kept = std::collections::VecDeque::new();
        while self.goes_on() {
            kept.extend(self.connect());
            if kept.len() > self.each {
                kept.pop_front();
            }
        }
    }

    /// Keeps its connections, each for as long as `act` says and the server leaves it open. `act` is told the connection's
    /// age in seconds, once for each; a new one takes the place of each that has gone.
    fn hold(&self, act: impl Fn(&mut TcpStream, usize) -> bool) {
        let mut held: Vec<(TcpStream, Instant, usize)> = Vec::new();
        while self.goes_on() {
            if held.len() < self.each {
                held.extend(self.connect().map(|stream| (stream, Instant::now(), 0)));
            } else {
                std::thread::sleep(Duration::from_millis(5));
            }
            held.retain_mut(|(stream, since, acted)| {
                let age = since.elapsed().as_secs() as usize;
                while *acted <= age {
                    if !act(stream, *acted) {
                        return false;
                    }
                    *acted += 1;
                }
                !was_closed(stream)
            });
        }
    }

    fn come_and_go(&self) {
        while self.goes_on() {
            let mut all: Vec<TcpStream> = (0..self.each).filter_map(|_| self.connect()).collect();
            for stream in &mut all {
                let _gone = !send(stream, b"PING\r\n");
            }
            let answered =
                |stream: &mut TcpStream| !matches!(stream.read(&mut [0; 64]), Err(e) if is_wait(&e));
            let deadline = Instant::now() + CONNECT_TIMEOUT;
            while !all.is_empty() && Instant::now() < deadline && self.goes_on() {
                all.retain_mut(|stream| !answered(stream));
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    fn burn(&self) {
        let mut sum = 0u64;
        while self.goes_on() {
            for n in 0..10_000u64 {
                sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(n));
            }
        }
    }
}

/// Sends what goes of requests for some gigabytes. `false`: the connection has gone.
fn ask_too_much(stream: &mut TcpStream) -> bool {
    send(stream, &encode(["GET", BIG_KEY]).repeat(5000))
}

fn ask_four_times(stream: &mut TcpStream, key: &str) -> bool {
    send(stream, &encode(["GET", key]).repeat(4))
}

/// Sends what goes. `false`: the connection has gone.
fn send(stream: &mut TcpStream, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(0) => return false,
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return is_wait(&error),
        }
    }
    true
}

/// Whether the server has ended it, or said that it will. What else it sent stays unread: who never reads does not read
/// here either.
fn was_closed(stream: &TcpStream) -> bool {
    let mut byte = [0];
    match stream.peek(&mut byte) {
        Ok(n) => n == 0 || byte == *b"-",
        Err(error) => !is_wait(&error),
    }
}

fn is_wait(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
}
