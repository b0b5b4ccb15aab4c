//! Clients that asked the server to end, and hear that it did when its folder is free.
//!
//! A client's `SHUTDOWN` is answered by the end of its connection, and whoever sees it starts the next server. So the
//! connection must not end with the worker that served it, but after the store was closed: the layer hands the socket out,
//! and it is kept here until the last handle is dropped.
//! Invariant: nothing is written to these sockets; their end is all they are told.

use std::io::Read as _;
use std::net::Shutdown;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use socket2::Socket;

/// Input of one socket that is looked at before it is closed, in bytes. What is left unread turns the end into a reset.
const MAX_UNREAD_BYTES: usize = 64 << 10;

/// Keeps the connections; dropping the last handle ends them.
#[derive(Clone, Debug, Default)]
pub struct Farewell(Arc<Kept>);

/// Where workers bring connections, without keeping them themselves.
#[derive(Clone, Debug)]
pub(crate) struct Bring(Weak<Kept>);

#[derive(Debug, Default)]
struct Kept(Mutex<Vec<Socket>>);

impl Farewell {
    pub(crate) fn bring(&self) -> Bring {
        Bring(Arc::downgrade(&self.0))
    }
}

impl Bring {
    /// Keeps a connection; if nobody waits for the end any more, it ends now.
    pub(crate) fn keep(&self, socket: Socket) {
        if let Some(kept) = self.0.upgrade() {
            kept.0.lock().unwrap_or_else(PoisonError::into_inner).push(socket);
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        for socket in self.0.get_mut().unwrap_or_else(PoisonError::into_inner) {
            let _ = socket.shutdown(Shutdown::Write);
            // It does not block; a client that goes on talking gets a reset.
            let mut rest = vec![0; MAX_UNREAD_BYTES];
            let _ = socket.read(&mut rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::TcpStream;
    use std::time::Duration;

    use crate::{Database, Server};

    #[test]
    fn who_asks_for_the_end_hears_of_it_with_the_last_handle_and_the_database_lives_on() {
        let database = Database::in_memory().unwrap();
        for held in [false, true] {
            let server = Server::bind(&database, ([127, 0, 0, 1], 0).into()).unwrap();
            let mut client = TcpStream::connect(server.local_addrs()[0]).unwrap();
            client.write_all(b"PING\r\nSHUTDOWN\r\nPING\r\n").unwrap();
            let farewell = held.then(|| server.farewell());
            server.join().unwrap();
            let mut said = [0; 7];
            client.read_exact(&mut said).unwrap();
            assert_eq!(&said, b"+PONG\r\n");
            if let Some(farewell) = farewell {
                client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
                let nothing = client.read(&mut said).unwrap_err().kind();
                assert!(matches!(nothing, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{nothing}");
                client.set_read_timeout(None).unwrap();
                drop(farewell);
            }
            assert_eq!(client.read(&mut said).unwrap(), 0, "the end, and no reset");
            database.set("alive", "yes").unwrap();
        }
    }
}
