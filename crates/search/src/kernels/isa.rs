//! Which vector instructions this processor has, decided once at run time.
//!
//! Nothing is chosen at compile time except the architecture: one build runs on every machine.

/// An instruction set that the running processor is known to have.
///
/// The only ways to get a value are [`Isa::detect`] and [`Isa::available`], so holding one
/// is the proof that the `unsafe` dispatch in this module relies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Isa(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Portable,
}

impl Isa {
    /// The fastest instruction set of this processor.
    pub(crate) fn detect() -> Isa {
        Isa::available()[0]
    }

    /// Every instruction set usable here, fastest first; the portable one is always last.
    pub(crate) fn available() -> Vec<Isa> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512bw") {
                found.push(Isa(Kind::Avx512));
            }
            if std::arch::is_x86_feature_detected!("avx2") {
                found.push(Isa(Kind::Avx2));
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            found.push(Isa(Kind::Neon));
        }
        found.push(Isa(Kind::Portable));
        found
    }

    /// Name for logs and benchmarks.
    pub(crate) fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => "neon",
            Kind::Portable => "portable",
        }
    }

    pub(super) fn kind(self) -> Kind {
        self.0
    }
}
