//! Clients that speak another protocol: HTTP, which a web page can be made to send to this machine, and TLS. Pure.
//!
//! An inline command is any line of text, so the body of an HTTP request would be executed line by line, with all that a
//! client of this machine may do. Invariant: a connection that begins a line as HTTP does is closed before anything
//! behind that line is looked at.

use std::sync::atomic::{AtomicU64, Ordering};

use modb_net::resp::Args;

/// How often the same notice is logged: whoever causes it could fill the disk with it.
const NOTICE_INTERVAL_MS: u64 = 60_000;

/// The protocol that a request belongs to, if it is not ours. `inline`: the request is a line of text, not an array.
///
/// `POST` and `Host:` are what Redis closes at; a request line (`GET / HTTP/1.1`) is one whatever its method, which a
/// program that is made to ask may choose: `SET / HTTP/1.1`.
pub fn spoken_by_strangers(args: Args<'_>, inline: bool) -> Option<&'static str> {
    let name = &args[0];
    if name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:") {
        return Some("HTTP");
    }
    if !inline {
        return None;
    }
    if args.len() == 3 && args[2].starts_with(b"HTTP/") {
        return Some("HTTP");
    }
    // The record of a handshake, of version 3.x as all of them are.
    name.starts_with(b"\x16\x03").then_some("TLS")
}

/// A notice that clients can cause as often as they like, and that is therefore logged seldom.
#[derive(Debug, Default)]
pub struct Notice {
    next_ms: AtomicU64,
    left_out: AtomicU64,
}

impl Notice {
    /// Whether it is due: how many were left out since the last one.
    pub fn due(&self, now_ms: u64) -> Option<u64> {
        let next = self.next_ms.load(Ordering::Relaxed);
        let later = now_ms.saturating_add(NOTICE_INTERVAL_MS);
        let is_due = now_ms >= next
            && self.next_ms.compare_exchange(next, later, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_due {
            return Some(self.left_out.swap(0, Ordering::Relaxed));
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

/// A notice about what somebody else counts.
#[derive(Debug, Default)]
pub struct CountNotice {
    notice: Notice,
    told: AtomicU64,
}

impl CountNotice {
    /// How many more there are than were told, if it is time to tell.
    pub fn more(&self, count: u64, now_ms: u64) -> Option<u64> {
        if count <= self.told.load(Ordering::Relaxed) {
            return None;
        }
        self.notice.due(now_ms)?;
        count.checked_sub(self.told.swap(count, Ordering::Relaxed))
    }
}

/// The notices of one instance.
#[derive(Debug, Default)]
pub struct Notices {
    /// A client spoke another protocol.
    pub stranger: Notice,
    /// A client was refused that comes from another machine, without a password.
    pub refused: Notice,
    /// Connections were refused since there are too many.
    pub no_seat: CountNotice,
}

#[cfg(test)]
mod tests {
    use modb_net::resp::{Decoded, Limits, RequestDecoder};

    use super::*;

    fn spoken(wire: &[u8]) -> Option<&'static str> {
        let mut decoder = RequestDecoder::new();
        let decoded = decoder.decode(wire, &Limits::default());
        assert!(matches!(decoded, Ok(Decoded::Request { .. })), "{decoded:?}");
        spoken_by_strangers(decoder.args(wire), decoder.is_inline())
    }

    #[test]
    fn http_is_known_by_its_request_line_and_by_what_redis_knows_it_by() {
        for line in [
            "POST / HTTP/1.1",
            "post",
            "Host: x",
            "HOST:",
            "GET / HTTP/1.1",
            "SET / HTTP/1.0",
            "OPTIONS * HTTP/2",
        ] {
            assert_eq!(spoken(format!("{line}\r\n").as_bytes()), Some("HTTP"), "{line}");
        }
        assert_eq!(spoken(b"*1\r\n$4\r\nPOST\r\n"), Some("HTTP"));
        assert_eq!(spoken(b"\x16\x03\x01\x02\x00 hello\n"), Some("TLS"));
    }

    #[test]
    fn requests_of_ours_are_ours() {
        for line in ["GET a", "SET a b", "SET HTTP/1.1 a", "hostname: x", "postpone 1", "SET a b EX HTTP/1.1"]
        {
            assert_eq!(spoken(format!("{line}\r\n").as_bytes()), None, "{line}");
        }
        // As an array nothing but a client of ours sends it.
        assert_eq!(spoken(b"*3\r\n$3\r\nSET\r\n$1\r\n/\r\n$8\r\nHTTP/1.1\r\n"), None);
    }

    #[test]
    fn a_notice_is_due_once_a_minute_and_counts_the_others() {
        let notice = Notice::default();
        assert_eq!([0, 5, 59_999].map(|now| notice.due(now)), [Some(0), None, None]);
        assert_eq!([60_000, 60_001, 200_000].map(|now| notice.due(now)), [Some(2), None, Some(1)]);
    }
}
