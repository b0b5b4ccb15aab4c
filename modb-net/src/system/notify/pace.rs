//! How often a loop in a burst asks its state. Pure.
//!
//! Asking takes the state's cache line from every producer, and a loop with nothing to do but look would ask between any two
//! notifies. So in a burst it looks more often than it asks: once, twice, four times, up to [`MAX_LOOKS`] for one asking, for
//! as long as each asking is told of more. What this must never do is let the loop sleep unasked: only an asking that was told of
//! nothing more leads back to [`Pace::Calm`], and only there may a wait block. A burst that has ended costs its loop at most
//! that many looks; a single notify costs none, and two at once cost one.

/// How many waits only look, at most, for each that asks.
const MAX_LOOKS: u8 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Nothing came but what ended the last wait: the next one may block.
    Calm,
    /// More came: the next waits only look.
    Burst {
        /// How many of them are left, with the one that asks, which is the last.
        left: u8,
        /// How many there were for this asking.
        looks: u8,
    },
}

impl Pace {
    /// Whether the next wait must only look.
    pub(super) fn looks(self) -> bool {
        self != Self::Calm
    }

    /// After a wait: how to go on without asking, or `None` if it is time to ask.
    pub(super) fn without_asking(self) -> Option<Self> {
        match self {
            Self::Burst { left, looks } if left > 1 => Some(Self::Burst { left: left - 1, looks }),
            Self::Calm | Self::Burst { .. } => None,
        }
    }

    /// How to go on after asking; `more`: whether more notifies came than the one that ended the wait.
    pub(super) fn told(self, more: bool) -> Self {
        let looks = match self {
            _ if !more => return Self::Calm,
            Self::Calm => 1,
            Self::Burst { looks, .. } => (looks * 2).min(MAX_LOOKS),
        };
        Self::Burst { left: looks, looks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many waits only look before the state is asked.
    fn looks_of(mut pace: Pace) -> u8 {
        let mut looks = u8::from(pace.looks());
        while let Some(next) = pace.without_asking() {
            pace = next;
            looks += 1;
        }
        looks
    }

    #[test]
    fn a_long_burst_is_looked_at_more_often_than_asked_about() {
        let mut pace = Pace::Calm;
        let looks: Vec<_> = (0..6)
            .map(|_| {
                pace = pace.told(true);
                looks_of(pace)
            })
            .collect();
        assert_eq!(looks, [1, 2, 4, 8, 8, 8]);
    }

    #[test]
    fn only_an_asking_that_is_told_of_nothing_more_lets_the_loop_sleep() {
        let mut pace = (0..6).fold(Pace::Calm, |pace, _| pace.told(true));
        while let Some(next) = pace.without_asking() {
            assert!(next.looks());
            pace = next;
        }
        assert!(pace.looks());
        assert!(!pace.told(false).looks());
    }
}
