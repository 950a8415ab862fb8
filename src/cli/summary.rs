//! What a run of the engine did, said at its end.

use serde_json::{Value as Json, json};

use crate::engine::{SourceSummary, Summary};
use crate::error::Result;
use crate::online::TOO_LATE;
use crate::time::Span;

use super::context::Context;
use super::definitions::counted;
use super::output::complain;

pub(super) fn print(context: &Context, summary: &Summary, took: Span, is_whole: bool) -> Result<()> {
    let begin = if is_whole { "caught up" } else { "stopped before the end" };
    let of = |count: u64, noun: &str| counted(usize::try_from(count).unwrap_or(usize::MAX), noun);
    let events = summary.sources.iter().map(|source| source.ledger.accepted).sum();
    let mut text = format!("{begin}: {} in", of(events, "event"));
    for source in &summary.sources {
        let parts = parts(source);
        if !parts.is_empty() {
            text += &format!("; {}: {}", source.source, parts.join(", "));
        }
    }
    if summary.scored + summary.unscored > 0 {
        text += &format!("; {}", of(summary.scored, "prediction"));
    }
    if summary.unscored > 0 {
        text += &format!(", {} without a score", of(summary.unscored, "row"));
    }
    text += &format!("; {}\n", took.roughly());
    for source in summary.sources.iter().filter(|source| source.ledger.rejected_for(TOO_LATE) > 0) {
        if let Some(wanted) = source.lateness_wanted {
            complain(&format!(
                "warning: {} of {} came too late and {} set aside: lateness '{}' (it is {}) would have kept {}; declare it, start again, and \
                 put them back with `forebay deadletters replay {}`\n",
                of(source.ledger.rejected_for(TOO_LATE), "record"),
                source.source,
                if source.ledger.rejected_for(TOO_LATE) == 1 { "is" } else { "are" },
                wanted.covering(),
                source.lateness,
                if source.ledger.rejected_for(TOO_LATE) == 1 { "it" } else { "them" },
                source.source
            ));
        }
    }
    context.print.one(&text, &object(summary, took, is_whole))
}

/// What is not in, by reason.
fn parts(source: &SourceSummary) -> Vec<String> {
    let ledger = &source.ledger;
    let set_aside = ledger.rejected.iter().map(|(reason, count)| format!("{count} {reason}"));
    let others = [(ledger.duplicates, "duplicate"), (ledger.retracted, "retracted")];
    set_aside.chain(others.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"))).collect()
}

fn object(summary: &Summary, took: Span, is_whole: bool) -> Json {
    let of_source = |source: &SourceSummary| {
        let ledger = &source.ledger;
        json!({
            "source": source.source, "accepted": ledger.accepted, "late": ledger.late, "duplicate": ledger.duplicates,
            "retracted": ledger.retracted, "rejected": ledger.rejected,
            "lateness_wanted_ms": source.lateness_wanted.map(|wanted| wanted.0.saturating_add(999) / 1000),
        })
    };
    json!({
        "caught_up": is_whole, "sources": summary.sources.iter().map(of_source).collect::<Vec<_>>(),
        "predictions": summary.scored, "unscored": summary.unscored, "seconds": took.0 as f64 / 1e6,
    })
}
