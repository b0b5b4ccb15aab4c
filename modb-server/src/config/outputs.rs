//! `client-output-buffer-limit`: how much unsent output a client of each class may have. Pure.
//!
//! Invariant: what is kept names all classes, in Redis's order; what is set names those that change.

use std::time::Duration;

use modb_net::OutputLimits;

use super::amount::memory;

/// The classes, and what others call them.
const CLASSES: [(&str, &[&str]); 3] =
    [("normal", &["normal"]), ("slave", &["slave", "replica"]), ("pubsub", &["pubsub"])];

/// The classes that exist here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputClass {
    /// Clients that ask.
    Normal = 0,
    /// Clients that listen.
    Pubsub = 2,
}

type Limit = [u64; 3];

/// The value that `change` makes of `before`.
///
/// # Errors
/// Why it does not fit.
pub(super) fn merged(before: &str, change: &str) -> Result<String, String> {
    let mut limits = read(before).unwrap_or_default();
    let words: Vec<&str> = change.split_whitespace().collect();
    if words.is_empty() || !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    }
    for class in words.chunks(4) {
        let named =
            |(_, names): &(&str, &[&str])| names.iter().any(|name| class[0].eq_ignore_ascii_case(name));
        let Some(at) = CLASSES.iter().position(named) else {
            return Err("Invalid client class specified in buffer limit configuration.".into());
        };
        limits[at] = limit(&class[1..])
            .ok_or("Error in hard, soft or soft_seconds setting in buffer limit configuration.")?;
    }
    let classes = CLASSES.iter().zip(limits);
    let shown = classes.map(|((name, _), [hard, soft, seconds])| format!("{name} {hard} {soft} {seconds}"));
    Ok(shown.collect::<Vec<_>>().join(" "))
}

/// The limits of a class, from the value that is kept; 0 is none.
pub(super) fn of(value: &str, class: OutputClass) -> OutputLimits {
    let [hard, soft, seconds] = read(value).unwrap_or_default()[class as usize];
    let bytes =
        |bytes: u64| if bytes == 0 { usize::MAX } else { usize::try_from(bytes).unwrap_or(usize::MAX) };
    let soft_timeout = Duration::from_secs(seconds);
    // As in Redis, without seconds there is no soft limit.
    let soft_bytes = if seconds == 0 { usize::MAX } else { bytes(soft) };
    OutputLimits { hard_bytes: bytes(hard), soft_bytes, soft_timeout }
}

fn read(value: &str) -> Option<[Limit; CLASSES.len()]> {
    let words: Vec<&str> = value.split_whitespace().collect();
    let mut limits = [[0; 3]; CLASSES.len()];
    for (class, limits) in words.chunks_exact(4).zip(&mut limits) {
        *limits = limit(&class[1..])?;
    }
    Some(limits)
}

fn limit(words: &[&str]) -> Option<Limit> {
    let bytes = |word: &str| u64::try_from(memory(word)?).ok();
    Some([bytes(words[0])?, bytes(words[1])?, words[2].parse().ok()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: &str = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";

    #[test]
    fn classes_that_are_not_named_stay_as_they_are() {
        let set = merged(DEFAULT, "PUBSUB 1mb 1kb 5 replica 0 0 0").unwrap();
        assert_eq!(set, "normal 0 0 0 slave 0 0 0 pubsub 1048576 1024 5");
        let limits = of(&set, OutputClass::Pubsub);
        assert_eq!((limits.hard_bytes, limits.soft_bytes), (1 << 20, 1024));
        assert_eq!(limits.soft_timeout, Duration::from_secs(5));
        assert_eq!(of(&set, OutputClass::Normal).hard_bytes, usize::MAX);
        assert_eq!(of("normal 5 5 0 slave 0 0 0 pubsub 0 0 0", OutputClass::Normal).soft_bytes, usize::MAX);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for wrong in ["", "pubsub 1 2", "nobody 1 2 3", "pubsub x 2 3", "pubsub 1 2 -3"] {
            assert!(merged(DEFAULT, wrong).is_err(), "{wrong}");
        }
    }
}
