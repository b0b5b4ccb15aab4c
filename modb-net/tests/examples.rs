//! The examples work: each is started in this process and spoken to.

#![allow(clippy::unwrap_used)] // All of it is a test.

#[path = "../examples/chat.rs"]
mod chat;
#[path = "../examples/echo.rs"]
mod echo;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

#[test]
fn echo_answers_everything_and_then_closes() {
    let server = echo::serve(listener()).unwrap();
    let mut client = TcpStream::connect(server.local_addrs()[0]).unwrap();
    let sent: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    let mut writer = client.try_clone().unwrap();
    let expected = sent.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    writing.join().unwrap();
    assert!(received == expected);
    server.shutdown();
    server.join().unwrap();
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
