//! Distances between two histograms over the same bins. Must never see the values behind them.

/// The share that takes the place of an empty bin's.
const EMPTY_SHARE: f64 = 0.0001;

/// The population stability index of two histograms over the same bins: `sum((p - q) ln(p / q))` over their shares,
/// the symmetric Kullback-Leibler divergence (Jeffreys 1946; under this name in Siddiqi, Credit Risk Scorecards,
/// 2006). An empty bin's share is taken to be 0.0001, or a millionth of the histogram's smallest share when that is
/// not above 0.0001: the rule of Evidently, so that both give the same figure on the same bins. `None` when either
/// histogram is empty.
#[must_use]
pub fn population_stability(reference: &[u64], window: &[u64]) -> Option<f64> {
    let (reference, window) = (Shares::of(reference)?, Shares::of(window)?);
    let terms = reference.counts.iter().zip(window.counts).map(|(&p, &q)| {
        let (p, q) = (reference.filled(p), window.filled(q));
        (p - q) * (p / q).ln()
    });
    Some(terms.sum())
}

struct Shares<'c> {
    counts: &'c [u64],
    total: f64,
    empty: f64,
}

impl<'c> Shares<'c> {
    fn of(counts: &'c [u64]) -> Option<Self> {
        let total = counts.iter().sum::<u64>() as f64;
        let least = *counts.iter().filter(|&&count| count > 0).min()? as f64 / total;
        let empty = if least <= EMPTY_SHARE { least / 1e6 } else { EMPTY_SHARE };
        Some(Self { counts, total, empty })
    }

    fn filled(&self, count: u64) -> f64 {
        if count == 0 { self.empty } else { count as f64 / self.total }
    }
}

/// The Kolmogorov-Smirnov statistic of two histograms over the same ordered bins: the greatest distance of their
/// cumulative shares at the bins' edges (Smirnov 1948), 0 to 1. It is exact when no bin holds two distinct values,
/// else at most the reference's greatest share of a bin too small. `None` when either histogram is empty.
#[must_use]
pub fn kolmogorov_smirnov(reference: &[u64], window: &[u64]) -> Option<f64> {
    let total = |counts: &[u64]| Some(counts.iter().sum::<u64>() as f64).filter(|&total| total > 0.0);
    let (reference_total, window_total) = (total(reference)?, total(window)?);
    let (mut below_reference, mut below_window, mut greatest) = (0, 0, 0.0_f64);
    for (p, q) in reference.iter().zip(window) {
        below_reference += p;
        below_window += q;
        greatest = greatest.max((below_reference as f64 / reference_total - below_window as f64 / window_total).abs());
    }
    Some(greatest)
}

/// How likely a distance at least as great as `statistic` is between samples of `reference` and `window` values of one
/// continuous distribution, in the limit of large samples: `Q(l) = 2 sum((-1)^(k - 1) exp(-2 k^2 l^2))` over k from 1 on,
/// with `l = statistic sqrt(n m / (n + m))` (Smirnov, "Table for estimating the goodness of fit of empirical
/// distributions", 1948). For small `l`, where that sum converges slowly, the same function by its other series:
/// `1 - sqrt(2 pi) / l sum(exp(-(2 k - 1)^2 pi^2 / (8 l^2)))` (Kolmogorov 1933). 0 to 1.
#[must_use]
pub fn kolmogorov_smirnov_p_value(statistic: f64, reference: u64, window: u64) -> f64 {
    let (n, m) = (reference as f64, window as f64);
    let l = statistic * (n * m / (n + m)).sqrt();
    if l <= 0.0 {
        return 1.0;
    }
    let terms = 1..=10;
    let tail = if l < 1.0 {
        let term = |k: i32| (-f64::from(2 * k - 1).powi(2) * std::f64::consts::PI.powi(2) / (8.0 * l * l)).exp();
        1.0 - (2.0 * std::f64::consts::PI).sqrt() / l * terms.map(term).sum::<f64>()
    } else {
        let term = |k: i32| (if k % 2 == 0 { -1.0 } else { 1.0 }) * (-2.0 * f64::from(k).powi(2) * l * l).exp();
        2.0 * terms.map(term).sum::<f64>()
    };
    tail.clamp(0.0, 1.0)
}
