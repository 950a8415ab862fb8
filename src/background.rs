//! What RocksDB's own threads meet. A compaction that reads damage changes nothing (what it would have replaced stays), but
//! RocksDB takes no write after it until it is opened anew, which would end with the next start's compaction again. Here such
//! an error is noted in place of that. Holds lines that the compiler cannot check: the bindings have no listener.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use librocksdb_sys as ffi;
use parking_lot::Mutex;
use rocksdb::{AsRawPtr, DB, Options};

/// `BackgroundErrorReason::kCompaction` of RocksDB's `listener.h`.
const COMPACTION: u32 = 1;

/// The damage that compactions met; shared with the listener.
#[derive(Debug, Default)]
pub struct Damage {
    met: Arc<Mutex<Option<String>>>,
    /// Compactions are given up, which is said once.
    gave_up: AtomicBool,
}

impl Damage {
    /// What was met first; `None` where nothing was. The store's compactions are given up then, until it is opened again: each
    /// would meet it again. Nothing that can be read is lost by that, but deleted rows take space.
    ///
    /// # Errors
    /// What RocksDB says.
    pub fn met(&self, store: &DB, families: &[&str]) -> Result<Option<String>, rocksdb::Error> {
        let met = self.met.lock().clone();
        if met.is_some() && !self.gave_up.swap(true, Ordering::Relaxed) {
            for family in families.iter().filter_map(|name| store.cf_handle(name)) {
                store.set_options_cf(family, &[("disable_auto_compactions", "true")])?;
            }
        }
        Ok(met)
    }

    /// Lets a store that is opened with these options go on after damage that its compactions meet.
    pub fn listen(&self, options: &mut Options) {
        let state = Arc::into_raw(Arc::clone(&self.met));
        #[expect(
            unsafe_code,
            reason = "the state is given away, and freed by `forget` with the listener, which the options own from here on; each function \
                      takes what the header says that it is called with"
        )]
        unsafe {
            let listener = ffi::rocksdb_eventlistener_create(
                state.cast_mut().cast(),
                Some(forget),
                Some(ignore_of_store),
                Some(ignore_of_store),
                Some(ignore_of_store),
                Some(ignore_of_store),
                Some(ignore),
                Some(ignore),
                Some(ignore_of_store),
                Some(note),
                Some(ignore),
                Some(ignore),
            );
            ffi::rocksdb_options_add_eventlistener(options.as_raw_ptr(), listener);
        }
    }
}

/// Whether the store may go on: only the output of the compaction is missing.
fn changes_nothing(reason: u32, error: &str) -> bool {
    reason == COMPACTION && (error.starts_with("Corruption") || error.contains("Input/output error"))
}

#[expect(unsafe_code, reason = "called by the listener with the state that it was made with, and a status that lives as long as the call")]
unsafe extern "C" fn note(state: *mut c_void, reason: u32, status: *mut ffi::rocksdb_status_ptr_t) {
    let mut text: *mut c_char = null_mut();
    let error = unsafe {
        ffi::rocksdb_status_ptr_get_error(status, &raw mut text);
        if text.is_null() {
            return;
        }
        let error = CStr::from_ptr(text).to_string_lossy().into_owned();
        ffi::rocksdb_free(text.cast());
        error
    };
    if changes_nothing(reason, &error) {
        let damage = unsafe { &*state.cast::<Mutex<Option<String>>>() };
        damage.lock().get_or_insert(error);
        unsafe { ffi::rocksdb_reset_status(status) };
    }
}

#[expect(unsafe_code, reason = "called once, with the state that the listener was made with")]
unsafe extern "C" fn forget(state: *mut c_void) {
    drop(unsafe { Arc::from_raw(state.cast::<Mutex<Option<String>>>().cast_const()) });
}

#[expect(unsafe_code, reason = "the signature of a callback; it does nothing")]
unsafe extern "C" fn ignore<T>(_state: *mut c_void, _info: *const T) {}

#[expect(unsafe_code, reason = "the signature of a callback; it does nothing")]
unsafe extern "C" fn ignore_of_store<T>(_state: *mut c_void, _store: *mut ffi::rocksdb_t, _info: *const T) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_goes_on_where_only_a_compaction_failed() {
        for (reason, error, goes_on) in [
            (COMPACTION, "Corruption: block checksum mismatch", true),
            (COMPACTION, "IO error: while pread: 000012.sst: Input/output error", true),
            (COMPACTION, "IO error: No space left on device", false),
            (0, "Corruption: block checksum mismatch", false),
            (4, "IO error: MANIFEST: Input/output error", false),
        ] {
            assert_eq!(changes_nothing(reason, error), goes_on, "{reason} {error}");
        }
    }
}
