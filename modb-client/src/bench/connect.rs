//! Opening connections: blocking, with the password, the database and one first question.
//!
//! The question (PING, or memcached's `version`) makes a server that will refuse every request say so before
//! a run, and on each connection, since servers also refuse single ones.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use modb_net::resp::{ReplyCounter, ReplyDecoder, Value, encode_request};

use super::error::BenchError;
use super::options::{Options, Wire};
use super::replies::{MemcachedCounter, Replies};

/// How long one address of the server may take to accept.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest answer to the first question, in bytes.
const MAX_FIRST_REPLY_BYTES: usize = 64 << 10;

/// Descriptors that are not connections: standard streams, pollers and what the system opens.
const OTHER_DESCRIPTORS: u64 = 64;

/// A connection that is ready for load, not blocking any more.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) stream: Arc<TcpStream>,
    pub(super) replies: Replies,
}

/// Opens all connections.
///
/// # Errors
/// The first that fails, and why.
pub(super) fn connect_all(options: &Options) -> Result<Vec<Ready>, BenchError> {
    // If the system allows fewer, the connection that is too many will say so.
    let _ = modb_net::raise_descriptor_limit(options.connections as u64 + OTHER_DESCRIPTORS);
    let addresses = resolve(options)?;
    (1..=options.connections).map(|number| connect(options, &addresses, number)).collect()
}

fn resolve(options: &Options) -> Result<Vec<SocketAddr>, BenchError> {
    let resolved = (options.server.host.as_str(), options.server.port).to_socket_addrs();
    let addresses = resolved.map(Iterator::collect::<Vec<_>>);
    addresses.map_err(|source| BenchError::Resolve { address: options.address(), source })
}

fn connect(options: &Options, addresses: &[SocketAddr], number: usize) -> Result<Ready, BenchError> {
    let failed = |source| BenchError::Connect { address: options.address(), number, source };
    let mut stream = open(addresses).map_err(failed)?;
    configure(&stream, options.reply_timeout).map_err(failed)?;
    let replies = match options.wire {
        Wire::Resp => {
            greet_resp(&mut stream, options, number)?;
            Replies::Resp(ReplyCounter::default())
        }
        Wire::Memcached => {
            greet_memcached(&mut stream, options, number)?;
            Replies::Memcached(MemcachedCounter::default())
        }
    };
    stream.set_nonblocking(true).map_err(failed)?;
    Ok(Ready { stream: Arc::new(stream), replies })
}

/// The first address that accepts, else why the last did not.
fn open(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut error = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(refusal) => error = refusal,
        }
    }
    Err(error)
}

fn configure(stream: &TcpStream, reply_timeout: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(reply_timeout))?;
    stream.set_write_timeout(Some(reply_timeout))
}

fn greet_resp(stream: &mut TcpStream, options: &Options, number: usize) -> Result<(), BenchError> {
    let address = || options.address();
    let failed = |source| BenchError::Connect { address: address(), number, source };
    let (mut questions, mut expected) = (Vec::new(), 1);
    if let Some(password) = &options.server.password {
        let user = options.server.username.as_deref();
        let words: Vec<&str> = ["AUTH"].into_iter().chain(user).chain([password.as_str()]).collect();
        encode_request(&mut questions, words);
        expected += 1;
    }
    if options.server.database != 0 {
        encode_request(&mut questions, ["SELECT", &options.server.database.to_string()]);
        expected += 1;
    }
    encode_request(&mut questions, ["PING"]);
    stream.write_all(&questions).map_err(failed)?;

    let (mut decoder, mut received) = (ReplyDecoder::default(), Vec::new());
    while expected > 0 {
        let mut rest = &received[..];
        let decoded = decoder.decode(&mut rest).map_err(|error| BenchError::Protocol {
            address: address(),
            protocol: options.wire.name(),
            reason: error.to_string(),
        })?;
        let used = received.len() - rest.len();
        received.drain(..used);
        match decoded {
            None => receive(stream, &mut received).map_err(failed)?,
            Some(Value::Error(reply)) => {
                let reply = String::from_utf8_lossy(&reply).into_owned();
                return Err(BenchError::Refused { address: address(), reply });
            }
            Some(_) => expected -= 1,
        }
    }
    Ok(())
}

fn greet_memcached(stream: &mut TcpStream, options: &Options, number: usize) -> Result<(), BenchError> {
    let failed = |source| BenchError::Connect { address: options.address(), number, source };
    stream.write_all(b"version\r\n").map_err(failed)?;
    let mut received = Vec::new();
    while !received.ends_with(b"\n") {
        receive(stream, &mut received).map_err(failed)?;
    }
    if received.starts_with(b"VERSION ") {
        return Ok(());
    }
    Err(BenchError::Protocol {
        address: options.address(),
        protocol: options.wire.name(),
        reason: format!("it answers {:?}", String::from_utf8_lossy(&received).trim_end()),
    })
}

/// Reads once, at least one byte.
fn receive(stream: &mut TcpStream, received: &mut Vec<u8>) -> io::Result<()> {
    let mut piece = [0; 1024];
    match stream.read(&mut piece)? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")),
        _ if received.len() > MAX_FIRST_REPLY_BYTES => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "its first reply has no end"))
        }
        bytes => {
            received.extend_from_slice(&piece[..bytes]);
            Ok(())
        }
    }
}
