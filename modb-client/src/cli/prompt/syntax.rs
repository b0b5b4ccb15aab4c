//! The syntax of a command as text, and what is still missing of it while it is typed. Pure.

use std::collections::VecDeque;

use super::docs::{Argument, Kind};

/// All arguments, as in Redis's documentation: `key value [NX|XX] [EX seconds]`.
pub(super) fn syntax(arguments: &[Argument]) -> String {
    joined(arguments, " ")
}

/// What can follow after `words`, the arguments typed so far.
pub(super) fn missing<W: AsRef<[u8]>>(arguments: &[Argument], words: &[W]) -> String {
    let state = State::after(arguments, words);
    let mut texts: Vec<String> = state.values.iter().map(|name| (*name).to_owned()).collect();
    texts.extend(
        state.open.iter().map(|(argument, begun)| if *begun { repeated(argument) } else { shown(argument) }),
    );
    texts.join(" ")
}

/// The tokens that can be the next word after `words`.
pub(super) fn next_tokens<'a, W: AsRef<[u8]>>(arguments: &'a [Argument], words: &[W]) -> Vec<&'a str> {
    let state = State::after(arguments, words);
    let mut tokens = Vec::new();
    if state.values.is_empty() {
        state.open.iter().for_each(|(argument, _)| first_tokens(argument, &mut tokens));
    }
    tokens
}

/// Whether the next word after `words` is the name of a key.
pub(super) fn wants_key<W: AsRef<[u8]>>(arguments: &[Argument], words: &[W]) -> bool {
    let state = State::after(arguments, words);
    match state.values.front() {
        Some(name) => *name == "key",
        None => state
            .open
            .iter()
            .find(|(argument, _)| is_positional(argument))
            .is_some_and(|(next, _)| begins_with_key(next)),
    }
}

fn begins_with_key(argument: &Argument) -> bool {
    match argument.kind {
        Kind::Value => argument.is_key,
        Kind::Token => false,
        Kind::OneOf | Kind::Block => argument.parts.first().is_some_and(begins_with_key),
    }
}

/// What remains of the arguments.
struct State<'a> {
    /// Names of the values that the last token needs.
    values: VecDeque<&'a str>,
    /// Arguments that can still come; `true`: one that repeats has come once.
    open: Vec<(&'a Argument, bool)>,
}

impl<'a> State<'a> {
    fn after<W: AsRef<[u8]>>(arguments: &'a [Argument], words: &[W]) -> Self {
        let mut state =
            Self { values: VecDeque::new(), open: arguments.iter().map(|a| (a, false)).collect() };
        words.iter().for_each(|word| state.take(word.as_ref()));
        state
    }

    fn take(&mut self, word: &[u8]) {
        if self.values.pop_front().is_some() {
            return;
        }
        let by_token = self.open.iter().position(|(argument, _)| values_behind(argument, word).is_some());
        let taken = by_token.or_else(|| self.open.iter().position(|(argument, _)| is_positional(argument)));
        let Some(index) = taken else { return };
        let argument = self.open[index].0;
        self.values = match by_token {
            Some(_) => values_behind(argument, word).unwrap_or_default().into(),
            None => value_names(argument).into_iter().skip(1).collect(),
        };
        if argument.is_multiple {
            self.open[index].1 = true;
        } else {
            self.open.remove(index);
        }
    }
}

/// Whether it can begin with a value.
fn is_positional(argument: &Argument) -> bool {
    argument.token.is_none()
        && match argument.kind {
            Kind::Value => true,
            Kind::Token => false,
            Kind::OneOf => argument.parts.iter().any(is_positional),
            Kind::Block => argument.parts.first().is_some_and(is_positional),
        }
}

/// If `word` is a token that the argument can begin with: the names of the values behind it.
fn values_behind<'a>(argument: &'a Argument, word: &[u8]) -> Option<Vec<&'a str>> {
    if let Some(token) = &argument.token {
        let inner = || match argument.kind {
            Kind::Token => Vec::new(),
            _ => value_names(argument),
        };
        return token.as_bytes().eq_ignore_ascii_case(word).then(inner);
    }
    match argument.kind {
        Kind::OneOf => argument.parts.iter().find_map(|part| values_behind(part, word)),
        Kind::Block => {
            let (first, rest) = argument.parts.split_first()?;
            let mut names = values_behind(first, word)?;
            names.extend(rest.iter().filter(|part| !part.is_optional).flat_map(value_names));
            Some(names)
        }
        _ => None,
    }
}

/// The words that it takes besides its own token.
fn value_names(argument: &Argument) -> Vec<&str> {
    match argument.kind {
        Kind::Value => vec![&argument.name],
        Kind::Token => argument.token.as_deref().into_iter().collect(),
        Kind::OneOf => argument.parts.first().map(value_names).unwrap_or_default(),
        Kind::Block => argument.parts.iter().filter(|part| !part.is_optional).flat_map(value_names).collect(),
    }
}

fn first_tokens<'a>(argument: &'a Argument, tokens: &mut Vec<&'a str>) {
    match (&argument.token, argument.kind) {
        (Some(token), _) if !token.is_empty() => tokens.push(token),
        (_, Kind::OneOf) => argument.parts.iter().for_each(|part| first_tokens(part, tokens)),
        (_, Kind::Block) => {
            if let Some(first) = argument.parts.first() {
                first_tokens(first, tokens);
            }
        }
        _ => {}
    }
}

/// The argument with everything around it.
fn shown(argument: &Argument) -> String {
    let mut text = once(argument);
    if argument.is_multiple {
        text = format!("{text} {}", repeated(argument));
    }
    if argument.is_optional { format!("[{text}]") } else { text }
}

/// More of an argument that can come several times.
fn repeated(argument: &Argument) -> String {
    let text = if argument.repeats_token { once(argument) } else { inner(argument) };
    format!("[{text} ...]")
}

fn once(argument: &Argument) -> String {
    match &argument.token {
        Some(token) if argument.kind == Kind::Token => token.clone(),
        Some(token) => format!("{token} {}", inner(argument)),
        None => inner(argument),
    }
}

/// Without its own token.
fn inner(argument: &Argument) -> String {
    match argument.kind {
        Kind::Value => argument.name.clone(),
        Kind::Token => argument.token.clone().unwrap_or_default(),
        Kind::OneOf if argument.is_optional && argument.token.is_none() => joined(&argument.parts, "|"),
        Kind::OneOf => format!("<{}>", joined(&argument.parts, "|")),
        Kind::Block => joined(&argument.parts, " "),
    }
}

fn joined(arguments: &[Argument], separator: &str) -> String {
    arguments.iter().map(shown).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str) -> Argument {
        Argument { name: name.to_owned(), ..Argument::default() }
    }

    fn token(token: &str) -> Argument {
        Argument { kind: Kind::Token, token: Some(token.to_owned()), ..Argument::default() }
    }

    fn tokened(token: &str, name: &str) -> Argument {
        Argument { token: Some(token.to_owned()), ..value(name) }
    }

    fn optional(argument: Argument) -> Argument {
        Argument { is_optional: true, ..argument }
    }

    fn one_of(parts: Vec<Argument>) -> Argument {
        Argument { kind: Kind::OneOf, parts, ..Argument::default() }
    }

    fn set() -> Vec<Argument> {
        vec![
            value("key"),
            value("value"),
            optional(one_of(vec![token("NX"), token("XX")])),
            optional(token("GET")),
            optional(one_of(vec![tokened("EX", "seconds"), tokened("PX", "milliseconds"), token("KEEPTTL")])),
        ]
    }

    fn mset() -> Vec<Argument> {
        let parts = vec![value("key"), value("value")];
        vec![Argument { kind: Kind::Block, parts, is_multiple: true, ..Argument::default() }]
    }

    #[test]
    fn syntax_reads_as_in_the_documentation() {
        assert_eq!(syntax(&set()), "key value [NX|XX] [GET] [EX seconds|PX milliseconds|KEEPTTL]");
        assert_eq!(syntax(&mset()), "key value [key value ...]");
        let scores =
            Argument { token: Some("BY".into()), is_optional: true, ..one_of(vec![token("A"), token("B")]) };
        assert_eq!(syntax(&[scores]), "[BY <A|B>]");
    }

    #[test]
    fn hints_shrink_as_the_command_is_typed() {
        let set = set();
        let hint = |words: &[&str]| missing(&set, words);
        assert_eq!(hint(&["k"]), "value [NX|XX] [GET] [EX seconds|PX milliseconds|KEEPTTL]");
        assert_eq!(hint(&["k", "v", "get"]), "[NX|XX] [EX seconds|PX milliseconds|KEEPTTL]");
        assert_eq!(hint(&["k", "v", "PX"]), "milliseconds [NX|XX] [GET]");
        assert_eq!(hint(&["k", "v", "PX", "100"]), "[NX|XX] [GET]");
        assert_eq!(hint(&["k", "v", "PX", "100", "XX", "GET", "too", "many"]), "");
        assert_eq!(missing(&mset(), &["k"]), "value [key value ...]");
        assert_eq!(missing(&mset(), &["k", "v"]), "[key value ...]");
        assert_eq!(missing(&mset(), &["k", "v", "k"]), "value [key value ...]");
    }

    #[test]
    fn keys_are_wanted_where_keys_stand() {
        let key = || Argument { is_key: true, ..value("key") };
        let parts = vec![key(), value("value")];
        let pairs = vec![Argument { kind: Kind::Block, parts, is_multiple: true, ..Argument::default() }];
        let wants = |arguments: &[Argument], words: &[&str]| wants_key(arguments, words);
        assert_eq!([&[][..], &["k"], &["k", "v"]].map(|words| wants(&pairs, words)), [true, false, true]);
        let set = [vec![key()], set().split_off(1)].concat();
        assert_eq!([&[][..], &["k"], &["k", "v"]].map(|words| wants(&set, words)), [true, false, false]);
        assert!(!wants(&[], &[]));
    }

    #[test]
    fn tokens_are_offered_until_they_are_used() {
        let set = set();
        assert_eq!(next_tokens(&set, &["k", "v"]), ["NX", "XX", "GET", "EX", "PX", "KEEPTTL"]);
        assert_eq!(next_tokens(&set, &["k", "v", "NX"]), ["GET", "EX", "PX", "KEEPTTL"]);
        assert!(next_tokens(&set, &["k", "v", "EX"]).is_empty(), "a value comes now");
    }
}
