use super::{
    Factor, GROUP, Isa, Levels, PIECE, Packed, STRIDE, Steps, Tables, add_up, at_least, multiply, pack, place,
    quantize, scale, turn,
};

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
    for (packed, numbers) in
        [Packed::Two, Packed::Four].into_iter().flat_map(|p| [256, 512, 1024, 4096].map(|n| (p, n)))
    {
        // The largest products too: nothing may overflow.
        for extreme in [false, true] {
            let whole = if numbers == 256 { PIECE } else { 0 };
            let count = whole + 1 + noise.below(60);
            let number =
                |noise: &mut Noise| if extreme { (1 << packed.bits()) - 1 } else { noise.below(1 << packed.bits()) };
            let rows: Vec<Vec<u8>> =
                (0..count).map(|_| (0..numbers).map(|_| number(&mut noise) as u8).collect()).collect();
            let query: Vec<i8> = match extreme {
                true => vec![if noise.below(2) == 0 { 127 } else { -127 }; numbers],
                false => (0..numbers).map(|_| (noise.below(255) as i64 - 127) as i8).collect(),
            };
            let picks: Vec<u32> = (0..noise.below(40)).map(|_| noise.below(count) as u32).collect();
            let product = |pick: &u32| -> i32 {
                rows[*pick as usize].iter().zip(&query).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
            };
            let expected: Vec<i32> = picks.iter().map(product).collect();
            let width = packed.width(numbers);
            let mut codes = vec![0; count * width];
            for (row, numbers) in codes.chunks_exact_mut(width).zip(&rows) {
                pack(packed, numbers, row);
            }
            for isa in Isa::available() {
                let mut products = vec![7; picks.len()];
                multiply(isa, packed, &codes.chunks(PIECE * width).collect::<Vec<_>>(), &query, &picks, &mut products);
                assert_eq!(products, expected, "{} {packed:?} {numbers}", isa.name());
            }
        }
    }
}

#[test]
fn every_kernel_scales_alike_to_the_last_bit_and_picks_what_is_high() {
    let mut noise = Noise(11);
    for length in [0, 1, 15, 16, 17, 63, 64, 65, 1023, 1024, 1025, 5000] {
        let (sums, factors): (Vec<u16>, Vec<Factor>) =
            (0..length).map(|_| (noise.next() as u16, Factor::new(noise.below(1000) as f32 / 7e3))).unzip();
        let expected: Vec<f32> =
            sums.iter().zip(&factors).map(|(sum, factor)| (f32::from(*sum) * 0.013 - 400.0) * factor.get()).collect();
        for isa in Isa::available() {
            let mut estimates = vec![7.0; length];
            scale(isa, &sums, 0.013, 400.0, &factors, &mut estimates);
            assert_eq!(estimates, expected, "{} {length}", isa.name());
            // Rows that do not pass, and numbers that are none.
            estimates.iter_mut().step_by(7).for_each(|estimate| *estimate = f32::NEG_INFINITY);
            estimates.iter_mut().step_by(11).for_each(|estimate| *estimate = f32::NAN);
            for least in [f32::MIN, -5.0, *estimates.get(3).unwrap_or(&0.0), 9.0, 1e9] {
                let high: Vec<u32> = (40..).zip(&estimates).filter(|(_, n)| **n >= least).map(|(at, _)| at).collect();
                let mut rows = vec![42];
                at_least(isa, &estimates, 40, least, &mut rows);
                assert_eq!(rows[1..], high, "{} {length} from {least}", isa.name());
                assert_eq!(rows[0], 42);
            }
        }
    }
}

#[test]
fn a_factor_is_as_near_as_it_says() {
    let mut noise = Noise(5);
    for _ in 0..10_000 {
        let number = (noise.below(1 << 20) + 1) as f32 / (1 << noise.below(30)) as f32;
        let off = (Factor::new(number).get() - number).abs() / number;
        assert!(off <= Factor::ROUNDING, "{number}: {off}");
    }
    assert_eq!(Factor::default().get(), 0.0);
}

#[test]
fn every_kernel_turns_alike_to_the_last_bit() {
    let mut noise = Noise(3);
    for length in [16, 32, 256, 512, 4096] {
        let mut number = || noise.below(2001) as f32 / 1000.0 - 1.0;
        let (signs, numbers): (Vec<f32>, Vec<f32>) = (0..length).map(|_| (number(), number())).unzip();
        // The definition: row i of the matrix has −1 where i and the column share an odd number of bits.
        let entry = |row: usize, (column, (n, sign)): (usize, (&f32, &f32))| {
            f64::from(*n) * f64::from(*sign) * if (row & column).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 }
        };
        let rows = (0..length).step_by(length / 16);
        let expected: Vec<(usize, f64)> =
            rows.map(|row| (row, numbers.iter().zip(&signs).enumerate().map(|n| entry(row, n)).sum())).collect();
        let mut portable = numbers.clone();
        super::portable::turn(&signs, &mut portable);
        for (row, expected) in expected {
            assert!((f64::from(portable[row]) - expected).abs() < 1e-3, "{length}: {row}");
        }
        for isa in Isa::available() {
            let mut turned = numbers.clone();
            turn(isa, &signs, &mut turned);
            assert_eq!(turned, portable, "{} {length}", isa.name());
        }
    }
}

#[test]
fn every_kernel_quantizes_alike_to_the_last_bit() {
    let (mut noise, steps) = (Noise(13), Steps { coarse: 1.2, fine: 0.15 });
    for length in [16, 48, 512, 4096] {
        let mut numbers: Vec<f32> = (0..length).map(|_| noise.below(2001) as f32 / 4000.0 - 0.25).collect();
        (numbers[0], numbers[1], numbers[length - 1]) = (0.0, -9.0, 9.0);
        let quantized = |isa| {
            let (mut bits, mut coarse, mut fine) = (vec![7; length / 8], vec![7; length], vec![7; length]);
            let levels = Levels { bits: &mut bits, coarse: &mut coarse, fine: &mut fine };
            let told = quantize(isa, &numbers, 10.0, steps, levels);
            (told, bits, coarse, fine)
        };
        let (told, bits, coarse, fine) = quantized(Isa::detect());
        let (mut squares, mut products) = (0.0, 0.0);
        for (at, number) in numbers.iter().enumerate() {
            assert_eq!(bits[at / 8] >> (at % 8) & 1 == 1, *number >= 0.0, "{number}");
            let number = number * 10.0;
            let value = (f32::from(coarse[at]) - 1.5) * steps.coarse;
            let both = value + (f32::from(fine[at]) - 7.5) * steps.fine;
            match number.abs() < 9.0 {
                true => assert!((number - both).abs() < 0.0751, "{number}: {value}, {both}"),
                false => assert_eq!(fine[at], if number > 0.0 { 15 } else { 0 }, "{number}"),
            }
            let is_nearest = (number - value).abs() < 0.601 || coarse[at] == if number > 0.0 { 3 } else { 0 };
            assert!(is_nearest, "{number}: {value}");
            squares += f64::from(both * both);
            products += f64::from(both * number);
        }
        let length: f64 = numbers.iter().map(|number| f64::from(number.abs()) * 10.0).sum();
        for (told, expected) in [(told.length, length), (told.fine.squares, squares), (told.fine.products, products)] {
            assert!((f64::from(told) / expected - 1.0).abs() < 1e-4, "{told}, {expected}");
        }
        for isa in Isa::available() {
            assert_eq!(quantized(isa), (told, bits.clone(), coarse.clone(), fine.clone()), "{}", isa.name());
        }
    }
}

#[test]
#[should_panic(expected = "a pick outside of 2 rows")]
fn a_pick_outside_is_refused() {
    multiply(Isa::detect(), Packed::Four, &[&[0; STRIDE + 127]], &[0; STRIDE], &[1, 2], &mut [0; 2]);
}

#[test]
#[should_panic(expected = "pieces of other than 2048 rows")]
fn a_short_piece_is_refused() {
    multiply(Isa::detect(), Packed::Four, &[&[0; STRIDE], &[0; STRIDE]], &[0; STRIDE], &[3], &mut [0; 1]);
}

#[test]
#[should_panic(expected = "one product a pick")]
fn a_missing_product_is_refused() {
    multiply(Isa::detect(), Packed::Two, &[&[0; STRIDE]], &[0; STRIDE], &[0, 0], &mut [0; 1]);
}

#[test]
#[should_panic(expected = "a query of 255 numbers")]
fn a_query_that_is_not_padded_is_refused() {
    multiply(Isa::detect(), Packed::Two, &[&[0; STRIDE]], &[0; STRIDE - 1], &[0], &mut [0; 1]);
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
