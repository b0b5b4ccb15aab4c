//! The table of parameters. Pure.

use super::ConfigError;

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// Any text, and what usage calls it.
    Called(&'static str),
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
    /// Letters of classes of events of keys.
    Events,
    /// Numbers from 0 to 100, with spaces between.
    Percentiles,
    /// How much unsent output clients may have: a class, two amounts of memory and seconds, for one or more classes.
    Outputs,
    /// The name of a storage engine; empty: the default one.
    Engine,
    /// The name of a folder.
    Folder,
    /// Permissions of a file, in octal digits; empty or 0: the system's own.
    Mode,
    /// 0: what it would limit does not exist here, for this reason.
    OnlyZero(&'static str),
    /// This value: what any other would ask for does not exist here, for this reason.
    Only(&'static str, &'static str),
}

/// When a parameter can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only at the start.
    AtStart,
    /// At any time, with effect.
    Live,
    /// At any time, without effect: what it is about in Redis does not exist here. It is kept, because tools set it and
    /// expect to read it back; whoever sets it is warned once, with `help`, which says why it does nothing.
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
    /// What it is for, in one line; of one that is only kept, why it has no effect.
    pub help: &'static str,
}

impl Param {
    /// Whether setting it can do something.
    pub fn is_used(&self) -> bool {
        self.change != Change::Kept && !matches!(self.kind, Kind::Only(..) | Kind::OnlyZero(_))
    }

    /// What it takes, as usage shows it.
    pub fn takes(&self) -> String {
        match self.kind {
            Kind::Text => "TEXT".to_owned(),
            Kind::Called(name) => name.to_owned(),
            Kind::Events => "LETTERS".to_owned(),
            Kind::Percentiles => "NUMBERS".to_owned(),
            Kind::Outputs => "LIMITS".to_owned(),
            Kind::Folder => "FOLDER".to_owned(),
            Kind::Mode => "MODE".to_owned(),
            Kind::YesNo => "yes|no".to_owned(),
            Kind::Number { .. } => "NUMBER".to_owned(),
            Kind::Memory { .. } | Kind::Share => "BYTES".to_owned(),
            Kind::OneOf(words) => words.join("|"),
            Kind::Engine => crate::store::EngineKind::NAMES.join("|"),
            Kind::OnlyZero(_) => "0".to_owned(),
            Kind::Only(value, _) => value.to_owned(),
        }
    }
}

const fn at_start(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Param {
    Param { name, alias: None, kind, default, change: Change::AtStart, help }
}

const fn live(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Param {
    Param { name, alias: None, kind, default, change: Change::Live, help }
}

const fn kept(name: &'static str, kind: Kind, default: &'static str, why: &'static str) -> Param {
    Param { name, alias: None, kind, default, change: Change::Kept, help: why }
}

/// One of Redis's whose only value here is the one that does nothing.
const fn only(name: &'static str, value: &'static str, why: &'static str) -> Param {
    Param { name, alias: None, kind: Kind::Only(value, why), default: value, change: Change::Live, help: why }
}

const fn renamed(alias: &'static str, param: Param) -> Param {
    Param { alias: Some(alias), ..param }
}

/// A number of things: not negative, and in 31 bits.
const COUNT: Kind = Kind::Number { min: 0, max: i32::MAX as i64 };
/// What a limit of entries takes.
const ENTRIES: Kind = Kind::Number { min: 0, max: i64::MAX };
/// Any number.
const NUMBER: Kind = Kind::Number { min: i64::MIN, max: i64::MAX };
/// An amount of memory.
const MEMORY: Kind = Kind::Memory { min: 0, max: i64::MAX };

/// Why options without effect have none.
const INSIDE: &str = "it tunes what exists inside Redis only";
const EVICTION: &str = "Modb keeps its data on disk and evicts nothing";
const FILES: &str = "the files of the data folder have names of their own; see dir";
const LAZY: &str = "what is removed is always freed in the background";
const ONE_USER: &str = "there is one user, `default`";

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
    let near = PARAMS.iter().filter(|param| param.is_used());
    near.map(|param| (distance(name, param.name), param.name))
        .filter(|(distance, param)| distance * 2 <= param.len().max(name.len()))
        .min()
        .map(|(_, param)| param)
}

/// All parameters: first what has a meaning here, then what takes one value only, then what is only kept.
#[rustfmt::skip]
pub const PARAMS: &[Param] = &[
    at_start("port", Kind::Number { min: 0, max: 65_535 }, "6379", "the port to listen on; 0: any free one"),
    at_start("bind", Kind::Called("ADDRESSES"), "127.0.0.1 -::1", "the addresses or names to listen on; one with a '-' in front may be missing"),
    at_start("dir", Kind::Folder, "modb-data", "the data folder; made if it is missing"),
    live("requirepass", Kind::Called("PASSWORD"), "", "the password clients must give with AUTH"),
    at_start("requirepass-file", Kind::Called("FILE"), "", "a file that holds that password, so that neither arguments nor the file of options do; the environment can, too, as MODB_PASSWORD"),
    live("protected-mode", Kind::YesNo, "yes", "without a password, refuse clients from other machines"),
    live("maxclients", Kind::Number { min: 1, max: 1_000_000 }, "10000", "connections at the same time"),
    live("timeout", COUNT, "0", "close a connection after so many seconds without a request; 0: never"),
    live("tcp-keepalive", Kind::Number { min: 0, max: 32_767 }, "300", "ask a client that is silent for so many seconds whether it is there; 0: never"),
    live("client-output-buffer-limit", Kind::Outputs, "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", "unsent output with which clients of a class are closed: at once, or after so many seconds"),
    live("maxmemory-clients", Kind::Share, "268435456", "memory of all connections together: bytes, or a percentage of the machine's; 0: no bound"),
    at_start("unixsocket", Kind::Called("FILE"), "", "the path of a Unix-domain socket to listen on, too"),
    at_start("unixsocketperm", Kind::Mode, "", "the permissions of that socket's file, such as 700"),
    at_start("databases", Kind::Number { min: 1, max: 65_536 }, "16", "how many databases there are"),
    at_start("workers", Kind::Number { min: 0, max: 1024 }, "0", "worker threads; 0: one per core"),
    live("long-command-us", Kind::Number { min: 0, max: i64::MAX / 1_000 }, "5000", "commands that will take so many microseconds, as far as can be told, are executed by threads of their own, so that other clients do not wait"),
    live("long-command-threads", Kind::Number { min: 0, max: 1024 }, "0", "how many such threads there are; 0: as many as workers"),
    at_start("durability", Kind::OneOf(&["always", "everysec", "os"]), "everysec", "what a reply to a write promises"),
    at_start("handoff", Kind::OneOf(&["round-robin", "least-connections", "shared"]), "round-robin", "how connections get to workers"),
    at_start("cache-mb", Kind::Number { min: 1, max: 1 << 20 }, "256", "memory for records and file blocks, in MiB"),
    at_start("store", Kind::Engine, "", "the storage engine"),
    at_start("min-free-mb", Kind::Number { min: 0, max: 1 << 30 }, "256", "refuse writes while the disk has less free space, in MiB"),
    at_start("accept-data-loss", Kind::YesNo, "no", "open a damaged data folder without the commits that are lost"),
    at_start("client-query-buffer-limit", Kind::Memory { min: 1 << 20, max: i64::MAX }, "1073741824", "bytes of unread requests a connection may hold"),
    at_start("enable-debug-command", Kind::OneOf(&["no", "yes", "local"]), "no", "whether clients may use DEBUG; local: those of this machine"),
    at_start("enable-backup-command", Kind::OneOf(&["no", "yes", "local"]), "local", "whether clients may use MODB BACKUP, which writes into any folder; local: those of this machine"),
    live("loglevel", Kind::OneOf(&["debug", "verbose", "notice", "warning", "nothing"]), "notice", "what is logged, to standard error"),
    at_start("log-format", Kind::OneOf(&["text", "json"]), "text", "how it is logged: in words, or one object per line"),
    at_start("tcp-backlog", Kind::Number { min: 1, max: i32::MAX as i64 }, "4096", "connections the system keeps waiting to be accepted"),
    live("proto-max-bulk-len", Kind::Memory { min: 1 << 20, max: 512 << 20 }, "536870912", "the longest argument of a request, in bytes"),
    live("slowlog-log-slower-than", Kind::Number { min: -1, max: i64::MAX }, "10000", "log commands that take so many microseconds; -1: none"),
    live("tracking-table-max-keys", COUNT, "1000000", "how many keys are tracked for clients; others are told as changed; 0: any number"),
    live("slowlog-max-len", COUNT, "128", "how many slow commands are remembered"),
    live("latency-tracking", Kind::YesNo, "yes", "show in INFO latencystats and LATENCY HISTOGRAM how long commands took"),
    live("latency-tracking-info-percentiles", Kind::Percentiles, "50 99 99.9", "the percentiles of INFO latencystats"),
    renamed("hash-max-ziplist-entries", live("hash-max-listpack-entries", ENTRIES, "512", "OBJECT ENCODING calls a hash listpack up to so many fields")),
    renamed("hash-max-ziplist-value", live("hash-max-listpack-value", MEMORY, "64", "and as long as no field or value has more bytes")),
    renamed("list-max-ziplist-size", live("list-max-listpack-size", Kind::Number { min: i32::MIN as i64, max: i32::MAX as i64 }, "-2", "OBJECT ENCODING calls a list listpack up to so many elements, or up to 4, 8, ... 64 KiB with -1, -2, ... -5")),
    live("set-max-intset-entries", ENTRIES, "512", "OBJECT ENCODING calls a set of integers intset up to so many members"),
    live("set-max-listpack-entries", ENTRIES, "128", "OBJECT ENCODING calls another set listpack up to so many members"),
    live("set-max-listpack-value", ENTRIES, "64", "and as long as none of its members has more bytes"),
    renamed("zset-max-ziplist-entries", live("zset-max-listpack-entries", ENTRIES, "128", "OBJECT ENCODING calls a sorted set listpack up to so many members")),
    renamed("zset-max-ziplist-value", live("zset-max-listpack-value", MEMORY, "64", "and as long as none of its members has more bytes")),
    live("hll-sparse-max-bytes", MEMORY, "3000", "a HyperLogLog that would have more bytes becomes dense, of 12 KiB"),
    live("notify-keyspace-events", Kind::Events, "", "tell what is done to keys to who listens to __keyspace@0__:KEY (K) or __keyevent@0__:EVENT (E): classes of events by their letters, such as KEA; empty: nothing"),
    at_start("shutdown-timeout", COUNT, "10", "seconds for replies to leave at a shutdown"),
    at_start("appendfsync", Kind::OneOf(&["always", "everysec", "no"]), "everysec", "Redis's name for durability"),
    only("aclfile", "", "there is one user, `default`; see requirepass"),
    only("appendonly", "yes", "every write is logged, always; see durability"),
    only("cluster-enabled", "no", "there is no cluster"),
    only("daemonize", "no", "a service manager, or '&' of a shell, keeps it in the background"),
    only("logfile", "", "the log goes to standard error: direct it into a file, or let a service manager keep it"),
    live("maxmemory", Kind::OnlyZero("Modb keeps its data on disk and evicts nothing; see cache-mb"), "0", "Modb keeps its data on disk and evicts nothing; see cache-mb"),
    only("pidfile", "", "the start-up line says the id of the process; a service manager knows it"),
    only("supervised", "no", "a service manager that wants to know when it serves is told (NOTIFY_SOCKET), and the start-up line says so"),
    only("syslog-enabled", "no", "the log goes to standard error"),
    live("tls-port", Kind::OnlyZero("there is no TLS; put a proxy that has it in front"), "0", "there is no TLS; put a proxy that has it in front"),
    kept("acl-pubsub-default", Kind::Text, "resetchannels", ONE_USER),
    kept("acllog-max-len", NUMBER, "128", ONE_USER),
    kept("active-expire-effort", NUMBER, "1", INSIDE),
    kept("activerehashing", Kind::YesNo, "yes", INSIDE),
    kept("appenddirname", Kind::Text, "appendonlydir", FILES),
    kept("appendfilename", Kind::Text, "appendonly.aof", FILES),
    kept("auto-aof-rewrite-min-size", MEMORY, "67108864", "the log is made short by itself; MODB COMPACT gives back all it can"),
    kept("auto-aof-rewrite-percentage", NUMBER, "100", "the log is made short by itself; MODB COMPACT gives back all it can"),
    renamed("lua-time-limit", kept("busy-reply-threshold", NUMBER, "5000", "there are no scripts")),
    kept("dbfilename", Kind::Text, "dump.rdb", FILES),
    kept("hz", NUMBER, "10", INSIDE),
    kept("io-threads", NUMBER, "1", "see workers"),
    kept("io-threads-do-reads", Kind::YesNo, "no", "see workers"),
    kept("latency-monitor-threshold", NUMBER, "0", "waits are not recorded; see slowlog-log-slower-than and latency-tracking"),
    kept("lazyfree-lazy-eviction", Kind::YesNo, "no", LAZY),
    kept("lazyfree-lazy-expire", Kind::YesNo, "no", LAZY),
    kept("lazyfree-lazy-server-del", Kind::YesNo, "no", LAZY),
    kept("lazyfree-lazy-user-del", Kind::YesNo, "no", LAZY),
    kept("lazyfree-lazy-user-flush", Kind::YesNo, "no", LAZY),
    kept("lfu-decay-time", NUMBER, "1", EVICTION),
    kept("lfu-log-factor", NUMBER, "10", EVICTION),
    kept("list-compress-depth", NUMBER, "0", INSIDE),
    kept("maxmemory-eviction-tenacity", NUMBER, "10", EVICTION),
    kept("maxmemory-policy", Kind::OneOf(&["noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"]), "noeviction", EVICTION),
    kept("maxmemory-samples", NUMBER, "5", EVICTION),
    kept("repl-backlog-size", MEMORY, "1048576", "there is no replication"),
    kept("replica-read-only", Kind::YesNo, "yes", "there is no replication"),
    kept("save", Kind::Text, "", "there is no dump file: every write is logged when it is acknowledged; see durability"),
    kept("stream-node-max-bytes", MEMORY, "4096", INSIDE),
    kept("stream-node-max-entries", NUMBER, "100", INSIDE),
];

/// How many letters must be changed, added or removed to make `b` of `a` (Levenshtein's distance).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replace = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
