//! What the file `FORMAT` of a data folder says: the version, the engine, and, of a folder that came to an end, that end.
//! Pure.
//!
//! ```text
//! modb 3 log                         a folder in use, or one whose process was killed
//!
//! modb 3 log ended                   a copy, or a folder that was closed
//! commit 1234                        the last commit in it
//! counter 2 100                      the counters then, by number
//! file 7183 0f1e2d3c tables/1        a file of it: bytes, CRC-32C in hex or -, name
//! crc32c 89abcdef                    of all lines before
//! ```
//!
//! Invariant: what is stated is all or nothing. The first line says whether an end follows, so one that was cut off or changed
//! is told from a folder that states none.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Counter;
use super::options::EngineKind;

/// The content of `FORMAT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) version: u32,
    pub(crate) engine: EngineKind,
    pub(crate) end: Option<End>,
}

/// Where a folder ended: what must be there when somebody opens it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) commit: u64,
    /// Those that are not 0.
    pub(crate) counters: BTreeMap<Counter, i64>,
    pub(crate) files: Vec<EndFile>,
}

/// A file of a folder that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndFile {
    /// Below the folder, with `/` between names.
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// The CRC-32C of its bytes; files with checksums of their own may have none here.
    pub(crate) crc: Option<u32>,
}

/// Why `FORMAT` cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Not a line of ours.
    Foreign(String),
    /// A version that this program does not know yet.
    Newer(String),
    /// An end was stated, and it is not whole.
    EndDamaged,
}

impl Format {
    /// That of a folder which `engine` makes now.
    pub(crate) fn of(engine: EngineKind, end: Option<End>) -> Self {
        Self { version: engine.format_version(), engine, end }
    }

    pub(crate) fn first_line(&self) -> String {
        let ended = if self.end.is_some() { " ended" } else { "" };
        format!("modb {} {}{ended}", self.version, self.engine.name())
    }

    pub(crate) fn encode(&self) -> String {
        let mut text = self.first_line() + "\n";
        let Some(end) = &self.end else { return text };
        let _ = writeln!(text, "commit {}", end.commit);
        for (counter, value) in &end.counters {
            let _ = writeln!(text, "counter {} {value}", counter.0);
        }
        for file in &end.files {
            let crc = file.crc.map_or_else(|| "-".to_owned(), |crc| format!("{crc:08x}"));
            let _ = writeln!(text, "file {} {crc} {}", file.bytes, file.name);
        }
        let crc = crc32c::crc32c(text.as_bytes());
        let _ = writeln!(text, "crc32c {crc:08x}");
        text
    }

    pub(crate) fn decode(text: &str) -> Result<Self, Unread> {
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let foreign = || Unread::Foreign(first.chars().take(100).collect());
        let words: Vec<&str> = first.split(' ').collect();
        let ["modb", version, engine, ref state @ ..] = words[..] else { return Err(foreign()) };
        let version: u32 = version.parse().map_err(|_| foreign())?;
        let engine: EngineKind = engine.parse().map_err(|_| foreign())?;
        if version > engine.format_version() {
            return Err(Unread::Newer(first.to_owned()));
        }
        match (state, rest) {
            ([], "") if text.ends_with('\n') => Ok(Self { version, engine, end: None }),
            (["ended"], _) => {
                let end = End::decode(text).ok_or(Unread::EndDamaged)?;
                let format = Self { version, engine, end: Some(end) };
                // There is one way to write it.
                if format.encode() == text { Ok(format) } else { Err(Unread::EndDamaged) }
            }
            _ => Err(foreign()),
        }
    }
}

impl End {
    fn decode(text: &str) -> Option<Self> {
        let lines = text.strip_suffix('\n')?;
        let (covered, last) = lines.split_at(lines.rfind('\n')? + 1);
        let crc = u32::from_str_radix(last.strip_prefix("crc32c ")?, 16).ok()?;
        if crc != crc32c::crc32c(covered.as_bytes()) {
            return None;
        }
        let mut end = Self::default();
        for line in covered.lines().skip(1) {
            let (kind, rest) = line.split_once(' ')?;
            match kind {
                "commit" => end.commit = rest.parse().ok()?,
                "counter" => {
                    let (counter, value) = rest.split_once(' ')?;
                    end.counters.insert(Counter(counter.parse().ok()?), value.parse().ok()?);
                }
                "file" => {
                    let (bytes, rest) = rest.split_once(' ')?;
                    let (crc, name) = rest.split_once(' ').filter(|(_, name)| lies_inside(name))?;
                    let crc = if crc == "-" { None } else { Some(u32::from_str_radix(crc, 16).ok()?) };
                    end.files.push(EndFile { name: name.to_owned(), bytes: bytes.parse().ok()?, crc });
                }
                _ => return None,
            }
        }
        Some(end)
    }
}

/// Whether a name leads to a place below the folder, on every system: a copy goes where it says.
fn lies_inside(name: &str) -> bool {
    let odd = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains(['\\', ':', '\0']);
    !name.split('/').any(odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended() -> Format {
        let files = vec![
            EndFile { name: "log/log-000001".to_owned(), bytes: 5000, crc: Some(0xab) },
            EndFile { name: "tables/tables/1".to_owned(), bytes: 70, crc: None },
        ];
        let counters = [(Counter(2), -7), (Counter(3), 9)].into();
        Format::of(EngineKind::Log, Some(End { commit: 12, counters, files }))
    }

    #[test]
    fn a_format_reads_back_with_its_end_and_without() {
        for format in [ended(), Format { end: None, ..ended() }, Format::of(EngineKind::Fjall, None)] {
            assert_eq!(Format::decode(&format.encode()), Ok(format));
        }
        for version in [1, 2] {
            assert_eq!(Format::decode(&format!("modb {version} log\n")).unwrap().version, version);
        }
    }

    #[test]
    fn an_end_that_was_cut_or_changed_anywhere_is_never_taken_for_none() {
        let text = ended().encode();
        for length in 0..text.len() {
            assert!(Format::decode(&text[..length]).is_err(), "{:?}", &text[..length]);
        }
        for at in 0..text.len() {
            for bit in 0..7 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let changed = Format::decode(std::str::from_utf8(&bytes).unwrap());
                assert!(changed.is_err(), "bit {bit} of byte {at}: {changed:?}");
            }
        }
    }

    #[test]
    fn a_file_outside_of_the_folder_is_nobodys() {
        for name in ["/etc/passwd", "../x", "a/../../x", "c:x", "a\\..\\x", "", "a//b"] {
            let mut format = ended();
            format.end.as_mut().unwrap().files[0].name = name.to_owned();
            assert_eq!(Format::decode(&format.encode()), Err(Unread::EndDamaged), "{name:?}");
        }
    }

    #[test]
    fn a_later_version_is_newer_and_other_bytes_are_foreign() {
        assert_eq!(Format::decode("modb 4 log\n"), Err(Unread::Newer("modb 4 log".to_owned())));
        assert_eq!(Format::decode("modb 4 log odd\nx"), Err(Unread::Newer("modb 4 log odd".to_owned())));
        for foreign in ["", "modb", "modb x log\n", "modb 1 papyrus\n", "modb 3 log\nmore\n", "MODB 3 log\n"]
        {
            assert!(matches!(Format::decode(foreign), Err(Unread::Foreign(_))), "{foreign:?}");
        }
    }
}
