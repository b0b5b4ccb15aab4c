//! Windows: `GetDiskFreeSpaceExW`; NTFS journals names itself and has no call to sync a folder.

use std::io;
use std::os::windows::ffi::OsStrExt;
use std::path::Path;

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
