//! The reference: bins and categories made from a training set, with its counts. Stored as JSON with a version, and a checksum
//! of everything before it.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::DataType as ArrowType;
use arrow::record_batch::RecordBatch;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::SCORE;
use super::observed::{bin_of, each_number};
use super::summary::Described;
use crate::error::{Error, Result};
use crate::plan::VectorColumn;
use crate::value::DataType;

/// The version of the stored form.
const VERSION: u32 = 2;
/// That of a version without origin, types and descriptions, which is still read.
const VERSION_FIRST: u32 = 1;
/// What stands before the checksum, which ends the stored form: XXH3 (64 bits) of all bytes before this, 16 hexadecimal digits.
const CHECKSUM: &str = ",\n\"checksum\":\"";
/// Bins of the population stability index: deciles of the reference.
const COARSE_BINS: usize = 10;
/// Bins of the Kolmogorov-Smirnov statistic: percentiles of the reference, of which the deciles are a part.
const FINE_BINS: usize = 100;
/// Categories that are counted by name; the rest are counted together.
const CATEGORIES_MAX: usize = 20;

/// What a profile was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The model's name, and its version when it gave the scores.
    pub model: String,
    pub model_version: String,
    /// The vector's name and identity.
    pub vector: String,
    pub vector_identity: String,
    /// The training set: its file's name without folders, and the SHA-256 of its bytes.
    pub training_set: String,
    pub training_set_sha256: String,
}

/// What a model's columns and scores looked like when it was trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    version: u32,
    /// Absent in the first version.
    origin: Option<Origin>,
    /// Rows of the reference.
    rows: u64,
    pub(super) columns: Vec<ColumnProfile>,
    pub(super) scores: ColumnProfile,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ColumnProfile {
    pub name: String,
    /// In the spelling of the language; absent in the first version.
    #[serde(rename = "type")]
    pub data_type: Option<String>,
    pub count: u64,
    /// Nulls and NaNs, which no bin counts.
    pub missing: u64,
    /// Of finite numbers. Absent in the first version.
    pub described: Option<Described>,
    pub bins: Bins,
}

/// What keeps a column from being compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// The vector has the column, the profile does not.
    NotInProfile(String),
    /// The profile has the column, the vector does not.
    NotInVector(String),
    /// Both have it, of types that cannot be compared: the profile's, then the vector's.
    OtherType(String, String, String),
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotInProfile(column) => write!(f, "it lacks the column `{column}`"),
            Self::NotInVector(column) => write!(f, "its column `{column}` is none of the vector"),
            Self::OtherType(column, profile, vector) => write!(f, "its column `{column}` is {profile}, in the vector {vector}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Bins {
    Numbers(NumberBins),
    /// `false`, `true`, and no others.
    Booleans(CategoryBins),
    Texts(CategoryBins),
    /// Lists and maps: only missing values are counted.
    Uncounted,
}

/// Bin `i` holds `edges[i - 1] < x <= edges[i]`; the first and the last are open. Timestamps count as microseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct NumberBins {
    /// Rising, finite; fine bins lie between them.
    pub edges: Vec<f64>,
    /// The reference's counts, one more than edges.
    pub counts: Vec<u64>,
    /// For each fine bin the coarse bin that it is part of.
    pub coarse: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CategoryBins {
    /// Of texts by falling count, then by name.
    pub names: Vec<String>,
    /// The reference's counts, and last that of all other values.
    pub counts: Vec<u64>,
}

impl Profile {
    /// The profile of a training set's columns and the model's scores for them, one per row. An `Input` error when
    /// there are no rows, or not as many scores as rows.
    pub fn of(origin: Origin, types: &[VectorColumn], columns: &[RecordBatch], scores: &[f64]) -> Result<Self> {
        let rows: usize = columns.iter().map(RecordBatch::num_rows).sum();
        if rows == 0 {
            return Err(Error::input("a profile needs at least one row; make it from a training set that has some"));
        }
        if rows != scores.len() {
            return Err(Error::input(format!("a profile of {rows} rows needs a score for each, but there are {}", scores.len())));
        }
        let schema = columns[0].schema();
        let mut profiles = Vec::with_capacity(schema.fields().len());
        for (index, field) in schema.fields().iter().enumerate() {
            if let Some(other) = columns.iter().find(|batch| batch.schema_ref().fields().get(index) != Some(field)) {
                return Err(Error::input(format!("a profile's batches differ: {} and {}", schema, other.schema_ref())));
            }
            let parts: Vec<&ArrayRef> = columns.iter().map(|batch| batch.column(index)).collect();
            let data_type = types.iter().find(|column| column.name == *field.name()).map(|column| column.data_type.to_string());
            profiles.push(ColumnProfile::of(field.name(), data_type, field.data_type(), &parts)?);
        }
        let scores: ArrayRef = std::sync::Arc::new(Float64Array::from(scores.to_vec()));
        let scores = ColumnProfile::of(SCORE, Some(DataType::Float.to_string()), &ArrowType::Float64, &[&scores])?;
        Ok(Self { version: VERSION, origin: Some(origin), rows: rows as u64, columns: profiles, scores })
    }

    /// Reads the stored form. An `Input` error when it is none, or of a version that is not known.
    pub fn parse(json: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Header {
            version: u32,
        }
        // Edges must come back to the bit, which this parser does.
        let unreadable = |error: sonic_rs::Error| {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default().to_owned();
            Error::input(format!("not a drift profile: {first}; make it again with `forebay models profile`"))
        };
        let header: Header = sonic_rs::from_slice(json).map_err(unreadable)?;
        if ![VERSION_FIRST, VERSION].contains(&header.version) {
            let message =
                format!("a drift profile of version {}, but this forebay reads up to version {VERSION}; make it again", header.version);
            return Err(Error::input(message));
        }
        check_sum(json)?;
        let profile: Self = sonic_rs::from_slice(json).map_err(unreadable)?;
        profile.columns.iter().chain([&profile.scores]).try_for_each(ColumnProfile::check)?;
        Ok(profile)
    }

    /// The stored form: JSON, one column per line.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let failed = |error: serde_json::Error| Error::internal(format!("a drift profile could not be written: {error}"));
        let columns: Vec<String> = self.columns.iter().map(serde_json::to_string).collect::<Result<_, _>>().map_err(failed)?;
        let scores = serde_json::to_string(&self.scores).map_err(failed)?;
        let origin = serde_json::to_string(&self.origin).map_err(failed)?;
        let (version, rows, columns) = (self.version, self.rows, columns.join(",\n"));
        let said =
            format!("{{\"version\":{version},\"origin\":{origin},\n\"rows\":{rows},\"columns\":[\n{columns}\n],\n\"scores\":{scores}");
        Ok(format!("{said}{CHECKSUM}{:016x}\"}}\n", xxh3_64(said.as_bytes())).into_bytes())
    }

    /// Rows of the reference.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// `None` in profiles of the first version.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// What is not compared of a vector with these columns, and why.
    #[must_use]
    pub fn misfits(&self, columns: &[VectorColumn]) -> Vec<Misfit> {
        let of_vector = columns.iter().filter_map(|column| match self.columns.iter().find(|reference| reference.name == column.name) {
            None => Some(Misfit::NotInProfile(column.name.clone())),
            Some(reference) if reference.takes(&column.data_type) => None,
            Some(reference) => {
                let of_profile = reference.data_type.clone().unwrap_or_else(|| reference.bins.kind().to_owned());
                Some(Misfit::OtherType(column.name.clone(), of_profile, column.data_type.to_string()))
            }
        });
        let is_gone = |reference: &&ColumnProfile| columns.iter().all(|column| column.name != reference.name);
        let gone = self.columns.iter().filter(is_gone).map(|reference| Misfit::NotInVector(reference.name.clone()));
        of_vector.chain(gone).collect()
    }
}

/// Whether the bytes are those that were written, as far as that is known: a profile of an earlier version has no checksum.
fn check_sum(json: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(json);
    let Some((said, sum)) = text.rsplit_once(CHECKSUM) else { return Ok(()) };
    if sum.trim_end() == format!("{:016x}\"}}", xxh3_64(said.as_bytes())) {
        return Ok(());
    }
    Err(Error::input(
        "a drift profile that is not what was written: its checksum differs; fetch it from where it is kept, or make it again with \
         `forebay models profile`",
    ))
}

impl Bins {
    /// What is counted, where a profile says no type.
    fn kind(&self) -> &'static str {
        match self {
            Self::Numbers(_) => "a number",
            Self::Booleans(_) => "boolean",
            Self::Texts(_) => "text",
            Self::Uncounted => "neither a number nor a text",
        }
    }
}

impl ColumnProfile {
    /// Whether values of that type can be compared with these.
    pub fn takes(&self, data_type: &DataType) -> bool {
        match (&self.bins, data_type) {
            // Numbers are numbers, but a time is none.
            (Bins::Numbers(_), DataType::Int | DataType::Float) => self.data_type.as_deref() != Some("timestamp"),
            (Bins::Numbers(_), DataType::Timestamp) => self.data_type.as_deref().is_none_or(|own| own == "timestamp"),
            (Bins::Booleans(_), DataType::Bool) | (Bins::Texts(_), DataType::Text) => true,
            (Bins::Uncounted, other) => !other.is_single(),
            _ => false,
        }
    }

    fn of(name: &str, data_type: Option<String>, arrow: &ArrowType, parts: &[&ArrayRef]) -> Result<Self> {
        let count: usize = parts.iter().map(|part| part.len()).sum();
        let mut described = None;
        let bins = match arrow {
            ArrowType::Boolean => {
                let values = parts.iter().flat_map(|part| part.as_boolean().iter().flatten());
                let mut counts = vec![0, 0, 0];
                values.for_each(|value| counts[usize::from(value)] += 1);
                Bins::Booleans(CategoryBins { names: vec!["false".to_owned(), "true".to_owned()], counts })
            }
            ArrowType::Utf8 => Bins::Texts(CategoryBins::of(parts)),
            ArrowType::List(_) | ArrowType::Map(..) | ArrowType::Struct(_) => Bins::Uncounted,
            _ => {
                let (bins, values) = NumberBins::of(parts).map_err(|error| error.context(format_args!("column {name:?}")))?;
                described = values;
                Bins::Numbers(bins)
            }
        };
        let missing = match &bins {
            Bins::Numbers(NumberBins { counts, .. })
            | Bins::Booleans(CategoryBins { counts, .. })
            | Bins::Texts(CategoryBins { counts, .. }) => count as u64 - counts.iter().sum::<u64>(),
            Bins::Uncounted => parts.iter().map(|part| part.null_count() as u64).sum(),
        };
        Ok(Self { name: name.to_owned(), data_type, count: count as u64, missing, described, bins })
    }

    /// Whether what was read can be counted with.
    fn check(&self) -> Result<()> {
        let is_whole = match &self.bins {
            Bins::Numbers(NumberBins { edges, counts, coarse }) => {
                let coarse_is_dense =
                    coarse.first() == Some(&0) && coarse.windows(2).all(|pair| pair[1] == pair[0] || pair[1] == pair[0] + 1);
                counts.len() == edges.len() + 1
                    && coarse.len() == counts.len()
                    && coarse_is_dense
                    && edges.iter().all(|edge| edge.is_finite())
                    && edges.windows(2).all(|pair| pair[0] < pair[1])
            }
            Bins::Booleans(CategoryBins { counts, .. }) => counts.len() == 3,
            Bins::Texts(CategoryBins { names, counts }) => counts.len() == names.len() + 1,
            Bins::Uncounted => true,
        };
        if is_whole {
            return Ok(());
        }
        Err(Error::input(format!("a drift profile whose bins of column {:?} do not fit together; make it again", self.name)))
    }
}

impl NumberBins {
    fn of(parts: &[&ArrayRef]) -> Result<(Self, Option<Described>)> {
        let mut values = Vec::new();
        for part in parts {
            if !each_number(part, |value| values.extend((!value.is_nan()).then_some(value + 0.0))) {
                return Err(Error::input(format!("no profile can be made of values of {}", part.data_type())));
            }
        }
        values.sort_unstable_by(f64::total_cmp);
        let (edges, coarse_edges) = edges(&values);
        let mut counts = vec![0; edges.len() + 1];
        values.iter().for_each(|&value| counts[bin_of(&edges, value)] += 1);
        // A fine bin ends at its edge; it is part of the coarse bin that ends there or after.
        let of_edge = |edge: &f64| coarse_edges.partition_point(|end| end < edge);
        let coarse = edges.iter().map(of_edge).chain([coarse_edges.len()]).collect();
        Ok((Self { edges, counts, coarse }, Described::of_sorted(&values)))
    }

    /// Counts of fine bins added up to those of coarse bins.
    pub fn to_coarse(&self, fine: &[u64]) -> Vec<u64> {
        let mut counts = vec![0; self.coarse.last().map_or(0, |last| last + 1)];
        fine.iter().zip(&self.coarse).for_each(|(count, &bin)| counts[bin] += count);
        counts
    }
}

/// Fine and coarse edges for sorted values. Of few distinct values each is a bin of its own, and what lies outside
/// of them two more; of many, bins end at percentiles and deciles (the value at rank `ceil(n i / bins)`).
fn edges(sorted: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut distinct: Vec<f64> = Vec::new();
    for &value in sorted.iter().filter(|value| value.is_finite()) {
        if distinct.last() != Some(&value) {
            distinct.push(value);
        }
        if distinct.len() > COARSE_BINS {
            break;
        }
    }
    if distinct.len() <= COARSE_BINS {
        let below = distinct.first().map(|least| least.next_down());
        let edges: Vec<f64> = below.into_iter().chain(distinct).filter(|edge| edge.is_finite()).collect();
        return (edges.clone(), edges);
    }
    let quantiles = |bins: usize| -> Vec<f64> {
        let mut edges: Vec<f64> = (1..bins).map(|index| sorted[(sorted.len() * index).div_ceil(bins) - 1]).collect();
        edges.retain(|edge| edge.is_finite());
        edges.dedup();
        edges
    };
    (quantiles(FINE_BINS), quantiles(COARSE_BINS))
}

impl CategoryBins {
    fn of(parts: &[&ArrayRef]) -> Self {
        let mut seen: HashMap<&str, u64> = HashMap::new();
        for part in parts {
            part.as_string::<i32>().iter().flatten().for_each(|value| *seen.entry(value).or_default() += 1);
        }
        let total: u64 = seen.values().sum();
        let mut ranked: Vec<(&str, u64)> = seen.into_iter().collect();
        ranked.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        ranked.truncate(CATEGORIES_MAX);
        let named: u64 = ranked.iter().map(|(_, count)| count).sum();
        let names = ranked.iter().map(|(name, _)| (*name).to_owned()).collect();
        let counts = ranked.iter().map(|(_, count)| *count).chain([total - named]).collect();
        Self { names, counts }
    }
}
