//! What the command line asks for. Pure.
//!
//! Connection options have redis-cli's names, those of the load redis-benchmark's where it has one; `-n`
//! is redis-cli's database, so the number of requests is spelled out.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lexopt::prelude::*;

use super::error::BenchError;
use super::keys::Distribution;
use super::template::{MAX_KEYS, Template};

/// The text of `--help`.
pub(super) const HELP: &str = "\
Usage: modb-client bench [OPTIONS] [COMMAND [ARG]...]

Loads a server and tells how many requests it answered per second and how long each took. Without a
COMMAND, the load is a mix of GET and SET. In the arguments of a COMMAND, __key__ stands for a random key,
__rand_int__ for the number of one and __value__ for a random value.

Server
  -h, --host HOST         name or address [127.0.0.1]
  -p, --port PORT         [6379; 11211 with memcached]
  -a, --pass PASSWORD     better in the environment, as MODB_PASSWORD or REDISCLI_AUTH
      --user USER         for the password
  -n, --database NUMBER   [0]
  -u, --url URL           all of these: modb:// or redis://[[user]:password@]host[:port][/database]
      --protocol NAME     resp or memcached [resp]

Load
  -c, --connections N     [50]
  -P, --pipeline N        requests that a connection sends at once [1]
      --keys N            size of the key space [100000]
      --skew SKEW         uniform, zipf, or zipf:EXPONENT (zipf is zipf:0.99) [uniform]
  -d, --value-size BYTES  [100]
      --read-ratio RATIO  share of GET, from 0 to 1 [0.5]
      --rate N            requests per second, due at fixed times; latency then counts from when a request
                          was due. Without it, each connection sends when its last replies are in: latency
                          counts from there, and hides what a stall of the server would have delayed.
      --threads N         [1]
      --seed N            which keys and values are drawn [1]

Run
      --preload           first, store every key once
      --warm-up SECONDS   load before measuring [0]
      --duration SECONDS  [5]
      --requests N        measure that many requests instead
      --timeout SECONDS   how long a reply may take [10]

Result
      --json FILE         also write the result as JSON; with - for FILE, write only that, to standard output
  -q, --quiet             no progress bar (there is none either if standard error is not a terminal)
      --help              this text

Exit status: 0 if every request was answered without an error, 1 if not, 2 if nothing could be measured.
";

const MAX_CONNECTIONS: usize = 100_000;
const MAX_THREADS: usize = 256;
/// What Redis allows, in bytes.
const MAX_VALUE_BYTES: usize = 512 << 20;
/// What one connection may send at once, in bytes: it is in memory as a whole.
const MAX_BATCH_BYTES: usize = 1 << 30;
/// Open loops above it would be due every few nanoseconds.
const MAX_RATE: u64 = 100_000_000;
const MAX_SECONDS: f64 = 1e6;

/// The protocol to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    /// RESP2.
    Resp,
    /// Memcached's text protocol.
    Memcached,
}

impl Wire {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Resp => "resp",
            Self::Memcached => "memcached",
        }
    }
}

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Limit {
    Requests(u64),
    Duration(Duration),
}

/// Where JSON goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Json {
    Stdout,
    File(PathBuf),
}

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Options {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: u32,
    pub(super) wire: Wire,
    pub(super) connections: usize,
    pub(super) pipeline: u64,
    pub(super) keys: u64,
    pub(super) distribution: Distribution,
    pub(super) value_bytes: usize,
    pub(super) read_ratio: f64,
    pub(super) requests_per_s: Option<u64>,
    pub(super) threads: usize,
    pub(super) seed: u64,
    pub(super) preload: bool,
    pub(super) warm_up: Duration,
    pub(super) limit: Limit,
    pub(super) reply_timeout: Duration,
    pub(super) json: Option<Json>,
    pub(super) quiet: bool,
    /// Empty: the mix of GET and SET.
    pub(super) command: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 6379,
            user: None,
            password: None,
            database: 0,
            wire: Wire::Resp,
            connections: 50,
            pipeline: 1,
            keys: 100_000,
            distribution: Distribution::Uniform,
            value_bytes: 100,
            read_ratio: 0.5,
            requests_per_s: None,
            threads: 1,
            seed: 1,
            preload: false,
            warm_up: Duration::ZERO,
            limit: Limit::Duration(Duration::from_secs(5)),
            reply_timeout: Duration::from_secs(10),
            json: None,
            quiet: false,
            command: Vec::new(),
        }
    }
}

/// What a command line comes to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Parsed {
    Help,
    Run(Box<Options>),
}

impl Options {
    /// Reads the arguments behind `bench`; `password` is used if they have none.
    ///
    /// # Errors
    /// [`BenchError::Usage`] says what is wrong.
    pub(super) fn parse(
        args: impl IntoIterator<Item = OsString>,
        password: Option<String>,
    ) -> Result<Parsed, BenchError> {
        let mut options = Self::default();
        let (mut port, mut requests, mut duration) = (None, None, None);
        let mut parser = lexopt::Parser::from_args(args);
        while let Some(arg) = parser.next().map_err(usage)? {
            let name = match arg {
                Short(letter) => format!("-{letter}"),
                Long(name) => format!("--{name}"),
                Value(_) => String::new(),
            };
            match arg {
                Long("help") => return Ok(Parsed::Help),
                Short('h') | Long("host") => options.host = text(&mut parser, &name)?,
                Short('p') | Long("port") => port = Some(number(&mut parser, &name, 1, u16::MAX)?),
                Short('a') | Long("pass") => options.password = Some(text(&mut parser, &name)?),
                Long("user") => options.user = Some(text(&mut parser, &name)?),
                Short('n') | Long("database") => options.database = number(&mut parser, &name, 0, u32::MAX)?,
                Short('u') | Long("url") => {
                    let config: modb_client::Config = text(&mut parser, &name)?.parse().map_err(usage)?;
                    port = Some(config.port);
                    options.host = config.host;
                    options.user = config.username;
                    options.password = config.password.or(options.password);
                    options.database = config.database;
                }
                Long("protocol") => options.wire = wire(&text(&mut parser, &name)?)?,
                Short('c') | Long("connections") => {
                    options.connections = number(&mut parser, &name, 1, MAX_CONNECTIONS)?;
                }
                Short('P') | Long("pipeline") => options.pipeline = number(&mut parser, &name, 1, u64::MAX)?,
                Long("keys") => options.keys = number(&mut parser, &name, 1, MAX_KEYS)?,
                Long("skew") => options.distribution = skew(&text(&mut parser, &name)?)?,
                Short('d') | Long("value-size") => {
                    options.value_bytes = number(&mut parser, &name, 0, MAX_VALUE_BYTES)?;
                }
                Long("read-ratio") => options.read_ratio = number(&mut parser, &name, 0.0, 1.0)?,
                Long("rate") => options.requests_per_s = Some(number(&mut parser, &name, 1, MAX_RATE)?),
                Long("threads") => options.threads = number(&mut parser, &name, 1, MAX_THREADS)?,
                Long("seed") => options.seed = number(&mut parser, &name, 0, u64::MAX)?,
                Long("preload") => options.preload = true,
                Long("warm-up") => options.warm_up = seconds(&mut parser, &name, 0.0)?,
                Long("duration") => duration = Some(Limit::Duration(seconds(&mut parser, &name, 0.001)?)),
                Long("requests") => {
                    requests = Some(Limit::Requests(number(&mut parser, &name, 1, u64::MAX)?));
                }
                Long("timeout") => options.reply_timeout = seconds(&mut parser, &name, 0.001)?,
                Long("json") => {
                    let path = parser.value().map_err(usage)?;
                    options.json = Some(if path == "-" { Json::Stdout } else { Json::File(path.into()) });
                }
                Short('q') | Long("quiet") => options.quiet = true,
                Value(name) => {
                    let args = std::iter::once(name).chain(parser.raw_args().map_err(usage)?);
                    let words = args.map(OsString::into_string).collect::<Result<_, _>>();
                    options.command = words.map_err(|_| usage("the command is not UTF-8"))?;
                }
                other => return Err(usage(other.unexpected())),
            }
        }
        let default_port = if options.wire == Wire::Memcached { 11211 } else { options.port };
        options.port = port.unwrap_or(default_port);
        options.limit = match (requests, duration) {
            (Some(_), Some(_)) => return Err(usage("--requests and --duration exclude each other")),
            (limit, None) | (None, limit) => limit.unwrap_or(options.limit),
        };
        if options.wire == Wire::Resp {
            options.password = options.password.or(password);
        }
        options.check()?;
        Ok(Parsed::Run(Box::new(options)))
    }

    /// The requests of the load: a read and a write. They are the same if a command was given.
    pub(super) fn templates(&self) -> (Template, Template) {
        match self.wire {
            Wire::Memcached => (Template::memcached_get(), Template::memcached_set(self.value_bytes)),
            Wire::Resp if self.command.is_empty() => {
                (Template::resp(&["GET", "__key__"], 0), self.store_template())
            }
            Wire::Resp => {
                let template = Template::resp(&self.command, self.value_bytes);
                (template.clone(), template)
            }
        }
    }

    /// The request that stores a key.
    pub(super) fn store_template(&self) -> Template {
        match self.wire {
            Wire::Memcached => Template::memcached_set(self.value_bytes),
            Wire::Resp => Template::resp(&["SET", "__key__", "__value__"], self.value_bytes),
        }
    }

    /// `host:port`.
    pub(super) fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    fn check(&self) -> Result<(), BenchError> {
        if self.threads > self.connections {
            return Err(usage("--threads must not be more than --connections"));
        }
        if self.wire == Wire::Memcached && !self.command.is_empty() {
            return Err(usage("a command can only be given for the protocol resp"));
        }
        if self.wire == Wire::Memcached && (self.password.is_some() || self.database != 0) {
            return Err(usage("the protocol memcached has neither passwords nor databases"));
        }
        if self.user.is_some() && self.password.is_none() {
            return Err(usage("--user needs a password"));
        }
        let (read, write) = self.templates();
        let request_bytes = read.len_bytes().max(write.len_bytes()) as u64;
        if request_bytes.saturating_mul(self.pipeline) > MAX_BATCH_BYTES as u64 {
            return Err(usage("--pipeline times the size of a request is more than 1 GiB"));
        }
        Ok(())
    }
}

fn usage(reason: impl ToString) -> BenchError {
    BenchError::Usage(reason.to_string())
}

/// The value of the option `name`.
fn text(parser: &mut lexopt::Parser, name: &str) -> Result<String, BenchError> {
    let value = parser.value().and_then(|value| value.string());
    value.map_err(|error| usage(format!("{name}: {error}")))
}

fn number<T>(parser: &mut lexopt::Parser, name: &str, min: T, max: T) -> Result<T, BenchError>
where
    T: FromStr + PartialOrd + std::fmt::Display,
{
    let text = text(parser, name)?;
    let number: Option<T> = text.parse().ok();
    let in_range = number.filter(|n| *n >= min && *n <= max);
    in_range.ok_or_else(|| usage(format!("{name}: {text:?} is not a number from {min} to {max}")))
}

fn seconds(parser: &mut lexopt::Parser, name: &str, min: f64) -> Result<Duration, BenchError> {
    number(parser, name, min, MAX_SECONDS).map(Duration::from_secs_f64)
}

fn wire(name: &str) -> Result<Wire, BenchError> {
    match name {
        "resp" => Ok(Wire::Resp),
        "memcached" => Ok(Wire::Memcached),
        _ => Err(usage(format!("{name:?} is not a protocol: resp or memcached"))),
    }
}

fn skew(text: &str) -> Result<Distribution, BenchError> {
    let (name, exponent) = text.split_once(':').unwrap_or((text, "0.99"));
    match (name, exponent.parse::<f64>()) {
        ("uniform", _) if name == text => Ok(Distribution::Uniform),
        ("zipf", Ok(exponent)) if (0.01..=10.0).contains(&exponent) => Ok(Distribution::Zipf { exponent }),
        _ => Err(usage(format!(
            "{text:?} is not a skew: uniform, zipf, or zipf:EXPONENT with an exponent from 0.01 to 10"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Parsed, BenchError> {
        Options::parse(line.split_whitespace().map(OsString::from), None)
    }

    fn run(line: &str) -> Options {
        match parse(line) {
            Ok(Parsed::Run(options)) => *options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn without_options_it_loads_the_local_server() {
        assert_eq!(run(""), Options::default());
        assert_eq!(parse("--help").unwrap(), Parsed::Help);
    }

    #[test]
    fn options_are_read_in_both_spellings() {
        let long =
            "--host db --port 7 --pass x --user u --database 3 --connections 8 --pipeline 16 --value-size 9";
        assert_eq!(run(long), run("-h db -p 7 -a x --user u -n 3 -c 8 -P 16 -d 9"));
        let options =
            run("--skew zipf:1.2 --read-ratio 0.9 --rate 1000 --warm-up 0.5 --requests 10 --json -");
        assert_eq!(options.distribution, Distribution::Zipf { exponent: 1.2 });
        assert_eq!((options.read_ratio, options.requests_per_s), (0.9, Some(1000)));
        assert_eq!(options.warm_up, Duration::from_millis(500));
        assert_eq!((options.limit, options.json), (Limit::Requests(10), Some(Json::Stdout)));
    }

    #[test]
    fn a_password_from_elsewhere_is_the_second_choice() {
        let password = |line: &str| {
            let args = line.split_whitespace().map(OsString::from);
            match Options::parse(args, Some("outside".to_owned())).unwrap() {
                Parsed::Run(options) => options.password,
                Parsed::Help => panic!(),
            }
        };
        assert_eq!(password("-a inside").as_deref(), Some("inside"));
        assert_eq!(password("").as_deref(), Some("outside"));
        assert_eq!(password("--protocol memcached"), None);
    }

    #[test]
    fn a_command_keeps_its_own_dashes() {
        let options = run("-c 2 SET __key__ -c --help");
        assert_eq!(options.command, ["SET", "__key__", "-c", "--help"]);
        assert_eq!(options.connections, 2);
    }

    #[test]
    fn memcached_has_its_own_port_unless_told() {
        assert_eq!(run("--protocol memcached").port, 11211);
        assert_eq!(run("-p 5 --protocol memcached").port, 5);
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        for line in [
            "-c 0",
            "-c x",
            "-P 0",
            "--read-ratio 1.1",
            "--read-ratio NaN",
            "--skew zipf:0",
            "--skew zipf:NaN",
            "--skew uniform:1",
            "--skew pareto",
            "--keys 0",
            "--keys 1000000000001",
            "--duration 0",
            "--duration 1 --requests 1",
            "--rate 0",
            "-c 2 --threads 3",
            "--user u",
            "--protocol http",
            "--protocol memcached INCR a",
            "--protocol memcached -n 1",
            "-P 20000000 -d 1000",
            "--unknown",
            "-h",
        ] {
            let error = parse(line).expect_err(line).to_string();
            assert!(error.contains("--help"), "{line}: {error}");
        }
        let error = parse("-c 2 --pipeline none").unwrap_err().to_string();
        assert!(error.starts_with("--pipeline: \"none\" is not a number from 1 to "), "{error}");
    }
}
