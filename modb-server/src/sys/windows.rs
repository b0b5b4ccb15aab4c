//! Windows: `GetDiskFreeSpaceExW`; NTFS journals names itself and has no call to sync a folder.

mod owner;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub(crate) use owner::foreign_owner;
use windows_sys::Win32::Storage::FileSystem::GetDiskFreeSpaceExW;
use windows_sys::Win32::System::Threading::{
    GetCurrentThread, SetThreadPriority, THREAD_PRIORITY_BELOW_NORMAL,
};

#[allow(unsafe_code)]
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let wide: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
    let mut free = 0u64;
    // SAFETY: `wide` ends with a zero and outlives the call; `free` is a valid place for a u64; the other two
    // results may be null.
    let ok = unsafe {
        GetDiskFreeSpaceExW(wide.as_ptr(), &raw mut free, std::ptr::null_mut(), std::ptr::null_mut())
    };
    if ok == 0 { Err(io::Error::last_os_error()) } else { Ok(free) }
}

pub(crate) fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// There is no limit to run into.
pub(crate) fn is_for_want_of_descriptors(_error: &io::Error) -> bool {
    false
}

/// The rights are those of the folder around it: a user's own folders are for that user.
pub(crate) fn make_private_folder(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Rights are lists here, and what they let in is for tools that read them.
pub(crate) fn open_to_others(_path: &Path) -> Option<u32> {
    None
}

pub(crate) fn let_in(folder: &Path, user: &str) -> String {
    let folder = folder.display();
    format!("let an administrator give it access with 'icacls \"{folder}\" /grant \"{user}:(OI)(CI)F\" /T'")
}

pub(crate) fn path_from(bytes: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(bytes).ok().map(PathBuf::from)
}

/// A hard link first: it needs no right of its own, but both on one disk. A symbolic link needs a right that not everybody has.
pub(crate) fn link_file(original: &Path, link: &Path) -> io::Result<()> {
    fs::hard_link(original, link).or_else(|_| {
        std::os::windows::fs::symlink_file(original, link)?;
        // Wine says that it made one, and makes none.
        fs::metadata(link).map(|_| ())
    })
}

pub(crate) fn scratch_folder() -> PathBuf {
    std::env::temp_dir()
}

/// Nothing bounds them.
pub(crate) fn leaves_descriptor(_file: &File) -> bool {
    true
}

/// Not bounded.
pub(crate) fn max_descriptors() -> Option<usize> {
    None
}

#[allow(unsafe_code)]
pub(crate) fn lower_thread_priority() {
    // SAFETY: the pseudo handle of the calling thread is always valid.
    let ok = unsafe { SetThreadPriority(GetCurrentThread(), THREAD_PRIORITY_BELOW_NORMAL) };
    if ok == 0 {
        tracing::debug!(error = %io::Error::last_os_error(), "cannot lower a background thread's priority");
    }
}

/// Tests that run a model under loom.
#[cfg(test)]
macro_rules! model_tests {
    ($($(#[$attribute:meta])* fn $name:ident() $body:block)*) => { $(
        $(#[$attribute])*
        #[test]
        #[ignore = "loom cannot unwind from the stacks it makes on Windows; the models run on Linux"]
        fn $name() $body
    )* };
}
#[cfg(test)]
pub(crate) use model_tests;
