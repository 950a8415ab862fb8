//! `haversine(lat1, lon1, lat2, lon2)`: the great-circle distance in kilometres between two points in degrees, on a
//! sphere of the earth's mean radius (IUGG: 6371.0088 km). Type: double. NaN and infinities give NaN.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType as ArrowType, Float64Type};
use datafusion::common::DataFusionError;
use datafusion::logical_expr::ColumnarValue;

use super::{Argument, Function, column};

const EARTH_RADIUS_KM: f64 = 6371.0088;

pub(super) const HAVERSINE: Function = Function {
    name: "haversine",
    form: "haversine(lat1, lon1, lat2, lon2)",
    arguments: &[Argument::Number; 4],
    repeats: false,
    keeps_integers: false,
    result: || ArrowType::Float64,
    compute,
};

fn compute(arguments: &[ColumnarValue], rows: usize) -> Result<ArrayRef, DataFusionError> {
    let columns = arguments.iter().map(|argument| column(argument, rows)).collect::<Result<Vec<_>, _>>()?;
    let degrees: Vec<&Float64Array> = columns.iter().map(|column| column.as_primitive::<Float64Type>()).collect();
    let row = |row: usize| {
        let mut point = [0.0; 4];
        for (value, column) in point.iter_mut().zip(&degrees) {
            *value = column.is_valid(row).then(|| column.value(row))?.to_radians();
        }
        Some(distance(point))
    };
    Ok(Arc::new((0..rows).map(row).collect::<Float64Array>()))
}

/// Of latitude and longitude of two points, in radians.
fn distance([lat1, lon1, lat2, lon2]: [f64; 4]) -> f64 {
    let half = |angle: f64| (angle / 2.0).sin().powi(2);
    let chord = half(lat2 - lat1) + lat1.cos() * lat2.cos() * half(lon2 - lon1);
    // Rounding may carry antipodes a little beyond 1; a comparison, because `min` would hide a NaN.
    let chord = if chord > 1.0 { 1.0 } else { chord };
    2.0 * EARTH_RADIUS_KM * chord.sqrt().asin()
}
