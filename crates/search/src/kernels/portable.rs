//! Plain Rust: what the other kernels are tested against, and what runs where there are none.

use super::{GROUP, place};

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

pub(super) fn multiply(rows: &[i8], query: &[i16], picks: &[u16], products: &mut [i32]) {
    for (pick, product) in picks.iter().zip(products) {
        let row = &rows[usize::from(*pick) * query.len()..][..query.len()];
        *product = row.iter().zip(query).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
    }
}
