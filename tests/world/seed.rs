//! Numbers from a seed: the same ones each time.

/// SplitMix64: small, and good enough to draw with.
#[derive(Clone, Debug)]
pub struct Seed(u64);

impl Seed {
    /// The numbers of one part of a world. A part that is left out changes nothing in the others.
    pub fn of(seed: u64, part: u64) -> Self {
        let mut mixed = Seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ part.wrapping_mul(0xd1b5_4a32_d192_ed03));
        mixed.next();
        mixed
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `end`, `end` excluded.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// From `least` to `most`, both included.
    pub fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    /// One of them, by weight.
    pub fn weigh<T: Clone>(&mut self, from: &[(usize, T)]) -> T {
        let mut at = self.below(from.iter().map(|(weight, _)| weight).sum());
        for (weight, value) in from {
            if at < *weight {
                return value.clone();
            }
            at -= weight;
        }
        from[0].1.clone()
    }

    /// From 1 to about `most`, each order of magnitude as often as the others: what begins is short.
    pub fn magnitude(&mut self, most: usize) -> usize {
        let part = self.below(1000) as f64 / 1000.0;
        ((most as f64).powf(part) as usize).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::Seed;

    #[test]
    fn a_seed_gives_the_same_numbers_and_another_one_others() {
        let draw = |seed, part| {
            std::array::from_fn::<_, 4, _>({
                let mut seed = Seed::of(seed, part);
                move |_| seed.next()
            })
        };
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(2, 1));
    }
}
