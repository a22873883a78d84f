//! Numbers that only look random, so that a failure happens again.

/// A generator that a seed decides.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u16) -> u16 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        let [.., low, high] = self.0.to_le_bytes();
        u16::from_le_bytes([low, high]) % limit
    }
}
