//! `--pipe`: standard input to the server as it is, for loading data in bulk; replies are counted, errors shown.
//!
//! Input is sent by a thread of its own, since a server stops reading while its replies are not read. That the last reply has
//! come is known from an `ECHO` of something that nobody else says.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use modb_client::terminal::output;
use modb_client::{Connection, Error, Value};
use modb_net::resp::ReplyDecoder;

use super::options::Options;
use super::{Failure, Outcome, print};

/// Replies are read in pieces of this, in bytes.
const INPUT_BYTES: usize = 64 << 10;
/// How soon it is noticed that everything was sent.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

const ALL_SENT: &[u8] = b"All data transferred. Waiting for the last reply...\n";

/// Sends everything, then says how many replies came and how many of them were errors.
pub(crate) fn run(options: &Options) -> Result<Outcome, Failure> {
    let stream = Connection::open(&options.config)?.into_stream();
    stream.set_write_timeout(None).map_err(Error::Io)?;
    let marker = marker();
    let sending = send(stream.try_clone().map_err(Error::Io)?, marker.clone());
    let counted = Replies {
        stream,
        decoder: ReplyDecoder::new(options.config.limits.clone()),
        sending: Some(sending),
        errors: 0,
        count: 0,
    }
    .count(&marker, options.pipe_timeout)?;
    print(
        format!("Last reply received from server.\nerrors: {}, replies: {}\n", counted.errors, counted.count)
            .as_bytes(),
    )?;
    Ok(if counted.errors == 0 { Outcome::Ok } else { Outcome::ServerError })
}

/// Twenty characters that nobody else says.
fn marker() -> String {
    let number = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:04x}", number(), number() & 0xffff)
}

/// Why not all could be sent.
type Sent = Result<(), Failure>;

fn send(mut stream: TcpStream, marker: String) -> JoinHandle<Sent> {
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        let mut bytes = vec![0; INPUT_BYTES];
        loop {
            let read = match input.read(&mut bytes) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::Input(error)),
            };
            stream.write_all(&bytes[..read]).map_err(Error::Io)?;
        }
        // The line end is for a last command without one.
        let echo = format!("\r\n*2\r\n$4\r\nECHO\r\n${}\r\n{marker}\r\n", marker.len());
        stream.write_all(echo.as_bytes()).map_err(Error::Io)?;
        Ok(())
    })
}

struct Replies {
    stream: TcpStream,
    decoder: ReplyDecoder,
    /// Until all was sent.
    sending: Option<JoinHandle<Sent>>,
    errors: u64,
    count: u64,
}

impl Replies {
    /// Until the marker comes.
    fn count(mut self, marker: &str, timeout: Option<Duration>) -> Result<Self, Failure> {
        self.stream.set_read_timeout(Some(LOOK_AGAIN)).map_err(Error::Io)?;
        let (mut input, mut piece) = (Vec::new(), vec![0; INPUT_BYTES]);
        let mut silent = Duration::ZERO;
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(Error::Closed.into()),
                Ok(read) => {
                    silent = Duration::ZERO;
                    input.extend_from_slice(&piece[..read]);
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    silent += if self.sending.is_none() { LOOK_AGAIN } else { Duration::ZERO };
                    if let Some(timeout) = timeout.filter(|timeout| silent >= *timeout) {
                        return Err(Failure::Unanswered(timeout));
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Error::Closed.into()),
            }
            let mut rest = input.as_slice();
            while let Some(reply) = self.decoder.decode(&mut rest).map_err(Error::from)? {
                if reply.as_bytes() == Some(marker.as_bytes()) {
                    if self.sending.is_some() {
                        print(ALL_SENT)?;
                    }
                    return Ok(self);
                }
                self.take(&reply);
            }
            let used = input.len() - rest.len();
            input.drain(..used);
            if let Some(sending) = self.sending.take_if(|sending| sending.is_finished()) {
                match sending.join() {
                    Ok(Err(failure @ Failure::Input(_))) => return Err(failure),
                    Ok(Ok(())) => print(ALL_SENT)?,
                    // It could not be written: what can still be read ends the reading.
                    Ok(Err(_)) | Err(_) => {}
                }
            }
        }
    }

    fn take(&mut self, reply: &Value) {
        match reply {
            Value::Push(_) => return,
            Value::Error(text) => {
                output::complain(&String::from_utf8_lossy(text));
                self.errors += 1;
            }
            _ => {}
        }
        self.count += 1;
    }
}
