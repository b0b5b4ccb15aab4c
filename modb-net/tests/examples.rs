//! The examples work: each is started in this process and spoken to.

#[path = "../examples/echo.rs"]
mod echo;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

#[test]
fn echo_answers_everything_and_then_closes() {
    let server = echo::serve(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
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
