//! A small RESP server on a free port, which does what a test tells it to with the names of commands.

#![allow(clippy::unwrap_used)] // a helper of tests outside of a test function
#![allow(dead_code)] // each test program uses a part of it

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use modb_client::Config;
use modb_net::resp::{Decoded, Encoder, Limits, Protocol, RequestDecoder};

/// A running server. Its threads end with the process.
pub(crate) struct FakeServer {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl FakeServer {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                accepted.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || serve(stream.unwrap()));
            }
        });
        Self { port, connections }
    }

    /// How to reach it.
    pub(crate) fn config(&self) -> Config {
        Config::new("127.0.0.1", self.port)
    }

    /// How many connections have come in all.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Serves one connection until it ends. Errors end it: the test looks at the other side.
fn serve(mut stream: TcpStream) {
    let mut decoder = RequestDecoder::new();
    let mut input = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        input.extend_from_slice(&piece[..count]);
        let mut used = 0;
        loop {
            match decoder.decode(&input[used..], &Limits::default()).unwrap() {
                Decoded::Incomplete { .. } => break,
                Decoded::Nothing { consumed } => used += consumed,
                Decoded::Request { consumed } => {
                    let args: Vec<String> = decoder
                        .args(&input[used..])
                        .iter()
                        .map(|arg| String::from_utf8_lossy(arg).into_owned())
                        .collect();
                    used += consumed;
                    if answer(&mut stream, &args).is_none() {
                        return;
                    }
                }
            }
        }
        input.drain(..used);
    }
}

/// `None`: close the connection.
fn answer(stream: &mut TcpStream, args: &[String]) -> Option<()> {
    let mut out = Vec::new();
    let mut reply = Encoder::new(&mut out, Protocol::Resp3);
    match args[0].as_str() {
        "HELLO" => reply.map(0),
        "AUTH" if args.last()? != "secret" => reply.error("WRONGPASS no"),
        "AUTH" | "SELECT" => reply.ok(),
        "ECHO" => reply.bulk(args[1].as_bytes()),
        "BIG" => reply.bulk(&vec![b'x'; args[1].parse().unwrap()]),
        "FAIL" => reply.error("ERR failed"),
        "PING" => reply.simple("PONG"),
        "INFO" => reply.bulk(b"# Stats\r\ntotal_commands_processed:7\r\nconnected_clients:2\r\n"),
        "DBSIZE" => reply.integer(3),
        "SILENT" => {}
        "SCAN" => {
            let (next, keys): (&[u8], &[&[u8]]) = match args {
                [_, _, _, _, name, pattern] if name == "MATCH" && pattern == "x*" => (b"0", &[b"x"]),
                [_, cursor, ..] if cursor == "0" => (b"7", &[b"a", b"b"]),
                _ => (b"0", &[b"c"]),
            };
            reply.array(2);
            reply.bulk(next);
            reply.array(keys.len());
            keys.iter().for_each(|key| reply.bulk(key));
        }
        "CLOSE" => return None,
        "DRIP" => {
            // A byte at a time, slower than any test waits for.
            for byte in b"$1000\r\n".iter().chain([b'x'; 1000].iter()) {
                stream.write_all(&[*byte]).ok()?;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        "PUSH" => {
            for _ in 0..2 {
                reply.push(3);
                reply.bulk(b"message");
                reply.bulk(b"news");
                reply.bulk(args[1].as_bytes());
            }
            reply.ok();
        }
        "SUBSCRIBE" => {
            reply.push(3);
            reply.bulk(b"subscribe");
            reply.bulk(args[1].as_bytes());
            reply.integer(1);
            reply.push(3);
            reply.bulk(b"message");
            reply.bulk(args[1].as_bytes());
            reply.bulk(b"hello");
            reply.push(4);
            reply.bulk(b"pmessage");
            reply.bulk(b"n*");
            reply.bulk(args[1].as_bytes());
            reply.bulk(b"again");
        }
        other => reply.error(format!("ERR unknown command '{other}'")),
    }
    stream.write_all(&out).ok()
}
