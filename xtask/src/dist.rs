//! What is handed out: both programs built for release and stripped, with their debug information, manual pages and
//! completions beside them, in `target/dist`.
//!
//! Where the linker leaves debug information in the program, `objcopy` takes it out into a file that debuggers find by the link that is
//! left; where the linker writes a file of its own (MSVC), that is copied.

use std::fs;
use std::path::Path;

use crate::failure::{Context as _, Result};
use crate::process;
use crate::workspace;

const PROGRAMS: [&str; 2] = ["modb-server", "modb-client"];
const SHELLS: [&str; 4] = ["bash", "zsh", "fish", "powershell"];

pub(crate) fn command(args: &[String]) -> Result<()> {
    if !args.is_empty() {
        return Err("dist takes no arguments".into());
    }
    let folder = workspace::target_dir().join("dist");
    workspace::remove_folder(&folder)?;
    workspace::make_folder(&folder)?;
    process::run(process::cargo().args([
        "build",
        "--release",
        "--locked",
        "-p",
        "modb-server",
        "-p",
        "modb-client",
    ]))?;
    for program in PROGRAMS {
        let built = workspace::target_dir()
            .join("release")
            .join(format!("{program}{}", std::env::consts::EXE_SUFFIX));
        let (before, after) = hand_out(&built, &folder)?;
        println!("{program}: {after} KiB, {before} KiB with its debug information");
        let text = |option: &[&str]| {
            Ok::<_, crate::failure::Failure>(
                process::run_quietly(process::command(&built).args(option))?.stdout,
            )
        };
        let write = |name: String, text: Vec<u8>| {
            fs::write(folder.join(&name), text).context(format_args!("cannot write {name}"))
        };
        write(format!("{program}.1"), text(&["--man"])?)?;
        for shell in SHELLS {
            write(format!("{program}.{shell}"), text(&["--completion", shell])?)?;
        }
    }
    workspace::copy_folder(&workspace::root().join("packaging"), &folder.join("packaging"))?;
    println!("in {}", folder.display());
    Ok(())
}

/// The program without, and beside it what was taken out; the sizes before and after, in KiB.
fn hand_out(built: &Path, folder: &Path) -> Result<(u64, u64)> {
    let name = built.file_name().ok_or("a program has a name")?;
    let program = folder.join(name);
    let size = |path: &Path| {
        fs::metadata(path).map(|found| found.len() >> 10).context(format_args!("{}", path.display()))
    };
    let separate = built.with_extension("pdb");
    if separate.is_file() {
        let to = folder.join(separate.file_name().ok_or("a file has a name")?);
        fs::copy(built, &program).context("cannot copy the program")?;
        fs::copy(&separate, &to).context("cannot copy the debug information")?;
        return Ok((size(built)? + size(&to)?, size(&program)?));
    }
    let mut of_debug = name.to_owned();
    of_debug.push(".debug");
    let of_debug = folder.join(of_debug);
    let objcopy = || process::command("objcopy");
    process::run(
        objcopy().args(["--only-keep-debug", "--compress-debug-sections"]).args([built, &of_debug]),
    )?;
    let mut link = std::ffi::OsString::from("--add-gnu-debuglink=");
    link.push(&of_debug);
    process::run(objcopy().arg("--strip-all").arg(link).args([built, &program]))?;
    Ok((size(built)?, size(&program)?))
}
