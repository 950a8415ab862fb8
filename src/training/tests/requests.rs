use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray, UInt32Array, UInt64Array};

use super::fixture::{Payment, of_columns, payments, plan, spine, stored};
use crate::error::{Error, ErrorKind};
use crate::training::{Output, Request, Spine, training_set};

fn ask(payments: &[Payment], change: impl FnOnce(&mut Request)) -> Result<Output, Error> {
    let plan = plan();
    let (_folder, store, recent) = stored(&plan, payments);
    let mut request =
        Request { vector: "user_v1".to_owned(), spine: spine(&[Some(1)], &[0], vec![]), time: None, event: None, as_known: false };
    change(&mut request);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(training_set(&plan, &store, recent, request))
}

fn refused(change: impl FnOnce(&mut Request)) -> (ErrorKind, String) {
    let error = ask(&payments(50, 1), change).unwrap_err();
    (error.kind(), error.to_string())
}

fn refused_spine(columns: Vec<(&str, ArrayRef)>) -> String {
    let (kind, text) = refused(|request| request.spine = of_columns(columns));
    assert_eq!(kind, ErrorKind::Input);
    text
}

fn users(users: Vec<i64>) -> ArrayRef {
    Arc::new(Int64Array::from(users))
}

fn times(times: Vec<Option<i64>>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(times))
}

#[test]
fn names_that_are_not_declared_come_with_what_is() {
    let (kind, text) = refused(|request| request.vector = "user_v3".to_owned());
    assert_eq!((kind, text.as_str()), (ErrorKind::NotFound, "there is no vector user_v3: do you mean user_v1?"));
    let (_, text) = refused(|request| request.vector = "fraud".to_owned());
    assert_eq!(text, "there is no vector fraud: declared are user_v1, user_v2");
    let (kind, text) = refused(|request| request.event = Some("payment".to_owned()));
    assert_eq!((kind, text.as_str()), (ErrorKind::NotFound, "there is no source payment: do you mean payments?"));
}

#[test]
fn a_spine_that_does_not_fit_is_refused_with_the_column() {
    let text = refused_spine(vec![("event_time", times(vec![Some(0)])), ("amount", users(vec![1]))]);
    assert_eq!(text, "vector user_v1 is read by user_id, and the spine has no column user_id (its columns: event_time, amount)");
    let text = refused_spine(vec![("user_id", users(vec![1])), ("amount", users(vec![1]))]);
    let expected =
        "the spine has no time: no column is called event_time or time; name it with --time COLUMN (its columns: user_id, amount)";
    assert_eq!(text, expected);
    let text = refused_spine(vec![("user_id", users(vec![1])), ("event_time", times(vec![Some(0)]))]);
    let expected = "vector user_v1 takes amount from its caller, and the spine has no column amount (its columns: user_id, event_time)";
    assert_eq!(text, expected);
    let nulls = times(vec![Some(0), None, None]);
    let text = refused_spine(vec![("user_id", users(vec![1, 2, 3])), ("event_time", nulls), ("amount", users(vec![1, 1, 1]))]);
    let expected = "column event_time of the spine is null in 2 of 3 rows, first in row 2: every row needs the time that it asks at";
    assert_eq!(text, expected);
    let text = refused_spine(vec![("user_id", users(vec![])), ("event_time", times(vec![])), ("amount", users(vec![]))]);
    assert_eq!(text, "the spine holds no rows: there is nothing to compute features for");
    let words: ArrayRef = Arc::new(StringArray::from(vec!["7", "seven"]));
    let text = refused_spine(vec![("user_id", words), ("event_time", times(vec![Some(0); 2])), ("amount", users(vec![1, 1]))]);
    assert_eq!(text, "column user_id of the spine is text, but bigint is needed: convert it");
    let text = refused_spine(vec![("user_id", users(vec![1])), ("event_time", users(vec![0])), ("amount", users(vec![1]))]);
    let expected = "column event_time of the spine holds numbers that are times of January 1970 in microseconds: give microseconds, timestamps, \
                    or text such as 2026-01-31T12:00:00Z";
    assert_eq!(text, expected);
    let fractions: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 1.5]));
    let text = refused_spine(vec![("user_id", fractions), ("event_time", times(vec![Some(0); 2])), ("amount", users(vec![1, 1]))]);
    let expected = "column user_id of the spine, row 2: no bigint, mend it or leave it empty: got the number 1.5, which is not written as a \
                    whole number of 64 bits";
    assert_eq!(text, expected);
    let (_, text) = refused(|request| request.time = Some("when".to_owned()));
    assert_eq!(text, "the spine has no column when, which --time names (its columns: user_id, event_time, amount)");
}

#[test]
fn a_name_of_both_spine_and_vector_is_refused_unless_it_is_handed_on() {
    let text = refused_spine(vec![
        ("user_id", users(vec![1])),
        ("event_time", times(vec![Some(0)])),
        ("amount", users(vec![1])),
        ("count_1h", users(vec![1])),
    ]);
    assert_eq!(text, "the spine has a column count_1h, and so has vector user_v1: rename the spine's column count_1h");
}

#[test]
fn rows_that_are_no_event_are_counted_and_the_first_is_shown() {
    let events = payments(50, 1);
    let place = |offsets: Vec<u64>| -> Spine {
        let partitions: ArrayRef = Arc::new(UInt32Array::from(vec![0; offsets.len()]));
        of_columns(vec![("partition", partitions), ("offset", Arc::new(UInt64Array::from(offsets)))])
    };
    let as_events = |spine: Spine| ask(&events, |request| (request.spine, request.event) = (spine, Some("payments".to_owned())));
    let error = as_events(place(vec![0, 900, 901])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    let expected = "2 of 3 rows of the spine are no event of payments, first row 2 (partition = 0, offset = 900): \
                    drop them, or wait until the events are in";
    assert_eq!(error.to_string(), expected);
    let error = as_events(spine(&[Some(1)], &[0], vec![])).unwrap_err();
    let expected = "rows of the spine cannot be matched to events of payments: it has neither partition and offset nor payment_id \
                    (its columns: user_id, event_time, amount)";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn times_of_any_kind_ask_the_same() {
    let events = payments(600, 2);
    let text: ArrayRef = Arc::new(StringArray::from(vec!["1970-01-01T02:30:00+00:30", "1970-01-01 02:00:00"]));
    let nanos: ArrayRef = Arc::new(arrow::array::TimestampNanosecondArray::from(vec![7_200_000_000_000; 2]).with_timezone("+05:00"));
    let dated: ArrayRef = times(vec![Some(7_200_000_000); 2]);
    let answers: Vec<_> = [text, nanos, dated]
        .into_iter()
        .map(|time| {
            let columns = vec![("user_id", users(vec![0, 1])), ("when", time), ("amount", users(vec![1, 1]))];
            let spine = of_columns(columns);
            let output = ask(&events, |request| (request.spine, request.time) = (spine, Some("when".to_owned()))).unwrap();
            let rows = &output.batches[0];
            (rows.column_by_name("spend_1h").unwrap().clone(), rows.column_by_name("event_time").unwrap().clone())
        })
        .collect();
    assert_eq!(&answers[0], &answers[1]);
    assert_eq!(&answers[0], &answers[2]);
    assert_eq!(answers[0].1.as_ref(), dated_column().as_ref(), "a request column that is the event time falls back to the row's time");
}

fn dated_column() -> ArrayRef {
    times(vec![Some(7_200_000_000); 2])
}
