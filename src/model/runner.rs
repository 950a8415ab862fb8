//! Calls of ONNX Runtime: rows of a batch in, what came out handed to whoever reads it. Must never know what a score is.

use arrow::record_batch::RecordBatch;
use ort::memory::Allocator;
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session, SessionOutputs};
use ort::value::{DynValue, Tensor, ValueType};

use super::feed::Feed;
use super::signature::element;
use crate::error::{Error, Result};
use crate::plan::{Element, Feeding};

pub struct Runner {
    pub session: Session,
    pub feeding: Feeding,
    single: Option<Feed>,
    batch: Option<Feed>,
}

/// What a call asks for: an output, and others after it.
pub struct Asked {
    pub output: String,
    options: RunOptions<HasSelectedOutputs>,
    /// For calls with one row: the answer goes to a tensor that was allocated before.
    single: Option<RunOptions<HasSelectedOutputs>>,
    /// Whether `single` was tried to be made.
    is_single_known: bool,
}

impl Asked {
    /// With others no answer is allocated before.
    pub fn new(output: &str, others: &[String]) -> Result<Self> {
        let options = select(output, others, None)?;
        Ok(Self { output: output.to_owned(), options, single: None, is_single_known: !others.is_empty() })
    }
}

impl Runner {
    pub fn new(session: Session, feeding: Feeding) -> Self {
        Self { session, feeding, single: None, batch: None }
    }

    /// One call with rows `start .. start + rows`, none of which is `feed::refused`. An `Input` error is one of these rows.
    pub fn call<R>(
        &mut self,
        columns: &RecordBatch,
        start: usize,
        rows: usize,
        asked: &mut Asked,
        read: impl FnOnce(&SessionOutputs<'_>) -> R,
    ) -> Result<R> {
        let kept = if rows == 1 { &mut self.single } else { &mut self.batch };
        if kept.as_ref().is_none_or(|feed| feed.rows() != rows) {
            *kept = Some(Feed::new(&self.feeding, rows)?);
        }
        let Some(feed) = kept else { return Err(Error::internal("a model's input tensors are gone")) };
        feed.fill(&self.feeding, columns, start)?;
        let options = asked.single.as_ref().filter(|_| rows == 1).unwrap_or(&asked.options);
        let outputs = self
            .session
            .run_with_options(feed.tensors(), options)
            .map_err(|error| Error::input(format!("could not run: {}", error.message())))?;
        let read = read(&outputs);
        let given = (rows == 1 && !asked.is_single_known).then(|| outputs[0].dtype().clone());
        drop(outputs);
        if let Some(given) = given {
            asked.is_single_known = true;
            let declared = self.session.outputs().iter().find(|output| output.name() == asked.output).map(|output| output.dtype());
            if let Some(tensor) = declared.and_then(|declared| answer(declared, &given)).transpose()? {
                asked.single = Some(select(&asked.output, &[], Some(tensor))?);
            }
        }
        Ok(read)
    }
}

/// Asks for these outputs only, given a tensor for the first to be written to.
fn select(output: &str, others: &[String], into: Option<DynValue>) -> Result<RunOptions<HasSelectedOutputs>> {
    let mut selector = others.iter().fold(OutputSelector::no_default().with(output), |selector, other| selector.with(other));
    if let Some(value) = into {
        selector = selector.preallocate(output, value);
    }
    let options = RunOptions::new().map_err(|error| Error::internal(format!("onnx runtime: {}", error.message())))?;
    Ok(options.with_outputs(selector))
}

/// A tensor for answers of this type, where the runtime takes one: not where a model gives another shape than it declares.
fn answer(declared: &ValueType, given: &ValueType) -> Option<Result<DynValue>> {
    let (ValueType::Tensor { shape: declared, .. }, ValueType::Tensor { ty, shape, .. }) = (declared, given) else { return None };
    let fits =
        declared.len() == shape.len() && declared.iter().zip(shape.iter()).all(|(declared, given)| *declared < 0 || declared == given);
    if !fits {
        return None;
    }
    let allocator = Allocator::default();
    let tensor = match element(*ty) {
        Element::Float64 => Tensor::<f64>::new(&allocator, shape.clone()).map(Tensor::into_dyn),
        Element::Float32 => Tensor::<f32>::new(&allocator, shape.clone()).map(Tensor::into_dyn),
        _ => return None,
    };
    Some(tensor.map_err(|error| Error::internal(format!("onnx runtime: {}", error.message()))))
}
