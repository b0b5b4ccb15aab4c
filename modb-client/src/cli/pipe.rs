//! Commands from a pipe, one a line, quoted as at the prompt.
//!
//! What has been read is sent in one batch, so that a large file is not one round trip per line. Output is in the order of
//! the input; a line that cannot be split is reported on standard error, with its number, and the rest goes on. Behind a
//! command that listens for messages nothing is read any more.

use std::io::{self, BufRead as _, BufReader, ErrorKind};

use modb_client::terminal::output;
use modb_client::{Pipeline, Value};
use modb_net::resp::split_args;

use super::answers::Answer;
use super::link::{Asked, Link};
use super::options::Options;
use super::{Failure, Outcome, complain, print, show};

/// A batch is sent when it has this many commands, or when no more input is waiting in the buffer.
const BATCH: usize = 1000;
/// The input is read in pieces of this, in bytes.
const INPUT_BYTES: usize = 64 << 10;

/// What Windows programs put before text in UTF-8, and before text in UTF-16.
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
const UTF16_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// Sends the commands of standard input and prints their replies.
pub(crate) fn run(options: &Options) -> Result<Outcome, Failure> {
    let link = Link::open_for_commands(&options.config)?;
    let mut pipe = Pipe { link, options, pipeline: Pipeline::new(), outcome: Outcome::Ok };
    let mut input = BufReader::with_capacity(INPUT_BYTES, io::stdin().lock());
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = input.read_until(b'\n', &mut line).map_err(Failure::Input)?;
        let text = if number == 1 { without_mark(&line)? } else { &line };
        match words(text) {
            Some(command) if !command.is_empty() => {
                if pipe.take(&command)? == Next::Stop {
                    break;
                }
            }
            Some(_) => {}
            None => {
                complain(&format!("line {number}: unbalanced quotes"));
                pipe.outcome = Outcome::ServerError;
            }
        }
        let more_waits = input.buffer().contains(&b'\n');
        // Nothing may be executed behind an error at which it is to end.
        if read == 0 || pipe.pipeline.len() == BATCH || !more_waits || options.stops_at_error {
            pipe.flush()?;
        }
        if read == 0 || (options.stops_at_error && pipe.outcome == Outcome::ServerError) {
            break;
        }
    }
    Ok(pipe.outcome)
}

/// The input without the mark of its encoding.
fn without_mark(input: &[u8]) -> Result<&[u8], Failure> {
    if UTF16_MARKS.iter().any(|mark| input.starts_with(mark)) {
        let what = "it is text in UTF-16, and commands are read in UTF-8";
        return Err(Failure::Input(io::Error::new(ErrorKind::InvalidData, what)));
    }
    Ok(input.strip_prefix(UTF8_MARK).unwrap_or(input))
}

/// Commands on their way.
struct Pipe<'a> {
    link: Link,
    options: &'a Options,
    pipeline: Pipeline,
    outcome: Outcome,
}

/// Whether to read on.
#[derive(PartialEq, Eq)]
enum Next {
    Line,
    Stop,
}

impl Pipe<'_> {
    fn take(&mut self, command: &[Vec<u8>]) -> Result<Next, Failure> {
        if Answer::to(command) == Answer::Reply && self.link.is_plain() {
            self.pipeline.push(command);
            return Ok(Next::Line);
        }
        self.flush()?;
        let mut show = |reply: &Value| show(self.options, reply);
        match self.link.ask(command, &mut show)? {
            Asked::Done(outcome) => self.outcome = self.outcome.and(outcome),
            Asked::Listens { .. } => {
                self.link.listen(&mut show)?;
                return Ok(Next::Stop);
            }
            Asked::Ended | Asked::Interrupted => return Ok(Next::Stop),
        }
        Ok(Next::Line)
    }

    /// Sends what is waiting, and prints what comes back, also if the connection ends before all of it has come.
    fn flush(&mut self) -> Result<(), Failure> {
        if self.pipeline.is_empty() {
            return Ok(());
        }
        let mut text = Vec::new();
        let mut outcome = self.outcome;
        let stops_at_error = self.options.stops_at_error;
        let done = self.link.run_each(&self.pipeline, |reply| {
            match &reply {
                Value::Error(error) if stops_at_error => output::complain(&String::from_utf8_lossy(error)),
                reply => self.options.format.write(&mut text, reply),
            }
            outcome = outcome.and(Outcome::of(&reply));
        });
        self.outcome = outcome;
        self.pipeline.clear();
        print(&text)?;
        Ok(done?)
    }
}

/// The words of a line; `None` if its quotes are unbalanced.
pub(crate) fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut bytes = Vec::new();
    let mut spans = Vec::new();
    split_args(line, &mut bytes, |span| spans.push(span)).ok()?;
    Some(spans.into_iter().map(|span| bytes[span].to_vec()).collect())
}
