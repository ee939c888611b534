//! No vector is believed before it is looked at.

use super::fault::{Fault, FaultKind};

/// Shorter is no direction.
const SHORTEST: f64 = 1e-6;

/// Vectors as a server answered them, in the order of the texts, with how many tokens it read where it tells.
#[derive(Debug)]
pub(crate) struct Embeddings {
    pub(crate) vectors: Vec<Vec<f32>>,
    pub(crate) tokens: Option<u64>,
}

impl Embeddings {
    /// One unit vector of `dims` for each of `texts`, or what is wrong.
    pub(crate) fn checked(mut self, texts: usize, dims: usize) -> Result<Self, Fault> {
        if self.vectors.len() != texts {
            let told = format!("the server answered {} vectors for {texts} texts", self.vectors.len());
            return Err(Fault::new(FaultKind::BadAnswer, told));
        }
        for vector in &mut self.vectors {
            if vector.len() != dims {
                let told = format!("the server's vectors have {} dimensions, and {dims} are expected", vector.len());
                return Err(Fault::new(FaultKind::WrongModel, told));
            }
            let norm = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
            if !norm.is_finite() {
                return Err(Fault::new(FaultKind::NotFinite, "the server answered a vector that is not finite"));
            }
            if norm < SHORTEST {
                return Err(Fault::new(FaultKind::NotFinite, "the server answered a vector of zeros"));
            }
            // Not every server makes them unit.
            vector.iter_mut().for_each(|value| *value = (f64::from(*value) / norm) as f32);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::{Embeddings, FaultKind};

    fn check(vectors: &[&[f32]], texts: usize) -> Result<Vec<Vec<f32>>, FaultKind> {
        let vectors = vectors.iter().map(|vector| vector.to_vec()).collect();
        let embeddings = Embeddings { vectors, tokens: None }.checked(texts, 2);
        embeddings.map(|embeddings| embeddings.vectors).map_err(|fault| fault.kind)
    }

    #[test]
    fn only_whole_finite_directions_pass_and_leave_as_units() {
        assert_eq!(check(&[&[3.0, 4.0]], 1).unwrap(), [[0.6, 0.8]]);
        assert_eq!(check(&[&[1e30, 0.0]], 1).unwrap(), [[1.0, 0.0]]);
        assert_eq!(check(&[&[3.0, 4.0]], 2), Err(FaultKind::BadAnswer));
        assert_eq!(check(&[], 1), Err(FaultKind::BadAnswer));
        assert_eq!(check(&[&[]], 1), Err(FaultKind::WrongModel));
        assert_eq!(check(&[&[1.0, 0.0], &[1.0, 0.0, 0.0]], 2), Err(FaultKind::WrongModel));
        assert_eq!(check(&[&[0.0, 0.0]], 1), Err(FaultKind::NotFinite));
        assert_eq!(check(&[&[f32::INFINITY, 0.0]], 1), Err(FaultKind::NotFinite));
        assert_eq!(check(&[&[f32::NAN, 0.0]], 1), Err(FaultKind::NotFinite));
    }
}
