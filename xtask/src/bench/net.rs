//! `cargo xtask bench notify` and `handoff`: what `modb-net` does between threads, beside other ways to do it. The
//! benchmarks are `modb-net/benches/`; here they are told where to put their tables and their pictures.

use super::programs;
use crate::failure::Result;
use crate::process;
use crate::workspace;

pub(crate) const NOTIFY_USAGE: &str =
    "cargo xtask bench notify [--quick] [--json FILE] [--docs FOLDER] [--only-trips NAME TRIPS]";
pub(crate) const HANDOFF_USAGE: &str = "cargo xtask bench handoff [--quick] [--json FILE] [--docs FOLDER]";

pub(super) fn notify(args: &[String]) -> Result<()> {
    run("notify", NOTIFY_USAGE, args)
}

pub(super) fn handoff(args: &[String]) -> Result<()> {
    run("handoff", HANDOFF_USAGE, args)
}

/// Options are the benchmark's own, and passed on; unless told otherwise it writes into `docs/performance/`.
fn run(name: &str, usage: &str, args: &[String]) -> Result<()> {
    check(usage, args)?;
    let mut bench = process::command(programs::of_the_layer(name)?);
    bench.args(args);
    if !args.iter().any(|arg| arg == "--quick" || arg == "--docs") {
        bench.arg("--docs").arg(workspace::root().join("docs/performance"));
    }
    process::run(&mut bench)
}

/// Refuses, before anything is built, what the usage does not name, and a value that is missing: the benchmarks themselves panic.
fn check(usage: &str, args: &[String]) -> Result<()> {
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let known = usage.split('[').find(|option| option.split([' ', ']']).next() == Some(arg));
        let Some(option) = known.filter(|_| arg.starts_with("--")) else {
            return Err(format!("unknown option: {arg}\n{usage}").into());
        };
        for value in option.trim_end().trim_end_matches(']').split(' ').skip(1) {
            rest.next().ok_or_else(|| format!("{arg} needs {value}\n{usage}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{HANDOFF_USAGE, NOTIFY_USAGE, check};

    #[test]
    fn what_the_usage_does_not_name_is_refused() {
        let asked = |usage, line: &str| {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            check(usage, &args).map_err(|failure| failure.to_string())
        };
        assert_eq!(asked(NOTIFY_USAGE, "--quick --json a --only-trips pipe 9"), Ok(()));
        assert_eq!(asked(HANDOFF_USAGE, "--docs folder"), Ok(()));
        for (line, why) in [
            ("--fast", "unknown option: --fast"),
            ("quick", "unknown option: quick"),
            ("--only-trips pipe 9", "unknown option: --only-trips"),
            ("--quick --json", "--json needs FILE"),
        ] {
            let refused = asked(HANDOFF_USAGE, line).expect_err("it is wrong");
            assert!(refused.starts_with(why), "{line}: {refused}");
        }
    }
}
