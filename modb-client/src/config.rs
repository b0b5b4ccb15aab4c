//! Where and how to connect: options, and URLs. Pure.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use modb_net::resp::{Protocol, ReplyLimits};

use crate::error::Error;

/// How to connect to a server.
///
/// Also made from a URL: `modb://[[user]:password@]host[:port][/database][?option=value&...]`. The scheme `redis`
/// means the same. Options: `protocol` (2 or 3), `connect_timeout_ms`, `read_timeout_ms`, `write_timeout_ms`
/// (0: none). User and password are percent-decoded; an IPv6 address stands in brackets.
///
/// ```
/// let config: modb_client::Config = "modb://:secret@localhost:7000/2?protocol=2".parse()?;
/// assert_eq!((config.port, config.database), (7000, 2));
/// # Ok::<(), modb_client::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// A name or an address; one in brackets is taken without them.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// The path of a Unix-domain socket, which stands instead of host and port. Not every system has these.
    pub socket: Option<PathBuf>,
    /// Who to be; without one, `password` is that of the user `default`.
    pub username: Option<String>,
    /// Sent with `AUTH` or `HELLO`.
    pub password: Option<String>,
    /// The database to select.
    pub database: u32,
    /// Which protocol to speak.
    pub protocol: Protocol,
    /// How long to try each address of the host, and after that, how long the server may take for each answer to what
    /// a new connection begins with: hello, password, database.
    pub connect_timeout: Duration,
    /// How long to wait for each reply; `None`: for ever (needed for commands that block).
    pub read_timeout: Option<Duration>,
    /// How long the server may refuse to take more of a request; `None`: for ever.
    pub write_timeout: Option<Duration>,
    /// What replies may cost.
    pub limits: ReplyLimits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 6379,
            socket: None,
            username: None,
            password: None,
            database: 0,
            protocol: Protocol::Resp3,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Some(Duration::from_secs(30)),
            write_timeout: Some(Duration::from_secs(30)),
            limits: ReplyLimits::default(),
        }
    }
}

impl Config {
    /// The defaults, for the server at `host` and `port`.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, ..Self::default() }
    }

    /// `host:port`, or the path of the socket, for messages.
    pub fn address(&self) -> String {
        if let Some(path) = &self.socket {
            return path.display().to_string();
        }
        let host = self.bare_host();
        if host.contains(':') { format!("[{host}]:{}", self.port) } else { format!("{host}:{}", self.port) }
    }

    /// The host without brackets.
    pub(crate) fn bare_host(&self) -> &str {
        let inner = self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        inner.unwrap_or(&self.host)
    }
}

/// Without the password.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("address", &self.address())
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("database", &self.database)
            .field("protocol", &self.protocol)
            .field("connect_timeout", &self.connect_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("write_timeout", &self.write_timeout)
            .field("limits", &self.limits)
            .finish()
    }
}

impl FromStr for Config {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self, Error> {
        parse(url).map_err(|reason| Error::Url { url: without_password(url), reason })
    }
}

fn parse(url: &str) -> Result<Config, &'static str> {
    let mut config = Config::default();
    let (scheme, rest) = url.split_once("://").ok_or("it does not begin with modb:// or redis://")?;
    match scheme {
        "modb" | "redis" => {}
        "rediss" | "modbs" => return Err("encrypted connections are not supported"),
        _ => return Err("the scheme must be modb or redis"),
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let address = match authority.rsplit_once('@') {
        None => authority,
        Some((user_info, address)) => {
            let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
            config.username = percent_decoded(user)?;
            config.password = percent_decoded(password)?;
            address
        }
    };
    let (host, port) = split_address(address)?;
    if !host.is_empty() {
        config.host = host.to_owned();
    }
    if let Some(port) = port {
        config.port = port.parse().map_err(|_| "the port is not a number up to 65535")?;
    }
    if !path.is_empty() {
        config.database = path.parse().map_err(|_| "the database is not a number")?;
    }
    for option in query.split('&').filter(|option| !option.is_empty()) {
        set_option(&mut config, option)?;
    }
    Ok(config)
}

fn split_address(address: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(rest) = address.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("the bracket of the address is not closed")?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err("only a port may follow the address"),
        };
    }
    Ok(match address.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (address, None),
    })
}

fn set_option(config: &mut Config, option: &str) -> Result<(), &'static str> {
    let (name, value) = option.split_once('=').ok_or("an option has no value")?;
    let timeout = || match value.parse() {
        Ok(0) => Ok(None),
        Ok(ms) => Ok(Some(Duration::from_millis(ms))),
        Err(_) => Err("a timeout is not a number of milliseconds"),
    };
    match name {
        "protocol" => {
            config.protocol = match value {
                "2" => Protocol::Resp2,
                "3" => Protocol::Resp3,
                _ => return Err("the protocol must be 2 or 3"),
            }
        }
        "connect_timeout_ms" => config.connect_timeout = timeout()?.unwrap_or(Duration::MAX),
        "read_timeout_ms" => config.read_timeout = timeout()?,
        "write_timeout_ms" => config.write_timeout = timeout()?,
        _ => {
            return Err("its options are protocol, connect_timeout_ms, read_timeout_ms and write_timeout_ms");
        }
    }
    Ok(())
}

/// `None` for nothing.
fn percent_decoded(text: &str) -> Result<Option<String>, &'static str> {
    const MALFORMED: &str = "a percent sign must be followed by two hexadecimal digits that make UTF-8";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = rest.split_off(..2).ok_or(MALFORMED)?;
        let digits = std::str::from_utf8(digits).map_err(|_| MALFORMED)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| MALFORMED)?);
    }
    let text = String::from_utf8(bytes).map_err(|_| MALFORMED)?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, address))) => format!("{scheme}://***@{address}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_sets_what_it_names() {
        let config: Config =
            "redis://an%40a:p%3aw@db.example:7001/3?protocol=2&read_timeout_ms=0&connect_timeout_ms=250"
                .parse()
                .unwrap();
        let expected = Config {
            username: Some("an@a".to_owned()),
            password: Some("p:w".to_owned()),
            database: 3,
            protocol: Protocol::Resp2,
            read_timeout: None,
            connect_timeout: Duration::from_millis(250),
            ..Config::new("db.example", 7001)
        };
        assert_eq!(config, expected);
        assert_eq!("modb://".parse::<Config>().unwrap(), Config::default());
        let v6: Config = "modb://[::1]:7".parse().unwrap();
        assert_eq!((v6.host.as_str(), v6.port, v6.address().as_str()), ("::1", 7, "[::1]:7"));
        assert_eq!(Config::new("[::1]", 7).address(), "[::1]:7");
    }

    #[test]
    fn a_wrong_url_is_refused_and_its_password_is_not_shown() {
        for url in [
            "localhost",
            "http://h",
            "rediss://h",
            "modb://h:x",
            "modb://h:70000",
            "modb://h/x",
            "modb://[::1",
            "modb://[::1]7",
            "modb://%4@h",
            "modb://h?x=1",
            "modb://h?protocol=4",
            "modb://h?protocol",
        ] {
            assert!(url.parse::<Config>().is_err(), "{url}");
        }
        let error = "modb://u:secret@h:x".parse::<Config>().unwrap_err().to_string();
        assert!(error.contains("***@h:x") && !error.contains("secret"), "{error}");
        let config: Config = "modb://u:secret@h".parse().unwrap();
        assert!(!format!("{config:?}").contains("secret"));
    }
}
