//! Plain Rust: what the other kernels are tested against, and what runs where there are none.

use super::{GROUP, Packed, place};

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

pub(super) fn multiply(packed: Packed, rows: &[u8], query: &[i8], picks: &[u16], products: &mut [i32]) {
    let (bits, width) = (packed.bits(), packed.width(query.len()));
    for (pick, product) in picks.iter().zip(products) {
        let row = &rows[usize::from(*pick) * width..][..width];
        let part = |(part, query): (usize, &[i8])| -> i32 {
            let number = |byte: &u8| i32::from(byte >> (part * bits) & ((1 << bits) - 1));
            row.iter().zip(query).map(|(byte, query)| number(byte) * i32::from(*query)).sum()
        };
        *product = query.chunks_exact(width).enumerate().map(part).sum();
    }
}

/// Inlined into kernels, so that the compiler may use what those have; so is [`turn`].
#[inline(always)]
pub(super) fn scale(sums: &[u16], step: f32, offset: f32, factors: &[f32], estimates: &mut [f32]) {
    for ((sum, factor), estimate) in sums.iter().zip(factors).zip(estimates) {
        *estimate = (f32::from(*sum) * step - offset) * factor;
    }
}

pub(super) fn at_least(numbers: &[f32], least: f32, rows: &mut Vec<u32>) {
    const FEW: usize = 64;
    for (index, group) in numbers.chunks(FEW).enumerate() {
        // Most groups hold nothing, and that is found out for many rows at once; the others go without a branch a row.
        if !group.iter().fold(false, |any, number| any | (*number >= least)) {
            continue;
        }
        let mut found = [0u32; FEW];
        let mut count = 0;
        for (i, number) in group.iter().enumerate() {
            found[count] = (index * FEW + i) as u32;
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
        for half in [1, 2, 4, 8] {
            let mut next = *sixteen;
            for (i, number) in next.iter_mut().enumerate() {
                let other = sixteen[i ^ half];
                *number = if i & half == 0 { *number + other } else { other - *number };
            }
            *sixteen = next;
        }
    }
    let mut half = 16;
    while half < numbers.len() {
        for pair in numbers.chunks_exact_mut(2 * half) {
            let (left, right) = pair.split_at_mut(half);
            for (a, b) in left.iter_mut().zip(right) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
}
