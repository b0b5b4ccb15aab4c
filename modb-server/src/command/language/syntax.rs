//! Arguments as documentation writes them, read into the tree that `COMMAND DOCS` answers. Pure.
//!
//! The notation: `word` an argument; `WORD` a token, which belongs to the argument behind it; `[x]` optional;
//! `a|b` one of both; `<x>` and `(x)` a group; `x...` several times.

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arg {
    pub(crate) name: String,
    pub(crate) token: Option<String>,
    pub(crate) optional: bool,
    pub(crate) multiple: bool,
    pub(crate) shape: Shape,
}

/// What an argument is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One word, of a type such as `key` or `integer`.
    Word(&'static str),
    /// Only its token.
    PureToken,
    /// One of these.
    OneOf(Vec<Arg>),
    /// All of these in sequence.
    Block(Vec<Arg>),
}

/// Reads a whole syntax.
pub(crate) fn parse(syntax: &str) -> Vec<Arg> {
    let mut tokens = tokens(syntax).into_iter().peekable();
    sequence(&mut tokens)
}

type Tokens<'a> = std::iter::Peekable<std::vec::IntoIter<&'a str>>;

fn tokens(syntax: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = syntax.trim_start();
    while !rest.is_empty() {
        let len = match rest.as_bytes()[0] {
            b'[' | b']' | b'(' | b')' | b'<' | b'>' | b'|' => 1,
            b'.' => 3.min(rest.len()),
            _ => rest.find(|c: char| " []()<>|".contains(c)).unwrap_or(rest.len()),
        };
        // A word may end in dots.
        let len = rest[..len].find("...").filter(|at| *at > 0).unwrap_or(len);
        tokens.push(&rest[..len]);
        rest = rest[len..].trim_start();
    }
    tokens
}

/// Arguments in sequence, up to a closing bracket.
fn sequence(tokens: &mut Tokens<'_>) -> Vec<Arg> {
    let mut alternatives = vec![Vec::new()];
    while let Some(&token) = tokens.peek() {
        if matches!(token, "]" | ")" | ">") {
            break;
        }
        tokens.next();
        if token == "|" {
            alternatives.push(Vec::new());
        } else if let Some(arg) = one(token, tokens)
            && let Some(last) = alternatives.last_mut()
        {
            last.push(arg);
        }
    }
    if alternatives.len() == 1 {
        return alternatives.remove(0);
    }
    let choices: Vec<Arg> = alternatives.into_iter().map(|args| group(args, false)).collect();
    vec![plain(joined(&choices), Shape::OneOf(choices))]
}

fn one(token: &str, tokens: &mut Tokens<'_>) -> Option<Arg> {
    let mut arg = match token {
        "[" => {
            let inner = sequence(tokens);
            tokens.next();
            group(inner, true)
        }
        "(" | "<" => {
            let inner = sequence(tokens);
            tokens.next();
            group(inner, false)
        }
        "..." | "]" | ")" | ">" => return None,
        word if is_token(word) => with_token(word, tokens),
        word => plain(word.to_owned(), Shape::Word(kind_of(word))),
    };
    if tokens.peek() == Some(&"...") {
        tokens.next();
        arg.multiple = true;
    }
    Some(arg)
}

/// A token, with the argument behind it, if one is.
fn with_token(word: &str, tokens: &mut Tokens<'_>) -> Arg {
    let name = word.to_ascii_lowercase();
    match tokens.peek() {
        Some(&next)
            if !matches!(next, "]" | ")" | ">" | "|" | "..." | "[" | "(" | "<") && !is_token(next) =>
        {
            tokens.next();
            Arg { token: Some(word.to_owned()), ..plain(next.to_owned(), Shape::Word(kind_of(next))) }
        }
        _ => Arg { token: Some(word.to_owned()), ..plain(name, Shape::PureToken) },
    }
}

/// Several arguments as one.
fn group(mut args: Vec<Arg>, optional: bool) -> Arg {
    if args.len() == 1 {
        let only = args.remove(0);
        return Arg { optional: optional || only.optional, ..only };
    }
    let name = joined(&args);
    Arg { optional, ..plain(name, Shape::Block(args)) }
}

fn plain(name: String, shape: Shape) -> Arg {
    Arg { name, token: None, optional: false, multiple: false, shape }
}

fn joined(args: &[Arg]) -> String {
    args.iter().map(|arg| arg.name.as_str()).collect::<Vec<_>>().join("-")
}

fn is_token(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase() || "*~=$".contains(c))
        && !word.contains(|c: char| c.is_ascii_lowercase())
}

/// The type of an argument follows from its name.
fn kind_of(name: &str) -> &'static str {
    match name {
        "key" | "key1" | "key2" | "newkey" | "source" | "destination" | "destkey" | "numkey" => "key",
        "pattern" => "pattern",
        "unix-time-seconds" | "unix-time-milliseconds" => "unix-time",
        "seconds" | "milliseconds" | "increment" | "decrement" | "offset" | "start" | "end" | "count"
        | "cursor" | "index" | "index1" | "index2" | "db" | "destination-db" | "bit" | "timeout"
        | "protover" | "client-id" | "numkeys" | "stop" | "len" | "min-match-len" | "samples" | "rank"
        | "num-matches" | "port" | "numreplicas" | "version" => "integer",
        "float-increment" | "score" | "min-score" | "max-score" | "longitude" | "latitude" | "radius"
        | "width" | "height" | "weight" => "double",
        _ => "string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_becomes_a_tree() {
        let args = parse("key value [NX|XX] [GET] [EX seconds|KEEPTTL] (a b)...");
        let shown: Vec<_> = args.iter().map(|a| (a.name.as_str(), a.optional, a.multiple)).collect();
        assert_eq!(
            shown,
            [
                ("key", false, false),
                ("value", false, false),
                ("nx-xx", true, false),
                ("get", true, false),
                ("seconds-keepttl", true, false),
                ("a-b", false, true)
            ]
        );
        let Shape::OneOf(choices) = &args[4].shape else { panic!("{args:?}") };
        assert_eq!((choices[0].token.as_deref(), &choices[0].shape), (Some("EX"), &Shape::Word("integer")));
        assert_eq!((choices[1].token.as_deref(), &choices[1].shape), (Some("KEEPTTL"), &Shape::PureToken));
        assert!(parse("key...")[0].multiple);
        assert_eq!(parse(""), []);
    }
}
