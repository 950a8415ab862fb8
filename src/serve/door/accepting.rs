//! Whether connections can be accepted now, as one spell after another.

use parking_lot::Mutex;

/// The fault of the spell that goes on.
#[derive(Default)]
pub(in crate::serve) struct Accepting(Mutex<Option<String>>);

impl Accepting {
    /// Notes a fault; whether a spell begins with it.
    pub(super) fn fails(&self, error: &std::io::Error) -> bool {
        let text = format!("http accepts no connection: {error}; raise the limit of open files (ulimit -n), or lower connections_max");
        self.0.lock().replace(text).is_none()
    }

    /// Notes that one was accepted; whether a spell ends with it.
    pub(super) fn works(&self) -> bool {
        self.0.lock().take().is_some()
    }

    /// The fault, for the status.
    pub fn problem(&self) -> Option<String> {
        self.0.lock().clone()
    }
}
