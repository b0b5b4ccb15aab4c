//! Unix: `statvfs`, rights as bits, folders that are synced through a descriptor, and `nice`, which on Linux is per thread.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What the owner may do.
const OWNER: u32 = 0o700;
/// What is more than a group may do without others being let in: to write, and whatever those outside of it may.
const OTHERS: u32 = 0o027;

pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let s = rustix::fs::statvfs(path)?;
    Ok(s.f_bavail.saturating_mul(s.f_frsize))
}

pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

pub(crate) fn is_for_want_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let number = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| number == Some(errno.raw_os_error()))
}

pub(crate) fn make_private_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(OWNER).create(path)?;
    // A umask can take the owner's own rights. File systems without rights refuse to change them.
    if fs::metadata(path)?.permissions().mode() & OWNER != OWNER {
        fs::set_permissions(path, Permissions::from_mode(OWNER))?;
    }
    Ok(())
}

pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

pub(crate) fn open_to_others(path: &Path) -> Option<u32> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & OTHERS != 0).then_some(mode)
}

pub(crate) fn foreign_owner(path: &Path) -> Option<(String, String)> {
    let (owner, user) = (fs::symlink_metadata(path).ok()?.uid(), rustix::process::geteuid().as_raw());
    (owner != user).then(|| (user_name(owner), user_name(user)))
}

pub(crate) fn let_in(folder: &Path, user: &str) -> String {
    format!("let root give the folder away with 'chown -R {user} {}'", folder.display())
}

/// The name of a user, or the number where the system's own list has none.
fn user_name(id: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| id.to_string())
}

pub(crate) fn path_from(bytes: &[u8]) -> Option<PathBuf> {
    Some(PathBuf::from(OsStr::from_bytes(bytes)))
}

pub(crate) fn link_file(original: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(original, link)
}

/// `/tmp` is memory on many systems.
pub(crate) fn scratch_folder() -> PathBuf {
    let on_disk = || Some(PathBuf::from("/var/tmp")).filter(|folder| folder.is_dir());
    std::env::var_os("TMPDIR").map(PathBuf::from).or_else(on_disk).unwrap_or_else(std::env::temp_dir)
}

pub(crate) fn max_descriptors() -> Option<usize> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current?;
    usize::try_from(limit).ok()
}

/// The lowest free number is given out, and none from the limit on.
pub(crate) fn leaves_descriptor(file: &File) -> bool {
    let most = max_descriptors().unwrap_or(usize::MAX);
    usize::try_from(file.as_raw_fd()).is_ok_and(|number| number < most)
}

pub(crate) fn lower_thread_priority() {
    // Elsewhere `nice` would slow down the whole process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(BACKGROUND_NICE) {
        tracing::debug!(%error, "cannot lower a background thread's priority");
    }
}

/// Half the weight of a normal thread or less, yet enough to keep up on a busy machine.
#[cfg(target_os = "linux")]
const BACKGROUND_NICE: i32 = 5;

/// Tests that run a model under loom.
#[cfg(test)]
macro_rules! model_tests {
    ($($(#[$attribute:meta])* fn $name:ident() $body:block)*) => { $( $(#[$attribute])* #[test] fn $name() $body )* };
}
#[cfg(test)]
pub(crate) use model_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_names_where_the_system_knows_them() {
        assert_eq!(user_name(u32::MAX - 7), (u32::MAX - 7).to_string());
        if fs::read_to_string("/etc/passwd").is_ok_and(|users| users.starts_with("root:x:0:")) {
            assert_eq!(user_name(0), "root");
        }
    }

    #[test]
    fn what_is_made_is_for_its_owner_alone_and_what_others_may_enter_is_known() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("data");
        make_private_folder(&folder).unwrap();
        private(OpenOptions::new().write(true).create(true)).open(folder.join("f")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join("f"))), (0o700, 0o600));
        for (mode, open) in [(0o700, false), (0o750, false), (0o770, true), (0o755, true), (0o701, true)] {
            fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
            assert_eq!(open_to_others(&folder), open.then_some(mode));
        }
    }
}
