//! The manual page, in the macros of man(7). Pure.

use std::fmt::Write as _;

use super::options::{Opt, Page, Program};

impl Program {
    /// All of it on one page of section 1.
    pub fn man(&self, version: &str) -> String {
        let main = &self.main;
        let mut page = format!(".TH {} 1 \"\" \"modb {version}\"\n", escaped(&main.name).to_uppercase());
        let _ = writeln!(page, ".SH NAME\n{} \\- {}", escaped(&main.name), escaped(&main.summary));
        page.push_str(".SH SYNOPSIS\n");
        for of in [main].into_iter().chain(self.commands.iter().map(|(_, page)| page)) {
            // The main page's synopsis names the subcommands itself.
            let own = of.usage.iter().filter(|usage| !self.begins_with_command(of, usage));
            own.for_each(|usage| {
                let _ = writeln!(page, ".B {}\n{}\n.br", escaped(&of.name), escaped(usage));
            });
        }
        page.push_str(".SH DESCRIPTION\n");
        body(&mut page, &main.about);
        page.push_str(".SH OPTIONS\n");
        options(&mut page, main);
        for (_, command) in &self.commands {
            let _ = writeln!(page, ".SH {}", escaped(&command.name).to_uppercase());
            body(&mut page, &command.about);
            options(&mut page, command);
            sections(&mut page, command, ".SS");
        }
        sections(&mut page, main, ".SH");
        page
    }

    fn begins_with_command(&self, page: &Page<()>, usage: &str) -> bool {
        let first = usage.split(' ').next();
        page.name == self.main.name && self.commands.iter().any(|(word, _)| Some(*word) == first)
    }
}

fn options(text: &mut String, page: &Page<()>) {
    for group in &page.groups {
        let _ = writeln!(text, ".SS {}", escaped(&group.title));
        for option in group.options.iter().filter(|option| !option.is_hidden) {
            let _ = writeln!(text, ".TP\n{}\n{}", names(option), escaped(&option.help));
        }
    }
}

/// The names in bold, the value in italics.
fn names(option: &Opt<()>) -> String {
    let names: Vec<String> = option.names().iter().map(|name| format!("\\fB{}\\fR", escaped(name))).collect();
    let value = option.value.as_ref().map(|value| format!(" \\fI{}\\fR", escaped(value)));
    names.join(", ") + &value.unwrap_or_default()
}

fn sections(text: &mut String, page: &Page<()>, macro_name: &str) {
    for (title, section) in &page.sections {
        let _ = writeln!(text, "{macro_name} {}", escaped(title).to_uppercase());
        body(text, section);
    }
}

/// Paragraphs; what is indented stays as it is.
fn body(text: &mut String, body: &str) {
    for line in body.lines() {
        match line.strip_prefix(' ') {
            Some(_) => {
                let _ = writeln!(text, ".nf\n{}\n.fi", escaped(line));
            }
            None if line.is_empty() => text.push_str(".PP\n"),
            None => {
                let _ = writeln!(text, "{}", escaped(line));
            }
        }
    }
}

/// So that roff prints it as it is.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::options::tests::page;
    use super::*;

    #[test]
    fn the_manual_page_has_every_option_and_nothing_that_roff_would_take_for_a_request() {
        let bench =
            Page { name: "tool bench".into(), usage: vec!["[OPTIONS]".into()], ..page().without_ids() };
        let man = Program { main: page().without_ids(), commands: vec![("bench", bench)] }.man("1.0");
        for part in [
            ".TH TOOL 1 \"\" \"modb 1.0\"\n",
            ".SH NAME\ntool \\- is a tool\n",
            ".B tool\n[OPTIONS] [WORD ...]\n.br\n.B tool bench\n[OPTIONS]\n.br\n",
            ".TP\n\\fB\\-p\\fR, \\fB\\-\\-port\\fR \\fIPORT\\fR\nwhere it's [7]\n",
            ".SH TOOL BENCH\n",
            ".SH EXIT STATUS\n0, or 2 for wrong usage.\n",
        ] {
            assert!(man.contains(part), "{part:?} is missing in\n{man}");
        }
        assert!(!man.contains("\\-?"), "hidden options are not told of");
        assert_eq!(escaped(".so 'x\\n"), "\\&.so 'x\\en");
    }
}
