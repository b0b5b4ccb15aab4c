//! What the server says about its commands: the reply to COMMAND DOCS. Pure.

use std::collections::{BTreeMap, BTreeSet};

use modb_client::{FromValue, Value};

/// All commands by their names in lower case; a subcommand is `config get`.
#[derive(Debug, Default)]
pub(super) struct Docs {
    commands: BTreeMap<String, Doc>,
}

/// One command.
#[derive(Debug, Default)]
pub(super) struct Doc {
    pub(super) summary: String,
    pub(super) since: String,
    pub(super) group: String,
    pub(super) complexity: String,
    pub(super) arguments: Vec<Argument>,
}

/// One argument, which may be made of others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Argument {
    /// What to show for the value.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Whether its value is the name of a key.
    pub(super) is_key: bool,
    /// The word that stands before it, or that it is.
    pub(super) token: Option<String>,
    pub(super) is_optional: bool,
    pub(super) is_multiple: bool,
    /// Whether the token is repeated with each value.
    pub(super) repeats_token: bool,
    pub(super) parts: Vec<Argument>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Value,
    /// Nothing but its token.
    Token,
    /// One of its parts.
    OneOf,
    /// All of its parts.
    Block,
}

impl Docs {
    /// Reads the reply. What is not understood is left out: docs are a help, not a condition.
    pub(super) fn from_reply(reply: Value) -> Self {
        let mut docs = Self::default();
        docs.add(reply, None);
        docs
    }

    fn add(&mut self, commands: Value, parent: Option<&str>) {
        for (name, doc_fields) in fields(commands) {
            // A subcommand is named `config|get` in the reply.
            let name = name.to_lowercase().replace('|', " ");
            let name = match parent {
                Some(parent) if !name.starts_with(parent) => format!("{parent} {name}"),
                _ => name,
            };
            let mut doc = Doc::default();
            for (field, value) in fields(doc_fields) {
                match field.as_str() {
                    "summary" => doc.summary = text(value),
                    "since" => doc.since = text(value),
                    "group" => doc.group = text(value),
                    "complexity" => doc.complexity = text(value),
                    "arguments" => doc.arguments = arguments(value),
                    "subcommands" => self.add(value, Some(&name)),
                    _ => {}
                }
            }
            self.commands.insert(name, doc);
        }
    }

    /// The command that `words` begin with, and how many of them are its name.
    pub(super) fn find<W: AsRef<[u8]>>(&self, words: &[W]) -> Option<(&str, &Doc, usize)> {
        let name = |count: usize| {
            let words: Option<Vec<&str>> =
                words.get(..count)?.iter().map(|word| std::str::from_utf8(word.as_ref()).ok()).collect();
            Some(words?.join(" ").to_lowercase())
        };
        [2, 1].into_iter().find_map(|count| {
            let (name, doc) = self.commands.get_key_value(&name(count)?)?;
            Some((name.as_str(), doc, count))
        })
    }

    /// The names that begin with `start` (in lower case), in order.
    pub(super) fn names_from<'a>(&'a self, start: &'a str) -> impl Iterator<Item = &'a str> {
        self.commands
            .range(start.to_owned()..)
            .map(|(name, _)| name.as_str())
            .take_while(move |name| name.starts_with(start))
    }

    /// The commands of a group, in upper case and in order.
    pub(super) fn of_group(&self, group: &str) -> Vec<String> {
        let of_it = self.commands.iter().filter(|(_, doc)| doc.group == group);
        of_it.map(|(name, _)| name.to_uppercase()).collect()
    }

    /// The groups that commands are in, in order.
    pub(super) fn groups(&self) -> impl Iterator<Item = &str> {
        let groups: BTreeSet<&str> = self.commands.values().map(|doc| doc.group.as_str()).collect();
        groups.into_iter().filter(|group| !group.is_empty())
    }

    /// How many commands are known.
    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }
}

/// The pairs of a map, in either protocol.
fn fields(value: Value) -> Vec<(String, Value)> {
    let map = BTreeMap::<String, Value>::from_value(value);
    map.map(|map| map.into_iter().collect()).unwrap_or_default()
}

fn text(value: Value) -> String {
    String::from_value(value).unwrap_or_default()
}

fn arguments(value: Value) -> Vec<Argument> {
    let items = Vec::<Value>::from_value(value).unwrap_or_default();
    items.into_iter().map(argument).collect()
}

fn argument(value: Value) -> Argument {
    let mut argument = Argument::default();
    let mut display = None;
    for (field, value) in fields(value) {
        match field.as_str() {
            "name" => argument.name = text(value),
            "display_text" => display = Some(text(value)),
            "token" => argument.token = Some(text(value)),
            "type" => {
                let kind = text(value);
                argument.is_key = kind == "key";
                argument.kind = match kind.as_str() {
                    "pure-token" => Kind::Token,
                    "oneof" => Kind::OneOf,
                    "block" => Kind::Block,
                    _ => Kind::Value,
                }
            }
            "arguments" => argument.parts = arguments(value),
            "flags" => {
                for flag in Vec::<String>::from_value(value).unwrap_or_default() {
                    match flag.as_str() {
                        "optional" => argument.is_optional = true,
                        "multiple" => argument.is_multiple = true,
                        "multiple_token" => argument.repeats_token = true,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    if argument.kind == Kind::Value {
        argument.name = display.unwrap_or(argument.name);
    }
    argument
}
