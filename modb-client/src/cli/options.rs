//! The options of the command line, named as redis-cli names the same thing.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::time::Duration;

use lexopt::ValueExt as _;
use modb_client::{Config, Protocol};

use super::format::Format;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Usage: modb-client [OPTIONS] [COMMAND [ARGUMENT ...]]
       modb-client bench [OPTIONS]                 (see modb-client bench --help)

Without a command: a prompt, or the commands of standard input, one a line.

Connection
  -h HOST            the server's name or address (127.0.0.1)
  -p PORT            its port (6379)
  -u URL             all of it: modb:// or redis://[[user]:password@]host[:port][/database]
  -a, --pass PASSWORD
                     authenticate; better in the environment, as MODB_PASSWORD or REDISCLI_AUTH
  --user NAME        authenticate as this user
  -n DATABASE        select this database
  -2, -3             speak RESP2 or RESP3 (default: RESP3 for the prompt and --json, else RESP2)
  -t SECONDS         give up when connecting takes longer (5)

Input
  -x                 take the last argument from standard input
  -r TIMES           send the command so often, -1: for ever; lines of --stat and --latency
  -i SECONDS         and wait so long in between; also for --stat, --latency, --scan, --bigkeys

Output
  --raw              the bytes themselves (default when the output is not a terminal)
  --no-raw           readable, with types (default on a terminal)
  --json, --csv      as JSON or CSV, a line per reply

Instead of a command
  --scan             print the names of all keys
  --bigkeys          find the largest key of each type, and how many there are of each
    --pattern GLOB   only keys that match
    --count N        keys per step (1000)
  --stat             print what the server does, every -i seconds (1)
  --latency          measure round trips, and print them every -i seconds (1)

  --help, --version

Exit status: 0; 1 if the server answered with an error; 2 for wrong usage or no connection.
";

/// What the arguments ask for.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// Something that needs a server.
    Run(Box<Options>),
    /// A text to print.
    Print(String),
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The command of the arguments.
    Once,
    /// A prompt.
    Prompt,
    /// Commands from standard input.
    Pipe,
    Scan,
    BigKeys,
    Stat,
    Latency,
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
    /// How often, if the arguments say; `u64::MAX` is for ever.
    pub(crate) repeat: Option<u64>,
    pub(crate) interval: Option<Duration>,
    pub(crate) pattern: Option<String>,
    pub(crate) scan_count: u64,
}

/// One argument, without a borrow of the parser.
pub(crate) enum Opt {
    /// An option with its dashes.
    Flag(String),
    /// Not an option.
    Value(OsString),
}

impl Opt {
    /// The next argument.
    pub(crate) fn next(parser: &mut lexopt::Parser) -> Result<Option<Self>, lexopt::Error> {
        Ok(parser.next()?.map(|arg| match arg {
            lexopt::Arg::Short(name) => Self::Flag(format!("-{name}")),
            lexopt::Arg::Long(name) => Self::Flag(format!("--{name}")),
            lexopt::Arg::Value(value) => Self::Value(value),
        }))
    }
}

/// The server that the arguments name.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) config: Config,
    protocol: Option<Protocol>,
}

impl Target {
    /// What the environment says.
    fn from_environment() -> Self {
        let mut config = Config::default();
        for name in ["REDISCLI_AUTH", "MODB_PASSWORD"] {
            config.password = std::env::var(name).ok().or(config.password);
        }
        Self { config, protocol: None }
    }

    /// Takes an option that says where or how to connect; `false`: it is not one.
    ///
    /// # Errors
    /// A sentence for the user.
    pub(crate) fn take(&mut self, flag: &str, parser: &mut lexopt::Parser) -> Result<bool, lexopt::Error> {
        match flag {
            "-h" => self.config.host = text(parser)?,
            "-p" => self.config.port = number(parser)?,
            "-u" => {
                let password = self.config.password.take();
                self.config = text(parser)?.parse().map_err(custom)?;
                self.config.password = self.config.password.take().or(password);
            }
            "-a" | "--pass" => self.config.password = Some(text(parser)?),
            "--user" => self.config.username = Some(text(parser)?),
            "-2" => self.protocol = Some(Protocol::Resp2),
            "-3" => self.protocol = Some(Protocol::Resp3),
            // There is none to suppress.
            "--no-auth-warning" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// How to connect, speaking `protocol` if the arguments do not say.
    pub(crate) fn into_config(self, protocol: Protocol) -> Config {
        // Commands may block for as long as they like: whoever waits can press Ctrl-C.
        let mut config = self.config;
        config.read_timeout = None;
        config.protocol = self.protocol.unwrap_or(protocol);
        config
    }
}

/// Reads the arguments and the environment.
///
/// # Errors
/// A sentence for the user.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Parsed, lexopt::Error> {
    let mut parser = lexopt::Parser::from_args(args);
    let mut target = Target::from_environment();
    let mut mode = None;
    let mut format = None;
    let mut options = Options {
        config: Config::default(),
        mode: Mode::Once,
        format: Format::Raw,
        last_argument_from_stdin: false,
        command: Vec::new(),
        repeat: None,
        interval: None,
        pattern: None,
        scan_count: 1000,
    };
    while let Some(opt) = Opt::next(&mut parser)? {
        let flag = match opt {
            Opt::Flag(flag) => flag,
            // Sent as a command it would only be unknown.
            Opt::Value(name) if name == "bench" => {
                return Err("the options of bench follow it: modb-client bench -h HOST ...".into());
            }
            Opt::Value(name) => {
                options.command.push(name.into_encoded_bytes());
                // What follows belongs to the command, whatever it looks like.
                options.command.extend(parser.raw_args()?.map(OsString::into_encoded_bytes));
                continue;
            }
        };
        match flag.as_str() {
            "-n" => target.config.database = number(&mut parser)?,
            "-t" => target.config.connect_timeout = seconds(&mut parser)?,
            "-x" => options.last_argument_from_stdin = true,
            "-r" => options.repeat = Some(u64::try_from(number::<i64>(&mut parser)?).unwrap_or(u64::MAX)),
            "-i" => options.interval = Some(seconds(&mut parser)?),
            "--raw" => format = Some(Format::Raw),
            "--no-raw" => format = Some(Format::Human),
            "--json" => format = Some(Format::Json),
            "--csv" => format = Some(Format::Csv),
            "--scan" => mode = Some(Mode::Scan),
            "--bigkeys" => mode = Some(Mode::BigKeys),
            "--stat" => mode = Some(Mode::Stat),
            "--latency" => mode = Some(Mode::Latency),
            "--pattern" => options.pattern = Some(text(&mut parser)?),
            "--count" => options.scan_count = number(&mut parser)?,
            "--help" | "-?" => return Ok(Parsed::Print(HELP.to_owned())),
            "--version" | "-v" => {
                return Ok(Parsed::Print(format!("modb-client {}\n", env!("CARGO_PKG_VERSION"))));
            }
            other if target.take(other, &mut parser)? => {}
            other => return Err(custom(format!("invalid option '{other}'"))),
        }
    }
    options.mode = match mode {
        Some(_) if !options.command.is_empty() => return Err("a command is one thing too many here".into()),
        Some(mode) => mode,
        None if !options.command.is_empty() => Mode::Once,
        None if options.last_argument_from_stdin => return Err("-x needs a command".into()),
        None if std::io::stdin().is_terminal() => Mode::Prompt,
        None => Mode::Pipe,
    };
    options.format = format.unwrap_or_else(Format::for_stdout);
    let readable = options.mode == Mode::Prompt || options.format == Format::Json;
    options.config = target.into_config(if readable { Protocol::Resp3 } else { Protocol::Resp2 });
    Ok(Parsed::Run(Box::new(options)))
}

/// The value of an option as text.
pub(crate) fn text(parser: &mut lexopt::Parser) -> Result<String, lexopt::Error> {
    parser.value()?.string()
}

/// The value of an option as a number.
pub(crate) fn number<T>(parser: &mut lexopt::Parser) -> Result<T, lexopt::Error>
where
    T: std::str::FromStr<Err: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    parser.value()?.parse()
}

/// The value of an option as a time in seconds.
pub(crate) fn seconds(parser: &mut lexopt::Parser) -> Result<Duration, lexopt::Error> {
    Duration::try_from_secs_f64(number(parser)?).map_err(custom)
}

/// An error in our own words.
pub(crate) fn custom(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> lexopt::Error {
    lexopt::Error::Custom(error.into())
}

impl Format {
    /// Readable for humans, raw for programs.
    fn for_stdout() -> Self {
        if std::io::stdout().is_terminal() { Self::Human } else { Self::Raw }
    }
}
