//! `BITFIELD`: integers of any width inside a string.

use modb_net::resp::{Args, parse_i64};

use crate::command::language::error::err;
use crate::command::language::parse::{Options, int, is};
use crate::command::machine::weight::{Scale, Weight};
use crate::command::{CommandError, Ctx, Reply};
use crate::data::{MAX_VALUE_BYTES, ensure_memory};
use crate::messages::Event;

/// The type of a field: `i8`, `u16`, up to `i64` and `u63`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Width {
    signed: bool,
    bits: u32,
}

/// What happens to a sum that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Get,
    Set(i64),
    Add(i64),
}

#[derive(Clone, Copy, Debug)]
struct Step {
    operation: Operation,
    width: Width,
    offset: usize,
    overflow: Overflow,
}

impl Step {
    /// The bytes that have its bits.
    fn place(&self) -> std::ops::Range<usize> {
        self.offset / 8..(self.offset + self.width.bits as usize).div_ceil(8)
    }
}

/// How long the string is at least once they are done, unless none of them writes.
fn needed_bytes(steps: &[Step]) -> Option<usize> {
    let writes = steps.iter().filter(|step| !matches!(step.operation, Operation::Get));
    writes.map(|step| step.place().end).max()
}

pub(super) fn weigh(scale: &mut Scale<'_, '_>, args: Args<'_>) -> Weight {
    let needed = parse(args).ok().and_then(|steps| needed_bytes(&steps));
    scale.reaching(&args[1], needed.unwrap_or(0))
}

pub(crate) fn bitfield(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let steps = parse(args)?;
    let db = ctx.db();
    let Some(needed) = needed_bytes(&steps) else {
        return read_only(ctx, args, &steps);
    };
    let entry = ctx.tx.entry(db, &args[1])?;
    let old = entry.string_bytes()?;
    ensure_memory(old.len().max(needed))?;
    let mut bytes = old.to_vec();
    bytes.resize(bytes.len().max(needed), 0);
    let grows = bytes.len() > old.len();
    let (mut replies, mut changes) = (Vec::with_capacity(steps.len()), false);
    for step in &steps {
        let place = step.place();
        let was = bytes.get(place.clone()).map(<[u8]>::to_vec);
        let reply = apply(step, &mut bytes);
        // As in Redis: what does not fit was not written, even if there was made room for it.
        let writes = !matches!(step.operation, Operation::Get) && !matches!(reply, Reply::Null);
        changes |= writes && (grows || was.as_deref() != bytes.get(place));
        replies.push(reply);
    }
    if grows || changes {
        let event = changes.then_some(Event::string("setbit"));
        ctx.tx.edit(&entry, entry.edited_head(), &[&bytes], event)?;
    }
    Ok(Reply::Array(replies))
}

pub(crate) fn bitfield_ro(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let steps = parse(args)?;
    if steps.iter().any(|step| !matches!(step.operation, Operation::Get)) {
        return err("ERR BITFIELD_RO only supports the GET subcommand");
    }
    read_only(ctx, args, &steps)
}

fn read_only(ctx: &mut Ctx<'_, '_>, args: Args<'_>, steps: &[Step]) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let bytes = ctx.tx.get(db, &args[1])?.unwrap_or_default();
    Ok(Reply::Array(steps.iter().map(|step| Reply::Int(read(&bytes, step.offset, step.width))).collect()))
}

fn parse(args: Args<'_>) -> Result<Vec<Step>, CommandError> {
    let mut steps = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut options = Options::from(args, 2);
    while let Some(word) = options.next() {
        if is(word, "overflow") {
            let how = options.value()?;
            overflow = match () {
                () if is(how, "wrap") => Overflow::Wrap,
                () if is(how, "sat") => Overflow::Saturate,
                () if is(how, "fail") => Overflow::Fail,
                () => return err("ERR Invalid OVERFLOW type specified"),
            };
            continue;
        }
        let operation: fn(i64) -> Operation = match () {
            () if is(word, "get") && options.left() >= 2 => |_| Operation::Get,
            () if is(word, "set") && options.left() >= 3 => Operation::Set,
            () if is(word, "incrby") && options.left() >= 3 => Operation::Add,
            () => return Err(CommandError::Syntax),
        };
        let width = width(options.value()?)?;
        let offset = offset(options.value()?, width)?;
        let value = if is(word, "get") { 0 } else { int(options.value()?)? };
        steps.push(Step { operation: operation(value), width, offset, overflow });
    }
    Ok(steps)
}

fn width(arg: &[u8]) -> Result<Width, CommandError> {
    let (signed, digits) = match arg {
        [b'i', digits @ ..] => (true, digits),
        [b'u', digits @ ..] => (false, digits),
        _ => (false, &b""[..]),
    };
    let most = if signed { 64 } else { 63 };
    let bits = parse_i64(digits).filter(|bits| (1..=most).contains(bits));
    match bits {
        Some(bits) => Ok(Width { signed, bits: bits as u32 }),
        None => err(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        ),
    }
}

/// The first bit; `#3` means the third field of this width.
fn offset(arg: &[u8], width: Width) -> Result<usize, CommandError> {
    let (digits, scale) = match arg {
        [b'#', digits @ ..] => (digits, i64::from(width.bits)),
        _ => (arg, 1),
    };
    let offset = parse_i64(digits).and_then(|n| n.checked_mul(scale)).and_then(|n| usize::try_from(n).ok());
    offset
        .filter(|n| n / 8 < MAX_VALUE_BYTES && (n + width.bits as usize - 1) / 8 < MAX_VALUE_BYTES)
        .map_or_else(|| err("ERR bit offset is not an integer or out of range"), Ok)
}

fn apply(step: &Step, bytes: &mut [u8]) -> Reply {
    let old = read(bytes, step.offset, step.width);
    let (wide, shown_old) = match step.operation {
        Operation::Get => return Reply::Int(old),
        Operation::Set(value) => (step.width.widen(value), true),
        Operation::Add(by) => (i128::from(old) + i128::from(by), false),
    };
    let (least, most) = step.width.range();
    let new = if (least..=most).contains(&wide) {
        wide
    } else {
        match step.overflow {
            Overflow::Fail => return Reply::Null,
            Overflow::Saturate if wide > most => most,
            // Redis takes the distance to the greatest value in 64 bits, where it turns negative: too low is too high.
            Overflow::Saturate if shown_old && i64::try_from(most - wide).is_err() => most,
            Overflow::Saturate => least,
            Overflow::Wrap => wide,
        }
    };
    write(bytes, step.offset, step.width, new as u64);
    Reply::Int(if shown_old { old } else { read(bytes, step.offset, step.width) })
}

impl Width {
    fn range(self) -> (i128, i128) {
        if self.signed {
            let half = 1_i128 << (self.bits - 1);
            (-half, half - 1)
        } else {
            (0, (1 << self.bits) - 1)
        }
    }

    /// The value to set, as Redis takes it: for an unsigned field the 64 bits count, not the sign.
    fn widen(self, value: i64) -> i128 {
        if self.signed { i128::from(value) } else { i128::from(value as u64) }
    }
}

/// Bits behind the end of the string are 0.
fn read(bytes: &[u8], offset: usize, width: Width) -> i64 {
    let bit = |at: usize| bytes.get(at / 8).is_some_and(|byte| byte & 0x80 >> (at % 8) != 0);
    let raw = (offset..offset + width.bits as usize).fold(0_u64, |raw, at| raw << 1 | u64::from(bit(at)));
    let unused = 64 - width.bits;
    if width.signed { (raw << unused) as i64 >> unused } else { raw as i64 }
}

fn write(bytes: &mut [u8], offset: usize, width: Width, value: u64) {
    for index in 0..width.bits {
        let at = offset + index as usize;
        let mask = 0x80 >> (at % 8);
        if value >> (width.bits - 1 - index) & 1 == 1 {
            bytes[at / 8] |= mask;
        } else {
            bytes[at / 8] &= !mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::run;

    run! {
        fields_are_read_and_changed {
            "BITFIELD a INCRBY i5 100 1 GET u4 0" => "[:1 :0]", "STRLEN a" => ":14", "BITFIELD b SET u8 #1 255 GET u16 0" => "[:0 :255]",
            "BITFIELD b INCRBY u8 #1 1" => "[:0]", "BITFIELD b OVERFLOW SAT INCRBY u8 #1 300" => "[:255]",
            "BITFIELD b OVERFLOW FAIL INCRBY u8 #1 1" => "[nil]", "BITFIELD b OVERFLOW SAT SET i8 0 -200" => "[:0]", "BITFIELD b GET i8 0" => "[:-128]",
            "BITFIELD b OVERFLOW WRAP INCRBY i8 0 -1" => "[:127]", "BITFIELD_RO b GET i8 0" => "[:127]", "BITFIELD none GET u8 0" => "[:0]", "EXISTS none" => ":0",
            "BITFIELD d OVERFLOW SAT SET i8 0 -9223372036854775681 GET i8 0" => "[:0 :127]", "BITFIELD d OVERFLOW SAT SET i8 0 -9223372036854775680 GET i8 0" => "[:127 :-128]",
            "BITFIELD e OVERFLOW SAT SET u8 0 -9223372036854775808 GET u8 0" => "[:0 :255]", "BITFIELD f OVERFLOW SAT INCRBY i8 0 -9223372036854775808" => "[:-128]",
            "BITFIELD c SET u8 0 -1" => "[:0]", "BITFIELD c GET u8 0" => "[:255]", "BITFIELD c" => "[]"
        }
        wrong_fields_are_refused {
            "BITFIELD a GET u64 0" => "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
            "BITFIELD a GET u8 -1" => "-ERR bit offset is not an integer or out of range", "BITFIELD a FOO" => "-ERR syntax error",
            "BITFIELD a OVERFLOW x" => "-ERR Invalid OVERFLOW type specified", "BITFIELD a SET u8 0 x" => "-ERR value is not an integer or out of range",
            "BITFIELD_RO a SET u8 0 1" => "-ERR BITFIELD_RO only supports the GET subcommand"
        }
    }
}
