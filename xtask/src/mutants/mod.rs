//! `cargo xtask mutants`: takes the defences away one at a time, and shows that a test misses each.
//!
//! A mutant is a file `tests/mutants/NAME.patch`: what it takes away and which tests must then fail, and the change as
//! `git diff` writes it. It is applied to a copy of the working tree, never to the tree itself.
//!
//! Invariants: a mutant counts as killed only if its tests pass without it and it builds; whatever else happens to it is
//! a failure of the run, with its reason.

mod copy;
mod patch;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::failure::Result;
use crate::process;
use crate::test::step::{self, Watched};
use crate::test::tally::Tally;
use copy::Copy;
use patch::Mutant;

/// How long the tests of one mutant may take. One that makes them hang is killed, too: somebody would notice.
const LIMIT: Duration = Duration::from_secs(5 * 60);

/// The same where the file says `long: yes`: tests that take minutes when all is well.
const LONG_LIMIT: Duration = Duration::from_secs(60 * 60);

pub(crate) fn command(args: &[String]) -> Result<()> {
    let (mut long, mut name) = (false, None);
    for arg in args {
        match arg.as_str() {
            "--long" => long = true,
            flag if flag.starts_with('-') => return Err(format!("mutants knows no {flag}").into()),
            _ if name.is_none() => name = Some(arg.as_str()),
            other => return Err(format!("one name only, not {other} too").into()),
        }
    }
    let mut mutants = patch::all()?;
    mutants.retain(|mutant| name.is_none_or(|name| mutant.name.contains(name)));
    if mutants.is_empty() {
        return Err(format!("no mutant is named {}", name.unwrap_or("anything")).into());
    }
    if long { run(&mutants) } else { check(&mutants) }
}

/// What is wrong with the files themselves: the cheap half, part of every test run.
pub(crate) fn findings() -> Result<Vec<String>> {
    // A file that cannot be read as a mutant is a finding, too.
    Ok(patch::all().map_or_else(|failure| vec![failure.to_string()], |mutants| faults(&mutants)))
}

fn faults(mutants: &[Mutant]) -> Vec<String> {
    mutants.iter().filter_map(|mutant| Some(format!("{}: {}", mutant.name, mutant.fault()?))).collect()
}

fn check(mutants: &[Mutant]) -> Result<()> {
    let faults = faults(mutants);
    faults.iter().for_each(|fault| println!("{fault}"));
    match faults.len() {
        0 => println!("{} mutants apply; --long builds them and runs their tests", mutants.len()),
        n => return Err(format!("{n} of {} mutants do not apply", mutants.len()).into()),
    }
    Ok(())
}

/// What came of a mutant.
#[derive(Debug)]
enum Fate {
    /// By the first test that failed; none if they ended without naming one.
    Killed {
        by: Option<String>,
    },
    /// Killed, since its tests did not end.
    Hangs,
    Survived,
    DoesNotApply,
    DoesNotBuild,
    /// Its tests fail without it as well, or there are none of that name: they say nothing about it.
    TestsSayNothing,
}

impl Fate {
    fn is_killed(&self) -> bool {
        matches!(self, Self::Killed { .. } | Self::Hangs)
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Killed { by: Some(test) } => return write!(f, "killed by {test}"),
            Self::Killed { by: None } => "killed",
            Self::Hangs => "killed (its tests hang)",
            Self::Survived => "SURVIVED",
            Self::DoesNotApply => "DOES NOT APPLY",
            Self::DoesNotBuild => "DOES NOT BUILD",
            Self::TestsSayNothing => "ITS TESTS FAIL WITHOUT IT, OR THERE ARE NONE",
        })
    }
}

fn run(mutants: &[Mutant]) -> Result<()> {
    let copy = Copy::of_the_working_tree()?;
    let mut trial = Trial { copy, well: BTreeMap::new() };
    let mut failed = Vec::new();
    for mutant in mutants {
        print!("{:<44} ", mutant.name);
        // A line that appears late is still right.
        let _ = std::io::stdout().flush();
        let begun = Instant::now();
        let fate = trial.of(mutant)?;
        println!("{:>6.1} s   {fate}", begun.elapsed().as_secs_f64());
        if !fate.is_killed() {
            println!("    {}\n    cargo test {}", mutant.what, mutant.test.join(" "));
            failed.push(mutant.name.as_str());
        }
    }
    println!("\n{} of {} mutants killed", mutants.len() - failed.len(), mutants.len());
    if failed.is_empty() { Ok(()) } else { Err(format!("not killed: {}", failed.join(", ")).into()) }
}

/// The copy, and what is known about it as it is without any mutant.
struct Trial {
    copy: Copy,
    /// Whether tests, by their arguments, pass in the copy as it is.
    well: BTreeMap<Vec<String>, bool>,
}

impl Trial {
    fn of(&mut self, mutant: &Mutant) -> Result<Fate> {
        if mutant.fault().is_some() {
            return Ok(Fate::DoesNotApply);
        }
        self.copy.refresh()?;
        if !self.is_well(mutant)? {
            return Ok(Fate::TestsSayNothing);
        }
        self.copy.apply(&mutant.path)?;
        let outcome = self.test(mutant);
        // Whatever came of it: the next one starts from the tree as it is.
        self.copy.refresh()?;
        Ok(match outcome? {
            Tested::DoesNotBuild => Fate::DoesNotBuild,
            Tested::Ended(tally, _) if tally.hung => Fate::Hangs,
            Tested::Ended(_, true) => Fate::Survived,
            Tested::Ended(tally, false) => Fate::Killed { by: tally.failed.into_iter().next() },
        })
    }

    fn is_well(&mut self, mutant: &Mutant) -> Result<bool> {
        if let Some(&well) = self.well.get(&mutant.test) {
            return Ok(well);
        }
        let outcome = self.test(mutant)?;
        let well = matches!(outcome, Tested::Ended(tally, true) if tally.passed > 0 && !tally.hung);
        self.well.insert(mutant.test.clone(), well);
        Ok(well)
    }

    fn test(&self, mutant: &Mutant) -> Result<Tested> {
        let (build, tests) = (self.copy.log("build"), self.copy.log(&mutant.name));
        let own = mutant.test.iter().position(|arg| arg == "--").unwrap_or(mutant.test.len());
        let mut cargo = self.cargo();
        cargo.args(["test", "--no-run"]).args(&mutant.test[..own]);
        let built = step::watch(&mut cargo, LONG_LIMIT, &build)?;
        if !built.ended_well() {
            return Ok(Tested::DoesNotBuild);
        }
        let mut cargo = self.cargo();
        cargo.arg("test").args(&mutant.test);
        let limit = if mutant.is_long { LONG_LIMIT } else { LIMIT };
        let ended = step::watch(&mut cargo, limit, &tests)?;
        let mut tally = Tally::read(&ended.printed, "");
        tally.hung = ended.status.is_none();
        Ok(Tested::Ended(tally, ended.ended_well()))
    }

    /// Cargo in the copy, which builds what its tests start by itself.
    fn cargo(&self) -> Command {
        let mut cargo = process::cargo();
        cargo.current_dir(self.copy.tree()).env("CARGO_TARGET_DIR", self.copy.target());
        cargo.env_remove("MODB_SERVER_BIN").env_remove("MODB_CLIENT_BIN");
        cargo
    }
}

/// What tests came to, and whether cargo ended with status 0.
enum Tested {
    DoesNotBuild,
    Ended(Tally, bool),
}

impl Watched {
    fn ended_well(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}
