//! The problems that stand now, by what they concern: a sentence for people, and a kind for counters. Must never log a problem
//! twice while it stands.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// What a problem is about, for a label that takes few values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Copies that are made every so often.
    Checkpoint,
    /// The clock, or the clocks of those who send.
    Clock,
    /// The server's port, which accepts no connection.
    Door,
    /// What drift is measured against.
    Drift,
    /// The engine itself has stopped.
    Engine,
    /// A model that did not load, or whose file is another by now.
    Model,
    /// Parquet, or what is cleaned up with it.
    Offline,
    /// Outputs that their topic does not take.
    Publishing,
    /// A topic that does not forget what is not kept of it.
    Retention,
    /// A model that gives no scores.
    Scores,
    /// A log that cannot be read.
    Source,
    /// Tables of the online store or of the log.
    State,
    /// Files of a table.
    Table,
    /// Times of a source that are probably not meant.
    Times,
    /// A view of which some values are not answered.
    View,
}

impl Kind {
    pub const ALL: [Self; 15] = [
        Self::Checkpoint,
        Self::Clock,
        Self::Door,
        Self::Drift,
        Self::Engine,
        Self::Model,
        Self::Offline,
        Self::Publishing,
        Self::Retention,
        Self::Scores,
        Self::Source,
        Self::State,
        Self::Table,
        Self::Times,
        Self::View,
    ];

    /// The value of the label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Clock => "clock",
            Self::Door => "http",
            Self::Drift => "drift",
            Self::Engine => "engine",
            Self::Model => "model",
            Self::Offline => "offline",
            Self::Publishing => "publishing",
            Self::Retention => "retention",
            Self::Scores => "scores",
            Self::Source => "source",
            Self::State => "state",
            Self::Table => "table",
            Self::Times => "times",
            Self::View => "view",
        }
    }
}

/// The problems that stand.
#[derive(Debug, Default)]
pub struct Problems {
    standing: Mutex<BTreeMap<(Kind, String), String>>,
}

impl Problems {
    /// Says that something does not work, or (`None`) that it does again. Logged once, when it changes.
    pub fn set(&self, kind: Kind, about: &str, problem: Option<String>) {
        let mut standing = self.standing.lock();
        match problem {
            Some(problem) => {
                let before = standing.insert((kind, about.to_owned()), problem.clone());
                if before.as_ref() != Some(&problem) {
                    tracing::warn!("{about}: {problem}");
                }
            }
            // Asked after each poll and batch: mostly there is nothing to take away.
            None if standing.is_empty() => {}
            None => {
                if standing.remove(&(kind, about.to_owned())).is_some() {
                    tracing::info!("{about}: works again");
                }
            }
        }
    }

    pub fn list(&self) -> Vec<(Kind, String)> {
        self.standing.lock().iter().map(|((kind, about), problem)| (*kind, format!("{about}: {problem}"))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_works_again_is_no_problem_any_more() {
        let problems = Problems::default();
        problems.set(Kind::Source, "source a", Some("away".to_owned()));
        problems.set(Kind::Times, "source a", Some("odd".to_owned()));
        problems.set(Kind::Source, "source a", Some("still away".to_owned()));
        let listed = || problems.list().into_iter().map(|(kind, text)| (kind.name(), text)).collect::<Vec<_>>();
        assert_eq!(listed(), [("source", "source a: still away".to_owned()), ("times", "source a: odd".to_owned())]);
        problems.set(Kind::Source, "source a", None);
        problems.set(Kind::Source, "source b", None);
        assert_eq!(listed(), [("times", "source a: odd".to_owned())]);
    }
}
