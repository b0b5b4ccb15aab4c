//! What is known about a command besides its function: one entry of the table. Pure.
//!
//! Dispatch, locking, `COMMAND`, the client's hints and docs/COMPATIBILITY.md are all made from it, so that
//! they cannot disagree.

use modb_net::resp::Args;

use super::weight::Weigh;
use crate::command::{CommandError, Ctx, Reply};

/// Executes a command. The number of arguments fits its arity, and the stripes of its keys are held.
pub(crate) type Run = fn(&mut Ctx<'_, '_>, Args<'_>) -> Result<Reply, CommandError>;

/// Properties of a command, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    /// Nothing special.
    pub const NONE: Self = Self(0);
    /// It may write.
    pub const WRITE: Self = Self(1);
    /// It reads keys and writes nothing.
    pub const READONLY: Self = Self(1 << 1);
    /// It may need more memory.
    pub const DENYOOM: Self = Self(1 << 2);
    /// For administrators.
    pub const ADMIN: Self = Self(1 << 3);
    /// It concerns messages.
    pub const PUBSUB: Self = Self(1 << 4);
    /// Not from scripts.
    pub const NOSCRIPT: Self = Self(1 << 5);
    /// It may wait.
    pub const BLOCKING: Self = Self(1 << 6);
    /// Allowed while data is loaded.
    pub const LOADING: Self = Self(1 << 7);
    /// Allowed on a stale replica.
    pub const STALE: Self = Self(1 << 8);
    /// Takes constant or logarithmic time.
    pub const FAST: Self = Self(1 << 9);
    /// Allowed before authentication.
    pub const NO_AUTH: Self = Self(1 << 10);
    /// Not inside `MULTI`.
    pub const NO_MULTI: Self = Self(1 << 11);
    /// The places of its keys depend on its arguments.
    pub const MOVABLEKEYS: Self = Self(1 << 12);
    /// Allowed while a script runs.
    pub const ALLOW_BUSY: Self = Self(1 << 13);
    /// Not while data is loaded in the background.
    pub const NO_ASYNC_LOADING: Self = Self(1 << 14);
    /// May be paused with the writes (it is no write, but may cause one).
    pub const MAY_REPLICATE: Self = Self(1 << 15);
    /// The slow log has what it executes, and not itself.
    pub const SKIP_SLOWLOG: Self = Self(1 << 19);
    /// It holds every stripe: it concerns whole databases. Not shown.
    pub const ALL_KEYS: Self = Self(1 << 16);
    /// Its key is kept in several records, so that even one key is read under its stripe. Not shown.
    pub const MANY_RECORDS: Self = Self(1 << 17);

    /// It may take long, and is weighed before it runs. Not shown.
    pub const WEIGHED: Self = Self(1 << 18);

    /// Its client watches the keys that it names. Not shown.
    pub const WATCHES: Self = Self(1 << 28);
    /// Executed at once also after `MULTI`. Not shown.
    pub const AT_ONCE: Self = Self(1 << 29);
    /// It executes what was queued. Not shown.
    pub const EXECUTES: Self = Self(1 << 30);
    /// It acts outside of the data and of its client, so that it must not be done twice. Not shown.
    pub const OUTSIDE: Self = Self(1 << 31);

    /// The names that `COMMAND INFO` shows, in its order.
    const SHOWN: [(Self, &'static str); 17] = [
        (Self::WRITE, "write"),
        (Self::READONLY, "readonly"),
        (Self::DENYOOM, "denyoom"),
        (Self::ADMIN, "admin"),
        (Self::PUBSUB, "pubsub"),
        (Self::NOSCRIPT, "noscript"),
        (Self::BLOCKING, "blocking"),
        (Self::LOADING, "loading"),
        (Self::STALE, "stale"),
        (Self::SKIP_SLOWLOG, "skip_slowlog"),
        (Self::FAST, "fast"),
        (Self::NO_AUTH, "no_auth"),
        (Self::MAY_REPLICATE, "may_replicate"),
        (Self::NO_MULTI, "no_multi"),
        (Self::MOVABLEKEYS, "movablekeys"),
        (Self::ALLOW_BUSY, "allow_busy"),
        (Self::NO_ASYNC_LOADING, "no_async_loading"),
    ];

    /// Both together.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of those that clients see.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::SHOWN.into_iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| name)
    }
}

/// How a command treats the keys of one [`KeySpec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads the value.
    Read,
    /// Reads only whether and what it is.
    Inspect,
    /// Reads and changes the value.
    Update,
    /// Changes the value without reading it.
    Change,
    /// Replaces the value.
    Overwrite,
    /// Sets a key, which it does not read.
    Insert,
    /// Adds to a value, which it does not read.
    Extend,
    /// Reads the value and removes it.
    Take,
    /// Removes parts of the value without reading it.
    Shrink,
    /// Removes the key.
    Remove,
    /// It is no key, but the name of a shard channel, which clusters place as if it were one.
    NotKey,
}

impl Access {
    /// The flags that `COMMAND INFO` shows.
    pub fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Read => &["RO", "access"],
            Self::Inspect => &["RO"],
            Self::Update => &["RW", "access", "update"],
            Self::Change => &["RW", "update"],
            Self::Overwrite => &["OW", "update"],
            Self::Insert => &["OW", "insert"],
            Self::Extend => &["RW", "insert"],
            Self::Take => &["RW", "access", "delete"],
            Self::Shrink => &["RW", "delete"],
            Self::Remove => &["RM", "delete"],
            Self::NotKey => &["not_key"],
        }
    }
}

/// Where keys are among the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// From `first` to `last` (negative: from the end; -1 is the last argument), every `step`.
    Range {
        /// The first.
        first: usize,
        /// The last.
        last: i32,
        /// The distance.
        step: usize,
    },
    /// As many keys as the argument `count` says, from the one behind it on.
    Counted {
        /// Where the number is.
        count: usize,
    },
    /// The key behind the last of some words, if there is one, from argument `first` on.
    Behind {
        /// Where options begin.
        first: usize,
        /// The words.
        words: &'static [&'static str],
        /// Options whose arguments are passed over, with their number.
        passed: &'static [(&'static str, usize)],
    },
}

/// Some of the keys of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// What happens to them.
    pub access: Access,
    /// Where they are.
    pub find: Find,
}

impl KeySpec {
    /// Where the key is, if there is exactly one, always at the same place.
    pub const fn single(&self) -> Option<usize> {
        match self.find {
            Find::Range { first, last, .. } if last >= 0 && first == last as usize => Some(first),
            _ => None,
        }
    }
}

/// One key, at `index`.
pub(crate) const fn key(access: Access, index: usize) -> KeySpec {
    KeySpec { access, find: Find::Range { first: index, last: index as i32, step: 1 } }
}

/// Keys from `first` to the last argument, every `step`.
pub(crate) const fn keys(access: Access, first: usize, step: usize) -> KeySpec {
    KeySpec { access, find: Find::Range { first, last: -1, step } }
}

/// What the words of a command are behind its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    /// Keys.
    Keys,
    /// Keys, each with what it is to be set to.
    Pairs,
}

/// One command, or one subcommand.
#[derive(Debug)]
pub struct Spec {
    /// The name in lower case; of a subcommand without the command's.
    pub name: &'static str,
    /// The function.
    pub run: Run,
    /// What it takes beside what its words do, if that may be much.
    pub(crate) weigh: Option<Weigh>,
    /// What its words are, if they can be taken in another order than they were given in.
    pub(crate) many: Option<Words>,
    /// The number of arguments with the name; negative: at least so many.
    pub arity: i32,
    /// Properties.
    pub flags: Flags,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// Where names are that clusters place as if they were keys. Shown, and nothing else.
    pub channels: &'static [KeySpec],
    /// ACL categories beyond those that follow from the flags, with the `@`.
    pub acl: &'static [&'static str],
    /// The group in the documentation.
    pub group: &'static str,
    /// The version of Redis that had it first.
    pub since: &'static str,
    /// How long it takes.
    pub complexity: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Its arguments, as documentation writes them: `key value [NX|XX] [EX seconds]`.
    pub syntax: &'static str,
    /// Subcommands.
    pub subcommands: &'static [Spec],
    /// How it differs from Redis 7.2, if it does.
    pub differs: &'static str,
}

impl Spec {
    /// Where its key is, if it has exactly one, always at the same place.
    #[inline]
    pub fn only_key(&self) -> Option<usize> {
        if let [only] = self.keys { only.single() } else { None }
    }

    /// A command of `group` with the given name, function and arity.
    pub const fn new(group: &'static str, name: &'static str, run: Run, arity: i32) -> Self {
        Self {
            name,
            run,
            weigh: None,
            many: None,
            arity,
            flags: Flags::NONE,
            keys: &[],
            channels: &[],
            acl: &[],
            group,
            since: "1.0.0",
            complexity: "O(1)",
            summary: "",
            syntax: "",
            subcommands: &[],
            differs: "",
        }
    }

    /// With these properties.
    pub const fn flags(mut self, flags: &[Flags]) -> Self {
        let mut at = 0;
        while at < flags.len() {
            self.flags = self.flags.and(flags[at]);
            at += 1;
        }
        self
    }

    /// It may have many words.
    pub const fn weighed(self) -> Self {
        self.flags(&[Flags::WEIGHED])
    }

    /// It may take long, of which this tells.
    pub(crate) const fn weighs(mut self, weigh: Weigh) -> Self {
        self.weigh = Some(weigh);
        self.weighed()
    }

    /// It may have very many words, of these, which are brought into order before it holds anything.
    pub(crate) const fn many(mut self, words: Words) -> Self {
        self.many = Some(words);
        self.weighed()
    }

    /// With these keys.
    pub const fn keys(self, keys: &'static [KeySpec]) -> Self {
        Self { keys, ..self }
    }

    /// With these names of shard channels.
    pub const fn channels(self, channels: &'static [KeySpec]) -> Self {
        Self { channels, ..self }
    }

    /// With these ACL categories.
    pub const fn acl(self, acl: &'static [&'static str]) -> Self {
        Self { acl, ..self }
    }

    /// With this documentation: arguments, first version, complexity, summary.
    pub const fn docs(
        self,
        syntax: &'static str,
        since: &'static str,
        complexity: &'static str,
        summary: &'static str,
    ) -> Self {
        Self { syntax, since, complexity, summary, ..self }
    }

    /// With these subcommands.
    pub const fn with(self, subcommands: &'static [Self]) -> Self {
        Self { subcommands, ..self }
    }

    /// With this difference from Redis.
    pub const fn differs(self, differs: &'static str) -> Self {
        Self { differs, ..self }
    }

    /// Whether it walks over the keys of a database.
    pub(crate) fn walks(&self) -> bool {
        self.keys.is_empty() && self.flags.has(Flags::READONLY) && !self.flags.has(Flags::FAST)
    }

    /// Whether a request of `len` words, the name included, has as many as it must.
    pub fn takes(&self, len: usize) -> bool {
        let wanted = self.arity.unsigned_abs() as usize;
        if self.arity >= 0 { len == wanted } else { len >= wanted }
    }

    /// Calls `visit` with the place of every key in `args`. `false`: the arguments do not say where they are.
    pub fn for_each_key(&self, args: Args<'_>, mut visit: impl FnMut(usize, Access)) -> bool {
        for spec in self.keys {
            let (first, last, step) = match spec.find {
                Find::Range { first, last, step } => {
                    let last = if last < 0 { args.len() as i64 + i64::from(last) } else { i64::from(last) };
                    (first, last, step)
                }
                Find::Counted { count } => {
                    let number = args.get(count).and_then(modb_net::resp::parse_i64);
                    let Some(number) = number.filter(|n| *n >= 0) else { return false };
                    (count + 1, (count as i64).saturating_add(number), 1)
                }
                Find::Behind { first, words, passed } => {
                    if let Some(at) = behind(args, first, words, passed) {
                        visit(at, spec.access);
                    }
                    continue;
                }
            };
            let last = usize::try_from(last).unwrap_or(0);
            if last >= args.len() {
                return false;
            }
            (first..=last).step_by(step).for_each(|at| visit(at, spec.access));
        }
        true
    }

    /// The ACL categories, with the `@`.
    pub fn categories(&self) -> Vec<&'static str> {
        let mut all = Vec::new();
        all.extend(match self.group {
            "generic" => Some("@keyspace"),
            "string" => Some("@string"),
            "bitmap" => Some("@bitmap"),
            "connection" => Some("@connection"),
            "list" => Some("@list"),
            "set" => Some("@set"),
            "sorted-set" => Some("@sortedset"),
            "hash" => Some("@hash"),
            "hyperloglog" => Some("@hyperloglog"),
            "geo" => Some("@geo"),
            "stream" => Some("@stream"),
            "transactions" => Some("@transaction"),
            "scripting" => Some("@scripting"),
            "pubsub" => Some("@pubsub"),
            _ => None,
        });
        all.extend(self.acl);
        let derived = [
            (Flags::WRITE, "@write"),
            (Flags::READONLY, "@read"),
            (Flags::ADMIN, "@admin"),
            (Flags::ADMIN, "@dangerous"),
            (Flags::BLOCKING, "@blocking"),
        ];
        all.extend(derived.into_iter().filter(|(flag, _)| self.flags.has(*flag)).map(|(_, name)| name));
        all.push(if self.flags.has(Flags::FAST) { "@fast" } else { "@slow" });
        all
    }
}

/// The place behind the last of `words`: see [`Find::Behind`].
fn behind(args: Args<'_>, first: usize, words: &[&str], passed: &[(&str, usize)]) -> Option<usize> {
    let (mut at, mut found) = (first, None);
    while let Some(word) = args.get(at) {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        if let Some((_, arguments)) = passed.iter().find(|(name, _)| is(name)) {
            at += arguments;
        } else if at + 1 < args.len() && words.iter().any(|name| is(name)) {
            at += 1;
            found = Some(at);
        }
        at += 1;
    }
    found
}
