//! The ways to bring connections to workers, each as a server that greets a client with the number of the worker
//! that got it: one byte, so that what is measured is the way there.

use std::net::{SocketAddr, TcpListener};

use modb_net::{Flow, Handle, Handoff, In, Limits, Opening, Out, Peer, Server, Service, Turn};

use crate::reuse_port::ReusePort;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    /// One thread accepts and hands over.
    Ours(Handoff),
    /// Every worker accepts from a listener of its own.
    ReusePort,
}

impl Contender {
    /// The first is what the others are compared with.
    pub const ALL: [Self; 4] = [
        Self::Ours(Handoff::RoundRobin),
        Self::Ours(Handoff::LeastConnections),
        Self::Ours(Handoff::Shared),
        Self::ReusePort,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ours(handoff) => handoff.name(),
            Self::ReusePort => "SO_REUSEPORT",
        }
    }

    /// `None` where the system cannot.
    pub fn start(self, workers: usize) -> Option<Running> {
        match self {
            Self::ReusePort => ReusePort::start(workers).map(Running::ReusePort),
            Self::Ours(handoff) => Some(Running::Ours(
                Server::builder()
                    .listen(TcpListener::bind("127.0.0.1:0").unwrap())
                    .workers(workers)
                    .handoff(handoff)
                    .limits(Limits::default())
                    .start(|context| Greeter { worker: context.index as u8 })
                    .unwrap(),
            )),
        }
    }
}

/// Ends when dropped.
pub enum Running {
    Ours(Server<()>),
    ReusePort(ReusePort),
}

impl Running {
    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Ours(server) => server.local_addrs()[0],
            Self::ReusePort(server) => server.address(),
        }
    }

    pub fn connections(&self) -> usize {
        match self {
            Self::Ours(server) => server.workers().connections(),
            Self::ReusePort(server) => server.connections(),
        }
    }
}

struct Greeter {
    worker: u8,
}

impl Service for Greeter {
    type Session = ();
    type Message = ();

    fn open(&mut self, _: Handle<'_>, _: &Peer, out: &mut Out<'_>, _: &Turn<'_, Self>) -> Opening<()> {
        out.tail().push(self.worker);
        Opening::Serve(())
    }

    fn on_input(
        &mut self,
        _: Handle<'_>,
        _: &mut (),
        input: &mut In<'_>,
        _: &mut Out<'_>,
        _: &Turn<'_, Self>,
    ) -> Flow {
        input.consume(input.bytes().len());
        Flow::NeedInput
    }
}
