use super::{GROUP, Isa, STRIDE, Tables, add_up, multiply, place};

/// A small reproducible generator: the tests need variety, not quality.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.0 >> 33
    }

    fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }
}

#[test]
fn every_kernel_adds_up_what_the_definition_says() {
    let mut noise = Noise(20_261_120);
    for nibbles in [4, 8, 16, 100, 128, 1024] {
        for groups in [0, 1, 3] {
            let width = nibbles / 2;
            // The largest entries too: nothing may overflow.
            let largest = noise.below(2) == 0 || nibbles == 1024;
            let tables: Vec<[u8; 16]> = (0..nibbles)
                .map(|_| std::array::from_fn(|_| if largest { 63 } else { noise.below(64) as u8 }))
                .collect();
            let rows: Vec<Vec<u8>> =
                (0..groups * GROUP).map(|_| (0..width).map(|_| noise.next() as u8).collect()).collect();
            let mut codes = vec![0; groups * GROUP * width];
            for (row, code) in rows.iter().enumerate() {
                let group = row / GROUP * GROUP * width;
                for (byte, value) in code.iter().enumerate() {
                    codes[group + byte * GROUP + place(row % GROUP)] = *value;
                }
            }
            let expected: Vec<u16> = rows
                .iter()
                .map(|code| {
                    let entry = |n: usize| u16::from(tables[n][usize::from(code[n / 2] >> (4 * (n % 2)) & 15)]);
                    (0..nibbles).map(entry).sum()
                })
                .collect();
            let tables = Tables::new(tables);
            for isa in Isa::available() {
                let mut sums = vec![7; rows.len()];
                add_up(isa, &codes, &tables, &mut sums);
                assert_eq!(sums, expected, "{} with {nibbles} nibbles, {groups} groups", isa.name());
            }
        }
    }
}

#[test]
fn every_kernel_multiplies_exactly() {
    let mut noise = Noise(7);
    for length in [16, 32, 48, 400, 4096] {
        let count = 1 + noise.below(60);
        let rows: Vec<i8> = (0..count * length).map(|_| (noise.below(255) as i64 - 127) as i8).collect();
        let query: Vec<i16> = (0..length).map(|_| (noise.below(65_535) as i64 - 32_767) as i16 / 64).collect();
        let picks: Vec<u16> = (0..noise.below(40)).map(|_| noise.below(count) as u16).collect();
        let expected: Vec<i32> = picks
            .iter()
            .map(|pick| {
                let row = &rows[usize::from(*pick) * length..][..length];
                row.iter().zip(&query).map(|(a, b)| i64::from(*a) * i64::from(*b)).sum::<i64>() as i32
            })
            .collect();
        for isa in Isa::available() {
            let mut products = vec![7; picks.len()];
            multiply(isa, &rows, &query, &picks, &mut products);
            assert_eq!(products, expected, "{} {length}", isa.name());
        }
    }
}

#[test]
#[should_panic(expected = "a pick outside of 2 rows")]
fn a_pick_outside_is_refused() {
    multiply(Isa::detect(), &[0; 2 * STRIDE + 15], &[0; STRIDE], &[1, 2], &mut [0; 2]);
}

#[test]
#[should_panic(expected = "one product a pick")]
fn a_missing_product_is_refused() {
    multiply(Isa::detect(), &[0; STRIDE], &[0; STRIDE], &[0, 0], &mut [0; 1]);
}

#[test]
#[should_panic(expected = "a query of 15 numbers")]
fn a_query_that_is_not_padded_is_refused() {
    multiply(Isa::detect(), &[0; STRIDE], &[0; STRIDE - 1], &[0], &mut [0; 1]);
}

#[test]
#[should_panic(expected = "codes of another number of rows")]
fn short_codes_are_refused() {
    add_up(Isa::detect(), &[0; 2 * GROUP - 1], &Tables::new(vec![[0; 16]; 4]), &mut [0; GROUP]);
}

#[test]
#[should_panic(expected = "an entry is too large")]
fn large_entries_are_refused() {
    Tables::new(vec![[64; 16]; 4]);
}
