//! The conversation of the prompt: what is asked, what is shown, and what the next prompt says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use modb_client::{Config, Error, Value};
use modb_net::resp::parse_i64;

use super::docs::Docs;
use super::ears::Ears;
use super::pager::Pager;
use super::told::Told;
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
/// Who listens is told when nothing comes any more, and when it does again.
const LOST: &str = "Nothing comes any more: the connection is lost. The next command listens again.";
const LISTENS_AGAIN: &str = "Connected anew, and listening again. What came meanwhile was missed.";

/// What was queued since MULTI: some of it changes the prompt once it is executed.
#[derive(Debug, Default)]
struct Transaction {
    commands: Vec<Vec<Vec<u8>>>,
}

/// What a reply says of a transaction.
enum Said {
    /// The command was queued.
    Queued,
    /// What was queued was executed: which of it was done.
    Executed(Vec<bool>),
    /// Nothing.
    Other,
}

impl Said {
    fn of(reply: &Value, is_exec: bool) -> Self {
        match reply {
            Value::Simple(text) if text == b"QUEUED" => Self::Queued,
            Value::Array(replies) if is_exec => {
                Self::Executed(replies.iter().map(|reply| !matches!(reply, Value::Error(_))).collect())
            }
            _ => Self::Other,
        }
    }
}

/// One user's conversation with a server.
#[derive(Debug)]
pub(super) struct Session {
    /// How to connect: the database that the prompt shows, and who the user has said to be since.
    config: Config,
    format: Format,
    link: Option<Link>,
    transaction: Option<Transaction>,
    ears: Ears,
    interrupted: Arc<AtomicBool>,
    pager: Pager,
    /// `None`: what comes unasked is shown with the next command.
    told: Option<Told>,
}

impl Session {
    /// A session that is not connected. From now on Ctrl-C does not end the process.
    pub(super) fn new(options: &Options) -> Result<Self, Failure> {
        let interrupted = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&interrupted))
            .map_err(Failure::Input)?;
        let config = options.config.clone();
        let (format, pager) = (options.format, Pager::of_environment());
        let ears = Ears::new();
        Ok(Self { config, format, link: None, transaction: None, ears, interrupted, pager, told: None })
    }

    /// From here on what the server sends unasked is shown while a line is edited.
    pub(super) fn tell_by(&mut self, told: Told) {
        self.told = Some(told);
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
        (self.link, self.transaction) = (None, None);
        self.ears.lose();
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
        self.transaction.is_none()
            && self.link.as_ref().is_some_and(|link| link.is_plain() && link.is_alive())
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
        let transaction = if self.transaction.is_some() { "(TX)" } else { "" };
        format!("{}{database}{transaction}> ", self.config.address())
    }

    /// What `edit` gives. What the server sends meanwhile is shown.
    pub(super) fn while_told<T>(&mut self, edit: impl FnOnce() -> T) -> T {
        let (Some(told), Some(link)) = (&self.told, self.link.as_mut()) else { return edit() };
        let (format, ears) = (self.format, &self.ears);
        let (end, edited) = mpsc::channel();
        let mut is_lost = false;
        let result = thread::scope(|scope| {
            let is_lost = &mut is_lost;
            scope.spawn(move || {
                *is_lost = told.follow(link, format, &edited).is_err();
                if *is_lost && !ears.are_closed() {
                    told.say(LOST);
                }
            });
            let result = edit();
            drop(end);
            result
        });
        if is_lost {
            // The next command connects anew.
            self.link = None;
        }
        result
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
                    (self.link, self.transaction) = (None, None);
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
        self.listen_again()?;
        let Some(mut link) = self.link.take() else { return print(b"\n") };
        let (format, interrupted) = (self.format, Arc::clone(&self.interrupted));
        let pager = &self.pager;
        let (is_exec, mut said) = (words.len() == 1 && words[0].eq_ignore_ascii_case(b"exec"), Said::Other);
        let mut show = |reply: &Value| {
            said = Said::of(reply, is_exec);
            show(format, pager, &interrupted, reply)
        };
        let mut asked = link.ask(words, &mut show)?;
        match asked {
            Asked::Listens { are_pushed: true } if self.told.is_some() => {
                print(b"What comes is shown above the line. UNSUBSCRIBE ends it.\n")?;
                asked = Asked::Done(Outcome::Ok);
            }
            Asked::Listens { .. } => {
                print(b"Listening. Ctrl-C ends it.\n")?;
                link.listen(&mut show)?;
                asked = Asked::Interrupted;
            }
            _ => {}
        }
        match asked {
            Asked::Done(outcome) => {
                self.link = Some(link);
                match said {
                    Said::Queued => self.queue(words),
                    Said::Executed(done) => self.end_transaction(&done),
                    // It was broken, or what it was to execute was refused before.
                    Said::Other if is_exec => self.end_transaction(&[]),
                    Said::Other if outcome == Outcome::Ok => self.follow(words),
                    Said::Other => {}
                }
                if start.elapsed() > SLOW {
                    print(format!("({:.2} s)\n", start.elapsed().as_secs_f64()).as_bytes())?;
                }
            }
            Asked::Ended => self.transaction = None,
            Asked::Listens { .. } | Asked::Interrupted => {
                print(b"\n")?;
                // The reply may still come on the old one.
                drop(link);
                self.connect_if_at_once();
                if !self.ears.are_closed() {
                    print(format!("{LOST}\n").as_bytes())?;
                }
            }
        }
        Ok(())
    }

    /// Connects anew to a server that answers at once; else the next command tries.
    fn connect_if_at_once(&mut self) {
        let patient = self.config.connect_timeout;
        self.config.connect_timeout = patient.min(AT_ONCE);
        self.transaction = None;
        let opened = Link::open(&self.config, None, |_| true);
        self.link = opened.ok().flatten().map(|link| link.interrupted_by(&self.interrupted));
        self.ears.lose();
        self.config.connect_timeout = patient;
    }

    /// On the connection there is, or on a new one if the server has closed it.
    fn be_connected(&mut self) -> Result<(), Error> {
        if self.link.as_ref().is_some_and(Link::is_alive) {
            return Ok(());
        }
        // What was meant for a transaction must not be executed outside of it.
        if self.transaction.take().is_some() {
            return Err(Error::Closed);
        }
        self.connect()
    }

    /// Has a new connection listen to what the one before listened to.
    fn listen_again(&mut self) -> Result<(), Failure> {
        let may_ask = self.link.as_ref().is_some_and(Link::is_plain);
        if !may_ask || !self.ears.are_lost() {
            return Ok(());
        }
        let Some(mut link) = self.link.take() else { return Ok(()) };
        print(format!("{LISTENS_AGAIN}\n").as_bytes())?;
        for words in self.ears.commands() {
            let mut show = |reply: &Value| show(self.format, &self.pager, &self.interrupted, reply);
            if link.ask(&words, &mut show)? == Asked::Interrupted {
                return Ok(());
            }
        }
        self.link = Some(link);
        self.ears.regain();
        Ok(())
    }

    /// Keeps in mind what changes the prompt, and how to connect the next time, of a command that was executed.
    fn follow(&mut self, words: &[Vec<u8>]) {
        self.ears.follow(words);
        match words[0].to_ascii_lowercase().as_slice() {
            b"select" => self.config.database = database(words),
            b"auth" => self.remember(&words[1..]),
            b"hello" => {
                let auth = words.iter().position(|word| word.eq_ignore_ascii_case(b"auth"));
                if let Some([user, password]) = auth.and_then(|at| words.get(at + 1..at + 3)) {
                    self.remember(&[user.clone(), password.clone()]);
                }
            }
            b"multi" => self.transaction = Some(Transaction::default()),
            b"discard" => self.transaction = None,
            b"reset" => {
                self.transaction = None;
                self.config.database = 0;
            }
            _ => {}
        }
    }

    /// A command was queued.
    fn queue(&mut self, words: &[Vec<u8>]) {
        self.transaction.get_or_insert_default().commands.push(words.to_vec());
    }

    /// `done`: which of what was queued was executed and did not fail.
    fn end_transaction(&mut self, done: &[bool]) {
        let Some(transaction) = self.transaction.take() else { return };
        for (words, _) in transaction.commands.iter().zip(done).filter(|(_, is_done)| **is_done) {
            self.follow(words);
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

/// The database that a SELECT names.
fn database(words: &[Vec<u8>]) -> u32 {
    let number = words.get(1).and_then(|word| parse_i64(word));
    number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
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
