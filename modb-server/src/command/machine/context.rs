//! What a command works with: the data as it sees them, who asks, what all share.

use super::client::Client;
use super::instance::{Instance, Network};
use crate::command::language::error::{CommandError, Work};
use crate::command::language::reply::Reply;
use crate::data::Tx;

/// What a command works with.
pub struct Ctx<'c, 'd> {
    /// The data, as this command sees it.
    pub tx: &'c mut Tx<'d>,
    /// Who asks.
    pub client: &'c mut Client,
    /// What all connections share.
    pub instance: &'c Instance,
    /// The other connections.
    pub network: &'c dyn Network,
}

impl Ctx<'_, '_> {
    /// Fails unless the option `enable-WHAT-command` allows this client to use `command`.
    pub(crate) fn check_enabled(&self, what: &str, command: &str) -> Result<(), CommandError> {
        let option = format!("enable-{what}-command");
        let enabled = self.instance.settings.get(&option);
        if enabled == "yes" || (enabled == "local" && self.client.info.is_local()) {
            return Ok(());
        }
        Err(format!(
            "ERR {command} command not allowed. If the {option} option is set to \"local\", you can run it from a \
             local connection, otherwise you need to set this option in the configuration file, and then restart \
             the server."
        )
        .into())
    }

    /// The database that the client has selected.
    pub fn db(&self) -> u32 {
        self.client.database
    }
}

/// For what takes long: see [`CommandError::InThread`].
pub(crate) fn in_thread(
    work: impl FnOnce() -> Result<Reply, CommandError> + Send + 'static,
) -> Result<Reply, CommandError> {
    Err(CommandError::InThread(Work::new(work)))
}
