//! Sorted sets: members and their scores. Ranges are in [`ranges`], what is made of several in [`algebra`], what is taken
//! off an end or chosen at random in [`taking`].

mod algebra;
mod ranges;
mod taking;

pub(crate) use self::ranges::store;

use bytes::Bytes;
use modb_net::resp::{Args, Protocol};
use smallvec::SmallVec;

use crate::command::language::error::{err, wrong_arity};
use crate::command::language::packed::TOO_LARGE;
use crate::command::language::parse::{self, Options, double_or, is};
use crate::command::language::reply::MAX_REPLY_BYTES;
use crate::command::machine::spec::{Access, Find, Flags, KeySpec, Spec, key};
use crate::command::machine::weight::{FIND_NS, SCANNED, SORT_NS, WRITE_NS, numbered};
use crate::command::{CommandError, Ctx, Reply};
use crate::data::SortedSet;
use crate::messages::Event;

pub(super) use taking::{is_highest, take};

const NOT_A_FLOAT: &str = "ERR value is not a valid float";

const READ: &[Flags] = &[Flags::READONLY, Flags::MANY_RECORDS];
const READ_FAST: &[Flags] = &[Flags::READONLY, Flags::FAST, Flags::MANY_RECORDS];
const WRITE: &[Flags] = &[Flags::WRITE];
const WRITE_FAST: &[Flags] = &[Flags::WRITE, Flags::FAST];
const GROW: &[Flags] = &[Flags::WRITE, Flags::DENYOOM];
const GROW_FAST: &[Flags] = &[Flags::WRITE, Flags::DENYOOM, Flags::FAST];
const ONE_READ: &[KeySpec] = &[key(Access::Read, 1)];
const ONE_INSPECTED: &[KeySpec] = &[key(Access::Inspect, 1)];
const ONE_TAKEN: &[KeySpec] = &[key(Access::Take, 1)];
const SHRUNK: &[KeySpec] = &[key(Access::Shrink, 1)];
const COUNTED_READ: &[KeySpec] = &[KeySpec { access: Access::Read, find: Find::Counted { count: 1 } }];
const STORED: &[KeySpec] =
    &[key(Access::Overwrite, 1), KeySpec { access: Access::Read, find: Find::Counted { count: 2 } }];

#[rustfmt::skip]
pub(super) static COMMANDS: [Spec; 32] = [
    Spec::new("sorted-set", "zadd", zadd, -4).weighed().flags(GROW_FAST).keys(&[key(Access::Update, 1)])
        .docs("key [NX|XX] [GT|LT] [CH] [INCR] (score member)...", "1.2.0", "O(log(N)) for each member",
            "Adds members to a sorted set, or changes their scores."),
    Spec::new("sorted-set", "zincrby", zincrby, 4).flags(GROW_FAST).keys(&[key(Access::Update, 1)])
        .docs("key increment member", "1.2.0", "O(log(N))", "Adds to the score of a member."),
    Spec::new("sorted-set", "zrem", zrem, -3).weighed().flags(WRITE_FAST).keys(SHRUNK)
        .docs("key member...", "1.2.0", "O(M*log(N)) with M members", "Removes members from a sorted set."),
    Spec::new("sorted-set", "zcard", zcard, 2).flags(READ_FAST).keys(ONE_INSPECTED)
        .docs("key", "1.2.0", "O(1)", "Returns how many members a sorted set has."),
    Spec::new("sorted-set", "zscore", zscore, 3).flags(READ_FAST).keys(ONE_READ)
        .docs("key member", "1.2.0", "O(log(N))", "Returns the score of a member."),
    Spec::new("sorted-set", "zmscore", zmscore, -3).weighed().flags(READ_FAST).keys(ONE_READ)
        .docs("key member...", "6.2.0", "O(M*log(N)) with M members", "Returns the scores of members."),
    Spec::new("sorted-set", "zrank", zrank, -3).flags(READ_FAST).keys(ONE_READ)
        .docs("key member [WITHSCORE]", "2.0.0", "O(log(N))", "Returns how many members stand before a member."),
    Spec::new("sorted-set", "zrevrank", zrevrank, -3).flags(READ_FAST).keys(ONE_READ)
        .docs("key member [WITHSCORE]", "2.0.0", "O(log(N))", "Returns how many members stand behind a member."),
    Spec::new("sorted-set", "zcount", ranges::zcount, 4).flags(READ_FAST).keys(ONE_READ)
        .docs("key min max", "2.0.0", "O(log(N))", "Counts the members in a range of scores."),
    Spec::new("sorted-set", "zlexcount", ranges::zlexcount, 4).flags(READ_FAST).keys(ONE_READ)
        .docs("key min max", "2.8.9", "O(log(N))", "Counts the members in a range of members of one score."),
    Spec::new("sorted-set", "zrange", ranges::zrange, -4).weighs(ranges::weigh_zrange).flags(READ).keys(ONE_READ)
        .docs("key start stop [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]", "1.2.0", "O(log(N)+M) with M members returned",
            "Returns the members in a range of ranks, scores or members."),
    Spec::new("sorted-set", "zrevrange", ranges::zrevrange, -4).weighs(ranges::weigh_zrevrange).flags(READ).keys(ONE_READ)
        .docs("key start stop [WITHSCORES]", "1.2.0", "O(log(N)+M) with M members returned", "Returns the members in a range of ranks, counted from the end."),
    Spec::new("sorted-set", "zrangebyscore", ranges::zrangebyscore, -4).weighs(ranges::weigh_zrangebyscore).flags(READ).keys(ONE_READ)
        .docs("key min max [WITHSCORES] [LIMIT offset count]", "1.0.5", "O(log(N)+M) with M members returned", "Returns the members in a range of scores."),
    Spec::new("sorted-set", "zrevrangebyscore", ranges::zrevrangebyscore, -4).weighs(ranges::weigh_zrevrangebyscore).flags(READ).keys(ONE_READ)
        .docs("key max min [WITHSCORES] [LIMIT offset count]", "2.2.0", "O(log(N)+M) with M members returned", "Returns the members in a range of scores, the highest first."),
    Spec::new("sorted-set", "zrangebylex", ranges::zrangebylex, -4).weighs(ranges::weigh_zrangebylex).flags(READ).keys(ONE_READ)
        .docs("key min max [LIMIT offset count]", "2.8.9", "O(log(N)+M) with M members returned", "Returns the members in a range of members of one score."),
    Spec::new("sorted-set", "zrevrangebylex", ranges::zrevrangebylex, -4).weighs(ranges::weigh_zrevrangebylex).flags(READ).keys(ONE_READ)
        .docs("key max min [LIMIT offset count]", "2.8.9", "O(log(N)+M) with M members returned", "Returns the members in a range of members of one score, the last first."),
    Spec::new("sorted-set", "zrangestore", ranges::zrangestore, -5).weighs(ranges::weigh_zrangestore).flags(GROW).keys(&[key(Access::Overwrite, 1), key(Access::Read, 2)])
        .docs("dst src min max [BYSCORE|BYLEX] [REV] [LIMIT offset count]", "6.2.0", "O(log(N)+M) with M members stored", "Stores the members in a range as another sorted set."),
    Spec::new("sorted-set", "zremrangebyrank", ranges::zremrangebyrank, 4).weighs(|scale, args| scale.range(&args[1], &args[2], &args[3], FIND_NS)).flags(WRITE).keys(SHRUNK)
        .docs("key start stop", "2.0.0", "O(log(N)+M) with M members removed", "Removes the members in a range of ranks."),
    Spec::new("sorted-set", "zremrangebyscore", ranges::zremrangebyscore, 4).weighs(ranges::weigh_zremrangebyscore).flags(WRITE).keys(SHRUNK)
        .docs("key min max", "1.2.0", "O(log(N)+M) with M members removed", "Removes the members in a range of scores."),
    Spec::new("sorted-set", "zremrangebylex", ranges::zremrangebylex, 4).weighs(ranges::weigh_zremrangebylex).flags(WRITE).keys(SHRUNK)
        .docs("key min max", "2.8.9", "O(log(N)+M) with M members removed", "Removes the members in a range of members of one score."),
    Spec::new("sorted-set", "zpopmin", taking::zpopmin, -2).weighs(|scale, args| scale.counted(&args[1], args.get(2), WRITE_NS)).flags(WRITE_FAST).keys(ONE_TAKEN)
        .docs("key [count]", "5.0.0", "O(log(N)*M) with M members", "Removes and returns the members with the lowest scores."),
    Spec::new("sorted-set", "zpopmax", taking::zpopmax, -2).weighs(|scale, args| scale.counted(&args[1], args.get(2), WRITE_NS)).flags(WRITE_FAST).keys(ONE_TAKEN)
        .docs("key [count]", "5.0.0", "O(log(N)*M) with M members", "Removes and returns the members with the highest scores."),
    Spec::new("sorted-set", "zmpop", taking::zmpop, -4).weighs(|scale, args| scale.taken(args, 1, WRITE_NS)).flags(&[Flags::WRITE, Flags::MOVABLEKEYS])
        .keys(&[KeySpec { access: Access::Take, find: Find::Counted { count: 1 } }])
        .docs("numkeys key... MIN|MAX [COUNT count]", "7.0.0", "O(K)+O(M*log(N)) with K keys and M members", "Removes and returns members of the first of some sorted sets that is not empty."),
    Spec::new("sorted-set", "zrandmember", taking::zrandmember, -2).weighs(|scale, args| scale.counted(&args[1], args.get(2), FIND_NS)).flags(READ).keys(ONE_READ)
        .docs("key [count [WITHSCORES]]", "6.2.0", "O(M*log(N)) with M members", "Returns members chosen at random.")
        .differs("a reply of more than 512 MiB is refused"),
    Spec::new("sorted-set", "zscan", taking::zscan, -3).weighs(SCANNED).flags(READ).keys(ONE_READ)
        .docs("key cursor [MATCH pattern] [COUNT count]", "2.8.0", "O(1) per call, O(N) for a walk over N members", "Walks over the members of a sorted set, some at each call. No member comes twice."),
    Spec::new("sorted-set", "zunion", algebra::zunion, -3).weighs(|scale, args| scale.joined(numbered(args, 1), SORT_NS)).flags(&[Flags::READONLY, Flags::MANY_RECORDS, Flags::MOVABLEKEYS]).keys(COUNTED_READ)
        .docs("numkeys key... [WEIGHTS weight...] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]", "6.2.0", "O(N)+O(M*log(M)) with N members in all and M in the result", "Returns the members of any of some sorted sets."),
    Spec::new("sorted-set", "zinter", algebra::zinter, -3).weighs(|scale, args| scale.met(numbered(args, 1), FIND_NS)).flags(&[Flags::READONLY, Flags::MANY_RECORDS, Flags::MOVABLEKEYS]).keys(COUNTED_READ)
        .docs("numkeys key... [WEIGHTS weight...] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]", "6.2.0", "O(N*K)+O(M*log(M)) with N members in the smallest of K sets and M in the result", "Returns the members of all of some sorted sets."),
    Spec::new("sorted-set", "zdiff", algebra::zdiff, -3).weighs(|scale, args| scale.joined(numbered(args, 1), FIND_NS)).flags(&[Flags::READONLY, Flags::MANY_RECORDS, Flags::MOVABLEKEYS]).keys(COUNTED_READ)
        .docs("numkeys key... [WITHSCORES]", "6.2.0", "O(L+(N-K)*log(N)) with N members in all, L in the first and K in the result", "Returns the members of a sorted set that are in none of others."),
    Spec::new("sorted-set", "zintercard", algebra::zintercard, -3).weighs(|scale, args| scale.met(numbered(args, 1), FIND_NS)).flags(&[Flags::READONLY, Flags::MANY_RECORDS, Flags::MOVABLEKEYS]).keys(COUNTED_READ)
        .docs("numkeys key... [LIMIT limit]", "7.0.0", "O(N*K) with N members in the smallest of K sets", "Counts the members of all of some sorted sets."),
    Spec::new("sorted-set", "zunionstore", algebra::zunionstore, -4).weighs(|scale, args| scale.joined(numbered(args, 2), WRITE_NS)).flags(&[Flags::WRITE, Flags::DENYOOM, Flags::MOVABLEKEYS]).keys(STORED)
        .docs("destination numkeys key... [WEIGHTS weight...] [AGGREGATE SUM|MIN|MAX]", "2.0.0", "O(N)+O(M*log(M)) with N members in all and M in the result", "Stores the members of any of some sorted sets."),
    Spec::new("sorted-set", "zinterstore", algebra::zinterstore, -4).weighs(|scale, args| scale.met(numbered(args, 2), WRITE_NS)).flags(&[Flags::WRITE, Flags::DENYOOM, Flags::MOVABLEKEYS]).keys(STORED)
        .docs("destination numkeys key... [WEIGHTS weight...] [AGGREGATE SUM|MIN|MAX]", "2.0.0", "O(N*K)+O(M*log(M)) with N members in the smallest of K sets and M in the result", "Stores the members of all of some sorted sets."),
    Spec::new("sorted-set", "zdiffstore", algebra::zdiffstore, -4).weighs(|scale, args| scale.joined(numbered(args, 2), FIND_NS)).flags(&[Flags::WRITE, Flags::DENYOOM, Flags::MOVABLEKEYS]).keys(STORED)
        .docs("destination numkeys key...", "6.2.0", "O(L+(N-K)*log(N)) with N members in all, L in the first and K in the result", "Stores the members of a sorted set that are in none of others."),
];

/// Members with their scores, as clients of either protocol expect a list of them.
struct Pairs {
    items: Vec<Reply>,
    scores: Shape,
    /// What the items take, at least.
    bytes: usize,
}

/// Where the scores are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Nowhere.
    Without,
    /// Behind each member.
    Flat,
    /// With each member in an array of their own.
    Nested,
}

impl Pairs {
    /// Empty, with scores as the protocol has them.
    fn new(ctx: &Ctx<'_, '_>, scores: bool) -> Self {
        let scores = match (scores, ctx.client.protocol) {
            (false, _) => Shape::Without,
            (true, Protocol::Resp2) => Shape::Flat,
            (true, Protocol::Resp3) => Shape::Nested,
        };
        Self { items: Vec::new(), scores, bytes: 0 }
    }

    fn push(&mut self, score: f64, member: Bytes) {
        self.bytes += ITEM_BYTES + member.len();
        match self.scores {
            Shape::Without => self.items.push(Reply::Bulk(member)),
            Shape::Flat => self.items.extend([Reply::Bulk(member), Reply::Double(score)]),
            Shape::Nested => self.items.push(Reply::Array(vec![Reply::Bulk(member), Reply::Double(score)])),
        }
    }

    /// Fails if `more` members more, of whatever length, would make the reply too large: asked where their number is not that of
    /// the members that there are.
    fn check_room(&self, more: u64) -> Result<(), CommandError> {
        let more = usize::try_from(more).unwrap_or(usize::MAX).saturating_mul(ITEM_BYTES);
        if self.bytes.saturating_add(more) > MAX_REPLY_BYTES {
            return err(TOO_LARGE);
        }
        Ok(())
    }

    /// The whole, unless it became too large.
    fn reply(self) -> Result<Reply, CommandError> {
        if self.bytes > MAX_REPLY_BYTES {
            return err(TOO_LARGE);
        }
        Ok(Reply::Array(self.items))
    }
}

/// What a member takes in a reply beside its bytes, at least.
const ITEM_BYTES: usize = size_of::<Reply>();

/// Which members `ZADD` touches, and how.
#[derive(Clone, Copy, Default)]
pub(crate) struct How {
    pub(crate) only_new: bool,
    pub(crate) only_known: bool,
    pub(crate) only_greater: bool,
    pub(crate) only_less: bool,
    pub(crate) changed: bool,
    pub(crate) add: bool,
}

impl How {
    /// Whether each member gets the score that is given.
    fn gives_any(self) -> bool {
        !(self.only_new || self.only_known || self.only_greater || self.only_less || self.add)
    }

    /// The score that a member gets. `None`: it stays as it is.
    fn score(self, was: Option<f64>, given: f64) -> Result<Option<f64>, CommandError> {
        let Some(was) = was else { return Ok((!self.only_known).then_some(given)) };
        if self.only_new {
            return Ok(None);
        }
        let score = if self.add { was + given } else { given };
        if score.is_nan() {
            return err("ERR resulting score is not a number (NaN)");
        }
        let stays = (self.only_less && score >= was) || (self.only_greater && score <= was);
        Ok((!stays).then_some(score))
    }
}

fn zadd(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    add(ctx, args, How::default())
}

/// `ZADD` with one pair, and the same options, which its arity leaves no place for.
fn zincrby(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    add(ctx, args, How { add: true, ..How::default() })
}

fn add(ctx: &mut Ctx<'_, '_>, args: Args<'_>, mut how: How) -> Result<Reply, CommandError> {
    let mut first = 2;
    while let Some(word) = args.get(first) {
        let option = match () {
            () if is(word, "nx") => &mut how.only_new,
            () if is(word, "xx") => &mut how.only_known,
            () if is(word, "ch") => &mut how.changed,
            () if is(word, "incr") => &mut how.add,
            () if is(word, "gt") => &mut how.only_greater,
            () if is(word, "lt") => &mut how.only_less,
            () => break,
        };
        *option = true;
        first += 1;
    }
    let left = args.len() - first;
    if left == 0 || !left.is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    if how.only_new && how.only_known {
        return err("ERR XX and NX options at the same time are not compatible");
    }
    if u8::from(how.only_new) + u8::from(how.only_greater) + u8::from(how.only_less) > 1 {
        return err("ERR GT, LT, and/or NX options at the same time are not compatible");
    }
    if how.add && left > 2 {
        return err("ERR INCR option supports a single increment-element pair");
    }
    add_pairs(ctx, args, first, how)
}

/// Adds the pairs of scores and members from argument `first` on.
fn add_pairs(ctx: &mut Ctx<'_, '_>, args: Args<'_>, first: usize, how: How) -> Result<Reply, CommandError> {
    let pair = |at: usize| Ok((double_or(&args[at], NOT_A_FLOAT)?, &args[at + 1]));
    // Mostly there is one.
    let pairs =
        (first..args.len()).step_by(2).map(pair).collect::<Result<SmallVec<[_; 1]>, CommandError>>()?;
    put_all(ctx, &args[1], &pairs, how)
}

/// Adds scores with their members.
pub(crate) fn put_all(
    ctx: &mut Ctx<'_, '_>,
    key: &[u8],
    pairs: &[(f64, &[u8])],
    how: How,
) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let mut set = SortedSet::open(ctx.tx, db, key)?;
    let (mut added, mut changed, mut last) = (0, 0, None);
    for &(given, member) in pairs {
        let found = set.look_before(ctx.tx, member, how.gives_any().then_some(given))?;
        let was = found.score();
        last = how.score(was, given)?;
        if let Some(score) = last {
            set.set_found(ctx.tx, member, found, score)?;
            added += i64::from(was.is_none());
            changed += i64::from(was.is_some_and(|was| was != score));
        }
    }
    if added + changed > 0 {
        set.save(ctx.tx, Event::sorted_set(if how.add { "zincr" } else { "zadd" }))?;
    }
    Ok(if how.add {
        last.map_or(Reply::Null, Reply::Double)
    } else {
        Reply::Int(if how.changed { added + changed } else { added })
    })
}

fn zrem(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let mut set = SortedSet::open(ctx.tx, db, &args[1])?;
    let mut removed = 0;
    for member in args.iter().skip(2) {
        if set.is_empty() {
            break;
        }
        removed += i64::from(set.remove(ctx.tx, member)?.is_some());
    }
    if removed > 0 {
        set.save(ctx.tx, Event::sorted_set("zrem"))?;
    }
    Ok(Reply::Int(removed))
}

fn zcard(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let set = SortedSet::find(ctx.tx, db, &args[1])?;
    Ok(set.map_or(Reply::Int(0), |set| Reply::Int(set.len() as i64)))
}

fn zscore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let Some(mut set) = SortedSet::find(ctx.tx, db, &args[1])? else { return Ok(Reply::Null) };
    Ok(set.score(ctx.tx, &args[2])?.map_or(Reply::Null, Reply::Double))
}

fn zmscore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let mut set = SortedSet::find(ctx.tx, db, &args[1])?;
    let mut scores = Vec::with_capacity(args.len() - 2);
    for member in args.iter().skip(2) {
        let score = match &mut set {
            Some(set) => set.score(ctx.tx, member)?,
            None => None,
        };
        scores.push(score.map_or(Reply::Null, Reply::Double));
    }
    Ok(Reply::Array(scores))
}

fn zrank(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    rank(ctx, args, false)
}

fn zrevrank(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    rank(ctx, args, true)
}

fn rank(ctx: &mut Ctx<'_, '_>, args: Args<'_>, reverse: bool) -> Result<Reply, CommandError> {
    let with_score = match args.len() {
        3 => false,
        4 if is(&args[3], "withscore") => true,
        4 => return Err(CommandError::Syntax),
        _ => return Err(wrong_arity(if reverse { "zrevrank" } else { "zrank" })),
    };
    let none = if with_score { Reply::NullArray } else { Reply::Null };
    let db = ctx.db();
    let Some(mut set) = SortedSet::find(ctx.tx, db, &args[1])? else { return Ok(none) };
    let Some(score) = set.score(ctx.tx, &args[2])? else { return Ok(none) };
    let before = set.rank(ctx.tx, score, &args[2])?;
    let rank = Reply::Int(if reverse { set.len() - 1 - before } else { before } as i64);
    Ok(if with_score { Reply::Array(vec![rank, Reply::Double(score)]) } else { rank })
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{Bench, run};

    run! {
        members_are_added_and_scored {
            "ZADD z 1 a 2 b 3 c" => ":3", "ZADD z 1 a 5 b" => ":0", "ZADD z CH 2 a 6 b 7 d" => ":3", "ZSCORE z b" => "6", "ZSCORE z x" => "nil",
            "ZCARD z" => ":4", "ZMSCORE z a x d" => "[2 nil 7]", "ZINCRBY z 1.5 a" => "3.5", "ZADD z INCR 1 a" => "4.5", "ZADD z NX INCR 1 a" => "nil",
            "ZADD z XX 1 new" => ":0", "ZADD z GT 1 a" => ":0", "ZSCORE z a" => "4.5", "ZADD z LT CH 1 a" => ":1", "ZRANK z a" => ":0",
            "ZREVRANK z a" => ":3", "ZRANK z b WITHSCORE" => "[:2 6]", "ZRANK z x WITHSCORE" => "nil", "TYPE z" => "+zset",
            "OBJECT ENCODING z" => "listpack", "ZREM z a b x" => ":2", "ZREM z c d" => ":2", "EXISTS z" => ":0", "DBSIZE" => ":0"
        }
        options_exclude_each_other {
            "ZADD z NX XX 1 a" => "-ERR XX and NX options at the same time are not compatible",
            "ZADD z NX GT 1 a" => "-ERR GT, LT, and/or NX options at the same time are not compatible",
            "ZADD z INCR 1 a 2 b" => "-ERR INCR option supports a single increment-element pair", "ZADD z 1" => "-ERR wrong number of arguments for 'zadd' command",
            "ZADD z 1 a 2" => "-ERR syntax error", "ZADD z x a" => "-ERR value is not a valid float", "ZADD z inf a" => ":1", "ZINCRBY z -inf a" => "-ERR resulting score is not a number (NaN)",
            "SET s 1" => "+OK", "ZADD s 1 a" => "-WRONGTYPE Operation against a key holding the wrong kind of value", "ZSCORE s a" => "-WRONGTYPE Operation against a key holding the wrong kind of value"
        }
        ranges_are_found_by_rank_score_and_member {
            "ZADD z 1 a 2 b 3 c 4 d" => ":4", "ZRANGE z 0 -1" => "[a b c d]", "ZRANGE z 1 2 WITHSCORES" => "[b 2 c 3]", "ZREVRANGE z 0 1" => "[d c]",
            "ZRANGE z 0 0 REV" => "[d]", "ZRANGE z (1 3 BYSCORE" => "[b c]", "ZRANGE z 3 (1 BYSCORE REV LIMIT 1 5" => "[b]", "ZRANGEBYSCORE z -inf +inf LIMIT 1 2" => "[b c]",
            "ZREVRANGEBYSCORE z 10 2 WITHSCORES" => "[d 4 c 3 b 2]", "ZCOUNT z 2 (4" => ":2", "ZRANGE z 5 9" => "[]", "ZRANGE z -100 1" => "[a b]",
            "ZADD l 0 a 0 b 0 c" => ":3", "ZRANGEBYLEX l - [b" => "[a b]", "ZREVRANGEBYLEX l + (a" => "[c b]", "ZLEXCOUNT l (a +" => ":2", "ZRANGE l [b [c BYLEX" => "[b c]",
            "ZRANGE z [b (d BYLEX" => "[b c]", "ZLEXCOUNT z - +" => ":4",
            "ZRANGE z 0 1 LIMIT 1 1" => "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            "ZRANGEBYSCORE z x 1" => "-ERR min or max is not a float", "ZRANGEBYLEX l a b" => "-ERR min or max not valid string range item",
            "ZRANGESTORE to z 1 -1" => ":3", "ZRANGE to 0 -1" => "[b c d]", "ZRANGESTORE to z 8 9" => ":0", "EXISTS to" => ":0",
            "ZREMRANGEBYRANK z 0 0" => ":1", "ZREMRANGEBYSCORE z (2 3" => ":1", "ZREMRANGEBYLEX l [b +" => ":2", "ZRANGE z 0 -1" => "[b d]"
        }
        ends_are_taken {
            "ZADD z 1 a 2 b 3 c" => ":3", "ZPOPMIN z" => "[a 1]", "ZPOPMAX z 2" => "[c 3 b 2]", "EXISTS z" => ":0", "ZPOPMIN z" => "[]",
            "ZADD z 1 a" => ":1", "ZMPOP 2 x z MAX COUNT 3" => "[z [[a 1]]]", "ZMPOP 1 z MIN" => "nil", "ZMPOP 0 z MIN" => "-ERR numkeys should be greater than 0",
            "ZADD z 1 a" => ":1", "ZRANDMEMBER z" => "a", "ZRANDMEMBER z -2 WITHSCORES" => "[a 1 a 1]", "ZRANDMEMBER z 5" => "[a]",
            "ZRANDMEMBER z -9223372036854775807" => "-ERR the reply would be too large", "ZRANDMEMBER none -9223372036854775807" => "[]",
            "ZRANDMEMBER z -9223372036854775808" => "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807", "ZSCAN z 0" => "[0 [a 1]]"
        }
        several_are_combined {
            "ZADD a 1 x 2 y" => ":2", "ZADD b 10 y 20 z" => ":2", "ZUNION 2 a b WITHSCORES" => "[x 1 y 12 z 20]", "ZINTER 2 a b WEIGHTS 2 3 WITHSCORES" => "[y 34]",
            "ZDIFF 2 a b" => "[x]", "ZADD c -0.5 y" => ":1", "ZADD d 0 y" => ":1", "ZINTER 2 c d WEIGHTS 1 inf WITHSCORES" => "[y 0]", "ZINTERCARD 2 a b LIMIT 1" => ":1", "ZUNIONSTORE c 2 a b AGGREGATE MAX" => ":3", "ZRANGE c 0 -1 WITHSCORES" => "[x 1 y 10 z 20]",
            "ZINTERSTORE a 2 a b" => ":1", "ZDIFFSTORE c 1 none" => ":0", "EXISTS c" => ":0", "ZUNION 0 a" => "-ERR at least 1 input key is needed for 'zunion' command",
            "ZUNION 3 a b" => "-ERR syntax error"
        }
        zeros_of_a_large_result_keep_their_sign {
            "ZADD a 0 x -1 lllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll" => ":2", "ZUNIONSTORE b 1 a WEIGHTS -1" => ":2", "ZRANGE b 0 0 WITHSCORES" => "[x -0]",
            "ZADD c 0 x -1 y" => ":2", "ZUNIONSTORE b 1 c WEIGHTS -1" => ":2", "ZRANGE b 0 0 WITHSCORES" => "[x 0]"
        }
        names_and_copies_carry_the_members {
            "ZADD z 1 a" => ":1", "EXPIRE z 100" => ":1", "ZADD z 2 b" => ":1", "TTL z" => ":100", "RENAME z y" => "+OK", "COPY y c" => ":1", "ZADD y 3 d" => ":1",
            "ZRANGE c 0 -1" => "[a b]", "SET y 1" => "+OK", "ZCARD c" => ":2", "DEL c" => ":1"
        }
    }

    /// Leaves may be smaller than they were when it was written, in another version for one.
    #[test]
    fn one_that_is_larger_than_its_leaf_may_be_becomes_two_trees_whatever_is_done() {
        for command in ["ZREM z m7", "ZREMRANGEBYRANK z 0 0", "ZADD z 99 m7", "ZPOPMIN z"] {
            let bench = Bench::new();
            for number in 0..60 {
                bench.text(&format!("ZADD z {number} m{number}"));
            }
            bench.instance.data.keep_pages_small(true);
            bench.text(command);
            for number in 10..60 {
                assert_eq!(bench.text(&format!("ZSCORE z m{number}")), number.to_string(), "after {command}");
            }
            let report = crate::data::check(&**bench.instance.data.store(), &mut |_, _| {}).unwrap();
            assert_eq!(report.described, [""; 0], "after {command}");
        }
    }

    /// Expiry by the housekeeper and by whoever meets it, with its own index, and the pages of what expired.
    #[test]
    fn what_expires_takes_its_pages_along() {
        for found_by_a_command in [false, true] {
            let bench = Bench::new();
            let data = &bench.instance.data;
            data.keep_pages_small(true);
            for number in 0..300 {
                bench.text(&format!("ZADD z {number} m{number}"));
            }
            assert_eq!(bench.text("PEXPIRE z 1000"), ":1");
            assert_eq!(bench.text("ZADD z 5 m5"), ":0");
            bench.now_ms.set(bench.now_ms.get() + 2000);
            if found_by_a_command {
                assert_eq!(bench.text("ZADD z 1 new"), ":1");
                assert_eq!(bench.text("ZRANGE z 0 -1"), "[new]");
                assert_eq!(bench.text("TTL z"), ":-1");
            } else {
                data.remove_expired(bench.now_ms.get(), 100, &crate::data::Tally::default()).unwrap();
                assert_eq!(bench.text("DBSIZE"), ":0");
            }
            let whole = || crate::data::check(&**data.store(), &mut |_, _| {}).unwrap().described;
            assert_eq!(whole(), [""; 0]);
            assert!(data.sweep_ended(&mut || Ok(())).unwrap());
            assert_eq!(whole(), [""; 0]);
            assert_eq!(data.store().scan(&[0x11], &[0x13], 10).unwrap().records.len(), 0);
        }
    }

    /// What changes nothing writes nothing: not the pages of a tree that nobody is told of either.
    #[test]
    fn a_score_that_is_given_again_leaves_no_page_behind() {
        let bench = Bench::new();
        let data = &bench.instance.data;
        for number in 0..100 {
            let member = format!("member {number}");
            assert_eq!(bench.text(&format!("ZADD z 1 '{member}'")), ":1");
            for command in ["ZADD z 1", "ZADD z CH 1", "ZINCRBY z 0", "ZADD z INCR 0"] {
                bench.text(&format!("{command} '{member}'"));
            }
            let report = crate::data::check(&**data.store(), &mut |_, _| {}).unwrap();
            assert_eq!(report.described, [""; 0], "with {number} members");
        }
    }

    /// What is done is the same in trees of many levels, and what ends leaves nothing behind.
    #[test]
    fn large_ones_are_trees_that_are_copied_renamed_and_removed_as_a_whole() {
        let bench = Bench::new();
        bench.instance.data.keep_pages_small(true);
        for number in 0..500 {
            assert_eq!(bench.text(&format!("ZADD z {} m{number}", number % 50)), ":1");
        }
        assert_eq!(bench.text("OBJECT ENCODING z"), "skiplist");
        let all = bench.text("ZRANGE z 0 -1 WITHSCORES");
        assert_eq!(bench.text("COPY z copy"), ":1");
        assert_eq!(bench.text("RENAME z y"), "+OK");
        assert_eq!(bench.text("ZRANGE y 0 -1 WITHSCORES"), all);
        assert_eq!(bench.text("ZREMRANGEBYSCORE y 10 39"), ":300");
        assert_eq!(bench.text("ZCARD y"), ":200");
        assert_eq!(bench.text("ZRANGE copy 0 -1 WITHSCORES"), all);
        assert_eq!(bench.text("ZUNIONSTORE y 1 copy"), ":500");
        assert_eq!(bench.text("ZRANGE y 0 -1 WITHSCORES"), all);
        let data = &bench.instance.data;
        let report = crate::data::check(&**data.store(), &mut |_, _| {}).unwrap();
        assert_eq!(report.described, [""; 0]);
        assert_eq!(bench.text("DEL copy"), ":1");
        assert_eq!(bench.text("FLUSHDB"), "+OK");
        data.sweep_dropped(&mut || Ok(())).unwrap();
        assert!(data.sweep_ended(&mut || Ok(())).unwrap());
        let pages = data.store().scan(&[0x11], &[0x13], 10).unwrap();
        assert_eq!(pages.records.len(), 0, "pages and graves are gone");
    }
}
