//! A row whose value cannot be computed is null, and its neighbours are not touched.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;

use crate::error::{Error, Result};
use crate::language::{SourceFile, compile};
use crate::plan::{ModelSignature, Plan};

fn plan(expression: &str) -> Plan {
    let text = format!(
        "source s (a bigint, b bigint, x double, name text, t timestamp) from log 's' format json event time t;
         vector v on s (value = {expression});"
    );
    let no_model = |_: &Path| -> Result<ModelSignature> { Err(Error::not_found("no model")) };
    let files = [SourceFile { path: "test.bay".into(), text }];
    let compiled = compile(&files, &no_model);
    compiled.plan.unwrap_or_else(|| panic!("{}", crate::language::render(&compiled.diagnostics, &files, false)))
}

/// The value of an expression for three events.
fn values(expression: &str) -> ArrayRef {
    let plan = plan(expression);
    let vector = &plan.vectors[0];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(7), None])),
        Arc::new(Int64Array::from(vec![1, 0, 2])),
        Arc::new(Float64Array::from(vec![1.5, 2.5, 3.5])),
        Arc::new(StringArray::from(vec!["12", "twelve", "5"])),
        Arc::new(TimestampMicrosecondArray::from(vec![0, 3_600_000_000, 90_000_000])),
    ];
    let batch = RecordBatch::try_new(Arc::clone(&plan.sources[0].schema), columns).unwrap();
    let places: Vec<usize> = vector.request.iter().filter_map(|column| column.source_column).collect();
    match &vector.columns[0].from {
        crate::plan::ColumnSource::Derived(derived) => derived.evaluate(&batch.project(&places).unwrap()).unwrap(),
        crate::plan::ColumnSource::Frame(_) => panic!("not derived"),
    }
}

fn ints(expression: &str) -> Vec<Option<i64>> {
    values(expression).as_any().downcast_ref::<Int64Array>().unwrap().iter().collect()
}

#[test]
fn what_cannot_be_computed_is_null_for_its_row_alone() {
    assert_eq!(ints("a + b"), [None, Some(7), None]);
    assert_eq!(ints("a % b"), [Some(0), None, None]);
    assert_eq!(ints("name::bigint"), [Some(12), None, Some(5)]);
}

#[test]
fn functions_that_are_written_by_others_run() {
    assert_eq!(ints("coalesce(a, b)"), [Some(i64::MAX), Some(7), Some(2)]);
    assert_eq!(ints("1 + coalesce(nullif(b, 0), a, 5)"), [Some(2), Some(8), Some(3)]);
    assert_eq!(ints("nvl(a, b)"), [Some(i64::MAX), Some(7), Some(2)]);
    assert_eq!(ints("nvl2(a, b, 9)"), [Some(1), Some(0), Some(9)]);
}

#[test]
fn results_have_the_types_of_the_language() {
    assert_eq!(ints("extract(hour from t)"), [Some(0), Some(1), Some(0)]);
    assert_eq!(*values("upper(name)").data_type(), arrow::datatypes::DataType::Utf8);
    assert_eq!(*values("x * 2").data_type(), arrow::datatypes::DataType::Float64);
    assert_eq!(*values("date_trunc('hour', t)").data_type(), crate::value::DataType::Timestamp.arrow());
    assert_eq!(*values("a > 3 and name like 't%'").data_type(), arrow::datatypes::DataType::Boolean);
}

#[test]
fn integers_stay_exact_beyond_the_doubles() {
    assert_eq!(ints("a - 1")[0], Some(i64::MAX - 1));
}
