//! Reading arguments: numbers as Redis reads them, options in any case. Pure.

use modb_net::resp::{Args, parse_i64};

use super::CommandError;
use crate::data::DataError;

/// A 64-bit integer.
pub(super) fn int(arg: &[u8]) -> Result<i64, CommandError> {
    parse_i64(arg).ok_or(CommandError::Data(DataError::NotAnInteger))
}

/// A 64-bit integer, with another text if it is none.
pub(super) fn int_or(arg: &[u8], text: &'static str) -> Result<i64, CommandError> {
    parse_i64(arg).ok_or(CommandError::Text(text.into()))
}

/// A 32-bit integer, which is what Redis holds the index of a database in.
pub(super) fn int32(arg: &[u8]) -> Result<i32, CommandError> {
    let text = "ERR value is out of range, value must between -2147483648 and 2147483647";
    i32::try_from(int(arg)?).map_err(|_| CommandError::Text(text.into()))
}

/// The index of a database.
pub(super) fn database(arg: &[u8], databases: u32) -> Result<u32, CommandError> {
    u32::try_from(int32(arg)?)
        .ok()
        .filter(|index| *index < databases)
        .ok_or(CommandError::Data(DataError::NoSuchDatabase))
}

/// A word in any case.
pub(super) fn is(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

/// Text of an argument for an error or a list; what is no UTF-8 is replaced.
pub(super) fn lossy(arg: &[u8]) -> String {
    String::from_utf8_lossy(arg).into_owned()
}

/// Walks over the options of a command.
pub(super) struct Options<'a> {
    args: Args<'a>,
    at: usize,
}

impl<'a> Options<'a> {
    /// The options from argument `first` on.
    pub(super) fn from(args: Args<'a>, first: usize) -> Self {
        Self { args, at: first }
    }

    /// The next word.
    pub(super) fn next(&mut self) -> Option<&'a [u8]> {
        let word = self.args.get(self.at)?;
        self.at += 1;
        Some(word)
    }

    /// The word that belongs to the option just read.
    pub(super) fn value(&mut self) -> Result<&'a [u8], CommandError> {
        self.next().ok_or(CommandError::Syntax)
    }

    /// How many words are left.
    pub(super) fn left(&self) -> usize {
        self.args.len().saturating_sub(self.at)
    }
}
