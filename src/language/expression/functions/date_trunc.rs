//! `date_trunc(unit, t, zone)`: when the unit that holds t began, by the clocks of a zone, or in UTC. In the place of
//! DataFusion's, which counts nanoseconds and so reaches from 1677 to 2262. unit and zone are literals; the zone may be
//! left out. Type: timestamp.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType as ArrowType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{DataFusionError, ScalarValue, exec_err};
use datafusion::logical_expr::ColumnarValue;

use super::{Argument, Function, column, literal, zone};
use crate::time::{Span, Unit, Zone};

pub(super) const DATE_TRUNC: Function = Function {
    name: "date_trunc",
    form: "date_trunc('day', t, 'Europe/Berlin')",
    arguments: &[Argument::Unit, Argument::Time, Argument::Zone],
    repeats: false,
    keeps_integers: false,
    result: || ArrowType::Timestamp(TimeUnit::Microsecond, None),
    compute,
};

pub(super) const DATETRUNC: Function = Function { name: "datetrunc", ..DATE_TRUNC };

/// Units shorter than a minute, which no zone changes.
const SHORT: [(&str, i64); 3] = [("microsecond", 1), ("millisecond", 1_000), ("second", Span::SECOND.0)];
/// Units of many years.
const LONG: [(&str, i64); 3] = [("decade", 10), ("century", 100), ("millennium", 1_000)];

/// The names of all units.
pub(super) fn units() -> Vec<&'static str> {
    let short = SHORT.iter().map(|(name, _)| *name);
    short.chain(Unit::ALL.map(Unit::name)).chain(LONG.iter().map(|(name, _)| *name)).collect()
}

fn compute(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef, DataFusionError> {
    let unit = match literal(&arguments[0])? {
        ScalarValue::Utf8(Some(unit)) => unit.to_lowercase(),
        other => return exec_err!("{other} stands where a unit belongs"),
    };
    let zone = zone(arguments.get(2))?;
    let times = column(&arguments[1], rows)?;
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let started: PrimitiveArray<TimestampMicrosecondType> = times.unary_opt(|time| start(&unit, time, zone));
    Ok(Arc::new(started))
}

fn start(unit: &str, time: i64, zone: Zone) -> Option<i64> {
    if let Some((_, micros)) = SHORT.iter().find(|(name, _)| *name == unit) {
        return time.checked_sub(time.rem_euclid(*micros));
    }
    if let Some((_, years)) = LONG.iter().find(|(name, _)| *name == unit) {
        let year = i64::from(zone.local(time)?.year);
        // Decades begin with years that end in 0; there was no year 0, so the others begin with years that end in 1.
        let first = if unit == "decade" { year - year.rem_euclid(10) } else { year - (year - 1).rem_euclid(*years) };
        return zone.year_start(i32::try_from(first).ok()?);
    }
    let unit = Unit::ALL.into_iter().find(|known| known.name() == unit)?;
    unit.start(time, zone)
}
