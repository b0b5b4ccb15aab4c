//! A chat server: what one says, all others read. `cargo run -p modb-net --example chat -- 127.0.0.1:7001`,
//! then `telnet 127.0.0.1 7001` from several terminals.
//!
//! Members are spread over the workers, and a worker touches only its own connections. So a line goes as a
//! message into the mailbox of every worker, and each worker tells its members.

use std::net::TcpListener;
use std::sync::Arc;

use modb_net::{
    CloseReason, Connections, Flow, Handle, In, Opening, Out, Peer, Server, ServerError, Service, Token, Turn,
};

/// A longer line is not chat. Without a bound, one that never ends would fill the memory.
const MAX_LINE_BYTES: usize = 1024;

/// What the workers tell one another. One text, shared by all of them.
#[derive(Clone)]
pub(crate) struct Said {
    /// Who needs not hear it: a worker and its connection.
    by: Option<(usize, Token)>,
    text: Arc<str>,
}

/// One member.
pub(crate) struct Member {
    name: String,
}

/// The members of one worker.
pub(crate) struct Chat;

impl Chat {
    /// Tells all workers, this one included. Whoever's mailbox is full misses it: chat may.
    fn tell_all(turn: &Turn<'_, Self>, by: Option<(usize, Token)>, text: String) {
        let said = Said { by, text: text.into() };
        for worker in 0..turn.workers.count() {
            let _ = turn.workers.post(worker, said.clone());
        }
    }
}

impl Service for Chat {
    type Session = Member;
    type Message = Said;

    fn open(
        &mut self,
        conn: Handle<'_>,
        peer: &Peer,
        out: &mut Out<'_>,
        turn: &Turn<'_, Self>,
    ) -> Opening<Member> {
        let name = format!("guest-{}", peer.remote_addr().map_or(0, |remote| remote.port()));
        out.tail().extend_from_slice(format!("* you are {name}; /name NEW, /quit\n").as_bytes());
        Self::tell_all(turn, Some((turn.worker, conn.token())), format!("* {name} is here\n"));
        Opening::Serve(Member { name })
    }

    fn on_input(
        &mut self,
        conn: Handle<'_>,
        member: &mut Member,
        input: &mut In<'_>,
        out: &mut Out<'_>,
        turn: &Turn<'_, Self>,
    ) -> Flow {
        loop {
            let Some(end) = input.bytes().iter().position(|&byte| byte == b'\n') else {
                // Not whole yet. What has come stays where it is and is shown again with the rest.
                return if input.bytes().len() > MAX_LINE_BYTES { Flow::Close } else { Flow::NeedInput };
            };
            let line = String::from_utf8_lossy(&input.bytes()[..end]).trim_end().to_owned();
            input.consume(end + 1);
            let me = Some((turn.worker, conn.token()));
            match line.split_once(' ') {
                Some(("/name", new)) => {
                    Self::tell_all(turn, None, format!("* {} is now {new}\n", member.name));
                    member.name = new.to_owned();
                }
                None if line == "/quit" => {
                    out.tail().extend_from_slice(b"* bye\n");
                    return Flow::Close;
                }
                _ => Self::tell_all(turn, me, format!("{}: {line}\n", member.name)),
            }
        }
    }

    fn on_message(
        &mut self,
        said: Said,
        _: Option<Token>,
        members: &mut dyn Connections<Member>,
        turn: &Turn<'_, Self>,
    ) {
        let mut deaf = Vec::new();
        members.for_each(&mut |token, _, mut out| {
            if said.by == Some((turn.worker, token)) {
                return;
            }
            // A member that does not read must not fill the memory either.
            if out.is_full() {
                deaf.push(token);
            } else {
                out.tail().extend_from_slice(said.text.as_bytes());
            }
        });
        for token in deaf {
            members.close(token);
        }
    }

    fn on_close(&mut self, _: Token, member: Member, _: CloseReason, turn: &Turn<'_, Self>) {
        Self::tell_all(turn, None, format!("* {} has left\n", member.name));
    }
}

/// Serves on `listener` with so many workers.
pub(crate) fn serve(listener: TcpListener, workers: usize) -> Result<Server<Said>, ServerError> {
    Server::builder().listen(listener).workers(workers).start(|_| Chat)
}

#[allow(dead_code)] // The test that includes this file has its own.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7001".into());
    let server = serve(TcpListener::bind(address)?, 2)?;
    println!("chat on {}", server.local_addrs()[0]);
    server.join()?;
    Ok(())
}
