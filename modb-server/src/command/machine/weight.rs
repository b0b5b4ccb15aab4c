//! How much work a command is: decided before it begins, from its words and from what its keys hold.
//!
//! What is more than `long-command-us` is left to a thread ([`super::lent`]). Weights are coarse, and rather too high than too low for what
//! only looks large; what was too light all the same is found out by the pages that it reads ([`Tx::missed`]), and run again by a
//! thread. Invariant: weighing takes no longer than looking up the keys of one command does.

use modb_net::resp::Args;

use super::spec::{Flags, Spec};
use crate::command::language::parse;
use crate::command::language::walk::MAX_ELEMENTS;
use crate::command::{Client, Instance};
use crate::data::{Extent, MAX_VALUE_BYTES, Tx};

/// For one element that is read, or written into a reply.
pub(crate) const READ_NS: u64 = 150;
/// For one key or element that is looked up.
pub(crate) const FIND_NS: u64 = 500;
/// For one key or element that is written.
pub(crate) const WRITE_NS: u64 = 1_500;
/// For one element that is sorted.
pub(crate) const SORT_NS: u64 = 1_000;
/// For a KiB that is copied.
const COPY_KIB_NS: u64 = 1_000;

/// What a command takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    /// Time, in nanoseconds, about.
    pub(crate) nanos: u64,
    /// What it answers, in bytes, about; 0: little, or nobody knows.
    pub(crate) reply_bytes: u64,
}

/// Weighs a command of which the stripes are held.
pub(crate) type Weigh = fn(&mut Scale<'_, '_>, Args<'_>) -> Weight;

impl Weight {
    /// So much time, and a small reply.
    pub(crate) fn of(nanos: u64) -> Self {
        Self { nanos, reply_bytes: 0 }
    }

    /// `each` for so many.
    pub(crate) fn each(count: u64, each: u64) -> Self {
        Self::of(count.saturating_mul(each))
    }

    /// A request of so many words, but for what its keys hold.
    pub(crate) fn of_words(spec: &Spec, words: usize) -> Self {
        Self::each(words as u64, spec.nanos_per_word())
    }

    /// Both.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            nanos: self.nanos.saturating_add(other.nanos),
            reply_bytes: self.reply_bytes.saturating_add(other.reply_bytes),
        }
    }
}

/// Every element of its key is answered.
pub(crate) const ANSWERED: Weigh = |scale, args| scale.answered(&args[1]);
/// Every element of its key is looked at.
pub(crate) const ALL: Weigh = |scale, args| Weight::each(scale.extent(&args[1]).elements, READ_NS);
/// What its key holds is copied.
pub(crate) const COPIED: Weigh = |scale, args| scale.copied(&args[1]);
/// As many elements of its key are looked at as `COUNT` says.
pub(crate) const SCANNED: Weigh = |_, args| scanned(args, 3);

/// What commands are weighed on.
pub(crate) struct Scale<'s, 'd> {
    pub(crate) tx: &'s mut Tx<'d>,
    pub(crate) instance: &'s Instance,
    pub(crate) client: &'s Client,
    pub(crate) database: u32,
    /// What weighs no more, whatever it needs of its keys, need not be told more exactly: nothing is added to it.
    short_nanos: u64,
}

impl Scale<'_, '_> {
    /// What a key holds. Nothing, if that cannot be told: the command will say why.
    pub(crate) fn extent(&mut self, key: &[u8]) -> Extent {
        let entry = self.tx.outlined(self.database, key);
        entry.ok().and_then(|entry| entry.live().map(Extent::of)).unwrap_or_default()
    }

    /// How many keys there are.
    pub(crate) fn keys(&self) -> u64 {
        self.tx.size(self.database)
    }

    /// Every element is answered.
    pub(crate) fn answered(&mut self, key: &[u8]) -> Weight {
        part(self.extent(key), u64::MAX, READ_NS)
    }

    /// So many elements as an argument says are answered, for `nanos` each; without it one. Of a negative number those may be more
    /// than there are.
    pub(crate) fn counted(&mut self, key: &[u8], count: Option<&[u8]>, nanos: u64) -> Weight {
        let Some(count) = count.and_then(|count| parse::int(count).ok()) else { return Weight::default() };
        let asked = count.unsigned_abs();
        if asked <= FEW {
            return Weight::each(asked, nanos);
        }
        let extent = self.extent(key);
        if count < 0 && extent.elements > 0 {
            let reply_bytes = u128::from(extent.bytes) * u128::from(asked) / u128::from(extent.elements);
            return Weight { reply_bytes: reply_bytes as u64, ..Weight::each(asked, nanos) };
        }
        part(extent, asked, nanos)
    }

    /// The elements between two places are answered, for `nanos` each.
    pub(crate) fn range(&mut self, key: &[u8], from: &[u8], to: &[u8], nanos: u64) -> Weight {
        let (Ok(from), Ok(to)) = (parse::int(from), parse::int(to)) else { return Weight::default() };
        if from >= 0 && to >= 0 && to.saturating_sub(from) < FEW as i64 {
            return Weight::each(FEW, nanos);
        }
        let extent = self.extent(key);
        let (first, behind) = parse::within(from, to, extent.elements);
        part(extent, behind - first, nanos)
    }

    /// The elements that are not between two places are removed, for `nanos` each.
    pub(crate) fn outside(&mut self, key: &[u8], from: &[u8], to: &[u8], nanos: u64) -> Weight {
        let (Ok(from), Ok(to)) = (parse::int(from), parse::int(to)) else { return Weight::default() };
        let elements = self.extent(key).elements;
        let (first, behind) = parse::within(from, to, elements);
        Weight::each(elements - (behind - first), nanos)
    }

    /// `numkeys key... [COUNT count]` from argument `at` on: so many elements of the first key that has any, for `nanos` each.
    pub(crate) fn taken(&mut self, args: Args<'_>, at: usize, nanos: u64) -> Weight {
        let Some(count) = option(args, at + 2, "count").and_then(|count| parse::int(count).ok()) else {
            return Weight::default();
        };
        let asked = count.unsigned_abs();
        if asked <= FEW {
            return Weight::each(asked, nanos);
        }
        let first = numbered(args, at).map(|key| self.extent(key)).find(|extent| extent.elements > 0);
        part(first.unwrap_or_default(), asked, nanos)
    }

    /// All bytes of a key are copied.
    pub(crate) fn copied(&mut self, key: &[u8]) -> Weight {
        Weight::each(self.extent(key).bytes / 1024, COPY_KIB_NS)
    }

    /// All bytes of a key are copied, into a value of so many at least: where it ends may be far behind what there is.
    pub(crate) fn reaching(&mut self, key: &[u8], bytes: usize) -> Weight {
        // What is longer than any value is refused.
        let bytes = if bytes > MAX_VALUE_BYTES { 0 } else { bytes as u64 };
        Weight::each(self.extent(key).bytes.max(bytes) / 1024, COPY_KIB_NS)
    }

    /// The bytes of several keys are copied.
    pub(crate) fn all_copied<'k>(&mut self, keys: impl Iterator<Item = &'k [u8]>) -> Weight {
        keys.fold(Weight::default(), |sum, key| sum.and(self.copied(key)))
    }

    /// All elements of several keys are looked at, for `nanos` each.
    pub(crate) fn joined<'k>(&mut self, keys: impl Iterator<Item = &'k [u8]>, nanos: u64) -> Weight {
        keys.fold(Weight::default(), |sum, key| sum.and(part(self.extent(key), u64::MAX, nanos)))
    }

    /// The elements of the smallest of several keys are looked up in each, for `nanos`.
    pub(crate) fn met<'k>(&mut self, keys: impl Iterator<Item = &'k [u8]>, nanos: u64) -> Weight {
        let (mut least, mut count) = (None::<Extent>, 0);
        for key in keys {
            let extent = self.extent(key);
            count += 1;
            if least.is_none_or(|least| extent.elements < least.elements) {
                least = Some(extent);
            }
        }
        part(least.unwrap_or_default(), u64::MAX, nanos.saturating_mul(count))
    }

    /// Whether that need not be told more exactly.
    pub(crate) fn is_short(&self, weight: Weight) -> bool {
        weight.nanos <= self.short_nanos
    }

    /// Weighs what is executed as a whole, part by part: many that are short may be long together, so each is told exactly.
    pub(crate) fn weigh_whole(&mut self, weigh: impl FnOnce(&mut Self) -> Weight) -> Weight {
        let short_nanos = std::mem::take(&mut self.short_nanos);
        let weight = weigh(self);
        self.short_nanos = short_nanos;
        weight
    }

    /// One command.
    pub(crate) fn weigh(&mut self, spec: &Spec, args: Args<'_>) -> Weight {
        let words = Weight::of_words(spec, args.len());
        spec.weigh.map_or(words, |weigh| words.and(weigh(self, args)))
    }
}

/// What is not worth being looked up.
pub(crate) const FEW: u64 = 1_000;

/// So many of the elements are answered, for `nanos` each.
pub(crate) fn part(extent: Extent, elements: u64, nanos: u64) -> Weight {
    let part = extent.part(elements);
    Weight { reply_bytes: part.bytes, ..Weight::each(part.elements, nanos) }
}

/// `COUNT count` among the options from argument `first` on: so many elements are looked at.
pub(crate) fn scanned(args: Args<'_>, first: usize) -> Weight {
    let count = option(args, first, "count").and_then(|count| parse::int(count).ok()).unwrap_or(0);
    Weight::each(u64::try_from(count).unwrap_or(0).min(MAX_ELEMENTS as u64), FIND_NS)
}

/// `numkeys key...`, with the number at argument `at`: as many keys as there are.
pub(crate) fn numbered(args: Args<'_>, at: usize) -> impl Iterator<Item = &[u8]> {
    let count = args.get(at).and_then(|count| parse::int(count).ok()).unwrap_or(0);
    args.iter().skip(at + 1).take(usize::try_from(count).unwrap_or(0))
}

/// What is behind one of `words` among the options, from argument `first` on.
pub(crate) fn option<'a>(args: Args<'a>, first: usize, word: &str) -> Option<&'a [u8]> {
    let at = (first..args.len()).find(|&at| parse::is(&args[at], word))?;
    args.get(at + 1)
}

/// Whether a request has so many words that nothing else need be looked at.
pub(crate) fn is_long_by_words(spec: &Spec, words: usize, instance: &Instance) -> bool {
    is_long(Weight::of_words(spec, words), instance)
}

/// Whether a worker is not to do so much.
pub(crate) fn is_long(weight: Weight, instance: &Instance) -> bool {
    weight.nanos > most_nanos(instance)
}

/// Weighs a command, if it takes long.
pub(crate) fn long<'d>(
    tx: &mut Tx<'d>,
    instance: &Instance,
    client: &Client,
    spec: &Spec,
    args: Args<'_>,
) -> Option<Weight> {
    let most = most_nanos(instance);
    let mut scale = Scale { tx, instance, client, database: client.database, short_nanos: most / 2 };
    let weight = scale.weigh(spec, args);
    (weight.nanos > most).then_some(weight)
}

/// What a command may take of a worker's time.
fn most_nanos(instance: &Instance) -> u64 {
    instance.settings.long_command_us().saturating_mul(1_000)
}

impl Spec {
    /// What each of its words takes.
    fn nanos_per_word(&self) -> u64 {
        if self.flags.has(Flags::WRITE) { WRITE_NS } else { FIND_NS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::TABLE;
    use crate::command::machine::spec::Find;
    use crate::command::testing::Bench;

    /// What is not weighed although its time grows with something, and why that does no harm.
    const NOT_WEIGHED: &[(&[&str], &str)] = &[
        (&["getrange", "substr"], "what they answer is a part of one value"),
        (&["publish", "spublish"], "a message for each worker at most"),
        (
            &["subscribe", "unsubscribe", "psubscribe", "punsubscribe", "ssubscribe", "sunsubscribe"],
            "its worker alone knows who listens",
        ),
        (
            &["channels", "numsub", "shardchannels", "shardnumsub"],
            "as many names as are listened to, or named",
        ),
        (&["discard", "unwatch"], "what earlier requests have named"),
        (&["flushall"], "as many as databases"),
        (&["save", "bgsave", "backup", "compact"], "a thread does it"),
        (&["get", "set", "rewrite", "reset"], "as many as parameters, or kept entries"),
        (
            &["command", "info", "docs", "list", "getkeys", "getkeysandflags", "histogram", "cat"],
            "as many as commands",
        ),
        (&["kill", "unpause"], "so that they are quick when everything else is slow"),
    ];

    #[test]
    fn whatever_takes_long_is_weighed() {
        let mut excused: Vec<&str> = NOT_WEIGHED.iter().flat_map(|(names, _)| *names).copied().collect();
        let excuses = excused.clone();
        let many = |find: &Find| {
            matches!(find, Find::Counted { .. }) || matches!(find, Find::Range { last, .. } if *last < 0)
        };
        for parent in TABLE.commands() {
            for spec in parent.subcommands.iter().chain([*parent]) {
                let is_quick = ["O(1)", "O(log(N))", "Depends on subcommand."]
                    .iter()
                    .any(|quick| spec.complexity.starts_with(quick));
                if (is_quick && !spec.keys.iter().any(|keys| many(&keys.find)))
                    || spec.flags.has(Flags::WEIGHED)
                {
                    continue;
                }
                assert!(excuses.contains(&spec.name), "{} {}: {}", parent.name, spec.name, spec.complexity);
                excused.retain(|name| *name != spec.name);
            }
        }
        assert_eq!(excused, [""; 0], "excused for nothing");
    }

    #[test]
    fn what_is_more_than_may_be_is_long() {
        let bench = Bench::new();
        for n in 0..100 {
            bench.text(&format!("RPUSH few {n}"));
            bench.text(&format!("ZADD z {n} {n}"));
        }
        let words = (0..20_000).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        for line in [format!("RPUSH many {words}"), format!("SADD set {words}")] {
            for part in line.split(' ').skip(2).collect::<Vec<_>>().chunks(1_000) {
                let head = line.split(' ').take(2).collect::<Vec<_>>().join(" ");
                bench.text(&format!("{head} {}", part.join(" ")));
            }
        }
        bench.text(&format!("SETRANGE string {} x", 6 << 20));
        for (line, is_long) in [
            ("LRANGE few 0 -1", false),
            ("LRANGE many 0 -1", false),
            ("LRANGE many 0 99", false),
            ("SORT many", true),
            ("SORT many BY nosort LIMIT 0 10", false),
            ("SORT many BY w_* LIMIT 0 10", true),
            ("SMEMBERS set", false),
            ("SUNION set set", true),
            ("SINTER set few", false),
            ("SINTERSTORE d set set", true),
            ("SPOP set 20000", true),
            ("SPOP set 10", false),
            ("SRANDMEMBER set -1000000", true),
            ("LPOP many 20000", false),
            ("BITCOUNT string", true),
            ("APPEND string x", true),
            ("SETBIT new 80000000 1", true),
            ("SETBIT new 80000 1", false),
            ("SETBIT new 8000000000000 1", false),
            ("SETRANGE new 10000000 x", true),
            ("SETRANGE new 10000 x", false),
            ("BITFIELD new GET u8 80000000 SET u8 #10000000 1", true),
            ("BITFIELD new GET u8 80000000 SET u8 #10000 1", false),
            ("LCS string string", true),
            ("ZRANGE z 0 -1", false),
            ("COPY set d", false),
            ("SCAN 0 COUNT 1000000", true),
        ] {
            assert_eq!(bench.is_long(line), is_long, "{line}");
        }
        for (line, is_long) in [("INCR n", false), ("SORT many BY w_* LIMIT 0 10", true)] {
            bench.text("MULTI");
            bench.text(line);
            assert_eq!(bench.is_long("EXEC"), is_long, "EXEC of {line}");
            bench.text("DISCARD");
        }
        // A range is looked for in what is long as a whole.
        assert_eq!(bench.text("ZUNIONSTORE scored 1 set"), ":20000");
        bench.text("CONFIG SET long-command-us 2000");
        for (line, is_long) in [
            ("ZRANGE scored 0 -1", true),
            ("ZRANGE scored 5 -10000", false),
            ("ZRANGEBYSCORE scored -inf +inf", true),
            ("ZRANGEBYSCORE scored -inf +inf LIMIT 7 10", false),
            ("ZRANGEBYSCORE scored 5 6", false),
            ("ZREMRANGEBYSCORE scored 0 1", true),
        ] {
            assert_eq!(bench.is_long(line), is_long, "{line}");
        }
        bench.text("MULTI");
        (0..3).for_each(|_| drop(bench.text("ZRANGEBYSCORE z -inf +inf")));
        (0..3).for_each(|_| drop(bench.text("ZRANGEBYSCORE scored 5 6")));
        assert!(!bench.is_long("EXEC"), "short ones are told exactly where there are several");
        bench.text("DISCARD");
        bench.text("CONFIG SET long-command-us 0");
        assert!(bench.is_long("LRANGE few 0 0"));
    }
}
