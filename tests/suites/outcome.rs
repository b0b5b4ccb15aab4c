//! What became of a test, and how all of them are told. Pure, but for printing.

use std::collections::{BTreeMap, BTreeSet};

use crate::compatibility;

/// One test of a suite.
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) end: End,
}

/// How it ended.
pub(crate) enum End {
    Passed,
    /// With what it said.
    Failed(String),
    /// For this reason it was not run, or stopped by itself.
    LeftOut(String),
    /// It met a command that the server does not know, in upper case.
    UnknownCommand(String),
}

/// How many ended how.
#[derive(Default)]
pub(crate) struct Summary {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) left_out: usize,
}

/// Prints what failed and, by reason, what was left out.
pub(crate) fn print(suite: &str, outcomes: &[Outcome]) -> Summary {
    let unsupported = compatibility::unsupported();
    let mut summary = Summary::default();
    let mut said = String::new();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    let mut needs: BTreeMap<&str, (usize, BTreeSet<&str>)> = BTreeMap::new();
    for Outcome { name, end } in outcomes {
        let mut fail = |why: &str| {
            println!("test {suite}: {name} ... FAILED");
            said += &format!("\n---- {suite}: {name} ----\n{why}\n");
            summary.failed += 1;
        };
        match end {
            End::Passed => summary.passed += 1,
            End::Failed(why) => fail(why),
            End::LeftOut(reason) => *reasons.entry(reason).or_default() += 1,
            End::UnknownCommand(command) => match unsupported.get(command) {
                Some(group) => {
                    let (count, commands) = needs.entry(group).or_default();
                    *count += 1;
                    commands.insert(command);
                }
                None => fail(&format!("docs/COMPATIBILITY.md does not say that {command} is not supported")),
            },
        }
    }
    println!("test {suite}: {} tests ... ok", summary.passed);
    for (group, (count, commands)) in needs {
        summary.left_out += count;
        let commands: Vec<&str> = commands.into_iter().collect();
        println!("test {suite}: {count} of {group} ... ignored, not supported: {}", commands.join(" "));
    }
    for (reason, count) in reasons {
        summary.left_out += count;
        println!("test {suite}: {count} tests ... ignored, {reason}");
    }
    print!("{said}");
    summary
}
