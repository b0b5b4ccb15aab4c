//! What a program that embeds Modb pays, beside redb and fjall: crates, the time of a clean build, the size of the program.
//!
//! The same link shortener over each (`modb-server/examples/shortener.rs`, `embedder/*.rs`), as a package of its own with its
//! default release profile. `--check` looks at Modb's tree alone, which takes no time and is part of every test run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::failure::{Context as _, Result};
use crate::process;
use crate::workspace;

/// The most crates that a minimal embedder may get, with Modb's own; on Linux.
const MOST_CRATES: usize = 46;
const LINUX: &str = "x86_64-unknown-linux-gnu";

/// Crates that compile C, or ask for something that does.
const OF_C: &[&str] = &["cc", "cmake", "bindgen", "pkg-config", "vcpkg"];

/// Crates whose name says that they are of C, and which are declarations in Rust.
const OF_RUST: &[&str] = &["linux-raw-sys", "windows-sys"];

/// A program over one of the databases.
struct Trial {
    name: &'static str,
    /// In the root of the workspace.
    source: &'static str,
    dependency: String,
}

/// What it costs.
struct Cost {
    crates: usize,
    of_c: Vec<String>,
    build_seconds: f64,
    program_kb: u64,
}

pub(crate) fn command(args: &[String]) -> Result<()> {
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => compare(),
        ["--check"] => {
            if let Some(finding) = findings()?.first() {
                return Err(finding.clone().into());
            }
            println!("embedder: at most {MOST_CRATES} crates, and no C compiler");
            Ok(())
        }
        _ => Err("embedder takes nothing but --check".into()),
    }
}

/// What is wrong with the tree of a minimal embedder.
pub(crate) fn findings() -> Result<Vec<String>> {
    let tree = |edges| {
        let mut cargo = process::cargo();
        cargo.args(["tree", "--package", "modb-server", "--no-default-features", "--target", LINUX]);
        cargo.args(["--edges", edges, "--prefix", "none"]);
        crates(&mut cargo)
    };
    let (linked, built) = (tree("normal")?, tree("normal,build")?);
    let mut findings = Vec::new();
    if linked.len() > MOST_CRATES {
        let crates = linked.len();
        findings
            .push(format!("a minimal embedder gets {crates} crates, {MOST_CRATES} are promised: {linked:?}"));
    }
    findings.extend(
        of_c(&built).into_iter().map(|name| format!("a minimal embedder builds {name}, which wants C")),
    );
    Ok(findings)
}

fn compare() -> Result<()> {
    let server = workspace::root().join("modb-server");
    let trials = [
        Trial {
            name: "Modb",
            source: "modb-server/examples/shortener.rs",
            dependency: format!("modb-server = {{ path = {server:?}, default-features = false }}"),
        },
        Trial { name: "redb", source: "xtask/embedder/redb.rs", dependency: "redb = \"4\"".into() },
        Trial { name: "fjall", source: "xtask/embedder/fjall.rs", dependency: "fjall = \"3\"".into() },
    ];
    let mut rows = Vec::new();
    for trial in &trials {
        println!("{}...", trial.name);
        rows.push((trial.name, trial.measure()?));
    }
    println!(
        "\n| a link shortener over | crates, with its own | C compiler | clean release build | program, stripped |"
    );
    println!("|---|---|---|---|---|");
    for (name, cost) in rows {
        let of_c = if cost.of_c.is_empty() { "no".to_owned() } else { cost.of_c.join(", ") };
        let (crates, seconds, kb) = (cost.crates, cost.build_seconds, cost.program_kb);
        println!("| {name} | {crates} | {of_c} | {seconds:.1} s | {kb} KB |");
    }
    Ok(())
}

impl Trial {
    fn measure(&self) -> Result<Cost> {
        let folder = workspace::target_dir().join("embedder").join(self.name.to_lowercase());
        // A clean build each time.
        let _ = fs::remove_dir_all(&folder);
        self.write(&folder).context(format_args!("cannot write {}", folder.display()))?;
        let cargo = |args: &[&str]| {
            let mut cargo = process::cargo();
            let target = folder.join("target");
            cargo.current_dir(&folder).env("CARGO_TARGET_DIR", target).args(args);
            cargo
        };
        process::run_quietly(&mut cargo(&["fetch", "--quiet"]))?;
        let linked = crates(&mut cargo(&["tree", "--edges", "normal", "--prefix", "none"]))?;
        let built = crates(&mut cargo(&["tree", "--edges", "normal,build", "--prefix", "none"]))?;
        let begin = Instant::now();
        process::run_quietly(&mut cargo(&["build", "--release", "--quiet"]))?;
        let build_seconds = begin.elapsed().as_secs_f64();
        let program =
            folder.join("target/release").join(format!("shortener{}", std::env::consts::EXE_SUFFIX));
        works(&program, &folder)?;
        let size =
            fs::metadata(&program).context(format_args!("cannot look at {}", program.display()))?.len();
        // Without the program itself.
        Ok(Cost { crates: linked.len() - 1, of_c: of_c(&built), build_seconds, program_kb: size / 1000 })
    }

    fn write(&self, folder: &Path) -> std::io::Result<()> {
        fs::create_dir_all(folder.join("src"))?;
        fs::copy(workspace::root().join(self.source), folder.join("src/main.rs"))?;
        let manifest = format!(
            "[package]\nname = \"shortener\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n{}\n\n\
             [profile.release]\nstrip = true\n\n[workspace]\n",
            self.dependency
        );
        fs::write(folder.join("Cargo.toml"), manifest)
    }
}

/// Adds a link, opens it twice, and finds it in the list.
fn works(program: &PathBuf, folder: &Path) -> Result<()> {
    let data = folder.join("links");
    let ask = |words: &[&str]| {
        let output = process::run_quietly(Command::new(program).arg(&data).args(words))?;
        Ok::<_, crate::failure::Failure>(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let url = "https://example.org/a/long/way";
    let code = ask(&["add", url])?;
    for _ in 0..2 {
        if ask(&["open", &code])? != url {
            return Err(format!("{} does not find {code}", program.display()).into());
        }
    }
    let list = ask(&["list"])?;
    if list == format!("{code}  2  {url}") {
        Ok(())
    } else {
        Err(format!("{} lists {list}", program.display()).into())
    }
}

/// The names of a tree's crates, with versions.
fn crates(cargo: &mut Command) -> Result<BTreeSet<String>> {
    let output = process::run_quietly(cargo)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let name = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    Ok(text.lines().filter(|line| !line.trim().is_empty()).map(name).collect())
}

fn of_c(crates: &BTreeSet<String>) -> Vec<String> {
    let name = |line: &String| line.split(' ').next().unwrap_or_default().to_owned();
    let is = |name: &String| {
        OF_C.contains(&name.as_str()) || name.ends_with("-sys") && !OF_RUST.contains(&name.as_str())
    };
    crates.iter().map(name).filter(is).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_that_wants_c_is_found_by_its_name() {
        let tree = ["bytes v1.0.0", "cc v1.2.0", "linux-raw-sys v0.12.1", "zstd-sys v2.0.0"]
            .map(str::to_owned)
            .into();
        assert_eq!(of_c(&tree), ["cc", "zstd-sys"]);
    }

    #[test]
    fn a_minimal_embedder_is_as_small_as_promised() {
        if std::env::consts::OS == "windows" {
            // Whoever runs this reads the file, and counts it as skipped.
            if let Some(log) = std::env::var_os("MODB_SKIP_LOG") {
                use std::io::Write as _;
                let note =
                    "a_minimal_embedder_is_as_small_as_promised: Wine cannot start this system's cargo\n";
                let file = fs::OpenOptions::new().create(true).append(true).open(log);
                file.and_then(|mut file| file.write_all(note.as_bytes())).expect("it can be written");
            }
            return;
        }
        assert_eq!(findings().expect("cargo tree works"), [""; 0]);
    }
}
