//! What those who monitor see: a line for each command that was executed, and for each that waits when it begins to.
//!
//! A line is told as a message is, with the commit of its command and behind what that tells itself. So all see one order, in which
//! the commands of one connection, and those that write one key, are as they were executed; of a run that is given up nothing is
//! seen. Invariant: what an administrator does is not shown, nor any password.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use modb_net::resp::Args;
use modb_net::{Peer, Seq};

use super::client::Client;
use super::secrets::{REDACTED, secrets};
use super::spec::{Flags, Spec};
use crate::data::Tx;
use crate::messages::{Exchange, Frame, Rooms};

/// Shows a command that has run, well or not.
pub(crate) fn show(tx: &mut Tx<'_>, client: &Client, spec: &Spec, args: Args<'_>) {
    if tx.data().exchange().is_monitored() && !spec.flags.has(Flags::ADMIN) {
        tx.announce_for_good(frame(client, args));
    }
}

/// Shows what is not executed.
pub(crate) fn show_refused(exchange: &Exchange, client: &Client, args: Args<'_>) {
    if exchange.is_monitored() {
        exchange.post(vec![Arc::new(frame(client, args))], Seq::ZERO, Rooms::default());
    }
}

fn frame(client: &Client, args: Args<'_>) -> Frame {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let who = match client.info.peer() {
        Some(Peer::Unix { path }) => format!("unix:{}", path.display()),
        _ => client.info.address(),
    };
    let head = format!("{}.{:06} [{} {who}]", now.as_secs(), now.subsec_micros(), client.database);
    Frame::line(&line(head, args))
}

fn line(head: String, args: Args<'_>) -> Vec<u8> {
    let (mut line, hidden) = (head.into_bytes(), secrets(args));
    for (at, word) in args.iter().enumerate() {
        line.push(b' ');
        quote(if hidden.contains(&at) { REDACTED.as_bytes() } else { word }, &mut line);
    }
    line
}

/// As Redis writes a word of any bytes.
fn quote(word: &[u8], line: &mut Vec<u8>) {
    line.push(b'"');
    for &byte in word {
        match byte {
            b'\\' | b'"' => line.extend([b'\\', byte]),
            b'\n' => line.extend(b"\\n"),
            b'\r' => line.extend(b"\\r"),
            b'\t' => line.extend(b"\\t"),
            0x07 => line.extend(b"\\a"),
            0x08 => line.extend(b"\\b"),
            b' '..=b'~' => line.push(byte),
            // Writing to a vector cannot fail.
            _ => drop(write!(line, "\\x{byte:02x}")),
        }
    }
    line.push(b'"');
}

#[cfg(test)]
mod tests {
    use modb_net::resp::{Limits, RequestDecoder, encode_request};

    use super::*;

    #[test]
    fn words_are_quoted_as_in_redis_and_passwords_are_not_shown() {
        let shown = |words: &[&[u8]]| {
            let (mut wire, mut decoder) = (Vec::new(), RequestDecoder::new());
            encode_request(&mut wire, words.iter().copied());
            decoder.decode(&wire, &Limits::default()).unwrap();
            String::from_utf8(line("1.000002 [0 x]".into(), decoder.args(&wire))).unwrap()
        };
        let odd = b"a b\x00\n\r\t\x07\x08\"\\\x7f\xc3\xa9~";
        let expected = r#"1.000002 [0 x] "SET" "" "a b\x00\n\r\t\a\b\"\\\x7f\xc3\xa9~""#;
        assert_eq!(shown(&[b"SET", b"", odd]), expected);
        assert_eq!(shown(&[b"Auth", b"me", b"secret"]), r#"1.000002 [0 x] "Auth" "(redacted)" "(redacted)""#);
    }
}
