//! Numbers `mantissa * 2^exponent` of any size: formulas over exact sums, rounded once at the end.

use std::ops::{Add, Mul, Sub};

use num_bigint::{BigInt, BigUint, Sign};

use super::exact;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dyadic {
    mantissa: BigInt,
    exponent: i64,
}

impl Dyadic {
    pub(super) fn new(negative: bool, magnitude: BigUint, exponent: i64) -> Self {
        let sign = if negative { Sign::Minus } else { Sign::Plus };
        Self { mantissa: BigInt::from_biguint(sign, magnitude), exponent }
    }

    pub(super) fn is_zero(&self) -> bool {
        self.mantissa.sign() == Sign::NoSign
    }

    pub(super) fn is_negative(&self) -> bool {
        self.mantissa.sign() == Sign::Minus
    }

    pub(super) fn squared(&self) -> Self {
        self * self
    }

    /// `self / divisor` to the nearest double, ties to even. The divisor is not zero.
    pub(super) fn over(&self, divisor: &Self) -> f64 {
        let negative = self.is_negative() != divisor.is_negative();
        exact::over(self.mantissa.magnitude(), divisor.mantissa.magnitude(), negative, self.exponent - divisor.exponent)
    }

    /// The square root of `self / divisor`, which is rounded to the nearest double before and after. Neither is
    /// negative, the divisor is not zero.
    pub(super) fn root_over(&self, divisor: &Self) -> f64 {
        self.over(divisor).sqrt()
    }

    /// The mantissas of both over the lower exponent.
    fn aligned(&self, other: &Self) -> (BigInt, BigInt, i64) {
        let exponent = self.exponent.min(other.exponent);
        let shifted = |number: &Self| &number.mantissa << (number.exponent - exponent) as u64;
        (shifted(self), shifted(other), exponent)
    }
}

impl<T: Into<BigInt>> From<T> for Dyadic {
    fn from(number: T) -> Self {
        Self { mantissa: number.into(), exponent: 0 }
    }
}

impl Mul for &Dyadic {
    type Output = Dyadic;

    fn mul(self, other: &Dyadic) -> Dyadic {
        Dyadic { mantissa: &self.mantissa * &other.mantissa, exponent: self.exponent + other.exponent }
    }
}

impl Add for &Dyadic {
    type Output = Dyadic;

    fn add(self, other: &Dyadic) -> Dyadic {
        let (a, b, exponent) = self.aligned(other);
        Dyadic { mantissa: a + b, exponent }
    }
}

impl Sub for &Dyadic {
    type Output = Dyadic;

    fn sub(self, other: &Dyadic) -> Dyadic {
        let (a, b, exponent) = self.aligned(other);
        Dyadic { mantissa: a - b, exponent }
    }
}
