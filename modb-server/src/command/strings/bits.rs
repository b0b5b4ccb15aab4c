//! Strings as arrays of bits, the highest bit of the first byte being bit 0.

use modb_net::resp::{Args, parse_i64};

use crate::command::language::error::err;
use crate::command::language::parse::{int, is};
use crate::command::machine::spec::{Access, Flags, Spec, key, keys};
use crate::command::machine::weight::COPIED;
use crate::command::{CommandError, Ctx, Reply};
use crate::data::{Form, Head, MAX_VALUE_BYTES, ensure_memory};
use crate::messages::Event;

const READ: &[Flags] = &[Flags::READONLY];
const READ_FAST: &[Flags] = &[Flags::READONLY, Flags::FAST];
const GROW: &[Flags] = &[Flags::WRITE, Flags::DENYOOM];

const BITFIELD: &str = "[GET encoding offset|([OVERFLOW WRAP|SAT|FAIL] <SET encoding offset value|INCRBY encoding offset increment>)]...";

#[rustfmt::skip]
pub(crate) static COMMANDS: [Spec; 7] = [
    Spec::new("bitmap", "setbit", setbit, 4).weighs(|scale, args| scale.reaching(&args[1], bit_offset(&args[2]).map_or(0, |bit| bit / 8))).flags(GROW).keys(&[key(Access::Update, 1)])
        .docs("key offset value", "2.2.0", "O(N) with the length of the string", "Sets a bit and returns what it was."),
    Spec::new("bitmap", "getbit", getbit, 3).flags(READ_FAST).keys(&[key(Access::Read, 1)])
        .docs("key offset", "2.2.0", "O(1)", "Returns a bit."),
    Spec::new("bitmap", "bitcount", bitcount, -2).weighs(COPIED).flags(READ).keys(&[key(Access::Read, 1)])
        .docs("key [start end [BYTE|BIT]]", "2.6.0", "O(N) with the length of the range", "Counts the bits that are 1."),
    Spec::new("bitmap", "bitpos", bitpos, -3).weighs(COPIED).flags(READ).keys(&[key(Access::Read, 1)])
        .docs("key bit [start [end [BYTE|BIT]]]", "2.8.7", "O(N) with the length of the range", "Finds the first bit that is 0 or 1."),
    Spec::new("bitmap", "bitop", bitop, -4).weighs(|scale, args| scale.all_copied(args.iter().skip(3))).flags(GROW).keys(&[key(Access::Overwrite, 2), keys(Access::Read, 3, 1)])
        .docs("<AND|OR|XOR|NOT> destkey key...", "2.6.0", "O(N) with the length of the longest string", "Combines strings bit by bit."),
    Spec::new("bitmap", "bitfield", crate::command::strings::bitfield::bitfield, -2).weighs(crate::command::strings::bitfield::weigh).flags(GROW).keys(&[key(Access::Update, 1)])
        .docs(BITFIELD, "3.2.0", "O(1) for each subcommand", "Reads and changes integers of any width inside a string."),
    Spec::new("bitmap", "bitfield_ro", crate::command::strings::bitfield::bitfield_ro, -2).weighed().flags(READ_FAST).keys(&[key(Access::Read, 1)])
        .docs("key [GET encoding offset]...", "6.0.0", "O(1) for each subcommand", "Reads integers of any width inside a string."),
];

/// The place of a bit, which must fit into the longest value.
fn bit_offset(arg: &[u8]) -> Result<usize, CommandError> {
    let offset = parse_i64(arg).and_then(|n| usize::try_from(n).ok()).filter(|n| n / 8 < MAX_VALUE_BYTES);
    offset.map_or_else(|| err("ERR bit offset is not an integer or out of range"), Ok)
}

fn setbit(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let offset = bit_offset(&args[2])?;
    let Some(on @ (0 | 1)) = parse_i64(&args[3]) else {
        return err("ERR bit is not an integer or out of range");
    };
    let db = ctx.db();
    let entry = ctx.tx.entry(db, &args[1])?;
    let old = entry.string_bytes()?;
    let (at, mask) = (offset / 8, 0x80 >> (offset % 8));
    let mut new = old.to_vec();
    if new.len() <= at {
        ensure_memory(at + 1)?;
        new.resize(at + 1, 0);
    }
    let was = new[at] & mask != 0;
    new[at] = if on == 1 { new[at] | mask } else { new[at] & !mask };
    if *new != *old {
        ctx.tx.edit(&entry, entry.edited_head(), &[&new], Event::string("setbit"))?;
    }
    Ok(Reply::flag(was))
}

fn getbit(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let offset = bit_offset(&args[2])?;
    let db = ctx.db();
    let value = ctx.tx.get(db, &args[1])?.unwrap_or_default();
    Ok(Reply::flag(value.get(offset / 8).is_some_and(|byte| byte & 0x80 >> (offset % 8) != 0)))
}

/// A range as a client gave it: in bytes or bits, negative from the end.
#[derive(Clone, Copy)]
struct Range {
    start: i64,
    end: Option<i64>,
    bits: bool,
}

impl Range {
    /// Reads `[start [end [BYTE|BIT]]]` from argument `first` on.
    fn read(args: Args<'_>, first: usize) -> Result<Self, CommandError> {
        if args.len() > first + 3 {
            return Err(CommandError::Syntax);
        }
        let start = args.get(first).map_or(Ok(0), int)?;
        let end = args.get(first + 1).map(int).transpose()?;
        Ok(Self { start, end, bits: Self::unit_is_bits(args, first)? })
    }

    fn unit_is_bits(args: Args<'_>, first: usize) -> Result<bool, CommandError> {
        match args.get(first + 2) {
            None => Ok(false),
            Some(word) if is(word, "bit") => Ok(true),
            Some(word) if is(word, "byte") => Ok(false),
            Some(_) => Err(CommandError::Syntax),
        }
    }

    /// The bits it means in a string of `len` bytes, the end not included; none if it is empty.
    fn bits_of(self, len: usize) -> Option<std::ops::Range<usize>> {
        let units = if self.bits { len as i64 * 8 } else { len as i64 };
        let from_end = |at: i64| if at < 0 { at.saturating_add(units).max(0) } else { at };
        let (start, end) = (from_end(self.start), from_end(self.end.unwrap_or(-1)).min(units - 1));
        if start > end {
            return None;
        }
        let scale = if self.bits { 1 } else { 8 };
        Some(start as usize * scale..(end as usize + 1) * scale)
    }
}

fn bitcount(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    if args.len() == 3 {
        return Err(CommandError::Syntax);
    }
    let range = Range::read(args, 2)?;
    let db = ctx.db();
    let value = ctx.tx.get(db, &args[1])?.unwrap_or_default();
    let backwards = range.start < 0 && range.end.is_some_and(|end| end < range.start);
    let bits = range.bits_of(value.len()).filter(|_| !backwards);
    let Some(bits) = bits else { return Ok(Reply::Int(0)) };
    let ones = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>();
    // Whole bytes, less what is outside of the range in the first and the last one.
    let (first, last) = (bits.start / 8, (bits.end - 1) / 8);
    let before = value[first] & !(0xff_u8 >> (bits.start % 8));
    let after = value[last] & 0x7f_u8.checked_shr(((bits.end - 1) % 8) as u32).unwrap_or(0);
    let count = ones(&value[first..=last]) - ones(&[before]) - ones(&[after]);
    Ok(Reply::Int(count as i64))
}

fn bitpos(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let Some(wanted @ (0 | 1)) = parse_i64(&args[2]) else {
        parse_i64(&args[2]).ok_or(CommandError::Data(crate::data::DataError::NotAnInteger))?;
        return err("ERR The bit argument must be 1 or 0.");
    };
    // BITPOS looks at the unit before it looks at the end.
    if args.len() == 6 {
        int(&args[3])?;
        Range::unit_is_bits(args, 3)?;
    }
    let range = Range::read(args, 3)?;
    let db = ctx.db();
    let Some(value) = ctx.tx.get(db, &args[1])? else {
        return Ok(Reply::Int(if wanted == 1 { -1 } else { 0 }));
    };
    let Some(bits) = range.bits_of(value.len()) else { return Ok(Reply::Int(-1)) };
    let found = first_bit(&value, bits.clone(), wanted == 1);
    Ok(Reply::Int(match found {
        Some(at) => at as i64,
        // Without an end, a string is followed by zeros.
        None if wanted == 0 && range.end.is_none() => bits.end as i64,
        None => -1,
    }))
}

/// The first bit of the range that is `one`, skipping whole bytes that have none.
fn first_bit(bytes: &[u8], range: std::ops::Range<usize>, one: bool) -> Option<usize> {
    let empty = if one { 0x00 } else { 0xff };
    let mut at = range.start;
    while at < range.end {
        let byte = bytes[at / 8];
        if byte == empty && at.is_multiple_of(8) {
            at += 8;
        } else if (byte & 0x80 >> (at % 8) != 0) == one {
            return Some(at);
        } else {
            at += 1;
        }
    }
    None
}

fn bitop(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let (operation, db) = (&args[1], ctx.db());
    let combine: fn(u8, u8) -> u8 = match () {
        () if is(operation, "and") => |a, b| a & b,
        () if is(operation, "or") => |a, b| a | b,
        () if is(operation, "xor") => |a, b| a ^ b,
        () if is(operation, "not") && args.len() != 4 => {
            return err("ERR BITOP NOT must be called with a single source key.");
        }
        () if is(operation, "not") => |a, _| a,
        () => return Err(CommandError::Syntax),
    };
    let mut sources = Vec::with_capacity(args.len() - 3);
    for key in args.iter().skip(3) {
        sources.push(ctx.tx.get(db, key)?.unwrap_or_default());
    }
    let len = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    ensure_memory(len)?;
    let mut result = sources[0].to_vec();
    result.resize(len, 0);
    if is(operation, "not") {
        result.iter_mut().for_each(|byte| *byte = !*byte);
    }
    for source in &sources[1..] {
        for (at, byte) in result.iter_mut().enumerate() {
            *byte = combine(*byte, source.get(at).copied().unwrap_or(0));
        }
    }
    let entry = ctx.tx.entry(db, &args[2])?;
    if len == 0 {
        ctx.tx.remove(&entry);
    } else {
        ctx.tx.put(&entry, Head { form: Form::Raw, ..Head::STRING }, &[&result], Event::SET)?;
    }
    Ok(Reply::count(len))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::run;

    run! {
        single_bits {
            "SETBIT a 7 1" => ":0", "SETBIT a 7 0" => ":1", "GETBIT a 7" => ":0", "GETBIT a 100" => ":0", "SETBIT a 17 1" => ":0", "STRLEN a" => ":3",
            "SETBIT a -1 1" => "-ERR bit offset is not an integer or out of range", "SETBIT a 4294967296 1" => "-ERR bit offset is not an integer or out of range",
            "SETBIT a 1 2" => "-ERR bit is not an integer or out of range"
        }
        counting {
            "SET a foobar" => "+OK", "BITCOUNT a" => ":26", "BITCOUNT a 0 0" => ":4", "BITCOUNT a 1 1" => ":6", "BITCOUNT a 1 1 BYTE" => ":6",
            "BITCOUNT a 5 30 BIT" => ":17", "BITCOUNT a 8 15 BIT" => ":6", "BITCOUNT a 1" => "-ERR syntax error", "BITCOUNT a 1 2 FOO" => "-ERR syntax error",
            "BITCOUNT a 3 1" => ":0", "BITCOUNT a -2 -1" => ":7", "BITCOUNT none" => ":0", "BITCOUNT a 0 -1 BIT" => ":26"
        }
        finding {
            "SET a \"\\xff\\xf0\\x00\"" => "+OK", "BITPOS a 0" => ":12", "SET a \"\\x00\\xff\\xf0\"" => "+OK", "BITPOS a 1 0" => ":8", "BITPOS a 1 2" => ":16",
            "BITPOS a 1 2 -1 BYTE" => ":16", "BITPOS a 1 7 15 BIT" => ":8", "SET a \"\\x00\\x00\"" => "+OK", "BITPOS a 1" => ":-1", "BITPOS a 1 7 -3 BIT" => ":-1",
            "SET a \"\\xff\"" => "+OK", "BITPOS a 0" => ":8", "BITPOS a 0 0 -1" => ":-1", "BITPOS none 0" => ":0", "BITPOS none 1" => ":-1",
            "SET b 1" => "+OK", "BITPOS b 0 -2 -3" => ":0", "BITCOUNT b -2 -3" => ":0", "BITPOS b 0 0 x y" => "-ERR syntax error",
            "BITPOS a 2" => "-ERR The bit argument must be 1 or 0.", "BITPOS a x" => "-ERR value is not an integer or out of range"
        }
        combining {
            "MSET a foobar b abcdef" => "+OK", "BITOP AND c a b" => ":6", "GET c" => "`bc`ab", "BITOP NOT c none" => ":0", "EXISTS c" => ":0",
            "BITOP XOR c a a" => ":6", "BITCOUNT c" => ":0", "BITOP OR c a none" => ":6", "GET c" => "foobar",
            "BITOP NOT c a b" => "-ERR BITOP NOT must be called with a single source key.", "BITOP FOO c a" => "-ERR syntax error"
        }
    }
}
