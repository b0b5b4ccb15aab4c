//! Where things are: the workspace, and the folder for what is built once per machine.

use std::path::{Path, PathBuf};

use crate::failure::{Context as _, Result};

/// The root of the workspace; for a program that was carried to where there is none, the folder it was called in.
pub(crate) fn root() -> &'static Path {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace");
    if root.is_dir() { root } else { Path::new(".") }
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    let set = std::env::var_os("CARGO_TARGET_DIR").filter(|value| !value.is_empty());
    set.map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// What is built once per machine and user, by version: the Windows library, the Wine prefix, clients of other
/// languages. Everything in it can be deleted; `cargo xtask setup` makes it again.
pub(crate) fn cache() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CACHE_HOME")
        .or_else(|| set("LOCALAPPDATA"))
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .ok_or("no folder for caches: set XDG_CACHE_HOME or HOME")?;
    Ok(folder.join("modb"))
}

/// Makes a folder and those above it.
pub(crate) fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).context(format_args!("cannot make {}", folder.display()))
}

/// Removes a folder with everything in it; that there is none is as well.
pub(crate) fn remove_folder(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context(format_args!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Copies a folder with everything in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    make_folder(to)?;
    let entries = std::fs::read_dir(from).context(format_args!("cannot read {}", from.display()))?;
    for entry in entries {
        let entry = entry.context(format_args!("cannot read {}", from.display()))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            std::fs::copy(&source, &target).context(format_args!("cannot copy {}", source.display()))?;
        }
    }
    Ok(())
}
