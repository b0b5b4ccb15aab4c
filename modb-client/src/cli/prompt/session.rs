//! The conversation of the prompt: what is asked, what is shown, and what the next prompt says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use modb_client::{Config, Error, Value};
use modb_net::resp::parse_i64;

use super::docs::Docs;
use super::pager::Pager;
use crate::cli::format::Format;
use crate::cli::link::{Asked, Link};
use crate::cli::options::Options;
use crate::cli::{Failure, Outcome, complain, print};

/// A command that took longer says so.
const SLOW: Duration = Duration::from_millis(500);
/// Output is written in pieces of this, so that Ctrl-C ends a long reply, in bytes.
const OUTPUT_BYTES: usize = 16 << 10;
/// A server that answers within this time is connected to without being asked for.
const AT_ONCE: Duration = Duration::from_millis(300);
/// How long the prompt waits for the documentation of the commands.
const DOCS_TIMEOUT: Duration = Duration::from_secs(5);

/// One user's conversation with a server.
#[derive(Debug)]
pub(super) struct Session {
    /// How to connect: the database that the prompt shows, and who the user has said to be since.
    config: Config,
    format: Format,
    link: Option<Link>,
    is_in_transaction: bool,
    interrupted: Arc<AtomicBool>,
    pager: Pager,
}

impl Session {
    /// A session that is not connected. From now on Ctrl-C does not end the process.
    pub(super) fn new(options: &Options) -> Result<Self, Failure> {
        let interrupted = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&interrupted))
            .map_err(Failure::Input)?;
        let config = options.config.clone();
        let (format, pager) = (options.format, Pager::of_environment());
        Ok(Self { config, format, link: None, is_in_transaction: false, interrupted, pager })
    }

    /// How to connect to where the session is.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// From here on Ctrl-C gives up what follows.
    pub(super) fn begin(&self) {
        self.interrupted.store(false, Ordering::Relaxed);
    }

    /// Whether Ctrl-C was pressed since.
    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Connects anew, to the database that the prompt shows, unless Ctrl-C comes first.
    ///
    /// # Errors
    /// There is no connection.
    pub(super) fn connect(&mut self) -> Result<(), Error> {
        (self.link, self.is_in_transaction) = (None, false);
        // Whatever was refused, the user can mend it here.
        self.link = Link::open(&self.config, Some(&self.interrupted), |_| true)?;
        if let Some(refusal) = self.link.as_ref().and_then(Link::refusal) {
            match refusal.code() {
                "NOAUTH" => complain("the server wants to know who you are: AUTH [USER] PASSWORD"),
                _ => complain(refusal.message()),
            }
        }
        Ok(())
    }

    /// Whether what the server says about its commands can be asked for now, unnoticed.
    pub(super) fn can_load_docs(&self) -> bool {
        !self.is_in_transaction && self.link.as_ref().is_some_and(|link| link.is_plain() && link.is_alive())
    }

    /// What the server says about its commands; nothing if it does not, or not soon.
    pub(super) fn load_docs(&mut self) -> Docs {
        let Some(link) = self.link.as_mut().filter(|link| link.is_plain()) else { return Docs::default() };
        match link.reply_within(&["COMMAND", "DOCS"], DOCS_TIMEOUT) {
            Ok(Some(reply)) => Docs::from_reply(reply),
            Ok(None) | Err(_) => {
                // The reply may still come.
                self.link = None;
                Docs::default()
            }
        }
    }

    /// What to ask the user with.
    pub(super) fn prompt(&self) -> String {
        if self.link.is_none() {
            return "not connected> ".to_owned();
        }
        let database = self.config.database;
        let database = if database == 0 { String::new() } else { format!("[{database}]") };
        let transaction = if self.is_in_transaction { "(TX)" } else { "" };
        format!("{}{database}{transaction}> ", self.config.address())
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
        for _ in 0..times {
            match self.execute_once(&words) {
                // It was ended, by Ctrl-C or by the command.
                Ok(()) if self.link.is_none() || self.is_interrupted() => break,
                Ok(()) => {}
                Err(Failure::Client(error)) => {
                    (self.link, self.is_in_transaction) = (None, false);
                    complain(&error.to_string());
                    break;
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    fn execute_once(&mut self, words: &[Vec<u8>]) -> Result<(), Failure> {
        let start = Instant::now();
        self.be_connected()?;
        let Some(mut link) = self.link.take() else { return print(b"\n") };
        let (format, interrupted) = (self.format, Arc::clone(&self.interrupted));
        let pager = &self.pager;
        let mut show = |reply: &Value| show(format, pager, &interrupted, reply);
        let mut asked = link.ask(words, &mut show)?;
        if asked == Asked::Listens {
            print(b"Listening. Ctrl-C ends it.\n")?;
            link.listen(&mut show)?;
            asked = Asked::Interrupted;
        }
        match asked {
            Asked::Done(outcome) => {
                self.link = Some(link);
                if outcome == Outcome::Ok {
                    self.follow(words);
                }
                if start.elapsed() > SLOW {
                    print(format!("({:.2} s)\n", start.elapsed().as_secs_f64()).as_bytes())?;
                }
            }
            Asked::Ended => self.is_in_transaction = false,
            Asked::Listens | Asked::Interrupted => {
                print(b"\n")?;
                // The reply may still come on the old one.
                drop(link);
                self.connect_if_at_once();
            }
        }
        Ok(())
    }

    /// Connects anew to a server that answers at once; else the next command tries.
    fn connect_if_at_once(&mut self) {
        let patient = self.config.connect_timeout;
        self.config.connect_timeout = patient.min(AT_ONCE);
        self.is_in_transaction = false;
        let opened = Link::open(&self.config, None, |_| true);
        self.link = opened.ok().flatten().map(|link| link.interrupted_by(&self.interrupted));
        self.config.connect_timeout = patient;
    }

    /// On the connection there is, or on a new one if the server has closed it.
    fn be_connected(&mut self) -> Result<(), Error> {
        if self.link.as_ref().is_some_and(Link::is_alive) {
            return Ok(());
        }
        // What was meant for a transaction must not be executed outside of it.
        if std::mem::take(&mut self.is_in_transaction) {
            return Err(Error::Closed);
        }
        self.connect()
    }

    /// Keeps in mind what changes the prompt, and how to connect the next time.
    fn follow(&mut self, words: &[Vec<u8>]) {
        match words[0].to_ascii_lowercase().as_slice() {
            b"select" if !self.is_in_transaction => {
                let number = words.get(1).and_then(|word| parse_i64(word));
                self.config.database = number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
            }
            b"auth" if !self.is_in_transaction => self.remember(&words[1..]),
            b"hello" => {
                let auth = words.iter().position(|word| word.eq_ignore_ascii_case(b"auth"));
                if let Some([user, password]) = auth.and_then(|at| words.get(at + 1..at + 3)) {
                    self.remember(&[user.clone(), password.clone()]);
                }
            }
            b"multi" => self.is_in_transaction = true,
            b"exec" | b"discard" => self.is_in_transaction = false,
            b"reset" => {
                self.is_in_transaction = false;
                self.config.database = 0;
            }
            _ => {}
        }
    }

    /// Who the user is: a password, or a name and a password.
    fn remember(&mut self, words: &[Vec<u8>]) {
        let text = |word: &[u8]| String::from_utf8(word.to_vec()).ok();
        (self.config.username, self.config.password) = match words {
            [password] => (None, text(password)),
            [user, password] => (text(user), text(password)),
            _ => return,
        };
    }
}

/// Shows a reply: one that is higher than the window by the pager, else in pieces, so that Ctrl-C ends a long one.
fn show(format: Format, pager: &Pager, interrupted: &AtomicBool, reply: &Value) -> Result<(), Failure> {
    let mut text = Vec::new();
    format.write(&mut text, reply);
    if pager.shows(&text) {
        return Ok(());
    }
    for piece in text.chunks(OUTPUT_BYTES) {
        if interrupted.load(Ordering::Relaxed) {
            return print(b"\n");
        }
        print(piece)?;
    }
    Ok(())
}
