//! Places at which a unit test can make a step fail. Outside of unit tests they are nothing. Must never take a dependency: one of
//! tests alone would build the big crates with other features once more.

#[cfg(test)]
pub use self::asked::{ask, fails, met};

/// `failpoint!("commit::append")` returns an `Unavailable` error from the function it stands in, if a test asked for that.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(test)]
        if crate::failpoint::fails($name) {
            return Err(crate::error::Error::unavailable(concat!($name, " fails, as a test asks")));
        }
    };
}

pub(crate) use failpoint;

#[cfg(test)]
mod asked {
    use parking_lot::Mutex;

    /// The step that fails, how often it passes before, and how often any failed so far.
    static ASKED: Mutex<(Option<(&str, u32)>, u32)> = Mutex::new((None, 0));

    /// Makes a step fail once, after it passed so often; `None` lets all steps pass.
    pub fn ask(step: Option<(&'static str, u32)>) {
        ASKED.lock().0 = step;
    }

    /// How often a step failed because a test asked.
    pub fn met() -> u32 {
        ASKED.lock().1
    }

    pub fn fails(name: &str) -> bool {
        let mut asked = ASKED.lock();
        match &mut asked.0 {
            Some((step, left)) if *step == name && *left > 0 => {
                *left -= 1;
                false
            }
            Some((step, _)) if *step == name => {
                *asked = (None, asked.1 + 1);
                true
            }
            _ => false,
        }
    }
}
