//! A small memcached: `get`, `set`, `delete` and `quit` of its text protocol, with several workers.
//! `cargo run -p modb-net --example memcached -- 127.0.0.1:11211`
//!
//! What a protocol of lines and blocks needs: a request that is not whole stays where it is and says how much it wants, a
//! large reply asks for room first, what is too large is skipped as it comes. It never forgets: a real one bounds its items.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use modb_net::{Flow, Handle, In, Opening, Out, Peer, Server, ServerError, Service, Turn};

const MAX_LINE_BYTES: usize = 2048;
const MAX_KEY_BYTES: usize = 250;
const MAX_VALUE_BYTES: usize = 1 << 20;

struct Item {
    flags: u32,
    value: Vec<u8>,
}

/// One per worker thread. Nobody holds the lock for longer than one key takes.
pub(crate) struct Memcached(Arc<Mutex<HashMap<Vec<u8>, Arc<Item>>>>);

/// What is left of a client's value that is too large.
pub(crate) struct ToSkip(usize);

/// What became of a request.
enum Done {
    /// So many bytes of it are consumed, and so many more are to be skipped.
    Consumed(usize, usize),
    /// Nothing can be done before there are so many bytes.
    Wants(usize),
    /// It is not consumed.
    Flow(Flow),
}

impl Memcached {
    /// Executes the request `line`, with what came behind it.
    fn execute(&self, line: &[u8], behind: &[u8], out: &mut Out<'_>) -> Done {
        let consumed = line.len() + 1;
        let words: Vec<&[u8]> = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
        let number = |word: &[u8]| std::str::from_utf8(word).ok()?.parse::<u32>().ok();
        let items = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match words.as_slice() {
            [b"get", keys @ ..] if !keys.is_empty() => {
                let found: Vec<_> =
                    keys.iter().filter_map(|key| Some((key, items().get(*key).cloned()?))).collect();
                // Before anything is written: while there is no room, the request is shown again later.
                if !out.reserve(found.iter().map(|(key, item)| key.len() + item.value.len() + 40).sum()) {
                    return Done::Flow(Flow::AwaitRoom);
                }
                let mut tail = out.tail();
                for (key, item) in found {
                    tail.extend_from_slice(&[&b"VALUE "[..], key].concat());
                    let _ = write!(tail, " {} {}\r\n", item.flags, item.value.len());
                    tail.extend_from_slice(&item.value);
                    tail.extend_from_slice(b"\r\n");
                }
                tail.extend_from_slice(b"END\r\n");
            }
            [b"set", key, flags, _expires, len] => {
                let (Some(flags), Some(len)) = (number(flags), number(len).map(|len| len as usize)) else {
                    out.tail().extend_from_slice(b"CLIENT_ERROR bad command line format\r\n");
                    return Done::Consumed(consumed, 0);
                };
                if len > MAX_VALUE_BYTES || key.len() > MAX_KEY_BYTES {
                    out.tail().extend_from_slice(b"SERVER_ERROR object too large for cache\r\n");
                    return Done::Consumed(consumed, len + 2);
                }
                let Some((value, end)) = behind.split_at_checked(len).filter(|(_, end)| end.len() >= 2)
                else {
                    return Done::Wants(consumed + len + 2);
                };
                let whole = end.starts_with(b"\r\n");
                if whole {
                    items().insert(key.to_vec(), Arc::new(Item { flags, value: value.to_vec() }));
                }
                let answer: &[u8] = if whole { b"STORED\r\n" } else { b"CLIENT_ERROR bad data chunk\r\n" };
                out.tail().extend_from_slice(answer);
                return Done::Consumed(consumed + len + 2, 0);
            }
            [b"delete", key] => {
                let there = items().remove(*key).is_some();
                out.tail().extend_from_slice(if there { b"DELETED\r\n" } else { b"NOT_FOUND\r\n" });
            }
            [b"quit"] => return Done::Flow(Flow::Close),
            _ => out.tail().extend_from_slice(b"ERROR\r\n"),
        }
        Done::Consumed(consumed, 0)
    }
}

impl Service for Memcached {
    type Session = ToSkip;
    type Message = ();

    fn open(&mut self, _: Handle<'_>, _: &Peer, _: &mut Out<'_>, _: &Turn<'_, Self>) -> Opening<ToSkip> {
        Opening::Serve(ToSkip(0))
    }

    fn on_input(
        &mut self,
        _: Handle<'_>,
        to_skip: &mut ToSkip,
        input: &mut In<'_>,
        out: &mut Out<'_>,
        _: &Turn<'_, Self>,
    ) -> Flow {
        loop {
            if to_skip.0 > 0 {
                let skipped = to_skip.0.min(input.bytes().len());
                input.consume(skipped);
                to_skip.0 -= skipped;
            }
            // Nothing, once the turn's requests are spent or the output is full: then the layer calls again.
            let bytes = input.bytes();
            let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
                return if bytes.len() > MAX_LINE_BYTES { Flow::Close } else { Flow::NeedInput };
            };
            match self.execute(&bytes[..end], &bytes[end + 1..], out) {
                Done::Consumed(n, skip_bytes) => {
                    input.consume(n);
                    to_skip.0 = skip_bytes;
                }
                Done::Wants(total) => {
                    input.want(total);
                    return Flow::NeedInput;
                }
                Done::Flow(flow) => return flow,
            }
        }
    }
}

/// Serves on `listener` with so many workers.
pub(crate) fn serve(listener: TcpListener, workers: usize) -> Result<Server<()>, ServerError> {
    let items = Arc::default();
    Server::builder().listen(listener).workers(workers).start(move |_| Memcached(Arc::clone(&items)))
}

#[allow(dead_code)] // The test that includes this file has its own.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:11211".into());
    let server = serve(TcpListener::bind(address)?, 2)?;
    println!("memcached on {}", server.local_addrs()[0]);
    Ok(server.join()?)
}
