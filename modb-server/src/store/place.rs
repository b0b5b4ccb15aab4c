//! Making the data folder, and saying what stands in its way.
//!
//! Invariants: a folder that is made here can be entered by its owner only, whatever the umask; nothing that was there
//! before is changed; its name survives a power cut, or whatever is synced in it later is worth nothing.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::StoreError;

/// What a fresh file system holds: a folder with nothing else is empty.
const OF_THE_FILE_SYSTEM: [&str; 3] = ["lost+found", "System Volume Information", "$RECYCLE.BIN"];

/// Whether a name in the topmost folder of a file system is the file system's own.
pub(super) fn is_of_the_file_system(name: &std::ffi::OsStr) -> bool {
    OF_THE_FILE_SYSTEM.iter().any(|known| name == *known)
}

/// Makes a folder, and those above it that are missing.
pub(super) fn make_folder(path: &Path) -> Result<(), StoreError> {
    let cannot = |e| StoreError::io(format!("cannot make the data folder {}", path.display()), e);
    if path.is_dir() {
        // Perhaps made by a process that ended before its sync, perhaps by somebody whose folders we may not open.
        let synced = above(path).map_or(Ok(()), |parent| crate::sys::sync_folder(&parent));
        return synced
            .or_else(|e| if e.kind() == ErrorKind::PermissionDenied { Ok(()) } else { Err(e) })
            .map_err(cannot);
    }
    let parent = above(path);
    if let Some(parent) = &parent {
        make_folder(parent)?;
    }
    match crate::sys::make_private_folder(path) {
        Ok(()) => {}
        Err(_) if path.is_dir() => {}
        Err(e) => {
            return Err(obstacle(path).unwrap_or_else(|| cannot(e)));
        }
    }
    parent.map_or(Ok(()), |parent| crate::sys::sync_folder(&parent)).map_err(cannot)
}

/// The folder that holds `folder`. "" is the current folder, as the parent of a plain name.
fn above(folder: &Path) -> Option<PathBuf> {
    match folder.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Some(PathBuf::from(".")),
        parent => parent.map(Path::to_path_buf),
    }
}

/// What stands where a folder should, at `path` or above it.
pub(super) fn obstacle(path: &Path) -> Option<StoreError> {
    let no_folder =
        |path: &Path| what_is_there(path).map(|why| StoreError::NoFolder { path: path.to_path_buf(), why });
    path.ancestors().find_map(no_folder)
}

/// What is there that is no folder, in words.
pub(super) fn what_is_there(path: &Path) -> Option<String> {
    let found = fs::symlink_metadata(path).ok()?;
    if !found.is_symlink() {
        return (!found.is_dir()).then(|| "it is a file".to_owned());
    }
    let target = fs::read_link(path).map(|target| target.display().to_string()).unwrap_or_default();
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some(format!("it is a link to {target}, which is a file")),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            Some(format!("it is a link to {target}, which does not exist"))
        }
        Err(e) => Some(format!("it is a link to {target}, which cannot be followed: {e}")),
    }
}

/// The first thing in `path` that makes it somebody else's: neither `ours` nor the file system's own. A folder that is not
/// there holds nothing.
pub(super) fn holds(path: &Path, ours: &[&str]) -> io::Result<Option<String>> {
    let entries = match fs::read_dir(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        if !is_of_the_file_system(&name) && !ours.iter().any(|own| name == *own) {
            return Ok(Some(name.to_string_lossy().escape_debug().to_string()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_the_way_is_named_wherever_it_stands() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        fs::write(&file, "x").unwrap();
        for path in [file.clone(), file.join("data"), file.join("a").join("b")] {
            let error = make_folder(&path).unwrap_err().to_string();
            assert!(error.ends_with("f as a folder: it is a file"), "{error}");
        }
    }

    #[test]
    fn what_a_file_system_brings_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(holds(&dir.path().join("missing"), &[]).unwrap(), None);
        fs::create_dir(dir.path().join("lost+found")).unwrap();
        assert_eq!(holds(dir.path(), &[]).unwrap(), None);
        fs::write(dir.path().join("LOCK"), "").unwrap();
        assert_eq!(holds(dir.path(), &["LOCK"]).unwrap(), None);
        assert_eq!(holds(dir.path(), &[]).unwrap().as_deref(), Some("LOCK"));
    }
}
