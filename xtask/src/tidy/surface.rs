//! The public surface of the libraries, pinned: a list in the tree says what others can name, and any change of it shows.
//!
//! It needs no nightly compiler, and is honest about what it reads: items that are public by their way from the crate's
//! root (`pub mod`, `pub use`, with `as` and `*`), with their signatures as they are written, their public fields, methods,
//! variants, and the traits that they implement or derive. Not seen: what macros make, automatic traits, and which system
//! or feature an item is for.

use std::collections::{BTreeMap, BTreeSet};

use super::exports::Modules;
use super::items::{Item, close, items, split_list};
use super::paths::{Branch, module_of};
use super::{File, Finding, shipped};

/// The crates whose surface is pinned.
const PINNED: &[&str] = &["modb-net", "modb-client", "modb-server"];

/// The list's name in the folder of its crate.
const LIST: &str = "public-surface.txt";

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for krate in PINNED {
        let path = format!("{krate}/{LIST}");
        let Some(list) = files.iter().find(|file| file.path == path) else {
            // A part of the tree, as in the tests of other rules, has no surface either.
            if files.iter().any(|file| file.path == format!("{krate}/src/lib.rs")) {
                findings.push(Finding {
                    path,
                    line: 1,
                    what: "is missing: `cargo xtask surface` writes it".into(),
                });
            }
            continue;
        };
        let now = surface(krate, files);
        let (then, now_lines): (BTreeSet<&str>, BTreeSet<&str>) =
            (list.text.lines().collect(), now.lines().collect());
        for (number, line) in (1..).zip(list.text.lines()) {
            if !now_lines.contains(line) {
                findings.push(list.finding(number, format!("no longer public: {line}")));
            }
        }
        for (number, line) in (1..).zip(now.lines()) {
            if !then.contains(line) {
                let what =
                    format!("newly public: {line} (if it is meant, `cargo xtask surface` writes it down)");
                findings.push(list.finding(number, what));
            }
        }
        if then == now_lines && list.text != now {
            findings.push(list.finding(1, "out of order: `cargo xtask surface` mends it"));
        }
    }
    findings
}

/// The lists as they should be: path and text.
pub(super) fn lists(files: &[File]) -> Vec<(String, String)> {
    PINNED.iter().map(|krate| (format!("{krate}/{LIST}"), surface(krate, files))).collect()
}

/// What the library of a crate shows, a line for each item.
fn surface(krate: &str, files: &[File]) -> String {
    let source = format!("{krate}/src/");
    let own: Vec<&File> = files
        .iter()
        .filter(|file| file.path.starts_with(&source) && file.is_rust() && !file.is_test())
        .collect();
    let code: Vec<(Vec<String>, &str)> = own
        .iter()
        .filter(|file| !file.path.ends_with("src/main.rs"))
        .map(|file| (module_of(&file.path[source.len()..]), shipped(file)))
        .collect();
    let mut walk = Walk {
        modules: Modules::of(krate, &own),
        code: BTreeMap::new(),
        impls: BTreeMap::new(),
        lines: Vec::new(),
    };
    for (module, code) in code {
        for item in items(code).into_iter().filter(|item| item.kind == "impl" && !item.is_hidden()) {
            walk.note_impl(&module, item);
        }
        walk.code.insert(module, code);
    }
    let name = krate.replace('-', "_");
    walk.module(&[], &name);
    // By name; what belongs to one item stays as it stands in the source.
    walk.lines.sort_by(|a, b| a.0.cmp(&b.0));
    let mut text = format!(
        "# What {name} shows to others. Written by `cargo xtask surface`, compared by `cargo xtask tidy`.\n"
    );
    for (_, line) in walk.lines {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

struct Walk<'a> {
    modules: Modules,
    code: BTreeMap<Vec<String>, &'a str>,
    /// By the path of the type, or of the trait if the type is not of this crate; with whether it is the trait's.
    impls: BTreeMap<Vec<String>, Vec<(Item<'a>, bool)>>,
    /// The public name of the item, and a line of its.
    lines: Vec<(String, String)>,
}

impl<'a> Walk<'a> {
    fn note_impl(&mut self, module: &[String], item: Item<'a>) {
        let (of_trait, of_type) = parts_of_impl(&item.head);
        let of_type = self.definition(module, of_type);
        if self.modules.defines(&of_type) {
            self.impls.entry(of_type).or_default().push((item, false));
        } else if let Some(of_trait) = of_trait.map(|name| self.definition(module, name)) {
            self.impls.entry(of_trait).or_default().push((item, true));
        }
    }

    /// Where the thing is defined that `module` calls `name`.
    fn definition(&self, module: &[String], name: &str) -> Vec<String> {
        let path = Branch::all(name).into_iter().next().map(|branch| branch.path).unwrap_or_default();
        let first = path.first().map(String::as_str).unwrap_or_default();
        let path = if matches!(first, "crate" | "super" | "self") {
            super::paths::absolute(module, path)
        } else {
            [module.to_vec(), path].concat()
        };
        self.modules.follow(&path).to
    }

    fn module(&mut self, module: &[String], public: &str) {
        if let Some(code) = self.code.get(module).copied() {
            self.items(module, public, code);
        }
    }

    fn items(&mut self, module: &[String], public: &str, code: &'a str) {
        for item in items(code).into_iter().filter(|item| item.public && !item.is_hidden()) {
            let inner = [module, &[item.name.to_owned()]].concat();
            let name = format!("{public}::{}", item.name);
            match (item.kind, item.body) {
                ("mod", Some(body)) => self.items(&inner, &name, body),
                ("mod", None) => self.module(&inner, &name),
                ("use", _) => {
                    for branch in Branch::all(item.head.trim_start_matches("use ")) {
                        self.passed_on(module, public, branch);
                    }
                }
                _ => self.item(&inner, &name, &item),
            }
        }
    }

    /// What a `pub use` shows under its own name.
    fn passed_on(&mut self, module: &[String], public: &str, branch: Branch) {
        let mut to = self.modules.target(module, branch.path);
        if to.last().is_some_and(|last| last == "*") {
            to.pop();
            let led = self.modules.follow(&to).to;
            return self.module(&led, public);
        }
        let to = self.modules.follow(&to).to;
        let name = format!("{public}::{}", branch.name);
        if self.code.contains_key(&to) {
            return self.module(&to, &name);
        }
        let Some((item, within)) = to.split_last() else { return };
        let found = self.code.get(within).map(|code| items(code)).unwrap_or_default();
        let mut found = found.into_iter().filter(|it| it.name == item && it.public).peekable();
        if found.peek().is_none() {
            let line = format!("use {name} = {}", to.join("::").trim_start_matches("::"));
            self.lines.push((name.clone(), line));
        }
        for item in found {
            self.item(&to, &name, &item);
        }
    }

    fn item(&mut self, path: &[String], public: &str, item: &Item<'a>) {
        let mark = if item.attributes.contains(&"#[non_exhaustive]") { "#[non_exhaustive] " } else { "" };
        let head = named(item, public);
        let body = item.body.unwrap_or_default();
        match item.kind {
            "struct" | "union" => {
                let (shown, all) = fields(body);
                let more = if shown.len() < all { " { .. }" } else { "" };
                self.line(public, format!("{mark}{}{more}", without_private(&head)));
                shown.iter().for_each(|field| self.line(public, format!("{public}::{field}")));
            }
            "enum" => {
                self.line(public, format!("{mark}{head}"));
                for variant in split_list(body) {
                    self.line(public, format!("{public}::{}", normal(variant)));
                }
            }
            "trait" => {
                self.line(public, head);
                for part in items(body).iter().filter(|part| !part.is_hidden()) {
                    let given = if part.body.is_some() { " { .. }" } else { "" };
                    self.line(public, format!("{}{given}", named(part, &format!("{public}::{}", part.name))));
                }
            }
            _ => self.line(public, head),
        }
        let derived = item.derived().join(", ");
        if !derived.is_empty() {
            self.line(public, format!("derive({derived}) for {public}"));
        }
        for (block, of_trait) in self.impls.get(path).cloned().unwrap_or_default() {
            match block.head.rfind(" for ") {
                Some(at) if of_trait => {
                    self.line(public, format!("impl {public} for {}", &block.head[at + " for ".len()..]));
                }
                Some(_) => self.line(public, block.head),
                None => {
                    let shown = items(block.body.unwrap_or_default());
                    for part in shown.iter().filter(|part| part.public && !part.is_hidden()) {
                        self.line(public, named(part, &format!("{public}::{}", part.name)));
                    }
                }
            }
        }
    }

    fn line(&mut self, public: &str, line: String) {
        if !self.lines.iter().any(|(_, there)| *there == line) {
            self.lines.push((public.to_owned(), line));
        }
    }
}

/// The head of an item with its public name, without what is nobody's business: values, and whether an argument is `mut`.
fn named(item: &Item<'_>, public: &str) -> String {
    let mut head = item.head.as_str();
    if matches!(item.kind, "const" | "static") {
        head = head.split(" = ").next().unwrap_or(head);
    }
    let head = head.replacen(&format!("{} {}", item.kind, item.name), &format!("{} {public}", item.kind), 1);
    head.replace("(mut ", "(").replace(", mut ", ", ").replace("( ", "(").replace(", )", ")")
}

/// Without generics in front and the block behind: the trait, if it is one's, and the type.
fn parts_of_impl(head: &str) -> (Option<&str>, &str) {
    let mut rest = head.trim_start_matches("unsafe ").trim_start_matches("impl");
    if rest.starts_with('<') {
        let (mut depth, mut before) = (0, ' ');
        let end = rest.char_indices().find_map(|(at, c)| {
            depth += i32::from(c == '<') - i32::from(c == '>' && before != '-');
            before = c;
            (depth == 0).then_some(at + 1)
        });
        rest = &rest[end.unwrap_or(rest.len())..];
    }
    let rest = rest.split(" where ").next().unwrap_or(rest).trim();
    match rest.rsplit_once(" for ") {
        Some((of_trait, of_type)) => (Some(of_trait), of_type),
        None => (None, rest),
    }
}

/// The public fields of a body, and how many it has in all.
fn fields(body: &str) -> (Vec<String>, usize) {
    let all: Vec<String> = split_list(body).into_iter().map(normal).collect();
    let shown = all.iter().filter_map(|field| field.strip_prefix("pub ")).map(str::to_owned);
    (shown.collect(), all.len())
}

/// The head of a tuple with `_` for its private fields.
fn without_private(head: &str) -> String {
    let Some(open) = head.find('(') else { return head.to_owned() };
    let end = close(head, open);
    let fields: Vec<String> = split_list(&head[open + 1..end - 1]).into_iter().map(normal).collect();
    let shown: Vec<&str> = fields.iter().map(|field| field.strip_prefix("pub ").unwrap_or("_")).collect();
    format!("{}({}){}", &head[..open], shown.join(", "), &head[end..])
}

/// With single spaces, and without attributes, which concern the source alone.
fn normal(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("#[") {
        kept.push_str(&rest[..at]);
        rest = &rest[close(rest, at + 1)..];
    }
    kept.push_str(rest);
    let text = kept.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace(", }", " }").replace("( ", "(").replace(",)", ")")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(lib: &str) -> Vec<File> {
        [
            ("modb-net/src/lib.rs", lib),
            (
                "modb-net/src/a/mod.rs",
                "pub mod b;\n/// Words.\n#[derive(Clone, Debug)]\npub struct A<T> {\n    /// A field.\n    pub t: T,\n    own: u8,\n}\n\
                 impl<T> A<T> {\n    pub fn new(mut t: T) -> Self { f(\"}\") }\n    fn own(&self) {}\n}\n\
                 impl<T> fmt::Display for A<T> {\n    fn fmt(&self) {}\n}\n",
            ),
            (
                "modb-net/src/a/b.rs",
                "pub trait B {\n    type X;\n    fn must(&self);\n    fn may(&self) {}\n}\nimpl B for Vec<u8> {}\n\
                 #[non_exhaustive]\npub enum E {\n    #[default]\n    One,\n    Two(#[from] u8),\n}\npub const N: usize = 1;\nfn f() {}\n",
            ),
        ]
        .map(|(path, text)| File::new(path, text))
        .into()
    }

    #[test]
    fn what_others_can_name_is_listed_under_the_name_that_they_use() {
        let list = surface(
            "modb-net",
            &tree("mod a;\npub use a::A as Named;\npub use a::b;\npub use socket2::Socket;\n"),
        );
        let expected = "\
struct modb_net::Named<T> { .. }
modb_net::Named::t: T
derive(Clone, Debug) for modb_net::Named
fn modb_net::Named::new(t: T) -> Self
impl<T> fmt::Display for A<T>
use modb_net::Socket = socket2::Socket
trait modb_net::b::B
type modb_net::b::B::X
fn modb_net::b::B::must(&self)
fn modb_net::b::B::may(&self) { .. }
impl modb_net::b::B for Vec<u8>
#[non_exhaustive] enum modb_net::b::E
modb_net::b::E::One
modb_net::b::E::Two(u8)
const modb_net::b::N: usize
";
        assert_eq!(list.split_once('\n').map(|(_, lines)| lines), Some(expected));
    }

    #[test]
    fn what_cannot_be_reached_is_not_listed() {
        for lib in [
            "mod a;",
            "pub(crate) mod a;\npub(crate) use a::A;",
            "#[cfg(test)]\npub mod a;",
            "#[doc(hidden)]\npub mod a;",
        ] {
            assert_eq!(surface("modb-net", &tree(lib)).lines().count(), 1, "{lib}");
        }
        assert!(surface("modb-net", &tree("mod a;\npub use a::*;")).contains("struct modb_net::A<T>"));
    }

    #[test]
    fn a_change_of_the_surface_is_found_and_so_is_a_list_that_is_missing() {
        let mut files = tree("mod a;\npub use a::A;");
        assert_eq!(check(&files).len(), 1, "missing");
        files.push(File::new(format!("modb-net/{LIST}"), surface("modb-net", &files)));
        assert_eq!(check(&files), []);
        let mut lines: Vec<&str> = files[3].text.lines().collect();
        lines.swap(1, 2);
        let swapped = File::new(format!("modb-net/{LIST}"), lines.join("\n"));
        let list = std::mem::replace(&mut files[3], swapped);
        assert!(check(&files)[0].what.contains("out of order"));
        files[3] = list;
        files[0] = File::new("modb-net/src/lib.rs", "mod a;\npub use a::{A, b::N};");
        let told: Vec<String> = check(&files).into_iter().map(|finding| finding.what).collect();
        assert!(told.len() == 1 && told[0].contains("newly public: const modb_net::N: usize"), "{told:?}");
        files[0] = File::new("modb-net/src/lib.rs", "mod a;");
        assert_eq!(check(&files).len(), 5, "each line that is gone");
    }
}
