//! Ranges of a sorted set: by rank, by score, and by member where all have one score. All of them become ranges of ranks.

use bytes::Bytes;
use modb_net::resp::Args;

use super::{CommandError, Ctx, Options, Pairs, Reply, err, is, parse};
use crate::command::machine::weight::{FEW, READ_NS, Scale, WRITE_NS, Weight, part};
use crate::data::{MemberPlace, ScoreBounds, ScoreEdge, SortedSet, Tx};
use crate::messages::Event;

/// What the ends of a range are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Member,
}

/// What a command of this family fixes by its name.
#[derive(Clone, Copy)]
struct Form {
    /// Where the key is; the ends follow.
    key: usize,
    by: Option<By>,
    reverse: Option<bool>,
    scores: bool,
}

/// A range that was asked for.
struct Asked<'a> {
    ends: Ends<'a>,
    reverse: bool,
    offset: i64,
    count: i64,
    scores: bool,
}

enum Ends<'a> {
    Ranks(i64, i64),
    Bounds(ScoreBounds<'a>),
}

const FROM_KEY: Form = Form { key: 1, by: None, reverse: None, scores: true };
const RANKS_REVERSED: Form = Form { by: Some(By::Rank), reverse: Some(true), ..FROM_KEY };
const SCORES: Form = Form { by: Some(By::Score), reverse: Some(false), ..FROM_KEY };
const SCORES_REVERSED: Form = Form { reverse: Some(true), ..SCORES };
const MEMBERS: Form = Form { by: Some(By::Member), reverse: Some(false), ..FROM_KEY };
const MEMBERS_REVERSED: Form = Form { reverse: Some(true), ..MEMBERS };
const STORED: Form = Form { key: 2, scores: false, ..FROM_KEY };

pub(super) fn zrange(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    show(ctx, args, FROM_KEY)
}

pub(super) fn zrevrange(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    show(ctx, args, RANKS_REVERSED)
}

pub(super) fn zrangebyscore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    show(ctx, args, SCORES)
}

pub(super) fn zrevrangebyscore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    show(ctx, args, SCORES_REVERSED)
}

pub(super) fn zrangebylex(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    show(ctx, args, MEMBERS)
}

pub(super) fn zrevrangebylex(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    show(ctx, args, MEMBERS_REVERSED)
}

fn show(ctx: &mut Ctx<'_, '_>, args: Args<'_>, form: Form) -> Result<Reply, CommandError> {
    let asked = parse_range(args, form)?;
    let db = ctx.db();
    let mut pairs = Pairs::new(ctx, asked.scores);
    if let Some(mut set) = SortedSet::find(ctx.tx, db, &args[form.key])? {
        let (first, count) = select(ctx.tx, &mut set, &asked)?;
        pairs.check_room(count)?;
        set.for_each(ctx.tx, first, count, asked.reverse, |score, member| pairs.push(score, member))?;
    }
    pairs.reply()
}

pub(super) fn zrangestore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let asked = parse_range(args, STORED)?;
    let db = ctx.db();
    let mut found = Vec::new();
    if let Some(mut set) = SortedSet::find(ctx.tx, db, &args[2])? {
        let (first, count) = select(ctx.tx, &mut set, &asked)?;
        set.for_each(ctx.tx, first, count, asked.reverse, |score, member| found.push((score, member)))?;
    }
    store(ctx, &args[1], found, "zrangestore")
}

/// Makes these the sorted set at a key, whatever it held, by the command `name`; nothing leaves no key.
pub(crate) fn store(
    ctx: &mut Ctx<'_, '_>,
    key: &[u8],
    pairs: Vec<(f64, Bytes)>,
    name: &'static str,
) -> Result<Reply, CommandError> {
    fill(ctx, key, pairs, name, false)
}

/// As [`store`], as Redis does it with what it has made as a whole before: scores of a large one keep their sign, also if
/// they are zero.
pub(super) fn store_at_once(
    ctx: &mut Ctx<'_, '_>,
    key: &[u8],
    pairs: Vec<(f64, Bytes)>,
    name: &'static str,
) -> Result<Reply, CommandError> {
    fill(ctx, key, pairs, name, true)
}

fn fill(
    ctx: &mut Ctx<'_, '_>,
    key: &[u8],
    pairs: Vec<(f64, Bytes)>,
    name: &'static str,
    at_once: bool,
) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let entry = ctx.tx.entry(db, key)?;
    if pairs.is_empty() {
        ctx.tx.remove(&entry);
        return Ok(Reply::Int(0));
    }
    let mut set = SortedSet::replacing(ctx.tx, entry);
    if at_once {
        let longest = pairs.iter().map(|(_, member)| member.len()).max();
        set.expect(ctx.tx, pairs.len() as u64, longest.unwrap_or_default());
    }
    set.fill(ctx.tx, pairs)?;
    set.save(ctx.tx, Event::sorted_set(name))?;
    Ok(Reply::Int(set.len() as i64))
}

pub(super) fn zcount(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let (from, to) = (edge(&args[2])?, edge(&args[3])?);
    count(ctx, &args[1], ScoreBounds::Scores(from, to))
}

pub(super) fn zlexcount(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let (from, to) = (place(&args[2], false)?, place(&args[3], true)?);
    count(ctx, &args[1], ScoreBounds::Members(from, to))
}

fn count(ctx: &mut Ctx<'_, '_>, key: &[u8], bounds: ScoreBounds<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let Some(mut set) = SortedSet::find(ctx.tx, db, key)? else { return Ok(Reply::Int(0)) };
    let (from, to) = set.ranks(ctx.tx, bounds)?;
    Ok(Reply::Int((to - from) as i64))
}

pub(super) fn zremrangebyrank(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let ends = Ends::Ranks(parse::int(&args[2])?, parse::int(&args[3])?);
    remove(ctx, &args[1], ends, "zremrangebyrank")
}

pub(super) fn zremrangebyscore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let ends = Ends::Bounds(ScoreBounds::Scores(edge(&args[2])?, edge(&args[3])?));
    remove(ctx, &args[1], ends, "zremrangebyscore")
}

pub(super) fn zremrangebylex(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let ends = Ends::Bounds(ScoreBounds::Members(place(&args[2], false)?, place(&args[3], true)?));
    remove(ctx, &args[1], ends, "zremrangebylex")
}

fn remove(
    ctx: &mut Ctx<'_, '_>,
    key: &[u8],
    ends: Ends<'_>,
    name: &'static str,
) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let mut set = SortedSet::open(ctx.tx, db, key)?;
    if set.is_empty() {
        return Ok(Reply::Int(0));
    }
    let (from, to) = match ends {
        Ends::Ranks(from, to) => parse::within(from, to, set.len()),
        Ends::Bounds(bounds) => set.ranks(ctx.tx, bounds)?,
    };
    if from == to {
        return Ok(Reply::Int(0));
    }
    set.remove_ranks(ctx.tx, from, to, |_, _| {})?;
    set.save(ctx.tx, Event::sorted_set(name))?;
    Ok(Reply::Int((to - from) as i64))
}

/// What showing a range takes: the members in it are counted, where there may be many.
fn weigh(scale: &mut Scale<'_, '_>, args: Args<'_>, form: Form, nanos: u64) -> Weight {
    let (extent, database) = (scale.extent(&args[form.key]), scale.database);
    let all = part(extent, u64::MAX, nanos);
    if extent.elements <= FEW || scale.is_short(all) {
        return Weight { reply_bytes: 0, ..all };
    }
    let Ok(asked) = parse_range(args, form) else { return Weight::default() };
    if let Ends::Ranks(from, to) = asked.ends {
        let (from, to) = parse::within(from, to, extent.elements);
        return part(extent, to - from, nanos);
    }
    if let Ok(count @ ..=FEW) = u64::try_from(asked.count) {
        return Weight::each(count, nanos);
    }
    // It is looked up in order to weigh, which is no read that counts.
    let Ok(mut set) = SortedSet::open(scale.tx, database, &args[form.key]) else {
        return Weight::default();
    };
    let Ok((_, count)) = select(scale.tx, &mut set, &asked) else { return Weight::default() };
    part(extent, count, nanos)
}

/// What removing a range takes.
fn weigh_removal(scale: &mut Scale<'_, '_>, args: Args<'_>, by: By) -> Weight {
    let form = Form { by: Some(by), reverse: Some(false), ..FROM_KEY };
    Weight { reply_bytes: 0, ..weigh(scale, args, form, WRITE_NS) }
}

pub(super) fn weigh_zrange(scale: &mut Scale<'_, '_>, args: Args<'_>) -> Weight {
    weigh(scale, args, FROM_KEY, READ_NS)
}

pub(super) fn weigh_zrevrange(scale: &mut Scale<'_, '_>, args: Args<'_>) -> Weight {
    weigh(scale, args, RANKS_REVERSED, READ_NS)
}

pub(super) fn weigh_zrangebyscore(scale: &mut Scale<'_, '_>, args: Args<'_>) -> Weight {
    weigh(scale, args, SCORES, READ_NS)
}

pub(super) fn weigh_zrevrangebyscore(scale: &mut Scale<'_, '_>, args: Args<'_>) -> Weight {
    weigh(scale, args, SCORES_REVERSED, READ_NS)
}

pub(super) fn weigh_zrangebylex(scale: &mut Scale<'_, '_>, args: Args<'_>) -> Weight {
    weigh(scale, args, MEMBERS, READ_NS)
}

pub(super) fn weigh_zrevrangebylex(scale: &mut Scale<'_, '_>, args: Args<'_>) -> Weight {
    weigh(scale, args, MEMBERS_REVERSED, READ_NS)
}

pub(super) fn weigh_zrangestore(scale: &mut Scale<'_, '_>, args: Args<'_>) -> Weight {
    Weight { reply_bytes: 0, ..weigh(scale, args, STORED, WRITE_NS) }
}

pub(super) fn weigh_zremrangebyscore(scale: &mut Scale<'_, '_>, args: Args<'_>) -> Weight {
    weigh_removal(scale, args, By::Score)
}

pub(super) fn weigh_zremrangebylex(scale: &mut Scale<'_, '_>, args: Args<'_>) -> Weight {
    weigh_removal(scale, args, By::Member)
}

/// The first rank to show, and how many members from there on; in reverse the first is the highest.
fn select(tx: &mut Tx<'_>, set: &mut SortedSet<'_>, asked: &Asked<'_>) -> Result<(u64, u64), CommandError> {
    let (from, to) = match asked.ends {
        Ends::Ranks(from, to) if asked.reverse => {
            let (from, to) = parse::within(from, to, set.len());
            (set.len() - to, set.len() - from)
        }
        Ends::Ranks(from, to) => parse::within(from, to, set.len()),
        Ends::Bounds(bounds) => set.ranks(tx, bounds)?,
    };
    if matches!(asked.ends, Ends::Ranks(..)) {
        return Ok((if asked.reverse { to.saturating_sub(1) } else { from }, to - from));
    }
    let all = to - from;
    // A negative offset passes all of them.
    let passed = u64::try_from(asked.offset).unwrap_or(u64::MAX).min(all);
    let count = u64::try_from(asked.count).unwrap_or(u64::MAX).min(all - passed);
    let first = if asked.reverse { (to - passed).saturating_sub(1) } else { from + passed };
    Ok((first, count))
}

fn parse_range(args: Args<'_>, form: Form) -> Result<Asked<'_>, CommandError> {
    let (mut by, mut reverse, mut scores) = (form.by, form.reverse, false);
    let (mut offset, mut count) = (0, -1);
    let mut options = Options::from(args, form.key + 3);
    while let Some(word) = options.next() {
        if form.scores && is(word, "withscores") {
            scores = true;
        } else if is(word, "limit") && options.left() >= 2 {
            offset = parse::int(options.value()?)?;
            count = parse::int(options.value()?)?;
        } else if reverse.is_none() && is(word, "rev") {
            reverse = Some(true);
        } else if by.is_none() && is(word, "bylex") {
            by = Some(By::Member);
        } else if by.is_none() && is(word, "byscore") {
            by = Some(By::Score);
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
    if by == By::Rank && count != -1 {
        return err("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
    }
    if by == By::Member && scores {
        return err("ERR syntax error, WITHSCORES not supported in combination with BYLEX");
    }
    let (Some(mut from), Some(mut to)) = (args.get(form.key + 1), args.get(form.key + 2)) else {
        return Err(CommandError::Syntax);
    };
    if reverse && by != By::Rank {
        std::mem::swap(&mut from, &mut to);
    }
    let ends = match by {
        By::Rank => Ends::Ranks(parse::int(from)?, parse::int(to)?),
        By::Score => Ends::Bounds(ScoreBounds::Scores(edge(from)?, edge(to)?)),
        By::Member => Ends::Bounds(ScoreBounds::Members(place(from, false)?, place(to, true)?)),
    };
    Ok(Asked { ends, reverse, offset, count, scores })
}

/// One end of a range of scores: `1.5`, or `(1.5` without that score.
fn edge(arg: &[u8]) -> Result<ScoreEdge, CommandError> {
    let (excluding, number) = match arg {
        [b'(', rest @ ..] => (true, rest),
        _ => (false, arg),
    };
    let Some(score) = parse::lenient_double(number) else { return err("ERR min or max is not a float") };
    Ok(if excluding { ScoreEdge::Excluding(score) } else { ScoreEdge::Including(score) })
}

/// One end of a range of members: `[member`, `(member` without it, `-` or `+`.
fn place(arg: &[u8], is_end: bool) -> Result<MemberPlace<'_>, CommandError> {
    Ok(match arg {
        b"-" => MemberPlace::First,
        b"+" => MemberPlace::Last,
        [b'[', member @ ..] if is_end => MemberPlace::Behind(member),
        [b'[', member @ ..] => MemberPlace::Before(member),
        [b'(', member @ ..] if is_end => MemberPlace::Before(member),
        [b'(', member @ ..] => MemberPlace::Behind(member),
        _ => return err("ERR min or max not valid string range item"),
    })
}
