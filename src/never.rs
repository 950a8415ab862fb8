//! Values that are always there because another part of the code made them so. Where one is missing, a build with assertions
//! panics, so that a test trips over the mismatch; a release logs it and goes on with the default. Must never stand for what input
//! can cause: that is an `Error`.

/// See the module.
pub trait OrNever {
    type Value;

    /// The value. `what` says, for the panic or the log, what was not there.
    fn or_never(self, what: &'static str) -> Self::Value;
}

impl<T: Default> OrNever for Option<T> {
    type Value = T;

    #[inline]
    #[track_caller]
    fn or_never(self, what: &'static str) -> T {
        match self {
            Some(value) => value,
            None => missing(what),
        }
    }
}

#[cold]
#[track_caller]
fn missing<T: Default>(what: &'static str) -> T {
    let at = std::panic::Location::caller();
    debug_assert!(false, "{what} is missing at {at}");
    tracing::error!("{what} is missing at {at}: report this; a default stands in its place");
    T::default()
}

#[cfg(test)]
mod tests {
    use super::OrNever;

    #[test]
    fn what_is_there_is_given() {
        assert_eq!(Some(3).or_never("the answer"), 3);
    }

    #[test]
    #[should_panic(expected = "the answer is missing at src/never.rs")]
    fn a_test_trips_over_what_is_not() {
        let _ = None::<i32>.or_never("the answer");
    }
}
