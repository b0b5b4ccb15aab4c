//! The text of `--help`. Pure.

use std::fmt::Write as _;

use super::options::{Opt, Page, Program};
use super::text::{explained, wrap};

/// Characters of a line.
const WIDTH: usize = 80;
/// Where what an option does begins.
const HELP_AT: usize = 24;

impl<Id> Page<Id> {
    /// In lines of at most 80 characters.
    pub fn help(&self) -> String {
        let mut text = String::new();
        for (number, usage) in self.usage.iter().enumerate() {
            let before = if number == 0 { "Usage:" } else { "      " };
            let _ = writeln!(text, "{before} {} {usage}", self.name);
        }
        paragraph(&mut text, "", &self.about);
        for group in &self.groups {
            let _ = writeln!(text, "\n{}", group.title);
            for option in group.options.iter().filter(|option| !option.is_hidden) {
                describe(&mut text, option);
            }
        }
        for (title, section) in &self.sections {
            paragraph(&mut text, title, section);
        }
        text
    }
}

impl Program {
    /// What `--help` says of the subcommand of that word, or of the program.
    pub fn help(&self, command: Option<&str>) -> String {
        let found = self.commands.iter().find(|(word, _)| Some(*word) == command);
        found.map_or(&self.main, |(_, page)| page).help()
    }
}

fn paragraph(text: &mut String, title: &str, body: &str) {
    let body = if title.is_empty() { body.to_owned() } else { format!("{title}: {body}") };
    text.push('\n');
    for line in wrap(&body, WIDTH) {
        let _ = writeln!(text, "{line}");
    }
}

fn describe<Id>(text: &mut String, option: &Opt<Id>) {
    // Those without a short name stand under the others' long ones.
    let indent = if option.short.is_none() { "      " } else { "  " };
    for line in explained(&format!("{indent}{}", option.spec()), &option.help, HELP_AT, WIDTH) {
        let _ = writeln!(text, "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::tests::page;

    #[test]
    fn help_tells_all_in_80_columns() {
        let expected = "\
Usage: tool [OPTIONS] [WORD ...]
       tool bench [OPTIONS]

Does something with words, and takes as long a sentence to say so as an
eighty-column line.

Where
  -p, --port PORT       where it's [7]
      --mode fast|slow  which of both; the first is the one that is taken unless
                        it is told otherwise [fast]

Other
      --a-very-long-option-name FILE
                        what it reads
  -q                    says nothing
      --help            this text

Exit status: 0, or 2 for wrong usage.
";
        assert!(page().help().lines().all(|line| line.chars().count() <= 80));
        assert_eq!(page().help(), expected);
    }
}
