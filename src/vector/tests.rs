use super::*;
use crate::id::Identity;
use crate::plan::{Evaluate, Expression, Read, RequestColumn};
use crate::value::DataType;
use arrow::array::AsArray;
use arrow::datatypes::{DataType as ArrowType, Field, Float64Type, Schema};

#[test]
fn values_of_every_type_come_back() {
    let list = |values: Vec<Value>| Value::List(values.into());
    let structure = |x: Value, s: Value| Value::Struct([("x".into(), x), ("s".into(), s)].into());
    let cases = [
        (DataType::Bool, vec![Value::Bool(true), Value::Null, Value::Bool(false)]),
        (DataType::Int, vec![Value::Int(i64::MIN), Value::Null, Value::Int(i64::MAX)]),
        (DataType::Float, vec![Value::Float(-0.0), Value::Float(f64::NAN), Value::Null]),
        (DataType::Text, vec![Value::Text("".into()), Value::Null, Value::Text("ä".into())]),
        (DataType::Timestamp, vec![Value::Timestamp(-1), Value::Null]),
        (DataType::List(Box::new(DataType::Float)), vec![list(vec![Value::Float(1.5), Value::Null]), Value::Null, list(vec![])]),
        (
            DataType::Map(Box::new(DataType::Float)),
            vec![
                Value::Map([("".into(), Value::Float(-0.0)), ("a".into(), Value::Null)].into()),
                Value::Null,
                Value::Map([].into()),
                Value::Map([("b".into(), Value::Float(f64::NAN))].into()),
            ],
        ),
        (
            DataType::List(Box::new(DataType::Struct(vec![("x".into(), DataType::Float), ("s".into(), DataType::Text)]))),
            vec![
                list(vec![structure(Value::Float(-0.0), Value::Null), structure(Value::Null, Value::Text("é".into()))]),
                Value::Null,
                list(vec![]),
                list(vec![Value::Null, structure(Value::Float(f64::NAN), Value::Text("".into()))]),
            ],
        ),
        (
            DataType::Struct(vec![("x".into(), DataType::Float), ("s".into(), DataType::Text)]),
            vec![structure(Value::Null, Value::Null), Value::Null],
        ),
        (DataType::Map(Box::new(DataType::Timestamp)), vec![Value::Map([("a".into(), Value::Timestamp(7))].into())]),
    ];
    for (data_type, values) in cases {
        let array = array_of(&data_type, values.iter()).unwrap();
        assert_eq!(*array.data_type(), data_type.arrow());
        for (row, value) in values.iter().enumerate() {
            assert!(value_at(array.as_ref(), row).same_bits(value), "{data_type} row {row}");
        }
    }
    assert!(array_of(&DataType::Int, [Value::Float(1.0)].iter()).is_err());
}

/// Twice the first column of the frame.
struct Twice;

impl Evaluate for Twice {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        let array = batch.column(0).as_primitive::<Float64Type>();
        Ok(Arc::new(array.unary::<_, Float64Type>(|value| value * 2.0)))
    }
}

#[test]
fn columns_come_in_order_with_their_defaults() {
    let frame = Schema::new(vec![Field::new("a", ArrowType::Float64, true), Field::new("r", ArrowType::Int64, true)]);
    let column = |name: &str, data_type, from, default| VectorColumn { name: name.into(), data_type, from, default };
    let twice = Expression { text: "a * 2".into(), data_type: DataType::Float, evaluator: Arc::new(Twice) };
    let columns = vec![
        column("r", DataType::Int, ColumnSource::Frame(1), Some(Value::Int(9))),
        column("twice", DataType::Float, ColumnSource::Derived(twice), Some(Value::Float(-1.0))),
        column("a", DataType::Float, ColumnSource::Frame(0), None),
    ];
    let vector = Vector {
        name: "v".into(),
        id: Identity::default(),
        on: None,
        keys: Vec::new(),
        key_columns: Vec::new(),
        request: vec![RequestColumn {
            field: crate::plan::Field { name: "r".into(), data_type: DataType::Int },
            source_column: None,
            is_event_time: false,
        }],
        reads: vec![Read { view: 0, keys: vec![], features: vec![0] }],
        frame: Arc::new(frame),
        schema: Vector::schema_of(&columns),
        columns,
    };
    let request = [array_of(&DataType::Int, [Value::Null, Value::Int(3)].iter()).unwrap()];
    let features = feature_columns(&vector, &[Value::Float(1.5), Value::Null], 2).unwrap();
    let batch = assemble(&vector, &features, &request, 2).unwrap();
    assert_eq!(batch.schema(), schema(&vector));
    let row = |row| (0..3).map(|column| value_at(batch.column(column).as_ref(), row)).collect::<Vec<_>>();
    assert_eq!(row(0), [Value::Int(9), Value::Float(3.0), Value::Float(1.5)]);
    assert_eq!(row(1), [Value::Int(3), Value::Float(-1.0), Value::Null]);
    // A lookup's way gives the same.
    let rows = assemble_rows(&vector, &[Value::Float(1.5), Value::Null], &[Value::Null, Value::Int(3)], 2).unwrap();
    assert_eq!(rows.iter().map(<[Value]>::to_vec).collect::<Vec<_>>(), [row(0), row(1)]);
    assert_eq!(rows.to_batch().unwrap(), batch);
    assert!(assemble_rows(&vector, &[Value::Null], &[Value::Null, Value::Null], 2).is_err());
    let none = feature_columns(&vector, &[], 0).unwrap();
    let none = assemble(&vector, &none, &[array_of(&DataType::Int, [].iter()).unwrap()], 0).unwrap();
    assert_eq!(none.num_rows(), 0);
    assert!(feature_columns(&vector, &[Value::Null], 2).is_err());
    assert!(assemble(&vector, &[], &request, 2).is_err());
}
