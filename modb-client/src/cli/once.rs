//! One command, one reply.

use std::io::{self, Read as _, Write as _};

use modb_client::{Connection, Value};

use super::options::Options;
use super::{Failure, Outcome};

/// Sends the command and prints its reply.
pub(crate) fn run(options: &Options) -> Result<Outcome, Failure> {
    let mut command = options.command.clone();
    if options.last_argument_from_stdin {
        let mut argument = Vec::new();
        io::stdin().read_to_end(&mut argument).map_err(Failure::Input)?;
        command.push(argument);
    }
    let mut connection = Connection::open(&options.config)?;
    let reply = connection.call_value(&command)?;
    let mut text = Vec::new();
    options.format.write(&mut text, &reply);
    io::stdout().write_all(&text).map_err(Failure::Output)?;
    Ok(if matches!(reply.without_attributes(), Value::Error(_)) { Outcome::ServerError } else { Outcome::Ok })
}
