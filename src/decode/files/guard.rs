//! The one place where a panic in what decodes foreign bytes becomes an error of these bytes. Must never be used around
//! what changes state: a half-done change would stay.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use crate::error::{Error, Result};

thread_local! {
    /// How many guards are around what this thread does.
    static GUARDS: Cell<u32> = const { Cell::new(0) };
}

/// What `read` gives; where it panics, an input error, which says all that there is to say.
pub fn guarded<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if GUARDS.get() == 0 {
                before(panic);
            }
        }));
    });
    GUARDS.set(GUARDS.get() + 1);
    let read = catch_unwind(AssertUnwindSafe(read));
    GUARDS.set(GUARDS.get() - 1);
    let ended =
        |panic: Box<dyn Any + Send>| Error::input(format!("cannot be read: it holds what its reader does not know ({})", said(&*panic)));
    read.unwrap_or_else(|panic| Err(ended(panic)))
}

/// What a panic says, in one line.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.and_then(|text| text.lines().next()).unwrap_or("no reason is given")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_words() {
        assert_eq!(guarded(|| Ok(7)).unwrap(), 7);
        let error = guarded::<()>(|| panic!("{} is not known\nhere", "Int(128)")).unwrap_err();
        assert_eq!(error.to_string(), "cannot be read: it holds what its reader does not know (Int(128) is not known)");
    }
}
