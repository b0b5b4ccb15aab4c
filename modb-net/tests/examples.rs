//! The examples work: each is started in this process and spoken to.

#![allow(clippy::unwrap_used)] // All of it is a test.

#[path = "../examples/chat.rs"]
mod chat;
#[path = "../examples/echo.rs"]
mod echo;
#[path = "../examples/foreign_loop/main.rs"]
mod foreign_loop;
#[path = "../examples/memcached.rs"]
mod memcached;
#[path = "../examples/proxy.rs"]
mod proxy;
#[path = "../examples/wc.rs"]
mod wc;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// They are read by who builds on the layer: what it asks of him shows in them.
#[test]
fn the_examples_are_as_small_as_they_are_promised_to_be() {
    let examples = [
        ("echo", include_str!("../examples/echo.rs"), 50),
        ("wc", include_str!("../examples/wc.rs"), 75),
        ("chat", include_str!("../examples/chat.rs"), 135),
        ("memcached", include_str!("../examples/memcached.rs"), 150),
        ("proxy", include_str!("../examples/proxy.rs"), 255),
    ];
    for (name, text, most) in examples {
        let lines = text.lines().count();
        assert!(lines <= most, "{name}: {lines} lines");
    }
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// Sends three megabytes and reads the same back; with `end` it ends its side and reads to the end.
fn everything_comes_back(address: SocketAddr, end: bool) {
    let mut client = TcpStream::connect(address).unwrap();
    let sent: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    let mut writer = client.try_clone().unwrap();
    let expected = sent.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        if end {
            writer.shutdown(Shutdown::Write).unwrap();
        }
    });
    let mut received = Vec::new();
    if end {
        client.read_to_end(&mut received).unwrap();
    } else {
        received.resize(expected.len(), 0);
        client.read_exact(&mut received).unwrap();
    }
    writing.join().unwrap();
    assert!(received == expected);
}

#[test]
fn echo_answers_everything_and_then_closes() {
    let server = echo::serve(listener()).unwrap();
    everything_comes_back(server.local_addrs()[0], true);
    server.shutdown();
    server.join().unwrap();
}

#[test]
fn proxy_passes_everything_on_in_both_directions_and_who_goes_takes_the_other_along() {
    let upstream = echo::serve(listener()).unwrap();
    let server = proxy::serve(listener(), upstream.local_addrs()[0], 2).unwrap();
    let address = server.local_addrs()[0];
    let clients: Vec<_> =
        (0..4).map(|_| std::thread::spawn(move || everything_comes_back(address, false))).collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    // One that asks and ends its side still gets the answer, here from one that answers at the end.
    let memcached = memcached::serve(listener(), 1).unwrap();
    let to_memcached = proxy::serve(listener(), memcached.local_addrs()[0], 2).unwrap();
    let mut client = TcpStream::connect(to_memcached.local_addrs()[0]).unwrap();
    client.write_all(b"get a\r\nquit\r\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "END\r\n");
    for server in [&upstream, &memcached] {
        let begun = Instant::now();
        while server.workers().connections() > 0 {
            assert!(begun.elapsed() < Duration::from_secs(60), "an upstream stays");
            std::thread::yield_now();
        }
    }
    upstream.shutdown();
    upstream.join().unwrap();
    // Nobody there any more: the client is told by the end.
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    assert_eq!(client.read(&mut [0; 10]).unwrap(), 0);
    server.shutdown();
    server.join().unwrap();
}

#[test]
fn wc_answers_when_the_input_ends() {
    let server = wc::serve(listener()).unwrap();
    let large = b"word ".repeat(200_000);
    for (text, answer) in
        [(&b"one two\nthree"[..], "1 3 13\n"), (b"", "0 0 0\n"), (&large, "0 200000 1000000\n")]
    {
        let mut client = TcpStream::connect(server.local_addrs()[0]).unwrap();
        client.write_all(text).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        assert_eq!(said, answer);
    }
    server.shutdown();
    server.join().unwrap();
}

#[test]
fn memcached_keeps_values_for_all_workers() {
    let server = memcached::serve(listener(), 2).unwrap();
    let client = || {
        let stream = TcpStream::connect(server.local_addrs()[0]).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    };
    // The workers take them in turn.
    let (mut one, mut two) = (client(), client());
    let says = |client: &mut TcpStream, request: &[u8], answer: &[u8]| {
        client.write_all(request).unwrap();
        let mut said = vec![0; answer.len()];
        client.read_exact(&mut said).unwrap();
        assert!(said == answer, "{:?}", String::from_utf8_lossy(&said[..said.len().min(100)]));
    };
    says(&mut one, b"set a 7 0 5\r\nhe\r\no\r\n", b"STORED\r\n");
    says(&mut two, b"get a b\r\n", b"VALUE a 7 5\r\nhe\r\no\r\nEND\r\n");
    let large = vec![b'x'; 1 << 20];
    let set = |len: usize| [format!("set big 0 0 {len}\r\n").as_bytes(), &large[..], b"\r\n"].concat();
    says(&mut two, &set(large.len()), b"STORED\r\n");
    says(&mut one, b"get big\r\n", &[b"VALUE big 0 1048576\r\n", &large[..], b"\r\nEND\r\n"].concat());
    let request = [b"set big 0 0 1048577\r\n", &large[..], b"x\r\nnonsense\r\n"].concat();
    says(&mut one, &request, b"SERVER_ERROR object too large for cache\r\nERROR\r\n");
    says(&mut one, b"set a 0 0 1\r\n123\r\n", b"CLIENT_ERROR bad data chunk\r\nERROR\r\n");
    says(&mut one, b"delete a\r\ndelete a\r\nget a\r\n", b"DELETED\r\nNOT_FOUND\r\nEND\r\n");
    one.write_all(b"quit\r\n").unwrap();
    assert_eq!(one.read(&mut [0; 10]).unwrap(), 0);
    server.shutdown();
    server.join().unwrap();
}

#[test]
fn a_foreign_loop_is_woken_by_threads_that_compute_for_it() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let serving = std::thread::spawn(move || foreign_loop::serve(&socket).map_err(|error| error.to_string()));
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    for (asked, answer) in [("91", "13\n"), ("1000003", "1000003\n"), ("nothing", "?\n")] {
        client.send_to(asked.as_bytes(), address).unwrap();
        let mut datagram = [0; 64];
        let len = client.recv(&mut datagram).unwrap();
        assert_eq!(std::str::from_utf8(&datagram[..len]), Ok(answer));
    }
    client.send_to(b"", address).unwrap();
    assert_eq!(serving.join().unwrap(), Ok(()));
}

/// A member of the chat, and the lines it reads.
struct Member {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    name: String,
}

impl Member {
    fn join(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        let mut member = Self { stream, reader, name: String::new() };
        let greeting = member.line();
        member.name = greeting.split([' ', ';']).nth(3).unwrap().to_owned();
        member
    }

    fn say(&mut self, line: &str) {
        self.stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Reads `expected`. Who came just before may be announced late, to someone who has come since.
    fn hears(&mut self, expected: &str) {
        loop {
            let line = self.line();
            if line == expected {
                return;
            }
            assert!(line.ends_with(" is here"), "{line:?} instead of {expected:?}");
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

#[test]
fn chat_reaches_the_members_of_all_workers_but_not_the_speaker() {
    let server = chat::serve(listener(), 2).unwrap();
    let address = server.local_addrs()[0];
    // The workers take them in turn: one and three share a worker.
    let mut one = Member::join(address);
    let mut two = Member::join(address);
    one.hears(&format!("* {} is here", two.name));
    let mut three = Member::join(address);
    for member in [&mut one, &mut two] {
        member.hears(&format!("* {} is here", three.name));
    }
    one.say("hello");
    for member in [&mut two, &mut three] {
        member.hears(&format!("{}: hello", one.name));
    }
    two.say("/name Ada");
    let renamed = format!("* {} is now Ada", two.name);
    for member in [&mut one, &mut two, &mut three] {
        member.hears(&renamed);
    }
    two.say("/quit");
    two.hears("* bye");
    assert_eq!(two.line(), "", "the end");
    for member in [&mut one, &mut three] {
        member.hears("* Ada has left");
    }
    server.shutdown();
    server.join().unwrap();
}
