//! Transactions: many requests as one, which others see whole or not at all. For both, the requests go out in one round trip.
//!
//! Invariant: after a call the connection is in no transaction and watches nothing, or it is lost.

use modb_net::resp::Value;

use crate::connection::Connection;
use crate::error::{Error, Result, ServerError};
use crate::pipeline::Pipeline;

/// The replies of a transaction, one for each request, in order.
pub type Replies = Vec<std::result::Result<Value, ServerError>>;

impl Connection {
    /// Has all requests of `pipeline` executed as one transaction (`MULTI`, `EXEC`) and gives their replies. One that fails when it is
    /// executed leaves the others done, as its reply says.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), modb_client::Error> {
    /// # let mut connection = modb_client::Connection::open(&"modb://127.0.0.1".parse()?)?;
    /// let mut transfer = modb_client::Pipeline::new();
    /// transfer.push(["DECRBY", "from", "3"]).push(["INCRBY", "to", "3"]);
    /// connection.run_atomic(&transfer)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Server`] if the server does not take one of the requests, or the transaction; then nothing was done. Those that lose the
    /// connection; whether it was executed is then unknown.
    pub fn run_atomic(&mut self, pipeline: &Pipeline) -> Result<Replies> {
        // Without a watched key nothing breaks it.
        self.execute(pipeline)?.ok_or(Error::Server(ServerError::new(b"ERR the transaction was broken")))
    }

    /// Changes keys by what they hold, as one: watches `keys`, has `prepare` read them and write into the pipeline what is to be done, and
    /// has that executed as one transaction, unless somebody has changed one of the keys meanwhile: then it begins anew, as often as
    /// it takes. Of several who contend one goes on each time.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), modb_client::Error> {
    /// # let mut connection = modb_client::Connection::open(&"modb://127.0.0.1".parse()?)?;
    /// connection.transaction(["highest"], |connection, then| {
    ///     let highest: Option<i64> = connection.call(["GET", "highest"])?;
    ///     if highest.is_none_or(|highest| highest < 7) {
    ///         then.push(["SET", "highest", "7"]);
    ///     }
    ///     Ok::<_, modb_client::Error>(())
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What `prepare` fails with: then nothing is done. As [`Connection::run_atomic`].
    pub fn transaction<K: AsRef<[u8]>, E: From<Error>>(
        &mut self,
        keys: impl IntoIterator<Item = K>,
        mut prepare: impl FnMut(&mut Self, &mut Pipeline) -> std::result::Result<(), E>,
    ) -> std::result::Result<Replies, E> {
        let mut watch: Vec<Vec<u8>> = vec![b"WATCH".to_vec()];
        watch.extend(keys.into_iter().map(|key| key.as_ref().to_vec()));
        loop {
            if watch.len() > 1 {
                self.call::<()>(&watch)?;
            }
            let mut then = Pipeline::new();
            if let Err(error) = prepare(self, &mut then) {
                // A lost one watches nothing.
                if self.is_usable() {
                    self.call::<()>(["UNWATCH"])?;
                }
                return Err(error);
            }
            if let Some(replies) = self.execute(&then)? {
                return Ok(replies);
            }
        }
    }

    /// `None`: somebody has changed a watched key.
    fn execute(&mut self, pipeline: &Pipeline) -> Result<Option<Replies>> {
        let mut whole = Pipeline::new();
        whole.push(["MULTI"]).append(pipeline).push(["EXEC"]);
        let mut answers = self.run(&whole)?;
        let executed = answers.pop().unwrap_or(Ok(Value::Null));
        // What the server has against one of them says more than that it executes none.
        if let Some(refusal) = answers.into_iter().find_map(std::result::Result::err) {
            return Err(refusal.into());
        }
        match executed? {
            Value::Null => Ok(None),
            Value::Array(replies) => Ok(Some(replies.into_iter().map(settled).collect())),
            other => Err(crate::from_value::unexpected("the replies of a transaction", &other)),
        }
    }
}

fn settled(value: Value) -> std::result::Result<Value, ServerError> {
    match value.without_attributes() {
        Value::Error(text) => Err(ServerError::new(&text)),
        other => Ok(other),
    }
}
