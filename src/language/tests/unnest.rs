//! What streams make of lists: where rows begin, and what one event may become.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Builder, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray};

use super::*;
use crate::plan::ELEMENTS_MAX;
use crate::vector::value_at;

#[test]
fn a_row_for_each_element() {
    let text = "
source s (id bigint, xs text[], n bigint, t timestamp) from log 's' event time t;
stream some as select id, unnest(xs) as x, t from s where n > 0;
stream all_of_them as select id, unnest(string_to_array(x, ' ')) as letter, t from some where x <> 'n o';
entity e (letter text);
features f of e from all_of_them ( n = count(*) );
";
    let plan = plan(text);
    let branch = &plan.views[0].rows.branches[0];
    assert!(branch.unnests());
    // The key, and the list whose elements it is made of.
    assert_eq!(branch.origins(&plan.views[0].key_columns), [1]);
    let word = |text: &str| Some(text.to_owned());
    let derive = |lists: &[Option<Vec<Option<String>>>], n: &[i64]| {
        let mut xs = ListBuilder::new(StringBuilder::new());
        for list in lists {
            match list {
                Some(words) => {
                    words.iter().for_each(|word| xs.values().append_option(word.as_ref()));
                    xs.append(true);
                }
                None => xs.append(false),
            }
        }
        let ids = Int64Array::from_iter_values(0..n.len() as i64);
        let times = TimestampMicrosecondArray::from(vec![0; n.len()]);
        let columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(xs.finish()), Arc::new(Int64Array::from(n.to_vec())), Arc::new(times)];
        branch.derive(&RecordBatch::try_new(plan.sources[0].schema.clone(), columns).unwrap())
    };
    let lists = [Some(vec![word("a b"), None, word("c")]), None, Some(vec![]), Some(vec![word("d"), word("n o")]), Some(vec![word("e")])];
    let derived = derive(&lists, &[1, 1, 1, 1, 0]).unwrap();
    let of =
        |event: usize| derived.rows_of(event).map(|row| (value_at(derived.rows.column(1), row), derived.keeps(row))).collect::<Vec<_>>();
    let letter = |text: &str, kept: bool| (Value::Text(text.into()), kept);
    assert_eq!(of(0), [letter("a", true), letter("b", true), letter("c", true)]);
    assert_eq!((of(1), of(2)), (vec![], vec![]));
    assert_eq!(of(3), [letter("d", true), letter("n", false), letter("o", false)]);
    assert_eq!(of(4), [letter("e", false)]);

    let many = |count: usize| Some(vec![word("x"); count]);
    assert_eq!(derive(&[many(ELEMENTS_MAX)], &[1]).unwrap().rows.num_rows(), ELEMENTS_MAX);
    let refused = derive(&[many(2), many(ELEMENTS_MAX + 1)], &[1, 1]).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Input);
    assert!(refused.to_string().starts_with("unnest(xs) makes 65537 rows of one event, at most 65536 can be"), "{refused}");
    assert_eq!(derive(&[many(ELEMENTS_MAX + 1), many(1)], &[0, 1]).unwrap().rows.num_rows(), 1);
}

#[test]
fn a_short_record_does_not_become_a_large_one() {
    let text = "
source s (id bigint, xs double[], note text, t timestamp) from log 's' event time t;
stream l as select unnest(xs) as x, note, t from s;
entity e (note text);
features f of e from l ( n = count(*) );
";
    let plan = plan(text);
    let derive = |elements: usize| {
        let mut xs = ListBuilder::new(Float64Builder::new());
        xs.append_value((0..elements).map(|_| Some(0.5)));
        let note = StringArray::from(vec!["x".repeat(1 << 20)]);
        let times = TimestampMicrosecondArray::from(vec![0]);
        let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![1])), Arc::new(xs.finish()), Arc::new(note), Arc::new(times)];
        plan.views[0].rows.branches[0].derive(&RecordBatch::try_new(plan.sources[0].schema.clone(), columns).unwrap())
    };
    assert_eq!(derive(16).unwrap().rows.num_rows(), 16);
    let refused = derive(17).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Input);
    assert!(refused.to_string().starts_with("unnest(xs) repeats 17825792 bytes of one event's texts and lists"), "{refused}");
}
