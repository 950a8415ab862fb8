//! `distance_sum(lat, lon)` returns the sum of the distances, in kilometres, between each event and the next event in
//! total order. Only events in which neither input is null count.
//!
//! - Inputs: degrees, as bigint or double.
//! - Result: double.
//! - Method: great circles by the haversine formula, on a sphere with a radius of 6371.0088 km (the mean radius of the
//!   IUGG). The sum is folded in doubles from zero.
//! - The result is 0 over one event. The result is NaN if a coordinate is not a finite number.
//! - Over no rows: null.
//! - Memory: nothing in tiles; 32 bytes for a window without a lower bound.
//! - Cost: each reading of a bounded window folds all events of the window, with five trigonometric functions per
//!   event.

use super::bytes::ByteReader;
use super::fold::{Algorithm, CustomFold, Event};
use super::{Bound, Definition, Example, Fold, Kind, TWO_INPUTS, number_kind};
use crate::error::Result;
use crate::value::{DataType, Value};

const RADIUS_KM: f64 = 6371.0088;

pub(super) const DEFINITION: Definition = Definition {
    name: "distance_sum",
    shape: TWO_INPUTS,
    bind: |inputs, _| {
        let (lat, lon) = (number_kind("distance_sum", &inputs[0])?, number_kind("distance_sum", &inputs[1])?);
        let fold = Fold::Own(CustomFold::ordered(DistanceSum { lat, lon }));
        Ok(Bound { result: DataType::Float, fold, parameters: Vec::new() })
    },
    finish: |partial, _, _| match partial.own::<Option<Journey>>() {
        Some(Some(journey)) => Value::Float(journey.sum),
        _ => Value::Null,
    },
    examples: &[
        Example { call: "distance_sum(lat, lon)", events: "0s 0 0 | 1s 0 90 | 2s 0 0", at: "4s", value: "20015.11444203592" },
        Example { call: "distance_sum(lat, lon)", events: "0s 52.52 13.405", at: "4s", value: "0.0" },
    ],
};

#[derive(Debug)]
struct DistanceSum {
    lat: Kind,
    lon: Kind,
}

/// Where it came to, in degrees, and how far that was.
#[derive(Clone, Copy, Debug)]
struct Journey {
    lat: f64,
    lon: f64,
    sum: f64,
}

/// `2 R asin(sqrt(h))`, `h = sin^2((lat2 - lat1) / 2) + cos(lat1) cos(lat2) sin^2((lon2 - lon1) / 2)`, held at 1.
fn kilometres(from: (f64, f64), to: (f64, f64)) -> f64 {
    let half_sine = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin();
    let (lat, lon) = (half_sine(from.0, to.0), half_sine(from.1, to.1));
    let haversine = lat * lat + from.0.to_radians().cos() * to.0.to_radians().cos() * (lon * lon);
    // `min` would lose a NaN.
    let haversine = if haversine > 1.0 { 1.0 } else { haversine };
    2.0 * RADIUS_KM * haversine.sqrt().asin()
}

impl Algorithm for DistanceSum {
    type State = Option<Journey>;

    fn text(&self) -> String {
        format!("distance {} {}", self.lat.text(), self.lon.text())
    }

    fn empty(&self) -> Option<Journey> {
        None
    }

    fn add(&self, state: &mut Option<Journey>, event: Event<'_>) {
        let (lat, lon) = (event.number(self.lat, 0), event.number(self.lon, 1));
        let start = if lat.is_finite() && lon.is_finite() { 0.0 } else { f64::NAN };
        let sum = state.map_or(start, |from| from.sum + kilometres((from.lat, from.lon), (lat, lon)));
        *state = Some(Journey { lat, lon, sum });
    }

    fn encode(&self, state: &Option<Journey>, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(state.is_some()));
        if let Some(journey) = state {
            for number in [journey.lat, journey.lon, journey.sum] {
                bytes.extend(number.to_le_bytes());
            }
        }
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Option<Journey>> {
        let double = |reader: &mut ByteReader<'_>| reader.word().map(f64::from_bits);
        reader.optional(|reader| Ok(Journey { lat: double(reader)?, lon: double(reader)?, sum: double(reader)? }))
    }
}
