//! `--scan`: the names of all keys, and the walk over them that others use too.

use modb_client::{Command, Connection, Error, Value};

use super::format::{Format, push_quoted};
use super::options::Options;
use super::{Failure, Outcome, print};

/// Prints the name of every key, one a line.
pub(crate) fn run(options: &Options) -> Result<Outcome, Failure> {
    let mut connection = Connection::open(&options.config)?;
    each_batch(&mut connection, options, |_, keys| {
        let mut text = Vec::new();
        for key in keys {
            match options.format {
                Format::Human(look) => {
                    push_quoted(&mut text, &key, look.charset);
                    text.push(b'\n');
                }
                format => format.write(&mut text, &Value::Bulk(key)),
            }
        }
        print(&text)
    })?;
    Ok(Outcome::Ok)
}

/// Calls `visit` with the names of all keys, some at a time. A key may come twice, as SCAN has it.
pub(super) fn each_batch(
    connection: &mut Connection,
    options: &Options,
    mut visit: impl FnMut(&mut Connection, Vec<Vec<u8>>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut cursor = b"0".to_vec();
    loop {
        let mut scan = Command::new("SCAN").arg(&cursor).arg("COUNT").arg(options.scan_count);
        if let Some(pattern) = &options.pattern {
            scan = scan.arg("MATCH").arg(pattern);
        }
        let keys: Vec<Vec<u8>>;
        (cursor, keys) = connection.call(scan).map_err(|error: Error| error)?;
        visit(connection, keys)?;
        if cursor == b"0" {
            return Ok(());
        }
        if let Some(interval) = options.interval {
            std::thread::sleep(interval);
        }
    }
}
