//! The timers of single connections. Pure: time is an argument. A connection without one costs nothing.
//!
//! Invariant: a connection has at most one; whoever takes a connection out takes its alarm out, too.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use crate::token::Token;

/// When which connection of a worker asked to be called.
#[derive(Debug, Default)]
pub(crate) struct Alarms {
    by_time: BTreeSet<(Instant, Token)>,
    by_token: HashMap<Token, Instant>,
}

impl Alarms {
    /// Calls `token` at `at`, in place of what was asked for before.
    pub(crate) fn set(&mut self, token: Token, at: Instant) {
        self.clear(token);
        self.by_token.insert(token, at);
        self.by_time.insert((at, token));
    }

    /// Forgets the alarm of `token`; returns when it was due.
    pub(crate) fn clear(&mut self, token: Token) -> Option<Instant> {
        if self.by_token.is_empty() {
            return None;
        }
        let at = self.by_token.remove(&token)?;
        self.by_time.remove(&(at, token));
        Some(at)
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|&(at, _)| at)
    }

    /// The first that is due at `now`, which is thereby over.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Token> {
        let &(at, token) = self.by_time.first()?;
        if at > now {
            return None;
        }
        self.clear(token);
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_last_wish_counts_and_each_is_called_once_in_order_of_time() {
        let now = Instant::now();
        let token = |slot| Token { slot, generation: 1 };
        let later = |seconds| now + Duration::from_secs(seconds);
        let mut alarms = Alarms::default();
        alarms.set(token(1), later(5));
        alarms.set(token(2), later(3));
        alarms.set(token(1), later(1));
        alarms.set(token(3), later(2));
        assert_eq!(alarms.clear(token(3)), Some(later(2)));
        assert_eq!((alarms.next(), alarms.pop_due(now)), (Some(later(1)), None));
        assert_eq!(alarms.pop_due(later(9)), Some(token(1)));
        assert_eq!(alarms.pop_due(later(9)), Some(token(2)));
        assert_eq!((alarms.pop_due(later(9)), alarms.next()), (None, None));
    }
}
