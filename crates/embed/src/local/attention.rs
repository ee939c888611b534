//! Multi-head self-attention over one text.

use super::elementwise::{scale_rows, softmax_columns};
use super::kernels::{Isa, NO_BIAS, PANEL, Product};

/// Reusable buffers of [`attend`].
#[derive(Debug, Default)]
pub(crate) struct AttentionScratch {
    /// The queries of one head, transposed into panels of 32 tokens.
    queries: Vec<f32>,
    /// `[tokens, padded tokens]`, keys by queries: scores, then weights, of one head. That way round, what is summed for a
    /// query stands in one column, and a register holds columns of many queries.
    scores: Vec<f32>,
    /// What the weights of each query must be multiplied by to sum to one.
    shares: Vec<f32>,
}

/// Computes attention among the tokens of one text.
///
/// `qkv` is `[tokens, 3 × hidden]` with queries, keys and values side by side; `context` is
/// `[tokens, hidden]`. Both are row-major; `hidden / heads` is a multiple of 32.
pub(crate) fn attend(
    isa: Isa,
    heads: usize,
    hidden: usize,
    qkv: &[f32],
    context: &mut [f32],
    scratch: &mut AttentionScratch,
) {
    let stride = 3 * hidden;
    let tokens = qkv.len() / stride;
    let head_width = hidden / heads;
    let padded = tokens.next_multiple_of(PANEL);
    let scale = 1.0 / (head_width as f32).sqrt();
    let AttentionScratch { queries, scores, shares } = scratch;
    // Columns past the last token must be finite: zero them once, no head writes there.
    queries.clear();
    queries.resize(head_width * padded, 0.0);
    scores.resize(tokens * padded, 0.0);

    for head in 0..heads {
        let keys = &qkv[hidden + head * head_width..];
        let values = &qkv[2 * hidden + head * head_width..];
        for (token, row) in qkv.chunks_exact(stride).enumerate() {
            let panel = &mut queries[token / PANEL * PANEL * head_width..];
            let query = &row[head * head_width..][..head_width];
            for (k, &value) in query.iter().enumerate() {
                panel[k * PANEL + token % PANEL] = value;
            }
        }
        for (index, panel) in queries.chunks_exact(PANEL * head_width).enumerate() {
            Product {
                rows: tokens,
                depth: head_width,
                a: keys,
                a_stride: stride,
                a_step: 1,
                b: panel,
                b_stride: PANEL,
                bias: &NO_BIAS,
                out: &mut scores[index * PANEL..],
                out_stride: padded,
            }
            .run(isa);
        }
        softmax_columns(isa, scores, padded, scale, shares);
        // Row-major values already are panels: 32 columns, one token per row.
        for column in (0..head_width).step_by(PANEL) {
            Product {
                rows: tokens,
                depth: tokens,
                a: scores,
                a_stride: 1,
                a_step: padded,
                b: &values[column..],
                b_stride: stride,
                bias: &NO_BIAS,
                out: &mut context[head * head_width + column..],
                out_stride: hidden,
            }
            .run(isa);
        }
        // The weighted sums have fewer values than the weights: scaling those instead is less work.
        scale_rows(isa, &mut context[head * head_width..], hidden, head_width, shares);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attention by its definition, in double precision.
    fn exact(qkv: &[f32], heads: usize, hidden: usize) -> Vec<f64> {
        let (stride, width) = (3 * hidden, hidden / heads);
        let tokens = qkv.len() / stride;
        let at = |token: usize, part: usize, head: usize, k: usize| {
            f64::from(qkv[token * stride + part * hidden + head * width + k])
        };
        let mut context = vec![0.0; tokens * hidden];
        for head in 0..heads {
            for query in 0..tokens {
                let score = |key: usize| {
                    let dot: f64 = (0..width).map(|k| at(query, 0, head, k) * at(key, 1, head, k)).sum();
                    (dot / (width as f64).sqrt()).exp()
                };
                let weights: Vec<f64> = (0..tokens).map(score).collect();
                let total: f64 = weights.iter().sum();
                for k in 0..width {
                    context[query * hidden + head * width + k] =
                        (0..tokens).map(|key| weights[key] / total * at(key, 2, head, k)).sum();
                }
            }
        }
        context
    }

    #[test]
    fn attention_matches_its_definition() {
        for (heads, hidden) in [(2, 64), (1, 64), (3, 96)] {
            for tokens in [1, 2, 31, 32, 33, 70] {
                let qkv: Vec<f32> = (0..tokens * 3 * hidden).map(|i| ((i * 7919) % 101) as f32 / 50.0 - 1.0).collect();
                let expected = exact(&qkv, heads, hidden);
                for isa in Isa::available() {
                    let mut context = vec![0.0; tokens * hidden];
                    let mut scratch = AttentionScratch::default();
                    attend(isa, heads, hidden, &qkv, &mut context, &mut scratch);
                    for (found, expected) in context.iter().zip(&expected) {
                        assert!((f64::from(*found) - expected).abs() < 1e-5, "{tokens} tokens");
                    }
                }
            }
        }
    }
}
