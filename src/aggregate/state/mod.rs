//! States that several aggregates read; one that a single aggregate reads stands in that aggregate's file.

pub(super) mod buckets;
pub(super) mod counts;
pub(super) mod powers;
pub(super) mod products;
pub(super) mod times;
pub(super) mod values;
pub(super) mod vectors;
