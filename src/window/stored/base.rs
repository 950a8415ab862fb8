//! The runs and last rows of a base as bytes; its folds stand before them in the row.

use super::super::base::Run;
use super::super::layout::{Label, Layout};
use super::super::leaf::Leaf;
use super::rows::{self, Columns};
use super::{ForgottenSummary, put_partials, read_labels, read_partials};
use crate::aggregate::{ByteReader, put_unsigned};
use crate::error::{Error, Result};

/// The runs, one per `Layout::runs`, the rows of `Layout::last_rows`, and the time of the last event.
pub(super) type Kept = (Box<[Option<Run>]>, Leaf, Option<u64>);

pub(super) fn encode(layout: &Layout, base: &ForgottenSummary, bytes: &mut Vec<u8>) {
    bytes.extend(base.upto.unwrap_or_default().to_le_bytes());
    put_unsigned(bytes, layout.runs.len() as u64);
    for (of, run) in layout.runs.iter().zip(&base.runs) {
        bytes.extend(of.label);
        bytes.push(u8::from(run.is_some()));
        if let Some(run) = run {
            bytes.extend(run.first.to_le_bytes());
            bytes.extend(run.last.to_le_bytes());
            put_partials(layout, bytes, &of.parts, &run.partials);
        }
    }
    put_unsigned(bytes, layout.last_rows.len() as u64);
    for last in &layout.last_rows {
        bytes.extend(last.label);
        put_unsigned(bytes, u64::from(last.rows));
    }
    rows::encode(layout, base.rows.rows(layout), bytes);
}

/// What `encode` wrote, read to its end; `None` when it lacks something that the layout needs.
pub(super) fn decode(layout: &Layout, columns: &Columns, reader: &mut ByteReader<'_>) -> Result<Option<Kept>> {
    let upto = Some(reader.word()?);
    let mut runs: Vec<Option<Option<Run>>> = layout.runs.iter().map(|_| None).collect();
    for _ in 0..reader.length()? {
        let label = rows::read_label(reader)?;
        let at = layout.runs.iter().position(|run| run.label == label);
        let parts: &[usize] = at.map_or(&[], |at| &layout.runs[at].parts);
        let run = match reader.byte()? {
            0 => Some(None),
            1 => {
                let (first, last) = (reader.word()?, reader.word()?);
                let labels = read_labels(reader)?;
                let partials = read_partials(layout, parts, &labels, reader)?;
                partials.map(|partials| Some(Run { first, last, partials: partials.into() }))
            }
            _ => return Err(Error::corrupt("stored state: a run that is neither there nor not")),
        };
        if let Some(at) = at {
            runs[at] = run;
        }
    }
    let mut last: Vec<(Label, u64)> = Vec::new();
    for _ in 0..reader.length()? {
        last.push((rows::read_label(reader)?, reader.unsigned()?));
    }
    let mut kept = Leaf::default();
    rows::decode(layout, columns, reader, &mut kept)?;
    kept.sort(layout);
    let enough = |wanted: &super::super::layout::LastRows| {
        last.iter().any(|(label, rows)| *label == wanted.label && *rows >= u64::from(wanted.rows))
    };
    if !layout.last_rows.iter().all(enough) {
        return Ok(None);
    }
    Ok(runs.into_iter().collect::<Option<Box<[_]>>>().map(|runs| (runs, kept, upto)))
}
