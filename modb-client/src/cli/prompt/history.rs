//! Where the lines of the prompt are kept, and which are not.

use std::path::PathBuf;

use modb_net::resp::parse_i64;

/// Names the file; empty: none.
const VARIABLE: &str = "MODB_CLIENT_HISTORY";
const FILE_NAME: &str = ".modb_client_history";

/// The file of the history, if there is to be one.
pub(super) fn path() -> Option<PathBuf> {
    match std::env::var_os(VARIABLE) {
        Some(path) if path.is_empty() => None,
        Some(path) => Some(path.into()),
        None => std::env::home_dir().map(|home| home.join(FILE_NAME)),
    }
}

/// Whether a command holds a password, which must not be written to a file.
pub(super) fn is_secret(words: &[Vec<u8>]) -> bool {
    // A number before a command repeats it.
    let words = match words {
        [count, rest @ ..] if parse_i64(count).is_some() => rest,
        all => all,
    };
    let word = |index: usize| words.get(index).map(|word| word.to_ascii_lowercase()).unwrap_or_default();
    let has = |name: &[u8]| words.iter().any(|word| word.eq_ignore_ascii_case(name));
    match word(0).as_slice() {
        b"auth" | b"migrate" => true,
        b"hello" => has(b"auth"),
        b"acl" => word(1) == b"setuser",
        b"config" => {
            word(1) == b"set"
                && [&b"requirepass"[..], b"masterauth", b"masteruser"].iter().any(|name| has(name))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::pipe::words;

    #[test]
    fn lines_with_passwords_are_not_kept() {
        let secret = |line: &str| is_secret(&words(line.as_bytes()).unwrap());
        for line in [
            "AUTH x",
            "2 auth x",
            "auth u x",
            "HELLO 3 AUTH u p",
            "acl setuser a >p",
            "CONFIG SET requirepass x",
        ] {
            assert!(secret(line), "{line}");
        }
        for line in ["", "GET auth", "HELLO 3", "CONFIG GET requirepass", "ACL LIST"] {
            assert!(!secret(line), "{line}");
        }
    }
}
