//! A client in the same process: any command by its words.

use std::sync::Arc;

use modb_net::Seq;
use modb_net::resp::{
    Decoded, Encoder, Limits, ReplyDecoder, RequestDecoder, Value as Reply, encode_request,
};

use crate::command::{self, Client, CommandError, Env, NoNetwork, Scratch};
use crate::data::Parker;
use crate::error::Error;
use crate::handle::{Open, Shared};
use crate::session::now_ms;
use crate::store::vast;

/// A client in this process, which executes any command, in sequence, with a state of its own (the database that it has
/// selected, its name). See [`Database::client`](crate::Database::client).
pub struct LocalClient {
    client: Client,
    scratch: Scratch,
    /// Where its thread sleeps while a command waits for others.
    parker: Parker,
    shared: Arc<Shared>,
}

impl LocalClient {
    pub(crate) fn new(shared: &Arc<Shared>, open: &Open) -> Self {
        let info = open.instance.clients.add(None, now_ms());
        Self {
            client: Client::new(info, true),
            scratch: Scratch::default(),
            parker: Parker::default(),
            shared: Arc::clone(shared),
        }
    }

    /// Executes a command, given as its words, and returns its reply once its writes are safe. An error reply is
    /// [`Reply::Error`]. A command that waits for others, such as `BLPOP`, keeps this thread asleep; whoever closes the database ends
    /// that.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use modb_server::{Database, Reply};
    ///
    /// let database = Database::in_memory()?;
    /// let mut client = database.client()?;
    /// client.run(["SET", "greeting", "hello", "EX", "60"])?;
    /// assert_eq!(client.run(["STRLEN", "greeting"])?, Reply::Integer(5));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the writes cannot be made safe, their outcome is unknown; [`Error::Closed`], [`Error::InsideUpdate`].
    pub fn run<I>(&mut self, words: I) -> Result<Reply, Error>
    where
        I: IntoIterator<IntoIter: ExactSizeIterator, Item: AsRef<[u8]>>,
    {
        let mut request = Vec::new();
        encode_request(&mut request, words);
        let mut decoder = RequestDecoder::new();
        let Ok(Decoded::Request { .. }) = decoder.decode(&request, &Limits::default()) else {
            return Ok(Reply::Error(b"ERR Protocol error: no command, or one that is too long".to_vec()));
        };
        let args = decoder.args(&request);
        let Self { client, scratch, parker, shared } = self;
        let reply = shared.run(|open| {
            let instance = &open.instance;
            let env = Env {
                instance,
                network: &NoNetwork,
                tally: &instance.embedded,
                now_ms: now_ms(),
                host: parker,
                may_sleep: true,
            };
            let (mut awaited, mut gave_up) = (Seq::ZERO, None);
            let reply = command::resolve(args, client, instance).and_then(|resolved| {
                command::wait_for_room(resolved, args, client, instance);
                let later = vast::later();
                let mut outcome = command::execute(resolved, args, client, &env, scratch);
                drop(later);
                let wait = open.closures.wait();
                let outcome = loop {
                    match outcome {
                        Ok(outcome) => break outcome,
                        Err(begun) => {
                            if begun.waits_for_others() {
                                command::sleep_until(parker, begun.deadline());
                            } else if let Err(error) = wait.sleep(parker, || begun.waits_for()) {
                                gave_up = Some(error);
                                *scratch = Scratch::default();
                                return Ok(command::Reply::Nothing);
                            }
                            let _later = vast::later();
                            outcome = command::go_on(begun, args, client, &env, scratch, &mut 0);
                        }
                    }
                };
                awaited = outcome.committed.awaited(instance.data.reads_wait());
                outcome.reply
            });
            if matches!(reply, Err(CommandError::Closed)) {
                return Err(Error::Closed);
            }
            if let Some(error) = gave_up {
                return Err(error);
            }
            open.wait_for(awaited)?;
            Ok::<_, Error>(reply)
        })?;
        let mut out = Vec::new();
        let mut encoder = Encoder::new(&mut out, self.client.protocol);
        match reply {
            Ok(reply) => reply.encode(&mut encoder),
            Err(error) => encoder.error(error.text()),
        }
        // What was encoded here decodes, unless there is no reply (`SHUTDOWN`).
        Ok(ReplyDecoder::default().decode(&mut &out[..]).ok().flatten().unwrap_or(Reply::Null))
    }
}

impl std::fmt::Debug for LocalClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalClient").field("keyspace", &self.client.database).finish_non_exhaustive()
    }
}
