//! What is made of several sorted sets: their union, their intersection, what the first has more. Sets take part with a score
//! of 1 for each member.

use std::cmp::Ordering;
use std::collections::HashMap;

use bytes::Bytes;
use modb_net::resp::Args;

use super::ranges::store_at_once;
use super::{CommandError, Ctx, Options, Pairs, Reply, double_or, is, parse};
use crate::data::{DataError, Set, SortedSet};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Inter,
    Diff,
}

#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            // Infinity and its opposite.
            Self::Sum => Some(a + b).filter(|sum| !sum.is_nan()).unwrap_or(0.0),
            Self::Min => {
                if b < a {
                    b
                } else {
                    a
                }
            }
            Self::Max => {
                if b > a {
                    b
                } else {
                    a
                }
            }
        }
    }
}

/// What was asked for.
struct Asked {
    sources: Vec<Source>,
    aggregate: Aggregate,
    scores: bool,
    limit: u64,
}

struct Source {
    members: Vec<(f64, Bytes)>,
    weight: f64,
}

impl Source {
    fn weighted(&self, score: f64) -> f64 {
        Some(self.weight * score).filter(|score| !score.is_nan()).unwrap_or(0.0)
    }
}

pub(super) fn zunion(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    show(ctx, args, Operation::Union, "zunion")
}

pub(super) fn zinter(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    show(ctx, args, Operation::Inter, "zinter")
}

pub(super) fn zdiff(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    show(ctx, args, Operation::Diff, "zdiff")
}

pub(super) fn zunionstore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    keep(ctx, args, Operation::Union, "zunionstore")
}

pub(super) fn zinterstore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    keep(ctx, args, Operation::Inter, "zinterstore")
}

pub(super) fn zdiffstore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    keep(ctx, args, Operation::Diff, "zdiffstore")
}

pub(super) fn zintercard(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let asked = parse_sources(
        ctx,
        args,
        1,
        Form { name: "zintercard", operation: Operation::Inter, stores: false, counts: true },
    )?;
    let limit = if asked.limit == 0 { u64::MAX } else { asked.limit };
    let found = result(asked, Operation::Inter).len() as u64;
    Ok(Reply::Int(found.min(limit) as i64))
}

fn show(
    ctx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    operation: Operation,
    name: &'static str,
) -> Result<Reply, CommandError> {
    let asked = parse_sources(ctx, args, 1, Form { name, operation, stores: false, counts: false })?;
    let mut pairs = Pairs::new(ctx, asked.scores);
    result(asked, operation).into_iter().for_each(|(score, member)| pairs.push(score, member));
    pairs.reply()
}

fn keep(
    ctx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    operation: Operation,
    name: &'static str,
) -> Result<Reply, CommandError> {
    let asked = parse_sources(ctx, args, 2, Form { name, operation, stores: true, counts: false })?;
    store_at_once(ctx, &args[1], result(asked, operation), name)
}

/// The members in the order of their scores.
fn result(mut asked: Asked, operation: Operation) -> Vec<(f64, Bytes)> {
    if operation != Operation::Diff {
        asked.sources.sort_by_key(|source| source.members.len());
    }
    let Asked { sources, aggregate, .. } = asked;
    let Some((first, others)) = sources.split_first() else { return Vec::new() };
    let mut found: HashMap<Bytes, f64> = match operation {
        Operation::Diff => first.members.iter().map(|(score, member)| (member.clone(), *score)).collect(),
        _ => first.members.iter().map(|(score, member)| (member.clone(), first.weighted(*score))).collect(),
    };
    for other in others {
        match operation {
            Operation::Union => {
                for (score, member) in &other.members {
                    let score = other.weighted(*score);
                    found
                        .entry(member.clone())
                        .and_modify(|sum| *sum = aggregate.of(*sum, score))
                        .or_insert(score);
                }
            }
            Operation::Inter => {
                let theirs: HashMap<&Bytes, f64> =
                    other.members.iter().map(|(score, member)| (member, *score)).collect();
                found.retain(|member, sum| {
                    // Here Redis leaves it to the sum to be no number.
                    let score = theirs.get(member).map(|score| other.weight * score);
                    score.inspect(|score| *sum = aggregate.of(*sum, *score)).is_some()
                });
            }
            Operation::Diff => {
                other.members.iter().for_each(|(_, member)| {
                    found.remove(member);
                });
            }
        }
    }
    let mut pairs: Vec<(f64, Bytes)> = found.into_iter().map(|(member, score)| (score, member)).collect();
    pairs.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal).then_with(|| a.1.cmp(&b.1)));
    pairs
}

/// What a command of this family is.
struct Form {
    name: &'static str,
    operation: Operation,
    stores: bool,
    counts: bool,
}

fn parse_sources(
    ctx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    at: usize,
    form: Form,
) -> Result<Asked, CommandError> {
    let keys = parse::int(&args[at])?;
    if keys < 1 {
        return Err(format!("ERR at least 1 input key is needed for '{}' command", form.name).into());
    }
    let keys =
        usize::try_from(keys).ok().filter(|keys| *keys < args.len() - at).ok_or(CommandError::Syntax)?;
    let mut sources = Vec::with_capacity(keys);
    for key in args.iter().skip(at + 1).take(keys) {
        sources.push(Source { members: members(ctx, key)?, weight: 1.0 });
    }
    let (mut aggregate, mut scores, mut limit) = (Aggregate::Sum, false, 0);
    let combines = form.operation != Operation::Diff && !form.counts;
    let mut options = Options::from(args, at + 1 + keys);
    while let Some(word) = options.next() {
        if combines && is(word, "weights") && options.left() >= keys {
            for source in &mut sources {
                source.weight = double_or(options.value()?, "ERR weight value is not a float")?;
            }
        } else if combines && is(word, "aggregate") && options.left() > 0 {
            aggregate = match options.value()? {
                word if is(word, "sum") => Aggregate::Sum,
                word if is(word, "min") => Aggregate::Min,
                word if is(word, "max") => Aggregate::Max,
                _ => return Err(CommandError::Syntax),
            };
        } else if !form.stores && !form.counts && is(word, "withscores") {
            scores = true;
        } else if form.counts && is(word, "limit") && options.left() > 0 {
            limit = parse::positive(options.value()?, "ERR LIMIT can't be negative")?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(Asked { sources, aggregate, scores, limit })
}

/// The members of a sorted set or a set; none if there is no key.
fn members(ctx: &mut Ctx<'_, '_>, key: &[u8]) -> Result<Vec<(f64, Bytes)>, CommandError> {
    let db = ctx.db();
    let mut members = Vec::new();
    match SortedSet::find(ctx.tx, db, key) {
        Ok(None) => {}
        Ok(Some(mut set)) => {
            let len = set.len();
            set.for_each(ctx.tx, 0, len, false, |score, member| members.push((score, member)))?;
        }
        Err(DataError::WrongType) => Set::open(ctx.tx, db, key)?.for_each(ctx.tx, |member| {
            members.push((1.0, Bytes::copy_from_slice(member)));
            true
        })?,
        Err(error) => return Err(error.into()),
    }
    Ok(members)
}
