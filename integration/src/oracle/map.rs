//! Map-valued features: the events of each key apart, and what the map has no room for under one more key.

use std::cmp::Ordering;

use super::cell::{Cell, rfc3339};
use super::{Aggregate, Input, Moment, Row};

/// `by key limit k`, or `by key limit k by value`
#[derive(Clone)]
pub struct By {
    pub key: Input,
    pub limit: usize,
    pub by_value: bool,
}

const OTHER: &str = "__other";

struct Group {
    key: Cell,
    rows: Vec<Row>,
    result: Cell,
}

impl By {
    /// The map of `aggregate` over rows, each with its key, in total order; null where no row counts.
    #[must_use]
    pub fn over(&self, aggregate: &Aggregate, rows: Vec<(Cell, Row)>, moment: Moment) -> Cell {
        let counting = rows.into_iter().filter(|(key, row)| !key.is_null() && !row.cells.iter().any(Cell::is_null));
        let counting: Vec<(Cell, Row)> = counting.collect();
        let (others, named): (Vec<_>, Vec<_>) = counting.iter().partition(|(key, _)| matches!(key, Cell::Text(text) if text == OTHER));
        let mut keys: Vec<Cell> = named.iter().map(|(key, _)| key.clone()).collect();
        keys.sort_by(Cell::order);
        keys.dedup_by(|a, b| a.order(b).is_eq());
        let of_key = |key: Cell| {
            let rows: Vec<Row> = named.iter().filter(|(other, _)| other.order(&key).is_eq()).map(|(_, row)| row.clone()).collect();
            Group { result: aggregate.over(&rows, moment), key, rows }
        };
        let mut groups: Vec<Group> = keys.into_iter().map(of_key).collect();
        // Keys are sorted and the sort is stable: ties are by key.
        if self.by_value {
            groups.sort_by(|a, b| greatest_first(&a.result, &b.result));
        } else {
            groups.sort_by_key(|group| std::cmp::Reverse(group.rows.len()));
        }
        let dropped = groups.split_off(groups.len().min(self.limit));
        let mut entries: Vec<(String, Cell)> = groups.iter().map(|group| (spelled(&group.key), group.result.clone())).collect();
        if !dropped.is_empty() || !others.is_empty() {
            // Again in total order.
            let is_merged =
                |key: &Cell| matches!(key, Cell::Text(text) if text == OTHER) || dropped.iter().any(|group| group.key.same(key));
            let merged: Vec<Row> = counting.iter().filter(|(key, _)| is_merged(key)).map(|(_, row)| row.clone()).collect();
            entries.push((OTHER.to_owned(), aggregate.over(&merged, moment)));
        }
        entries.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
        if entries.is_empty() { Cell::Null } else { Cell::Map(entries) }
    }
}

fn greatest_first(a: &Cell, b: &Cell) -> Ordering {
    match (a.is_null(), b.is_null()) {
        (false, false) => b.order(a),
        (a, b) => a.cmp(&b),
    }
}

fn spelled(key: &Cell) -> String {
    match key {
        Cell::Text(text) => text.clone(),
        Cell::Int(number) => number.to_string(),
        Cell::Bool(value) => value.to_string(),
        // As few digits of a second as it takes, by threes.
        Cell::Time(time) => {
            let text = rfc3339(*time);
            let (second, fraction) = text.trim_end_matches('Z').split_once('.').expect("six digits");
            match (fraction, fraction.strip_suffix("000")) {
                ("000000", _) => format!("{second}Z"),
                (_, Some(millis)) => format!("{second}.{millis}Z"),
                _ => text.clone(),
            }
        }
        other => panic!("{other:?} is no key"),
    }
}
