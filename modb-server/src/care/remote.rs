//! Asking the server that has the folder: the command `MODB` over RESP, and waiting until its task is over.
//!
//! Invariant: a task is only given to a server that says it serves this very folder.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use modb_net::resp::{ReplyDecoder, Value, encode_request};

use super::CareError;
use crate::config::Settings;
use crate::store::BackupKind;

/// How often the server is asked whether the task is over.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// A server that says nothing for so long is not there.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn backup(
    folder: &Path,
    target: &Path,
    kind: BackupKind,
    settings: &Settings,
) -> Result<(), CareError> {
    let mut task: Vec<&[u8]> = vec![b"MODB", b"BACKUP", target.as_os_str().as_encoded_bytes()];
    if kind == BackupKind::Full {
        task.push(b"FULL");
    }
    run(folder, settings, &task)
}

pub(super) fn compact(folder: &Path, settings: &Settings) -> Result<(), CareError> {
    run(folder, settings, &[b"MODB", b"COMPACT"])
}

fn run(folder: &Path, settings: &Settings, task: &[&[u8]]) -> Result<(), CareError> {
    let addr = address(settings);
    let no_server =
        |why: String| CareError::NoServer { folder: folder.to_path_buf(), addr: addr.clone(), why };
    let mut remote = Remote::connect(&addr).map_err(|e| no_server(e.to_string()))?;
    let password = settings.get("requirepass");
    if !password.is_empty() {
        remote.ask(&[b"AUTH", password.as_bytes()])?;
    }
    let served = remote.status()?.folder;
    if folder.canonicalize().is_ok_and(|folder| folder.as_os_str().as_encoded_bytes() != served) {
        let served = String::from_utf8_lossy(&served).into_owned();
        return Err(CareError::OtherServer { folder: folder.to_path_buf(), addr, served });
    }
    let Value::Integer(number) = remote.ask(task)? else {
        return Err(CareError::Refused("the number of the task is missing".to_owned()));
    };
    loop {
        let status = remote.status()?;
        match status.state.as_str() {
            _ if status.task != number => {
                return Err(CareError::Refused("another task was begun, the outcome is unknown".to_owned()));
            }
            "running" => thread::sleep(ASK_AGAIN),
            "done" => return Ok(()),
            _ => return Err(CareError::Refused(status.error)),
        }
    }
}

/// Where a server with these settings is reached from this machine.
fn address(settings: &Settings) -> String {
    let bind = settings.get("bind");
    let first = bind.split_whitespace().next().unwrap_or_default();
    let host = match first.trim_start_matches('-') {
        "" | "*" | "0.0.0.0" => "127.0.0.1",
        "::" | "::*" => "::1",
        host => host,
    };
    let port = settings.get("port");
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

struct Status {
    folder: Vec<u8>,
    task: i64,
    state: String,
    error: String,
}

/// One connection, one request at a time.
struct Remote {
    stream: TcpStream,
    decoder: ReplyDecoder,
    unread: Vec<u8>,
}

impl Remote {
    fn connect(addr: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, decoder: ReplyDecoder::default(), unread: Vec::new() })
    }

    /// The reply to a command; an error of the server is an error here.
    fn ask(&mut self, words: &[&[u8]]) -> Result<Value, CareError> {
        match self.call(words).map_err(|e| CareError::Refused(format!("the connection ended: {e}")))? {
            Value::Error(text) => Err(CareError::Refused(String::from_utf8_lossy(&text).into_owned())),
            reply => Ok(reply),
        }
    }

    fn call(&mut self, words: &[&[u8]]) -> std::io::Result<Value> {
        let mut wire = Vec::new();
        encode_request(&mut wire, words.iter().copied());
        self.stream.write_all(&wire)?;
        let mut chunk = [0; 4096];
        loop {
            let mut input = &self.unread[..];
            let reply = self.decoder.decode(&mut input).map_err(std::io::Error::other)?;
            let used = self.unread.len() - input.len();
            self.unread.drain(..used);
            if let Some(reply) = reply {
                return Ok(reply);
            }
            match self.stream.read(&mut chunk)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                n => self.unread.extend_from_slice(&chunk[..n]),
            }
        }
    }

    fn status(&mut self) -> Result<Status, CareError> {
        let reply = self.ask(&[b"MODB", b"STATUS"])?;
        let Value::Array(fields) = reply else {
            return Err(CareError::Refused("the status is no map".to_owned()));
        };
        let find = |name: &str| {
            let mut pairs = fields.chunks_exact(2);
            pairs.find(|pair| pair[0].as_bytes() == Some(name.as_bytes())).map(|pair| &pair[1])
        };
        let bytes = |name: &str| find(name).and_then(Value::as_bytes).unwrap_or_default();
        let text = |name: &str| String::from_utf8_lossy(bytes(name)).into_owned();
        let task = match find("task") {
            Some(Value::Integer(number)) => *number,
            _ => 0,
        };
        Ok(Status { folder: bytes("folder").to_vec(), task, state: text("state"), error: text("error") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_sought_where_its_settings_say() {
        let settings = Settings::default();
        for (bind, expected) in
            [("127.0.0.1 -::1", "127.0.0.1:7"), ("0.0.0.0", "127.0.0.1:7"), ("-::1", "[::1]:7")]
        {
            settings.set("bind", bind).unwrap();
            settings.set("port", "7").unwrap();
            assert_eq!(address(&settings), expected);
        }
    }
}
