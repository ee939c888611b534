use super::super::noise::Noise;
use super::{DEPTH_GROUP, Isa, PANEL, QuantisedProduct};

struct Operands {
    depth: usize,
    a: Vec<u8>,
    a_scales: Vec<f32>,
    a_zeros: Vec<i32>,
    b: Vec<i8>,
    b_scales: [f32; PANEL],
    b_sums: [i32; PANEL],
    bias: [f32; PANEL],
    out_stride: usize,
}

impl Operands {
    fn random(noise: &mut Noise, rows: usize, depth: usize) -> Operands {
        let a = (0..rows * depth).map(|_| noise.below(256) as u8).collect();
        let b = (0..depth * PANEL).map(|_| (noise.below(255) as i32 - 127) as i8).collect();
        Operands::of(noise, a, b, depth)
    }

    fn of(noise: &mut Noise, a: Vec<u8>, b: Vec<i8>, depth: usize) -> Operands {
        let rows = a.len() / depth;
        let mut operands = Operands {
            depth,
            a,
            a_scales: noise.values(rows),
            a_zeros: (0..rows).map(|_| noise.below(256) as i32).collect(),
            b,
            b_scales: noise.values(PANEL).try_into().unwrap(),
            b_sums: [0; PANEL],
            bias: noise.values(PANEL).try_into().unwrap(),
            out_stride: PANEL + noise.below(9),
        };
        operands.b_sums = std::array::from_fn(|column| (0..depth).map(|k| operands.weight(k, column)).sum());
        operands
    }

    fn weight(&self, k: usize, column: usize) -> i32 {
        i32::from(self.b[(k / DEPTH_GROUP * PANEL + column) * DEPTH_GROUP + k % DEPTH_GROUP])
    }

    fn multiply(&self, isa: Isa) -> Vec<f32> {
        let mut out = vec![7.0; self.a_zeros.len() * self.out_stride];
        QuantisedProduct {
            depth: self.depth,
            a: &self.a,
            a_scales: &self.a_scales,
            a_zeros: &self.a_zeros,
            b: &self.b,
            b_scales: &self.b_scales,
            b_sums: &self.b_sums,
            bias: &self.bias,
            out: &mut out,
            out_stride: self.out_stride,
        }
        .run(isa);
        out
    }

    /// By the definition, in 64-bit integers.
    fn expected(&self) -> Vec<f32> {
        let mut out = vec![7.0; self.a_zeros.len() * self.out_stride];
        for row in 0..self.a_zeros.len() {
            for column in 0..PANEL {
                let term = |k: usize| {
                    (i64::from(self.a[row * self.depth + k]) - i64::from(self.a_zeros[row]))
                        * i64::from(self.weight(k, column))
                };
                let sum: i64 = (0..self.depth).map(term).sum();
                out[row * self.out_stride + column] =
                    sum as f32 * self.a_scales[row] * self.b_scales[column] + self.bias[column];
            }
        }
        out
    }
}

#[test]
fn every_kernel_gives_the_same_bits_on_any_shape() {
    let mut noise = Noise(20_261_120);
    // Every tile height of every kernel, then shapes at random.
    let mut heights: Vec<usize> = (0..=26).collect();
    heights.extend((0..10).map(|_| 1 + noise.below(150)));
    for rows in heights {
        let depth = 2 * DEPTH_GROUP * (1 + noise.below(60));
        let operands = Operands::random(&mut noise, rows, depth);
        let expected = operands.expected();
        for isa in Isa::available() {
            assert!(operands.multiply(isa) == expected, "{} {rows}x{depth}", isa.name());
        }
    }
}

#[test]
fn the_largest_values_neither_saturate_nor_overflow() {
    let mut noise = Noise(7);
    let depth = 1536;
    for (input, zero) in [(255, 0), (0, 255), (255, 128)] {
        for weight in [127, -127] {
            let mut operands = Operands::of(&mut noise, vec![input; 3 * depth], vec![weight; depth * PANEL], depth);
            operands.a_zeros = vec![zero; 3];
            let expected = operands.expected();
            for isa in Isa::available() {
                assert!(operands.multiply(isa) == expected, "{}: {input} by {weight}", isa.name());
            }
        }
    }
}

#[test]
#[should_panic(expected = "a is too short")]
fn a_short_left_side_is_refused() {
    let mut operands = Operands::random(&mut Noise(1), 3, 16);
    operands.a.pop();
    operands.multiply(Isa::detect());
}

#[test]
#[should_panic(expected = "b is no panel of this depth")]
fn a_short_panel_is_refused() {
    let mut operands = Operands::random(&mut Noise(1), 3, 16);
    operands.b.pop();
    operands.multiply(Isa::detect());
}

#[test]
#[should_panic(expected = "depth 12")]
fn a_depth_that_does_not_fill_its_groups_is_refused() {
    let mut operands = Operands::random(&mut Noise(1), 3, 16);
    operands.depth = 12;
    operands.multiply(Isa::detect());
}

#[test]
#[should_panic(expected = "one scale and one zero a row")]
fn a_missing_scale_is_refused() {
    let mut operands = Operands::random(&mut Noise(1), 3, 16);
    operands.a_scales.pop();
    operands.multiply(Isa::detect());
}

#[test]
#[should_panic(expected = "out is too short")]
fn a_stride_that_would_overflow_is_refused() {
    let operands = Operands::random(&mut Noise(1), 3, 16);
    QuantisedProduct {
        depth: 16,
        a: &operands.a,
        a_scales: &operands.a_scales,
        a_zeros: &operands.a_zeros,
        b: &operands.b,
        b_scales: &operands.b_scales,
        b_sums: &operands.b_sums,
        bias: &operands.bias,
        out: &mut [0.0; 3 * PANEL],
        out_stride: usize::MAX / 2 + 2,
    }
    .run(Isa::detect());
}
