//! A proxy: what a client sends goes to another server, and what that answers comes back.
//! `cargo run -p modb-net --example proxy -- 127.0.0.1:7002 127.0.0.1:7000`
//!
//! The two connections of a pair may be on different workers, so they talk by messages: each piece of input is one, and
//! who sent one is parked until the other side has room for the next. So at most one piece per direction is under way, and
//! who does not read holds up the one that writes to him. When one side has gone, the other is sent what was passed on, and
//! goes too; but a client that only says that it asks nothing more still gets what is on its way.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use modb_net::{
    Address, CloseReason, Connections, Flow, Handle, In, Opening, Out, Peer, Server, ServerError, Service,
    Token, Turn,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that asks nothing more goes when nothing has come for it for so long.
const PATIENCE: Duration = Duration::from_secs(2);
/// When a mailbox was full, a message is tried again after this time.
const RETRY: Duration = Duration::from_millis(1);

/// What one connection tells another; and for an opened one, what it is for.
pub(crate) enum Note {
    /// To be opened for this client.
    For(Arc<Client>),
    /// Input of the other side, which waits until there is room for more.
    Piece { bytes: Vec<u8>, from: Address },
    /// The other side has gone.
    Gone,
}

/// A client that waits for its upstream; both sides know it.
pub(crate) struct Client {
    address: Address,
    /// `None` in it: there is none to be had.
    upstream: OnceLock<Option<Address>>,
}

/// One side of a pair.
pub(crate) struct Side {
    other: Other,
    /// Who sent the last piece and is not yet told to go on.
    waits_for_room: Option<Address>,
    is_client: bool,
    /// It asks nothing more.
    ended: bool,
}

enum Other {
    /// Being opened.
    Coming(Arc<Client>),
    Here(Address),
}

impl Side {
    fn of(other: Other) -> Self {
        let is_client = matches!(other, Other::Coming(_));
        Self { other, waits_for_room: None, is_client, ended: false }
    }
}

/// One worker.
pub(crate) struct Proxy {
    upstream: SocketAddr,
    /// What found a full mailbox: at most a few for each connection.
    unsent: Vec<(Address, Note)>,
    retry_at: Option<Instant>,
}

impl Proxy {
    /// Tells a connection, wherever it is. If it has gone, there is nobody to be told.
    fn tell(&mut self, to: Address, note: Note, turn: &Turn<'_, Self>) {
        if let Err(back) = turn.workers.post_to(&to, note, Some(turn.worker))
            && !to.is_gone()
        {
            self.unsent.push((to, back.0));
            self.retry_at = Some(turn.now + RETRY);
        }
    }
}

impl Service for Proxy {
    type Session = Side;
    type Message = Note;

    fn open(&mut self, conn: Handle<'_>, _: &Peer, _: &mut Out<'_>, turn: &Turn<'_, Self>) -> Opening<Side> {
        let client = Arc::new(Client { address: conn.address(), upstream: OnceLock::new() });
        match turn.workers.connect(self.upstream, CONNECT_TIMEOUT, Note::For(client.clone())) {
            Ok(()) => Opening::Serve(Side::of(Other::Coming(client))),
            Err(_) => Opening::Refused,
        }
    }

    fn open_with(
        &mut self,
        purpose: Note,
        conn: Handle<'_>,
        _: &Peer,
        _: &mut Out<'_>,
        turn: &Turn<'_, Self>,
    ) -> Opening<Side> {
        let Note::For(client) = purpose else { return Opening::Refused };
        if client.upstream.set(Some(conn.address())).is_err() {
            return Opening::Refused;
        }
        turn.workers.resume(&client.address);
        Opening::Serve(Side::of(Other::Here(client.address.clone())))
    }

    fn on_connect_failed(&mut self, purpose: Note, _: SocketAddr, _: std::io::Error, turn: &Turn<'_, Self>) {
        if let Note::For(client) = purpose {
            // Told, not resumed: a resume is for who waits, and it may have asked nothing yet.
            self.tell(client.address.clone(), Note::Gone, turn);
        }
    }

    fn on_input(
        &mut self,
        conn: Handle<'_>,
        side: &mut Side,
        input: &mut In<'_>,
        _: &mut Out<'_>,
        turn: &Turn<'_, Self>,
    ) -> Flow {
        if let Other::Coming(client) = &side.other {
            match client.upstream.get() {
                // Resumed once it stands.
                None => return Flow::Parked,
                Some(None) => return Flow::Close,
                Some(Some(upstream)) => side.other = Other::Here(upstream.clone()),
            }
        }
        let Other::Here(other) = &side.other else { return Flow::Close };
        if input.bytes().is_empty() {
            return Flow::NeedInput;
        }
        // What there is goes to the other side, and more once that has room.
        let piece = Note::Piece { bytes: input.bytes().to_vec(), from: conn.address() };
        input.consume(input.bytes().len());
        self.tell(other.clone(), piece, turn);
        if other.is_gone() { Flow::Close } else { Flow::Parked }
    }

    fn on_end(
        &mut self,
        conn: Handle<'_>,
        side: &mut Side,
        _: &mut In<'_>,
        _: &mut Out<'_>,
        turn: &Turn<'_, Self>,
    ) -> Flow {
        // All that it said was passed on.
        if !side.is_client {
            return Flow::Close;
        }
        side.ended = true;
        conn.set_alarm(turn.now + PATIENCE);
        Flow::Parked
    }

    fn on_message(
        &mut self,
        note: Note,
        to: Option<Token>,
        connections: &mut dyn Connections<Side>,
        turn: &Turn<'_, Self>,
    ) {
        let Some(token) = to else { return };
        let Some((side, mut out)) = connections.get(token) else { return };
        match note {
            Note::Piece { bytes, from } => {
                out.tail().extend_from_slice(&bytes);
                if out.is_full() {
                    side.waits_for_room = Some(from);
                } else {
                    turn.workers.resume(&from);
                }
                if side.ended {
                    connections.set_alarm(token, turn.now + PATIENCE);
                }
            }
            Note::Gone => {
                connections.close(token);
            }
            Note::For(_) => {}
        }
    }

    fn on_alarm(&mut self, token: Token, connections: &mut dyn Connections<Side>, _: &Turn<'_, Self>) {
        connections.close(token);
    }

    /// Half of the output has left since it was full.
    fn on_drained(&mut self, _: Handle<'_>, side: &mut Side, _: &mut Out<'_>, turn: &Turn<'_, Self>) {
        if let Some(from) = side.waits_for_room.take() {
            turn.workers.resume(&from);
        }
    }

    /// A piece for one that has gone: its sender sees that when it goes on.
    fn on_undelivered(&mut self, note: Note, turn: &Turn<'_, Self>) {
        if let Note::Piece { from, .. } = note {
            turn.workers.resume(&from);
        }
    }

    fn next_timer(&self) -> Option<Instant> {
        self.retry_at
    }

    fn on_timer(&mut self, _: &mut dyn Connections<Side>, turn: &Turn<'_, Self>) {
        self.retry_at = None;
        for (to, note) in std::mem::take(&mut self.unsent) {
            self.tell(to, note, turn);
        }
    }

    fn on_close(&mut self, _: Token, side: Side, _: CloseReason, turn: &Turn<'_, Self>) {
        match side.other {
            Other::Here(other) => self.tell(other, Note::Gone, turn),
            // Whoever sets it first decides: the upstream is refused when it comes, or is told now.
            Other::Coming(client) => {
                let came_first = client.upstream.set(None).is_err();
                if let (true, Some(Some(upstream))) = (came_first, client.upstream.get()) {
                    self.tell(upstream.clone(), Note::Gone, turn);
                }
            }
        }
    }
}

/// Serves on `listener` with so many workers, each client by a connection of its own to `upstream`.
pub(crate) fn serve(
    listener: TcpListener,
    upstream: SocketAddr,
    workers: usize,
) -> Result<Server<Note>, ServerError> {
    let proxy = move |_| Proxy { upstream, unsent: Vec::new(), retry_at: None };
    Server::builder().listen(listener).workers(workers).start(proxy)
}

#[allow(dead_code)] // The test that includes this file has its own.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let listen = args.next().unwrap_or_else(|| "127.0.0.1:7002".into());
    let upstream = args.next().unwrap_or_else(|| "127.0.0.1:7000".into());
    let server = serve(TcpListener::bind(listen)?, upstream.parse()?, 2)?;
    println!("proxy on {}, for {upstream}", server.local_addrs()[0]);
    server.join()?;
    Ok(())
}
