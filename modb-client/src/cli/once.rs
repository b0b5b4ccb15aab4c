//! The command of the arguments, once or several times.

use std::io::{self, Read as _};

use modb_client::Value;

use super::link::{Asked, Link};
use super::options::{FromStdin, Options};
use super::{Failure, Outcome, show};

/// Sends the command and prints its reply, as often as the options say.
pub(crate) fn run(options: &Options) -> Result<Outcome, Failure> {
    let mut command = options.command.clone();
    if let Some(which) = &options.from_stdin {
        let mut argument = Vec::new();
        io::stdin().read_to_end(&mut argument).map_err(Failure::Input)?;
        match which {
            FromStdin::Last => command.push(argument),
            FromStdin::Tag(tag) => {
                command.iter_mut().filter(|word| *word == tag).for_each(|word| word.clone_from(&argument));
            }
        }
    }
    let mut link = Link::open_for_commands(&options.config)?;
    let mut show = |reply: &Value| show(options, reply);
    let mut outcome = Outcome::Ok;
    for round in 0..options.repeat.unwrap_or(1) {
        if let (Some(interval), 1..) = (options.interval, round) {
            std::thread::sleep(interval);
        }
        match link.ask(&command, &mut show)? {
            Asked::Done(of_this) => outcome = outcome.and(of_this),
            Asked::Listens { .. } => link.listen(&mut show)?,
            Asked::Ended | Asked::Interrupted => break,
        }
        if outcome == Outcome::ServerError && options.stops_at_error {
            break;
        }
    }
    Ok(outcome)
}
