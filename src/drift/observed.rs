//! Counting rows into a profile's bins: a search of about seven steps per number, no allocation per value.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::datatypes::{DataType as ArrowType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use hashbrown::HashMap;

use super::distance::{kolmogorov_smirnov, kolmogorov_smirnov_p_value, population_stability};
use super::profile::{Bins, CategoryBins, ColumnProfile, Profile};
use super::summary::{AT_ONCE, Summary, counts, put_counts};
use super::{ColumnDrift, Kind};
use crate::aggregate::{ByteReader, bucket, put_unsigned};
use crate::error::{Error, Result};
use crate::plan::VectorColumn;
use crate::value::DataType;

/// How a vector's rows are counted against one profile.
pub struct Measure {
    /// Those columns of the profile that the vector has, then the scores.
    meters: Vec<Meter>,
    unwatched: Vec<String>,
}

struct Meter {
    reference: ColumnProfile,
    /// Where the column is in the vector; `None` for the scores.
    place: Option<usize>,
    kind: Kind,
    /// Of texts the bin of each name.
    names: HashMap<String, usize>,
}

/// What one interval holds so far.
#[derive(Clone, Debug)]
pub struct Counts {
    pub rows: u64,
    /// One for each meter.
    tallies: Vec<Tally>,
}

#[derive(Clone, Debug)]
struct Tally {
    count: u64,
    missing: u64,
    /// Per bin, as in the reference.
    bins: Vec<u64>,
    /// Of numbers.
    summary: Summary,
}

impl Measure {
    #[must_use]
    pub fn new(profile: &Profile, columns: &[VectorColumn]) -> Self {
        let mut meters = Vec::new();
        let mut unwatched: Vec<String> = Vec::new();
        for reference in &profile.columns {
            let place = columns.iter().position(|column| column.name == reference.name && reference.takes(&column.data_type));
            match place {
                Some(place) => meters.push(Meter::new(reference, Some((place, &columns[place].data_type)))),
                None => unwatched.push(reference.name.clone()),
            }
        }
        let lacks = |column: &&VectorColumn| profile.columns.iter().all(|reference| reference.name != column.name);
        unwatched.extend(columns.iter().filter(lacks).map(|column| column.name.clone()));
        meters.push(Meter::new(&profile.scores, None));
        Self { meters, unwatched }
    }

    /// Columns of the vector that the profile lacks or has of another type, and columns of the profile that the vector lacks.
    #[must_use]
    pub fn unwatched(&self) -> &[String] {
        &self.unwatched
    }

    /// What is counted, in order: counts of one such list cannot be read as those of another.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        self.meters.iter().map(|meter| meter.reference.name.as_str()).collect()
    }

    #[must_use]
    pub fn empty(&self) -> Counts {
        let tally = |meter: &Meter| Tally { count: 0, missing: 0, bins: vec![0; meter.reference.bins.len()], summary: Summary::default() };
        Counts { rows: 0, tallies: self.meters.iter().map(tally).collect() }
    }

    /// Counts rows of the vector in, each with its score.
    pub fn count(&self, counts: &mut Counts, columns: &RecordBatch, scores: &[f64]) {
        counts.rows += scores.len() as u64;
        for (meter, tally) in self.meters.iter().zip(&mut counts.tallies) {
            match meter.place {
                Some(place) => meter.count(tally, columns.column(place)),
                None => {
                    tally.count += scores.len() as u64;
                    if let Bins::Numbers(bins) = &meter.reference.bins {
                        for part in scores.chunks(AT_ONCE) {
                            tally.numbers(&bins.edges, part.len(), part.iter().filter_map(|score| number(*score)).collect());
                        }
                    }
                }
            }
        }
    }

    /// How far each column, and at last the scores, are from the reference.
    #[must_use]
    pub fn report(&self, counts: &Counts) -> Vec<ColumnDrift> {
        self.meters.iter().zip(&counts.tallies).map(|(meter, tally)| meter.report(tally)).collect()
    }
}

impl Meter {
    fn new(reference: &ColumnProfile, column: Option<(usize, &DataType)>) -> Self {
        let names = match &reference.bins {
            Bins::Texts(bins) => bins.names.iter().enumerate().map(|(place, name)| (name.clone(), place)).collect(),
            _ => HashMap::new(),
        };
        let kind = match &reference.bins {
            Bins::Numbers(_) if column.is_some_and(|(_, data_type)| *data_type == DataType::Timestamp) => Kind::Times,
            Bins::Numbers(_) => Kind::Numbers,
            Bins::Booleans(_) | Bins::Texts(_) => Kind::Categories,
            Bins::Uncounted => Kind::Uncounted,
        };
        Self { reference: reference.clone(), place: column.map(|(place, _)| place), kind, names }
    }

    fn count(&self, tally: &mut Tally, array: &ArrayRef) {
        tally.count += array.len() as u64;
        match &self.reference.bins {
            Bins::Numbers(bins) => {
                for start in (0..array.len()).step_by(AT_ONCE) {
                    let part = array.slice(start, AT_ONCE.min(array.len() - start));
                    let mut values = Vec::with_capacity(part.len());
                    each_number(&part, |value| values.extend(number(value)));
                    tally.numbers(&bins.edges, part.len(), values);
                }
            }
            Bins::Booleans(_) => {
                if let Some(values) = array.as_boolean_opt() {
                    tally.missing += values.null_count() as u64;
                    tally.bins[1] += values.true_count() as u64;
                    tally.bins[0] += values.false_count() as u64;
                }
            }
            Bins::Texts(_) => {
                let other = tally.bins.len() - 1;
                tally.missing += array.null_count() as u64;
                for value in array.as_string_opt::<i32>().into_iter().flatten().flatten() {
                    tally.bins[self.names.get(value).copied().unwrap_or(other)] += 1;
                }
            }
            Bins::Uncounted => tally.missing += array.null_count() as u64,
        }
    }

    fn report(&self, tally: &Tally) -> ColumnDrift {
        let reference = &self.reference;
        let (psi, ks, described) = match &reference.bins {
            Bins::Numbers(bins) => (
                population_stability(&bins.to_coarse(&bins.counts), &bins.to_coarse(&tally.bins)),
                kolmogorov_smirnov(&bins.counts, &tally.bins),
                tally.summary.described(&bins.edges, &tally.bins),
            ),
            Bins::Booleans(bins) | Bins::Texts(bins) => (population_stability(&bins.counts, &tally.bins), None, None),
            Bins::Uncounted => (None, None, None),
        };
        let (values, values_reference) = (tally.count - tally.missing, reference.count - reference.missing);
        let rate = |missing: u64, count: u64| if count == 0 { 0.0 } else { missing as f64 / count as f64 };
        ColumnDrift {
            column: reference.name.clone(),
            count: tally.count,
            values,
            values_reference,
            psi,
            ks,
            ks_p_value: ks.map(|ks| kolmogorov_smirnov_p_value(ks, values_reference, values)),
            missing_rate: rate(tally.missing, tally.count),
            missing_rate_reference: rate(reference.missing, reference.count),
            described,
            reference: reference.described.clone(),
            kind: self.kind,
        }
    }
}

impl Tally {
    /// Takes in those of up to `AT_ONCE` rows that have a number.
    fn numbers(&mut self, edges: &[f64], rows: usize, values: Vec<f64>) {
        self.missing += (rows - values.len()) as u64;
        let (mut below, mut above) = (Vec::new(), Vec::new());
        for value in &values {
            let bin = bin_of(edges, *value);
            self.bins[bin] += 1;
            if bin == edges.len() {
                above.push(bucket(*value));
            } else if bin == 0 {
                below.push(bucket(*value));
            }
        }
        self.summary.add(&values, &mut below, &mut above);
    }
}

/// `None` for a NaN, and one zero for both, so that which of them came first does not matter.
#[inline]
fn number(value: f64) -> Option<f64> {
    if value.is_nan() { None } else { Some(value + 0.0) }
}

impl Counts {
    /// Appends the counts; layout: `docs/storage-format.md`.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        put_unsigned(bytes, self.rows);
        for tally in &self.tallies {
            put_unsigned(bytes, tally.count);
            put_unsigned(bytes, tally.missing);
            put_counts(bytes, (0..).zip(tally.bins.iter().copied()).filter(|(_, count)| *count > 0));
            tally.summary.encode(bytes);
        }
    }

    /// Reads counts of this measure.
    pub(crate) fn decode(measure: &Measure, reader: &mut ByteReader<'_>) -> Result<Self> {
        let mut read = measure.empty();
        read.rows = reader.counted()?;
        for tally in &mut read.tallies {
            (tally.count, tally.missing) = (reader.counted()?, reader.counted()?);
            for (bin, count) in counts(reader)? {
                let place = tally.bins.get_mut(bin as usize).ok_or_else(|| Error::corrupt("counts of drift: there is no such bin"))?;
                *place = count;
            }
            tally.summary = Summary::decode(reader)?;
        }
        Ok(read)
    }
}

impl Bins {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Numbers(bins) => bins.counts.len(),
            Self::Booleans(CategoryBins { counts, .. }) | Self::Texts(CategoryBins { counts, .. }) => counts.len(),
            Self::Uncounted => 0,
        }
    }
}

/// The bin of a number that is not NaN.
#[inline]
pub(super) fn bin_of(edges: &[f64], value: f64) -> usize {
    edges.partition_point(|&edge| edge < value)
}

/// Calls `each` with a column's values as doubles, nulls as NaN; `false` for a type without an order.
pub(super) fn each_number(array: &ArrayRef, each: impl FnMut(f64)) -> bool {
    fn of<T: ArrowPrimitiveType>(array: &ArrayRef, double: impl Fn(T::Native) -> f64, mut each: impl FnMut(f64)) -> bool {
        let Some(values) = array.as_primitive_opt::<T>() else { return false };
        if values.null_count() == 0 {
            values.values().iter().for_each(|value| each(double(*value)));
        } else {
            values.iter().for_each(|value| each(value.map_or(f64::NAN, &double)));
        }
        true
    }
    match array.data_type() {
        ArrowType::Float64 => of::<Float64Type>(array, |value| value, each),
        ArrowType::Int64 => of::<Int64Type>(array, |value| value as f64, each),
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => of::<TimestampMicrosecondType>(array, |value| value as f64, each),
        _ => false,
    }
}
