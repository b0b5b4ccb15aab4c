//! Commands from a pipe, one a line, quoted as at the prompt.
//!
//! What has been read is sent in one batch, so that a large file is not one round trip per line. Output is in the order of
//! the input; a line that cannot be split is reported on standard error, with its number, and the rest goes on.

use std::io::{self, BufRead as _, BufReader};

use modb_client::{Connection, Pipeline, Value};
use modb_net::resp::split_args;

use super::options::Options;
use super::{Failure, Outcome, complain, print};

/// A batch is sent when it has this many commands, or when no more input is waiting in the buffer.
const BATCH: usize = 1000;
/// The input is read in pieces of this, in bytes.
const INPUT_BYTES: usize = 64 << 10;

/// Sends the commands of standard input and prints their replies.
pub(crate) fn run(options: &Options) -> Result<Outcome, Failure> {
    let mut connection = Connection::open(&options.config)?;
    let mut input = BufReader::with_capacity(INPUT_BYTES, io::stdin().lock());
    let mut outcome = Outcome::Ok;
    let mut pipeline = Pipeline::new();
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        let read = input.read_until(b'\n', &mut line).map_err(Failure::Input)?;
        number += 1;
        match words(&line) {
            Some(command) if !command.is_empty() => {
                pipeline.push(&command);
            }
            Some(_) => {}
            None => {
                complain(&format!("line {number}: unbalanced quotes"));
                outcome = Outcome::ServerError;
            }
        }
        let more_waits = input.buffer().contains(&b'\n');
        if !pipeline.is_empty() && (read == 0 || pipeline.len() == BATCH || !more_waits) {
            outcome = outcome.and(send(&mut connection, &pipeline, options)?);
            pipeline.clear();
        }
        if read == 0 {
            return Ok(outcome);
        }
    }
}

fn send(connection: &mut Connection, pipeline: &Pipeline, options: &Options) -> Result<Outcome, Failure> {
    let mut text = Vec::new();
    let mut outcome = Outcome::Ok;
    for reply in connection.run(pipeline)? {
        let reply = reply.unwrap_or_else(|error| Value::Error(error.message().as_bytes().to_vec()));
        options.format.write(&mut text, &reply);
        outcome = outcome.and(Outcome::of(&reply));
    }
    print(&text)?;
    Ok(outcome)
}

/// The words of a line; `None` if its quotes are unbalanced.
pub(crate) fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut bytes = Vec::new();
    let mut spans = Vec::new();
    split_args(line, &mut bytes, |span| spans.push(span)).ok()?;
    Some(spans.into_iter().map(|span| bytes[span].to_vec()).collect())
}
