//! `--stat`: what the server does, a line per interval.

use std::collections::HashMap;
use std::time::Duration;

use modb_client::Client;
use modb_client::terminal::window::{self, Stream};

use super::options::Options;
use super::{Failure, Outcome, print};

const INTERVAL: Duration = Duration::from_secs(1);
/// The names of the columns are repeated after so many lines.
const LINES_PER_HEAD: u64 = 20;

/// The columns: what they tell, how wide they are, and how soon they are left out where the window is narrow.
const COLUMNS: [(&str, usize, u8); 6] = [
    ("keys", 10, 6),
    ("memory", 11, 3),
    ("clients", 9, 4),
    ("blocked", 9, 2),
    ("requests", 20, 5),
    ("connections", 13, 1),
];

/// Prints lines until it is interrupted, or as many as `-r` says.
pub(crate) fn run(options: &Options) -> Result<Outcome, Failure> {
    let mut client = Client::connect(options.config.clone())?;
    let lines = options.repeat.unwrap_or(u64::MAX);
    let mut last_requests = None;
    let mut line = 0;
    loop {
        let info: String = client.call(["INFO"])?;
        let keys: u64 = client.call(["DBSIZE"])?;
        let info = parse(&info);
        let number = |name| info.get(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let requests = number("total_commands_processed");
        let since = last_requests.map_or(0, |last| requests.saturating_sub(last));
        let columns = window::columns(Stream::Stdout).unwrap_or(window::DEFAULT_COLUMNS);
        let mut text = String::new();
        if line % LINES_PER_HEAD == 0 {
            text.push_str(&row(columns, COLUMNS.map(|(name, ..)| name.to_owned())));
        }
        let memory = info.get("used_memory_human").copied().unwrap_or("-").to_owned();
        let counts = ["connected_clients", "blocked_clients", "total_connections_received"]
            .map(|name| number(name).to_string());
        let [clients, blocked, connections] = counts;
        let requests_told = format!("{requests} (+{since})");
        let cells = [keys.to_string(), memory, clients, blocked, requests_told, connections];
        text.push_str(&row(columns, cells));
        print(text.as_bytes())?;
        last_requests = Some(requests);
        line += 1;
        if line >= lines {
            return Ok(Outcome::Ok);
        }
        std::thread::sleep(options.interval.unwrap_or(INTERVAL));
    }
}

/// A line of those columns that have room.
fn row(columns: usize, cells: [String; 6]) -> String {
    let mut kept = COLUMNS.to_vec();
    while kept.len() > 1 && kept.iter().map(|(_, width, _)| width).sum::<usize>() > columns {
        let least = kept.iter().map(|(.., rank)| *rank).min();
        kept.retain(|(.., rank)| Some(*rank) != least);
    }
    let shown = COLUMNS.iter().zip(cells).filter(|(column, _)| kept.contains(column));
    let line: String = shown.map(|((_, width, _), cell)| format!("{cell:>width$}")).collect();
    line + "\n"
}

/// The fields of the reply to INFO.
fn parse(info: &str) -> HashMap<&str, &str> {
    info.lines().filter_map(|line| line.split_once(':')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_window_keeps_what_matters_most() {
        let head = |columns| row(columns, COLUMNS.map(|(name, ..)| name.to_owned()));
        assert_eq!(head(80), "      keys     memory  clients  blocked            requests  connections\n");
        assert_eq!(head(50), "      keys     memory  clients            requests\n");
        assert_eq!(head(20), "      keys\n");
    }
}
