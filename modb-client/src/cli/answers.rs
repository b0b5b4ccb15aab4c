//! What a command is answered with: most get one reply, some none, some many. Pure.

/// What comes back for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// One reply.
    Reply,
    /// One reply, which RESP3 sends as a push message.
    Push,
    /// One of either kind, and then messages for as long as one listens.
    Messages,
    /// None, and none for the next one (`CLIENT REPLY SKIP`) or for all others (`OFF`), unless it is refused.
    Silence(Replies),
    /// A reply, from which on there are replies again (`CLIENT REPLY ON`).
    RepliesAgain,
    /// The end of the connection, unless it is refused (`SHUTDOWN`).
    End,
}

/// Which commands of a connection get replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Replies {
    #[default]
    All,
    AllButTheNext,
    None,
}

impl Answer {
    /// What comes back for the command of these words.
    pub(super) fn to<W: AsRef<[u8]>>(words: &[W]) -> Self {
        let word =
            |at: usize| words.get(at).map(|word| word.as_ref().to_ascii_lowercase()).unwrap_or_default();
        match word(0).as_slice() {
            b"subscribe" | b"psubscribe" | b"ssubscribe" | b"monitor" => Self::Messages,
            b"unsubscribe" | b"punsubscribe" | b"sunsubscribe" => Self::Push,
            b"client" if words.len() == 3 && word(1) == b"reply" => match word(2).as_slice() {
                b"off" => Self::Silence(Replies::None),
                b"skip" => Self::Silence(Replies::AllButTheNext),
                b"on" => Self::RepliesAgain,
                _ => Self::Reply,
            },
            b"shutdown" if word(1) != b"abort" => Self::End,
            _ => Self::Reply,
        }
    }
}

impl Replies {
    /// Whether the next command gets a reply; what holds after it.
    pub(super) fn take(&mut self) -> bool {
        match *self {
            Self::All => true,
            Self::AllButTheNext => {
                *self = Self::All;
                false
            }
            Self::None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_is_known_from_the_words() {
        let to = |line: &str| Answer::to(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(to("GET a"), Answer::Reply);
        assert_eq!(to("client reply off"), Answer::Silence(Replies::None));
        assert_eq!(to("CLIENT REPLY SKIP"), Answer::Silence(Replies::AllButTheNext));
        assert_eq!(to("CLIENT REPLY ON"), Answer::RepliesAgain);
        assert_eq!(to("CLIENT REPLY OFF x"), Answer::Reply, "the server refuses it");
        assert_eq!(to("SHUTDOWN NOSAVE"), Answer::End);
        assert_eq!(to("shutdown abort"), Answer::Reply);
        assert_eq!(to("MONITOR"), Answer::Messages);
        assert_eq!(to("UNSUBSCRIBE"), Answer::Push);
    }

    #[test]
    fn one_command_is_skipped_or_all_are() {
        let mut replies = Replies::AllButTheNext;
        assert_eq!([replies.take(), replies.take()], [false, true]);
        let mut replies = Replies::None;
        assert_eq!([replies.take(), replies.take()], [false, false]);
    }
}
