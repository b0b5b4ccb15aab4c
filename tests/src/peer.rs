//! One TCP connection to a server: commands and replies where a test wants a client, single bytes, half-closes and
//! resets where it wants a bad one. Every read and write has a deadline.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::reply::Reply;
use crate::wait::DEADLINE;

/// A connection.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    unread: Vec<u8>,
    /// Where the first reply not yet taken begins in `unread`.
    start: usize,
}

impl Peer {
    /// Connects.
    ///
    /// # Panics
    /// If nobody listens.
    pub fn connect(addr: SocketAddr) -> Self {
        Self::try_connect(addr).unwrap_or_else(|error| panic!("cannot connect to {addr}: {error}"))
    }

    /// Connects, if someone listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn try_connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, DEADLINE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(Self { stream, unread: Vec::new(), start: 0 })
    }

    /// Connects with a small receive buffer, so that a reader that does not read fills the server's side soon.
    ///
    /// # Panics
    /// If nobody listens.
    pub fn connect_with_small_window(addr: SocketAddr) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None)
            .expect("a socket can be made");
        socket.set_recv_buffer_size(4096).expect("the receive buffer can be set");
        socket.connect(&addr.into()).expect("the server listens");
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout can be set");
        stream.set_write_timeout(Some(DEADLINE)).expect("a timeout can be set");
        Self { stream, unread: Vec::new(), start: 0 }
    }

    /// The stream itself.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends a command and reads its reply.
    ///
    /// # Panics
    /// If the connection ends or hangs.
    pub fn call<A: AsRef<[u8]>>(&mut self, args: impl IntoIterator<Item = A>) -> Reply {
        self.send(&encode(args));
        self.reply()
    }

    /// [`Peer::call`] for a command written as words: `peer.ask("SET a 1")`.
    ///
    /// # Panics
    /// As [`Peer::call`].
    pub fn ask(&mut self, words: &str) -> Reply {
        self.call(words.split(' '))
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// If the connection has ended or takes nothing for the deadline.
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("the server takes what is sent");
    }

    /// Sends bytes, unless the connection has ended.
    ///
    /// # Errors
    /// What the system says; a timeout is one.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends what fits until the server takes no more for `patience`; how many bytes went.
    pub fn send_until_blocked(&mut self, bytes: &[u8], patience: Duration) -> usize {
        self.stream.set_write_timeout(Some(patience)).expect("a timeout can be set");
        let mut sent = 0;
        while sent < bytes.len() {
            match self.stream.write(&bytes[sent..]) {
                Ok(n) => sent += n,
                Err(_) => break,
            }
        }
        self.stream.set_write_timeout(Some(DEADLINE)).expect("a timeout can be set");
        sent
    }

    /// Reads one reply.
    ///
    /// # Panics
    /// If the connection ends, hangs, or sends what is not RESP.
    pub fn reply(&mut self) -> Reply {
        self.try_reply().expect("a reply comes")
    }

    /// Reads one reply, unless the connection ends first.
    ///
    /// # Errors
    /// The end of the connection is `UnexpectedEof`.
    pub fn try_reply(&mut self) -> io::Result<Reply> {
        loop {
            match Reply::parse(&self.unread[self.start..]) {
                Ok(Some((reply, len))) => {
                    self.start += len;
                    return Ok(reply);
                }
                Ok(None) => self.fill()?,
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error.0)),
            }
        }
    }

    /// Reads `count` replies.
    ///
    /// # Panics
    /// As [`Peer::reply`].
    pub fn replies(&mut self, count: usize) -> Vec<Reply> {
        (0..count).map(|_| self.reply()).collect()
    }

    /// Asserts that exactly these bytes come next.
    ///
    /// # Panics
    /// If others come.
    pub fn expect(&mut self, bytes: &[u8]) {
        while self.unread.len() - self.start < bytes.len() {
            self.fill().unwrap_or_else(|error| {
                let got = self.unread[self.start..].escape_ascii();
                panic!("{error}; got {got}, expected {}", bytes.escape_ascii())
            });
        }
        let got = &self.unread[self.start..self.start + bytes.len()];
        assert_eq!(got.escape_ascii().to_string(), bytes.escape_ascii().to_string());
        self.start += bytes.len();
    }

    /// Reads so many bytes and keeps none; the sum of them.
    ///
    /// # Panics
    /// If the connection ends or hangs before.
    pub fn skip(&mut self, mut bytes: usize) -> u64 {
        let mut sum = 0;
        loop {
            let some = bytes.min(self.unread.len() - self.start);
            sum += self.unread[self.start..][..some].iter().map(|byte| u64::from(*byte)).sum::<u64>();
            self.start += some;
            bytes -= some;
            if bytes == 0 {
                return sum;
            }
            self.fill().unwrap_or_else(|error| panic!("{error} with {bytes} bytes to come"));
        }
    }

    /// Reads until the server closes; what came. A reset counts as closed.
    ///
    /// # Panics
    /// If it does not close.
    pub fn read_to_close(&mut self) -> Vec<u8> {
        loop {
            match self.fill() {
                Ok(()) => {}
                Err(e) if is_timeout(&e) => panic!("the server did not close the connection"),
                Err(_) => return self.unread.split_off(self.start),
            }
        }
    }

    /// Whether the server closes within the deadline, whatever it sends before.
    pub fn is_closed_within(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.stream.set_read_timeout(Some(left)).expect("a timeout can be set");
            match self.fill() {
                Ok(()) => {}
                Err(e) => return !is_timeout(&e),
            }
        }
    }

    /// Whether something is to be read now.
    ///
    /// # Panics
    /// If the socket cannot be looked at.
    pub fn has_come(&self) -> bool {
        if self.unread.len() > self.start {
            return true;
        }
        self.stream.set_nonblocking(true).expect("a socket can be looked at");
        let has_come = self.stream.peek(&mut [0]).is_ok();
        self.stream.set_nonblocking(false).expect("a socket can be looked at");
        has_come
    }

    /// Whether anything comes within `limit`.
    ///
    /// # Panics
    /// If the connection ends.
    pub fn is_answered_within(&mut self, limit: Duration) -> bool {
        self.stream.set_read_timeout(Some(limit)).expect("a timeout can be set");
        let answered = self.unread.len() > self.start
            || match self.fill() {
                Ok(()) => true,
                Err(error) if is_timeout(&error) => false,
                Err(error) => panic!("{error} instead of an answer"),
            };
        self.stream.set_read_timeout(Some(DEADLINE)).expect("a timeout can be set");
        answered
    }

    /// Says that nothing more will be sent.
    ///
    /// # Panics
    /// If the connection has ended.
    pub fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).expect("the connection is there");
    }

    /// Ends the connection with a reset.
    ///
    /// # Panics
    /// If the system does not allow it.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .expect("the linger time can be set");
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 && self.start * 2 >= self.unread.len() {
            self.unread.drain(..self.start);
            self.start = 0;
        }
        let mut chunk = [0; 64 << 10];
        let taken = loop {
            match self.stream.read(&mut chunk) {
                // A process that was stopped and goes on hears this from a read with a timeout.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        if taken == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.unread.extend_from_slice(&chunk[..taken]);
        Ok(())
    }
}

/// A command as clients send it: an array of bulk strings.
pub fn encode<A: AsRef<[u8]>>(args: impl IntoIterator<Item = A>) -> Vec<u8> {
    let args: Vec<A> = args.into_iter().collect();
    let mut wire = format!("*{}\r\n", args.len()).into_bytes();
    for arg in &args {
        let arg = arg.as_ref();
        wire.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        wire.extend_from_slice(arg);
        wire.extend_from_slice(b"\r\n");
    }
    wire
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
