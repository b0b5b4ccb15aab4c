//! An echo server: what comes in goes out. `cargo run -p modb-net --example echo -- 127.0.0.1:7000`
//!
//! The smallest whole program on `modb-net`: a service, its state per connection, and a start.

use std::net::TcpListener;

use modb_net::{Flow, Handle, In, Opening, Out, Peer, Server, ServerError, Service, Turn};

/// One value per worker thread. An echo needs to remember nothing.
pub(crate) struct Echo;

impl Service for Echo {
    type Session = ();
    type Message = ();

    fn open(&mut self, _: Handle<'_>, _: &Peer, _: &mut Out<'_>, _: &Turn<'_, Self>) -> Opening<()> {
        Opening::Serve(())
    }

    fn on_input(
        &mut self,
        _: Handle<'_>,
        (): &mut (),
        input: &mut In<'_>,
        out: &mut Out<'_>,
        _: &Turn<'_, Self>,
    ) -> Flow {
        // A client that does not read is not read from either: the layer sees to that.
        out.tail().extend_from_slice(input.bytes());
        input.consume(input.bytes().len());
        Flow::NeedInput
    }
}

/// Serves on `listener` with one worker per core.
pub(crate) fn serve(listener: TcpListener) -> Result<Server<()>, ServerError> {
    Server::builder().listen(listener).start(|_| Echo)
}

#[allow(dead_code)] // The test that includes this file has its own.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".into());
    let server = serve(TcpListener::bind(address)?)?;
    println!("echo on {}", server.local_addrs()[0]);
    server.join()?;
    Ok(())
}
