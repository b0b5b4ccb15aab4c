//! The floor: a readiness loop that does nothing but `recv` and `send`, to measure servers against.
//!
//! `cargo bench -p modb-net --bench bare -- serve` prints its port and answers every PING that redis-benchmark sends with
//! the same bytes, from one thread, waiting as `modb-net` does; `cargo xtask bench distance` runs it beside Modb and
//! redis. It decodes nothing: it counts bytes, of which each PING has as many.
//!
//! It must never do more than a server that did no work would have to.

#![allow(clippy::unwrap_used)] // A benchmark that cannot measure has nothing better to do.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use modb_net::poll::{Events, Interest, Poller};

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
const PONG: &[u8] = b"+PONG\r\n";

/// As much as a worker of `modb-net` reads at once.
const READ_BYTES: usize = 64 << 10;

const LISTENER: usize = 0;

struct Client {
    stream: Arc<TcpStream>,
    /// Bytes of a request that has not come to its end.
    begun: usize,
}

fn main() {
    // What `cargo test --benches` asks is that it builds.
    if std::env::args().nth(1).as_deref() != Some("serve") {
        return println!("bare serve: answers PING on a free port of 127.0.0.1, which it prints");
    }
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    listener.set_nonblocking(true).unwrap();
    println!("serves {}", listener.local_addr().unwrap());
    let (mut poller, mut events) = (Poller::new().unwrap(), Events::new());
    poller.add(LISTENER, listener.clone(), Interest::READ).unwrap();
    // A client's key is its place here.
    let mut clients: Vec<Option<Client>> = vec![None];
    let mut input = vec![0; READ_BYTES];
    let answers = PONG.repeat(READ_BYTES / PING.len() + 1);
    loop {
        poller.wait(&mut events, None).unwrap();
        for event in events.iter() {
            if event.key == LISTENER {
                accept(&listener, &mut poller, &mut clients);
                continue;
            }
            let Some(client) = &mut clients[event.key] else { continue };
            if !answer(client, &mut input, &answers) {
                poller.delete(event.key).unwrap();
                clients[event.key] = None;
            }
        }
    }
}

fn accept(listener: &TcpListener, poller: &mut Poller, clients: &mut Vec<Option<Client>>) {
    while let Ok((stream, _)) = listener.accept() {
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        let stream = Arc::new(stream);
        poller.add(clients.len(), stream.clone(), Interest::READ).unwrap();
        clients.push(Some(Client { stream, begun: 0 }));
    }
}

/// `false`: the client has gone.
fn answer(client: &mut Client, input: &mut [u8], answers: &[u8]) -> bool {
    let read = match (&*client.stream).read(input) {
        Ok(0) => return false,
        Ok(read) => read,
        Err(error) => return error.kind() == ErrorKind::WouldBlock,
    };
    let bytes = client.begun + read;
    client.begun = bytes % PING.len();
    let answer = &answers[..bytes / PING.len() * PONG.len()];
    // It fits: redis-benchmark reads its replies before it asks again.
    answer.is_empty() || (&*client.stream).write(answer).is_ok_and(|sent| sent == answer.len())
}
