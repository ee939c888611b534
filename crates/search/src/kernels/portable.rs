//! Plain Rust: what the other kernels are tested against, and what runs where there are none.

use super::{Factor, GROUP, Levels, PIECE, Packed, Quantized, Steps, Sums, place};

pub(super) fn add_up(codes: &[u8], tables: &[[u8; 16]], sums: &mut [u16]) {
    for (group, sums) in codes.chunks_exact(GROUP * tables.len() / 2).zip(sums.chunks_exact_mut(GROUP)) {
        for (row, sum) in sums.iter_mut().enumerate() {
            let bytes = group.iter().skip(place(row)).step_by(GROUP);
            let entry = |(byte, pair): (&u8, &[[u8; 16]])| {
                u16::from(pair[0][usize::from(byte & 15)]) + u16::from(pair[1][usize::from(byte >> 4)])
            };
            *sum = bytes.zip(tables.chunks_exact(2)).map(entry).sum();
        }
    }
}

pub(super) fn multiply(packed: Packed, pieces: &[&[u8]], query: &[i8], picks: &[u32], products: &mut [i32]) {
    let (bits, width) = (packed.bits(), packed.width(query.len()));
    for (pick, product) in picks.iter().zip(products) {
        let row = &pieces[*pick as usize / PIECE][*pick as usize % PIECE * width..][..width];
        let part = |(part, query): (usize, &[i8])| -> i32 {
            let number = |byte: &u8| i32::from(byte >> (part * bits) & ((1 << bits) - 1));
            row.iter().zip(query).map(|(byte, query)| number(byte) * i32::from(*query)).sum()
        };
        *product = query.chunks_exact(width).enumerate().map(part).sum();
    }
}

/// Inlined into kernels, so that the compiler may use what those have; so are [`turn`] and [`quantize`].
#[inline(always)]
pub(super) fn scale(sums: &[u16], step: f32, offset: f32, factors: &[Factor], estimates: &mut [f32]) {
    for ((sum, factor), estimate) in sums.iter().zip(factors).zip(estimates) {
        *estimate = (f32::from(*sum) * step - offset) * factor.get();
    }
}

pub(super) fn at_least(numbers: &[f32], first: usize, least: f32, rows: &mut Vec<u32>) {
    const FEW: usize = 64;
    for (index, group) in numbers.chunks(FEW).enumerate() {
        // Most groups hold nothing, and that is found out for many rows at once; the others go without a branch a row.
        if !group.iter().fold(false, |any, number| any | (*number >= least)) {
            continue;
        }
        let mut found = [0u32; FEW];
        let mut count = 0;
        for (i, number) in group.iter().enumerate() {
            found[count] = (first + index * FEW + i) as u32;
            count += usize::from(*number >= least);
        }
        rows.extend_from_slice(&found[..count]);
    }
}

#[inline(always)]
pub(super) fn turn(signs: &[f32], numbers: &mut [f32]) {
    for (number, sign) in numbers.iter_mut().zip(signs) {
        *number *= sign;
    }
    // The first four steps stay in registers.
    for sixteen in numbers.as_chunks_mut::<16>().0 {
        step::<1>(sixteen);
        step::<2>(sixteen);
        step::<4>(sixteen);
        step::<8>(sixteen);
    }
    // Two steps at a time, so that each number is read and written half as often.
    let mut half = 16;
    while 2 * half < numbers.len() {
        for four in numbers.chunks_exact_mut(4 * half) {
            let (left, right) = four.split_at_mut(2 * half);
            let ((a, b), (c, d)) = (left.split_at_mut(half), right.split_at_mut(half));
            let (a, b, c, d) = (sixteens(a), sixteens(b), sixteens(c), sixteens(d));
            for ((a, b), (c, d)) in a.iter_mut().zip(b).zip(c.iter_mut().zip(d)) {
                for lane in 0..16 {
                    let (first, second) = (a[lane] + b[lane], a[lane] - b[lane]);
                    let (third, fourth) = (c[lane] + d[lane], c[lane] - d[lane]);
                    (a[lane], b[lane]) = (first + third, second + fourth);
                    (c[lane], d[lane]) = (first - third, second - fourth);
                }
            }
        }
        half *= 4;
    }
    if half < numbers.len() {
        let (left, right) = numbers.split_at_mut(half);
        for (a, b) in sixteens(left).iter_mut().zip(sixteens(right)) {
            for lane in 0..16 {
                (a[lane], b[lane]) = (a[lane] + b[lane], a[lane] - b[lane]);
            }
        }
    }
}

/// One step of the transform, between numbers that lie so far apart.
#[inline(always)]
fn step<const APART: usize>(numbers: &mut [f32; 16]) {
    let before = *numbers;
    // A sign is one multiplication for all of a register; a choice would be one a number.
    let sign = |at: usize| if at & APART == 0 { 1.0 } else { -1.0 };
    *numbers = std::array::from_fn(|at| before[at ^ APART] + sign(at) * before[at]);
}

/// In pieces of a length that the compiler knows: its loops over others begin with what fits no register.
#[inline(always)]
fn sixteens(numbers: &mut [f32]) -> &mut [[f32; 16]] {
    numbers.as_chunks_mut().0
}

/// Numbers that are rounded side by side.
const LANES: usize = 16;

#[inline(always)]
pub(super) fn quantize(numbers: &[f32], scale: f32, steps: Steps, levels: Levels<'_>) -> Quantized {
    let mut lengths = [0f32; LANES];
    let (mut coarse_sums, mut fine_sums) = ([[0f32; LANES]; 2], [[0f32; LANES]; 2]);
    let add = |[squares, products]: &mut [[f32; LANES]; 2], lane: usize, rounded: f32, number: f32| {
        squares[lane] += rounded * rounded;
        products[lane] += rounded * number;
    };
    let (per_coarse, per_fine) = (steps.coarse.recip(), steps.fine.recip());
    let Levels { bits, coarse, fine } = levels;
    let both = coarse.as_chunks_mut::<LANES>().0.iter_mut().zip(fine.as_chunks_mut::<LANES>().0);
    let numbers = numbers.as_chunks::<LANES>().0.iter().zip(bits.as_chunks_mut::<2>().0);
    for ((numbers, bits), (coarse, fine)) in numbers.zip(both) {
        *bits = signs(numbers).to_le_bytes();
        for lane in 0..LANES {
            let number = numbers[lane] * scale;
            lengths[lane] += number.abs();
            let (code, level) = rounded(number * per_coarse + 1.5, 3.0);
            coarse[lane] = code;
            let value = (level - 1.5) * steps.coarse;
            add(&mut coarse_sums, lane, value, number);
            let (code, level) = rounded((number - value) * per_fine + 7.5, 15.0);
            fine[lane] = code;
            add(&mut fine_sums, lane, value + (level - 7.5) * steps.fine, number);
        }
    }
    let [coarse, fine] = [coarse_sums, fine_sums]
        .map(|[squares, products]| Sums { squares: squares.iter().sum(), products: products.iter().sum() });
    Quantized { length: lengths.iter().sum(), coarse, fine }
}

/// A bit a number: whether it is not negative.
#[inline(always)]
fn signs(numbers: &[f32; LANES]) -> u16 {
    // A choice without a branch, which compilers make for many numbers at once.
    let bit = |lane: usize| if numbers[lane] >= 0.0 { 1 << lane } else { 0 };
    (0..LANES).map(bit).fold(0, |bits, bit: u16| bits | bit)
}

/// The nearest whole number from 0 to `most`, as a code and as a number.
#[inline(always)]
fn rounded(number: f32, most: f32) -> (u8, f32) {
    /// Added to a number of at most 22 bits, it leaves the nearest whole one in the lowest bits, in one step for as many
    /// numbers as a register holds.
    const ROUNDING: f32 = 12_582_912.0;
    let shifted = number.max(0.0).min(most) + ROUNDING;
    (shifted.to_bits() as u8, shifted - ROUNDING)
}
