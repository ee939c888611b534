//! A fixed random rotation: signs and Walsh–Hadamard transforms.

use crate::kernels::{Isa, STRIDE, turn};

/// Rounds of signs and transform. One spreads a heavy dimension over all; three make what comes out look random.
const ROUNDS: usize = 3;

/// Numbers in a rotated vector, at least.
const SHORTEST: usize = STRIDE;

/// Turns vectors so that no dimension is heavier than another, whatever the space puts into its dimensions: after that,
/// each sign tells as much as the next.
///
/// The same for every space of one size and on every machine. Angles stay as they are.
pub(super) struct Rotation {
    /// 1 or −1, divided by the transform's norm; `width` a round.
    signs: Vec<f32>,
    width: usize,
}

impl Rotation {
    /// For vectors of `dims` numbers, which come out padded to a power of two, so that short ones have some signs too.
    pub(super) fn new(dims: usize) -> Self {
        let width = dims.next_power_of_two().max(SHORTEST);
        let mut state = 0x50_4e_49_51u64;
        // The transform's norm goes with the signs.
        let size = (width as f32).sqrt().recip();
        let signs = (0..ROUNDS * width).map(|_| if random(&mut state) >> 63 == 0 { size } else { -size }).collect();
        Self { signs, width }
    }

    /// Numbers in a rotated vector.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The rotated vector, of the length that `vector` has, in `numbers`.
    pub(super) fn apply(&self, isa: Isa, vector: &[f32], numbers: &mut Vec<f32>) {
        numbers.clear();
        numbers.extend_from_slice(vector);
        numbers.resize(self.width, 0.0);
        for signs in self.signs.chunks_exact(self.width) {
            turn(isa, signs, numbers);
        }
    }
}

/// SplitMix64.
pub(super) fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use soniquebay_domain::dot;

    use super::Rotation;
    use crate::kernels::Isa;

    fn rotated(rotation: &Rotation, vector: &[f32]) -> Vec<f32> {
        let mut numbers = Vec::new();
        rotation.apply(Isa::detect(), vector, &mut numbers);
        numbers
    }

    #[test]
    fn angles_stay_and_no_dimension_is_heavy() {
        for dims in [1, 2, 16, 24, 396, 1024] {
            let rotation = Rotation::new(dims);
            let a: Vec<f32> = (0..dims).map(|i| ((i * 7 + 1) as f32).sin()).collect();
            let b: Vec<f32> = (0..dims).map(|i| ((i * 3 + 2) as f32).cos()).collect();
            let [x, y] = [&a, &b].map(|vector| rotated(&rotation, vector));
            assert_eq!(x.len(), rotation.width());
            assert!((dot(&a, &b) - dot(&x, &y)).abs() < 1e-4 * dims as f32, "{dims}");
        }
        let mut heavy = vec![0.0; 396];
        heavy[395] = 1.0;
        let spread = rotated(&Rotation::new(396), &heavy);
        let largest = spread.iter().fold(0f32, |most, number| most.max(number.abs()));
        assert!(largest < 0.25, "{largest}: one number of 512 would be 0.044 if all were alike");
    }
}
