use crate::Space;

/// A vector that may be stored: finite, not zero, at most [`Space::MAX_DIMS`] long.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector(Vec<f32>);

/// Why numbers are no vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VectorError {
    /// No numbers, or too many.
    #[error("{0} numbers: a vector has 1 to {max}", max = Space::MAX_DIMS)]
    Length(usize),
    /// Another length than its space's.
    #[error("{found} numbers where the space has {expected}")]
    Dims {
        /// Length of the space's vectors.
        expected: usize,
        /// Length of this one.
        found: usize,
    },
    /// NaN or infinite.
    #[error("the number at index {0} is not finite")]
    NotFinite(usize),
    /// A zero vector has no direction, so no neighbours.
    #[error("all numbers are zero: such a vector has no direction")]
    Zero,
}

impl Vector {
    /// Checks the numbers and keeps them as they are.
    pub fn new(values: Vec<f32>) -> Result<Self, VectorError> {
        Self::check(&values)?;
        Ok(Self(values))
    }

    /// Whether numbers are a vector.
    pub fn check(values: &[f32]) -> Result<(), VectorError> {
        if values.is_empty() || values.len() > Space::MAX_DIMS {
            return Err(VectorError::Length(values.len()));
        }
        // Squares of single precision do not overflow in double: their sum is finite where all numbers are.
        let norm = norm(values);
        if !norm.is_finite()
            && let Some(index) = values.iter().position(|v| !v.is_finite())
        {
            return Err(VectorError::NotFinite(index));
        }
        if norm < 1e-12 {
            return Err(VectorError::Zero);
        }
        Ok(())
    }

    /// The same, of a given length.
    pub fn with_dims(values: Vec<f32>, dims: usize) -> Result<Self, VectorError> {
        if values.len() != dims {
            return Err(VectorError::Dims { expected: dims, found: values.len() });
        }
        Self::new(values)
    }

    /// The numbers.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// The numbers, scaled to length 1.
    pub fn to_unit(&self) -> Vec<f32> {
        let mut numbers = self.0.clone();
        scale_to_unit(&mut numbers);
        numbers
    }

    /// The numbers, given away.
    pub fn into_inner(self) -> Vec<f32> {
        self.0
    }
}

/// Scales a vector's numbers to length 1, in their place.
pub fn scale_to_unit(numbers: &mut [f32]) {
    let factor = norm(numbers).recip();
    numbers.iter_mut().for_each(|v| *v = (f64::from(*v) * factor) as f32);
}

/// Euclidean length, summed in double precision so that large finite numbers do not overflow; in eight sums, as one alone
/// would wait for each addition.
fn norm(values: &[f32]) -> f64 {
    let (eights, tail) = values.as_chunks::<8>();
    let mut sums = [0f64; 8];
    for eight in eights {
        for (sum, value) in sums.iter_mut().zip(eight) {
            *sum += f64::from(*value) * f64::from(*value);
        }
    }
    (sums.iter().sum::<f64>() + tail.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>()).sqrt()
}

/// Dot product of two slices of one length; what is beyond the shorter one is left out.
///
/// Sixteen partial sums let the compiler use whatever vector width the machine has.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 16];
    let (a_chunks, b_chunks) = (a.chunks_exact(16), b.chunks_exact(16));
    let tail: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..16 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f32>() + tail
}

/// Cosine similarity, −1 to 1; 0 where either has no direction.
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let norms = norm(a) * norm(b);
    if norms < 1e-24 {
        return 0.0;
    }
    (a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>() / norms) as f32
}

#[cfg(test)]
mod tests {
    use super::{Vector, VectorError, cosine, dot};

    #[test]
    fn no_zero_nan_or_wrong_vector_passes() {
        assert_eq!(Vector::new(vec![0.0; 4]), Err(VectorError::Zero));
        assert_eq!(Vector::new(vec![1.0, f32::NAN]), Err(VectorError::NotFinite(1)));
        assert_eq!(Vector::new(vec![f32::INFINITY]), Err(VectorError::NotFinite(0)));
        assert_eq!(Vector::new(vec![]), Err(VectorError::Length(0)));
        assert_eq!(Vector::new(vec![1.0; 4097]), Err(VectorError::Length(4097)));
        assert_eq!(Vector::with_dims(vec![1.0; 3], 4), Err(VectorError::Dims { expected: 4, found: 3 }));
    }

    #[test]
    fn large_numbers_keep_their_direction() {
        let unit = Vector::new(vec![f32::MAX, f32::MAX]).unwrap().to_unit();
        assert!((dot(&unit, &unit) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn dot_agrees_with_the_plain_sum() {
        let a: Vec<f32> = (0..37).map(|i| i as f32 * 0.1).collect();
        let b: Vec<f32> = (0..37).map(|i| 1.0 - i as f32 * 0.05).collect();
        let plain: f32 = a.iter().zip(&b).map(|(x, y)| x * y).sum();
        assert!((dot(&a, &b) - plain).abs() < 1e-3);
        assert!((cosine(&a, &a) - 1.0).abs() < 1e-6);
    }
}
