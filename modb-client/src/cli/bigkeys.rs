//! `--bigkeys` and `--memkeys`: the largest key of each type, and how many keys of each type there are.
//!
//! Sizes are what the type counts, bytes of a string, elements of the others; or the memory that a key takes. The server is
//! asked in batches.

use std::collections::BTreeMap;

use modb_client::terminal::{Bar, Charset};
use modb_client::{Command, Connection, FromValue, Pipeline, Value};

use super::format::push_quoted;
use super::options::{Mode, Options};
use super::{Failure, Outcome, print, scan};

/// The types that have a size: their command for it, and what it counts.
const SIZES: [(&str, &str, &str); 6] = [
    ("string", "STRLEN", "bytes"),
    ("list", "LLEN", "elements"),
    ("set", "SCARD", "members"),
    ("zset", "ZCARD", "members"),
    ("hash", "HLEN", "fields"),
    ("stream", "XLEN", "entries"),
];

/// What was found of one type.
#[derive(Debug, Default)]
struct Found {
    keys: u64,
    total_size: u64,
    largest: Option<(u64, Vec<u8>)>,
}

/// Looks at every key, then prints the summary.
pub(crate) fn run(options: &Options) -> Result<Outcome, Failure> {
    let mut connection = Connection::open(&options.config)?;
    let total: u64 = connection.call(["DBSIZE"])?;
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    let mut seen = 0u64;
    let mut bar = Bar::new(false);
    scan::each_batch(&mut connection, options, |connection, keys| {
        seen += keys.len() as u64;
        look_at(connection, keys, options, &mut found)?;
        let done = seen as f64 / total.max(1) as f64;
        bar.show("looking at keys", Some(done), &[format!("{seen} of about {total}")]);
        Ok(())
    })?;
    bar.clear();
    print(&summary(options.mode, seen, &found, Charset::of_environment()))?;
    Ok(Outcome::Ok)
}

fn look_at(
    connection: &mut Connection,
    keys: Vec<Vec<u8>>,
    options: &Options,
    found: &mut BTreeMap<String, Found>,
) -> Result<(), Failure> {
    let mut types = Pipeline::new();
    for key in &keys {
        types.push(Command::new("TYPE").arg(key));
    }
    let mut sizes = Pipeline::new();
    let mut asked = Vec::new();
    for (key, reply) in keys.into_iter().zip(connection.run(&types)?) {
        let Ok(kind) = reply.map_err(Into::into).and_then(String::from_value) else { continue };
        if kind == "none" {
            continue; // It has gone since.
        }
        match size(&kind, &key, options) {
            Some(command) => {
                sizes.push(command);
                asked.push((kind, key));
            }
            None => found.entry(kind).or_default().keys += 1,
        }
    }
    for ((kind, key), reply) in asked.into_iter().zip(connection.run(&sizes)?) {
        // An error: the key has got another type since.
        let Ok(Value::Integer(size)) = reply else { continue };
        let size = size.unsigned_abs();
        let found = found.entry(kind).or_default();
        found.keys += 1;
        found.total_size += size;
        if found.largest.as_ref().is_none_or(|(largest, _)| size > *largest) {
            found.largest = Some((size, key));
        }
    }
    Ok(())
}

/// What tells how large a key is, if anything does.
fn size(kind: &str, key: &[u8], options: &Options) -> Option<Command> {
    if options.mode == Mode::MemKeys {
        let command = Command::new("MEMORY").arg("USAGE").arg(key);
        return Some(match options.samples {
            Some(samples) => command.arg("SAMPLES").arg(samples),
            None => command,
        });
    }
    let (_, command, _) = SIZES.iter().find(|(name, ..)| *name == kind)?;
    Some(Command::new(*command).arg(key))
}

fn summary(mode: Mode, seen: u64, found: &BTreeMap<String, Found>, charset: Charset) -> Vec<u8> {
    let mut text = format!("{seen} keys\n").into_bytes();
    for (kind, Found { keys, total_size, largest }) in found {
        let unit = match mode {
            Mode::MemKeys => "bytes of memory",
            _ => SIZES.iter().find(|(name, ..)| name == kind).map_or("", |(_, _, unit)| unit),
        };
        text.extend_from_slice(format!("{kind:<8}{keys:>10} keys").as_bytes());
        if let Some((size, key)) = largest {
            let average = *total_size as f64 / *keys as f64;
            let sizes = format!(", {total_size} {unit}, {average:.1} on average; {size} in the largest, ");
            text.extend_from_slice(sizes.as_bytes());
            push_quoted(&mut text, key, charset);
        }
        text.push(b'\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_the_largest_of_each_type() {
        let found = BTreeMap::from([
            ("list".to_owned(), Found { keys: 2, total_size: 5, largest: Some((4, b"l".to_vec())) }),
            ("odd".to_owned(), Found { keys: 1, ..Found::default() }),
        ]);
        let expected = "3 keys\n\
            list             2 keys, 5 elements, 2.5 on average; 4 in the largest, \"l\"\n\
            odd              1 keys\n";
        assert_eq!(String::from_utf8(summary(Mode::BigKeys, 3, &found, Charset::Unicode)).unwrap(), expected);
        let of_memory = String::from_utf8(summary(Mode::MemKeys, 3, &found, Charset::Unicode)).unwrap();
        assert!(of_memory.contains("5 bytes of memory, 2.5 on average"), "{of_memory}");
    }
}
