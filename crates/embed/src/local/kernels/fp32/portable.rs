//! Plain Rust for every other processor, and the yardstick the kernels are tested against.

use super::{PANEL, Product, tile_height, with_height};

const TILE_ROWS: usize = 4;
/// 4 × 16 sums are what the 16 registers of baseline x86-64 hold.
const TILE_COLUMNS: usize = 16;

pub(super) fn multiply(product: &mut Product<'_>) {
    for column in (0..PANEL).step_by(TILE_COLUMNS) {
        let mut row = 0;
        while row < product.rows {
            let height = tile_height(product.rows - row, TILE_ROWS);
            with_height!(height, [1 2 3 4], tile(product, row, column));
            row += height;
        }
    }
}

fn tile<const ROWS: usize>(product: &mut Product<'_>, row: usize, column: usize) {
    let columns = column..column + TILE_COLUMNS;
    let mut sums = [[0.0; TILE_COLUMNS]; ROWS];
    for sum in &mut sums {
        sum.copy_from_slice(&product.bias[columns.clone()]);
    }
    let a: [&[f32]; ROWS] = std::array::from_fn(|i| &product.a[(row + i) * product.a_stride..]);
    for k in 0..product.depth {
        let b = &product.b[k * product.b_stride..][columns.clone()];
        for (sum, a) in sums.iter_mut().zip(a) {
            let factor = a[k * product.a_step];
            for (sum, &b) in sum.iter_mut().zip(b) {
                *sum += factor * b;
            }
        }
    }
    for (i, sum) in sums.iter().enumerate() {
        product.out[(row + i) * product.out_stride..][columns.clone()].copy_from_slice(sum);
    }
}
