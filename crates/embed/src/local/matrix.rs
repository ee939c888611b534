//! Linear layers, in either precision.

use super::error::ModelError;
use super::image::{Image, Layout, Section};
use super::kernels::{DEPTH_GROUP, Isa, PANEL, Product, QuantisedProduct};
use super::precision::Precision;
use super::quantise::{Activations, QuantisedRows};

/// A linear layer `y = x · Wᵀ + bias`.
///
/// `W` is stored as panels of [`PANEL`] outputs in the order in which the kernels of every instruction set read it.
#[derive(Debug)]
pub(crate) struct Linear {
    inputs: usize,
    outputs: usize,
    weights: Weights,
    bias: Section<f32>,
}

#[derive(Debug)]
enum Weights {
    /// Each panel input-major: `[outputs / 32][inputs][32]`.
    Fp32(Section<f32>),
    /// In steps, each panel as `QuantisedProduct` wants it: `[outputs / 32][inputs / 4][32][4]`. What a step is worth and
    /// the sum of steps for each output.
    Int8 { panels: Section<i8>, scales: Section<f32>, sums: Section<i32> },
}

impl Linear {
    /// Lays out a layer whose tensors `{name}.weight` of shape `[outputs / names, inputs]` and `{name}.bias` stand one
    /// below the other. `inputs` and `outputs` are multiples of 32: shapes come from a `BertConfig`.
    pub(crate) fn lay(
        layout: &mut Layout<'_>,
        precision: Precision,
        names: &[String],
        inputs: usize,
        outputs: usize,
    ) -> Result<Linear, ModelError> {
        let (mut rows, mut bias) = (None, None);
        for name in names {
            let part = outputs / names.len();
            append(&mut rows, layout.tensor(&format!("{name}.weight"), &[part, inputs])?);
            append(&mut bias, layout.tensor(&format!("{name}.bias"), &[part])?);
        }
        let weights = match precision {
            Precision::Fp32 => {
                let panels = rows.map(|rows| panels(&rows, inputs, 1));
                Weights::Fp32(layout.section(inputs * outputs, panels.as_deref()))
            }
            Precision::Int8 => {
                let rows = rows.map(|rows| QuantisedRows::new(&rows, inputs));
                let values = rows.as_ref().map(|rows| panels(&rows.values, inputs, DEPTH_GROUP));
                let sum = |row: &[i8]| row.iter().map(|&step| i32::from(step)).sum();
                let sums: Option<Vec<i32>> =
                    rows.as_ref().map(|rows| rows.values.chunks_exact(inputs).map(sum).collect());
                Weights::Int8 {
                    panels: layout.section(inputs * outputs, values.as_deref()),
                    scales: layout.section(outputs, rows.as_ref().map(|rows| rows.scales.as_slice())),
                    sums: layout.section(outputs, sums.as_deref()),
                }
            }
        };
        Ok(Linear { inputs, outputs, weights, bias: layout.section(outputs, bias.as_deref()) })
    }

    /// Applies the layer to the row-major `x` of shape `[rows, inputs]`, of at least one row; `y` is `[rows, outputs]`. All panels pass over
    /// `x` one after another: it should stay in the second-level cache.
    pub(crate) fn apply(&self, isa: Isa, image: &Image, x: &[f32], y: &mut [f32], quantised: &mut Activations) {
        let biases = self.bias.of(image).as_chunks::<PANEL>().0;
        match &self.weights {
            Weights::Fp32(panels) => {
                let panels = panels.of(image).chunks_exact(PANEL * self.inputs);
                for (index, (panel, bias)) in panels.zip(biases).enumerate() {
                    Product {
                        rows: x.len() / self.inputs,
                        depth: self.inputs,
                        a: x,
                        a_stride: self.inputs,
                        a_step: 1,
                        b: panel,
                        b_stride: PANEL,
                        bias,
                        out: &mut y[index * PANEL..],
                        out_stride: self.outputs,
                    }
                    .run(isa);
                }
            }
            Weights::Int8 { panels, scales, sums } => {
                quantised.quantise(isa, x, self.inputs);
                let panels = panels.of(image).chunks_exact(PANEL * self.inputs);
                let columns = scales.of(image).as_chunks().0.iter().zip(sums.of(image).as_chunks().0).zip(biases);
                for (index, (panel, ((b_scales, b_sums), bias))) in panels.zip(columns).enumerate() {
                    QuantisedProduct {
                        depth: self.inputs,
                        a: &quantised.values,
                        a_scales: &quantised.scales,
                        a_zeros: &quantised.zeros,
                        b: panel,
                        b_scales,
                        b_sums,
                        bias,
                        out: &mut y[index * PANEL..],
                        out_stride: self.outputs,
                    }
                    .run(isa);
                }
            }
        }
    }
}

fn append(all: &mut Option<Vec<f32>>, more: Option<Vec<f32>>) {
    if let Some(more) = more {
        all.get_or_insert_default().extend(more);
    }
}

/// Cuts row-major weights `[outputs, inputs]` into panels `[outputs / 32][inputs / group][32][group]`.
fn panels<T: Copy + Default>(rows: &[T], inputs: usize, group: usize) -> Vec<T> {
    let mut panels = vec![T::default(); rows.len()];
    for (panel, rows) in panels.chunks_exact_mut(PANEL * inputs).zip(rows.chunks_exact(PANEL * inputs)) {
        for (column, row) in rows.chunks_exact(inputs).enumerate() {
            for (index, weights) in row.chunks_exact(group).enumerate() {
                panel[(index * PANEL + column) * group..][..group].copy_from_slice(weights);
            }
        }
    }
    panels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::made_up::write_tensors;
    use crate::local::weights::Checkpoint;

    const INPUTS: usize = 64;
    const OUTPUTS: usize = 96;

    struct Layer {
        /// Two tensors, one below the other.
        weights: Vec<f32>,
        bias: Vec<f32>,
        image: Image,
        linear: Linear,
    }

    fn layer(precision: Precision) -> Layer {
        // Small whole numbers: exact in f32 in any order of summing, and with a furthest value of 127 also in steps.
        let weights: Vec<f32> =
            (0..OUTPUTS * INPUTS).map(|i| if i % INPUTS == 5 { 127.0 } else { (i % 13) as f32 - 6.0 }).collect();
        let bias: Vec<f32> = (0..OUTPUTS).map(|i| i as f32).collect();
        let folder = tempfile::tempdir().unwrap();
        let (half, outputs) = (weights.len() / 2, OUTPUTS / 2);
        let tensors = [
            ("a.weight".to_owned(), vec![outputs, INPUTS], weights[..half].to_vec()),
            ("a.bias".to_owned(), vec![outputs], bias[..outputs].to_vec()),
            ("b.weight".to_owned(), vec![outputs, INPUTS], weights[half..].to_vec()),
            ("b.bias".to_owned(), vec![outputs], bias[outputs..].to_vec()),
        ];
        write_tensors(folder.path(), &tensors);
        let mut checkpoint = Checkpoint::open(&folder.path().join("model.safetensors")).unwrap();
        let names = ["a".to_owned(), "b".to_owned()];
        let mut layout = Layout::behind(0);
        let linear = Linear::lay(&mut layout, precision, &names, INPUTS, OUTPUTS).unwrap();
        let image = Image::in_memory(layout.end(), |bytes| {
            let mut layout = Layout::filling(0, &mut checkpoint, bytes);
            Linear::lay(&mut layout, precision, &names, INPUTS, OUTPUTS).map(drop)
        });
        Layer { weights, bias, image: image.unwrap(), linear }
    }

    #[test]
    fn a_layer_multiplies_by_the_transposed_weights() {
        // Whole numbers from -51 to 204: one step is worth one.
        let rows = 17;
        let x: Vec<f32> = (0..rows * INPUTS)
            .map(|i| match i % INPUTS {
                0 => 204.0,
                1 => -51.0,
                _ => (i % 7) as f32 - 3.0,
            })
            .collect();
        for precision in Precision::ALL {
            let Layer { weights, bias, image, linear } = layer(precision);
            for isa in Isa::available() {
                let mut y = vec![0.0; rows * OUTPUTS];
                linear.apply(isa, &image, &x, &mut y, &mut Activations::default());
                for (row, y) in y.chunks_exact(OUTPUTS).enumerate() {
                    let x = &x[row * INPUTS..][..INPUTS];
                    for (column, &found) in y.iter().enumerate() {
                        let w = &weights[column * INPUTS..][..INPUTS];
                        let sum: f32 = x.iter().zip(w).map(|(x, w)| x * w).sum();
                        assert_eq!(found, sum + bias[column], "{} {precision:?} ({row}, {column})", isa.name());
                    }
                }
            }
        }
    }
}
