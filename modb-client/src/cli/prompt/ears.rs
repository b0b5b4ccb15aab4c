//! What the user wants to be told unasked, in the commands that say so: a new connection is given them again. Pure.

use std::collections::BTreeSet;

/// The words of a command.
type Words = Vec<Vec<u8>>;

/// What the connection listens to, and whether it tracks keys.
#[derive(Debug)]
pub(super) struct Ears {
    /// By the command that adds to them.
    names: [(&'static str, BTreeSet<Vec<u8>>); 3],
    /// `CLIENT TRACKING ON` with its options.
    tracking: Option<Words>,
    /// The connection is another one, which was told nothing of that.
    lost: bool,
}

impl Ears {
    pub(super) fn new() -> Self {
        Self {
            names: ["subscribe", "psubscribe", "ssubscribe"].map(|name| (name, BTreeSet::new())),
            tracking: None,
            lost: false,
        }
    }

    /// Whether nothing is to come unasked.
    pub(super) fn are_closed(&self) -> bool {
        self.tracking.is_none() && self.names.iter().all(|(_, names)| names.is_empty())
    }

    /// The connection is gone.
    pub(super) fn lose(&mut self) {
        self.lost = !self.are_closed();
    }

    /// Another connection was given the [commands](Self::commands).
    pub(super) fn regain(&mut self) {
        self.lost = false;
    }

    /// Whether what is to come cannot come, since a new connection knows nothing of it.
    pub(super) fn are_lost(&self) -> bool {
        self.lost
    }

    /// A command was executed.
    pub(super) fn follow(&mut self, words: &[Vec<u8>]) {
        let is = |at: usize, word: &str| {
            words.get(at).is_some_and(|there| there.eq_ignore_ascii_case(word.as_bytes()))
        };
        if is(0, "reset") {
            *self = Self::new();
        } else if is(0, "client") && is(1, "tracking") {
            self.tracking = is(2, "on").then(|| words.to_vec());
        }
        for (subscribe, names) in &mut self.names {
            let unsubscribe = subscribe.replace("sub", "unsub");
            if is(0, subscribe) {
                names.extend(words[1..].iter().cloned());
            } else if is(0, &unsubscribe) && words.len() == 1 {
                names.clear();
            } else if is(0, &unsubscribe) {
                names.retain(|name| !words[1..].contains(name));
            }
        }
    }

    /// What a new connection is to be told, so that as much comes as before.
    pub(super) fn commands(&self) -> Vec<Words> {
        let listening = self.names.iter().filter(|(_, names)| !names.is_empty());
        let listening = listening.map(|(subscribe, names)| {
            [subscribe.to_ascii_uppercase().into_bytes()].into_iter().chain(names.iter().cloned()).collect()
        });
        self.tracking.iter().cloned().chain(listening).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(lines: &[&str]) -> Vec<String> {
        let mut ears = Ears::new();
        lines
            .iter()
            .for_each(|line| ears.follow(&line.split(' ').map(|word| word.into()).collect::<Words>()));
        assert_eq!(ears.are_closed(), ears.commands().is_empty());
        let text = |words: &Words| String::from_utf8_lossy(&words.join(&b' ')).into_owned();
        ears.commands().iter().map(text).collect()
    }

    #[test]
    fn what_is_listened_to_is_what_was_not_taken_back() {
        assert_eq!(after(&["GET a"]), [""; 0]);
        assert_eq!(after(&["subscribe b a", "SUBSCRIBE a c", "unsubscribe b"]), ["SUBSCRIBE a c"]);
        assert_eq!(
            after(&["psubscribe p*", "ssubscribe s", "subscribe c", "UNSUBSCRIBE"]),
            ["PSUBSCRIBE p*", "SSUBSCRIBE s"]
        );
        assert_eq!(after(&["psubscribe p*", "punsubscribe", "ssubscribe s t", "sunsubscribe t s"]), [""; 0]);
        assert_eq!(
            after(&["CLIENT TRACKING on BCAST", "subscribe a"]),
            ["CLIENT TRACKING on BCAST", "SUBSCRIBE a"]
        );
        assert_eq!(after(&["CLIENT TRACKING on", "client tracking off"]), [""; 0]);
        assert_eq!(after(&["CLIENT TRACKING on", "subscribe a", "reset"]), [""; 0]);
    }
}
