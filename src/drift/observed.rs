//! Counting a window's values into a profile's bins: a search of about seven steps per number, no allocation.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::datatypes::{DataType as ArrowType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use hashbrown::HashMap;

use super::ColumnDrift;
use super::distance::{kolmogorov_smirnov, population_stability};
use super::profile::{Bins, CategoryBins, ColumnProfile, Profile};
use crate::error::{Error, Result};

/// What one window holds so far, against one profile.
pub struct Observed {
    columns: Vec<Counter>,
    scores: Counter,
}

struct Counter {
    reference: ColumnProfile,
    tally: Tally,
    count: u64,
    missing: u64,
    /// Per bin, as in the reference.
    counts: Vec<u64>,
}

/// How values find their bins.
enum Tally {
    Numbers(Numbers),
    Booleans,
    Texts(HashMap<String, usize>),
    Uncounted,
}

impl Observed {
    #[must_use]
    pub fn new(profile: &Profile) -> Self {
        Self { columns: profile.columns.iter().map(Counter::new).collect(), scores: Counter::new(&profile.scores) }
    }

    /// Counts rows in. Columns are matched by name; those that the profile does not have are left out. An `Input`
    /// error, and nothing counted, when one is absent or of another type than in the profile.
    pub fn observe(&mut self, columns: &RecordBatch, scores: &[f64]) -> Result<()> {
        let mut arrays = Vec::with_capacity(self.columns.len());
        for counter in &self.columns {
            let name = &counter.reference.name;
            let array = columns.column_by_name(name).filter(|array| counter.tally.takes(array));
            arrays.push(array.ok_or_else(|| {
                Error::input(format!(
                    "the drift profile has a column {name:?}, but the vector has none of its type; make the profile again"
                ))
            })?);
        }
        for (counter, array) in self.columns.iter_mut().zip(arrays) {
            counter.observe(array);
        }
        self.scores.observe_numbers(scores.iter().copied(), scores.len());
        Ok(())
    }

    /// How far each column, and at last the scores, are from the reference.
    #[must_use]
    pub fn report(&self) -> Vec<ColumnDrift> {
        self.columns.iter().chain([&self.scores]).map(Counter::report).collect()
    }

    /// The rows counted since the last reset.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.scores.count
    }

    /// Begins the next window.
    pub fn reset(&mut self) {
        for counter in self.columns.iter_mut().chain([&mut self.scores]) {
            (counter.count, counter.missing) = (0, 0);
            counter.counts.fill(0);
        }
    }
}

impl Tally {
    fn takes(&self, array: &ArrayRef) -> bool {
        match self {
            Self::Numbers(_) => numbers(array).is_some(),
            Self::Booleans => array.as_boolean_opt().is_some(),
            Self::Texts(_) => array.as_string_opt::<i32>().is_some(),
            Self::Uncounted => true,
        }
    }
}

impl Counter {
    fn new(reference: &ColumnProfile) -> Self {
        let (tally, bins) = match &reference.bins {
            Bins::Numbers(bins) => (Tally::Numbers(Numbers::new(&bins.edges)), bins.counts.len()),
            Bins::Booleans(CategoryBins { counts, .. }) => (Tally::Booleans, counts.len()),
            Bins::Texts(CategoryBins { names, counts }) => {
                let places = names.iter().enumerate().map(|(place, name)| (name.clone(), place)).collect();
                (Tally::Texts(places), counts.len())
            }
            Bins::Uncounted => (Tally::Uncounted, 0),
        };
        Self { reference: reference.clone(), tally, count: 0, missing: 0, counts: vec![0; bins] }
    }

    fn observe(&mut self, array: &ArrayRef) {
        let rows = array.len();
        match &self.tally {
            Tally::Numbers(_) => {
                if let Some(values) = numbers(array) {
                    self.observe_numbers(values, rows);
                }
            }
            Tally::Booleans => {
                let values = array.as_boolean();
                self.count += rows as u64;
                self.missing += values.null_count() as u64;
                self.counts[1] += values.true_count() as u64;
                self.counts[0] += values.false_count() as u64;
            }
            Tally::Texts(places) => {
                let other = self.counts.len() - 1;
                self.count += rows as u64;
                self.missing += array.null_count() as u64;
                for value in array.as_string::<i32>().iter().flatten() {
                    self.counts[places.get(value).copied().unwrap_or(other)] += 1;
                }
            }
            Tally::Uncounted => {
                self.count += rows as u64;
                self.missing += array.null_count() as u64;
            }
        }
    }

    fn observe_numbers(&mut self, values: impl Iterator<Item = f64>, rows: usize) {
        let Tally::Numbers(numbers) = &self.tally else { return };
        self.count += rows as u64;
        for value in values {
            if value.is_nan() {
                self.missing += 1;
            } else {
                self.counts[numbers.bin(value)] += 1;
            }
        }
    }

    fn report(&self) -> ColumnDrift {
        let (psi, ks) = match &self.reference.bins {
            Bins::Numbers(bins) => (
                population_stability(&bins.to_coarse(&bins.counts), &bins.to_coarse(&self.counts)),
                kolmogorov_smirnov(&bins.counts, &self.counts),
            ),
            Bins::Booleans(bins) | Bins::Texts(bins) => (population_stability(&bins.counts, &self.counts), None),
            Bins::Uncounted => (None, None),
        };
        let rate = |missing: u64, count: u64| if count == 0 { 0.0 } else { missing as f64 / count as f64 };
        ColumnDrift {
            column: self.reference.name.clone(),
            count: self.count,
            psi,
            ks,
            missing_rate: rate(self.missing, self.count),
            missing_rate_reference: rate(self.reference.missing, self.reference.count),
        }
    }
}

/// Edges to search.
pub(super) struct Numbers {
    edges: Vec<f64>,
}

impl Numbers {
    pub fn new(edges: &[f64]) -> Self {
        Self { edges: edges.to_vec() }
    }

    /// The bin of a number that is not NaN.
    pub fn bin(&self, value: f64) -> usize {
        self.edges.partition_point(|&edge| edge < value)
    }
}

/// A column's values as doubles, nulls as NaN; `None` for a type without an order.
pub(super) fn numbers(array: &ArrayRef) -> Option<Box<dyn Iterator<Item = f64> + '_>> {
    fn of<'a, T: ArrowPrimitiveType>(
        array: &'a ArrayRef,
        double: impl Fn(T::Native) -> f64 + 'a,
    ) -> Option<Box<dyn Iterator<Item = f64> + 'a>> {
        let values = array.as_primitive_opt::<T>()?;
        match values.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => Some(Box::new(values.values().iter().map(move |&value| double(value)))),
            Some(_) => Some(Box::new(values.iter().map(move |value| value.map_or(f64::NAN, &double)))),
        }
    }
    match array.data_type() {
        ArrowType::Float64 => of::<Float64Type>(array, |value| value),
        ArrowType::Int64 => of::<Int64Type>(array, |value| value as f64),
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => of::<TimestampMicrosecondType>(array, |value| value as f64),
        _ => None,
    }
}
