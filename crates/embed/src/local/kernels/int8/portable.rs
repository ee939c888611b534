//! Plain Rust for every other processor, and the yardstick the kernels are tested against.

use super::{DEPTH_GROUP, PANEL, QuantisedProduct};

pub(super) fn multiply(product: &mut QuantisedProduct<'_>) {
    for row in 0..product.rows() {
        let mut sums = [0i32; PANEL];
        let inputs = product.a[row * product.depth..][..product.depth].as_chunks::<DEPTH_GROUP>().0;
        let panel = product.b.as_chunks::<{ PANEL * DEPTH_GROUP }>().0;
        for (inputs, weights) in inputs.iter().zip(panel) {
            let inputs = inputs.map(i32::from);
            for (sum, weights) in sums.iter_mut().zip(weights.as_chunks::<DEPTH_GROUP>().0) {
                *sum += inputs.iter().zip(weights).map(|(input, &weight)| input * i32::from(weight)).sum::<i32>();
            }
        }
        let (zero, scale) = (product.a_zeros[row], product.a_scales[row]);
        for (column, out) in product.out[row * product.out_stride..][..PANEL].iter_mut().enumerate() {
            let sum = sums[column] - zero * product.b_sums[column];
            *out = sum as f32 * scale * product.b_scales[column] + product.bias[column];
        }
    }
}
