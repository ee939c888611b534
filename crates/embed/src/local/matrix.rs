//! Weight matrices, laid out once at load in the order the kernels read them.

use super::kernels::{Isa, PANEL, Product};

/// Rows whose inputs should stay in the second-level cache while all panels pass over
/// them: about 400 KiB, so that half a MiB (Raspberry Pi 5) is enough.
const BLOCK_VALUES: usize = 96 * 1024;

/// A linear layer `y = x · Wᵀ + bias`.
///
/// `W` is stored as panels of [`PANEL`] outputs, each panel input-major, so a kernel reads
/// memory strictly forwards.
#[derive(Debug)]
pub(crate) struct Linear {
    inputs: usize,
    outputs: usize,
    panels: Vec<f32>,
    bias: Vec<f32>,
}

impl Linear {
    /// Packs row-major `weights` of shape `[outputs, inputs]`; `bias` gives the outputs.
    ///
    /// # Panics
    ///
    /// If the lengths disagree or `outputs` is not a multiple of [`PANEL`]: shapes come
    /// from a `BertConfig` and tensors are checked against it before they get here.
    pub(crate) fn pack(weights: &[f32], bias: Vec<f32>, inputs: usize) -> Linear {
        let outputs = bias.len();
        assert_eq!(weights.len(), outputs * inputs, "weights and bias disagree");
        assert_eq!(outputs % PANEL, 0, "outputs must fill whole panels");
        let mut panels = vec![0.0; weights.len()];
        let sources = weights.chunks_exact(PANEL * inputs);
        for (panel, source) in panels.chunks_exact_mut(PANEL * inputs).zip(sources) {
            for (column, row) in source.chunks_exact(inputs).enumerate() {
                for (k, &weight) in row.iter().enumerate() {
                    panel[k * PANEL + column] = weight;
                }
            }
        }
        Linear { inputs, outputs, panels, bias }
    }

    /// Applies the layer to the row-major `x` of shape `[rows, inputs]`; `y` becomes
    /// `[rows, outputs]`.
    pub(crate) fn apply(&self, isa: Isa, x: &[f32], y: &mut Vec<f32>) {
        y.resize(x.len() / self.inputs * self.outputs, 0.0);
        let block = (BLOCK_VALUES / self.inputs).max(1);
        let blocks = x.chunks(block * self.inputs).zip(y.chunks_mut(block * self.outputs));
        for (x, y) in blocks {
            self.apply_block(isa, x, y);
        }
    }

    fn apply_block(&self, isa: Isa, x: &[f32], y: &mut [f32]) {
        let panels = self.panels.chunks_exact(PANEL * self.inputs);
        let biases = self.bias.as_chunks::<PANEL>().0;
        for (index, (panel, bias)) in panels.zip(biases).enumerate() {
            Product {
                rows: x.len() / self.inputs,
                depth: self.inputs,
                a: x,
                a_stride: self.inputs,
                b: panel,
                b_stride: PANEL,
                bias,
                out: &mut y[index * PANEL..],
                out_stride: self.outputs,
            }
            .run(isa);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_multiplies_by_the_transposed_weights() {
        // More rows than one block holds, and two panels.
        let (rows, inputs, outputs) = (70, 1536, 64);
        let weights: Vec<f32> = (0..outputs * inputs).map(|i| (i % 13) as f32 - 6.0).collect();
        let bias: Vec<f32> = (0..outputs).map(|i| i as f32).collect();
        let x: Vec<f32> = (0..rows * inputs).map(|i| (i % 7) as f32 - 3.0).collect();
        let layer = Linear::pack(&weights, bias.clone(), inputs);
        for isa in Isa::available() {
            let mut y = Vec::new();
            layer.apply(isa, &x, &mut y);
            for (row, y) in y.chunks_exact(outputs).enumerate() {
                let x = &x[row * inputs..][..inputs];
                for (column, &found) in y.iter().enumerate() {
                    let w = &weights[column * inputs..][..inputs];
                    // Small whole numbers: exact in f32 in any order of summing.
                    let sum: f32 = x.iter().zip(w).map(|(x, w)| x * w).sum();
                    assert_eq!(found, sum + bias[column], "{} ({row}, {column})", isa.name());
                }
            }
        }
    }

    #[test]
    fn no_rows_give_no_rows() {
        let layer = Linear::pack(&[0.0; 32 * 4], vec![0.0; 32], 4);
        let mut y = vec![1.0; 5];
        layer.apply(Isa::detect(), &[], &mut y);
        assert!(y.is_empty());
    }
}
