//! In which precision a model computes.

/// How weights are kept and multiplied. Vectors of two precisions are near each other and not the same: each is a model
/// of its own name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Single precision: the vectors of the reference implementation, to the last few bits.
    #[default]
    Fp32,
    /// Weights in 8 bits with one scale an output, activations in 8 bits with one scale a token: more than twice as fast
    /// where the processor has dot products, in less than half the memory.
    Int8,
}

impl Precision {
    /// Both, the default first.
    pub const ALL: [Precision; 2] = [Precision::Fp32, Precision::Int8];

    /// As file names and measurements spell it.
    pub fn name(self) -> &'static str {
        match self {
            Precision::Fp32 => "fp32",
            Precision::Int8 => "int8",
        }
    }
}
