//! `cargo xtask bench notify` and `handoff`: what `modb-net` does between threads, beside other ways to do it. The
//! benchmarks are `modb-net/benches/`; here they are told where to put their tables and their pictures.

use super::programs;
use crate::failure::Result;
use crate::process;
use crate::workspace;

/// Options of the benchmark itself are passed on; unless told otherwise it writes into `docs/performance/`.
pub(super) fn run(name: &str, args: &[String]) -> Result<()> {
    let mut bench = process::command(programs::of_the_layer(name)?);
    bench.args(args);
    if !args.iter().any(|arg| arg == "--quick" || arg == "--docs") {
        bench.arg("--docs").arg(workspace::root().join("docs/performance"));
    }
    process::run(&mut bench)
}
