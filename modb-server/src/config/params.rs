//! The table of parameters. Pure.

use super::ConfigError;
use super::values::distance;

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// `yes` or `no`.
    YesNo,
    /// A whole number.
    Number {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// Bytes, with units such as `mb`.
    Memory {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// Bytes, with units, or a percentage of the machine's memory.
    Share,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Numbers from 0 to 100, with spaces between.
    Percentiles,
    /// The name of a storage engine; empty: the default one.
    Engine,
    /// 0: what it would limit does not exist here, for this reason.
    OnlyZero(&'static str),
}

/// When a parameter can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only at the start.
    AtStart,
    /// At any time, with effect.
    Live,
    /// At any time, without effect: it tunes something inside Redis that does not exist here. It is kept,
    /// because tools set it and expect to read it back.
    Kept,
}

/// One parameter.
#[derive(Debug)]
pub struct Param {
    /// Its name; on the command line behind `--`.
    pub name: &'static str,
    /// An older name that still works.
    pub alias: Option<&'static str>,
    /// What it takes.
    pub kind: Kind,
    /// Its value unless set.
    pub default: &'static str,
    /// When it can change.
    pub change: Change,
    /// What it is for, in one line. Empty for those that are only kept.
    pub help: &'static str,
}

const fn at_start(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Param {
    Param { name, alias: None, kind, default, change: Change::AtStart, help }
}

const fn live(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Param {
    Param { name, alias: None, kind, default, change: Change::Live, help }
}

const fn kept(name: &'static str, kind: Kind, default: &'static str) -> Param {
    Param { name, alias: None, kind, default, change: Change::Kept, help: "" }
}

const fn renamed(alias: &'static str, param: Param) -> Param {
    Param { alias: Some(alias), ..param }
}

/// A number of things: not negative, and in 31 bits.
const COUNT: Kind = Kind::Number { min: 0, max: i32::MAX as i64 };
/// Any number.
const NUMBER: Kind = Kind::Number { min: i64::MIN, max: i64::MAX };
/// An amount of memory.
const MEMORY: Kind = Kind::Memory { min: 0, max: i64::MAX };

/// The index and the entry of a parameter.
pub(super) fn find(name: &str) -> Result<(usize, &'static Param), ConfigError> {
    let same = |param: &Param| {
        name.eq_ignore_ascii_case(param.name) || param.alias.is_some_and(|a| name.eq_ignore_ascii_case(a))
    };
    PARAMS.iter().enumerate().find(|(_, param)| same(param)).ok_or_else(|| ConfigError::Unknown {
        name: name.to_owned(),
        similar: similar(&name.to_ascii_lowercase()),
    })
}

/// A parameter whose name differs in at most half of its letters.
fn similar(name: &str) -> Option<&'static str> {
    let near = PARAMS.iter().filter(|param| !param.help.is_empty());
    near.map(|param| (distance(name, param.name), param.name))
        .filter(|(distance, param)| distance * 2 <= param.len().max(name.len()))
        .min()
        .map(|(_, param)| param)
}

/// All parameters: first what has a meaning here, then what is only kept.
#[rustfmt::skip]
pub const PARAMS: &[Param] = &[
    at_start("port", Kind::Number { min: 0, max: 65_535 }, "6379", "the port to listen on; 0: any free one"),
    at_start("bind", Kind::Text, "127.0.0.1 -::1", "the addresses to listen on; with a '-' in front, it may be missing"),
    at_start("dir", Kind::Text, "modb-data", "the data folder; made if it is missing"),
    live("requirepass", Kind::Text, "", "the password clients must give with AUTH"),
    live("protected-mode", Kind::YesNo, "yes", "without a password, refuse clients from other machines"),
    live("maxclients", Kind::Number { min: 1, max: 1_000_000 }, "10000", "connections at the same time"),
    live("timeout", COUNT, "0", "close a connection after so many seconds without a request; 0: never"),
    live("tcp-keepalive", Kind::Number { min: 0, max: 32_767 }, "300", "ask a client that is silent for so many seconds whether it is there; 0: never"),
    live("maxmemory-clients", Kind::Share, "268435456", "memory of all connections together: bytes, or a percentage of the machine's; 0: no bound"),
    at_start("unixsocket", Kind::Text, "", "the path of a Unix-domain socket to listen on, too"),
    at_start("unixsocketperm", Kind::Text, "", "the permissions of that socket's file, such as 700"),
    at_start("databases", Kind::Number { min: 1, max: 65_536 }, "16", "how many databases there are"),
    at_start("workers", Kind::Number { min: 0, max: 1024 }, "0", "worker threads; 0: one per core"),
    at_start("durability", Kind::OneOf(&["always", "everysec", "os"]), "everysec", "what a reply to a write promises"),
    at_start("handoff", Kind::OneOf(&["round-robin", "least-connections", "shared"]), "round-robin", "how connections get to workers"),
    at_start("cache-mb", Kind::Number { min: 1, max: 1 << 20 }, "256", "memory for records and file blocks, in MiB"),
    at_start("store", Kind::Engine, "", "the storage engine"),
    at_start("min-free-mb", Kind::Number { min: 0, max: 1 << 30 }, "256", "refuse writes while the disk has less free space, in MiB"),
    at_start("accept-data-loss", Kind::YesNo, "no", "open a damaged data folder without the commits that are lost"),
    at_start("client-query-buffer-limit", Kind::Memory { min: 1 << 20, max: i64::MAX }, "1073741824", "bytes of unread requests a connection may hold"),
    at_start("enable-debug-command", Kind::OneOf(&["no", "yes", "local"]), "no", "whether clients may use DEBUG; local: those of this machine"),
    at_start("enable-backup-command", Kind::OneOf(&["no", "yes", "local"]), "local", "whether clients may use MODB BACKUP, which writes into any folder; local: those of this machine"),
    live("loglevel", Kind::OneOf(&["debug", "verbose", "notice", "warning", "nothing"]), "notice", "what is logged"),
    live("proto-max-bulk-len", Kind::Memory { min: 1 << 20, max: 512 << 20 }, "536870912", "the longest argument of a request, in bytes"),
    live("slowlog-log-slower-than", Kind::Number { min: -1, max: i64::MAX }, "10000", "log commands that take so many microseconds; -1: none"),
    live("slowlog-max-len", COUNT, "128", "how many slow commands are remembered"),
    live("latency-tracking", Kind::YesNo, "yes", "show in INFO latencystats and LATENCY HISTOGRAM how long commands took"),
    live("latency-tracking-info-percentiles", Kind::Percentiles, "50 99 99.9", "the percentiles of INFO latencystats"),
    at_start("shutdown-timeout", COUNT, "10", "seconds for replies to leave at a shutdown"),
    at_start("appendfsync", Kind::OneOf(&["always", "everysec", "no"]), "everysec", "Redis's name for durability"),
    at_start("appendonly", Kind::OneOf(&["yes"]), "yes", "always yes: every write is logged"),
    live("maxmemory", Kind::OnlyZero("Modb keeps its data on disk and evicts nothing; see cache-mb"), "0", "always 0: data is kept on disk"),
    kept("acl-pubsub-default", Kind::Text, "resetchannels"),
    kept("acllog-max-len", NUMBER, "128"),
    kept("active-expire-effort", NUMBER, "1"),
    kept("activerehashing", Kind::YesNo, "yes"),
    kept("appenddirname", Kind::Text, "appendonlydir"),
    kept("appendfilename", Kind::Text, "appendonly.aof"),
    kept("auto-aof-rewrite-min-size", MEMORY, "67108864"),
    kept("auto-aof-rewrite-percentage", NUMBER, "100"),
    renamed("lua-time-limit", kept("busy-reply-threshold", NUMBER, "5000")),
    kept("client-output-buffer-limit", Kind::Text, "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"),
    kept("cluster-enabled", Kind::YesNo, "no"),
    kept("dbfilename", Kind::Text, "dump.rdb"),
    renamed("hash-max-ziplist-entries", kept("hash-max-listpack-entries", NUMBER, "512")),
    renamed("hash-max-ziplist-value", kept("hash-max-listpack-value", MEMORY, "64")),
    kept("hll-sparse-max-bytes", MEMORY, "3000"),
    kept("hz", NUMBER, "10"),
    kept("io-threads", NUMBER, "1"),
    kept("io-threads-do-reads", Kind::YesNo, "no"),
    kept("latency-monitor-threshold", NUMBER, "0"),
    kept("lazyfree-lazy-eviction", Kind::YesNo, "no"),
    kept("lazyfree-lazy-expire", Kind::YesNo, "no"),
    kept("lazyfree-lazy-server-del", Kind::YesNo, "no"),
    kept("lazyfree-lazy-user-del", Kind::YesNo, "no"),
    kept("lazyfree-lazy-user-flush", Kind::YesNo, "no"),
    kept("lfu-decay-time", NUMBER, "1"),
    kept("lfu-log-factor", NUMBER, "10"),
    kept("list-compress-depth", NUMBER, "0"),
    renamed("list-max-ziplist-size", kept("list-max-listpack-size", NUMBER, "-2")),
    kept("maxmemory-eviction-tenacity", NUMBER, "10"),
    kept("maxmemory-policy", Kind::OneOf(&["noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"]), "noeviction"),
    kept("maxmemory-samples", NUMBER, "5"),
    kept("notify-keyspace-events", Kind::Text, ""),
    kept("repl-backlog-size", MEMORY, "1048576"),
    kept("replica-read-only", Kind::YesNo, "yes"),
    kept("save", Kind::Text, ""),
    kept("set-max-intset-entries", NUMBER, "512"),
    kept("set-max-listpack-entries", NUMBER, "128"),
    kept("set-max-listpack-value", NUMBER, "64"),
    kept("stream-node-max-bytes", MEMORY, "4096"),
    kept("stream-node-max-entries", NUMBER, "100"),
    kept("tcp-backlog", NUMBER, "511"),
    kept("tracking-table-max-keys", NUMBER, "1000000"),
    renamed("zset-max-ziplist-entries", kept("zset-max-listpack-entries", NUMBER, "128")),
    renamed("zset-max-ziplist-value", kept("zset-max-listpack-value", MEMORY, "64")),
];
