//! Seeded chance: the same seed gives the same draws on every machine, but for the last bit of logarithms.

/// A source of draws: xoshiro256++ (Blackman and Vigna 2019), seeded by SplitMix64.
pub struct Chance {
    state: [u64; 4],
}

impl Chance {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rest = seed;
        let state = std::array::from_fn(|_| {
            rest = rest.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (rest ^ (rest >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        });
        Self { state }
    }

    pub fn next(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let drawn = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        drawn
    }

    /// From 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From 0 to below `end`, which is above 0; off evenness by less than `end / 2^64`.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// Of mean 0 and variance 1 (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// Ranks from 0 on, rank `r` with a chance in proportion to `1 / (r + 1)^exponent`.
pub struct Zipf {
    /// The chance of each rank and all before it.
    upto: Vec<f64>,
}

impl Zipf {
    #[must_use]
    pub fn new(ranks: u32, exponent: f64) -> Self {
        let mut upto: Vec<f64> = Vec::with_capacity(ranks as usize);
        for rank in 1..=ranks {
            upto.push(upto.last().copied().unwrap_or(0.0) + f64::from(rank).powf(-exponent));
        }
        let total = upto.last().copied().unwrap_or(1.0);
        upto.iter_mut().for_each(|chance| *chance /= total);
        Self { upto }
    }

    pub fn draw(&self, chance: &mut Chance) -> u32 {
        let drawn = chance.unit();
        let last = self.upto.len().saturating_sub(1);
        self.upto.partition_point(|&upto| upto <= drawn).min(last) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_those_of_the_published_generator() {
        // The first two outputs of xoshiro256++ from the state 1, 2, 3, 4.
        let mut chance = Chance { state: [1, 2, 3, 4] };
        assert_eq!([chance.next(), chance.next()], [41_943_041, 58_720_359]);
    }

    #[test]
    fn draws_have_the_moments_they_should() {
        let mut chance = Chance::new(1);
        let count = 100_000;
        let (mut sum, mut squares, mut below) = (0.0, 0.0, 0);
        for _ in 0..count {
            let normal = chance.normal();
            (sum, squares, below) = (sum + normal, squares + normal * normal, below + chance.below(11));
        }
        assert!((sum / f64::from(count)).abs() < 0.01 && (squares / f64::from(count) - 1.0).abs() < 0.02);
        assert!((below as f64 / f64::from(count) - 5.0).abs() < 0.05);
    }

    #[test]
    fn ranks_fall_off_as_their_power() {
        let (zipf, mut chance) = (Zipf::new(1_000, 1.3), Chance::new(2));
        let mut counts = vec![0_u32; 1_000];
        (0..200_000).for_each(|_| counts[zipf.draw(&mut chance) as usize] += 1);
        let ratio = f64::from(counts[0]) / f64::from(counts[9]);
        assert!((ratio / 10_f64.powf(1.3) - 1.0).abs() < 0.1, "{ratio}");
        assert_eq!(Zipf::new(1, 1.2).draw(&mut chance), 0);
    }
}
