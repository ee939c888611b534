//! A fixed random rotation: signs and Walsh–Hadamard transforms.

/// Rounds of signs and transform. One spreads a heavy dimension over all; three make what comes out look random.
const ROUNDS: usize = 3;

/// Numbers in a rotated vector, at least.
const SHORTEST: usize = 128;

/// Turns vectors so that no dimension is heavier than another, whatever the space puts into its dimensions: after that,
/// each sign tells as much as the next.
///
/// The same for every space of one size and on every machine. Angles stay as they are.
pub(super) struct Rotation {
    /// 1 or −1, `width` a round.
    signs: Vec<f32>,
    width: usize,
}

impl Rotation {
    /// For vectors of `dims` numbers, which come out padded to a power of two, so that short ones have some signs too.
    pub(super) fn new(dims: usize) -> Self {
        let width = dims.next_power_of_two().max(SHORTEST);
        let mut state = 0x50_4e_49_51u64;
        let signs = (0..ROUNDS * width).map(|_| if random(&mut state) >> 63 == 0 { 1.0 } else { -1.0 }).collect();
        Self { signs, width }
    }

    /// Numbers in a rotated vector.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The rotated vector, of the length that `vector` has.
    pub(super) fn apply(&self, vector: &[f32]) -> Vec<f32> {
        let mut numbers = vector.to_vec();
        numbers.resize(self.width, 0.0);
        let norm = (self.width as f32).sqrt().recip();
        for signs in self.signs.chunks_exact(self.width) {
            for (number, sign) in numbers.iter_mut().zip(signs) {
                *number *= sign * norm;
            }
            transform(&mut numbers);
        }
        numbers
    }
}

/// The Walsh–Hadamard transform, in place, without its norm. The length is a power of two and at least 16.
fn transform(numbers: &mut [f32]) {
    // The first four steps stay in registers.
    for sixteen in numbers.as_chunks_mut::<16>().0 {
        for half in [1, 2, 4, 8] {
            let mut next = *sixteen;
            for (i, number) in next.iter_mut().enumerate() {
                let other = sixteen[i ^ half];
                *number = if i & half == 0 { *number + other } else { other - *number };
            }
            *sixteen = next;
        }
    }
    let mut half = 16;
    while half < numbers.len() {
        for pair in numbers.chunks_exact_mut(2 * half) {
            let (left, right) = pair.split_at_mut(half);
            for (a, b) in left.iter_mut().zip(right) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
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

    #[test]
    fn angles_stay_and_no_dimension_is_heavy() {
        for dims in [1, 2, 16, 24, 396, 1024] {
            let rotation = Rotation::new(dims);
            let a: Vec<f32> = (0..dims).map(|i| ((i * 7 + 1) as f32).sin()).collect();
            let b: Vec<f32> = (0..dims).map(|i| ((i * 3 + 2) as f32).cos()).collect();
            let (x, y) = (rotation.apply(&a), rotation.apply(&b));
            assert_eq!(x.len(), rotation.width());
            assert!((dot(&a, &b) - dot(&x, &y)).abs() < 1e-4 * dims as f32, "{dims}");
        }
        let mut heavy = vec![0.0; 396];
        heavy[395] = 1.0;
        let spread = Rotation::new(396).apply(&heavy);
        let largest = spread.iter().fold(0f32, |most, number| most.max(number.abs()));
        assert!(largest < 0.25, "{largest}: one number of 512 would be 0.044 if all were alike");
    }
}
