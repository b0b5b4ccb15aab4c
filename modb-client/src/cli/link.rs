//! A connection that knows what comes back for what it sends, and whose every wait Ctrl-C can end.
//!
//! A server may refuse what a connection begins with (hello, password, database). Where the caller wants that, the link is
//! then a bare one: it speaks RESP2 and is nobody yet. After an AUTH or a HELLO that is accepted it makes up for the rest.
//! Invariants: no command waits for a reply that will not come; after an interruption the link is not used any more, since
//! the reply may still come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use modb_client::{Config, Connection, Error, Pipeline, Protocol, ServerError, Value};

use super::answers::{Answer, Replies};
use super::{Failure, Outcome, complain};

/// How soon Ctrl-C is noticed.
const INTERRUPT_INTERVAL: Duration = Duration::from_millis(100);

/// What has come is read within this.
const AT_HAND: Duration = Duration::from_millis(1);

/// Whoever has waited for a connection for so long is told of it.
const NOTICE: Duration = Duration::from_millis(500);

/// Set by Ctrl-C; `None`: Ctrl-C ends the process.
pub(super) type Interrupt<'a> = Option<&'a Arc<AtomicBool>>;

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    connection: Connection,
    /// What the server refused; the rest of the handshake is to be made up for.
    refusal: Option<ServerError>,
    config: Config,
    replies: Replies,
    interrupted: Option<Arc<AtomicBool>>,
}

/// How asking ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All that comes back was shown.
    Done(Outcome),
    /// It was shown, and messages will come: see [`Link::listen`]. `are_pushed`: beside the replies to other commands.
    Listens { are_pushed: bool },
    /// The server has ended the connection, as it was told to.
    Ended,
    /// Ctrl-C.
    Interrupted,
}

/// Shows a reply.
pub(super) type Show<'a> = &'a mut dyn FnMut(&Value) -> Result<(), Failure>;

impl Link {
    /// Connects; `None`: Ctrl-C came first. What the server refuses makes a bare link if `is_bare_enough` says so.
    pub(super) fn open(
        config: &Config,
        interrupted: Interrupt<'_>,
        is_bare_enough: impl Fn(&ServerError) -> bool,
    ) -> Result<Option<Self>, Error> {
        let (opened, refusal) = match connect(config, interrupted) {
            Err(Error::Server(refusal)) if is_bare_enough(&refusal) => {
                let mut bare = config.clone();
                (bare.username, bare.password, bare.database) = (None, None, 0);
                bare.protocol = Protocol::Resp2;
                (connect(&bare, interrupted)?, Some(refusal))
            }
            opened => (opened?, None),
        };
        Ok(opened.map(|connection| Self {
            connection,
            refusal,
            config: config.clone(),
            replies: Replies::All,
            interrupted: interrupted.cloned(),
        }))
    }

    /// The link of a command that is given by arguments or in a pipe, which may itself be the AUTH that is missing.
    pub(super) fn open_for_commands(config: &Config) -> Result<Self, Error> {
        let has_password = config.password.is_some();
        let opened = Self::open(config, None, |refusal| refusal.code() == "NOAUTH" && !has_password)?;
        opened.ok_or(Error::Broken)
    }

    /// The same, whose waits that flag ends from now on.
    pub(super) fn interrupted_by(mut self, interrupted: &Arc<AtomicBool>) -> Self {
        self.interrupted = Some(Arc::clone(interrupted));
        self
    }

    /// Why it is a bare one, if it is.
    pub(super) fn refusal(&self) -> Option<&ServerError> {
        self.refusal.as_ref()
    }

    /// Whether it seems alive.
    pub(super) fn is_alive(&self) -> bool {
        self.connection.is_alive()
    }

    /// Whether every command gets one reply, unless it is one of those that [`Answer`] knows.
    pub(super) fn is_plain(&self) -> bool {
        self.replies == Replies::All && self.refusal.is_none()
    }

    /// Sends a batch of commands of which each gets one reply.
    pub(super) fn run_each(&mut self, pipeline: &Pipeline, each: impl FnMut(Value)) -> Result<(), Error> {
        self.connection.run_each(pipeline, each)
    }

    /// Sends a command and shows what comes back.
    pub(super) fn ask(&mut self, words: &[Vec<u8>], show: Show<'_>) -> Result<Asked, Failure> {
        let answer = Answer::to(words);
        if let Answer::Silence(replies) = answer {
            return self.silence(words, replies, show);
        }
        if answer == Answer::RepliesAgain {
            self.replies = Replies::All;
        }
        if !self.replies.take() {
            self.connection.send_unanswered(words)?;
            return Ok(Asked::Done(Outcome::Ok));
        }
        let is_pushed = matches!(answer, Answer::Push | Answer::Messages);
        if is_pushed {
            // What comes back is no reply in RESP3.
            self.connection.send_unanswered(words)?;
        } else {
            self.connection.send(words)?;
        }
        let reply = loop {
            match self.receive() {
                // One that happens to come before the reply.
                Ok(Some(push @ Value::Push(_))) if !is_pushed => show(&push)?,
                Ok(Some(reply)) => break reply,
                Ok(None) => return Ok(Asked::Interrupted),
                Err(Error::Closed) if answer == Answer::End => return Ok(Asked::Ended),
                Err(error) => return Err(error.into()),
            }
        };
        let outcome = Outcome::of(&reply);
        if outcome == Outcome::Ok && !self.make_up_for(&words[0])? {
            return Ok(Asked::Interrupted);
        }
        show(&reply)?;
        if answer == Answer::Messages && outcome == Outcome::Ok {
            return Ok(Asked::Listens { are_pushed: matches!(reply, Value::Push(_)) });
        }
        Ok(Asked::Done(outcome))
    }

    /// Shows what comes, until Ctrl-C or the end of the connection.
    pub(super) fn listen(&mut self, show: Show<'_>) -> Result<(), Failure> {
        while let Some(message) = self.receive()? {
            show(&message)?;
        }
        Ok(())
    }

    /// What the server has sent without being asked and nobody has seen yet; `None`: nothing.
    pub(super) fn unasked(&mut self) -> Result<Option<Value>, Error> {
        self.connection.receive_any(Some(AT_HAND))
    }

    /// The reply to a command, if it comes within `timeout` and before Ctrl-C.
    pub(super) fn reply_within(&mut self, words: &[&str], timeout: Duration) -> Result<Option<Value>, Error> {
        let deadline = Instant::now() + timeout;
        self.connection.send(words)?;
        loop {
            match self.receive_until(Some(deadline))? {
                Some(Value::Push(_)) => {}
                reply => return Ok(reply),
            }
        }
    }

    /// Sends a command after which no reply comes. One that is refused does get a reply, so it is asked together with
    /// `CLIENT REPLY ON`, whose reply is the only one if it was accepted; then it is sent again.
    fn silence(&mut self, words: &[Vec<u8>], replies: Replies, show: Show<'_>) -> Result<Asked, Failure> {
        if self.replies == Replies::None {
            self.connection.send_unanswered(words)?;
            return Ok(Asked::Done(Outcome::Ok));
        }
        self.replies = Replies::All;
        self.connection.send_unanswered(words)?;
        let Some(first) = self.call(&["CLIENT", "REPLY", "ON"])? else { return Ok(Asked::Interrupted) };
        if first == Value::Simple(b"OK".to_vec()) {
            self.connection.send_unanswered(words)?;
            self.replies = replies;
            return Ok(Asked::Done(Outcome::Ok));
        }
        if self.receive()?.is_none() {
            return Ok(Asked::Interrupted);
        }
        show(&first)?;
        Ok(Asked::Done(Outcome::of(&first)))
    }

    /// On a bare link, after the server has accepted who is there: the protocol and the database. `false`: Ctrl-C.
    fn make_up_for(&mut self, name: &[u8]) -> Result<bool, Error> {
        let is_hello = name.eq_ignore_ascii_case(b"hello");
        if self.refusal.is_none() || !(is_hello || name.eq_ignore_ascii_case(b"auth")) {
            return Ok(true);
        }
        self.refusal = None;
        let database = self.config.database.to_string();
        let hello = (self.config.protocol == Protocol::Resp3 && !is_hello).then_some(vec!["HELLO", "3"]);
        let select = (self.config.database != 0).then_some(vec!["SELECT", &database]);
        for words in [hello, select].into_iter().flatten() {
            // A server that refuses them is one that can do without.
            if self.call(&words)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// `None`: Ctrl-C came first.
    fn call(&mut self, words: &[&str]) -> Result<Option<Value>, Error> {
        self.connection.send(words)?;
        loop {
            match self.receive()? {
                Some(Value::Push(_)) => {}
                reply => return Ok(reply),
            }
        }
    }

    /// The next of what comes; `None`: Ctrl-C came first.
    fn receive(&mut self) -> Result<Option<Value>, Error> {
        let deadline = self.config.read_timeout.map(|timeout| Instant::now() + timeout);
        let received = self.receive_until(deadline)?;
        if received.is_none() && !self.is_interrupted() {
            return Err(Error::Timeout);
        }
        Ok(received)
    }

    /// `None`: the deadline or Ctrl-C came first.
    fn receive_until(&mut self, deadline: Option<Instant>) -> Result<Option<Value>, Error> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let patience = match self.interrupted {
                Some(_) => Some(left.map_or(INTERRUPT_INTERVAL, |left| left.min(INTERRUPT_INTERVAL))),
                None => left,
            };
            if let Some(value) = self.connection.receive_any(patience)? {
                return Ok(Some(value));
            }
            if self.is_interrupted() || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(None);
            }
        }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed))
    }
}

/// Connects; `None`: Ctrl-C came first. The attempt then goes on in a thread of its own, until its own timeout.
fn connect(config: &Config, interrupted: Interrupt<'_>) -> Result<Option<Connection>, Error> {
    let Some(interrupted) = interrupted else { return Connection::open(config).map(Some) };
    let (done, outcome) = channel();
    let address = config.address();
    let config = config.clone();
    // Nobody may want it any more.
    std::thread::spawn(move || drop(done.send(Connection::open(&config))));
    let mut notice = Some(Instant::now() + NOTICE);
    loop {
        match outcome.recv_timeout(INTERRUPT_INTERVAL) {
            Ok(opened) => return opened.map(Some),
            Err(RecvTimeoutError::Timeout) if interrupted.load(Ordering::Relaxed) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {
                if notice.take_if(|notice| Instant::now() >= *notice).is_some() {
                    complain(&format!("connecting to {address}; Ctrl-C gives up"));
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Err(Error::Broken),
        }
    }
}
