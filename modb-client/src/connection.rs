//! One blocking connection.
//!
//! Invariants: replies come in the order of the requests; push messages never take the place of a reply; after an
//! error that loses that order the connection is shut down and says so; buffers grow with what has come only.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, Instant};

use modb_net::resp::{Protocol, ReplyDecoder, Value};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::command::{Command, Request};
use crate::config::Config;
use crate::error::{Error, Result, ServerError};
use crate::from_value::FromValue;
use crate::pipeline::Pipeline;

/// Room for input that a connection begins with, in bytes.
const INPUT_BYTES: usize = 16 << 10;
/// Room that an idle connection keeps after a large reply or request, in bytes.
const KEPT_BYTES: usize = 1 << 20;
/// Push messages kept for [`Connection::next_push`]; beyond, the oldest are dropped and counted.
const MAX_KEPT_PUSHES: usize = 65_536;
/// A request up to this size is written before its reply is read, in bytes: less than any socket buffers.
const WRITTEN_AT_ONCE_BYTES: usize = 16 << 10;

/// One connection to a server, without reconnecting.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    read_timeout: Option<Duration>,
    decoder: ReplyDecoder,
    /// Received and not yet decoded: `input[start..end]`. The rest is room.
    input: Vec<u8>,
    start: usize,
    end: usize,
    /// The request that is being written.
    output: Vec<u8>,
    pushes: VecDeque<Vec<Value>>,
    dropped_pushes: u64,
    protocol: Protocol,
    /// Requests sent whose replies have not been given.
    awaited: usize,
    broken: bool,
}

impl Connection {
    /// Connects, says hello, authenticates and selects the database, as `config` says.
    ///
    /// # Errors
    /// [`Error::Connect`], also if it does not answer; [`Error::Server`] if it refuses something; what a call can give.
    pub fn open(config: &Config) -> Result<Self> {
        let stream =
            connect(config).map_err(|source| Error::Connect { address: config.address(), source })?;
        // A server that accepts and then says nothing is as good as one that does not accept.
        let patience = config.read_timeout.map_or(config.connect_timeout, |t| t.min(config.connect_timeout));
        stream.set_read_timeout(at_least_one_ms(Some(patience))).map_err(Error::Io)?;
        let mut connection = Self {
            stream,
            read_timeout: Some(patience),
            decoder: ReplyDecoder::new(config.limits.clone()),
            input: vec![0; INPUT_BYTES],
            start: 0,
            end: 0,
            output: Vec::new(),
            pushes: VecDeque::new(),
            dropped_pushes: 0,
            protocol: config.protocol,
            awaited: 0,
            broken: false,
        };
        let unanswered = |kind, what| {
            Err(Error::Connect { address: config.address(), source: io::Error::new(kind, what) })
        };
        match connection.handshake(config) {
            Ok(()) => {}
            Err(Error::Timeout) => {
                return unanswered(io::ErrorKind::TimedOut, "it accepts the connection and does not answer");
            }
            Err(Error::Closed) => {
                let what = "it accepts the connection and closes it without an answer";
                return unanswered(io::ErrorKind::ConnectionAborted, what);
            }
            Err(error) => return Err(error),
        }
        connection.set_read_timeout(config.read_timeout)?;
        Ok(connection)
    }

    /// Sends a request and gives its reply.
    ///
    /// # Errors
    /// [`Error::Server`] and [`Error::UnexpectedReply`], after which the connection goes on; others lose it.
    pub fn call<T: FromValue>(&mut self, request: impl Request) -> Result<T> {
        T::from_value(self.call_value(request)?)
    }

    /// Sends a request and gives its reply as it is, an error as [`Value::Error`].
    ///
    /// # Errors
    /// Those that lose the connection.
    pub fn call_value(&mut self, request: impl Request) -> Result<Value> {
        self.send(request)?;
        self.receive()
    }

    /// Sends all requests of `pipeline` and gives their replies.
    ///
    /// # Errors
    /// Those that lose the connection; which of the requests were executed is then unknown.
    pub fn run(&mut self, pipeline: &Pipeline) -> Result<Vec<std::result::Result<Value, ServerError>>> {
        let mut settled = Vec::with_capacity(pipeline.len());
        self.round_trip(pipeline.bytes(), pipeline.len(), |value| {
            settled.push(match value.without_attributes() {
                Value::Error(text) => Err(ServerError::new(&text)),
                other => Ok(other),
            });
        })?;
        Ok(settled)
    }

    /// Sends all requests of `pipeline` and gives each reply to `each` as it comes, an error as [`Value::Error`].
    ///
    /// # Errors
    /// Those that lose the connection; what came before has been given.
    pub fn run_each(&mut self, pipeline: &Pipeline, each: impl FnMut(Value)) -> Result<()> {
        self.round_trip(pipeline.bytes(), pipeline.len(), each)
    }

    /// Sends a request without waiting for its reply, which [`Connection::receive`] gives later. A server may stop
    /// reading while replies pile up: for many requests use a [`Pipeline`].
    ///
    /// # Errors
    /// Those that lose the connection.
    pub fn send(&mut self, request: impl Request) -> Result<()> {
        self.usable()?;
        self.output.clear();
        request.encode(&mut self.output);
        let written = (&self.stream).write_all(&self.output);
        self.output.clear();
        self.output.shrink_to(KEPT_BYTES);
        self.awaited += 1;
        written.map_err(|error| self.lost(error))
    }

    /// Sends a request that gets no reply, such as `CLIENT REPLY OFF` and what follows it.
    ///
    /// # Errors
    /// Those that lose the connection.
    pub fn send_unanswered(&mut self, request: impl Request) -> Result<()> {
        self.send(request)?;
        self.awaited -= 1;
        Ok(())
    }

    /// Waits for the next reply.
    ///
    /// # Errors
    /// Those that lose the connection.
    pub fn receive(&mut self) -> Result<Value> {
        let deadline = self.read_timeout.map(|timeout| Instant::now() + timeout);
        loop {
            match self.next_value(deadline)? {
                Value::Push(items) => self.keep_push(items),
                reply => {
                    self.awaited = self.awaited.saturating_sub(1);
                    return Ok(reply);
                }
            }
        }
    }

    /// The next message that the server sent unasked (RESP3): one that is kept, or one that comes within `timeout`
    /// (`None`: for ever). `None` if none came.
    ///
    /// # Errors
    /// Those that lose the connection; a reply that nobody asked for is [`Error::UnexpectedReply`].
    pub fn next_push(&mut self, timeout: Option<Duration>) -> Result<Option<Vec<Value>>> {
        match self.receive_any(timeout)? {
            None => Ok(None),
            Some(Value::Push(items)) => Ok(Some(items)),
            Some(other) => Err(self.give_up(crate::from_value::unexpected("a push message", &other))),
        }
    }

    /// How many push messages were dropped because nobody fetched them.
    pub fn dropped_pushes(&self) -> u64 {
        self.dropped_pushes
    }

    /// Which protocol the connection speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// How long to wait for each reply from now on; `None`: for ever.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.stream.set_read_timeout(at_least_one_ms(timeout)).map_err(Error::Io)?;
        self.read_timeout = timeout;
        Ok(())
    }

    /// Whether the connection can go on: no error has lost it.
    pub fn is_usable(&self) -> bool {
        !self.broken
    }

    /// Whether an idle connection seems alive: it was not closed by the server, and nothing unasked-for is there but
    /// what RESP3 may push. Costs three system calls.
    pub fn is_alive(&self) -> bool {
        // Nothing else comes unasked in RESP3 than a push, which may be here in part.
        let is_amid_push =
            self.protocol == Protocol::Resp3 && !self.broken && self.awaited == 0 && !self.is_idle();
        (self.is_idle() || is_amid_push) && self.peek(is_amid_push).unwrap_or(false)
    }

    /// Whether the connection can go on and nothing is left to come.
    pub(crate) fn is_idle(&self) -> bool {
        !self.broken && self.awaited == 0 && self.start == self.end && !self.decoder.is_mid_reply()
    }

    /// The socket.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The socket, for a program that goes on by itself. What was received and not given is lost.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// The next reply or push message (as [`Value::Push`]), whichever comes first; `None` if none came within `timeout`
    /// (whose `None` means: wait for ever). What has come of it by then is kept, so waiting can go on.
    ///
    /// # Errors
    /// Those that lose the connection.
    pub fn receive_any(&mut self, timeout: Option<Duration>) -> Result<Option<Value>> {
        self.usable()?;
        if let Some(push) = self.pushes.pop_front() {
            return Ok(Some(Value::Push(push)));
        }
        let value = self.wait_up_to(timeout)?;
        if value.as_ref().is_some_and(|value| !matches!(value, Value::Push(_))) {
            self.awaited = self.awaited.saturating_sub(1);
        }
        Ok(value)
    }

    /// The next value of any kind; `None` if none came within `timeout`.
    fn wait_up_to(&mut self, timeout: Option<Duration>) -> Result<Option<Value>> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        if let Some(value) = self.decode()? {
            return Ok(Some(value));
        }
        let saved = self.stream.read_timeout().map_err(Error::Io)?;
        let result = self.wait_for_value(deadline);
        if !self.broken {
            self.stream.set_read_timeout(saved).map_err(Error::Io)?;
        }
        match result {
            Ok(value) => Ok(Some(value)),
            Err(ReadError::Timeout) => Ok(None),
            Err(ReadError::Lost(error)) => Err(error),
        }
    }

    fn handshake(&mut self, config: &Config) -> Result<()> {
        let user = config.username.as_deref();
        if config.protocol == Protocol::Resp3 {
            let mut hello = Command::new("HELLO").arg("3");
            if let Some(password) = &config.password {
                hello = hello.arg("AUTH").arg(user.unwrap_or("default")).arg(password);
            }
            self.call::<()>(hello)?;
        } else if let Some(password) = &config.password {
            let auth = Command::new("AUTH").args(user).arg(password);
            self.call::<()>(auth)?;
        }
        if config.database != 0 {
            self.call::<()>(Command::new("SELECT").arg(config.database))?;
        }
        Ok(())
    }

    /// Writes `requests` and gives `replies` values to `each`. A large batch is written by a second thread meanwhile: a
    /// server that waits for its replies to be read stops reading, and both sides would wait for ever.
    fn round_trip(&mut self, requests: &[u8], replies: usize, mut each: impl FnMut(Value)) -> Result<()> {
        self.usable()?;
        self.awaited += replies;
        if requests.len() <= WRITTEN_AT_ONCE_BYTES {
            if let Err(error) = (&self.stream).write_all(requests) {
                return Err(self.lost(error));
            }
            return (0..replies).try_for_each(|_| self.receive().map(&mut each));
        }
        let writer = self.stream.try_clone().map_err(Error::Io)?;
        let (received, written) = std::thread::scope(|scope| {
            let written = scope.spawn(move || {
                let result = (&writer).write_all(requests);
                if result.is_err() {
                    // Ends the reading as well; it has failed by then if the shutdown does.
                    let _ = writer.shutdown(Shutdown::Both);
                }
                result
            });
            let received = (0..replies).try_for_each(|_| self.receive().map(&mut each));
            (received, written.join().expect("writing to a socket does not panic"))
        });
        match written {
            Ok(()) => received,
            Err(error) => Err(self.lost(error)),
        }
    }

    fn next_value(&mut self, deadline: Option<Instant>) -> Result<Value> {
        self.usable()?;
        if let Some(value) = self.decode()? {
            return Ok(value);
        }
        // The timeout of the socket is the whole one, so one read is in time; more of them share what is left.
        match self.fill() {
            Ok(()) => {}
            Err(ReadError::Timeout) => return Err(self.give_up(Error::Timeout)),
            Err(ReadError::Lost(error)) => return Err(error),
        }
        if let Some(value) = self.decode()? {
            return Ok(value);
        }
        let result = self.wait_for_value(deadline);
        if !self.broken {
            self.stream.set_read_timeout(at_least_one_ms(self.read_timeout)).map_err(Error::Io)?;
        }
        match result {
            Ok(value) => Ok(value),
            Err(ReadError::Timeout) => Err(self.give_up(Error::Timeout)),
            Err(ReadError::Lost(error)) => Err(error),
        }
    }

    /// Reads until a value is complete. Leaves the socket with another timeout.
    fn wait_for_value(&mut self, deadline: Option<Instant>) -> std::result::Result<Value, ReadError> {
        loop {
            let left = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return Err(ReadError::Timeout),
                left => left,
            };
            let set = self.stream.set_read_timeout(at_least_one_ms(left));
            set.map_err(|error| ReadError::Lost(self.lost(error)))?;
            self.fill()?;
            if let Some(value) = self.decode().map_err(ReadError::Lost)? {
                return Ok(value);
            }
        }
    }

    fn decode(&mut self) -> Result<Option<Value>> {
        let mut input = &self.input[self.start..self.end];
        let decoded = self.decoder.decode(&mut input);
        self.start = self.end - input.len();
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.input.len() > KEPT_BYTES {
                self.input = vec![0; INPUT_BYTES];
            }
        }
        decoded.map_err(|error| self.give_up(error.into()))
    }

    /// Reads once, after making room: what is used is removed, then the buffer doubles.
    fn fill(&mut self) -> std::result::Result<(), ReadError> {
        if self.end == self.input.len() {
            if self.start > 0 {
                self.input.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            } else {
                self.input.resize(self.input.len() * 2, 0);
            }
        }
        loop {
            match self.stream.read(&mut self.input[self.end..]) {
                Ok(0) => return Err(ReadError::Lost(self.give_up(Error::Closed))),
                Ok(n) => {
                    self.end += n;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Err(ReadError::Timeout),
                Err(error) => return Err(ReadError::Lost(self.lost(error))),
            }
        }
    }

    fn keep_push(&mut self, items: Vec<Value>) {
        if self.pushes.len() == MAX_KEPT_PUSHES {
            self.pushes.pop_front();
            self.dropped_pushes += 1;
        }
        self.pushes.push_back(items);
    }

    /// Whether the socket has nothing to read, or a push message, or more of one.
    fn peek(&self, is_amid_push: bool) -> io::Result<bool> {
        self.stream.set_nonblocking(true)?;
        let mut byte = [0];
        let peeked = self.stream.peek(&mut byte);
        self.stream.set_nonblocking(false)?;
        Ok(match peeked {
            Ok(count) => count > 0 && (is_amid_push || byte[0] == b'>'),
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        })
    }

    fn usable(&self) -> Result<()> {
        if self.broken { Err(Error::Broken) } else { Ok(()) }
    }

    /// The connection cannot go on because of `error`.
    fn give_up(&mut self, error: Error) -> Error {
        self.broken = true;
        // It may be closed already.
        let _ = self.stream.shutdown(Shutdown::Both);
        error
    }

    fn lost(&mut self, error: io::Error) -> Error {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        let error = match error.kind() {
            _ if is_timeout(&error) => Error::Timeout,
            ConnectionReset | ConnectionAborted | BrokenPipe => Error::Closed,
            _ => Error::Io(error),
        };
        self.give_up(error)
    }
}

/// Why nothing was read.
enum ReadError {
    Timeout,
    Lost(Error),
}

impl std::fmt::Debug for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Timeout => f.write_str("Timeout"),
            Self::Lost(error) => error.fmt(f),
        }
    }
}

/// A socket whose timeout has passed says one or the other, depending on the system.
fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// A zero timeout would be refused, and a shorter one would round down to zero.
fn at_least_one_ms(timeout: Option<Duration>) -> Option<Duration> {
    timeout.map(|timeout| timeout.max(Duration::from_millis(1)))
}

/// Connects to the socket, or tries each address of the host.
fn connect(config: &Config) -> io::Result<TcpStream> {
    if let Some(path) = &config.socket {
        let stream = connect_unix(path)?;
        stream.set_read_timeout(at_least_one_ms(config.read_timeout))?;
        stream.set_write_timeout(at_least_one_ms(config.write_timeout))?;
        return Ok(stream);
    }
    let mut last = None;
    for address in (config.bare_host(), config.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, config.connect_timeout.max(Duration::from_millis(1))) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(at_least_one_ms(config.read_timeout))?;
                stream.set_write_timeout(at_least_one_ms(config.write_timeout))?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address")))
}

/// A socket is a socket to all that is done with a stream here but naming its ends.
fn connect_unix(path: &Path) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(socket.into())
}
