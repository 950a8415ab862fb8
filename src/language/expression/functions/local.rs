//! `hour(t, zone)` and its kin: what the clocks and the calendar of a zone show at t, in UTC where none is given. The
//! zone is a literal, a name of the IANA database. Type: bigint, of `is_weekend` boolean. Null beyond the calendar.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array};
use arrow::datatypes::{DataType as ArrowType, TimestampMicrosecondType};
use datafusion::common::DataFusionError;
use datafusion::logical_expr::ColumnarValue;

use super::{Argument, Function, column, zone};
use crate::time::Local;

const YEAR: Function = Function {
    name: "year",
    form: "year(t, 'Europe/Berlin')",
    arguments: &[Argument::Time, Argument::Zone],
    repeats: false,
    keeps_integers: false,
    result: || ArrowType::Int64,
    compute: |arguments, rows| shown(arguments, rows, |local| i64::from(local.year)),
};

const MONTH: Function = Function {
    name: "month",
    form: "month(t, 'Europe/Berlin')",
    compute: |arguments, rows| shown(arguments, rows, |local| i64::from(local.month)),
    ..YEAR
};

const DAY: Function = Function {
    name: "day",
    form: "day(t, 'Europe/Berlin')",
    compute: |arguments, rows| shown(arguments, rows, |local| i64::from(local.day)),
    ..YEAR
};

const DAY_OF_WEEK: Function = Function {
    name: "day_of_week",
    form: "day_of_week(t, 'Europe/Berlin')",
    compute: |arguments, rows| shown(arguments, rows, |local| i64::from(local.day_of_week)),
    ..YEAR
};

const DAY_OF_YEAR: Function = Function {
    name: "day_of_year",
    form: "day_of_year(t, 'Europe/Berlin')",
    compute: |arguments, rows| shown(arguments, rows, |local| i64::from(local.day_of_year)),
    ..YEAR
};

const HOUR: Function = Function {
    name: "hour",
    form: "hour(t, 'Europe/Berlin')",
    compute: |arguments, rows| shown(arguments, rows, |local| i64::from(local.hour)),
    ..YEAR
};

const MINUTE: Function = Function {
    name: "minute",
    form: "minute(t, 'Europe/Berlin')",
    compute: |arguments, rows| shown(arguments, rows, |local| i64::from(local.minute)),
    ..YEAR
};

const IS_WEEKEND: Function = Function {
    name: "is_weekend",
    form: "is_weekend(t, 'Europe/Berlin')",
    result: || ArrowType::Boolean,
    compute: |arguments, rows| {
        let weekend = locals(arguments, rows)?.into_iter().map(|local| local.map(|local| local.day_of_week > 5));
        Ok(Arc::new(weekend.collect::<BooleanArray>()))
    },
    ..YEAR
};

pub(super) const ALL: [Function; 8] = [DAY, DAY_OF_WEEK, DAY_OF_YEAR, HOUR, IS_WEEKEND, MINUTE, MONTH, YEAR];

fn shown(arguments: &[ColumnarValue], rows: usize, part: fn(&Local) -> i64) -> Result<ArrayRef, DataFusionError> {
    let parts = locals(arguments, rows)?.into_iter().map(|local| local.as_ref().map(part));
    Ok(Arc::new(parts.collect::<Int64Array>()))
}

fn locals(arguments: &[ColumnarValue], rows: usize) -> Result<Vec<Option<Local>>, DataFusionError> {
    let zone = zone(arguments.get(1))?;
    let times = column(&arguments[0], rows)?;
    Ok(times.as_primitive::<TimestampMicrosecondType>().iter().map(|time| zone.local(time?)).collect())
}
