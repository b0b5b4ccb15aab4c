//! Words of requests that are for the server alone: neither who monitors nor the slow log shows them. Pure.

use modb_net::resp::Args;

use crate::command::language::parse::is;

/// What is shown in their place, as in Redis.
pub(crate) const REDACTED: &str = "(redacted)";

/// The places of such words. Unlike Redis also those of requests that are wrong in another way: what was meant as a password is one.
pub(crate) fn secrets(args: Args<'_>) -> Vec<usize> {
    let name = &args[0];
    if is(name, "auth") {
        return (1..args.len()).collect();
    }
    if is(name, "hello") {
        let login = (2..args.len()).find(|&at| is(&args[at], "auth"));
        return login.map_or_else(Vec::new, |at| (at + 1..args.len().min(at + 3)).collect());
    }
    if is(name, "config") && args.get(1).is_some_and(|sub| is(sub, "set")) {
        let values = (3..args.len()).step_by(2);
        return values.filter(|&at| is(&args[at - 1], "requirepass")).collect();
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use modb_net::resp::{Limits, RequestDecoder};

    use super::*;

    #[test]
    fn passwords_are_found_where_commands_take_them() {
        let found = |line: &str| {
            let (wire, mut decoder) = (format!("{line}\r\n"), RequestDecoder::new());
            decoder.decode(wire.as_bytes(), &Limits::default()).unwrap();
            secrets(decoder.args(wire.as_bytes()))
        };
        for (line, expected) in [
            ("AUTH secret", &[1][..]),
            ("auth me secret", &[1, 2]),
            ("AUTH me secret more", &[1, 2, 3]),
            ("HELLO 3 SETNAME a AUTH me secret", &[5, 6]),
            ("HELLO 9 auth me", &[3]),
            ("HELLO 3 SETNAME a", &[]),
            ("CONFIG SET maxclients 5 RequirePass secret", &[5]),
            ("CONFIG GET requirepass", &[]),
            ("SET auth secret", &[]),
        ] {
            assert_eq!(found(line), expected, "{line}");
        }
    }
}
