//! The connection of the prompt: what is asked, what is shown, and what the next prompt says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use modb_client::{Connection, Error, Value};
use modb_net::resp::parse_i64;

use super::docs::Docs;
use crate::cli::options::Options;
use crate::cli::{Failure, complain, print};

/// How soon Ctrl-C is noticed while a command runs.
const INTERRUPT_INTERVAL: Duration = Duration::from_millis(100);
/// A command that took longer says so.
const SLOW: Duration = Duration::from_millis(500);
/// Output is written in pieces of this, so that Ctrl-C ends a long reply, in bytes.
const OUTPUT_BYTES: usize = 16 << 10;
/// How long the prompt waits for the documentation of the commands.
const DOCS_TIMEOUT: Duration = Duration::from_secs(5);

/// One user's conversation with a server.
#[derive(Debug)]
pub(super) struct Session<'a> {
    options: &'a Options,
    connection: Option<Connection>,
    database: u32,
    is_in_transaction: bool,
    interrupted: Arc<AtomicBool>,
}

/// Why nothing more is expected of a command.
enum Wait {
    Reply(Value),
    Interrupted,
}

impl<'a> Session<'a> {
    /// A session that is not connected. From now on Ctrl-C does not end the process.
    pub(super) fn new(options: &'a Options) -> Result<Self, Failure> {
        let interrupted = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&interrupted))
            .map_err(Failure::Input)?;
        let database = options.config.database;
        Ok(Self { options, connection: None, database, is_in_transaction: false, interrupted })
    }

    /// Connects anew, to the database that the prompt shows.
    pub(super) fn connect(&mut self) -> Result<(), Error> {
        self.connection = None;
        self.is_in_transaction = false;
        let mut config = self.options.config.clone();
        config.database = self.database;
        self.connection = Some(Connection::open(&config)?);
        Ok(())
    }

    /// What the server says about its commands; nothing if it does not, or not soon.
    pub(super) fn load_docs(&mut self) -> Docs {
        let Some(connection) = &mut self.connection else { return Docs::default() };
        let asked = connection
            .set_read_timeout(Some(DOCS_TIMEOUT))
            .and_then(|()| connection.call_value(["COMMAND", "DOCS"]));
        match asked {
            Ok(reply) => {
                // If it fails, the next command says so.
                let _ = connection.set_read_timeout(None);
                Docs::from_reply(reply)
            }
            Err(_) => {
                self.connection = None;
                Docs::default()
            }
        }
    }

    /// What to ask the user with.
    pub(super) fn prompt(&self) -> String {
        if self.connection.is_none() {
            return "not connected> ".to_owned();
        }
        let database = if self.database == 0 { String::new() } else { format!("[{}]", self.database) };
        let transaction = if self.is_in_transaction { "(TX)" } else { "" };
        format!("{}{database}{transaction}> ", self.options.config.address())
    }

    /// Sends a command, several times if it begins with a number, and shows what comes back.
    ///
    /// # Errors
    /// Only if the output cannot be written: everything else is shown.
    pub(super) fn execute(&mut self, mut words: Vec<Vec<u8>>) -> Result<(), Failure> {
        let mut times = 1;
        if let (Some(count @ 1..), 2..) = (parse_i64(&words[0]), words.len()) {
            times = count;
            words.remove(0);
        }
        self.interrupted.store(false, Ordering::Relaxed);
        for _ in 0..times {
            match self.execute_once(&words) {
                Ok(true) => {}
                Ok(false) => break,
                Err(Failure::Client(error)) => {
                    self.connection = None;
                    complain(&error.to_string());
                    break;
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// `false`: it was given up.
    fn execute_once(&mut self, words: &[Vec<u8>]) -> Result<bool, Failure> {
        let start = Instant::now();
        self.send(words)?;
        let reply = loop {
            match self.wait()? {
                // One that happens to come before the reply.
                Wait::Reply(push @ Value::Push(_)) if !is_answered_by_push(&words[0]) => self.show(&push)?,
                Wait::Reply(reply) => break reply,
                Wait::Interrupted => return self.give_up(),
            }
        };
        self.follow(words, &reply);
        self.show(&reply)?;
        if start.elapsed() > SLOW {
            print(format!("({:.2} s)\n", start.elapsed().as_secs_f64()).as_bytes())?;
        }
        let is_error = matches!(reply, Value::Error(_));
        if !is_error && streams(&words[0]) {
            return self.listen();
        }
        Ok(!self.interrupted.load(Ordering::Relaxed))
    }

    /// Sends on the connection, or on a new one if the server has closed it.
    fn send(&mut self, words: &[Vec<u8>]) -> Result<(), Error> {
        if self.connection.as_ref().is_none_or(|connection| !connection.is_alive()) {
            // What was meant for a transaction must not be executed outside of it.
            if std::mem::take(&mut self.is_in_transaction) {
                return Err(Error::Closed);
            }
            self.connect()?;
        }
        self.connection.as_mut().ok_or(Error::Broken)?.send(words)
    }

    fn wait(&mut self) -> Result<Wait, Error> {
        let Some(connection) = &mut self.connection else { return Err(Error::Broken) };
        loop {
            if let Some(value) = connection.receive_any(Some(INTERRUPT_INTERVAL))? {
                return Ok(Wait::Reply(value));
            }
            if self.interrupted.load(Ordering::Relaxed) {
                return Ok(Wait::Interrupted);
            }
        }
    }

    /// Shows what the server sends unasked, until Ctrl-C.
    fn listen(&mut self) -> Result<bool, Failure> {
        print(b"Listening. Ctrl-C ends it.\n")?;
        loop {
            match self.wait()? {
                Wait::Reply(value) => self.show(&value)?,
                Wait::Interrupted => return self.give_up(),
            }
        }
    }

    /// Leaves a command whose reply may still come.
    fn give_up(&mut self) -> Result<bool, Failure> {
        self.connection = None;
        print(b"\n")?;
        if let Err(error) = self.connect() {
            complain(&error.to_string());
        }
        Ok(false)
    }

    fn show(&self, reply: &Value) -> Result<(), Failure> {
        let mut text = Vec::new();
        self.options.format.write(&mut text, reply);
        for piece in text.chunks(OUTPUT_BYTES) {
            if self.interrupted.load(Ordering::Relaxed) {
                return print(b"\n");
            }
            print(piece)?;
        }
        Ok(())
    }

    /// Keeps in mind what changes the prompt.
    fn follow(&mut self, words: &[Vec<u8>], reply: &Value) {
        if matches!(reply, Value::Error(_)) {
            return;
        }
        match words[0].to_ascii_lowercase().as_slice() {
            b"select" if !self.is_in_transaction => {
                let number = words.get(1).and_then(|word| parse_i64(word));
                self.database = number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
            }
            b"multi" => self.is_in_transaction = true,
            b"exec" | b"discard" => self.is_in_transaction = false,
            b"reset" => {
                self.is_in_transaction = false;
                self.database = 0;
            }
            _ => {}
        }
    }
}

/// Whether RESP3 has a push message in the place of the reply.
fn is_answered_by_push(name: &[u8]) -> bool {
    name.to_ascii_lowercase().ends_with(b"subscribe")
}

/// Whether the server goes on sending after the reply.
fn streams(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_slice(), b"subscribe" | b"psubscribe" | b"ssubscribe" | b"monitor")
}
