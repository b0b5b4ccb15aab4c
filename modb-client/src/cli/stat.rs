//! `--stat`: what the server does, a line per interval.

use std::collections::HashMap;
use std::time::Duration;

use modb_client::Client;

use super::options::Options;
use super::{Failure, Outcome, print};

const INTERVAL: Duration = Duration::from_secs(1);
/// The names of the columns are repeated after so many lines.
const LINES_PER_HEAD: u64 = 20;

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
        let mut text = String::new();
        if line % LINES_PER_HEAD == 0 {
            text.push_str("      keys     memory  clients  blocked            requests  connections\n");
        }
        text.push_str(&format!(
            "{keys:>10}{:>11}{:>9}{:>9}{:>20}{:>13}\n",
            info.get("used_memory_human").copied().unwrap_or("-"),
            number("connected_clients"),
            number("blocked_clients"),
            format!("{requests} (+{since})"),
            number("total_connections_received"),
        ));
        print(text.as_bytes())?;
        last_requests = Some(requests);
        line += 1;
        if line >= lines {
            return Ok(Outcome::Ok);
        }
        std::thread::sleep(options.interval.unwrap_or(INTERVAL));
    }
}

/// The fields of the reply to INFO.
fn parse(info: &str) -> HashMap<&str, &str> {
    info.lines().filter_map(|line| line.split_once(':')).collect()
}
