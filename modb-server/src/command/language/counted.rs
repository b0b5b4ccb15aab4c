//! `numkeys key... WORD [COUNT count]`: the arguments of `LMPOP` and `ZMPOP`, and behind their time of `BLMPOP` and `BZMPOP`. Pure.

use std::ops::Range;

use modb_net::resp::Args;

use super::error::CommandError;
use super::parse::{Options, at_least_one, is};

/// What was asked for, with what `W` makes of the word.
pub(crate) struct Counted<W> {
    /// Where the keys are among the arguments.
    keys: Range<usize>,
    pub(crate) word: W,
    pub(crate) count: u64,
}

impl<W> Counted<W> {
    /// Reads the number of keys at argument `at`, and all that is behind it; `named` reads the word.
    ///
    /// # Errors
    /// Of the first that is wrong, in the order of the arguments.
    pub(crate) fn parse(
        args: Args<'_>,
        at: usize,
        named: impl FnOnce(&[u8]) -> Result<W, CommandError>,
    ) -> Result<Self, CommandError> {
        let keys = at_least_one(&args[at], "ERR numkeys should be greater than 0")?;
        let word_at = usize::try_from(keys).ok().and_then(|keys| keys.checked_add(at + 1));
        let Some(word_at) = word_at.filter(|at| *at < args.len()) else { return Err(CommandError::Syntax) };
        let word = named(&args[word_at])?;
        let mut count = None;
        let mut options = Options::from(args, word_at + 1);
        while let Some(option) = options.next() {
            if count.is_some() || !is(option, "count") {
                return Err(CommandError::Syntax);
            }
            count = Some(at_least_one(options.value()?, "ERR count should be greater than 0")?);
        }
        Ok(Self { keys: at + 1..word_at, word, count: count.unwrap_or(1) })
    }

    /// The keys, which are among the same arguments.
    pub(crate) fn keys<'a>(&self, args: Args<'a>) -> impl Iterator<Item = &'a [u8]> {
        args.iter().take(self.keys.end).skip(self.keys.start)
    }
}
