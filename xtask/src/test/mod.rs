//! `cargo xtask test`: everything that must hold, on Linux and on Windows, a line and a time for each step.
//!
//! From Linux the Windows half is cross-built and runs under Wine; on Windows and macOS the host's half is all there is.
//! All that is tested on a platform is built by one call of cargo: each selection of packages has features of its own, and what
//! depends on them would be compiled anew. What the integration tests start is built next and handed to them by path, so
//! that nothing stale is tested.
//! A step that takes longer than it may is ended and has failed, and the run ends with it: what hangs once would take
//! the time of every step that follows.

mod built;
mod hang;
mod jobs;
mod scratch;
mod small_disks;
pub(crate) mod step;
pub(crate) mod tally;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::failure::Result;
use crate::process;
use crate::windows::{self, Kit};
use crate::{mutants, setup, tidy, workspace};
use built::Built;
use jobs::{Job, Wanted};
use small_disks::{FOR_SCENARIOS, FOR_STORE, SmallDisks};
use tally::Tally;

/// What the command line asks for.
#[derive(Debug, Default)]
struct Options {
    setup: bool,
    linux: bool,
    windows: bool,
    long: bool,
    filter: Option<String>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self::default();
        for arg in args {
            match arg.as_str() {
                "--setup" => options.setup = true,
                "--linux" => options.linux = true,
                "--windows" => options.windows = true,
                "--long" => options.long = true,
                flag if flag.starts_with('-') => return Err(format!("test knows no {flag}").into()),
                name if options.filter.is_none() => options.filter = Some(name.to_owned()),
                name => return Err(format!("one filter only, not {name} too").into()),
            }
        }
        // Neither named is both.
        if options.linux == options.windows {
            (options.linux, options.windows) = (true, true);
        }
        Ok(options)
    }
}

pub(crate) fn command(args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    let started = Instant::now();
    let host = std::env::consts::OS;
    let (native, crossed) = match host {
        "linux" => (options.linux, options.windows),
        _ => (true, false),
    };
    let wanted = setup::Wanted { wine: crossed, long: options.long };
    if options.setup {
        setup::install(wanted)?;
    } else {
        setup::demand(wanted)?;
    }
    let mut run = Run { options, rows: Vec::new(), left_to_others: Vec::new() };
    let ran = run.all(host, native, crossed);
    let reported = run.report(started);
    // A step that hung is told in the report.
    if run.hung() { reported } else { ran.and(reported) }
}

/// The store's test on a real disk that it fills.
const FULL_DISK: &str = "a_full_disk_refuses_writes_loses_nothing_and_serves_again";

/// The steps done so far, by platform.
struct Run {
    options: Options,
    rows: Vec<(String, Tally)>,
    /// Ignored tests that have a step of their own: not skipped.
    left_to_others: Vec<&'static str>,
}

impl Run {
    /// Every step that was asked for, until one hangs.
    fn all(&mut self, host: &str, native: bool, crossed: bool) -> Result<()> {
        if native {
            self.native(host)?;
        }
        if crossed {
            self.windows_under_wine(&Kit::installed()?)?;
        }
        Ok(())
    }

    fn native(&mut self, host: &str) -> Result<()> {
        let name = match host {
            "linux" => "Linux",
            "macos" => "macOS",
            "windows" => "Windows",
            other => other,
        };
        if self.options.filter.is_none() {
            self.checks()?;
        }
        let Some(built) = self.build(name, process::cargo, None)? else { return Ok(()) };
        let disks = if host == "linux" { SmallDisks::mount(FOR_STORE)? } else { None };
        self.units(name, &built, process::cargo(), disks.and_then(|disks| Some((disks.first()?, disks))))?;
        let mut integration = built.integration();
        Programs::of(&workspace::target_dir()).hand_to(&mut integration)?;
        self.tests(name, "integration and real clients", integration)?;
        if host == "linux" {
            // `polling`'s back end on the less common systems; it has faults of its own that must not reach us.
            let mut cargo = process::cargo();
            cargo.env("RUSTFLAGS", "--cfg polling_test_poll_backend").args(POLL);
            let (tally, programs) = step::build(name, "build for poll(2)", &mut cargo)?;
            self.add(name, "build for poll(2)", tally)?;
            let other = Built { programs, kit: None };
            self.tests(name, "modb-net on poll(2)", other.units())?;
        }
        Ok(())
    }

    /// The tests of a platform, then the programs that they start, in the place of those that the tests' features have
    /// left there; `None`: they do not build.
    fn build<'k>(
        &mut self,
        platform: &str,
        cargo: impl Fn() -> Command,
        kit: Option<&'k Kit>,
    ) -> Result<Option<Built<'k>>> {
        let (tally, programs) = step::build(platform, "build of the tests", cargo().args(TESTS))?;
        let builds = tally.failed.is_empty();
        self.add(platform, "build of the tests", tally)?;
        if !builds {
            return Ok(None);
        }
        let mut under_test = cargo();
        under_test.args(PROGRAMS);
        for package in OPTIMIZED {
            under_test.arg("--config").arg(format!("profile.dev.package.{package}.opt-level=1"));
        }
        let tally = step::prepare(platform, "build of the programs", &mut under_test)?;
        let builds = tally.failed.is_empty();
        self.add(platform, "build of the programs", tally)?;
        Ok(builds.then_some(Built { programs, kit }))
    }

    /// What does not depend on the platform, or only in that the compiler sees another half of `sys/`.
    fn checks(&mut self) -> Result<()> {
        self.check("Checks", "format", process::cargo().args(["fmt", "--all", "--check"]))?;
        let tidy = || Ok(tidy::findings()?.iter().map(ToString::to_string).collect());
        let tally = step::here("Checks", "tidy", tidy)?;
        self.add("Checks", "tidy", tally)?;
        let tally = step::here("Checks", "mutants apply", mutants::findings)?;
        self.add("Checks", "mutants apply", tally)?;
        self.check("Checks", "clippy", process::cargo().args(CLIPPY))?;
        self.check("Checks", "clippy for embedders", process::cargo().args(EMBEDDED))?;
        let mut docs = process::cargo();
        docs.env("RUSTDOCFLAGS", "-D warnings").args([
            "doc",
            "--workspace",
            "--no-deps",
            "--document-private-items",
        ]);
        self.check("Checks", "documentation", &mut docs)
    }

    fn windows_under_wine(&mut self, kit: &Kit) -> Result<()> {
        const NAME: &str = "Windows";
        let _session = kit.session()?;
        if self.options.filter.is_none() && kit.has_clippy() {
            self.check("Checks", "clippy for Windows", kit.cargo().args(CLIPPY))?;
        }
        let Some(built) = self.build(NAME, || kit.cargo(), Some(kit))? else { return Ok(()) };
        let disks = SmallDisks::mount(FOR_STORE)?;
        self.units(
            NAME,
            &built,
            kit.cargo(),
            disks.and_then(|disks| Some((disks.first_under_wine()?, disks))),
        )?;
        let programs = Programs::of(&windows::target_dir().join(windows::TARGET));
        let mut integration = built.integration();
        programs.hand_to(&mut integration)?;
        let disks = SmallDisks::mount(FOR_SCENARIOS)?;
        for job in &mut integration {
            // Wine cannot start this system's Python: redis-py meets the Windows server in the crossed runs.
            job.command.env_remove("MODB_PYTHON");
            if let Some(disks) = &disks {
                disks.hand_to(&mut job.command);
            }
        }
        self.tests(NAME, "integration", integration)?;
        self.crossed(kit, &programs)
    }

    /// The same list from a Linux process against the Windows server, and the clients of each against the other.
    fn crossed(&mut self, kit: &Kit, windows: &Programs) -> Result<()> {
        // Once more only where the Linux half was not asked for: cargo knows what is there.
        let Some(built) = self.build("Crossed", process::cargo, None)? else { return Ok(()) };
        let linux = Programs::of(&workspace::target_dir());
        let mut crossed = built.integration();
        linux.hand_to(&mut crossed)?;
        for job in &mut crossed {
            // As every program that runs under Wine.
            job.is_alone = true;
            kit.run_from(&mut job.command);
            job.command
                .env("MODB_SERVER_BIN", &windows.server)
                .env("MODB_WINDOWS_SERVER_BIN", &windows.server)
                .env("MODB_WINDOWS_CLIENT_BIN", &windows.client);
        }
        self.tests("Crossed", "Linux clients, Windows server", crossed)?;

        if self.options.filter.is_some() {
            return Ok(());
        }
        let mut other_way = built.named("it");
        linux.hand_to(&mut other_way)?;
        for job in &mut other_way {
            kit.run_from(&mut job.command);
            job.command.env("MODB_WINDOWS_CLIENT_BIN", &windows.client);
        }
        let name = "Windows client, Linux server";
        let wanted = Wanted::Named("a_windows_client_speaks_to_a_linux_server");
        let tally = jobs::run("Crossed", name, other_way, wanted)?;
        self.add("Crossed", name, tally)
    }

    /// The tests that stand beside the code, and the one of them that wants a disk that it can fill.
    fn units(
        &mut self,
        platform: &str,
        built: &Built,
        mut cargo: Command,
        small_disk: Option<(PathBuf, SmallDisks)>,
    ) -> Result<()> {
        let mut jobs = built.units();
        cargo.args(DOC_TESTS);
        jobs.push(Job { name: "doc tests".to_owned(), command: cargo, is_alone: built.kit.is_some() });
        self.left_to_others = small_disk.iter().map(|_| FULL_DISK).collect();
        self.tests(platform, "unit, property and model", jobs)?;
        self.left_to_others.clear();
        let Some((folder, _mounted)) = small_disk else { return Ok(()) };
        if self.options.filter.as_ref().is_some_and(|filter| !FULL_DISK.contains(filter.as_str())) {
            return Ok(());
        }
        let mut full = built.named("store_full");
        for job in &mut full {
            job.command.env("MODB_TEST_SMALL_DISK", &folder);
        }
        let name = "a disk that runs full";
        let mut tally = jobs::run(platform, name, full, Wanted::Ignored(FULL_DISK))?;
        tally.skipped.clear();
        self.add(platform, name, tally)
    }

    fn check(&mut self, platform: &str, name: &str, command: &mut Command) -> Result<()> {
        let tally = step::check(platform, name, command)?;
        self.add(platform, name, tally)
    }

    /// Tests that take minutes are ignored and named `long_`; what is ignored for another reason stays so.
    fn tests(&mut self, platform: &str, name: &str, jobs: Vec<Job>) -> Result<()> {
        let long = self.options.long.then(|| jobs.iter().map(Job::again).collect());
        let wanted = self.options.filter.as_deref().map_or(Wanted::All, Wanted::Named);
        let mut tally = jobs::run(platform, name, jobs, wanted)?;
        tally.skipped.retain(|name, _| !self.left_to_others.contains(&name.as_str()));
        if let Some(long) = long {
            tally.skipped.retain(|name, _| !is_long(name));
            let mut minutes = jobs::run(platform, &format!("{name}, long"), long, Wanted::Long)?;
            minutes.skipped.retain(|name, _| is_long(name));
            tally.merge(minutes);
        }
        self.add(platform, name, tally)
    }

    /// Fails if the step hung: nothing is to follow it.
    fn add(&mut self, platform: &str, step: &str, tally: Tally) -> Result<()> {
        let hung = tally.hung;
        let at = self.rows.iter().position(|(name, _)| name == platform).unwrap_or_else(|| {
            self.rows.push((platform.to_owned(), Tally::default()));
            self.rows.len() - 1
        });
        self.rows[at].1.add(step, tally);
        if hung { Err(format!("{step} hangs").into()) } else { Ok(()) }
    }

    fn hung(&self) -> bool {
        self.rows.iter().any(|(_, tally)| tally.hung)
    }

    /// The closing table, the reasons, and one line for who reads no table.
    fn report(&self, started: Instant) -> Result<()> {
        for (platform, tally) in self.rows.iter().filter(|(_, tally)| !tally.skipped.is_empty()) {
            println!("\nskipped, {platform}:");
            for (name, reason) in &tally.skipped {
                println!("  {name}: {reason}");
            }
        }
        for (platform, tally) in self.rows.iter().filter(|(_, tally)| !tally.failed.is_empty()) {
            println!("\nFAILED, {platform}:");
            tally.failed.iter().for_each(|name| println!("  {name}"));
        }
        println!("\n{:<10} {:>7} {:>7} {:>8}", "platform", "passed", "failed", "skipped");
        let (mut passed, mut failed, mut skipped) = (0, 0, 0);
        for (platform, tally) in &self.rows {
            println!(
                "{platform:<10} {:>7} {:>7} {:>8}",
                tally.passed,
                tally.failed.len(),
                tally.skipped.len()
            );
            passed += tally.passed;
            failed += tally.failed.len();
            skipped += tally.skipped.len();
        }
        println!("\nin {:.1} minutes\n", started.elapsed().as_secs_f64() / 60.0);
        let unfinished = if self.hung() { ", and what follows the step that hangs was not run" } else { "" };
        println!("{passed} passed, {failed} failed, {skipped} skipped{unfinished}");
        if failed == 0 { Ok(()) } else { Err("not everything passed".into()) }
    }
}

fn is_long(test: &str) -> bool {
    test.rsplit("::").next().is_some_and(|name| name.starts_with("long_"))
}

/// The second engine, which runs every test of the seam, and what embedders may add. Programs are built without.
const FEATURES: &str = "modb-server/fjall,modb-server/serde";
/// All tests of all packages in one selection. Examples are programs.
const TESTS: &[&str] =
    &["test", "--no-run", "--workspace", "--features", FEATURES, "--lib", "--bins", "--tests"];
const DOC_TESTS: &[&str] = &["test", "--doc", "--no-fail-fast", "--workspace", "--features", FEATURES, "--"];
const PROGRAMS: &[&str] = &["build", "--workspace", "--bins", "--examples"];
/// What the server's time goes to, and what is built for it anew in any case. The integration tests wait for it, and optimized a little
/// it takes a tenth of the time; the tests themselves would take longer to build than they would save.
const OPTIMIZED: [&str; 9] = [
    "modb-net",
    "modb-server",
    "lsm-tree",
    "bytes",
    "byteview",
    "crc32c",
    "crossbeam-skiplist",
    "quick_cache",
    "sfa",
];
const POLL: &[&str] = &["test", "--no-run", "--package", "modb-net", "--lib", "--tests"];
const CLIPPY: &[&str] =
    &["clippy", "--workspace", "--all-targets", "--features", FEATURES, "--", "-D", "warnings"];
/// What a program that embeds Modb is built with.
const EMBEDDED: &[&str] =
    &["clippy", "--package", "modb-server", "--lib", "--no-default-features", "--", "-D", "warnings"];

/// The programs under test, as built by the step before.
struct Programs {
    server: PathBuf,
    client: PathBuf,
}

impl Programs {
    fn of(target_dir: &Path) -> Self {
        let suffix =
            if target_dir.ends_with(windows::TARGET) { ".exe" } else { std::env::consts::EXE_SUFFIX };
        let program = |name| target_dir.join("debug").join(format!("{name}{suffix}"));
        Self { server: program("modb-server"), client: program("modb-client") }
    }

    /// Tells the tests where the programs are, and the clients in other languages.
    fn hand_to(&self, tests: &mut [Job]) -> Result<()> {
        for job in tests {
            job.command.env("MODB_SERVER_BIN", &self.server).env("MODB_CLIENT_BIN", &self.client);
            setup::hand_to(&mut job.command)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Options, is_long};

    fn parse(line: &str) -> Result<Options, String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&args).map_err(|failure| failure.to_string())
    }

    #[test]
    fn without_a_platform_both_run() {
        let options = parse("").expect("no arguments are fine");
        assert!(options.linux && options.windows && !options.setup && !options.long);
        let options = parse("--windows --setup expire").expect("these are known");
        assert!(!options.linux && options.windows && options.setup);
        assert_eq!(options.filter.as_deref(), Some("expire"));
    }

    #[test]
    fn what_it_does_not_know_is_refused_by_name() {
        assert!(parse("--fast").expect_err("unknown").contains("--fast"));
        assert!(parse("one two").expect_err("two filters").contains("two"));
    }

    #[test]
    fn a_long_test_is_known_by_its_own_name() {
        assert!(is_long("many::long_idle"));
        assert!(!is_long("long_module::short"));
    }
}
