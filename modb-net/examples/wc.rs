//! Counts lines, words and bytes as `wc` does: a protocol in which the end of the input means "go".
//! `cargo run -p modb-net --example wc -- 127.0.0.1:7004`, then `nc -N 127.0.0.1 7004 < README.md`.
//!
//! Input is counted as it comes and never kept, so it may be of any length.

use std::io::Write as _;
use std::net::TcpListener;

use modb_net::{Flow, Handle, In, Opening, Out, Peer, Server, ServerError, Service, Turn};

pub(crate) struct Wc;

/// What one client has sent so far.
#[derive(Default)]
pub(crate) struct Count {
    lines: u64,
    words: u64,
    bytes: u64,
    in_word: bool,
}

impl Service for Wc {
    type Session = Count;
    type Message = ();

    fn open(&mut self, _: Handle<'_>, _: &Peer, _: &mut Out<'_>, _: &Turn<'_, Self>) -> Opening<Count> {
        Opening::Serve(Count::default())
    }

    fn on_input(
        &mut self,
        _: Handle<'_>,
        count: &mut Count,
        input: &mut In<'_>,
        _: &mut Out<'_>,
        _: &Turn<'_, Self>,
    ) -> Flow {
        for byte in input.bytes() {
            let is_word = !byte.is_ascii_whitespace();
            count.lines += u64::from(*byte == b'\n');
            count.words += u64::from(is_word && !count.in_word);
            count.in_word = is_word;
        }
        count.bytes += input.bytes().len() as u64;
        input.consume(input.bytes().len());
        Flow::NeedInput
    }

    fn on_end(
        &mut self,
        _: Handle<'_>,
        count: &mut Count,
        _: &mut In<'_>,
        out: &mut Out<'_>,
        _: &Turn<'_, Self>,
    ) -> Flow {
        // It is sent, and then the connection is closed.
        let _ = writeln!(out.tail(), "{} {} {}", count.lines, count.words, count.bytes);
        Flow::Close
    }
}

/// Serves on `listener` with one worker per core.
pub(crate) fn serve(listener: TcpListener) -> Result<Server<()>, ServerError> {
    Server::builder().listen(listener).start(|_| Wc)
}

#[allow(dead_code)] // The test that includes this file has its own.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7004".into());
    let server = serve(TcpListener::bind(address)?)?;
    println!("wc on {}", server.local_addrs()[0]);
    server.join()?;
    Ok(())
}
