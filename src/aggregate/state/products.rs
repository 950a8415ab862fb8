//! Number of pairs with the exact sums of their squares and products: what `corr`, `regr_slope` and `trend` read.

use super::super::bytes::{ByteReader, put_unsigned};
use super::super::dyadic::Dyadic;
use super::super::exact::{ExactSum, scaled};
use super::super::fold::{Algorithm, CustomFold, Event, Fold, Kind, Tiled};
use crate::error::Result;

/// y is the first input; x is the second, or the event's time in microseconds.
#[derive(Debug)]
struct ProductsOfPairs {
    y: Kind,
    x: Option<Kind>,
}

/// The fold that gives `Products` of the first input and the second, or event time.
pub(in crate::aggregate) fn fold(y: Kind, x: Option<Kind>) -> Fold {
    Fold::Own(CustomFold::tiled(ProductsOfPairs { y, x }))
}

/// Sums over pairs; what is no finite number is counted in `x` and `y` alone.
#[derive(Clone, Debug, Default)]
pub(in crate::aggregate) struct Products {
    count: u64,
    x: ExactSum,
    y: ExactSum,
    xx: ExactSum,
    yy: ExactSum,
    xy: ExactSum,
}

/// n^2 times variances and covariance, exactly.
pub(in crate::aggregate) struct Spread {
    pub(in crate::aggregate) xx: Dyadic,
    pub(in crate::aggregate) yy: Dyadic,
    pub(in crate::aggregate) xy: Dyadic,
}

impl Products {
    /// Whether some value is no finite number.
    pub(in crate::aggregate) fn is_special(&self) -> bool {
        self.x.special().is_some() || self.y.special().is_some()
    }

    pub(in crate::aggregate) fn spread(&self) -> Spread {
        let n = &Dyadic::from(self.count);
        let of = |product: &ExactSum, a: &ExactSum, b: &ExactSum| &(n * &product.dyadic()) - &(&a.dyadic() * &b.dyadic());
        Spread { xx: of(&self.xx, &self.x, &self.x), yy: of(&self.yy, &self.y, &self.y), xy: of(&self.xy, &self.x, &self.y) }
    }

    fn sums(&self) -> [&ExactSum; 5] {
        [&self.x, &self.y, &self.xx, &self.yy, &self.xy]
    }
}

impl Algorithm for ProductsOfPairs {
    type State = Products;

    fn text(&self) -> String {
        format!("products {} {}", self.y.text(), self.x.map_or("time", Kind::text))
    }

    fn empty(&self) -> Products {
        Products::default()
    }

    fn add(&self, state: &mut Products, event: Event<'_>) {
        state.count += 1;
        let (y_word, x_word) = (event.word(0), event.word(1));
        let y = scaled(self.y, y_word);
        let x = match self.x {
            Some(kind) => scaled(kind, x_word),
            None => Some((event.time(), 0)),
        };
        let (Some((x, ex)), Some((y, ey))) = (x, y) else {
            if x.is_none() {
                state.x.add_double(f64::from_bits(x_word));
            }
            if y.is_none() {
                state.y.add_double(f64::from_bits(y_word));
            }
            return;
        };
        let (x, y) = (i128::from(x), i128::from(y));
        state.x.add_scaled(x, ex);
        state.y.add_scaled(y, ey);
        state.xx.add_scaled(x * x, 2 * ex);
        state.yy.add_scaled(y * y, 2 * ey);
        state.xy.add_scaled(x * y, ex + ey);
    }

    fn encode(&self, state: &Products, bytes: &mut Vec<u8>) {
        put_unsigned(bytes, state.count);
        state.sums().iter().for_each(|sum| sum.encode(bytes));
    }

    fn decode(&self, reader: &mut ByteReader<'_>) -> Result<Products> {
        let count = reader.counted()?;
        let mut sum = || ExactSum::decode(reader);
        Ok(Products { count, x: sum()?, y: sum()?, xx: sum()?, yy: sum()?, xy: sum()? })
    }

    fn heap(state: &Products) -> usize {
        state.sums().iter().map(|sum| sum.heap()).sum()
    }
}

impl Tiled for ProductsOfPairs {
    fn merge(&self, state: &mut Products, other: &Products) {
        state.count += other.count;
        let sums = [&mut state.x, &mut state.y, &mut state.xx, &mut state.yy, &mut state.xy];
        sums.into_iter().zip(other.sums()).for_each(|(sum, other)| sum.merge(other));
    }
}
