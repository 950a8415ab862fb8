//! The allocator of the binaries: mimalloc, for Rust's own memory; `malloc` stays the system's
//! ([decision 36](../docs/decisions/0036-malloc-stays-the-systems.md)). Holds a line that the compiler cannot
//! check ([decision 14](../docs/decisions/0014-freed-memory-stays-for-a-while.md)).

use libmimalloc_sys::{mi_option_set, mi_option_t};

/// `mi_option_purge_delay` of `mimalloc.h`, which the bindings leave out: its place in the enum.
const PURGE_DELAY: mi_option_t = 15;
/// Milliseconds that freed memory stays before it goes back to the system.
const KEPT_MS: i64 = 10_000;

/// Keeps freed memory for a while: batches come and go, and each would be mapped and cleared anew. To be called once, at
/// the start of a binary whose global allocator is mimalloc; `MIMALLOC_PURGE_DELAY` in the environment comes first.
pub fn keep_freed_memory() {
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
        #[expect(unsafe_code, reason = "sets a number: mimalloc takes any option and value, and ignores what it does not know")]
        unsafe {
            mi_option_set(PURGE_DELAY, KEPT_MS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_purge_delay() {
        // Its value where nobody set it, which no other option near it has.
        #[expect(unsafe_code, reason = "reads a number")]
        let before = unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(before, 1000);
    }
}
