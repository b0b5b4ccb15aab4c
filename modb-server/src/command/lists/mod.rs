//! Lists: elements in the order in which they were put.

use bytes::Bytes;
use modb_net::resp::Args;

use crate::command::language::counted::Counted;
use crate::command::language::error::{err, wrong_arity};
use crate::command::language::packed::{Packed, Shape, TOO_LARGE};
use crate::command::language::parse::{self, Options, int, is};
use crate::command::language::reply::MAX_REPLY_BYTES;
use crate::command::machine::spec::{Access, Find, Flags, KeySpec, Spec, key};
use crate::command::machine::weight::{ALL, READ_NS, Scale, Weight, option};
use crate::command::{CommandError, Ctx, Reply};
use crate::data::{DataError, End, List, Tx};
use crate::messages::Event;

const READ: &[Flags] = &[Flags::READONLY, Flags::MANY_RECORDS];
const READ_FAST: &[Flags] = &[Flags::READONLY, Flags::FAST];
const WRITE: &[Flags] = &[Flags::WRITE];
const WRITE_FAST: &[Flags] = &[Flags::WRITE, Flags::FAST];
const GROW: &[Flags] = &[Flags::WRITE, Flags::DENYOOM];
const GROW_FAST: &[Flags] = &[Flags::WRITE, Flags::DENYOOM, Flags::FAST];
const ONE_READ: &[KeySpec] = &[key(Access::Read, 1)];
const ONE_EXTENDED: &[KeySpec] = &[key(Access::Extend, 1)];
const ONE_TAKEN: &[KeySpec] = &[key(Access::Take, 1)];
const ONE_SHRUNK: &[KeySpec] = &[key(Access::Shrink, 1)];
const MOVED: &[KeySpec] = &[key(Access::Take, 1), key(Access::Extend, 2)];
const POSITIVE: &str = "ERR value is out of range, must be positive";

#[rustfmt::skip]
pub(super) static COMMANDS: [Spec; 17] = [
    Spec::new("list", "lpush", lpush, -3).weighed().flags(GROW_FAST).keys(ONE_EXTENDED)
        .docs("key element...", "1.0.0", "O(N) with N elements", "Puts elements at the left end of a list."),
    Spec::new("list", "rpush", rpush, -3).weighed().flags(GROW_FAST).keys(ONE_EXTENDED)
        .docs("key element...", "1.0.0", "O(N) with N elements", "Puts elements at the right end of a list."),
    Spec::new("list", "lpushx", lpushx, -3).weighed().flags(GROW_FAST).keys(ONE_EXTENDED)
        .docs("key element...", "2.2.0", "O(N) with N elements", "Puts elements at the left end of a list, if there is one."),
    Spec::new("list", "rpushx", rpushx, -3).weighed().flags(GROW_FAST).keys(ONE_EXTENDED)
        .docs("key element...", "2.2.0", "O(N) with N elements", "Puts elements at the right end of a list, if there is one."),
    Spec::new("list", "lpop", lpop, -2).weighs(|scale, args| scale.counted(&args[1], args.get(2), READ_NS)).flags(WRITE_FAST).keys(ONE_TAKEN)
        .docs("key [count]", "1.0.0", "O(N) with N elements", "Removes and returns elements at the left end of a list."),
    Spec::new("list", "rpop", rpop, -2).weighs(|scale, args| scale.counted(&args[1], args.get(2), READ_NS)).flags(WRITE_FAST).keys(ONE_TAKEN)
        .docs("key [count]", "1.0.0", "O(N) with N elements", "Removes and returns elements at the right end of a list."),
    Spec::new("list", "lmpop", lmpop, -4).weighs(|scale, args| scale.taken(args, 1, READ_NS)).flags(&[Flags::WRITE, Flags::MOVABLEKEYS])
        .keys(&[KeySpec { access: Access::Take, find: Find::Counted { count: 1 } }])
        .docs("numkeys key... LEFT|RIGHT [COUNT count]", "7.0.0", "O(N+M) with N keys and M elements", "Removes and returns elements of the first of some lists that is not empty."),
    Spec::new("list", "llen", llen, 2).flags(READ_FAST).keys(&[key(Access::Inspect, 1)])
        .docs("key", "1.0.0", "O(1)", "Returns how many elements a list has."),
    Spec::new("list", "lindex", lindex, 3).flags(READ).keys(ONE_READ)
        .docs("key index", "1.0.0", "O(log(N))", "Returns the element at an index."),
    Spec::new("list", "lset", lset, 4).flags(GROW).keys(&[key(Access::Change, 1)])
        .docs("key index element", "1.0.0", "O(log(N))", "Replaces the element at an index."),
    Spec::new("list", "linsert", linsert, 5).weighs(ALL).flags(GROW).keys(ONE_EXTENDED)
        .docs("key BEFORE|AFTER pivot element", "2.2.0", "O(N) with N elements before the pivot", "Puts an element beside another one."),
    Spec::new("list", "lrange", lrange, 4).weighs(|scale, args| scale.range(&args[1], &args[2], &args[3], READ_NS)).flags(READ).keys(ONE_READ)
        .docs("key start stop", "1.0.0", "O(log(N)+M) with M elements returned", "Returns the elements in a range of indexes.")
        .differs("a reply of more than 512 MiB is refused"),
    Spec::new("list", "ltrim", ltrim, 4).weighs(|scale, args| scale.outside(&args[1], &args[2], &args[3], READ_NS)).flags(WRITE).keys(ONE_SHRUNK)
        .docs("key start stop", "1.0.0", "O(N) with N elements removed", "Removes all elements but those in a range of indexes."),
    Spec::new("list", "lrem", lrem, 4).weighs(ALL).flags(WRITE).keys(ONE_SHRUNK)
        .docs("key count element", "1.0.0", "O(N+M*log(N)) with M elements removed", "Removes elements that are the same as one."),
    Spec::new("list", "lpos", lpos, -3).weighs(looked_at).flags(READ).keys(ONE_READ)
        .docs("key element [RANK rank] [COUNT num-matches] [MAXLEN len]", "6.0.6", "O(N) with N elements looked at", "Returns the indexes of elements that are the same as one."),
    Spec::new("list", "lmove", lmove, 5).flags(GROW).keys(MOVED)
        .docs("source destination LEFT|RIGHT LEFT|RIGHT", "6.2.0", "O(1)", "Moves an element from an end of a list to an end of another, and returns it."),
    Spec::new("list", "rpoplpush", rpoplpush, 3).flags(GROW).keys(MOVED)
        .docs("source destination", "1.2.0", "O(1)", "Moves the element at the right end of a list to the left end of another, and returns it."),
];

/// `LPOS` looks at `MAXLEN` elements, or at all.
fn looked_at(scale: &mut Scale<'_, '_>, args: Args<'_>) -> Weight {
    let most = option(args, 3, "maxlen").and_then(|most| int(most).ok()).filter(|most| *most > 0);
    let elements = scale.extent(&args[1]).elements;
    Weight::each(most.map_or(elements, |most| elements.min(most as u64)), READ_NS)
}

fn lpush(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    push(ctx, args, End::Left, false)
}

fn rpush(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    push(ctx, args, End::Right, false)
}

fn lpushx(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    push(ctx, args, End::Left, true)
}

fn rpushx(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    push(ctx, args, End::Right, true)
}

fn push(ctx: &mut Ctx<'_, '_>, args: Args<'_>, end: End, only_known: bool) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let mut list = List::open(ctx.tx, db, &args[1])?;
    if !(only_known && list.is_empty()) {
        for element in args.iter().skip(2) {
            list.push(ctx.tx, end, element)?;
        }
        list.save(ctx.tx, end.pushed())?;
    }
    Ok(Reply::Int(list.len() as i64))
}

fn lpop(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    pop(ctx, args, End::Left, "lpop")
}

fn rpop(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    pop(ctx, args, End::Right, "rpop")
}

fn pop(ctx: &mut Ctx<'_, '_>, args: Args<'_>, end: End, name: &str) -> Result<Reply, CommandError> {
    let count = match args.len() {
        2 => None,
        3 => Some(parse::positive(&args[2], POSITIVE)?),
        _ => return Err(wrong_arity(name)),
    };
    let db = ctx.db();
    let mut list = List::open(ctx.tx, db, &args[1])?;
    if list.is_empty() {
        return Ok(if count.is_some() { Reply::NullArray } else { Reply::Null });
    }
    let mut taken = take(ctx.tx, &mut list, end, count.unwrap_or(1))?;
    match count {
        None => Ok(taken.pop().unwrap_or(Reply::Null)),
        Some(_) => Ok(Reply::Array(taken)),
    }
}

/// Takes elements off an end, the outermost first.
pub(super) fn take(
    tx: &mut Tx<'_>,
    list: &mut List<'_>,
    end: End,
    count: u64,
) -> Result<Vec<Reply>, CommandError> {
    let taken = list.take(tx, end, count)?;
    if taken.iter().map(Bytes::len).sum::<usize>() > MAX_REPLY_BYTES {
        return err(TOO_LARGE);
    }
    if !taken.is_empty() {
        list.save(tx, end.popped())?;
    }
    Ok(taken.into_iter().map(Reply::Bulk).collect())
}

fn lmpop(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let asked = Counted::parse(args, 1, end_named)?;
    let db = ctx.db();
    for key in asked.keys(args) {
        let mut list = List::open(ctx.tx, db, key)?;
        if !list.is_empty() {
            let taken = take(ctx.tx, &mut list, asked.word, asked.count)?;
            return Ok(Reply::Array(vec![Reply::copied(key), Reply::Array(taken)]));
        }
    }
    Ok(Reply::NullArray)
}

pub(super) fn end_named(word: &[u8]) -> Result<End, CommandError> {
    match word {
        word if is(word, "left") => Ok(End::Left),
        word if is(word, "right") => Ok(End::Right),
        _ => Err(CommandError::Syntax),
    }
}

fn llen(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let list = List::find(ctx.tx, db, &args[1])?;
    Ok(Reply::Int(list.map_or(0, |list| list.len() as i64)))
}

fn lindex(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let Some(mut list) = List::find(ctx.tx, db, &args[1])? else { return Ok(Reply::Null) };
    let Some(index) = list.index(int(&args[2])?) else { return Ok(Reply::Null) };
    Ok(Reply::bulk_or_null(list.get(ctx.tx, index)?))
}

fn lset(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let mut list = List::open(ctx.tx, db, &args[1])?;
    if list.is_empty() {
        return Err(CommandError::NoSuchKey);
    }
    let Some(index) = list.index(int(&args[2])?) else { return err("ERR index out of range") };
    list.set(ctx.tx, index, &args[3])?;
    list.save(ctx.tx, Event::list("lset"))?;
    Ok(Reply::Ok)
}

fn linsert(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let behind = match &args[2] {
        word if is(word, "before") => 0,
        word if is(word, "after") => 1,
        _ => return Err(CommandError::Syntax),
    };
    let db = ctx.db();
    let mut list = List::open(ctx.tx, db, &args[1])?;
    if list.is_empty() {
        return Ok(Reply::Int(0));
    }
    let pivot = &args[3];
    let (mut index, mut found) = (0, false);
    list.walk(ctx.tx, 0, false, |element| {
        found = element == pivot;
        index += u64::from(!found);
        !found
    })?;
    if !found {
        return Ok(Reply::Int(-1));
    }
    list.insert(ctx.tx, index + behind, &args[4])?;
    list.save(ctx.tx, Event::list("linsert"))?;
    Ok(Reply::Int(list.len() as i64))
}

fn lrange(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let (from, to) = (int(&args[2])?, int(&args[3])?);
    let db = ctx.db();
    let mut elements = Packed::new(Shape::Array);
    if let Some(mut list) = List::find(ctx.tx, db, &args[1])? {
        let (from, to) = parse::within(from, to, list.len());
        let mut left = to - from;
        if left > 0 {
            list.walk(ctx.tx, from, false, |element| {
                left -= 1;
                elements.push(&element) && left > 0
            })?;
        }
    }
    elements.reply()
}

fn ltrim(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let (from, to) = (int(&args[2])?, int(&args[3])?);
    let db = ctx.db();
    let mut list = List::open(ctx.tx, db, &args[1])?;
    if !list.is_empty() {
        let (from, to) = parse::within(from, to, list.len());
        list.trim(ctx.tx, from, to)?;
        list.save(ctx.tx, Event::list("ltrim"))?;
    }
    Ok(Reply::Ok)
}

fn lrem(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let count = int(&args[2])?;
    let db = ctx.db();
    let mut list = List::open(ctx.tx, db, &args[1])?;
    let most = if count == 0 { u64::MAX } else { count.unsigned_abs() };
    let mut found = Vec::new();
    let end = if count < 0 { End::Right } else { End::Left };
    list.walk_from(ctx.tx, end, |index, element| {
        if element == args[3] {
            found.push(index);
        }
        (found.len() as u64) < most
    })?;
    let removed = found.len();
    // From the right, so that what is left of one keeps its index.
    found.sort_unstable_by(|a, b| b.cmp(a));
    for index in found {
        list.remove(ctx.tx, index, index + 1, |_| {})?;
    }
    if removed > 0 {
        list.save(ctx.tx, Event::list("lrem"))?;
    }
    Ok(Reply::count(removed))
}

const OUT_OF_RANGE: &str =
    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";

fn lpos(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let (mut rank, mut count, mut most_looked_at) = (1, None, 0);
    let mut options = Options::from(args, 3);
    while let Some(word) = options.next() {
        if is(word, "rank") && options.left() > 0 {
            rank = int(options.value()?)?;
            if rank == i64::MIN {
                return err(OUT_OF_RANGE);
            }
            if rank == 0 {
                return err(
                    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start \
                     from the end of the list",
                );
            }
        } else if is(word, "count") && options.left() > 0 {
            count = Some(parse::positive(options.value()?, "ERR COUNT can't be negative")?);
        } else if is(word, "maxlen") && options.left() > 0 {
            most_looked_at = parse::positive(options.value()?, "ERR MAXLEN can't be negative")?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let db = ctx.db();
    let list = List::find(ctx.tx, db, &args[1])?;
    let Some(mut list) = list else {
        return Ok(if count.is_some() { Reply::Array(Vec::new()) } else { Reply::Null });
    };
    let most = match count {
        None => 1,
        Some(0) => u64::MAX,
        Some(count) => count,
    };
    let mut passed = rank.unsigned_abs() - 1;
    let mut looked_at = 0;
    let mut found = Vec::new();
    let end = if rank < 0 { End::Right } else { End::Left };
    list.walk_from(ctx.tx, end, |index, element| {
        looked_at += 1;
        if element == args[2] {
            if passed > 0 {
                passed -= 1;
            } else {
                found.push(Reply::Int(index as i64));
            }
        }
        (found.len() as u64) < most && (most_looked_at == 0 || looked_at < most_looked_at)
    })?;
    Ok(if count.is_some() { Reply::Array(found) } else { found.pop().unwrap_or(Reply::Null) })
}

fn lmove(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let (from, to) = (end_named(&args[3])?, end_named(&args[4])?);
    move_one(ctx, args, from, to)
}

fn rpoplpush(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    move_one(ctx, args, End::Right, End::Left)
}

fn move_one(ctx: &mut Ctx<'_, '_>, args: Args<'_>, from: End, to: End) -> Result<Reply, CommandError> {
    let db = ctx.db();
    Ok(move_element(ctx.tx, db, [&args[1], &args[2]], from, to)?.unwrap_or(Reply::Null))
}

/// Moves an element from one list to another, or within one; `None`: there is none.
pub(super) fn move_element(
    tx: &mut Tx<'_>,
    database: u32,
    [source_key, target_key]: [&[u8]; 2],
    from: End,
    to: End,
) -> Result<Option<Reply>, CommandError> {
    let mut source = List::open(tx, database, source_key)?;
    if source.is_empty() {
        return Ok(None);
    }
    let taken = |list: &mut List<'_>, tx: &mut _| {
        let index = if from == End::Left { 0 } else { list.len() - 1 };
        let mut element = Bytes::new();
        list.remove(tx, index, index + 1, |one| element = one)?;
        Ok::<_, DataError>(element)
    };
    let element;
    if source_key == target_key {
        element = taken(&mut source, tx)?;
        source.push(tx, to, &element)?;
        tx.notify(to.pushed(), database, target_key);
    } else {
        let mut target = List::open(tx, database, target_key)?;
        element = taken(&mut source, tx)?;
        target.push(tx, to, &element)?;
        target.save(tx, to.pushed())?;
    }
    source.save(tx, from.popped())?;
    Ok(Some(Reply::Bulk(element)))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{Bench, run};

    run! {
        elements_are_put_and_taken_at_both_ends {
            "RPUSH l a b c" => ":3", "LPUSH l x y" => ":5", "LRANGE l 0 -1" => "[y x a b c]", "LPOP l" => "y", "RPOP l 2" => "[c b]", "LLEN l" => ":2",
            "LPUSHX none a" => ":0", "RPUSHX l d" => ":3", "LPOP l 0" => "[]", "LPOP none" => "nil", "LPOP none 1" => "nil", "LPOP l -1" => "-ERR value is out of range, must be positive",
            "TYPE l" => "+list", "OBJECT ENCODING l" => "listpack", "LPOP l 9" => "[x a d]", "EXISTS l" => ":0", "SET s 1" => "+OK",
            "LPUSH s a" => "-WRONGTYPE Operation against a key holding the wrong kind of value", "LMPOP 2 none l LEFT" => "nil", "RPUSH l a b c" => ":3", "LMPOP 2 none l RIGHT COUNT 2" => "[l [c b]]"
        }
        elements_are_found_and_replaced {
            "RPUSH l a b c b a" => ":5", "LINDEX l 0" => "a", "LINDEX l -2" => "b", "LINDEX l 9" => "nil", "LSET l 1 B" => "+OK", "LSET l 9 x" => "-ERR index out of range",
            "LSET none 0 x" => "-ERR no such key", "LINSERT l BEFORE c x" => ":6", "LINSERT l AFTER a y" => ":7", "LINSERT l BEFORE none x" => ":-1", "LRANGE l 0 -1" => "[a y B x c b a]",
            "LPOS l a" => ":0", "LPOS l a RANK -1" => ":6", "LPOS l a COUNT 0" => "[:0 :6]", "LPOS l a MAXLEN 1 RANK 2" => "nil", "LPOS l z" => "nil",
            "LRANGE l 2 1" => "[]", "LRANGE l -100 1" => "[a y]"
        }
        elements_are_removed_and_moved {
            "RPUSH l a b a c a" => ":5", "LREM l -1 a" => ":1", "LREM l 0 a" => ":2", "LRANGE l 0 -1" => "[b c]", "LMOVE l m RIGHT LEFT" => "c", "RPOPLPUSH l m" => "b",
            "LRANGE m 0 -1" => "[b c]", "EXISTS l" => ":0", "LMOVE m m LEFT RIGHT" => "b", "LRANGE m 0 -1" => "[c b]", "LMOVE none m LEFT LEFT" => "nil", "LTRIM m 1 -1" => "+OK",
            "LRANGE m 0 -1" => "[b]", "LTRIM m 5 9" => "+OK", "EXISTS m" => ":0"
        }
    }

    /// Whatever takes elements leaves them where the reply would be too large.
    #[test]
    fn replies_that_are_too_large_are_refused() {
        let bench = Bench::new();
        let long = "x".repeat(60_000);
        for number in 0..150 {
            bench.text(&format!("RPUSH l {long}"));
            bench.text(&format!("ZADD z 1 {number}{long}"));
        }
        for command in [
            "LRANGE l 0 -1",
            "LPOP l 150",
            "RPOP l 150",
            "LMPOP 1 l LEFT COUNT 150",
            "ZRANGE z 0 -1",
            "ZPOPMIN z 150",
            "SORT l ALPHA",
        ] {
            assert_eq!(bench.text(command), "-ERR the reply would be too large", "{command}");
        }
        assert_eq!((bench.text("LLEN l"), bench.text("ZCARD z")), (":150".into(), ":150".into()));
        assert_eq!(bench.text("LRANGE l 0 1"), format!("[{long} {long}]"));
    }
}
