//! A row whose value cannot be computed is null, and its neighbours are not touched.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType as ArrowType, Int64Type};
use arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;

use crate::error::Error;
use crate::language::{SourceFile, compile};
use crate::plan::{ModelSignature, Plan};

fn plan(expression: &str) -> Plan {
    let text = format!(
        "source s (a bigint, b bigint, x double, name text, t timestamp) from log 's' format json event time t;
         vector v on s (value = {expression});"
    );
    let no_model = |_: &Path| -> crate::error::Result<ModelSignature> { Err(Error::not_found("no model")) };
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
    assert_eq!(ints("-(-a - 1)"), [None, Some(8), None]);
    // Not every function says by its error that a value is bad.
    let texts = values(r"regexp_replace('a', replace(name, '12', '\'), 'x')");
    let texts: Vec<_> = texts.as_any().downcast_ref::<StringArray>().unwrap().iter().collect();
    assert_eq!(texts, [None, Some("a"), Some("a")]);
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PanicsAbove(i64);

impl std::fmt::Display for PanicsAbove {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "panics above {}", self.0)
    }
}

impl PhysicalExpr for PanicsAbove {
    fn data_type(&self, _: &arrow::datatypes::Schema) -> Result<ArrowType, DataFusionError> {
        Ok(ArrowType::Int64)
    }

    fn nullable(&self, _: &arrow::datatypes::Schema) -> Result<bool, DataFusionError> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue, DataFusionError> {
        assert!(batch.column(0).as_primitive::<Int64Type>().iter().flatten().all(|value| value <= self.0));
        Ok(ColumnarValue::Array(Arc::clone(batch.column(0))))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
        Ok(self)
    }

    fn fmt_sql(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

#[test]
fn a_function_that_panics_gives_null_for_that_row() {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(9), None, Some(2)]));
    let batch = RecordBatch::try_from_iter([("a", column)]).unwrap();
    let found = super::evaluator(Arc::new(PanicsAbove(2)), ArrowType::Int64).evaluate(&batch).unwrap();
    assert_eq!(found.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(1), None, None, Some(2)]);
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
