//! The one place where a panic in what decodes foreign bytes becomes an error of these bytes. Must never be used around
//! what changes state: a half-done change would stay.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, Result};

/// What `read` gives; where it panics, an input error.
pub fn guarded<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    let ended =
        |panic: Box<dyn Any + Send>| Error::input(format!("cannot be read: it holds what its reader does not know ({})", said(&*panic)));
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| Err(ended(panic)))
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
