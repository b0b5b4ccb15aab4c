//! A folder for one database, in the system's folder for temporary files.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::ErrorKind;
use std::path::PathBuf;

use super::OpenError;

/// Makes a folder that nobody else has, for this user alone.
pub(super) fn make_folder() -> Result<PathBuf, OpenError> {
    loop {
        // By way of the standard library's hash maps, from the randomness of the operating system.
        let random = RandomState::new().build_hasher().finish();
        let folder = std::env::temp_dir().join(format!("modb-{}-{random:016x}", std::process::id()));
        match crate::sys::make_private_folder(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(source) => return Err(OpenError::Temporary { folder, source }),
        }
    }
}
