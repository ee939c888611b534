//! What one core of this machine can multiply and add at most, in registers alone: the ceiling that `bench/engine.py` names.
//!
//! `cargo run --release -p soniquebay-embed --example peak` answers each line of standard input, a number of threads, with
//! one of JSON: billions of operations a second and thread, in single precision and in dot products of 8 bits. `null`
//! stands for what this processor has no instruction for.

#![allow(clippy::print_stdout, reason = "it speaks to another program by standard output")]

use std::hint::black_box;
use std::io::BufRead;
use std::time::Instant;

use anyhow::Result;
use serde_json::json;

/// Instructions that do not wait for one another: enough to hide how long each takes.
const CHAINS: usize = 24;
const ROUNDS: u64 = 4_000_000;
/// Runs of each kind, of which the fastest counts.
const RUNS: usize = 3;

fn main() -> Result<()> {
    println!("{}", json!({ "ready": true }));
    for line in std::io::stdin().lock().lines() {
        let threads: usize = line?.trim().parse()?;
        println!("{}", json!({ "fp32": peak(threads, fp32), "int8": peak(threads, int8) }));
    }
    Ok(())
}

/// The rate of each of so many threads that run `work`, which tells how many operations it did.
fn peak(threads: usize, work: fn() -> Option<u64>) -> Option<f64> {
    let timed = || {
        let start = Instant::now();
        work().map(|operations| operations as f64 / start.elapsed().as_secs_f64() / 1e9)
    };
    let run = || {
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(timed)).collect();
            let rates: Option<Vec<f64>> = workers.into_iter().map(|worker| worker.join().ok().flatten()).collect();
            rates.map(|rates| rates.iter().sum::<f64>() / threads as f64)
        })
    };
    (0..RUNS).map(|_| run()).max_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal)).flatten()
}

#[cfg(target_arch = "x86_64")]
fn fp32() -> Option<u64> {
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f")]
    fn avx512() {
        let (factor, mut sums) = (_mm512_set1_ps(black_box(0.999)), [_mm512_set1_ps(black_box(1.0)); CHAINS]);
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, factor, factor);
            }
        }
        black_box(sums);
    }
    #[target_feature(enable = "avx2,fma")]
    fn avx2() {
        // 16 registers: fewer chains.
        let (factor, mut sums) = (_mm256_set1_ps(black_box(0.999)), [_mm256_set1_ps(black_box(1.0)); CHAINS / 2]);
        for _ in 0..2 * ROUNDS {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, factor, factor);
            }
        }
        black_box(sums);
    }
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the feature was detected.
        unsafe { avx512() };
        return Some(ROUNDS * CHAINS as u64 * 16 * 2);
    }
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the features were detected.
        unsafe { avx2() };
        return Some(ROUNDS * CHAINS as u64 * 8 * 2);
    }
    None
}

#[cfg(target_arch = "x86_64")]
fn int8() -> Option<u64> {
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f,avx512vnni")]
    fn vnni() {
        let (factor, mut sums) = (_mm512_set1_epi8(black_box(3)), [_mm512_set1_epi32(black_box(1)); CHAINS]);
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = _mm512_dpbusd_epi32(*sum, factor, factor);
            }
        }
        black_box(sums);
    }
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni") {
        // SAFETY: the features were detected.
        unsafe { vnni() };
        return Some(ROUNDS * CHAINS as u64 * 64 * 2);
    }
    None
}

#[cfg(target_arch = "aarch64")]
fn fp32() -> Option<u64> {
    use std::arch::aarch64::*;

    #[target_feature(enable = "neon")]
    fn neon() {
        let (factor, mut sums) = (vdupq_n_f32(black_box(0.999)), [vdupq_n_f32(black_box(1.0)); CHAINS]);
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = vfmaq_f32(factor, *sum, factor);
            }
        }
        black_box(sums);
    }
    // SAFETY: NEON belongs to every aarch64 processor that this is built for.
    unsafe { neon() };
    Some(ROUNDS * CHAINS as u64 * 4 * 2)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn fp32() -> Option<u64> {
    None
}

#[cfg(not(target_arch = "x86_64"))]
fn int8() -> Option<u64> {
    None
}
