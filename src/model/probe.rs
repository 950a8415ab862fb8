//! Runs a model on made-up rows: what it gives, whether a row's score is a function of that row alone, and whether rows may
//! be run together. Must never look at real rows, and never say that something holds which it did not see.

use arrow::array::UInt32Array;
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use super::ROWS_PER_CALL_MAX;
use super::made_up::{self, FLAVOURS};
use super::onnx::Graph;
use super::output::{self, Table};
use super::runner::{Asked, Runner};
use super::signature::{Holds, holds};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Element, Fault, Part, Usage};

/// Rows of a batch in which the neighbours of one are replaced.
const TOGETHER: usize = 7;

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Whether the model can be used.
    Check,
    /// Also how it is run.
    Load,
}

impl Depth {
    /// Made-up rows of each flavour.
    fn rows(self) -> usize {
        match self {
            Self::Check => 8,
            Self::Load => 16,
        }
    }
}

/// What was found.
pub struct Findings {
    /// Which number of the output is the score.
    pub place: usize,
    /// How many numbers the output has for each row; `None` where that is not known.
    pub width: Option<usize>,
    /// The labels of these numbers, where they are known.
    pub labels: Option<Vec<String>>,
    /// Whether rows must be run alone.
    pub row_by_row: bool,
    pub unproven: Option<String>,
}

/// A model that is being tried.
pub struct Probe<'a> {
    pub runner: &'a mut Runner,
    pub asked: &'a mut Asked,
    pub usage: &'a Usage,
    pub graph: &'a Graph,
    pub schema: &'a SchemaRef,
    pub depth: Depth,
}

/// The rows that the model takes, and what it gave each of them alone.
struct Singles {
    made: RecordBatch,
    /// Into `made`, for each flavour.
    usable: Vec<Vec<usize>>,
    /// For each usable row of all flavours.
    tables: Vec<(usize, Table)>,
    width: usize,
    labels: Option<Vec<String>>,
}

impl Probe<'_> {
    pub fn run(mut self) -> Result<Result<Findings, Fault>> {
        match self.tried() {
            Ok(findings) => Ok(Ok(findings)),
            Err(Stop::Fault(fault)) => Ok(Err(fault)),
            Err(Stop::Error(error)) => Err(error),
        }
    }

    fn tried(&mut self) -> Result<Findings, Stop> {
        if !self.usage.chance && !self.graph.random.is_empty() {
            let operators = self.graph.random.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(Fault::Chance(format!("the model draws random numbers ({operators})")).into());
        }
        let mut singles = match self.singles()? {
            Ok(singles) => singles,
            Err(error) => return self.unproven(&error),
        };
        if singles.labels.is_none() && singles.width > 1 {
            singles.labels = self.labels(&singles)?;
        }
        let place = output::place(&self.asked.output, self.usage, singles.width, singles.labels.as_deref())?;
        if !self.usage.chance {
            self.again(&singles, place)?;
        }
        let alone = self.runner.feeding.one_row_only || self.usage.row_by_row || self.usage.chance;
        let row_by_row = alone || !self.together(&singles, place)?;
        Ok(Findings { place, width: Some(singles.width), labels: singles.labels, row_by_row, unproven: None })
    }

    /// Each made-up row alone; an error when the model takes none of them.
    fn singles(&mut self) -> Result<Result<Singles, Error>, Stop> {
        let categories = &self.graph.categories;
        let made = |flavour| made_up::rows(self.schema, &self.runner.feeding, categories, flavour, self.depth.rows());
        let flavours = FLAVOURS.into_iter().map(made).collect::<Result<Vec<_>>>()?;
        let made = concat_batches(self.schema, &flavours).map_err(Error::from)?;
        let (mut usable, mut tables, mut failed) = (vec![Vec::new(); FLAVOURS.len()], Vec::<(usize, Table)>::new(), None);
        for row in 0..made.num_rows() {
            let read = match self.call(&made, row, 1) {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Input => {
                    failed.get_or_insert(error);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let table = read.map_err(|error| Fault::Fails(error.to_string()))?;
            if let Some((_, first)) = tables.first()
                && (first.width, &first.labels) != (table.width, &table.labels)
            {
                let message = format!("the model gives {} numbers for one row and {} for another", first.width, table.width);
                return Err(Fault::Fails(message).into());
            }
            usable[row / self.depth.rows()].push(row);
            tables.push((row, table));
        }
        let Some((width, labels)) = tables.first().map(|(_, table)| (table.width, table.labels.clone())) else {
            return Ok(Err(failed.unwrap_or_else(|| Error::internal("no row was made up"))));
        };
        Ok(Ok(Singles { made, usable, tables, width, labels }))
    }

    fn call(&mut self, rows: &RecordBatch, start: usize, count: usize) -> Result<Result<Table>> {
        self.runner.call(rows, start, count, self.asked, |given| output::table(&given[0], count))
    }

    /// A model of texts may know only its own; any other has failed for good.
    fn unproven(&self, error: &Error) -> Result<Findings, Stop> {
        let takes_texts = self.runner.feeding.inputs.iter().any(|input| input.element == Element::Text);
        if !takes_texts {
            return Err(Fault::Fails(format!("the model fails on every made-up row, also on zeros and ones: {error}")).into());
        }
        let output = &self.asked.output;
        let declared = self.runner.session.outputs().iter().find(|known| known.name() == output);
        let labels = self.graph.labels(output);
        let shape = declared.and_then(|known| known.dtype().tensor_shape()).map(|shape| shape.to_vec());
        let width = match shape.as_deref() {
            Some([_]) => Some(1),
            Some([_, width]) => usize::try_from(*width).ok(),
            Some(_) => None,
            None => labels.map(<[String]>::len),
        };
        let place = match (width, &self.usage.part) {
            (Some(width), _) => output::place(output, self.usage, width, labels.filter(|labels| labels.len() == width))?,
            (None, Some(Part::Column(column))) => column.saturating_sub(1),
            (None, _) => {
                let message = format!(
                    "how many numbers output `{output}` has cannot be found out, because the model fails on every made-up row: {error}"
                );
                return Err(
                    Fault::Output { message, remedy: format!("write which of them is the score: `output '{output}' column 1`") }.into()
                );
            }
        };
        Ok(Findings { place, width, labels: None, row_by_row: true, unproven: Some(error.to_string()) })
    }

    /// The labels of the numbers: those that the model's file knows, where the labels that it gives do not speak against them.
    fn labels(&mut self, singles: &Singles) -> Result<Option<Vec<String>>> {
        let others: Vec<String> = self
            .runner
            .session
            .outputs()
            .iter()
            .filter(|output| matches!(holds(output), Holds::Integers | Holds::Texts) && output.name() != self.asked.output)
            .map(|output| output.name().to_owned())
            .collect();
        for name in others {
            let Some(labels) = self.graph.labels(&name).filter(|labels| labels.len() == singles.width) else { continue };
            let mut asked = Asked::new(&name)?;
            let (mut agreed, mut differed) = (0, 0);
            for (row, table) in &singles.tables {
                let Ok(Some(given)) = self.runner.call(&singles.made, *row, 1, &mut asked, |given| output::names(&given[0], 1)) else {
                    continue;
                };
                let most = table.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let mut greatest = table.values.iter().enumerate().filter(|(_, value)| **value == most).map(|(place, _)| place);
                if let (Some(place), None) = (greatest.next(), greatest.next()) {
                    *(if given[0] == labels[place] { &mut agreed } else { &mut differed }) += 1;
                }
            }
            return Ok((differed <= agreed).then(|| labels.to_vec()));
        }
        Ok(self.graph.labels(&self.asked.output).filter(|labels| labels.len() == singles.width).map(<[String]>::to_vec))
    }

    /// The same rows once more get the same bits.
    fn again(&mut self, singles: &Singles, place: usize) -> Result<(), Stop> {
        for (row, before) in &singles.tables {
            let again = self.call(&singles.made, *row, 1)?.map_err(|error| Fault::Fails(error.to_string()))?;
            let (before, again) = (before.values[place], again.values[place]);
            if bits(before) != bits(again) {
                return Err(Fault::Chance(format!("the model gave one made-up row the scores {before} and {again}")).into());
            }
        }
        Ok(())
    }

    /// Whether rows may be run together. It is a fault when a row's score changes with the rows beside it: in a batch of the
    /// same size and at the same place in it, so that rounding by the size of a batch is not taken for it. Of one row alone
    /// nothing is found out.
    fn together(&mut self, singles: &Singles, place: usize) -> Result<bool, Stop> {
        for usable in singles.usable.iter().filter(|usable| usable.len() > 1) {
            let row = |at: usize| usable[at % usable.len()];
            let one: Vec<usize> = (0..TOGETHER).map(row).collect();
            let Some(scores) = self.batch(singles, &one, place)? else { return Ok(false) };
            for kept in [0, TOGETHER / 2, TOGETHER - 1] {
                let mut other: Vec<usize> = (0..TOGETHER).map(|at| row(2 * at + 3)).collect();
                other[kept] = one[kept];
                let Some(beside) = self.batch(singles, &other, place)? else { return Ok(false) };
                let (score, beside) = (scores[kept], beside[kept]);
                if bits(score) != bits(beside) {
                    let message = format!(
                        "the score of a row depends on the rows beside it: one made-up row got {score} among some and {beside} among others"
                    );
                    return Err(Fault::Neighbours(message).into());
                }
            }
        }
        if singles.usable.iter().all(|usable| usable.len() < 2) {
            return Ok(false);
        }
        let sizes: &[usize] = if self.depth == Depth::Load { &[2, TOGETHER, 33, ROWS_PER_CALL_MAX] } else { &[] };
        for size in sizes {
            let rows: Vec<usize> = (0..*size).map(|at| at % singles.tables.len()).collect();
            let taken: Vec<usize> = rows.iter().map(|at| singles.tables[*at].0).collect();
            let Some(scores) = self.batch(singles, &taken, place)? else { return Ok(false) };
            let alone = rows.iter().map(|at| singles.tables[*at].1.values[place]);
            if !scores.iter().copied().map(bits).eq(alone.map(bits)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The scores of rows in one call; `None` when the model does not take several.
    fn batch(&mut self, singles: &Singles, rows: &[usize], place: usize) -> Result<Option<Vec<f64>>, Stop> {
        let indices: UInt32Array = rows.iter().map(|row| *row as u32).collect();
        let batch = take_record_batch(&singles.made, &indices).map_err(Error::from)?;
        let read = match self.call(&batch, 0, rows.len()) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Input => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        match read {
            Ok(table) if table.width == singles.width => Ok(Some(table.values.chunks_exact(table.width).map(|row| row[place]).collect())),
            Ok(table) => {
                let message =
                    format!("the model gives {} numbers for one row, and {} for each of {}", singles.width, table.width, rows.len());
                Err(Fault::Neighbours(message).into())
            }
            Err(error) => Err(Fault::Neighbours(error.to_string()).into()),
        }
    }
}

/// Equal for all NaNs: which of them comes out says nothing.
fn bits(score: f64) -> u64 {
    if score.is_nan() { f64::NAN.to_bits() } else { score.to_bits() }
}

/// Why trying ended early.
enum Stop {
    Fault(Fault),
    Error(Error),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}
