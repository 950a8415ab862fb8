//! Logs how many records are set aside: at once, and then at most twice a minute.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::online::{Ledger, TOO_LATE};
use crate::plan::Source;

/// How often at most.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// What was said last.
pub struct SetAside {
    said: BTreeMap<String, Ledger>,
    last: Option<Instant>,
}

impl SetAside {
    /// Of what was set aside before the start nothing is said again.
    pub fn new(ledgers: &BTreeMap<String, Ledger>) -> Self {
        Self { said: ledgers.clone(), last: None }
    }

    /// Says what is new, where the time has come, or it is the end.
    pub fn look(&mut self, sources: &[Source], ledgers: &BTreeMap<String, Ledger>, is_end: bool) {
        if !is_end && self.last.is_some_and(|last| last.elapsed() < SAY_EVERY) {
            return;
        }
        for source in sources {
            let Some(ledger) = ledgers.get(&source.name) else { continue };
            let count = |ledger: &Ledger| ledger.rejected.values().sum::<u64>();
            let before = self.said.get(&source.name);
            if count(ledger) == before.map_or(0, count) {
                continue;
            }
            let new = before.map_or_else(|| ledger.clone(), |before| ledger.since(before));
            let reasons: Vec<String> =
                new.rejected.iter().filter(|(_, count)| **count > 0).map(|(reason, count)| format!("{count} {reason}")).collect();
            let remedy = match ledger.too_late.covering(1000).filter(|_| new.rejected_for(TOO_LATE) > 0) {
                Some(wanted) => {
                    let wanted = wanted.covering();
                    format!("; lateness '{wanted}' would have kept those that came too late")
                }
                None => String::new(),
            };
            tracing::warn!(
                source = source.name,
                "records were set aside: {}{remedy}; `forebay deadletters list` shows them, and `forebay deadletters replay {}` puts back what a \
                 mended declaration takes",
                reasons.join(", "),
                source.name
            );
            self.said.insert(source.name.clone(), ledger.clone());
            self.last = Some(Instant::now());
        }
    }
}
