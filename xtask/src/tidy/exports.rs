//! Where the things of a crate are defined: `use` lines pass names on, and a path is followed through them to its end.
//!
//! Without this a path hides its floor: `crate::Server` looks like the roof's, and is a thing of the topmost floor. It
//! knows what files name (`use`, with groups, `as` and `*`) and what they define at their top; macros that make items
//! are beyond it.

use std::collections::{BTreeMap, BTreeSet};

use super::paths::{Branch, absolute, module_of, words};
use super::{File, shipped};

/// The modules of one crate.
#[derive(Default)]
pub(super) struct Modules(BTreeMap<Vec<String>, Module>);

#[derive(Default)]
struct Module {
    /// What its `use` lines name, and where that is.
    names: BTreeMap<String, Vec<String>>,
    /// The modules of which it takes all.
    globs: Vec<Vec<String>>,
    /// What it defines itself.
    defined: BTreeSet<String>,
}

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Led {
    /// The thing itself, as its own module names it.
    pub(super) to: Vec<String>,
    /// The modules whose `use` lines it went through.
    pub(super) through: Vec<Vec<String>>,
}

/// What an item's name stands behind.
const KEYWORDS: &[&str] =
    &["fn", "struct", "enum", "union", "trait", "type", "const", "static", "macro_rules"];

/// No chain of names is longer, unless it is a ring.
const MAX_STEPS: usize = 32;

impl Modules {
    /// The modules that `files` of a crate make, `folder` being the crate's.
    pub(super) fn of(folder: &str, files: &[&File]) -> Self {
        let source = format!("{folder}/src/");
        let mut modules: BTreeMap<Vec<String>, Module> = BTreeMap::new();
        let product = files.iter().filter(|file| file.is_rust() && !file.is_test());
        let product: Vec<_> = product
            .filter_map(|file| Some((module_of(file.path.strip_prefix(&source)?), shipped(file))))
            .collect();
        // First all of them, since a `use` may begin with the name of a child.
        for (path, code) in &product {
            for n in 0..path.len() {
                modules.entry(path[..n].to_vec()).or_default();
            }
            modules.entry(path.clone()).or_default().defined.extend(defined(code));
        }
        for (path, code) in &product {
            for branch in uses(code) {
                let mut to = target(&modules, path, branch.path);
                let Some(module) = modules.get_mut(path) else { continue };
                if to.last().is_some_and(|last| last == "*") {
                    to.pop();
                    module.globs.push(to);
                } else if to.last() != Some(&branch.name) || to[..to.len() - 1] != path[..] {
                    module.names.insert(branch.name, to);
                }
            }
        }
        Self(modules)
    }

    /// What `module` means by the path of a `use` line: seen from the root, or with `::` in front another crate's.
    pub(super) fn target(&self, module: &[String], path: Vec<String>) -> Vec<String> {
        target(&self.0, module, path)
    }

    /// The module in which a path stands that leads to a thing.
    pub(super) fn module_of(&self, path: &[String]) -> Vec<String> {
        let inner = (0..=path.len()).take_while(|&n| self.0.contains_key(&path[..n])).last();
        path[..inner.unwrap_or_default()].to_vec()
    }

    /// Whether it is a name of this crate's.
    pub(super) fn defines(&self, path: &[String]) -> bool {
        path.split_last().is_some_and(|(name, module)| {
            self.0.get(module).is_some_and(|module| module.defined.contains(name))
        })
    }

    /// Follows `path`, which begins at the crate's root, to what it names.
    pub(super) fn follow(&self, path: &[String]) -> Led {
        let mut led = Led { to: path.to_vec(), through: Vec::new() };
        while led.through.len() < MAX_STEPS {
            let Some((module, to)) = self.step(&led.to) else { break };
            led.to = to;
            led.through.push(module);
        }
        led
    }

    /// The first name on the way that is passed on: by which module, and the path behind it.
    fn step(&self, path: &[String]) -> Option<(Vec<String>, Vec<String>)> {
        let inner = (0..path.len()).take_while(|&n| self.0.contains_key(&path[..n])).last()?;
        let (within, name, rest) = (&path[..inner], &path[inner], &path[inner + 1..]);
        if self.0.contains_key(&path[..=inner]) {
            return None;
        }
        let module = &self.0[within];
        if module.defined.contains(name) {
            return None;
        }
        if let Some(to) = module.names.get(name) {
            return Some((within.to_vec(), [to, rest].concat()));
        }
        let from = module.globs.iter().find(|from| self.has(from, name))?;
        Some((within.to_vec(), [&from[..], &path[inner..]].concat()))
    }

    /// Whether the module has such a name, of its own or passed on one by one.
    fn has(&self, module: &[String], name: &str) -> bool {
        let child: Vec<String> = module.iter().cloned().chain([name.to_owned()]).collect();
        self.0.contains_key(&child)
            || self.0.get(module).is_some_and(|m| m.defined.contains(name) || m.names.contains_key(name))
    }
}

fn target(modules: &BTreeMap<Vec<String>, Module>, module: &[String], path: Vec<String>) -> Vec<String> {
    let Some(first) = path.first() else { return module.to_vec() };
    let child: Vec<String> = module.iter().cloned().chain([first.clone()]).collect();
    if modules.contains_key(&child) {
        [module.to_vec(), path].concat()
    } else if matches!(first.as_str(), "crate" | "super" | "self") {
        absolute(module, path)
    } else {
        // Another crate's, where no path of this one leads.
        [vec![format!("::{first}")], path[1..].to_vec()].concat()
    }
}

/// The names of the items that `code` defines at its top, without those in blocks.
fn defined(code: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let top: String = code
        .chars()
        .map(|c| {
            depth = if c == '}' { depth.saturating_sub(1) } else { depth };
            let shown = if depth == 0 { c } else { ' ' };
            depth += usize::from(c == '{');
            shown
        })
        .collect();
    let mut found = Vec::new();
    let mut before = "";
    for word in words(&top) {
        // `const fn f`, `unsafe trait T`: the keyword next to the name counts.
        if KEYWORDS.contains(&before) && !KEYWORDS.contains(&word) {
            found.push(word.to_owned());
        }
        before = word;
    }
    found
}

/// The branches of all `use` lines.
fn uses(code: &str) -> Vec<Branch> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let begins = code[..at].trim_end();
        // Behind a visibility, an attribute, or the end of what was before.
        if begins.is_empty() || begins.ends_with([';', '{', '}', ']', ')']) || begins.ends_with("pub") {
            found.extend(Branch::all(&code[at + "use ".len()..]));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(files: &[(&str, &str)], path: &str) -> (String, usize) {
        let files: Vec<File> =
            files.iter().map(|(path, text)| File::new(format!("x/src/{path}"), *text)).collect();
        let modules = Modules::of("x", &files.iter().collect::<Vec<_>>());
        let led = modules.follow(&path.split("::").map(str::to_owned).collect::<Vec<_>>());
        (led.to.join("::"), led.through.len())
    }

    #[test]
    fn a_name_is_followed_to_where_it_is_defined() {
        let files = [
            (
                "lib.rs",
                "mod a; mod b;\npub use a::{c::Thing as Named, d::*};\npub(crate) use crate::b::Other;",
            ),
            ("a/mod.rs", "pub mod c;\npub mod d;"),
            ("a/c.rs", "pub struct Thing;"),
            ("a/d.rs", "pub const fn made() {}\npub use super::c::Thing;"),
            ("b.rs", "use super::a::d as renamed;\nfn f() { struct Other; }"),
        ];
        assert_eq!(follow(&files, "Named::new"), ("a::c::Thing::new".into(), 1));
        assert_eq!(follow(&files, "made"), ("a::d::made".into(), 1));
        assert_eq!(follow(&files, "Thing"), ("a::c::Thing".into(), 2));
        assert_eq!(follow(&files, "Other"), ("b::Other".into(), 1));
        assert_eq!(follow(&files, "b::renamed::Thing"), ("a::c::Thing".into(), 2));
        assert_eq!(follow(&files, "a::c::Thing"), ("a::c::Thing".into(), 0));
        assert_eq!(follow(&files, "a::c"), ("a::c".into(), 0));
    }

    #[test]
    fn what_another_crate_defines_is_told_from_our_own_and_a_ring_of_names_ends() {
        let files =
            [("lib.rs", "mod a;\npub use std::sync::Arc;\nuse a::Ring;"), ("a.rs", "pub use crate::Ring;")];
        assert_eq!(follow(&files, "Arc::new"), ("::std::sync::Arc::new".into(), 1));
        assert_eq!(follow(&files, "Ring").1, MAX_STEPS);
    }
}
