//! HyperLogLogs: strings that estimate how many different elements were added, in Redis's own bytes.
//!
//! Invariant: what is written is byte by byte what Redis 7 would write, the kept estimate included, so a copy may go either way.

mod estimate;
mod registers;

use modb_net::resp::Args;

use self::registers::{REGISTERS, Registers, Sketch};
use crate::command::language::error::err;
use crate::command::machine::spec::{Access, Flags, Spec, key, keys};
use crate::command::machine::weight::Weight;
use crate::command::{CommandError, Ctx, Reply};
use crate::data::{DataError, Entry};
use crate::messages::Event;

const GROW: &[Flags] = &[Flags::WRITE, Flags::DENYOOM];

#[rustfmt::skip]
pub(super) static COMMANDS: [Spec; 3] = [
    Spec::new("hyperloglog", "pfadd", pfadd, -2).weighed().flags(&[Flags::WRITE, Flags::DENYOOM, Flags::FAST]).keys(&[key(Access::Extend, 1)])
        .docs("key [element...]", "2.8.9", "O(N) with N elements", "Adds elements to a HyperLogLog; says whether its estimate may have changed."),
    // It keeps the estimate of a single key, so it needs the stripe.
    Spec::new("hyperloglog", "pfcount", pfcount, -2).weighs(|_, args| to_be_read(args.len() - 1)).flags(&[Flags::READONLY, Flags::MANY_RECORDS])
        .keys(&[keys(Access::Update, 1, 1)])
        .docs("key...", "2.8.9", "O(N) with N keys", "Estimates how many different elements were added to some HyperLogLogs together."),
    Spec::new("hyperloglog", "pfmerge", pfmerge, -2).weighs(|_, args| to_be_read(args.len() - 1)).flags(GROW).keys(&[key(Access::Update, 1), keys(Access::Read, 2, 1)])
        .docs("destkey [sourcekey...]", "2.8.9", "O(N) with N keys", "Adds to a HyperLogLog what others have."),
];

const INVALID: &str = "WRONGTYPE Key is not a valid HyperLogLog string value.";
const CORRUPT: &str = "INVALIDOBJ Corrupted HLL object detected";

const ADDED: Event = Event::string("pfadd");

/// The HyperLogLog at a key, if there is one.
fn find(entry: &Entry<'_>) -> Result<Option<Sketch>, CommandError> {
    let Some(record) = entry.string()? else { return Ok(None) };
    match Sketch::parse(record.payload().to_vec()) {
        Some(sketch) => Ok(Some(sketch)),
        None => err(INVALID),
    }
}

fn put(
    ctx: &mut Ctx<'_, '_>,
    entry: &Entry<'_>,
    sketch: &Sketch,
    event: Option<Event>,
) -> Result<(), DataError> {
    ctx.tx.edit(entry, entry.string_head(), &[sketch.bytes()], event)
}

/// More than that no sparse one has.
fn sparse_bytes(ctx: &Ctx<'_, '_>) -> usize {
    usize::try_from(ctx.instance.settings.number("hll-sparse-max-bytes")).unwrap_or(0)
}

/// What it takes to read so many HyperLogLogs.
fn to_be_read(count: usize) -> Weight {
    const EACH_NS: u64 = 20_000;
    Weight::each(count as u64, EACH_NS)
}

fn pfadd(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let entry = ctx.tx.entry(db, &args[1])?;
    let found = find(&entry)?;
    let mut changed = found.is_none();
    let mut sketch = found.unwrap_or_default();
    let most = sparse_bytes(ctx);
    for element in args.iter().skip(2) {
        let (register, count) = registers::place(element);
        match sketch.raise(register, count, most) {
            Some(raised) => changed |= raised,
            None => return err(CORRUPT),
        }
    }
    if changed {
        sketch.forget_estimate();
        put(ctx, &entry, &sketch, Some(ADDED))?;
    }
    Ok(Reply::flag(changed))
}

fn pfcount(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    if args.len() > 2 {
        let most = merged(ctx, args)?.0;
        return Ok(Reply::Int(estimate::of_registers(&most)));
    }
    let db = ctx.db();
    let entry = ctx.tx.entry(db, &args[1])?;
    ctx.tx.looked_up(db, &args[1], entry.live().is_some());
    let Some(mut sketch) = find(&entry)? else { return Ok(Reply::Int(0)) };
    if let Some(kept) = sketch.kept_estimate() {
        return Ok(Reply::Int(kept as i64));
    }
    let Some(counts) = sketch.histogram() else { return err(CORRUPT) };
    let estimate = estimate::of_histogram(&counts);
    // Where nothing may be written, it can be counted all the same.
    if ctx.tx.data().store().read_only_reason().is_none() {
        sketch.keep_estimate(estimate as u64);
        put(ctx, &entry, &sketch, None)?;
    }
    Ok(Reply::Int(estimate))
}

/// The highest of each register in the HyperLogLogs at all keys, and whether one of them is dense.
fn merged(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<(Registers, bool), CommandError> {
    let db = ctx.db();
    let (mut most, mut dense) = ([0; REGISTERS], false);
    for key in args.iter().skip(1) {
        let entry = ctx.tx.entry(db, key)?;
        ctx.tx.looked_up(db, key, entry.live().is_some());
        let Some(sketch) = find(&entry)? else { continue };
        dense |= sketch.is_dense();
        if sketch.merge_into(&mut most).is_none() {
            return err(CORRUPT);
        }
    }
    Ok((most, dense))
}

fn pfmerge(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let (most, dense) = merged(ctx, args)?;
    let db = ctx.db();
    let entry = ctx.tx.entry(db, &args[1])?;
    let mut sketch = find(&entry)?.unwrap_or_default();
    if dense && sketch.make_dense().is_none() {
        return err(CORRUPT);
    }
    let bytes = sparse_bytes(ctx);
    for (register, &count) in most.iter().enumerate().filter(|(_, count)| **count > 0) {
        if sketch.raise(register, count, bytes).is_none() {
            return err(CORRUPT);
        }
    }
    sketch.forget_estimate();
    put(ctx, &entry, &sketch, Some(ADDED))?;
    Ok(Reply::Ok)
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{Bench, run};

    run! {
        elements_are_counted_once {
            "PFADD h a b c a" => ":1", "PFADD h a b" => ":0", "PFCOUNT h" => ":3", "PFADD h d" => ":1", "PFCOUNT h" => ":4", "TYPE h" => "+string", "STRLEN h" => ":30",
            "PFADD e" => ":1", "PFADD e" => ":0", "PFCOUNT e" => ":0", "PFCOUNT none" => ":0", "PFCOUNT h e none" => ":4", "PFADD g c x" => ":1", "PFCOUNT h g" => ":5",
            "PFMERGE m h g none" => "+OK", "PFCOUNT m" => ":5", "PFMERGE h" => "+OK", "PFCOUNT h" => ":4", "PFMERGE new" => "+OK", "STRLEN new" => ":18"
        }
        other_strings_are_refused {
            "SET s abc" => "+OK", "PFADD s a" => "-WRONGTYPE Key is not a valid HyperLogLog string value.", "PFCOUNT s" => "-WRONGTYPE Key is not a valid HyperLogLog string value.",
            "PFMERGE d s" => "-WRONGTYPE Key is not a valid HyperLogLog string value.", "LPUSH l a" => ":1", "PFADD l a" => "-WRONGTYPE Operation against a key holding the wrong kind of value",
            "PFADD h a" => ":1", "SETRANGE h 4 2" => ":21", "PFCOUNT h" => "-WRONGTYPE Key is not a valid HyperLogLog string value.", "EXPIRE l 100" => ":1"
        }
        a_damaged_one_is_told {
            "PFADD h a" => ":1", "SETRANGE h 16 zzz" => ":21", "PFADD h b" => ":1", "PFCOUNT h" => "-INVALIDOBJ Corrupted HLL object detected"
        }
        its_expiry_stays {
            "PFADD h a" => ":1", "EXPIRE h 100" => ":1", "PFADD h b" => ":1", "PFCOUNT h" => ":2", "TTL h" => ":100"
        }
    }

    #[test]
    fn estimates_of_many_are_those_of_redis() {
        let bench = Bench::new();
        // From redis-server 7.0.15.
        for (up_to, expected) in [(100, ":100"), (1_000, ":1008"), (3_000, ":2979"), (20_000, ":19901")] {
            for number in 0..up_to {
                bench.text(&format!("PFADD h e{number}"));
            }
            assert_eq!(bench.text("PFCOUNT h"), expected, "{up_to}");
            assert_eq!(bench.text("PFCOUNT h none"), expected, "not kept, {up_to}");
        }
        assert_eq!(bench.text("STRLEN h"), ":12304");
    }
}
