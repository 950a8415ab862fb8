//! ONNX models: opened and tried once, then run on the columns of a vector, one score per row.
//!
//! A score is a function of its row alone: a model that rounds differently by the number of rows is run row by row, one
//! whose answer for a row depends on the rows beside it, or on chance, is refused unless its declaration allows it, and a
//! row that the model cannot take costs no other row its score. Must never decide what a score means, and never fail because
//! another model did.

mod feed;
mod file;
mod made_up;
mod onnx;
mod output;
mod probe;
mod runner;
mod runtime;
mod signature;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field as ArrowField, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use parking_lot::Mutex;

use self::file::File;
use self::probe::{Depth, Findings, Probe};
use self::runner::{Asked, Runner};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Fault, Field, Inspection, Model, ModelFiles, ModelSignature, Usage, Vector, feeding};
use crate::value::Value;

pub use self::runtime::{environment, installed};

/// Rows of one call of ONNX Runtime: what bounds its memory, and the largest batch that was compared
/// with single rows.
const ROWS_PER_CALL_MAX: usize = 256;

/// A loaded model. Threads may share it; their calls take turns.
pub struct Session {
    path: PathBuf,
    signature: ModelSignature,
    version: String,
    files: Vec<PathBuf>,
    schema: SchemaRef,
    scorer: Mutex<Scorer>,
}

/// What a call needs and keeps for the next one.
struct Scorer {
    runner: Runner,
    asked: Asked,
    place: usize,
    width: Option<usize>,
    row_by_row: bool,
    also: Vec<Other>,
}

/// An output that is handed on beside the score.
struct Other {
    name: Arc<str>,
    /// Among the outputs of a call.
    at: usize,
    /// Of its numbers, where they are known.
    labels: Option<Vec<String>>,
}

/// What a model gave a row.
#[derive(Clone, Debug)]
pub struct Given {
    pub score: f64,
    /// The outputs that the declaration hands on, by their names; null where it names none.
    pub outputs: Value,
}

/// Tells the checker what model files are.
pub struct Inspector;

impl ModelFiles for Inspector {
    fn inspect(&self, model: &Model, vector: &Vector) -> Result<Inspection> {
        let (version, found) = Wanted::of(model, vector).found(Depth::Check)?;
        Ok(match found {
            Ok(found) => Inspection { version, fault: None, unproven: found.findings.unproven },
            Err(fault) => Inspection { version, fault: Some(fault), unproven: None },
        })
    }
}

/// The version that a model loaded from this file would have now.
///
/// # Errors
/// `NotFound` when there is no such file, `Unavailable` when it cannot be read, `Input` when it is no model.
pub fn version_of(path: &Path) -> Result<String> {
    Ok(file::read_file(path)?.version)
}

/// A model's file, and those that hold its weights.
///
/// # Errors
/// Those of `version_of`.
pub fn files_of(path: &Path) -> Result<Vec<PathBuf>> {
    Ok(file::read_file(path)?.files)
}

impl Session {
    /// Loads a model for the rows of its vector, and tries it on made-up ones.
    ///
    /// # Errors
    /// `NotFound` when there is no such file, `Input` when it is not the pinned one, no usable ONNX model, or one that cannot
    /// score the vector; `Unavailable` when ONNX Runtime is not installed.
    pub fn open(model: &Model, vector: &Vector) -> Result<Self> {
        Wanted::of(model, vector).open()
    }

    /// The same for columns that no vector declares. With `sha256` (lower-case hexadecimal) the file must be that one.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_for(path: &Path, sha256: Option<&str>, usage: &Usage, columns: &[Field]) -> Result<Self> {
        let field = |field: &Field| ArrowField::new(&field.name, field.data_type.arrow(), true);
        let schema = SchemaRef::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        Wanted { path, sha256, usage, vector: "columns", fields: columns.to_vec(), schema }.open()
    }

    pub fn signature(&self) -> &ModelSignature {
        &self.signature
    }

    /// The SHA-256 of all that was loaded, lower-case hexadecimal.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What was loaded: the model's file, and those that hold its weights.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// For each row its score, or why the model gives it none. The columns are those of the vector that the model was opened
    /// for. Null is NaN in float tensors; in others its row has an `Input` error that names the column.
    ///
    /// # Errors
    /// What is about all rows: `Internal` for other columns.
    pub fn run(&self, columns: &RecordBatch) -> Result<Vec<Result<f64>>> {
        Ok(self.run_whole(columns)?.into_iter().map(|scored| scored.map(|scored| scored.score)).collect())
    }

    /// The same with the outputs that the declaration hands on.
    ///
    /// # Errors
    /// As `run`.
    pub fn run_whole(&self, columns: &RecordBatch) -> Result<Vec<Result<Given>>> {
        let named = |error: Error| error.context(format_args!("model {}", self.path.display()));
        let given = columns.schema_ref();
        let same_types =
            || given.fields().iter().map(|field| field.data_type()).eq(self.schema.fields().iter().map(|field| field.data_type()));
        if !Arc::ptr_eq(given, &self.schema) && !same_types() {
            return Err(named(Error::internal("the columns are not those that it was opened for")));
        }
        let scores = self.scorer.lock().scores(columns).map_err(named)?;
        Ok(scores.into_iter().map(|score| score.map_err(named)).collect())
    }
}

/// A model file, and what it is to be used for.
struct Wanted<'a> {
    path: &'a Path,
    sha256: Option<&'a str>,
    usage: &'a Usage,
    vector: &'a str,
    fields: Vec<Field>,
    schema: SchemaRef,
}

/// A model that can be used.
struct Found {
    files: Vec<PathBuf>,
    signature: ModelSignature,
    runner: Runner,
    asked: Asked,
    /// What `asked` asks for, that of the score first.
    outputs: Vec<String>,
    findings: Findings,
}

impl<'a> Wanted<'a> {
    fn of(model: &'a Model, vector: &'a Vector) -> Self {
        let (path, sha256, usage) = (model.path.as_path(), model.sha256.as_deref(), &model.usage);
        Self { path, sha256, usage, vector: &vector.name, fields: vector.fields(), schema: SchemaRef::clone(&vector.schema) }
    }

    fn open(self) -> Result<Session> {
        let shown = self.path.display();
        let (version, found) = self.found(Depth::Load)?;
        let found = found.map_err(|fault| match (fault, self.sha256) {
            (Fault::OtherFile, Some(pinned)) => Error::input(format!(
                "model file {shown} has sha256 {version}, but {pinned} is declared; restore that file or change the declaration"
            )),
            (fault, _) => Error::input(format!("model file {shown}: {fault}")),
        })?;
        let Found { files, signature, runner, asked, outputs, findings: Findings { place, width, labels, row_by_row, .. } } = found;
        let other = |name: &String| {
            let at = outputs.iter().position(|known| known == name)?;
            Some(Other { name: name.as_str().into(), at, labels: labels.clone().filter(|_| at == 0) })
        };
        let also = self.usage.also.iter().filter_map(other).collect();
        let scorer = Mutex::new(Scorer { runner, asked, place, width, row_by_row, also });
        Ok(Session { path: self.path.to_owned(), signature, version, files, schema: self.schema, scorer })
    }

    /// The version of the file, and what it is found to be.
    fn found(&self, depth: Depth) -> Result<(String, Result<Found, Fault>)> {
        let file = file::read_file(self.path)?;
        if self.sha256.is_some_and(|pinned| !pinned.eq_ignore_ascii_case(&file.version)) {
            return Ok((file.version, Err(Fault::OtherFile)));
        }
        let session = load(&file).map_err(|error| error.context(format_args!("model file {}", self.path.display())))?;
        let File { version, graph, files, .. } = file;
        let signature = signature::of(&session);
        let chosen = output::chosen(&session, self.usage).and_then(|output| output::handed_on(&session, self.usage).map(|()| output));
        let (feeding, output) = match (feeding(&signature, self.vector, &self.fields), chosen) {
            (Err(misfits), _) => return Ok((version, Err(Fault::Inputs(misfits)))),
            (_, Err(fault)) => return Ok((version, Err(fault))),
            (Ok(feeding), Ok(output)) => (feeding, output),
        };
        let mut outputs = vec![output];
        for name in &self.usage.also {
            if !outputs.contains(name) {
                outputs.push(name.clone());
            }
        }
        let (mut runner, mut asked) = (Runner::new(session, feeding), Asked::new(&outputs[0], &outputs[1..])?);
        let (usage, schema) = (self.usage, &self.schema);
        let probe = Probe { runner: &mut runner, asked: &mut asked, outputs: &outputs, usage, graph: &graph, schema, depth };
        let findings = probe.run()?;
        Ok((version, findings.map(|findings| Found { files, signature, runner, asked, outputs, findings })))
    }
}

/// One thread per call, operators one after another: the engine has its own threads. A call that fails says why to its
/// caller, and not in the log as well.
fn load(file: &File) -> Result<ort::session::Session> {
    let environment = runtime::environment()?;
    let failed = |error: &dyn std::fmt::Display| {
        let foreign = file.graph.foreign.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        if let Some(operator) = file.graph.trees_of_doubles() {
            let remedy = "export it with 32-bit floats (FloatTensorType)";
            return Error::input(format!("ONNX Runtime has no {operator} that takes doubles; {remedy}: {error}"));
        }
        Error::input(match foreign.as_str() {
            "" => format!("this ONNX Runtime cannot load it: {error}"),
            operators => format!(
                "ONNX Runtime has no operator {operators}; export it for plain ONNX, such as with float inputs instead of double ones: {error}"
            ),
        })
    };
    let mut builder = SessionBuilder::new(&environment)
        .map_err(|error| failed(&error.message()))?
        .with_intra_threads(1)
        .and_then(|builder| builder.with_inter_threads(1))
        .and_then(|builder| builder.with_parallel_execution(false))
        .and_then(|builder| builder.with_optimization_level(GraphOptimizationLevel::All))
        .and_then(|builder| builder.with_log_level(LogLevel::Fatal))
        .map_err(|error| failed(&error.message()))?;
    // The binding panics on types of inputs and outputs that it does not know.
    let loaded = catch_unwind(AssertUnwindSafe(|| builder.commit_from_memory(&file.bytes)));
    match loaded {
        Ok(loaded) => loaded.map_err(|error| failed(&error.message())),
        Err(_) => Err(failed(&"an input or output is neither a tensor nor a sequence of maps")),
    }
}

impl Scorer {
    /// Rows that cannot feed the model are left out of its calls.
    fn scores(&mut self, columns: &RecordBatch) -> Result<Vec<Result<Given>>> {
        let mut refused = feed::refused(&self.runner.feeding, columns)?;
        if refused.is_empty() {
            return self.calls(columns);
        }
        let rows = 0..columns.num_rows();
        let fit: BooleanArray = rows.clone().map(|row| Some(!refused.contains_key(&row))).collect();
        let mut scores = self.calls(&filter_record_batch(columns, &fit)?)?.into_iter();
        let of_row = |row| match refused.remove(&row) {
            Some(error) => Ok(Err(error)),
            None => scores.next().ok_or_else(|| Error::internal("a model gave fewer scores than it was given rows")),
        };
        rows.map(of_row).collect()
    }

    /// A call that fails is made again with a quarter of its rows, down to the row that the model cannot take; after one
    /// that goes well the next has twice as many. So a row that fails costs a few calls, and where every row fails each
    /// is tried once.
    fn calls(&mut self, columns: &RecordBatch) -> Result<Vec<Result<Given>>> {
        let rows_max = if self.row_by_row { 1 } else { ROWS_PER_CALL_MAX };
        let mut scores = Vec::with_capacity(columns.num_rows());
        let mut rows = rows_max;
        while scores.len() < columns.num_rows() {
            let start = scores.len();
            let count = rows.min(columns.num_rows() - start);
            match self.call(columns, start, count, &mut scores) {
                Ok(()) => rows = rows_max.min(2 * rows),
                Err(error) if error.kind() != ErrorKind::Input => return Err(error),
                Err(error) if count == 1 => scores.push(Err(error)),
                Err(_) => rows = (count / 4).max(1),
            }
        }
        Ok(scores)
    }

    /// One call of ONNX Runtime with rows `start .. start + rows`, whose scores are appended. An `Input` error is one of
    /// these rows.
    fn call(&mut self, columns: &RecordBatch, start: usize, rows: usize, scores: &mut Vec<Result<Given>>) -> Result<()> {
        let Self { runner, asked, place, width, also, .. } = self;
        let mut others = Vec::with_capacity(also.len());
        let mut numbers = Vec::with_capacity(rows);
        let given = runner.call(columns, start, rows, asked, |given| {
            for other in also.iter() {
                others.push(output::values(&given[other.at], rows, other.labels.as_deref())?);
            }
            output::column(&given[0], rows, *place, &mut numbers)
        })??;
        if width.is_some_and(|width| width != given) || *place >= given {
            let number = *place + 1;
            return Err(Error::input(format!(
                "the model gave {given} numbers for a row, of which number {number} cannot be told to be the score"
            )));
        }
        let outputs = |row: usize| match also.is_empty() {
            true => Value::Null,
            false => Value::Struct(
                also.iter().map(|other| Arc::clone(&other.name)).zip(others.iter().map(|of_rows| of_rows[row].clone())).collect(),
            ),
        };
        scores.extend(numbers.into_iter().enumerate().map(|(row, score)| score.map(|score| Given { score, outputs: outputs(row) })));
        Ok(())
    }
}
