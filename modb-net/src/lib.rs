//! `modb-net` moves bytes between sockets and a [`Service`].
//!
//! It knows no command, no storage engine, and no protocol outside [`resp`], which is a module that
//! servers and clients call and nothing else in this crate uses. A server for another protocol takes the
//! rest alone. What such a server must do itself stands in the documentation of [`Service`], every bound with its unit and
//! its default in [`Limits`], and these are whole programs, in `examples/`:
//!
//! | | |
//! |---|---|
//! | `echo` | the smallest |
//! | `chat` | connections that talk to each other, on several workers |
//! | `wc` | the end of the input means "go" |
//! | `memcached` | lines and blocks, large requests and replies, a store that workers share |
//! | `proxy` | connections that are opened from here, back-pressure from one to the other |
//! | `foreign_loop` | the notifier in a program's own `poll` loop, without a server |
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
//! Who is called where: the factory and every hook of a [`Service`] on its worker's thread; [`Builder::refuse_with`] on the
//! acceptor's. Any thread may call what [`Server::workers`] gives ([`Messages`], [`Joining`], [`Control`], [`Counts`]) and
//! a [`notify::Waker`]; none of it blocks. Sessions and messages are `Send`, since they go from thread to thread; a service
//! need not be. A panic in a hook ends the server, and [`Server::join`] returns it.
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
//! # TLS
//!
//! The layer has none, and needs none: a TLS library without I/O of its own sits between [`In`] and [`Out`] on one side and
//! the protocol on the other. With rustls a session is a `rustls::ServerConnection` beside what the protocol needs:
//!
//! ```ignore
//! // Service::on_input. While the output is full, or the turn's budget spent, there is nothing to be seen.
//! while !input.bytes().is_empty() {
//!     let read = tls.read_tls(&mut input.bytes()).unwrap_or(0);
//!     input.consume(read);
//!     let state = tls.process_new_packets();
//!     if state.is_ok() {
//!         // It says `WouldBlock` at the end of what is there; what it read stands in `plain` all the same.
//!         let _ = tls.reader().read_to_end(&mut session.plain);
//!         execute(&mut session.plain, &mut tls.writer()); // The protocol.
//!     }
//!     // An alert is for the peer, too.
//!     while tls.wants_write() {
//!         tls.write_tls(&mut out.tail())?; // A `Tail` is an `io::Write`.
//!     }
//!     if state.is_err() || read == 0 {
//!         return Flow::Close;
//!     }
//! }
//! Flow::NeedInput
//! ```
//!
//! - [`Service::last_word`] is the place for `send_close_notify` and one more `write_tls`: it is called before every end that
//!   still can be told, a shutdown included.
//! - An end without the peer's close_notify is a truncation: in [`Service::on_end`], `read_tls` of an empty slice tells
//!   rustls that the input ended, and its reader then says `UnexpectedEof`.
//! - What rustls buffers counts in [`Service::session_bytes`]: some 40 KiB while a record is incomplete. Its own limit for
//!   plain text that is not yet encrypted (64 KiB) refuses a larger reply: write it in parts, or lift it
//!   (`set_buffer_limit`), since [`Out::reserve`] is what bounds it here.
//! - A client that never ends its handshake is idle until [`Limits::idle_timeout`]; an alarm ([`Handle::set_alarm`]) set in
//!   [`Service::open`] and cleared after the handshake is stricter.
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
pub use connection::lane::{Room, Tell};
pub use connection::reason::CloseReason;
pub use connection::seat::Address;
pub use connection::service::{
    Connections, Flow, HandedOut, Holdings, Opening, OutputLimits, Release, Service, Turn,
};
pub use connection::workers::{Control, Counts, JoinError, Joining, Messages, Undelivered, Workers};
pub use many::handoff::{Handoff, UnknownHandoff};
pub use system::descriptors::{DescriptorShares, share_descriptors};
pub use system::peer::Peer;
pub use system::sys::raise_descriptor_limit;
pub use system::unix_listener::UnixListener;
pub use system::{notify, poll, socketpair};
pub use threads::runtime::{Builder, Server, ServerError, WorkerContext};
