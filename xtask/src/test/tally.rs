//! What a run of tests came to, read from what `cargo test` prints and from the log of skips.
//!
//! A test that finds that it cannot run returns, which counts as passed for `cargo test`; it also leaves a line
//! `name: reason` in the file that `MODB_SKIP_LOG` names, and is taken off the passed here. An ignored test counts as skipped,
//! for the reason its attribute gives.

use std::collections::BTreeMap;

/// The result of one step or of many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    /// The names of the tests that failed.
    pub(crate) failed: Vec<String>,
    /// Name and reason.
    pub(crate) skipped: BTreeMap<String, String>,
    /// A step took longer than it may, and was ended.
    pub(crate) hung: bool,
}

impl Tally {
    /// Reads what `cargo test` printed and what the tests wrote to the log of skips.
    pub(crate) fn read(printed: &str, skip_log: &str) -> Self {
        let mut tally = Self::default();
        for line in printed.lines().map(str::trim_end) {
            if let Some(counts) = line.strip_prefix("test result: ") {
                tally.passed += count(counts, "passed");
            } else if let Some((name, end)) =
                line.strip_prefix("test ").and_then(|test| test.split_once(" ... "))
            {
                match end.split_once(", ").unwrap_or((end, "no reason given")) {
                    ("FAILED", _) => tally.failed.push(name.to_owned()),
                    ("ignored", reason) => tally.skip(name, reason),
                    _ => {}
                }
            }
        }
        for (name, reason) in skip_log.lines().filter_map(|line| line.split_once(": ")) {
            let before = tally.skipped.len();
            tally.skip(name, reason);
            tally.passed = tally.passed.saturating_sub(tally.skipped.len() - before);
        }
        tally
    }

    fn skip(&mut self, name: &str, reason: &str) {
        // One test may give several reasons, one is enough to say why it did not run.
        self.skipped.entry(name.to_owned()).or_insert_with(|| reason.to_owned());
    }

    /// Adds what another run of the same step came to.
    pub(crate) fn merge(&mut self, other: Self) {
        self.hung |= other.hung;
        self.passed += other.passed;
        self.failed.extend(other.failed);
        self.skipped.extend(other.skipped);
    }

    /// Adds what another step came to. The same test may be skipped in several: it counts in each.
    pub(crate) fn add(&mut self, step: &str, other: Self) {
        self.hung |= other.hung;
        self.passed += other.passed;
        self.failed.extend(other.failed.into_iter().map(|name| format!("{step}: {name}")));
        self.skipped.extend(other.skipped.into_iter().map(|(name, why)| (format!("{step}: {name}"), why)));
    }

    /// Whether anything ran at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.passed + self.failed.len() + self.skipped.len() == 0
    }
}

/// `12` for `passed` in `ok. 12 passed; 0 failed`.
fn count(counts: &str, what: &str) -> usize {
    let mut words = counts.split([' ', ';']).filter(|word| !word.is_empty());
    let mut last = "";
    words
        .find_map(|word| {
            (word == what).then_some(std::mem::replace(&mut last, word)).or_else(|| {
                last = word;
                None
            })
        })
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Tally;

    const PRINTED: &str = "
running 4 tests
test a::good ... ok
test a::unable ... ok
test a::long ... ignored, takes minutes
test a::bad ... FAILED

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

test b - (line 3) ... ok
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out
";

    #[test]
    fn passed_failed_and_ignored_are_counted_over_all_binaries() {
        let tally = Tally::read(PRINTED, "");
        assert_eq!((tally.passed, tally.failed.len(), tally.skipped.len()), (3, 1, 1));
        assert_eq!(tally.skipped["a::long"], "takes minutes");
    }

    #[test]
    fn a_test_that_could_not_run_is_skipped_and_not_passed() {
        let tally = Tally::read(PRINTED, "unable: no such tool\nunable: nor this one\n");
        assert_eq!((tally.passed, tally.failed.len(), tally.skipped.len()), (2, 1, 2));
        assert_eq!(tally.skipped["unable"], "no such tool");
    }

    #[test]
    fn nothing_is_nothing() {
        assert!(Tally::read("error: could not compile", "").is_empty());
    }
}
