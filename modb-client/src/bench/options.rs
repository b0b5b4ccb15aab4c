//! What the command line asks for. Pure.
//!
//! Options of the server have redis-cli's names, those of the load redis-benchmark's where it has one; `-n`
//! is redis-cli's database, so the number of requests is spelled out.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use modb_client::terminal::{Args, Given, Group, Item, Page};
use modb_client::{Config, Protocol};

use super::error::BenchError;
use super::keys::Distribution;
use super::suite::{self, Test};
use super::template::{MAX_KEYS, Over, Template};
use crate::target::{ServerOption, Target};

/// The options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Id {
    Server(ServerOption),
    Protocol,
    Connections,
    Pipeline,
    Keys,
    Tests,
    Collections,
    Skew,
    ValueSize,
    ReadRatio,
    Rate,
    Threads,
    Seed,
    Preload,
    WarmUp,
    Duration,
    Requests,
    Timeout,
    Json,
    Quiet,
    Help,
}

/// The command with its options.
pub(crate) fn page() -> Page<Id> {
    let server = ServerOption::group(Id::Server, "its port [6379; 11211 with memcached]").with(
        Id::Protocol,
        "--protocol resp|memcached",
        "what it speaks [resp]",
    );
    let load = Group::new("Load")
        .with(Id::Connections, "-c, --connections N", "how many [50]")
        .with(Id::Pipeline, "-P, --pipeline N", "requests that a connection sends at once [1]")
        .with(Id::Keys, "--keys N", "size of the key space [100000]")
        .with(
            Id::Tests,
            "-t, --tests NAMES",
            format!(
                "instead, redis-benchmark's tests of these names, one after the other: {}; ping and lrange stand for all \
                 of theirs. Unless told otherwise each makes 100000 requests, with values of 3 bytes",
                suite::names()
            ),
        )
        .with(
            Id::Collections,
            "--collections N",
            "lists, sets and so on, to which the elements of the tests are dealt out [1]",
        )
        .with(Id::Skew, "--skew SKEW", "uniform, zipf, or zipf:EXPONENT (zipf is zipf:0.99) [uniform]")
        .with(Id::ValueSize, "-d, --value-size BYTES", "of each value [100]")
        .with(Id::ReadRatio, "--read-ratio RATIO", "share of GET, from 0 to 1 [0.5]")
        .with(
            Id::Rate,
            "--rate N",
            "requests per second, due at fixed times; latency then counts from when a request was due. Without it, \
             each connection sends when its last replies are in: latency counts from there, and hides what a stall of \
             the server would have delayed",
        )
        .with(Id::Threads, "--threads N", "how many send [1]")
        .with(Id::Seed, "--seed N", "which keys and values are drawn [1]");
    let run = Group::new("Run")
        .with(
            Id::Preload,
            "--preload",
            "first, store every key once; before a test, what it reads or takes, as many elements as there are keys",
        )
        .with(Id::WarmUp, "--warm-up SECONDS", "load before measuring [0]")
        .with(Id::Duration, "--duration SECONDS", "how long to measure [5]")
        .with(Id::Requests, "--requests N", "measure that many requests instead")
        .with(Id::Timeout, "--timeout SECONDS", "how long a reply may take [10]");
    let result = Group::new("Result")
        .with(
            Id::Json,
            "--json FILE",
            "also write the result as JSON; with - for FILE, write only that, to standard output",
        )
        .with(
            Id::Quiet,
            "-q, --quiet",
            "no progress bar (there is none either if standard error is no terminal)",
        )
        .with(Id::Help, "--help", "print this")
        .with_hidden(Id::Help, "-?");
    Page {
        name: "modb-client bench".into(),
        summary: "loads a server and measures how it answers".into(),
        usage: vec!["[OPTIONS] [COMMAND [ARGUMENT ...]]".into()],
        about: "Loads a server and tells how many requests it answered per second and how long each took. Without a \
                COMMAND, the load is a mix of GET and SET. In the arguments of a COMMAND, __key__ stands for a random \
                key, __rand_int__ for the number of one and __value__ for a random value; __element__ for a number that is \
                drawn once for a request, and __collection__ for that of the collection, of --collections, to which such \
                an element belongs."
            .into(),
        groups: vec![server, load, run, result],
        sections: vec![(
            "Exit status".into(),
            "0 if every request was answered without an error, 1 if not, 2 for wrong usage, if nothing could be \
             measured, or if the output cannot be written."
                .into(),
        )],
        takes_paths: false,
    }
}

const MAX_CONNECTIONS: usize = 100_000;
const MAX_THREADS: usize = 256;
/// What Redis allows, in bytes.
const MAX_VALUE_BYTES: usize = 512 << 20;
/// What one connection may send at once, in bytes: it is in memory as a whole.
const MAX_BATCH_BYTES: usize = 1 << 30;
/// Open loops above it would be due every few nanoseconds.
const MAX_RATE: u64 = 100_000_000;
const MAX_SECONDS: f64 = 1e6;
/// Of a test, as in redis-benchmark.
const TEST_LIMIT: Limit = Limit::Requests(100_000);
const TEST_VALUE_BYTES: usize = 3;
const RESP_PORT: u16 = 6379;
const MEMCACHED_PORT: u16 = 11211;

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

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// GET and SET.
    Mix,
    Command(Vec<String>),
    Test(&'static Test),
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
    pub(super) server: Config,
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
    pub(super) work: Work,
    pub(super) collections: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            server: local_server(),
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
            work: Work::Mix,
            collections: 1,
        }
    }
}

/// What a command line comes to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Parsed {
    Help,
    /// One after the other; at least one.
    Run(Vec<Options>),
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
        let page = page();
        let mut args = Args::new(&page, args);
        let mut options = Self::default();
        let mut target = Target::new(None);
        let (mut requests, mut duration, mut value_bytes) = (None, None, None);
        let mut tests = Vec::new();
        while let Some(item) = args.read().map_err(usage)? {
            let given = match item {
                Item::Option(given) => given,
                Item::Word(name) => {
                    let args = std::iter::once(name).chain(args.rest());
                    let words = args.map(OsString::into_string).collect::<Result<_, _>>();
                    options.work = Work::Command(words.map_err(|_| usage("the command is not UTF-8"))?);
                    break;
                }
            };
            match given.id() {
                Id::Help => return Ok(Parsed::Help),
                Id::Server(option) => target.take(option, &given).map_err(usage)?,
                Id::Requests => requests = Some(Limit::Requests(number(&given, 1, u64::MAX)?)),
                Id::Duration => duration = Some(Limit::Duration(seconds(&given, 0.001)?)),
                Id::Protocol => options.wire = wire(&given)?,
                Id::Connections => options.connections = number(&given, 1, MAX_CONNECTIONS)?,
                Id::Pipeline => options.pipeline = number(&given, 1, u64::MAX)?,
                Id::Keys => options.keys = number(&given, 1, MAX_KEYS)?,
                Id::Skew => options.distribution = skew(&given)?,
                Id::Tests => tests = tests_named(&given)?,
                Id::Collections => options.collections = number(&given, 1, MAX_KEYS)?,
                Id::ValueSize => value_bytes = Some(number(&given, 0, MAX_VALUE_BYTES)?),
                Id::ReadRatio => options.read_ratio = number(&given, 0.0, 1.0)?,
                Id::Rate => options.requests_per_s = Some(number(&given, 1, MAX_RATE)?),
                Id::Threads => options.threads = number(&given, 1, MAX_THREADS)?,
                Id::Seed => options.seed = number(&given, 0, u64::MAX)?,
                Id::Preload => options.preload = true,
                Id::WarmUp => options.warm_up = seconds(&given, 0.0)?,
                Id::Timeout => options.reply_timeout = seconds(&given, 0.001)?,
                Id::Json => {
                    let path = given.value();
                    options.json = Some(if path == "-" { Json::Stdout } else { Json::File(path.into()) });
                }
                Id::Quiet => options.quiet = true,
            }
        }
        let default_port = if options.wire == Wire::Memcached { MEMCACHED_PORT } else { RESP_PORT };
        if options.wire == Wire::Resp {
            target.config.password = target.config.password.or(password);
        }
        options.server = target.into_config(default_port, Protocol::Resp2).map_err(usage)?;
        if !tests.is_empty() {
            options.check_tests()?;
            (options.limit, options.value_bytes) = (TEST_LIMIT, TEST_VALUE_BYTES);
        }
        options.value_bytes = value_bytes.unwrap_or(options.value_bytes);
        options.limit = match (requests, duration) {
            (Some(_), Some(_)) => return Err(usage("--requests and --duration exclude each other")),
            (limit, None) | (None, limit) => limit.unwrap_or(options.limit),
        };
        let each = |test| Self { work: Work::Test(test), ..options.clone() };
        let runs = if tests.is_empty() { vec![options] } else { tests.into_iter().map(each).collect() };
        runs.iter().try_for_each(Self::check)?;
        Ok(Parsed::Run(runs))
    }

    /// The requests of the load: a read and a write. They are the same unless the load is the mix.
    pub(super) fn templates(&self) -> (Template, Template) {
        let both = |template: Template| (template.clone(), template);
        match (&self.work, self.wire) {
            (Work::Mix, Wire::Memcached) => {
                (Template::memcached_get(), Template::memcached_set(self.value_bytes))
            }
            (Work::Mix, Wire::Resp) => {
                (Template::resp(&["GET", "__key__"], self.over()), self.store_template())
            }
            (Work::Command(words), _) => both(Template::resp(words, self.over())),
            (Work::Test(test), _) => both(test.template(self.over())),
        }
    }

    /// What `--preload` sends, and how often.
    pub(super) fn fill(&self) -> Option<(Template, u64)> {
        match &self.work {
            Work::Test(test) => test.fill(self.over(), self.keys),
            Work::Mix | Work::Command(_) => Some((self.store_template(), self.keys)),
        }
    }

    /// The request that stores a key.
    fn store_template(&self) -> Template {
        match self.wire {
            Wire::Memcached => Template::memcached_set(self.value_bytes),
            Wire::Resp => Template::resp(&["SET", "__key__", "__value__"], self.over()),
        }
    }

    fn over(&self) -> Over {
        Over { value_bytes: self.value_bytes, collections: self.collections }
    }

    /// `host:port`.
    pub(super) fn address(&self) -> String {
        self.server.address()
    }

    /// That what else was asked for goes with tests.
    fn check_tests(&self) -> Result<(), BenchError> {
        if self.work != Work::Mix {
            return Err(usage("-t and a command exclude each other"));
        }
        if self.wire == Wire::Memcached {
            return Err(usage("the tests of -t are for the protocol resp"));
        }
        if !self.warm_up.is_zero() {
            return Err(usage("--warm-up is not for -t: it would take what a test is to take"));
        }
        Ok(())
    }

    fn check(&self) -> Result<(), BenchError> {
        if self.threads > self.connections {
            return Err(usage("--threads must not be more than --connections"));
        }
        if self.wire == Wire::Memcached && self.work != Work::Mix {
            return Err(usage("a command can only be given for the protocol resp"));
        }
        if self.wire == Wire::Memcached && (self.server.password.is_some() || self.server.database != 0) {
            return Err(usage("the protocol memcached has neither passwords nor databases"));
        }
        let (read, write) = self.templates();
        let request_bytes = read.len_bytes().max(write.len_bytes()) as u64;
        if request_bytes.saturating_mul(self.pipeline) > MAX_BATCH_BYTES as u64 {
            return Err(usage("--pipeline times the size of a request is more than 1 GiB"));
        }
        Ok(())
    }
}

/// The one that is there unless the arguments say otherwise.
fn local_server() -> Config {
    let mut config = Config::default();
    (config.protocol, config.read_timeout) = (Protocol::Resp2, None);
    config
}

fn usage(reason: impl ToString) -> BenchError {
    BenchError::Usage(reason.to_string())
}

fn number<T>(given: &Given<'_, Id>, min: T, max: T) -> Result<T, BenchError>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    given.number(min, max).map_err(usage)
}

fn seconds(given: &Given<'_, Id>, min: f64) -> Result<Duration, BenchError> {
    given.seconds(min, MAX_SECONDS).map_err(usage)
}

fn wire(given: &Given<'_, Id>) -> Result<Wire, BenchError> {
    match given.text().map_err(usage)? {
        "resp" => Ok(Wire::Resp),
        "memcached" => Ok(Wire::Memcached),
        _ => Err(usage(given.wrong("is not a protocol: resp or memcached"))),
    }
}

fn tests_named(given: &Given<'_, Id>) -> Result<Vec<&'static Test>, BenchError> {
    let mut tests = Vec::new();
    for name in given.text().map_err(usage)?.split(',') {
        let found = suite::find(name);
        if found.is_empty() {
            let known = suite::names();
            return Err(usage(format!(
                "-t: {name:?} is not the name of a test; they are {known}, ping and lrange"
            )));
        }
        tests.extend(found);
    }
    Ok(tests)
}

fn skew(given: &Given<'_, Id>) -> Result<Distribution, BenchError> {
    let text = given.text().map_err(usage)?;
    let (name, exponent) = text.split_once(':').unwrap_or((text, "0.99"));
    match (name, exponent.parse::<f64>()) {
        ("uniform", _) if name == text => Ok(Distribution::Uniform),
        ("zipf", Ok(exponent)) if (0.01..=10.0).contains(&exponent) => Ok(Distribution::Zipf { exponent }),
        _ => Err(usage(
            given.wrong("is not a skew: uniform, zipf, or zipf:EXPONENT with an exponent from 0.01 to 10"),
        )),
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
            Ok(Parsed::Run(mut runs)) if runs.len() == 1 => runs.remove(0),
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
                Parsed::Run(runs) => runs[0].server.password.clone(),
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
        let words = ["SET", "__key__", "-c", "--help"].map(str::to_owned).to_vec();
        assert_eq!(options.work, Work::Command(words));
        assert_eq!(options.connections, 2);
    }

    #[test]
    fn tests_are_as_large_as_redis_benchmarks_unless_told() {
        let Parsed::Run(runs) = parse("-t lrange,spop").unwrap() else { panic!("no runs") };
        assert_eq!(runs.len(), 5);
        let sizes = |options: &Options| (options.limit, options.value_bytes);
        assert!(runs.iter().all(|run| sizes(run) == (Limit::Requests(100_000), 3)), "{runs:?}");
        assert_eq!(sizes(&run("-d 100 -t hset --requests 7")), (Limit::Requests(7), 100));
        assert_eq!(sizes(&run("-t hset --duration 2")), (Limit::Duration(Duration::from_secs(2)), 3));
    }

    #[test]
    fn memcached_has_its_own_port_unless_told() {
        assert_eq!(run("--protocol memcached").server.port, 11211);
        assert_eq!(run("-p 5 --protocol memcached").server.port, 5);
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
            "-t lpush,nonsense",
            "-t lpush INCR a",
            "-t lpush --warm-up 1",
            "-t lpush --protocol memcached",
            "-t mset -P 100000000",
            "--collections 0",
            "--unknown",
            "-h",
        ] {
            let error = parse(line).expect_err(line).to_string();
            assert!(error.contains("--help"), "{line}: {error}");
        }
        let error = parse("-c 2 --pipeline none").unwrap_err().to_string();
        assert!(error.starts_with("--pipeline: \"none\" is not a number from 1\n"), "{error}");
    }
}
