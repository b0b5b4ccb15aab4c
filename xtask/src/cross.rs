//! `cargo xtask cross ARGS`: any cargo command, for Windows, on this machine.
//!
//! `cargo xtask cross -- test -p modb-net` builds with the Windows library and runs under Wine.

use crate::failure::Result;
use crate::process;
use crate::windows::Kit;

pub(crate) fn command(args: &[String]) -> Result<()> {
    let args = args.strip_prefix(&["--".to_owned()]).unwrap_or(args);
    if args.is_empty() {
        return Err("cross needs a cargo command: cargo xtask cross -- test -p modb-net".into());
    }
    let kit = Kit::installed()?;
    let _session = kit.session()?;
    process::run(kit.cargo().args(args))
}
