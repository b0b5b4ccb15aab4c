//! The timers of single connections. Pure: time is an argument. A connection without one costs nothing.
//!
//! Invariant: a connection has at most one; whoever takes a connection out takes its alarm out, too.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use crate::base::token::Token;

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

    /// Those that are due at `now`, in order of time; they stay until [`Alarms::take`]. Asked for once in a turn, so that
    /// one who is called and wants to be called at once again is called in the next turn.
    pub(crate) fn due(&self, now: Instant) -> Vec<(Instant, Token)> {
        self.by_time.iter().take_while(|(at, _)| *at <= now).copied().collect()
    }

    /// The alarm that was due is over. `false`: it was cleared or set anew meanwhile.
    pub(crate) fn take(&mut self, at: Instant, token: Token) -> bool {
        self.by_token.get(&token) == Some(&at) && self.clear(token).is_some()
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
        assert_eq!((alarms.next(), alarms.due(now)), (Some(later(1)), vec![]));
        let due = alarms.due(later(9));
        assert_eq!(due, [(later(1), token(1)), (later(3), token(2))]);
        alarms.set(token(2), later(4));
        assert!(alarms.take(later(1), token(1)));
        assert!(!alarms.take(later(3), token(2)), "it was set anew meanwhile");
        assert_eq!(alarms.due(later(9)), [(later(4), token(2))]);
    }
}
