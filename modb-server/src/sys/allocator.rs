//! How the allocator gives memory back.
//!
//! glibc takes from the system, and gives back to it at once, what is at least as large as a threshold; but it raises that
//! threshold to the largest allocation that was ever given back, up to 32 MiB. After one value of 16 MB all others come out
//! of heaps of which only the end can be given back, and a server that had handled sixty such values kept 750 MiB for nothing.
//! What is smaller stays in those heaps, free in the middle, until the allocator is asked to look through them.
//!
//! Other allocators need no such help: there both functions do nothing.

/// From so many bytes on an allocation is the system's own: what glibc begins with. Pages are taken and given back for each,
/// which costs about as much as copying them.
#[cfg(all(feature = "cli", target_os = "linux", target_env = "gnu"))]
const OWN_BYTES: i32 = 128 << 10;

/// From now on large allocations go back to the system when they are freed. For programs: it concerns the whole process.
#[cfg(feature = "cli")]
pub fn give_large_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::set_own_bytes(OWN_BYTES);
}

/// Gives back what is free. Slow: it looks through everything that is, and others who want memory wait meanwhile.
pub(crate) fn give_free_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::trim();
}

/// Gives the memory of a large value back, some at a time: whoever needs memory from the system meanwhile waits for some of it, and not
/// for all.
pub(crate) fn free_large(#[allow(unused_mut)] mut value: Vec<u8>) {
    // Elsewhere to make it smaller may be to copy it.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const AT_A_TIME_BYTES: usize = 4 << 20;
        while let Some(left) = value.len().checked_sub(AT_A_TIME_BYTES) {
            value.truncate(left);
            value.shrink_to_fit();
        }
    }
    drop(value);
}

/// What is smaller is not asked for beforehand: small allocations are everywhere, and an allocator keeps room for them.
const LARGE_BYTES: usize = 1 << 20;
/// What must be left beside what is asked for, in bytes: others need memory meanwhile.
const SPARE_BYTES: usize = 16 << 20;

/// Whether the system would give so many bytes now. An allocation that fails ends the process, so whoever lets a client choose
/// how large one is asks before.
pub(crate) fn has_memory(bytes: usize) -> bool {
    if bytes < LARGE_BYTES {
        return true;
    }
    // Looked at by nobody, so that it is asked for at all. No page of it is touched.
    let mut probe = std::hint::black_box(Vec::<u8>::new());
    probe.try_reserve_exact(bytes.saturating_add(SPARE_BYTES)).is_ok()
        && std::hint::black_box(&probe).is_empty()
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
mod glibc {
    use std::ffi::c_int;

    unsafe extern "C" {
        fn malloc_trim(pad: usize) -> c_int;
        #[cfg(feature = "cli")]
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
    }

    /// `M_MMAP_THRESHOLD` of `malloc.h`.
    #[cfg(feature = "cli")]
    const MMAP_THRESHOLD: c_int = -3;

    #[cfg(feature = "cli")]
    pub(super) fn set_own_bytes(bytes: c_int) {
        // SAFETY: a function of glibc that takes two numbers; it may be called at any time.
        if unsafe { mallopt(MMAP_THRESHOLD, bytes) } == 0 {
            tracing::debug!("the allocator does not take its threshold");
        }
    }

    pub(super) fn trim() {
        // SAFETY: a function of glibc that takes a number; it may be called at any time, from any thread.
        unsafe { malloc_trim(0) };
    }
}

#[cfg(test)]
mod tests {
    use super::has_memory;

    #[test]
    fn there_is_memory_for_what_is_small_and_none_for_what_no_system_has() {
        assert!(has_memory(0) && has_memory(2 << 20));
        assert!(!has_memory(isize::MAX as usize) && !has_memory(usize::MAX));
    }
}
