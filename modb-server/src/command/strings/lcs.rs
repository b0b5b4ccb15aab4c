//! `LCS`: the longest common subsequence of two strings, by dynamic programming.

use bytes::Bytes;
use modb_net::resp::Args;

use crate::command::language::error::err;
use crate::command::language::parse::{Options, int, is};
use crate::command::machine::weight::{Scale, Weight};
use crate::command::{CommandError, Ctx, Reply};
use crate::data::{DataError, MAX_VALUE_BYTES, ensure_memory};

/// A stretch that is the same in both strings: where it begins and ends in each, the ends included.
struct Match {
    a: (usize, usize),
    b: (usize, usize),
}

/// The whole table is filled in.
pub(super) fn weigh(scale: &mut Scale<'_, '_>, args: Args<'_>) -> Weight {
    let (a, b) = (scale.extent(&args[1]).bytes, scale.extent(&args[2]).bytes);
    Weight::of(a.saturating_mul(b).saturating_mul(2))
}

pub(crate) fn lcs(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let (mut only_len, mut index, mut with_len, mut min_len) = (false, false, false, 0);
    // As Redis: what both keys hold is looked at before the options.
    let (a, b) = (string(ctx, &args[1]), string(ctx, &args[2]));
    let (a, b) = (a?, b?);
    let mut options = Options::from(args, 3);
    while let Some(word) = options.next() {
        match () {
            () if is(word, "idx") => index = true,
            () if is(word, "len") => only_len = true,
            () if is(word, "withmatchlen") => with_len = true,
            () if is(word, "minmatchlen") && options.left() > 0 => min_len = int(options.value()?)?.max(0),
            () => return Err(CommandError::Syntax),
        }
    }
    if only_len && index {
        return err("ERR If you want both the length and indexes, please just use IDX.");
    }
    let table = Table::new(&a, &b)?;
    let len = table.at(a.len(), b.len());
    if only_len {
        return Ok(Reply::Int(i64::from(len)));
    }
    let (common, matches) = table.walk(&a, &b);
    if !index {
        return Ok(Reply::Bulk(common.into()));
    }
    let min_len = usize::try_from(min_len).unwrap_or(usize::MAX);
    let range = |(from, to): (usize, usize)| Reply::Array(vec![Reply::count(from), Reply::count(to)]);
    let long_enough = matches.iter().filter(|found| found.a.1 - found.a.0 + 1 >= min_len);
    let shown = long_enough.map(|found| {
        let mut item = vec![range(found.a), range(found.b)];
        if with_len {
            item.push(Reply::count(found.a.1 - found.a.0 + 1));
        }
        Reply::Array(item)
    });
    Ok(Reply::Map(vec![
        (Reply::text("matches"), Reply::Array(shown.collect())),
        (Reply::text("len"), Reply::Int(i64::from(len))),
    ]))
}

fn string(ctx: &mut Ctx<'_, '_>, key: &[u8]) -> Result<Bytes, CommandError> {
    let db = ctx.db();
    match ctx.tx.get(db, key) {
        Err(DataError::WrongType) => err("ERR The specified keys must contain string values"),
        value => Ok(value?.unwrap_or_default()),
    }
}

/// The length of the longest common subsequence of every pair of beginnings.
struct Table {
    cells: Vec<u32>,
    width: usize,
}

impl Table {
    fn new(a: &[u8], b: &[u8]) -> Result<Self, CommandError> {
        let width = b.len() + 1;
        let cells = (a.len() + 1).saturating_mul(width);
        if cells.saturating_mul(size_of::<u32>()) > MAX_VALUE_BYTES {
            return err("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
        }
        ensure_memory(cells * size_of::<u32>())?;
        let mut table = Self { cells: vec![0; cells], width };
        for (i, x) in a.iter().enumerate() {
            for (j, y) in b.iter().enumerate() {
                table.cells[(i + 1) * width + j + 1] =
                    if x == y { table.at(i, j) + 1 } else { table.at(i, j + 1).max(table.at(i + 1, j)) };
            }
        }
        Ok(table)
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.cells[i * self.width + j]
    }

    /// The subsequence, and its stretches from the last to the first.
    fn walk(&self, a: &[u8], b: &[u8]) -> (Vec<u8>, Vec<Match>) {
        let (mut i, mut j) = (a.len(), b.len());
        let (mut common, mut matches) = (Vec::new(), Vec::<Match>::new());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                common.push(a[i - 1]);
                match matches.last_mut() {
                    Some(last) if last.a.0 == i && last.b.0 == j => (last.a.0, last.b.0) = (i - 1, j - 1),
                    _ => matches.push(Match { a: (i - 1, i - 1), b: (j - 1, j - 1) }),
                }
                i -= 1;
                j -= 1;
            } else if self.at(i - 1, j) > self.at(i, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        common.reverse();
        (common, matches)
    }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::run;

    run! {
        common_subsequences {
            "MSET a ohmytext b mynewtext" => "+OK", "LCS a b" => "mytext", "LCS a b LEN" => ":6",
            "LCS a b IDX" => "[matches [[[:4 :7] [:5 :8]] [[:2 :3] [:0 :1]]] len :6]",
            "LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN" => "[matches [[[:4 :7] [:5 :8] :4]] len :6]",
            "LCS a b LEN IDX" => "-ERR If you want both the length and indexes, please just use IDX.", "LCS a none" => "",
            "LCS a b MINMATCHLEN" => "-ERR syntax error"
        }
    }
}
