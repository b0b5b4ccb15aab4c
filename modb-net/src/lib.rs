//! `modb-net` moves bytes between sockets and a [`Service`].
//!
//! It knows no command, no storage engine, and no protocol outside [`resp`], which is a module that
//! servers and clients call and nothing else in this crate uses. A server for another protocol takes the
//! rest alone: `examples/echo.rs` is one in forty lines, `examples/chat.rs` one whose connections talk to
//! each other.
//!
//! # Threads
//!
//! ```text
//!                          mailbox (bounded) + notifier        worker 0
//!  clients      acceptor  +--------------------------+   +---------------------------------------+
//! ---------->  listeners  | connection, message, ... |-->| poller   connections   your Service   |
//! ---------->  poller  ---+--------------------------+   |   wait -> mail -> input -> messages   |
//!                 ^       |                              |        -> timer -> end_turn -> flush  |
//!                 |       |        ...                   +---------------------------------------+
//!                 |       |                                ^  post(message), moved connections  |
//!                 |       |                                |                                    v
//!                 |       +--------------------------+   +---------------------------------------+
//!                 |       |                          |-->| worker n                              |
//!                 |       +--------------------------+   +---------------------------------------+
//!                 +----- "there is room again" -------------------------+
//! ```
//!
//! One thread accepts, gives each connection its seat, and refuses where none is left; each worker thread owns its
//! connections, its poller and one value of the service. What threads share are the mailboxes, the counts of seats, the
//! budget of memory and the limits. A worker that sleeps is woken by one event (an eventfd on Linux, a byte in a socket
//! pair elsewhere), one that is awake by nothing at all ([`notify`]). Which worker gets a connection is a [`Handoff`]; a live
//! connection can move to another worker later ([`Control::move_away`], [`Control::drain`]), and an [`Address`] still finds it.
//!
//! # One turn of a worker
//!
//! It waits, takes its mail, lets every connection with input execute within its budget, and then asks
//! [`Service::end_turn`] how far the turn's work is safe. Only then are replies sent: one write per
//! connection. What was marked with [`Out::hold_until`] stays until a later turn releases it. A
//! connection whose client does not read is neither read nor executed until its output has drained.
//!
//! # Starting
//!
//! ```
//! use modb_net::{Flow, Handle, In, Opening, Out, Peer, Server, Service, Turn};
//!
//! struct Echo;
//!
//! impl Service for Echo {
//!     type Session = ();
//!     type Message = ();
//!
//!     fn open(&mut self, _: Handle<'_>, _: &Peer, _: &mut Out<'_>, _: &Turn<'_, Self>) -> Opening<()> {
//!         Opening::Serve(())
//!     }
//!
//!     fn on_input(
//!         &mut self,
//!         _: Handle<'_>,
//!         _: &mut (),
//!         input: &mut In<'_>,
//!         out: &mut Out<'_>,
//!         _: &Turn<'_, Self>,
//!     ) -> Flow {
//!         out.tail().extend_from_slice(input.bytes());
//!         input.consume(input.bytes().len());
//!         Flow::NeedInput
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! let server = Server::builder().listen(listener).workers(2).start(|_| Echo)?;
//! println!("echo on {}", server.local_addrs()[0]);
//! server.shutdown(); // Or not: `join` waits until somebody does.
//! server.join()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Floors
//!
//! Imports only downward; each floor is a folder: `base` (what is computed) -> `system` (what the operating system
//! does) -> `connection` (one) -> `many` (connections of a worker, and what workers share) -> `threads`. Beside them
//! stands [`resp`], on `base` alone.

mod base;
mod connection;
mod many;
pub mod resp;
mod system;
mod threads;

/// The sockets that connections are made of: what [`Joining::adopt`] takes and [`HandedOut`] gives.
pub use socket2::Socket;

pub use base::buf::{Mark, Tail};
pub use base::limits::Limits;
pub use base::seq::Seq;
pub use base::token::Token;
pub use connection::counts::{AcceptorStats, WorkerStats};
pub use connection::io::{Handle, In, Out};
pub use connection::reason::CloseReason;
pub use connection::seat::Address;
pub use connection::service::{Connections, Flow, HandedOut, Opening, Release, Service, Turn};
pub use connection::workers::{Control, Counts, JoinError, Joining, Messages, Undelivered, Workers};
pub use many::handoff::{Handoff, UnknownHandoff};
pub use system::descriptors::{DescriptorShares, share_descriptors};
pub use system::peer::Peer;
pub use system::sys::raise_descriptor_limit;
pub use system::unix_listener::UnixListener;
pub use system::{notify, poll, socketpair};
pub use threads::runtime::{Builder, Server, ServerError, WorkerContext};
