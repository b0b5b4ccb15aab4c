//! Scripts that complete a command line in a shell. Pure.
//!
//! They complete options, subcommands, the values of options that have few, and paths. Everything in them comes from the
//! tables, whose names need no quoting; what options do is quoted.

use std::fmt::Write as _;

use super::options::{Opt, Page, Program};

/// A shell that can complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// bash.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
    /// PowerShell.
    PowerShell,
}

impl Shell {
    /// How the option that prints a script names its value.
    pub const CHOICES: &str = "bash|zsh|fish|powershell";

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "bash" => Some(Self::Bash),
            "zsh" => Some(Self::Zsh),
            "fish" => Some(Self::Fish),
            "powershell" => Some(Self::PowerShell),
            _ => None,
        }
    }
}

impl Program {
    /// The script for `shell`.
    pub fn completion(&self, shell: Shell) -> String {
        match shell {
            Shell::Bash => self.bash(),
            Shell::Zsh => self.zsh(),
            Shell::Fish => self.fish(),
            Shell::PowerShell => self.powershell(),
        }
    }

    /// The name of a function of a script.
    fn function(&self) -> String {
        format!("_{}", self.main.name.replace('-', "_"))
    }

    /// The words that can be completed on a page.
    fn words(&self, page: &Page<()>) -> String {
        let mut words: Vec<String> = shown(page).flat_map(Opt::names).collect();
        if page.name == self.main.name {
            words.extend(self.commands.iter().map(|(word, _)| (*word).to_owned()));
        }
        words.join(" ")
    }

    fn bash(&self) -> String {
        let function = self.function();
        let mut script = format!(
            "{function}() {{\n    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}\n    \
             case ${{COMP_WORDS[1]}} in\n"
        );
        let commands = self.commands.iter().map(|(word, page)| (*word, page));
        for (word, page) in commands.chain([("*", &self.main)]) {
            let _ = writeln!(script, "    {word})\n        case $previous in");
            for option in shown(page).filter(|option| option.value.is_some()) {
                let reply = match option.choices().as_slice() {
                    [] if option.is_path() => "$(compgen -f -- \"$current\")".to_owned(),
                    [] => String::new(),
                    choices => format!("$(compgen -W '{}' -- \"$current\")", choices.join(" ")),
                };
                let _ =
                    writeln!(script, "        {}) COMPREPLY=({reply}); return ;;", option.names().join("|"));
            }
            let paths = if page.takes_paths { " $(compgen -f -- \"$current\")" } else { "" };
            let _ = writeln!(
                script,
                "        esac\n        COMPREPLY=($(compgen -W '{}' -- \"$current\"){paths}) ;;",
                self.words(page)
            );
        }
        let _ = writeln!(script, "    esac\n}}\ncomplete -F {function} {}", self.main.name);
        script
    }

    fn zsh(&self) -> String {
        let mut script = format!("#compdef {}\n\ncase $words[2] in\n", self.main.name);
        let commands = self.commands.iter().map(|(word, page)| (*word, page));
        for (word, page) in commands.chain([("*", &self.main)]) {
            let _ = write!(script, "{word})\n    ");
            if word != "*" {
                script.push_str("shift words; (( CURRENT-- ))\n    ");
            }
            script.push_str("_arguments -s");
            for option in shown(page) {
                let names = option.names();
                let argument = match (&option.value, option.choices().as_slice()) {
                    (None, _) => String::new(),
                    (Some(value), []) if option.is_path() => format!(":{value}:_files"),
                    (Some(value), []) => format!(":{value}: "),
                    (Some(_), choices) => format!(":value:({})", choices.join(" ")),
                };
                let help = option.help.replace('[', "\\[").replace(']', "\\]").replace(':', "\\:");
                let told = quoted(&format!("[{help}]{argument}"), "'\\''");
                let _ = match names.as_slice() {
                    [only] => write!(script, " \\\n        {only}{told}"),
                    _ => write!(script, " \\\n        '({})'{{{}}}{told}", names.join(" "), names.join(",")),
                };
            }
            if word == "*" {
                let words: Vec<&str> = self.commands.iter().map(|(word, _)| *word).collect();
                let _ = write!(script, " \\\n        '1::command:({})'", words.join(" "));
            }
            if page.takes_paths {
                script.push_str(" \\\n        '*:path:_files'");
            }
            script.push_str(" ;;\n");
        }
        script + "esac\n"
    }

    fn fish(&self) -> String {
        let name = &self.main.name;
        let words: Vec<&str> = self.commands.iter().map(|(word, _)| *word).collect();
        let outside = format!("not __fish_seen_subcommand_from {}", words.join(" "));
        let mut script = format!("complete -c {name} -f\n");
        for (word, page) in &self.commands {
            let summary = quoted(&page.summary, "\\'");
            let _ = writeln!(script, "complete -c {name} -n '{outside}' -a {word} -d {summary}");
        }
        let commands =
            self.commands.iter().map(|(word, page)| (format!("__fish_seen_subcommand_from {word}"), page));
        for (condition, page) in [(outside.clone(), &self.main)].into_iter().chain(commands) {
            if page.takes_paths {
                let _ = writeln!(script, "complete -c {name} -n '{condition}' -F");
            }
            for option in shown(page) {
                let _ = write!(script, "complete -c {name} -n '{condition}'");
                if let Some(letter) = option.short {
                    let _ = write!(script, " -s {letter}");
                }
                if let Some(long) = &option.long {
                    let _ = write!(script, " -l {long}");
                }
                let _ = match (&option.value, option.choices().as_slice()) {
                    (None, _) => Ok(()),
                    (Some(_), []) if option.is_path() => write!(script, " -r -F"),
                    (Some(_), []) => write!(script, " -x"),
                    (Some(_), choices) => write!(script, " -x -a '{}'", choices.join(" ")),
                };
                let _ = writeln!(script, " -d {}", quoted(&option.help, "\\'"));
            }
        }
        script
    }

    fn powershell(&self) -> String {
        let name = &self.main.name;
        let mut script = format!(
            "Register-ArgumentCompleter -Native -CommandName {name} -ScriptBlock {{\n    \
             param($word, $line, $cursor)\n    \
             $second = if ($line.CommandElements.Count -gt 1) {{ \"$($line.CommandElements[1])\" }} else {{ '' }}\n    \
             $known = switch -CaseSensitive ($second) {{\n"
        );
        for (word, page) in &self.commands {
            let _ = writeln!(script, "        '{word}' {{ '{}' }}", self.words(page));
        }
        let _ = writeln!(script, "        default {{ '{}' }}\n    }}", self.words(&self.main));
        script
            + "    $known -split ' ' | Where-Object { $_.StartsWith($word) } |\n        \
               ForEach-Object { [System.Management.Automation.CompletionResult]::new($_) }\n}\n"
    }
}

fn shown(page: &Page<()>) -> impl Iterator<Item = &Opt<()>> {
    page.options().filter(|option| !option.is_hidden)
}

/// In single quotes, in which `quote` stands for one.
fn quoted(text: &str, quote: &str) -> String {
    format!("'{}'", text.replace('\'', quote))
}

#[cfg(test)]
mod tests {
    use super::super::options::tests::page;
    use super::*;

    fn program() -> Program {
        let bench = Page { name: "tool bench".into(), takes_paths: true, ..page().without_ids() };
        Program { main: page().without_ids(), commands: vec![("bench", bench)] }
    }

    #[test]
    fn every_shell_knows_options_values_paths_and_subcommands() {
        for (shell, parts) in [
            (
                Shell::Bash,
                &[
                    "-p|--port) COMPREPLY=(); return ;;",
                    "compgen -W 'fast slow'",
                    "compgen -f",
                    "--help bench'",
                    "-q --help' -- \"$current\") $(compgen -f -- \"$current\"))",
                    "complete -F _tool tool",
                ][..],
            ),
            (
                Shell::Zsh,
                &[
                    "'(-p --port)'{-p,--port}'[where it'\\''s \\[7\\]]:PORT: '",
                    ":value:(fast slow)",
                    ":FILE:_files",
                    "'1::command:(bench)'",
                    "'*:path:_files'",
                ],
            ),
            (
                Shell::Fish,
                &[
                    "-s p -l port -x -d 'where it\\'s [7]'",
                    "-l mode -x -a 'fast slow'",
                    "-r -F",
                    "-a bench -d 'is a tool'",
                    "-n '__fish_seen_subcommand_from bench' -F",
                ],
            ),
            (Shell::PowerShell, &["'bench' { '-p --port", "--help bench' }"]),
        ] {
            let script = program().completion(shell);
            for part in parts {
                assert!(script.contains(part), "{part:?} is missing in\n{script}");
            }
            assert!(!script.contains("-?"), "hidden options are not told of:\n{script}");
        }
    }

    /// What is left of a script of PowerShell without its strings; each must end, and every bracket be closed by its like.
    fn outside_of_strings(script: &str) -> String {
        let (mut left, mut open, mut chars) = (String::new(), Vec::new(), script.chars());
        while let Some(char) = chars.next() {
            match char {
                '\'' | '"' => assert!(chars.any(|other| other == char), "a string has no end:\n{script}"),
                '(' | '{' | '[' => open.push(char),
                ')' | '}' | ']' => {
                    let expected = match char {
                        ')' => '(',
                        '}' => '{',
                        _ => '[',
                    };
                    assert_eq!(open.pop(), Some(expected), "{char:?} closes nothing of its kind:\n{script}");
                }
                _ => {}
            }
            if !matches!(char, '\'' | '"') {
                left.push(char);
            }
        }
        assert!(open.is_empty(), "{open:?} stay open:\n{script}");
        left
    }

    #[test]
    fn the_script_for_powershell_has_the_shape_of_one() {
        let script = program().completion(Shell::PowerShell);
        let outside = outside_of_strings(&script);
        let code: Vec<&str> = outside.lines().map(str::trim).collect();
        assert_eq!(
            code,
            [
                "Register-ArgumentCompleter -Native -CommandName tool -ScriptBlock {",
                "param($word, $line, $cursor)",
                "$second = if ($line.CommandElements.Count -gt 1) {  } else {  }",
                "$known = switch -CaseSensitive ($second) {",
                "{  }",
                "default {  }",
                "}",
                "$known -split  | Where-Object { $_.StartsWith($word) } |",
                "ForEach-Object { [System.Management.Automation.CompletionResult]::new($_) }",
                "}",
            ]
        );
        let words = |page: &str| {
            let list = script.split_once(page).and_then(|(_, rest)| rest.split('\'').nth(1)).unwrap();
            list.split(' ').map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(
            words("'bench' {"),
            words("default {").into_iter().filter(|word| word != "bench").collect::<Vec<_>>()
        );
        assert!(words("default {").iter().any(|word| word == "bench"), "{script}");
    }
}
