//! Which server, and as whom: the options that every command of `modb-client` has, and what the environment says.

use modb_client::terminal::{Given, Group, UsageError};
use modb_client::{Config, Protocol};

/// Where a password may stand so that other users do not see it; the first one has the last word.
const PASSWORD_VARIABLES: [&str; 2] = ["MODB_PASSWORD", "REDISCLI_AUTH"];

/// An option that says which server, or as whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerOption {
    Host,
    Port,
    Url,
    Password,
    User,
    Database,
    /// For scripts that were written for redis-cli: there is no warning to suppress.
    NoAuthWarning,
}

impl ServerOption {
    /// All of them, as ids of a command.
    pub(crate) fn group<Id>(id: fn(Self) -> Id, port: &'static str) -> Group<Id> {
        Group::new("Server")
            .with(id(Self::Host), "-h, --host HOST", "its name or address [127.0.0.1]")
            .with(id(Self::Port), "-p, --port PORT", port)
            .with(
                id(Self::Url),
                "-u, --url URL",
                "all of it: modb:// or redis://[[user]:password@]host[:port][/database]",
            )
            .with(
                id(Self::Password),
                "-a, --pass PASSWORD",
                "authenticate; better in the environment, as MODB_PASSWORD or REDISCLI_AUTH",
            )
            .with(id(Self::User), "--user NAME", "authenticate as this user")
            .with(id(Self::Database), "-n, --database N", "select the database of this number [0]")
            .with_hidden(id(Self::NoAuthWarning), "--no-auth-warning")
    }
}

/// The server that the arguments name.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) config: Config,
    /// If the arguments say.
    pub(crate) port: Option<u16>,
    /// If the arguments say.
    pub(crate) protocol: Option<Protocol>,
    has_read_timeout: bool,
}

impl Target {
    /// What is so unless the arguments say otherwise.
    pub(crate) fn new(password: Option<String>) -> Self {
        let mut config = Config::default();
        config.password = password;
        Self { config, port: None, protocol: None, has_read_timeout: false }
    }

    /// Takes an option.
    ///
    /// # Errors
    /// Its value makes no sense.
    pub(crate) fn take<Id: Copy>(
        &mut self,
        option: ServerOption,
        given: &Given<'_, Id>,
    ) -> Result<(), UsageError> {
        match option {
            ServerOption::Host => self.config.host = host(given)?,
            ServerOption::Port => self.port = Some(given.number(1, u16::MAX)?),
            ServerOption::Url => self.take_url(given.text()?)?,
            ServerOption::Password => {
                // What it is stays unsaid, also where it is wrong.
                let password = given.value().to_str();
                let password = password.ok_or_else(|| UsageError("the password is not UTF-8".to_owned()))?;
                self.config.password = Some(password.to_owned());
            }
            ServerOption::User => self.config.username = Some(given.text()?.to_owned()),
            ServerOption::Database => self.config.database = given.number(0, u32::MAX)?,
            ServerOption::NoAuthWarning => {}
        }
        Ok(())
    }

    fn take_url(&mut self, url: &str) -> Result<(), UsageError> {
        let password = self.config.password.take();
        let config: Config =
            url.parse().map_err(|error: modb_client::Error| UsageError(error.to_string()))?;
        self.config = config;
        self.config.password = self.config.password.take().or(password);
        self.port = Some(self.config.port);
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let names = |name: &str| query.split('&').any(|option| option.split('=').next() == Some(name));
        if names("protocol") {
            self.protocol = Some(self.config.protocol);
        }
        self.has_read_timeout = names("read_timeout_ms");
        Ok(())
    }

    /// How to connect: to `port`, speaking `protocol`, if the arguments do not say.
    ///
    /// # Errors
    /// A user without a password.
    pub(crate) fn into_config(self, port: u16, protocol: Protocol) -> Result<Config, UsageError> {
        let mut config = self.config;
        if config.username.is_some() && config.password.is_none() {
            return Err(UsageError(
                "a user needs a password: -a, or MODB_PASSWORD in the environment".to_owned(),
            ));
        }
        config.port = self.port.unwrap_or(port);
        config.protocol = self.protocol.unwrap_or(protocol);
        // Commands may block for as long as they like: whoever waits can press Ctrl-C.
        config.read_timeout = config.read_timeout.filter(|_| self.has_read_timeout);
        Ok(config)
    }
}

/// The password of the environment, if it has one.
pub(crate) fn password_in_environment() -> Option<String> {
    PASSWORD_VARIABLES.iter().find_map(|name| std::env::var(name).ok())
}

/// A name or an address, which may stand in brackets.
fn host<Id: Copy>(given: &Given<'_, Id>) -> Result<String, UsageError> {
    let text = given.text()?;
    let in_brackets = text.strip_prefix('[').and_then(|text| text.split_once(']'));
    match in_brackets {
        Some((address, "")) if !address.is_empty() => Ok(address.to_owned()),
        None if !text.is_empty() && !text.starts_with('[') && text.matches(':').count() != 1 => {
            Ok(text.to_owned())
        }
        _ => {
            Err(given.wrong("is not a name or an address, such as localhost or ::1; a port is given with -p"))
        }
    }
}
