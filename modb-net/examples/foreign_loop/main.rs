//! The notifier in a loop that is not Modb's: a program has its own `poll` loop, and threads that compute for it.
//! `cargo run -p modb-net --example foreign_loop -- 127.0.0.1:7003`, then `nc -u 127.0.0.1 7003`: a number, and its largest factor comes
//! back. An empty datagram ends it.
//!
//! The loop waits for its socket and for the notifier. A thread that has a result puts it into the queue and then wakes the
//! loop: that order is the producer's whole part. The loop's part is four lines, marked below. The same holds for `select`,
//! `epoll`, `kqueue`, libevent, libuv or a window system's loop: whatever can say that a descriptor is readable.

mod sys;

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc;

use modb_net::notify::Notifier;

/// Serves until an empty datagram comes.
pub(crate) fn serve(socket: &UdpSocket) -> Result<(), Box<dyn std::error::Error>> {
    socket.set_nonblocking(true)?;
    let notifier = Notifier::new()?;
    let (results, queue) = mpsc::channel::<(SocketAddr, String)>();
    let mut datagram = [0; 64];
    loop {
        // 1. Empty the queue. All of it: what came before the wait begins may have been told already.
        for (to, answer) in queue.try_iter() {
            socket.send_to(answer.as_bytes(), to)?;
        }
        // 2. Say that the wait begins, and ask how long it may be: not at all, if a wake-up has come meanwhile.
        let wait = notifier.begin_wait(true);
        let timeout = wait.timeout(None);
        // 3. Wait, as the loop always did.
        let [datagrams, woken] = sys::readable([sys::handle_of(socket), sys::handle_of(&notifier)], timeout)?;
        // 4. Say that the wait has ended, and whether the notifier was readable. It reads what is to be read.
        wait.end(woken)?;

        while datagrams && let Ok((len, from)) = socket.recv_from(&mut datagram) {
            if len == 0 {
                return Ok(());
            }
            let number = String::from_utf8_lossy(&datagram[..len]).trim().parse();
            let (results, waker) = (results.clone(), notifier.waker());
            std::thread::spawn(move || {
                let answer = number.map_or("?\n".into(), |number| format!("{}\n", largest_factor(number)));
                // Queue first, wake then. Both fail only when the loop has ended: nobody waits.
                let _ = results.send((from, answer));
                let _ = waker.wake();
            });
        }
    }
}

fn largest_factor(mut number: u64) -> u64 {
    let (mut factor, mut largest) = (2, 1);
    while factor <= number / factor {
        if number.is_multiple_of(factor) {
            (number, largest) = (number / factor, factor);
        } else {
            factor += 1;
        }
    }
    number.max(largest)
}

#[allow(dead_code)] // The test that includes this file has its own.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7003".into());
    let socket = UdpSocket::bind(address)?;
    println!("factors on {}", socket.local_addr()?);
    serve(&socket)
}
