//! `cargo xtask bench notify`: the notifier beside other ways to wake a thread. The benchmark is
//! `modb-net/benches/notify/`; here it is told where to put its table and its pictures.

use crate::process::{self, Result};
use crate::workspace;

/// Options of the benchmark itself are passed on; without any of them it writes into `docs/`.
pub(super) fn run(args: &[String]) -> Result<()> {
    let mut bench = process::cargo();
    bench.args(["bench", "--quiet", "-p", "modb-net", "--bench", "notify", "--"]).args(args);
    if !args.iter().any(|arg| arg == "--quick" || arg == "--docs") {
        bench.arg("--docs").arg(workspace::root().join("docs"));
    }
    process::run(&mut bench)
}
