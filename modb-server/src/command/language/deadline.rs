//! When a key is to expire, in the forms in which clients say it. Pure.

use super::parse::is;
use crate::command::CommandError;

/// In which form a client says when a key expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// `EX`
    Seconds,
    /// `PX`
    Milliseconds,
    /// `EXAT`
    AtSeconds,
    /// `PXAT`
    AtMilliseconds,
}

impl Deadline {
    /// By the option of `SET` and `GETEX`.
    pub(crate) fn named(word: &[u8]) -> Option<Self> {
        [
            ("ex", Self::Seconds),
            ("px", Self::Milliseconds),
            ("exat", Self::AtSeconds),
            ("pxat", Self::AtMilliseconds),
        ]
        .into_iter()
        .find_map(|(name, kind)| is(word, name).then_some(kind))
    }

    /// Milliseconds since 1970; none if that is out of range.
    pub(crate) fn at_ms(self, value: i64, now_ms: u64) -> Option<i64> {
        let ms = match self {
            Self::Seconds | Self::AtSeconds => value.checked_mul(1000)?,
            Self::Milliseconds | Self::AtMilliseconds => value,
        };
        match self {
            Self::Seconds | Self::Milliseconds => ms.checked_add(i64::try_from(now_ms).ok()?),
            Self::AtSeconds | Self::AtMilliseconds => Some(ms),
        }
    }
}

/// The expiry that `command` was given, in milliseconds since 1970: it must be positive.
pub(crate) fn deadline(
    command: &'static str,
    kind: Deadline,
    value: i64,
    now_ms: u64,
) -> Result<u64, CommandError> {
    let positive = Some(value).filter(|value| *value > 0);
    let at = positive.and_then(|value| kind.at_ms(value, now_ms)).and_then(|at| u64::try_from(at).ok());
    at.filter(|at| *at > 0).ok_or(CommandError::InvalidExpire(command))
}
