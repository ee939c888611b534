//! Shorter vectors of models that were trained for it, done as nomic-embed-text's card does it.

/// The first `dims` numbers of a vector whose mean was taken away, made unit; `None` where that has no direction or
/// `dims` is 0 or more than there are.
///
/// The card says: layer norm without weights, slice, L2. The layer norm divides by a standard deviation, which the L2 norm
/// undoes; so only its mean is left to subtract, and a vector that is unit already gives the same. The `dimensions` of
/// Ollama's own API leave the layer norm out and give other vectors: never mix the two.
pub fn matryoshka(vector: &[f32], dims: usize) -> Option<Vec<f32>> {
    if dims == 0 || dims > vector.len() {
        return None;
    }
    let mean = vector.iter().map(|value| f64::from(*value)).sum::<f64>() / vector.len() as f64;
    let short: Vec<f64> = vector[..dims].iter().map(|value| f64::from(*value) - mean).collect();
    let norm = short.iter().map(|value| value * value).sum::<f64>().sqrt();
    (norm > 1e-9 && norm.is_finite()).then(|| short.iter().map(|value| (value / norm) as f32).collect())
}
