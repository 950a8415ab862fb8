//! The `expect` conditions of a source, checked on a batch. A row for which a condition cannot be computed is found by
//! halving the batch, so that one bad row costs its neighbours nothing but time.

use std::collections::BTreeMap;

use arrow::array::{Array, BooleanArray};
use arrow::record_batch::RecordBatch;

use super::{Rejection, reason};
use crate::plan::{Expect, Expression};

/// For each row that misses a condition, why: the first of them that it misses.
pub(super) fn failures(expects: &[Expect], batch: &RecordBatch) -> BTreeMap<usize, Rejection> {
    let mut failures = BTreeMap::new();
    if batch.num_rows() > 0 {
        for expect in expects {
            check(&expect.condition, batch, 0, &mut failures);
        }
    }
    failures
}

/// Checks a part of a batch, whose first row is the batch's row `start`. The part is not empty.
fn check(condition: &Expression, part: &RecordBatch, start: usize, failures: &mut BTreeMap<usize, Rejection>) {
    let rows = part.num_rows();
    let verdicts = condition.evaluate(part).and_then(|verdicts| {
        let verdicts = verdicts.as_any().downcast_ref::<BooleanArray>().filter(|verdicts| verdicts.len() == rows).cloned();
        verdicts.ok_or_else(|| crate::Error::internal("the condition does not give a boolean for every row"))
    });
    match verdicts {
        Ok(verdicts) => {
            for row in (0..rows).filter(|row| verdicts.is_null(*row) || !verdicts.value(*row)) {
                let is = if verdicts.is_null(row) { "null" } else { "false" };
                let text = format!("expect {} is {is}", condition.text);
                failures.entry(start + row).or_insert_with(|| Rejection::new(reason::EXPECTATION, text));
            }
        }
        Err(error) if rows == 1 => {
            let text = format!("expect {} cannot be computed: {error}", condition.text);
            failures.entry(start).or_insert_with(|| Rejection::new(reason::EXPRESSION, text));
        }
        Err(_) => {
            let half = rows / 2;
            check(condition, &part.slice(0, half), start, failures);
            check(condition, &part.slice(half, rows - half), start + half, failures);
        }
    }
}
