//! Has the processor fetch what will be read soon, while it does something else.
//!
//! A hint: it changes nothing that can be seen, whatever becomes of the address.

/// Whether it does anything on this processor.
pub(crate) const CAN_PREFETCH: bool = cfg!(target_arch = "x86_64");

/// How many neighbouring lines are asked for at once.
const LINE_BYTES: usize = 64;

/// Asks for the first `bytes` of `value`, or all of it if it is shorter, and does not wait for it.
#[inline(always)]
#[allow(unsafe_code)]
pub(crate) fn prefetch<T: ?Sized>(value: &T, bytes: usize) {
    let start = std::ptr::from_ref(value).cast::<i8>();
    for at in (0..size_of_val(value).min(bytes)).step_by(LINE_BYTES) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the address is within `value`; the instruction exists on each such processor and reads nothing that could be seen.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(start.add(at));
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (start, at);
    }
}
