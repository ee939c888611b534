use super::super::noise::Noise;
use super::{Isa, PANEL, Product};

struct Shape {
    rows: usize,
    depth: usize,
    a_stride: usize,
    a_step: usize,
    b_stride: usize,
    out_stride: usize,
}

fn run(isa: Isa, shape: &Shape, noise: &mut Noise) -> (Vec<f32>, Vec<f64>) {
    let a = noise.values(shape.rows * shape.a_stride + shape.depth * shape.a_step);
    let b = noise.values(shape.depth * shape.b_stride);
    let bias: [f32; PANEL] = noise.values(PANEL).try_into().unwrap();
    let mut out = vec![7.0; shape.rows * shape.out_stride];
    Product {
        rows: shape.rows,
        depth: shape.depth,
        a: &a,
        a_stride: shape.a_stride,
        a_step: shape.a_step,
        b: &b,
        b_stride: shape.b_stride,
        bias: &bias,
        out: &mut out,
        out_stride: shape.out_stride,
    }
    .run(isa);
    let mut expected = vec![7.0; out.len()];
    for row in 0..shape.rows {
        for column in 0..PANEL {
            let product = |k: usize| {
                f64::from(a[row * shape.a_stride + k * shape.a_step]) * f64::from(b[k * shape.b_stride + column])
            };
            expected[row * shape.out_stride + column] =
                f64::from(bias[column]) + (0..shape.depth).map(product).sum::<f64>();
        }
    }
    (out, expected)
}

#[test]
fn every_kernel_agrees_with_exact_arithmetic_on_any_shape() {
    let mut noise = Noise(20_261_120);
    // Every tile height of every kernel, then shapes at random.
    let mut heights: Vec<usize> = (0..=26).collect();
    heights.extend((0..20).map(|_| 1 + noise.below(300)));
    for isa in Isa::available() {
        for &rows in &heights {
            let depth = 1 + noise.below(400);
            // Row-major, or transposed.
            let (a_stride, a_step) =
                if noise.below(2) == 0 { (depth + noise.below(9), 1) } else { (1, rows + noise.below(9)) };
            let shape = Shape {
                rows,
                depth,
                a_stride,
                a_step,
                b_stride: PANEL + noise.below(9),
                out_stride: PANEL + noise.below(9),
            };
            let (out, expected) = run(isa, &shape, &mut noise);
            for (found, expected) in out.iter().zip(expected) {
                assert!(
                    (f64::from(*found) - expected).abs() < 1e-4,
                    "{} {rows}x{depth}: {found} instead of {expected}",
                    isa.name()
                );
            }
        }
    }
}

#[test]
fn a_row_does_not_depend_on_its_neighbours() {
    let mut noise = Noise(7);
    let (rows, depth) = (29, 96);
    let a = noise.values(rows * depth);
    let b = noise.values(depth * PANEL);
    let bias = super::NO_BIAS;
    for isa in Isa::available() {
        let product = |a: &[f32], rows: usize| {
            let mut out = vec![0.0; rows * PANEL];
            Product {
                rows,
                depth,
                a,
                a_stride: depth,
                a_step: 1,
                b: &b,
                b_stride: PANEL,
                bias: &bias,
                out: &mut out,
                out_stride: PANEL,
            }
            .run(isa);
            out
        };
        let together = product(&a, rows);
        for row in 0..rows {
            let alone = product(&a[row * depth..][..depth], 1);
            assert_eq!(alone, together[row * PANEL..][..PANEL], "{} row {row}", isa.name());
        }
    }
}

fn undersized(a: usize, b: usize, out: usize, stride: usize) {
    Product {
        rows: 3,
        depth: 4,
        a: &vec![0.0; a],
        a_stride: stride,
        a_step: 1,
        b: &vec![0.0; b],
        b_stride: PANEL,
        bias: &super::NO_BIAS,
        out: &mut vec![0.0; out],
        out_stride: PANEL,
    }
    .run(Isa::detect());
}

#[test]
#[should_panic(expected = "a is too short")]
fn a_short_left_side_is_refused() {
    undersized(11, 4 * PANEL, 3 * PANEL, 4);
}

#[test]
#[should_panic(expected = "a is too short")]
fn a_stride_that_would_overflow_is_refused() {
    undersized(12, 4 * PANEL, 3 * PANEL, usize::MAX / 2 + 2);
}

#[test]
#[should_panic(expected = "b is too short")]
fn a_short_panel_is_refused() {
    undersized(12, 4 * PANEL - 1, 3 * PANEL, 4);
}

#[test]
#[should_panic(expected = "out is too short")]
fn a_short_output_is_refused() {
    undersized(12, 4 * PANEL, 3 * PANEL - 1, 4);
}
