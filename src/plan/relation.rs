//! What a view's rows are: those of a source as they are, or those that a stream makes of its sources' events: for each
//! event one, none, or one for each element of a list. Online, offline and the proof make them by the code here.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::{and, prep_null_mask_filter};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use smallvec::SmallVec;

use super::unnest::unnest;
use super::{Expression, Field, Source};
use crate::error::{Error, Result};
use crate::id::{Identity, Places, Position};
use crate::time::EventTime;

/// A source, or a stream over sources.
#[derive(Clone, Debug)]
pub struct Relation {
    pub name: String,
    pub id: Identity,
    pub fields: Vec<Field>,
    /// `fields` as Arrow, every one nullable.
    pub schema: SchemaRef,
    /// The field that holds the event time: in every branch that of its source, unchanged.
    pub event_time: usize,
    /// At least one, at most `BRANCHES_MAX`. Rows of equal times are in their order.
    pub branches: Vec<Branch>,
}

/// How many branches a stream may have, after those of the streams that it reads took the place of these.
pub const BRANCHES_MAX: usize = 256;

/// Rows of one source.
#[derive(Clone, Debug)]
pub struct Branch {
    pub source: usize,
    /// Applied one after another; none where the rows are the source's own. Branches that share them share their rows.
    pub steps: Arc<[Step]>,
}

/// One `select .. where ..`.
#[derive(Clone, Debug)]
pub struct Step {
    /// Rows for which it is false or null are left out.
    pub filter: Option<Expression>,
    pub columns: Vec<Expression>,
    /// For each of `columns`, the columns that it reads.
    pub reads: Vec<Vec<usize>>,
    /// Which of `columns` is a list of whose elements each makes a row.
    pub unnest: Option<usize>,
    /// Of the rows that it makes.
    pub schema: SchemaRef,
}

/// What a branch makes of a batch: rows in the order of its events, and for each event in that of its elements.
pub struct Derived {
    pub rows: RecordBatch,
    /// Where the rows of each event begin, and where the last one's end; `None`: each event has the row in its place.
    pub starts: Option<Arc<[u32]>>,
    /// Which of them are rows of the stream, never null; `None`: all.
    pub kept: Option<BooleanArray>,
}

impl Derived {
    #[must_use]
    pub fn keeps(&self, row: usize) -> bool {
        self.kept.as_ref().is_none_or(|kept| kept.value(row))
    }

    /// The rows of an event, those that are left out with them.
    #[must_use]
    pub fn rows_of(&self, event: usize) -> Range<usize> {
        rows_of(self.starts.as_deref(), event)
    }
}

/// The rows of an event where they begin at `starts`.
#[inline]
#[must_use]
pub fn rows_of(starts: Option<&[u32]>, event: usize) -> Range<usize> {
    match starts {
        None => event..event + 1,
        Some(starts) => starts[event] as usize..starts[event + 1] as usize,
    }
}

impl Branch {
    /// Whether it makes a row of each element of a list.
    #[must_use]
    pub fn unnests(&self) -> bool {
        self.steps.iter().any(|step| step.unnest.is_some())
    }

    /// The place of one of an event's rows, where this is the branch with that place in its relation.
    #[must_use]
    pub fn place(&self, branch: u8, event: Position, element: usize) -> Position {
        let own = event.in_branch(branch);
        // No branch makes more rows of an event than places can tell apart.
        if self.unnests() { own.of_element(element as u16) } else { own }
    }

    /// The places of an event's rows, where this is the branch with that place in its relation.
    #[must_use]
    pub fn places(&self, branch: u8, event: Position) -> Places {
        let own = event.in_branch(branch);
        if self.unnests() { Places { first: own.of_element(0), others: u16::MAX } } else { own.into() }
    }

    /// The source's columns that these columns of the rows are made of, and those that say how many rows there are.
    #[must_use]
    pub fn origins(&self, columns: &[usize]) -> Vec<usize> {
        let mut origins = columns.to_vec();
        for step in self.steps.iter().rev() {
            origins.extend(step.unnest);
            origins = origins.iter().flat_map(|column| step.reads[*column].iter().copied()).collect();
            origins.sort_unstable();
            origins.dedup();
        }
        origins
    }

    /// The rows that a batch of the source's own columns becomes.
    pub fn derive(&self, own: &RecordBatch) -> Result<Derived> {
        let mut derived = Derived { rows: own.clone(), starts: None, kept: None };
        for step in self.steps.iter() {
            if let Some(filter) = &step.filter {
                let holds = filter.evaluate(&derived.rows)?;
                let wrong = || Error::internal(format!("{filter:?} gave values of type {}", holds.data_type()));
                let holds = holds.as_boolean_opt().ok_or_else(wrong)?;
                let holds = if holds.null_count() > 0 { prep_null_mask_filter(holds) } else { holds.clone() };
                derived.kept = Some(match &derived.kept {
                    Some(kept) => and(kept, &holds)?,
                    None => holds,
                });
            }
            let columns = step.columns.iter().map(|column| column.evaluate(&derived.rows)).collect::<Result<Vec<_>>>()?;
            match step.unnest {
                None => derived.rows = RecordBatch::try_new(Arc::clone(&step.schema), columns)?,
                Some(list) => derived = unnest(&derived, step, columns, list)?,
            }
        }
        Ok(derived)
    }
}

impl Relation {
    /// A source as it is, by its place in the plan.
    #[must_use]
    pub fn of_source(index: usize, source: &Source) -> Self {
        Self {
            name: source.name.clone(),
            id: source.id,
            fields: source.fields.clone(),
            schema: Arc::clone(&source.schema),
            event_time: source.event_time,
            branches: vec![Branch { source: index, steps: Arc::new([]) }],
        }
    }

    /// The source that this is; `None` for a stream.
    #[must_use]
    pub fn as_source(&self) -> Option<usize> {
        match self.branches.as_slice() {
            [only] if only.steps.is_empty() => Some(only.source),
            _ => None,
        }
    }

    /// Each source once, in the order of the branches.
    pub fn sources(&self) -> impl Iterator<Item = usize> {
        let first = |(at, branch): &(usize, &Branch)| self.branches[..*at].iter().all(|earlier| earlier.source != branch.source);
        self.branches.iter().enumerate().filter(first).map(|(_, branch)| branch.source)
    }

    /// The branches that read a source, with their places.
    pub fn branches_of(&self, source: usize) -> impl Iterator<Item = (u8, &Branch)> {
        (0..=u8::MAX).zip(&self.branches).filter(move |(_, branch)| branch.source == source)
    }

    /// The places that an event of a source has among the rows, of each branch that reads the source.
    #[must_use]
    pub fn places(&self, source: usize, position: Position) -> SmallVec<[Places; 1]> {
        self.branches_of(source).map(|(place, branch)| branch.places(place, position)).collect()
    }

    /// The place in its source's log of the event of which a row is made.
    #[must_use]
    pub fn in_log(&self, row: Position) -> Position {
        row.in_log(self.branches.get(usize::from(row.branch())).is_some_and(Branch::unnests))
    }

    /// The earliest time that lookups may ask for, of that of each source of the plan.
    #[must_use]
    pub fn horizon(&self, horizons: &[EventTime]) -> EventTime {
        self.branches.iter().map(|branch| horizons[branch.source]).min().unwrap_or(EventTime::MIN)
    }
}
