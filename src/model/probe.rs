//! Runs a model on made-up rows: what it gives, whether a row's score is a function of that row alone, and whether rows may
//! be run together. Must never look at real rows, and never say that something holds which it did not see.

use arrow::array::UInt32Array;
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use super::ROWS_PER_CALL_MAX;
use super::made_up::{self, FLAVOURS};
use super::onnx::Graph;
use super::output::{self, Table, number};
use super::runner::{Asked, Runner};
use super::signature::{Holds, holds};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Element, Fault, Part, Usage};
use crate::value::Value;

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
    /// What is asked for: the output that holds the score, then those that are handed on.
    pub outputs: &'a [String],
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
    /// For each usable row of all flavours, what each output gave.
    tables: Vec<(usize, Vec<Table>)>,
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
        if singles.tables.iter().all(|(_, tables)| number(&tables[0].values[place]).is_none()) {
            let message = "the model gives every made-up row a whole number beyond 2^53, which a score cannot hold: export it with floats";
            return Err(Fault::Fails(message.to_owned()).into());
        }
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
        let (mut usable, mut tables, mut failed) = (vec![Vec::new(); FLAVOURS.len()], Vec::<(usize, Vec<Table>)>::new(), None);
        for row in 0..made.num_rows() {
            let read = match self.call(&made, row, 1) {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Input => {
                    failed.get_or_insert(error);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let given = read.map_err(|error| Fault::Fails(error.to_string()))?;
            let firsts = tables.first().map_or(&given, |(_, first)| first);
            if let Some((first, other)) = firsts.iter().zip(&given).find(|(a, b)| (a.width, &a.labels) != (b.width, &b.labels)) {
                let message = format!("the model gives {} numbers for one row and {} for another", first.width, other.width);
                return Err(Fault::Fails(message).into());
            }
            usable[row / self.depth.rows()].push(row);
            tables.push((row, given));
        }
        let Some((width, labels)) = tables.first().map(|(_, given)| (given[0].width, given[0].labels.clone())) else {
            return Ok(Err(failed.unwrap_or_else(|| Error::internal("no row was made up"))));
        };
        Ok(Ok(Singles { made, usable, tables, width, labels }))
    }

    /// What each output gives these rows.
    fn call(&mut self, rows: &RecordBatch, start: usize, count: usize) -> Result<Result<Vec<Table>>> {
        let outputs = self.outputs;
        self.runner.call(rows, start, count, self.asked, |given| {
            let table = |(at, name): (usize, &String)| match output::table(&given[at], count) {
                Err(error) if at > 0 => Err(error.context(format_args!("output `{name}`"))),
                read => read,
            };
            outputs.iter().enumerate().map(table).collect()
        })
    }

    /// A model of texts may know only its own; any other has failed for good.
    fn unproven(&self, error: &Error) -> Result<Findings, Stop> {
        let takes_texts = self.runner.feeding.inputs.iter().any(|input| input.element == Element::Text);
        if !takes_texts {
            return Err(Fault::Fails(format!("the model fails on every made-up row, also on zeros and ones: {error}")).into());
        }
        let output = &self.asked.output;
        let declared = self.runner.session.outputs().iter().find(|known| known.name() == output);
        let labels = self.graph.labels_of_columns(output);
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

    /// The labels of the numbers, where something proves them: they come from a classifier of these labels, and the label
    /// that the model gives is not mostly that of another number than the greatest; or the label is chosen from a list, and
    /// mostly that of the greatest. Two numbers beside two labels may as well be two targets.
    fn labels(&mut self, singles: &Singles) -> Result<Option<Vec<String>>> {
        let others: Vec<String> = self
            .runner
            .session
            .outputs()
            .iter()
            .filter(|output| matches!(holds(output), Holds::Integers | Holds::Texts) && output.name() != self.asked.output)
            .map(|output| output.name().to_owned())
            .collect();
        let own = self.graph.labels_of_columns(&self.asked.output).filter(|labels| labels.len() == singles.width);
        for name in others {
            let Some(labels) = self.graph.labels(&name).filter(|labels| labels.len() == singles.width) else { continue };
            let mut asked = Asked::new(&name, &[])?;
            let (mut agreed, mut differed) = (0, 0);
            for (row, tables) in &singles.tables {
                let Ok(Some(given)) = self.runner.call(&singles.made, *row, 1, &mut asked, |given| output::named(&given[0])) else {
                    continue;
                };
                let numbers: Vec<f64> = tables[0].values.iter().filter_map(number).collect();
                let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let mut greatest = numbers.iter().enumerate().filter(|(_, value)| **value == most).map(|(place, _)| place);
                if let (Some(place), None) = (greatest.next(), greatest.next())
                    && numbers.len() == labels.len()
                {
                    *(if given == labels[place] { &mut agreed } else { &mut differed }) += 1;
                }
            }
            let are_proven = if own == Some(labels) { differed <= agreed } else { agreed > 0 && 4 * differed <= agreed };
            return Ok(are_proven.then(|| labels.to_vec()));
        }
        Ok(own.map(<[String]>::to_vec))
    }

    /// The same rows once more get the same bits.
    fn again(&mut self, singles: &Singles, place: usize) -> Result<(), Stop> {
        for (row, before) in &singles.tables {
            let again = self.call(&singles.made, *row, 1)?.map_err(|error| Fault::Fails(error.to_string()))?;
            if let Some(Difference { output, values: [before, again] }) = self.difference(place, [(before, 0), (&again, 0)]) {
                return Err(Fault::Chance(match output {
                    None => format!("the model gave one made-up row the scores {before} and {again}"),
                    Some(name) => format!("the model gave one made-up row {before} and {again} as output `{name}`"),
                })
                .into());
            }
        }
        Ok(())
    }

    /// Where two answers for a row differ: in the score, or anywhere in an output that is handed on.
    fn difference(&self, place: usize, rows: [(&[Table], usize); 2]) -> Option<Difference<'_>> {
        let is_whole = |at: usize, name: &String| at > 0 || self.usage.also.contains(name);
        self.outputs.iter().enumerate().find_map(|(at, name)| {
            let [one, other] = rows.map(|(tables, row)| tables[at].row(row));
            let compared = if is_whole(at, name) { 0..one.len() } else { place..place + 1 };
            let found = compared.into_iter().find(|place| one[*place] != other[*place])?;
            let output = (at > 0 || found != place).then_some(name.as_str());
            Some(Difference { output, values: [&one[found], &other[found]].map(shown) })
        })
    }

    /// Whether rows may be run together. It is a fault when what a row gets changes with the rows beside it: in a batch of the
    /// same size and at the same place in it, so that rounding by the size of a batch is not taken for it. Of one row alone
    /// nothing is found out.
    fn together(&mut self, singles: &Singles, place: usize) -> Result<bool, Stop> {
        for usable in singles.usable.iter().filter(|usable| usable.len() > 1) {
            let row = |at: usize| usable[at % usable.len()];
            let one: Vec<usize> = (0..TOGETHER).map(row).collect();
            let Some(among) = self.batch(singles, &one)? else { return Ok(false) };
            for kept in [0, TOGETHER / 2, TOGETHER - 1] {
                let mut other: Vec<usize> = (0..TOGETHER).map(|at| row(2 * at + 3)).collect();
                other[kept] = one[kept];
                let Some(beside) = self.batch(singles, &other)? else { return Ok(false) };
                if let Some(Difference { output, values: [among, beside] }) = self.difference(place, [(&among, kept), (&beside, kept)]) {
                    let what = output.map_or("the score".to_owned(), |name| format!("output `{name}`"));
                    let message = format!(
                        "{what} of a row depends on the rows beside it: one made-up row got {among} among some and {beside} among others"
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
            let Some(together) = self.batch(singles, &taken)? else { return Ok(false) };
            let differs = |(row, at): (usize, &usize)| self.difference(place, [(&together, row), (&singles.tables[*at].1, 0)]).is_some();
            if rows.iter().enumerate().any(differs) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What rows get in one call; `None` when the model does not take several.
    fn batch(&mut self, singles: &Singles, rows: &[usize]) -> Result<Option<Vec<Table>>, Stop> {
        let indices: UInt32Array = rows.iter().map(|row| *row as u32).collect();
        let batch = take_record_batch(&singles.made, &indices).map_err(Error::from)?;
        let read = match self.call(&batch, 0, rows.len()) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Input => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let given = read.map_err(|error| Fault::Neighbours(error.to_string()))?;
        let alone = singles.tables.first().map_or(&given, |(_, alone)| alone);
        if let Some((alone, given)) = alone.iter().zip(&given).find(|(alone, given)| alone.width != given.width) {
            let message = format!("the model gives {} numbers for one row, and {} for each of {}", alone.width, given.width, rows.len());
            return Err(Fault::Neighbours(message).into());
        }
        Ok(Some(given))
    }
}

/// In what two answers for one row differ.
struct Difference<'a> {
    /// The output that is handed on; none where it is the score.
    output: Option<&'a str>,
    values: [String; 2],
}

fn shown(value: &Value) -> String {
    match value {
        Value::Float(number) => number.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Text(text) => format!("'{text}'"),
        _ => "a number beyond 2^63".to_owned(),
    }
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
