use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt32Array, UInt64Array};
use arrow::compute::concat_batches;

use super::fixture::{MINUTE, Payment, Random, naive, payments, plan, spine, stored};
use crate::plan::Plan;
use crate::training::{Output, Request, Spine, training_set};
use crate::value::Value;
use crate::vector::value_at;

fn run(plan: &Plan, payments: &[Payment], request: Request) -> Output {
    let (_folder, store, recent) = stored(plan, payments);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(training_set(plan, &store, recent, request)).unwrap()
}

fn request(spine: Spine) -> Request {
    Request { vector: "user_v1".to_owned(), spine, time: None, event: None, as_known: false }
}

fn all(output: &Output) -> RecordBatch {
    concat_batches(&output.schema, &output.batches).unwrap()
}

const FEATURES: [&str; 7] = ["count_1h", "spend_1h", "last_id", "declined_1d", "others_1h", "spend_1h_offset_1h", "before_30m"];

fn features(rows: &RecordBatch, row: usize) -> Vec<Value> {
    FEATURES.iter().map(|name| value_at(rows.column_by_name(name).unwrap().as_ref(), row)).collect()
}

/// Rows of users (some null, some never seen) at random minutes, some of them before every event.
fn random_rows(count: usize, minutes: u64, seed: u64) -> (Vec<Option<i64>>, Vec<i64>) {
    let mut random = Random(seed);
    let users = (0..count).map(|_| (random.below(20) > 0).then(|| random.below(12) as i64)).collect();
    let times = (0..count).map(|_| (random.below(minutes) as i64 - 120) * MINUTE).collect();
    (users, times)
}

#[test]
fn as_of_event_time_equals_a_naive_scan() {
    let plan = plan();
    let events = payments(6_000, 1);
    let (users, times) = random_rows(2_000, 2_300, 2);
    let output = run(&plan, &events, request(spine(&users, &times, vec![])));
    let rows = all(&output);
    assert_eq!(rows.num_rows(), 2_000);
    for row in 0..2_000 {
        assert_eq!(features(&rows, row), naive(&events, users[row], times[row], None), "row {row}");
    }
    assert_eq!(output.report.rows, 2_000);
    assert!(output.report.events > 0 && output.report.events <= 6_000);
    assert!(output.report.stages.iter().any(|stage| stage.name == "point in time"));
}

#[test]
fn many_rows_keep_their_order_and_columns() {
    let plan = plan();
    let events = payments(3_000, 3);
    let (users, times) = random_rows(20_000, 1_300, 4);
    let labels: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..20_000));
    let rows = all(&run(&plan, &events, request(spine(&users, &times, vec![("label", labels)]))));
    let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names[..4], ["user_id", "event_time", "amount", "label"], "request columns keep the spine's place");
    assert_eq!(names[4..], FEATURES, "and are not repeated");
    let labels = rows.column_by_name("label").unwrap();
    for row in (0..20_000).step_by(97) {
        assert!(!labels.is_null(row) && value_at(rows.column(1).as_ref(), row) == Value::Timestamp(times[row]));
        assert_eq!(features(&rows, row), naive(&events, users[row], times[row], None), "row {row}");
    }
}

#[test]
fn as_known_by_seq_sees_the_events_up_to_that_cut() {
    let plan = plan();
    let events = payments(3_000, 5);
    let (users, times) = random_rows(500, 1_300, 6);
    let mut random = Random(7);
    let cuts: Vec<u64> = (0..500).map(|_| random.below(3_200)).collect();
    let seqs: ArrayRef = Arc::new(UInt64Array::from(cuts.clone()));
    let asked = Request { as_known: true, ..request(spine(&users, &times, vec![("seq", seqs)])) };
    let rows = all(&run(&plan, &events, asked));
    for row in 0..500 {
        let known: Vec<Payment> = events.iter().filter(|event| event.seq <= cuts[row]).cloned().collect();
        assert_eq!(features(&rows, row), naive(&known, users[row], times[row], None), "row {row}");
    }
}

#[test]
fn as_known_without_seq_sees_what_was_taken_in_by_then() {
    let plan = plan();
    let events = payments(3_000, 8);
    let (users, times) = random_rows(500, 700, 9);
    let rows = all(&run(&plan, &events, Request { as_known: true, ..request(spine(&users, &times, vec![])) }));
    for row in 0..500 {
        let known: Vec<Payment> = events.iter().filter(|event| event.ingest <= times[row]).cloned().collect();
        assert_eq!(features(&rows, row), naive(&known, users[row], times[row], None), "row {row}");
    }
}

/// The rows are events, in another order; keys, times and request columns come from the events themselves.
fn event_rows(events: &[Payment], by_place: bool) -> (Vec<usize>, Spine) {
    let mut random = Random(10);
    let picked: Vec<usize> = (0..400).map(|_| random.below(events.len() as u64) as usize).collect();
    let of = |name: &'static str, column: ArrayRef| (name, column);
    let columns = if by_place {
        vec![
            of("partition", Arc::new(UInt32Array::from_iter_values(picked.iter().map(|at| events[*at].at.partition.0)))),
            of("offset", Arc::new(UInt64Array::from_iter_values(picked.iter().map(|at| events[*at].at.offset.0)))),
        ]
    } else {
        vec![of("payment_id", Arc::new(StringArray::from_iter_values(picked.iter().map(|at| &events[*at].id))))]
    };
    (picked, super::fixture::of_columns(columns))
}

#[test]
fn rows_that_are_events_leave_themselves_out_and_know_their_cut() {
    let plan = plan();
    let events = payments(3_000, 11);
    for (by_place, as_known) in [(true, false), (false, false), (true, true), (false, true)] {
        let (picked, spine) = event_rows(&events, by_place);
        let asked = Request { event: Some("payments".to_owned()), as_known, ..request(spine) };
        let output = run(&plan, &events, asked);
        let rows = all(&output);
        assert_eq!(output.report.matched, 400);
        for (row, at) in picked.iter().enumerate() {
            let event = &events[*at];
            let known = if as_known { &events[..=*at] } else { &events[..] };
            let expected = naive(known, event.user, event.at.time.0, Some(event.at));
            assert_eq!(features(&rows, row), expected, "row {row}, by place {by_place}, as known {as_known}");
            let amount = value_at(rows.column_by_name("amount").unwrap().as_ref(), row);
            assert_eq!(amount, event.amount.map_or(Value::Null, Value::Float));
            assert_eq!(value_at(rows.column_by_name("event_time").unwrap().as_ref(), row), Value::Timestamp(event.at.time.0));
        }
    }
}

#[test]
fn a_hot_key_that_is_trimmed_on_the_way_gives_the_same_values() {
    // `user_v2` leaves no event out, so its states are trimmed.
    let plan = plan();
    let mut events = payments(150_000, 12);
    events.iter_mut().for_each(|event| event.user = Some(0));
    let times: Vec<i64> = (0..40).map(|at| at * 1_250 * MINUTE).collect();
    let asked = Request { vector: "user_v2".to_owned(), ..request(spine(&[Some(0); 40], &times, vec![])) };
    let rows = all(&run(&plan, &events, asked));
    for (row, q) in times.iter().enumerate() {
        let expected = naive(&events, Some(0), *q, None);
        for (feature, expected) in FEATURES[..4].iter().zip(expected) {
            assert_eq!(value_at(rows.column_by_name(feature).unwrap().as_ref(), row), expected, "row {row}, {feature}");
        }
    }
}

#[test]
fn an_empty_log_gives_values_over_no_rows() {
    let plan = plan();
    let folder = tempfile::tempdir().unwrap();
    let store = crate::offline::Store::open_read_only(folder.path()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let asked = request(spine(&[Some(1), None], &[0, 5], vec![]));
    let output = runtime.block_on(training_set(&plan, &store, Vec::new(), asked)).unwrap();
    let rows = all(&output);
    for row in 0..2 {
        assert_eq!(features(&rows, row), naive(&[], Some(1), 0, None));
    }
}
