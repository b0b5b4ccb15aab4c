//! The items of a Rust file: what it defines, how visible, with which signature and which body.
//!
//! Not a parser: it reads code whose comments and literals are blank and knows where an item begins and ends. Items that
//! a macro makes are beyond it.

/// One item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Item<'a> {
    /// Its attributes, as they are written.
    pub(super) attributes: Vec<&'a str>,
    /// `pub` without a bound.
    pub(super) public: bool,
    /// `fn`, `struct`, `impl`, ...; empty for what is none of them (a macro's call).
    pub(super) kind: &'static str,
    /// Its name; empty for an `impl` or a `use`.
    pub(super) name: &'a str,
    /// From behind its visibility to its body or its end, with single spaces.
    pub(super) head: String,
    /// What stands between its braces, if it has any.
    pub(super) body: Option<&'a str>,
}

impl Item<'_> {
    /// Only for tests, or not for people.
    pub(super) fn is_hidden(&self) -> bool {
        self.attributes.iter().any(|a| a.starts_with("#[cfg(test)") || a.starts_with("#[doc(hidden)"))
    }

    /// The traits that it derives.
    pub(super) fn derived(&self) -> Vec<&str> {
        let derives = self.attributes.iter().filter_map(|a| a.strip_prefix("#[derive(")?.strip_suffix(")]"));
        derives.flat_map(|list| list.split(',')).map(str::trim).filter(|name| !name.is_empty()).collect()
    }
}

const KINDS: &[&str] = &[
    "fn",
    "struct",
    "enum",
    "union",
    "trait",
    "type",
    "const",
    "static",
    "mod",
    "use",
    "impl",
    "macro_rules",
];

/// What may stand before the kind of an item.
const BEFORE: &[&str] = &["const", "unsafe", "async", "extern", "default"];

/// The items at the top of `code`: of a file, of the body of an inline module, of a trait or of an `impl`.
pub(super) fn items(code: &str) -> Vec<Item<'_>> {
    let mut found = Vec::new();
    let mut rest = code.trim_start();
    while !rest.is_empty() {
        let mut item = Item::default();
        while rest.starts_with('#') {
            let len = close(rest, rest.find('[').unwrap_or(0));
            let (attribute, behind) = rest.split_at(len);
            // One of the file itself belongs to no item.
            if !attribute.starts_with("#!") {
                item.attributes.push(attribute);
            }
            rest = behind.trim_start();
        }
        if let Some(behind) = word(rest, "pub") {
            rest = behind.trim_start();
            item.public = !rest.starts_with('(');
            if !item.public {
                rest = rest[close(rest, 0)..].trim_start();
            }
        }
        (item.kind, item.name) = kind(rest);
        // A value, or the branches of a `use`, may hold braces.
        let braces_are_inside = matches!(item.kind, "use" | "static" | "type" | "const");
        let end = end_of_head(rest, braces_are_inside);
        item.head = rest[..end].split_whitespace().collect::<Vec<_>>().join(" ");
        rest = &rest[end..];
        if rest.starts_with('{') {
            let len = close(rest, 0);
            item.body = Some(&rest[1..len.saturating_sub(1).max(1)]);
            rest = &rest[len..];
        }
        rest = rest.trim_start().trim_start_matches(';').trim_start();
        if !item.head.is_empty() {
            found.push(item);
        } else if end == 0 {
            // What begins like no item ends the search, so that it always ends.
            break;
        }
    }
    found
}

/// The kind and the name of what begins here.
fn kind(text: &str) -> (&'static str, &str) {
    let mut words = super::paths::words(text).peekable();
    while let Some(word) = words.next() {
        let next = words.peek().copied().unwrap_or_default();
        // `const fn` is a function, `const X` a constant.
        let goes_on = BEFORE.contains(&word) && (BEFORE.contains(&next) || KINDS.contains(&next));
        if goes_on || word == "C" {
            continue;
        }
        let Some(kind) = KINDS.iter().find(|kind| **kind == word) else { break };
        let name = if matches!(*kind, "use" | "impl") { "" } else { next };
        return (kind, name);
    }
    ("", "")
}

/// What stands behind the word, if `text` begins with it.
fn word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let behind = text.strip_prefix(word)?;
    (!behind.starts_with(|c: char| c.is_alphanumeric() || c == '_')).then_some(behind)
}

/// Where the body or the semicolon of what begins here stands.
fn end_of_head(text: &str, braces_are_inside: bool) -> usize {
    let mut at = 0;
    while at < text.len() {
        match text.as_bytes()[at] {
            b';' => return at,
            b'{' if !braces_are_inside => return at,
            b'(' | b'[' | b'{' => at = close(text, at),
            b'}' => return at,
            _ => at += 1,
        }
    }
    text.len()
}

/// Behind the bracket that closes the one at `open`.
pub(super) fn close(text: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

/// The parts of a list, split at the commas that stand in no bracket; `<` counts as one, an arrow's end does not.
pub(super) fn split_list(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut before, mut parts) = (0_i32, 0, ' ', Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            '>' if matches!(before, '-' | '=') => {}
            ')' | ']' | '}' | '>' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        before = c;
    }
    parts.push(&list[start..]);
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(code: &str) -> Vec<(bool, &'static str, String, String)> {
        items(code).into_iter().map(|i| (i.public, i.kind, i.name.to_owned(), i.head)).collect()
    }

    #[test]
    fn items_are_told_apart_with_their_heads() {
        let code = "#![allow(x)]\n#[derive(Clone, Debug)]\npub struct A<'a> {\n pub b: &'a str }\n\
            pub(crate) const fn f(x: [u8; 2])\n  -> u8 { { 1 } }\nconst X: A = A { b: 1 };\nmacro_call! { a; b }\n\
            pub use a::{b, c};\npub struct T(pub u8, Vec<(u8, u8)>);\npub unsafe trait U: V {}\nimpl U for T {}";
        let expected = [
            (true, "struct", "A", "struct A<'a>"),
            (false, "fn", "f", "const fn f(x: [u8; 2]) -> u8"),
            (false, "const", "X", "const X: A = A { b: 1 }"),
            (false, "", "", "macro_call!"),
            (true, "use", "", "use a::{b, c}"),
            (true, "struct", "T", "struct T(pub u8, Vec<(u8, u8)>)"),
            (true, "trait", "U", "unsafe trait U: V"),
            (false, "impl", "", "impl U for T"),
        ];
        let expected: Vec<_> =
            expected.iter().map(|&(p, k, n, h)| (p, k, n.to_owned(), h.to_owned())).collect();
        assert_eq!(seen(code), expected);
        assert_eq!(items(code)[0].derived(), ["Clone", "Debug"]);
        assert_eq!(items(code)[0].body.map(str::trim), Some("pub b: &'a str"));
    }

    #[test]
    fn what_is_no_rust_ends_the_search() {
        assert_eq!(seen("} fn f() {}"), []);
        assert_eq!(seen("fn f("), [(false, "fn", "f".to_owned(), "fn f(".to_owned())]);
    }

    #[test]
    fn a_list_is_split_outside_of_brackets() {
        assert_eq!(
            split_list("a: Map<A, B>, f: fn(u8, u8) -> C<D>, , [u8; 2],"),
            ["a: Map<A, B>", "f: fn(u8, u8) -> C<D>", "[u8; 2]"]
        );
    }
}
