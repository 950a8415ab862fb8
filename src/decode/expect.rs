//! The conditions of a source, `deletes when` and `expect`, on a batch. A row for which a condition cannot be computed is
//! found by halving the batch, so that one bad row costs its neighbours nothing but time.

use std::collections::BTreeMap;

use arrow::array::BooleanArray;
use arrow::record_batch::RecordBatch;

use super::{Rejection, reason};
use crate::plan::{Expect, Expression};

/// For each row whether it is a retraction, and for each row of which that cannot be computed, why.
pub(super) fn retractions(condition: &Expression, batch: &RecordBatch) -> (Vec<bool>, BTreeMap<usize, Rejection>) {
    let (mut retracts, mut failures) = (vec![false; batch.num_rows()], BTreeMap::new());
    evaluate(condition, "deletes when", batch, 0, &mut |row, verdict| match verdict {
        Ok(verdict) => retracts[row] = verdict == Some(true),
        Err(rejection) => drop(failures.insert(row, rejection)),
    });
    (retracts, failures)
}

/// For each row that misses a condition, why: the first of them that it misses.
pub(super) fn failures(expects: &[Expect], batch: &RecordBatch) -> BTreeMap<usize, Rejection> {
    let mut failures = BTreeMap::new();
    for Expect { condition } in expects {
        evaluate(condition, "expect", batch, 0, &mut |row, verdict| {
            let rejection = match verdict {
                Ok(Some(true)) => return,
                Ok(verdict) => {
                    let is = if verdict.is_none() { "null" } else { "false" };
                    Rejection::new(reason::EXPECTATION, format!("expect {} is {is}", condition.text))
                }
                Err(rejection) => rejection,
            };
            failures.entry(row).or_insert(rejection);
        });
    }
    failures
}

/// Tells `each` the verdict on every row of a part of a batch, whose first row is the batch's row `start`.
fn evaluate(
    condition: &Expression,
    clause: &str,
    part: &RecordBatch,
    start: usize,
    each: &mut dyn FnMut(usize, Result<Option<bool>, Rejection>),
) {
    let rows = part.num_rows();
    if rows == 0 {
        return;
    }
    let verdicts = condition.evaluate(part).and_then(|verdicts| {
        let verdicts = verdicts.as_any().downcast_ref::<BooleanArray>().filter(|verdicts| verdicts.len() == rows).cloned();
        verdicts.ok_or_else(|| crate::Error::internal("the condition does not give a boolean for every row"))
    });
    match verdicts {
        Ok(verdicts) => verdicts.iter().enumerate().for_each(|(row, verdict)| each(start + row, Ok(verdict))),
        Err(error) if rows == 1 => {
            let text = format!("{clause} {} cannot be computed: {error}", condition.text);
            each(start, Err(Rejection::new(reason::EXPRESSION, text)));
        }
        Err(_) => {
            let half = rows / 2;
            evaluate(condition, clause, &part.slice(0, half), start, each);
            evaluate(condition, clause, &part.slice(half, rows - half), start + half, each);
        }
    }
}
