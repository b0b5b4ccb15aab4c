//! Links in the documentation lead somewhere: to a file that is there, and to a heading that it has.

use super::{File, Finding};

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        let mut fenced = false;
        for (number, line) in (1..).zip(file.text.lines()) {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            }
            if !fenced {
                let dead = targets(line).filter(|target| !leads_somewhere(file, target, files));
                findings.extend(dead.map(|target| file.finding(number, format!("dead link: {target}"))));
            }
        }
    }
    findings
}

/// The target of each `[text](target)` in a line.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter_map(move |(at, open)| {
        let rest = &line[at + open.len()..];
        rest.find(')').map(|end| rest[..end].split(' ').next().unwrap_or_default())
    })
}

fn leads_somewhere(from: &File, target: &str, files: &[File]) -> bool {
    if target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { from.path.clone() } else { resolve(&from.path, path) };
    match files.iter().find(|file| file.path == path) {
        Some(file) => heading.is_empty() || !file.path.ends_with(".md") || has_heading(&file.text, heading),
        None => {
            let folder = format!("{}/", path.trim_end_matches('/'));
            files.iter().any(|file| file.path.starts_with(&folder))
        }
    }
}

/// `path` as seen from the file `from`.
fn resolve(from: &str, path: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn has_heading(text: &str, anchor: &str) -> bool {
    text.lines().filter(|line| line.starts_with('#')).any(|line| {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>() == anchor
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> usize {
        let there = [
            File::new("docs/A.md", text),
            File::new("docs/B.md", "# The path of a request\n"),
            File::new("src/main.rs", ""),
        ];
        check(&there).len()
    }

    #[test]
    fn a_link_to_nothing_is_found() {
        for text in
            ["[x](C.md)", "see [x](../B.md) there", "[x](B.md#no-such-heading)", "[x](#no-such-heading)"]
        {
            assert_eq!(found(text), 1, "{text}");
        }
    }

    #[test]
    fn a_link_to_something_is_not() {
        for text in [
            "[x](B.md), [y](../src/main.rs), [z](../src/)",
            "[x](B.md#the-path-of-a-request)",
            "[x](https://example.org/nowhere)",
            "```\n[x](C.md)\n```",
        ] {
            assert_eq!(found(text), 0, "{text}");
        }
    }
}
