//! ONNX models: opened and checked once, then run on the columns of a vector, one score per row.
//!
//! A score is a function of its row alone: a model whose answer for a row depends on the rows beside it (kernels that
//! round differently by batch size) is run row by row, and a row that the model cannot take costs no other row its score.
//! Must never decide what a score means, and never fail because another model did.

mod feed;
mod probe;
mod runtime;
mod signature;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use ort::logging::LogLevel;
use ort::memory::Allocator;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions};
use ort::value::{DynValue, Tensor};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use self::feed::Feed;
use self::signature::{Inputs, Interface};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Element, ModelSignature};

pub use self::runtime::{environment, installed};

/// Rows of one call of ONNX Runtime: what bounds its memory, and the largest batch that was compared
/// with single rows.
const ROWS_PER_CALL_MAX: usize = 256;

/// A loaded model. Threads may share it; their calls take turns.
pub struct Session {
    path: PathBuf,
    signature: ModelSignature,
    version: String,
    interface: Interface,
    runner: Mutex<Runner>,
}

/// What a call needs and keeps for the next one.
struct Runner {
    session: ort::session::Session,
    selected: RunOptions<HasSelectedOutputs>,
    /// For calls with one row: the answer goes to a tensor that was allocated before.
    selected_single: Option<RunOptions<HasSelectedOutputs>>,
    single: Option<Feed>,
    batch: Option<Feed>,
    binding: Option<Binding>,
    row_by_row: bool,
}

/// Where the model's inputs are in batches of one schema.
struct Binding {
    schema: SchemaRef,
    places: Vec<usize>,
}

/// The signature of the model in this file. Fails as `Session::open` does.
pub fn read_signature(path: &Path) -> Result<ModelSignature> {
    Ok(Session::open(path, None)?.signature)
}

/// The version that a model loaded from this file would have now.
///
/// # Errors
/// `NotFound` when there is no such file, `Unavailable` when it cannot be read.
pub fn version_of(path: &Path) -> Result<String> {
    Ok(hexadecimal(&Sha256::digest(&read(path)?)))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let shown = path.display();
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::not_found(format!("there is no model file {shown}; train it or correct the path in the model's declaration"))
        }
        _ => Error::unavailable(format!("cannot read model file {shown}: {error}")),
    })
}

impl Session {
    /// Loads the model in this file. With `sha256` (lower-case hexadecimal) the file must be that one.
    ///
    /// `NotFound` when there is no such file, `Input` when it is not the pinned one, no usable ONNX model, or one
    /// whose inputs or outputs cannot be fed or read; `Unavailable` when ONNX Runtime is not installed.
    pub fn open(path: &Path, sha256: Option<&str>) -> Result<Self> {
        let shown = path.display();
        let bytes = read(path)?;
        let version = hexadecimal(&Sha256::digest(&bytes));
        if let Some(pinned) = sha256
            && !pinned.eq_ignore_ascii_case(&version)
        {
            let message =
                format!("model file {shown} has sha256 {version}, but {pinned} is declared; restore that file or change the declaration");
            return Err(Error::input(message));
        }
        if bytes.is_empty() {
            return Err(Error::input(format!("model file {shown} is empty; export the model again")));
        }
        let session = load(&bytes).map_err(|error| match error.kind() {
            ErrorKind::Unavailable => error,
            _ => Error::input(format!(
                "model file {shown} is damaged or no ONNX model that this ONNX Runtime can load: {error}; export it again"
            )),
        })?;
        let signature = signature::of(&session);
        let interface = signature::interface(&signature, signature::has_map_output(&session))
            .map_err(|error| error.context(format_args!("model file {shown}")))?;
        let selected = select(&interface.output, None)?;
        let runner = Runner {
            session,
            selected,
            selected_single: None,
            single: None,
            batch: None,
            binding: None,
            row_by_row: interface.one_row_only,
        };
        Ok(Self { path: path.to_owned(), signature, version, interface, runner: Mutex::new(runner) })
    }

    pub fn signature(&self) -> &ModelSignature {
        &self.signature
    }

    /// The SHA-256 of the file, lower-case hexadecimal.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// For each row its score, or why the model gives it none. Columns are matched to inputs by name, or taken in order
    /// by a model with one `[N, width]` tensor; columns that no input asks for are ignored. Null is NaN in float tensors;
    /// in others its row has an `Input` error that names the column.
    ///
    /// # Errors
    /// What is about all rows: `Input` when the columns are not those that the model takes.
    pub fn run(&self, columns: &RecordBatch) -> Result<Vec<Result<f64>>> {
        let named = |error: Error| error.context(format_args!("model {}", self.path.display()));
        let scores = self.runner.lock().run(&self.interface, columns).map_err(named)?;
        Ok(scores.into_iter().map(|score| score.map_err(named)).collect())
    }
}

fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(2 * digest.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// One thread per call, operators one after another: the engine has its own threads. A call that fails says why to its
/// caller, and not in the log as well.
fn load(bytes: &[u8]) -> Result<ort::session::Session> {
    let environment = runtime::environment()?;
    let failed = |error: &dyn std::fmt::Display| Error::input(error.to_string());
    let mut builder = SessionBuilder::new(&environment)
        .map_err(|error| failed(&error.message()))?
        .with_intra_threads(1)
        .and_then(|builder| builder.with_inter_threads(1))
        .and_then(|builder| builder.with_parallel_execution(false))
        .and_then(|builder| builder.with_optimization_level(GraphOptimizationLevel::All))
        .and_then(|builder| builder.with_log_level(LogLevel::Fatal))
        .map_err(|error| failed(&error.message()))?;
    builder.commit_from_memory(bytes).map_err(|error| failed(&error.message()))
}

/// Asks for one output only, given a tensor for it to be written to.
fn select(output: &str, into: Option<DynValue>) -> Result<RunOptions<HasSelectedOutputs>> {
    let mut selector = OutputSelector::no_default().with(output);
    if let Some(value) = into {
        selector = selector.preallocate(output, value);
    }
    let options = RunOptions::new().map_err(|error| Error::internal(format!("onnx runtime: {}", error.message())))?;
    Ok(options.with_outputs(selector))
}

impl Runner {
    fn run(&mut self, interface: &Interface, columns: &RecordBatch) -> Result<Vec<Result<f64>>> {
        self.bind(interface, columns)?;
        self.scores(interface, columns)
    }

    /// Rows that cannot feed the model are left out of its calls.
    fn scores(&mut self, interface: &Interface, columns: &RecordBatch) -> Result<Vec<Result<f64>>> {
        let places = self.binding.as_ref().map_or(&[][..], |binding| &binding.places);
        let mut refused = feed::refused(&interface.inputs, columns, places);
        if refused.is_empty() {
            return self.calls(interface, columns);
        }
        let rows = 0..columns.num_rows();
        let fit: BooleanArray = rows.clone().map(|row| Some(!refused.contains_key(&row))).collect();
        let mut scores = self.calls(interface, &filter_record_batch(columns, &fit)?)?.into_iter();
        let of_row = |row| match refused.remove(&row) {
            Some(error) => Ok(Err(error)),
            None => scores.next().ok_or_else(|| Error::internal("a model gave fewer scores than it was given rows")),
        };
        rows.map(of_row).collect()
    }

    /// A call that fails is made again with a quarter of its rows, down to the row that the model cannot take; after one
    /// that goes well the next has twice as many. So a row that fails costs a few calls, and where every row fails each
    /// is tried once.
    fn calls(&mut self, interface: &Interface, columns: &RecordBatch) -> Result<Vec<Result<f64>>> {
        let rows_max = if self.row_by_row { 1 } else { ROWS_PER_CALL_MAX };
        let mut scores = Vec::with_capacity(columns.num_rows());
        let mut rows = rows_max;
        while scores.len() < columns.num_rows() {
            let start = scores.len();
            let count = rows.min(columns.num_rows() - start);
            match self.call(interface, columns, start, count, &mut scores) {
                Ok(()) => rows = rows_max.min(2 * rows),
                Err(error) if error.kind() != ErrorKind::Input => return Err(error),
                Err(error) if count == 1 => scores.push(Err(error)),
                Err(_) => rows = (count / 4).max(1),
            }
        }
        Ok(scores)
    }

    /// Finds each input in the batch's schema, unless the last batch had the same.
    fn bind(&mut self, interface: &Interface, columns: &RecordBatch) -> Result<()> {
        let schema = columns.schema_ref();
        if let Some(binding) = &self.binding
            && (std::sync::Arc::ptr_eq(&binding.schema, schema) || binding.schema == *schema)
        {
            return Ok(());
        }
        let places: Vec<usize> = match &interface.inputs {
            Inputs::Matrix { name, width, .. } => {
                let given = columns.num_columns();
                if width.is_some_and(|width| width != given) {
                    let taken = width.unwrap_or_default();
                    let message =
                        format!("input {name:?} takes {taken} columns, but the vector has {given}; train it again or change the vector");
                    return Err(Error::input(message));
                }
                (0..given).collect()
            }
            Inputs::Columns(inputs) => {
                let place = |input: &signature::ColumnInput| {
                    let missing = |_| Error::input(format!("input {:?} has no column of that name in the vector", input.name));
                    schema.index_of(&input.name).map_err(missing)
                };
                inputs.iter().map(place).collect::<Result<_>>()?
            }
        };
        feed::check(&interface.inputs, schema, &places)?;
        self.binding = Some(Binding { schema: schema.clone(), places });
        (self.single, self.batch, self.selected_single) = (None, None, None);
        self.row_by_row = interface.one_row_only || !self.batches_as_single_rows(interface, schema);
        Ok(())
    }

    /// Whether made-up rows get the same bits in batches as alone. Also `false` when the model cannot run on them.
    fn batches_as_single_rows(&mut self, interface: &Interface, schema: &SchemaRef) -> bool {
        [7, ROWS_PER_CALL_MAX].into_iter().all(|rows| {
            let mut scores = |row_by_row: bool| -> Result<Vec<u64>> {
                self.row_by_row = row_by_row;
                let scores = self.scores(interface, &probe::rows(schema, rows)?)?;
                scores.into_iter().map(|score| score.map(f64::to_bits)).collect()
            };
            matches!((scores(true), scores(false)), (Ok(single), Ok(batched)) if single == batched)
        })
    }

    /// One call of ONNX Runtime with rows `start .. start + rows`, whose scores are appended. An `Input` error is one of
    /// these rows.
    fn call(
        &mut self,
        interface: &Interface,
        columns: &RecordBatch,
        start: usize,
        rows: usize,
        scores: &mut Vec<Result<f64>>,
    ) -> Result<()> {
        let places = self.binding.as_ref().map_or(&[][..], |binding| &binding.places);
        let kept = if rows == 1 { &mut self.single } else { &mut self.batch };
        if kept.as_ref().is_none_or(|feed| feed.rows() != rows) {
            *kept = Some(Feed::new(&interface.inputs, rows, places.len())?);
        }
        let Some(feed) = kept else { return Err(Error::internal("a model's input tensors are gone")) };
        feed.fill(&interface.inputs, columns, places, start)?;
        let selected = match &self.selected_single {
            Some(selected) if rows == 1 => selected,
            _ => &self.selected,
        };
        let outputs = self
            .session
            .run_with_options(feed.tensors(), selected)
            .map_err(|error| Error::input(format!("could not run: {}", error.message())))?;
        let Some(output) = outputs.get(&interface.output) else {
            return Err(Error::internal(format!("no output {:?}", interface.output)));
        };
        let width = take_last_column(output, interface.output_element, rows, scores)?;
        drop(outputs);
        if rows == 1 && self.selected_single.is_none() {
            self.selected_single = Some(select(&interface.output, Some(answer(interface.output_element, &width)?))?);
        }
        Ok(())
    }
}

/// A tensor for an answer of this shape.
fn answer(element: Element, shape: &[i64]) -> Result<DynValue> {
    let allocator = Allocator::default();
    let tensor = match element {
        Element::Float64 => Tensor::<f64>::new(&allocator, shape).map(Tensor::into_dyn),
        _ => Tensor::<f32>::new(&allocator, shape).map(Tensor::into_dyn),
    };
    tensor.map_err(|error| Error::internal(format!("onnx runtime: {}", error.message())))
}

/// Appends the last value of each of `rows` rows, or nothing where that cannot be; returns the tensor's shape.
fn take_last_column(output: &DynValue, element: Element, rows: usize, scores: &mut Vec<Result<f64>>) -> Result<Vec<i64>> {
    let unreadable = |error: ort::Error| Error::input(format!("the score could not be read: {}", error.message()));
    if element == Element::Float64 {
        let (shape, values) = output.try_extract_tensor::<f64>().map_err(unreadable)?;
        scores.extend(last_of_each(values, rows)?.map(|&value| Ok(value)));
        Ok(shape.to_vec())
    } else {
        let (shape, values) = output.try_extract_tensor::<f32>().map_err(unreadable)?;
        scores.extend(last_of_each(values, rows)?.map(|&value| Ok(f64::from(value))));
        Ok(shape.to_vec())
    }
}

fn last_of_each<T>(values: &[T], rows: usize) -> Result<impl Iterator<Item = &T>> {
    let count = values.len();
    if count == 0 || !count.is_multiple_of(rows) {
        return Err(Error::input(format!(
            "the model gave {count} scores for {rows} rows; export it with an output of shape [N] or [N, 1]"
        )));
    }
    Ok(values.chunks_exact(count / rows).filter_map(<[T]>::last))
}
