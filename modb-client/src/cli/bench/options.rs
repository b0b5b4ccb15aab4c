//! The options of `modb-client bench`, named as redis-benchmark names the same thing.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use modb_client::{Config, Protocol};

use super::random::Keys;
use super::worker::Until;
use super::workload::Workload;
use crate::cli::options::{Opt, Target, custom, number, seconds, text};

/// What `modb-client bench --help` prints.
pub(crate) const HELP: &str = "\
Usage: modb-client [CONNECTION OPTIONS] bench [OPTIONS] [COMMAND [ARGUMENT ...]]

Sends SET, then GET; or COMMAND, in which __rand_int__ is replaced by the number of a key.

Load
  -c CONNECTIONS     how many at the same time (50)
  -P REQUESTS        sent together on a connection, without waiting for replies: the pipeline (1)
  -t TESTS           of set, get, ping, incr; with commas (set,get)
  --reads SHARE      one test instead, with this share of GET among SET: 0.9
  -r KEYS            how many keys there are (100000)
  --skew S           use them by Zipf's law with this exponent; 0: all alike (0), 0.99: as YCSB
  -d BYTES           the size of values (100)
  --fill             set every key before
  --rate N           requests per second in all; latencies then run from when a request was due
  --threads N        threads that generate the load (1)

Length
  --duration SECONDS (10)
  -n REQUESTS        instead of a duration
  --warm-up SECONDS  not measured (1)

Output
  --json FILE        the results as a JSON array; - is standard output
  -q                 neither progress nor histogram

Connection options also stand behind `bench`, except -n: use --db, or -u.
";

/// What to measure.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(super) config: Config,
    pub(super) connections: usize,
    pub(super) pipeline: usize,
    pub(super) tests: Vec<Test>,
    pub(super) reads: Option<f64>,
    pub(super) keys: u64,
    pub(super) skew: f64,
    pub(super) value_bytes: usize,
    pub(super) fill: bool,
    pub(super) rate: Option<f64>,
    pub(super) threads: usize,
    pub(super) until: Until,
    pub(super) warm_up: Duration,
    pub(super) json: Option<PathBuf>,
    pub(super) quiet: bool,
    /// Sent instead of the tests.
    pub(super) command: Vec<Vec<u8>>,
}

/// A test that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    Set,
    Get,
    Ping,
    Incr,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            config: Config::default(),
            connections: 50,
            pipeline: 1,
            tests: vec![Test::Set, Test::Get],
            reads: None,
            keys: 100_000,
            skew: 0.0,
            value_bytes: 100,
            fill: false,
            rate: None,
            threads: 1,
            until: Until::Time(Duration::from_secs(10)),
            warm_up: Duration::from_secs(1),
            json: None,
            quiet: false,
            command: Vec::new(),
        }
    }
}

impl Options {
    /// Reads what follows `bench`. `None`: help is wanted.
    ///
    /// # Errors
    /// A sentence for the user.
    pub(crate) fn parse(
        parser: &mut lexopt::Parser,
        mut target: Target,
    ) -> Result<Option<Self>, lexopt::Error> {
        let mut options = Self::default();
        while let Some(opt) = Opt::next(parser)? {
            let flag = match opt {
                Opt::Flag(flag) => flag,
                Opt::Value(name) => {
                    options.command.push(name.into_encoded_bytes());
                    options.command.extend(parser.raw_args()?.map(OsString::into_encoded_bytes));
                    continue;
                }
            };
            match flag.as_str() {
                "--help" | "-?" => return Ok(None),
                "-c" => options.connections = positive(parser)? as usize,
                "-P" => options.pipeline = positive(parser)? as usize,
                "-t" => options.tests = tests(&text(parser)?)?,
                "--reads" => options.reads = Some(share(parser)?),
                "-r" => options.keys = positive(parser)?,
                "--skew" => options.skew = number(parser)?,
                "-d" => options.value_bytes = number::<u32>(parser)? as usize,
                "--fill" => options.fill = true,
                "--rate" => options.rate = Some(positive(parser)? as f64),
                "--threads" => options.threads = positive(parser)? as usize,
                "--duration" => options.until = Until::Time(seconds(parser)?),
                "-n" => options.until = Until::Requests(positive(parser)?),
                "--warm-up" => options.warm_up = seconds(parser)?,
                "--json" => options.json = Some(parser.value()?.into()),
                "-q" => options.quiet = true,
                "--db" => target.config.database = number(parser)?,
                _ if target.take(&flag, parser)? => {}
                _ => return Err(custom(format!("invalid option '{flag}'"))),
            }
        }
        options.config = target.into_config(Protocol::Resp2);
        options.threads = options.threads.min(options.connections);
        Ok(Some(options))
    }

    /// The tests to run, one after the other.
    pub(super) fn workloads(&self) -> Vec<Workload> {
        let keys = Keys::new(self.keys, self.skew);
        if !self.command.is_empty() {
            let name = String::from_utf8_lossy(&self.command.join(&b' ')).into_owned();
            return vec![Workload::one(&name, &self.command, keys)];
        }
        if let Some(reads) = self.reads {
            return vec![Workload::mixed(reads, self.value_bytes, keys)];
        }
        let workload = |test: &Test| match test {
            Test::Set => Workload::set(self.value_bytes, keys.clone()),
            Test::Get => Workload::get(keys.clone()),
            Test::Ping => Workload::one("PING", &["PING"], keys.clone()),
            Test::Incr => Workload::one("INCR", &["INCR", "counter:__rand_int__"], keys.clone()),
        };
        self.tests.iter().map(workload).collect()
    }
}

fn positive(parser: &mut lexopt::Parser) -> Result<u64, lexopt::Error> {
    match number(parser)? {
        0 => Err("0 is too few".into()),
        count => Ok(count),
    }
}

fn share(parser: &mut lexopt::Parser) -> Result<f64, lexopt::Error> {
    let share: f64 = number(parser)?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("a share is between 0 and 1".into()) }
}

fn tests(list: &str) -> Result<Vec<Test>, lexopt::Error> {
    let test = |name: &str| match name.to_ascii_lowercase().as_str() {
        "set" => Ok(Test::Set),
        "get" => Ok(Test::Get),
        "ping" => Ok(Test::Ping),
        "incr" => Ok(Test::Incr),
        other => Err(custom(format!("unknown test '{other}'"))),
    };
    list.split(',').map(test).collect()
}
