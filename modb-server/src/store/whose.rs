//! Why something in the data folder may not be used: whose it is, and what to do about it.
//!
//! Invariant: only asked after the system said no, so it costs nothing and decides nothing.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::StoreError;

/// How many levels of the folder are searched.
const DEPTH: usize = 3;

/// The same error, with what to do if something in, at or above `folder` belongs to somebody else.
pub(super) fn explained(error: StoreError, folder: &Path) -> StoreError {
    match error {
        StoreError::Io { what, source } if source.kind() == ErrorKind::PermissionDenied => {
            let Some((path, owner, user)) = somebody_elses(folder) else {
                return StoreError::Io { what, source };
            };
            let or = if path.starts_with(folder) {
                crate::sys::let_in(folder, &user)
            } else {
                "name a folder elsewhere".to_owned()
            };
            let path = path.display();
            let advice = format!(
                "{path} belongs to the user {owner}, and this process runs as {user}: run it as {owner}, or {or}"
            );
            StoreError::Denied { what, source, advice }
        }
        other => other,
    }
}

/// The first path in, at or above `folder` that belongs to another user than this process's, with the names of both.
fn somebody_elses(folder: &Path) -> Option<(PathBuf, String, String)> {
    let foreign =
        |path: &Path| crate::sys::foreign_owner(path).map(|(owner, user)| (path.to_path_buf(), owner, user));
    // What is not there yet, or cannot be seen, is up to whoever has the folder above it.
    let nearest =
        folder.ancestors().find(|path| fs::symlink_metadata(path).is_ok()).unwrap_or(Path::new("."));
    foreign(nearest).or_else(|| (nearest == folder).then(|| within(folder, DEPTH, &foreign)).flatten())
}

fn within<T>(folder: &Path, depth: usize, foreign: &impl Fn(&Path) -> Option<T>) -> Option<T> {
    let entries = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    entries.into_iter().find_map(|path| {
        let below = || (depth > 1 && path.is_dir()).then(|| within(&path, depth - 1, foreign)).flatten();
        foreign(&path).or_else(below)
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn other_errors_and_ones_own_folder_stay_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        for kind in [ErrorKind::NotFound, ErrorKind::PermissionDenied] {
            let error = StoreError::io("cannot read it".to_owned(), io::Error::from(kind));
            let expected = error.to_string();
            assert_eq!(explained(error, dir.path()).to_string(), expected);
        }
    }

    #[test]
    fn the_folder_of_somebody_else_is_named_with_its_owner_and_what_to_do() {
        // Where the system has a user whose folder it is, and this process is not that user.
        let root = Path::new("/");
        let Some((owner, user)) = crate::sys::foreign_owner(root) else { return };
        let error = StoreError::io("cannot make it".to_owned(), io::Error::from(ErrorKind::PermissionDenied));
        let error = explained(error, &root.join("no such folder")).to_string();
        assert!(
            error.contains(&format!("/ belongs to the user {owner}")) && error.contains(&user),
            "{error}"
        );
    }
}
