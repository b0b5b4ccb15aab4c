//! The development commands of Modb: `cargo xtask help` lists them.
//!
//! Each command is a file; what several share stands in `process`, `workspace` and `windows/`. The crate uses the
//! standard library only, so that it builds in seconds on a machine that has nothing else.

mod artifacts;
mod bench;
mod cross;
mod dist;
mod embedder;
mod failure;
mod mutants;
mod process;
mod setup;
mod test;
mod tidy;
mod windows;
mod workspace;

use std::process::ExitCode;

use failure::Result;

const HELP: &str = "\
cargo xtask COMMAND

  test [--setup] [--linux|--windows] [--long] [FILTER]
                        everything that must hold, on Linux and on Windows; --setup installs what is missing first,
                        --long adds what takes minutes, FILTER runs only the tests whose name holds it
  setup [--long]        install what the tests need, or print the commands that do; --long: what those need, too, that
                        take minutes
  tidy                  check the layout's promises: floors, platform code, headers, links, the public surface
  surface               write down what the libraries show to others, where tidy says that it has changed and that is meant
  mutants [--long] [NAME]
                        check that each patch of tests/mutants applies; --long: take each defence away and see its tests fail
  embedder [--check]    what a small program over Modb costs to build, beside redb and fjall; --check: its crates alone
  dist                  what is handed out, in target/dist: stripped programs with their debug information beside them,
                        manual pages, completions
  cross ARGS            cargo ARGS for Windows, on this machine: cross -- test -p modb-net
  bench notify [--quick] [--json FILE] [--docs FOLDER]
                        the notifier beside other ways to wake a thread; writes docs/performance/layer.md unless --quick
  bench handoff [--quick] [--json FILE] [--docs FOLDER]
                        the ways to hand connections to workers beside SO_REUSEPORT; writes as above
  bench costs [--rounds N] [--workers N,N] [--only exec|message]
                        processor time of a transaction and of a message, beside redis
  bench cpu [--incr] [--base REV] [--pairs N]
                        processor time of SET and GET, in pairs with an earlier commit
  bench generators [--rounds N]
                        modb-client bench beside redis-benchmark on the same server: what each reports and costs
  bench instructions [--types] [--base REV] [--rounds N]
                        instructions per request under callgrind, as a ratio to an earlier commit
  bench memory [--rounds N] [--elements N]
                        what an element of each type takes of memory, beside redis
  bench distance [--rounds N] [--workers N,N] [--apart]
                        processor time of PING beside a loop that only receives and sends, and beside redis
  bench programs FOLDER everything that benches run, built and put into a folder; with MODB_BENCH_PROGRAMS=FOLDER its xtask
                        runs them where nothing can be built
  bench reopen ARGS     what it takes to start again on many keys, after a kill; Linux
  bench compare ARGS    Modb beside other servers: throughput, latency and processor time, as ratios
  bench pages [--html FOLDER]
                        the README's table and chart, of what is recorded in docs/performance; --html: a page of each record
  help                  this page
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_else(|| "help".to_owned());
    let args: Vec<String> = args.collect();
    let asks_for_help = args.iter().any(|arg| arg == "--help" || arg == "-h");
    let done = match command.as_str() {
        // These two know more, or pass it on.
        other if asks_for_help && other != "bench" && other != "cross" => help(),
        "bench" => bench::command(&args),
        "setup" => setup::command(&args),
        "test" => test::command(&args),
        "mutants" => mutants::command(&args),
        "tidy" => tidy::command(&args),
        "surface" => tidy::write_surface(&args),
        "cross" => cross::command(&args),
        "dist" => dist::command(&args),
        "embedder" => embedder::command(&args),
        "help" | "--help" | "-h" => help(),
        other => Err(format!("no command named {other}; `cargo xtask help` lists them").into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn help() -> Result<()> {
    print!("{HELP}");
    Ok(())
}
