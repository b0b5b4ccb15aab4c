//! The options of the command line, named as redis-cli names the same thing.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::time::Duration;

use lexopt::prelude::{Long, Short, Value, ValueExt};
use modb_client::{Config, Protocol};

use super::format::Format;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Usage: modb-client [OPTIONS] COMMAND [ARGUMENT ...]

Connection
  -h HOST            the server's name or address (127.0.0.1)
  -p PORT            its port (6379)
  -u URL             all of it: modb://[[user]:password@]host[:port][/database]
  -a, --pass PASSWORD
                     authenticate; better in the environment, as MODB_PASSWORD or REDISCLI_AUTH
  --user NAME        authenticate as this user
  -n DATABASE        select this database
  -2, -3             speak RESP2 or RESP3 (default: RESP2; with --json RESP3)
  -t SECONDS         give up when connecting takes longer (5)

Input
  -x                 take the last argument from standard input

Output
  --raw              the bytes themselves (default when the output is not a terminal)
  --no-raw           readable, with types (default on a terminal)
  --json, --csv      as JSON or CSV

  --help, --version

Exit status: 0; 1 if the server answered with an error; 2 for wrong usage or no connection.
";

/// What the arguments ask for.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// Something that needs a server.
    Run(Box<Options>),
    Help,
    Version,
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Mode {
    /// One command.
    Once,
}

/// Everything the arguments say.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) config: Config,
    pub(crate) mode: Mode,
    pub(crate) format: Format,
    pub(crate) last_argument_from_stdin: bool,
    /// The command with its arguments.
    pub(crate) command: Vec<Vec<u8>>,
}

/// Reads the arguments and the environment.
///
/// # Errors
/// A sentence for the user.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Parsed, lexopt::Error> {
    let mut parser = lexopt::Parser::from_args(args);
    let mut config = Config::default();
    let mut protocol = None;
    let mut format = None;
    let mut last_argument_from_stdin = false;
    let mut command: Vec<Vec<u8>> = Vec::new();
    for name in ["REDISCLI_AUTH", "MODB_PASSWORD"] {
        config.password = std::env::var(name).ok().or(config.password);
    }
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') => config.host = parser.value()?.string()?,
            Short('p') => config.port = parser.value()?.parse()?,
            Short('u') => {
                let url: Config =
                    parser.value()?.string()?.parse().map_err(|e| lexopt::Error::Custom(Box::new(e)))?;
                let password = config.password;
                config = url;
                config.password = config.password.or(password);
            }
            Short('a') | Long("pass") => config.password = Some(parser.value()?.string()?),
            Long("user") => config.username = Some(parser.value()?.string()?),
            Short('n') => config.database = parser.value()?.parse()?,
            Short('t') => {
                let seconds: f64 = parser.value()?.parse()?;
                config.connect_timeout =
                    Duration::try_from_secs_f64(seconds).map_err(|e| lexopt::Error::Custom(Box::new(e)))?;
            }
            Short('2') => protocol = Some(Protocol::Resp2),
            Short('3') => protocol = Some(Protocol::Resp3),
            Short('x') => last_argument_from_stdin = true,
            Long("raw") => format = Some(Format::Raw),
            Long("no-raw") => format = Some(Format::Human),
            Long("json") => format = Some(Format::Json),
            Long("csv") => format = Some(Format::Csv),
            // There is none to suppress.
            Long("no-auth-warning") => {}
            Long("help") | Short('?') => return Ok(Parsed::Help),
            Long("version") | Short('v') => return Ok(Parsed::Version),
            Value(name) => {
                command.push(name.into_encoded_bytes());
                // What follows belongs to the command, whatever it looks like.
                command.extend(parser.raw_args()?.map(OsString::into_encoded_bytes));
            }
            other => return Err(other.unexpected()),
        }
    }
    if command.is_empty() {
        return Err("a command is missing".into());
    }
    let format = format.unwrap_or_else(Format::for_stdout);
    config.protocol =
        protocol.unwrap_or(if format == Format::Json { Protocol::Resp3 } else { Protocol::Resp2 });
    // Commands may block for as long as they like: whoever waits can press Ctrl-C.
    config.read_timeout = None;
    let options = Options { config, mode: Mode::Once, format, last_argument_from_stdin, command };
    Ok(Parsed::Run(Box::new(options)))
}

impl Format {
    /// Readable for humans, raw for programs.
    fn for_stdout() -> Self {
        if std::io::stdout().is_terminal() { Self::Human } else { Self::Raw }
    }
}
