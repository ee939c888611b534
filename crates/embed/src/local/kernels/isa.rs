//! Which vector instructions this processor has, decided once at run time.
//!
//! A generic build with run-time dispatch is as fast as `target-cpu=native` here and runs
//! on every machine, so nothing is chosen at compile time except the architecture.

/// An instruction set that the running processor is known to have.
///
/// The only ways to get a value are [`Isa::detect`] and [`Isa::available`], so holding one
/// is the proof that the `unsafe` dispatch in this module relies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    NeonI8mm,
    #[cfg(target_arch = "aarch64")]
    NeonDotprod,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Portable,
}

impl Isa {
    /// The fastest instruction set of this processor.
    pub fn detect() -> Isa {
        Isa::available()[0]
    }

    /// Every instruction set usable here, fastest first; the portable one is always last.
    pub fn available() -> Vec<Isa> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma");
            let avx512 = avx2 && has!("avx512f");
            if avx512 && has!("avx512bw") && has!("avx512vnni") {
                found.push(Isa(Kind::Avx512Vnni));
            }
            if avx512 {
                found.push(Isa(Kind::Avx512));
            }
            if avx2 {
                found.push(Isa(Kind::Avx2));
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            use std::arch::is_aarch64_feature_detected as has;
            if has!("neon") && has!("i8mm") {
                found.push(Isa(Kind::NeonI8mm));
            }
            if has!("neon") && has!("dotprod") {
                found.push(Isa(Kind::NeonDotprod));
            }
            if has!("neon") {
                found.push(Isa(Kind::Neon));
            }
        }
        found.push(Isa(Kind::Portable));
        found
    }

    /// Name for logs and benchmarks.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Vnni => "avx512-vnni",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "aarch64")]
            Kind::NeonI8mm => "neon-i8mm",
            #[cfg(target_arch = "aarch64")]
            Kind::NeonDotprod => "neon-dotprod",
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => "neon",
            Kind::Portable => "portable",
        }
    }

    pub(super) fn kind(self) -> Kind {
        self.0
    }

    /// Runs `pass` in a copy compiled for this instruction set, so that the compiler
    /// vectorises the plain loops inside with the widest registers there are.
    ///
    /// Only code that is inlined into the copy profits: mark the loops `#[inline(always)]`.
    #[inline]
    pub(crate) fn vectorise<P: Pass>(self, pass: P) {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f")]
        fn avx512<P: Pass>(pass: P) {
            pass.run();
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        fn avx2<P: Pass>(pass: P) {
            pass.run();
        }
        match self.0 {
            // SAFETY: an `Isa` of these kinds exists only where AVX-512F was detected.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Vnni | Kind::Avx512 => unsafe { avx512(pass) },
            // SAFETY: an `Isa` of this kind exists only where AVX2 was detected.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => unsafe { avx2(pass) },
            // NEON belongs to the aarch64 baseline: the plain build already uses it.
            #[cfg(target_arch = "aarch64")]
            Kind::NeonI8mm | Kind::NeonDotprod | Kind::Neon => pass.run(),
            Kind::Portable => pass.run(),
        }
    }
}

/// One sweep over some rows, written as plain loops; see [`Isa::vectorise`].
///
/// A trait and not a closure, because only a trait method can be forced inline into the
/// copies (`#[inline(always)]` is not accepted on closures).
pub(crate) trait Pass {
    /// The loops. Implementations are `#[inline(always)]`.
    fn run(self);
}
