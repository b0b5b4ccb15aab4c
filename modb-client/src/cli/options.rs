//! What the command line asks for. Pure but for the environment and the question whether a stream is a terminal.
//!
//! Options are named as redis-cli names the same thing.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use modb_client::terminal::{Args, Given, Group, Item, Page, Shell, UsageError};
use modb_client::{Config, Protocol};

use super::format::{Delimiters, Format, Look};
use crate::target::{self, ServerOption, Target};

/// The longest time that can be asked for, in seconds.
const MAX_SECONDS: f64 = 1e6;
/// How long `--pipe` waits for the last reply unless it is told, as redis-cli does.
const PIPE_TIMEOUT: Duration = Duration::from_secs(30);
/// What can be done instead of a command.
const INSTEAD: &str = "--scan, --bigkeys, --memkeys, --pipe, --stat and --latency";
/// What other RESP servers use, too.
const DEFAULT_PORT: u16 = 6379;

/// The options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Id {
    Server(ServerOption),
    Resp2,
    Resp3,
    Socket,
    AskPassword,
    ConnectTimeout,
    ArgumentFromStdin,
    TagFromStdin,
    StopAtError,
    Repeat,
    Interval,
    Raw,
    NoRaw,
    Json,
    Csv,
    ElementDelimiter,
    ReplyDelimiter,
    Scan,
    BigKeys,
    MemKeys,
    Samples,
    Pipe,
    PipeTimeout,
    Pattern,
    Count,
    Stat,
    Latency,
    Completion,
    Man,
    Help,
    Version,
}

/// The command with its options.
pub(crate) fn page() -> Page<Id> {
    let server = ServerOption::group(Id::Server, "its port [6379]")
        .with(Id::Socket, "-s SOCKET", "the path of its Unix-domain socket, instead of host and port")
        .with(
            Id::AskPassword,
            "--askpass",
            "ask for the password at the terminal, with a mask over what is typed",
        )
        .with(Id::Resp2, "-2", "speak RESP2 (default, except at the prompt and for --json)")
        .with(Id::Resp3, "-3", "speak RESP3")
        .with(
            Id::ConnectTimeout,
            "-t SECONDS",
            "how long connecting may take, until the server has answered [5]",
        );
    let input = Group::new("Input")
        .with(Id::ArgumentFromStdin, "-x", "take the last argument from standard input")
        .with(Id::TagFromStdin, "-X TAG", "take the argument that is TAG from standard input")
        .with(
            Id::StopAtError,
            "-e",
            "end at the first reply that is an error, which then goes to standard error",
        )
        .with(
            Id::Repeat,
            "-r TIMES",
            "send the command so often, -1: for ever; lines of --stat and --latency",
        )
        .with(
            Id::Interval,
            "-i SECONDS",
            "and wait so long in between; also for --stat, --latency, --scan and --bigkeys",
        );
    let output = Group::new("Output")
        .with(Id::Raw, "--raw", "the bytes themselves (default when the output is not a terminal)")
        .with(Id::NoRaw, "--no-raw", "readable, with types (default on a terminal)")
        .with(Id::Json, "--json", "as JSON, a line per reply (see JSON below)")
        .with(Id::Csv, "--csv", "as comma-separated values, a line per reply")
        .with(Id::ElementDelimiter, "-d TEXT", "for --raw: between the elements of a reply [a line end]")
        .with(Id::ReplyDelimiter, "-D TEXT", "for --raw: behind each reply [a line end]");
    let instead = Group::new("Instead of a command")
        .with(Id::Scan, "--scan", "print the names of all keys")
        .with(Id::BigKeys, "--bigkeys", "find the largest key of each type, and how many there are of each")
        .with(Id::MemKeys, "--memkeys", "the same by the memory that keys take")
        .with(Id::Samples, "--memkeys-samples NUMBER", "for --memkeys: elements of a key to look at")
        .with(Id::Pattern, "--pattern GLOB", "for these: only keys that match")
        .with(Id::Count, "--count NUMBER", "for these: keys per step [1000]")
        .with(
            Id::Pipe,
            "--pipe",
            "send standard input, which is RESP or a command a line, as it is, and count the replies",
        )
        .with(
            Id::PipeTimeout,
            "--pipe-timeout SECONDS",
            "for --pipe: how long the last reply may take, 0: for ever [30]",
        )
        .with(Id::Stat, "--stat", "print what the server does, every -i seconds [1]")
        .with(Id::Latency, "--latency", "measure round trips, and print them every -i seconds [1]");
    let about = Group::new("About")
        .with(
            Id::Completion,
            &format!("--completion {}", Shell::CHOICES),
            "print the script with which the shell completes this command",
        )
        .with(Id::Man, "--man", "print the manual page (modb-client --man | man -l -)")
        .with(Id::Help, "--help", "print this")
        .with(Id::Version, "-v, --version", "print the version")
        .with_hidden(Id::Version, "-V")
        .with_hidden(Id::Help, "-?");
    Page {
        name: "modb-client".into(),
        summary: "asks Modb, or another server that speaks RESP, and shows its replies".into(),
        usage: vec![
            "[OPTIONS] [COMMAND [ARGUMENT ...]]".into(),
            "bench [OPTIONS] [COMMAND ...]  (bench --help tells more)".into(),
        ],
        about: "Without a command: a prompt, or the commands of standard input, one a line.".into(),
        groups: vec![server, input, output, instead, about],
        sections: vec![
            (
                "JSON".into(),
                "text is a string. Bytes that are not UTF-8 are a string, too: data:;base64, and their Base64; and so \
                 is text that itself begins with data:;base64, so that no two values look the same. An error is an \
                 object with the member error, inf and nan are strings."
                    .into(),
            ),
            (
                "Environment".into(),
                "MODB_PASSWORD, REDISCLI_AUTH (the password), MODB_CLIENT_HISTORY (the file of the prompt's history; \
                 empty: none), MODB_PAGER or PAGER (what shows replies at the prompt that are higher than the window; \
                 empty: nothing), NO_COLOR and CLICOLOR_FORCE (no colours, or colours everywhere), LC_ALL, LC_CTYPE \
                 and LANG (without UTF-8, everything else is shown as escapes on a terminal)."
                    .into(),
            ),
            (
                "Exit status".into(),
                "0; 1 if the server answered with an error; 2 for wrong usage, if there is no connection, or if the \
                 output cannot be written. A reader that goes (| head) ends it quietly, with 0."
                    .into(),
            ),
        ],
        takes_paths: false,
    }
}

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
    /// Standard input as it is.
    Transfer,
    Scan,
    BigKeys,
    MemKeys,
    Stat,
    Latency,
}

/// Everything the arguments say.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) config: Config,
    pub(crate) mode: Mode,
    pub(crate) format: Format,
    /// The password is to be asked for.
    pub(crate) asks_password: bool,
    /// Which of the arguments comes from standard input.
    pub(crate) from_stdin: Option<FromStdin>,
    pub(crate) stops_at_error: bool,
    /// The command with its arguments.
    pub(crate) command: Vec<Vec<u8>>,
    /// How often, if the arguments say; `u64::MAX` is for ever.
    pub(crate) repeat: Option<u64>,
    pub(crate) interval: Option<Duration>,
    pub(crate) pattern: Option<Vec<u8>>,
    pub(crate) scan_count: u64,
    /// Elements of a key that `--memkeys` looks at, if the arguments say.
    pub(crate) samples: Option<u64>,
    /// How long `--pipe` waits; `None`: for ever.
    pub(crate) pipe_timeout: Option<Duration>,
}

/// An argument of the command that comes from standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FromStdin {
    /// One more, behind the others.
    Last,
    /// The one that is this.
    Tag(Vec<u8>),
}

/// Reads the arguments and the environment.
///
/// # Errors
/// A sentence for the user.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Parsed, UsageError> {
    let page = page();
    let mut args = Args::new(&page, args);
    let mut target = Target::new(target::password_in_environment());
    let mut connect_timeout = None;
    let mut mode = None;
    let mut format = None;
    let mut scan_option = None;
    let mut options = Options {
        config: Config::default(),
        mode: Mode::Once,
        format: Format::Raw(Delimiters::LINES),
        asks_password: false,
        from_stdin: None,
        stops_at_error: false,
        command: Vec::new(),
        repeat: None,
        interval: None,
        pattern: None,
        scan_count: 1000,
        samples: None,
        pipe_timeout: Some(PIPE_TIMEOUT),
    };
    let mut delimiters = Delimiters::LINES;
    let mut socket = None;
    while let Some(item) = args.read()? {
        let given = match item {
            Item::Option(given) => given,
            // Sent as a command it would only be unknown.
            Item::Word(name) if name == "bench" => {
                return Err(wrong("the options of bench follow it: modb-client bench -h HOST ..."));
            }
            Item::Word(name) => {
                options.command.push(name.into_encoded_bytes());
                // What follows belongs to the command, whatever it looks like.
                options.command.extend(args.rest().into_iter().map(OsString::into_encoded_bytes));
                break;
            }
        };
        match given.id() {
            Id::Server(option) => target.take(option, &given)?,
            Id::Resp2 => target.protocol = Some(Protocol::Resp2),
            Id::Resp3 => target.protocol = Some(Protocol::Resp3),
            Id::ConnectTimeout => connect_timeout = Some(given.seconds(0.001, MAX_SECONDS)?),
            Id::Socket => socket = Some(PathBuf::from(given.value())),
            Id::AskPassword => options.asks_password = true,
            Id::ArgumentFromStdin => one_from_stdin(&mut options.from_stdin, FromStdin::Last)?,
            Id::TagFromStdin => {
                let tag = given.value().as_encoded_bytes().to_vec();
                one_from_stdin(&mut options.from_stdin, FromStdin::Tag(tag))?;
            }
            Id::StopAtError => options.stops_at_error = true,
            Id::Repeat => {
                options.repeat = Some(u64::try_from(given.number(-1, i64::MAX)?).unwrap_or(u64::MAX));
            }
            Id::Interval => options.interval = Some(given.seconds(0.0, MAX_SECONDS)?),
            Id::Raw => format = Some(Format::Raw(Delimiters::LINES)),
            Id::ElementDelimiter => delimiters.element = kept(&given),
            Id::ReplyDelimiter => delimiters.reply = kept(&given),
            Id::NoRaw => format = Some(Format::Human(Look::of_stdout())),
            Id::Json => format = Some(Format::Json),
            Id::Csv => format = Some(Format::Csv),
            Id::Scan => choose(&mut mode, Mode::Scan)?,
            Id::BigKeys => choose(&mut mode, Mode::BigKeys)?,
            Id::MemKeys => choose(&mut mode, Mode::MemKeys)?,
            Id::Samples => {
                options.samples = Some(given.number(0, i64::MAX as u64)?);
            }
            Id::Pipe => choose(&mut mode, Mode::Transfer)?,
            Id::PipeTimeout => {
                options.pipe_timeout = Some(given.seconds(0.0, MAX_SECONDS)?).filter(|time| !time.is_zero());
            }
            Id::Stat => choose(&mut mode, Mode::Stat)?,
            Id::Latency => choose(&mut mode, Mode::Latency)?,
            Id::Pattern => {
                options.pattern = Some(given.value().as_encoded_bytes().to_vec());
                scan_option = Some("--pattern");
            }
            Id::Count => {
                options.scan_count = given.number(1, i64::MAX as u64)?;
                scan_option = Some("--count");
            }
            Id::Completion => return completion(&given),
            Id::Man => return Ok(Parsed::Print(crate::program().man(env!("CARGO_PKG_VERSION")))),
            Id::Help => return Ok(Parsed::Print(page.help())),
            Id::Version => {
                return Ok(Parsed::Print(format!("modb-client {}\n", env!("CARGO_PKG_VERSION"))));
            }
        }
    }
    options.mode = match mode {
        Some(_) if !options.command.is_empty() => {
            return Err(wrong(&format!("{INSTEAD} stand instead of a command")));
        }
        Some(mode) if options.from_stdin.is_none() => mode,
        None if !options.command.is_empty() => Mode::Once,
        _ if options.from_stdin.is_some() => return Err(wrong("-x and -X need a command")),
        Some(mode) => mode,
        None if std::io::stdin().is_terminal() => Mode::Prompt,
        None => Mode::Pipe,
    };
    if let Some(FromStdin::Tag(tag)) = &options.from_stdin
        && !options.command.contains(tag)
    {
        let tag = String::from_utf8_lossy(tag);
        return Err(wrong(&format!("-X: no argument of the command is {tag:?}")));
    }
    let walks = matches!(options.mode, Mode::Scan | Mode::BigKeys | Mode::MemKeys);
    if let Some(name) = scan_option.filter(|_| !walks) {
        return Err(wrong(&format!("{name} is for --scan, --bigkeys and --memkeys")));
    }
    if options.samples.is_some() && options.mode != Mode::MemKeys {
        return Err(wrong("--memkeys-samples is for --memkeys"));
    }
    options.format = match format.unwrap_or_else(Format::for_stdout) {
        Format::Raw(_) => Format::Raw(delimiters),
        _ if delimiters != Delimiters::LINES => return Err(wrong("-d and -D are for --raw")),
        format => format,
    };
    let readable = options.mode == Mode::Prompt || options.format == Format::Json;
    let protocol = if readable { Protocol::Resp3 } else { Protocol::Resp2 };
    if options.asks_password && target.config.password.is_none() {
        // Until it is asked for.
        target.config.password = Some(String::new());
    }
    options.config = target.into_config(DEFAULT_PORT, protocol)?;
    options.config.socket = socket;
    options.config.connect_timeout = connect_timeout.unwrap_or(options.config.connect_timeout);
    Ok(Parsed::Run(Box::new(options)))
}

/// One thing can be done instead of a command.
fn choose(mode: &mut Option<Mode>, chosen: Mode) -> Result<(), UsageError> {
    match mode.replace(chosen) {
        Some(before) if before != chosen => Err(wrong(&format!("{INSTEAD} exclude each other"))),
        _ => Ok(()),
    }
}

/// One argument can come from standard input.
fn one_from_stdin(chosen: &mut Option<FromStdin>, which: FromStdin) -> Result<(), UsageError> {
    match chosen.replace(which) {
        Some(_) => Err(wrong("standard input is one argument: -x or -X, once")),
        None => Ok(()),
    }
}

/// A delimiter, which is there as long as the process: formats are copied everywhere, and there are two at most.
fn kept(given: &Given<'_, Id>) -> &'static [u8] {
    given.value().as_encoded_bytes().to_vec().leak()
}

fn completion(given: &Given<'_, Id>) -> Result<Parsed, UsageError> {
    let shell = Shell::named(given.text()?);
    let shell = shell.ok_or_else(|| given.wrong(&format!("is not one of {}", Shell::CHOICES)))?;
    Ok(Parsed::Print(crate::program().completion(shell)))
}

fn wrong(sentence: &str) -> UsageError {
    UsageError(sentence.to_owned())
}

impl Format {
    /// Readable for humans, raw for programs.
    fn for_stdout() -> Self {
        if std::io::stdout().is_terminal() {
            Self::Human(Look::of_stdout())
        } else {
            Self::Raw(Delimiters::LINES)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn parse_line(line: &str) -> Result<Options, String> {
        match parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())? {
            Parsed::Run(options) => Ok(*options),
            Parsed::Print(text) => Err(text),
        }
    }

    #[test]
    fn no_name_stands_twice_and_every_page_fits_80_columns() {
        let program = crate::program();
        for command in [None, Some("bench")] {
            let help = program.help(command);
            assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
        }
        for page in [page().without_ids(), crate::bench::page().without_ids()] {
            let names: Vec<String> = page.options().flat_map(modb_client::terminal::Opt::names).collect();
            let different: BTreeSet<&String> = names.iter().collect();
            assert_eq!(different.len(), names.len(), "{names:?}");
        }
    }

    #[test]
    fn a_host_may_stand_in_brackets_and_has_no_port() {
        for (line, host) in [("-h [::1] PING", "::1"), ("--host ::1 PING", "::1"), ("-h db PING", "db")] {
            assert_eq!(parse_line(line).unwrap().config.host, host);
        }
        for line in ["-h [::1]:7 PING", "-h db:7 PING", "-h [] PING", "-h [::1 PING", "-h= PING"] {
            let error = parse_line(line).unwrap_err();
            assert!(error.contains("is not a name or an address") && error.contains("-p"), "{line}: {error}");
        }
    }

    #[test]
    fn what_a_url_says_has_an_effect_and_later_options_change_it() {
        let config = |line| parse_line(line).unwrap().config;
        let of_url = config("-t 2 -u modb://db:7/3?protocol=3&read_timeout_ms=9 -n 4 PING");
        assert_eq!((of_url.host.as_str(), of_url.port, of_url.database), ("db", 7, 4));
        assert_eq!(of_url.protocol, Protocol::Resp3);
        assert_eq!(of_url.read_timeout, Some(Duration::from_millis(9)));
        assert_eq!(of_url.connect_timeout, Duration::from_secs(2));
        assert_eq!(config("-p 8 PING").port, 8);
        assert_eq!(config("PING").read_timeout, None);
    }

    #[test]
    fn wrong_usage_is_named() {
        for (line, part) in [
            ("--nope", "there is no option --nope"),
            ("--jsn PING", "did you mean --json?"),
            ("-p 70000 PING", "-p: \"70000\" is not a number from 1 to 65535"),
            ("-n x PING", "-n: \"x\" is not a number from 0"),
            ("-r x PING", "-r: \"x\" is not a number from -1"),
            ("-h", "a value is missing: -h, --host HOST (for help: --help)"),
            ("-t NaN PING", "-t: \"NaN\" is not a number from 0.001 to 1000000"),
            ("--help=3", "--help takes no value"),
            ("--user u PING", "a user needs a password"),
            ("-u modb://u@h PING", "a user needs a password"),
            ("--scan --stat", "exclude each other"),
            ("--scan PING", "instead of a command"),
            ("--pattern x GET a", "--pattern is for --scan, --bigkeys and --memkeys"),
            ("--memkeys-samples 5 --bigkeys", "--memkeys-samples is for --memkeys"),
            ("-x", "-x and -X need a command"),
            ("-x --scan", "-x and -X need a command"),
            ("-X T GET a", "-X: no argument of the command is \"T\""),
            ("-x -X T GET T", "standard input is one argument"),
            ("--json -d , GET a", "-d and -D are for --raw"),
            ("--pipe PING", "instead of a command"),
            ("-p 7 bench", "the options of bench follow it"),
            ("--completion tcsh", "is not one of bash|zsh|fish|powershell"),
            ("-u http://h", "invalid URL"),
        ] {
            let error = parse_line(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
