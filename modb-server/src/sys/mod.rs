//! What the operating systems do differently. Each platform module provides:
//!
//! - `free_bytes(path)`: what an unprivileged process may still write to the disk that holds `path`;
//! - `sync_folder(path)`: makes created, renamed and deleted names in a folder survive a power cut;
//! - `make_private_folder(path)`, `private(options)`: a new folder or file that its owner alone may read, whatever the umask;
//! - `open_to_others(path)`: the mode of a folder that others may enter or change;
//! - `foreign_owner(path)`: the user whose it is and the user of this process, if they differ and the system tells;
//! - `let_in(folder, user)`: what an administrator has to do so that `user` may use a folder of somebody else;
//! - `path_from(bytes)`: the path that a client names; `None` if it cannot be one;
//! - `link_file(original, link)`: another name for a file, on whatever disk, that can be removed without it; where the system
//!   has such names and allows them;
//! - `scratch_folder()`: where large files may lie for a while, on a disk if the system has such a place;
//! - `is_for_want_of_descriptors(error)`: whether a file could not be opened because too many are;
//! - `leaves_descriptor(file)`: whether another file can be opened once this one is closed: not where more are open than may be;
//! - `max_descriptors()`: how many files and sockets the process may have open, if that is bounded;
//! - `lower_thread_priority()`: lets the threads that serve go first; does nothing where the system cannot.
//! - `model_tests!`: tests that loom runs, ignored where it cannot.
//!
//! `service` makes the program a service of the system, where programs do that themselves.
//!
//! `process` has what concerns the process as a whole, `allocator` how it gives memory back and whether there is some,
//! `ticks` how long a request took, `prefetch` what the processor is to fetch.

mod allocator;
mod prefetch;
mod process;
#[cfg(feature = "cli")]
pub mod service;
mod ticks;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(feature = "cli")]
pub use self::allocator::give_large_memory_back;
pub(crate) use self::allocator::{free_large, give_free_memory_back, has_memory};
pub(crate) use self::prefetch::{CAN_PREFETCH, prefetch};
#[cfg(feature = "cli")]
pub use self::process::{Told, make_files_private, on_signals, tell_service_manager};
pub use self::process::{cpu_seconds, memory_bytes, peak_memory_bytes, total_memory_bytes};
pub(crate) use self::process::{forks, prepare_listener};
pub(crate) use self::ticks::Ticks;
#[cfg(all(test, unix))]
pub(crate) use self::unix::model_tests;
#[cfg(unix)]
pub(crate) use self::unix::{
    foreign_owner, free_bytes, is_for_want_of_descriptors, leaves_descriptor, let_in, link_file,
    lower_thread_priority, make_private_folder, max_descriptors, open_to_others, path_from, private,
    scratch_folder, sync_folder,
};
#[cfg(all(test, windows))]
pub(crate) use self::windows::model_tests;
#[cfg(windows)]
pub(crate) use self::windows::{
    foreign_owner, free_bytes, is_for_want_of_descriptors, leaves_descriptor, let_in, link_file,
    lower_thread_priority, make_private_folder, max_descriptors, open_to_others, path_from, private,
    scratch_folder, sync_folder,
};

#[cfg(test)]
mod tests {
    #[test]
    fn free_space_is_known_and_a_missing_path_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(super::free_bytes(dir.path()).unwrap() > 0);
        assert!(super::free_bytes(&dir.path().join("missing")).is_err());
        super::sync_folder(dir.path()).unwrap();
    }

    #[test]
    fn a_link_is_another_name_that_goes_alone_or_it_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let (original, link) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&original, "x").unwrap();
        super::link_file(&original, &link).unwrap();
        assert_eq!(std::fs::read(&link).unwrap(), b"x");
        std::fs::remove_file(&link).unwrap();
        assert_eq!(std::fs::read(&original).unwrap(), b"x");
        assert!(super::link_file(&original, &dir.path().join("missing").join("b")).is_err());
    }
}
