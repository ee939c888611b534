//! The inner loops of the index, and the only `unsafe` code of this crate.
//!
//! [`add_up`] sums table entries over 1-bit codes, [`multiply`] multiplies picked rows of 2 or 4 bits a number with a query.
//! Both are exact integer arithmetic, so that every instruction set gives the same numbers. [`scale`] makes estimates of sums,
//! and [`at_least`] picks the high ones. [`turn`] is what vectors are rotated by, [`quantize`] what they are rounded by. Each
//! checks its bounds once, then calls the kernel of the chosen [`Isa`], which reads and writes without further checks.

mod isa;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(test)]
mod tests;

pub(crate) use isa::Isa;
use isa::Kind;

/// Rows whose codes lie interleaved: byte `b` of all of them, then byte `b + 1`. One AVX-512 register of bytes.
pub(crate) const GROUP: usize = 64;

/// Packed rows and queries have a multiple of so many numbers: 2 bits each are a cache line, and an AVX-512 register.
pub(crate) const STRIDE: usize = 256;

/// Packed rows that lie together.
pub(crate) const PIECE: usize = 2048;

/// Registers of codes whose products with a query are added up in 16 bits: two of at most 15 · 127 each time, twice a register of
/// 4-bit numbers; of 2-bit ones a fifth of that, four times.
#[cfg(target_arch = "x86_64")]
const RUN: usize = 4;

/// How far ahead of its use a picked row is asked for, in rows: picks lie too far apart for the processor to foresee.
#[cfg(target_arch = "x86_64")]
const AHEAD: usize = 16;

/// Where row `row` of a group stands among the group's bytes: such that the kernels' sums, of even and of odd bytes, come
/// out in the order of the rows.
pub(crate) const fn place(row: usize) -> usize {
    if row < GROUP / 2 { 2 * row } else { 2 * (row - GROUP / 2) + 1 }
}

/// One table of 16 entries for each nibble of a code, low nibbles first.
#[derive(Debug)]
pub(crate) struct Tables(Vec<[u8; 16]>);

impl Tables {
    /// Four entries of this size still fit a byte, and 1,024 of them (4,096 bits) 16 bits.
    pub(crate) const LARGEST: u8 = 63;

    /// # Panics
    /// Where an entry is larger than [`Self::LARGEST`], or the nibbles make no whole 16-bit words.
    pub(crate) fn new(tables: Vec<[u8; 16]>) -> Self {
        assert!(tables.len().is_multiple_of(4) && tables.len() <= 1024, "{} tables", tables.len());
        assert!(tables.iter().flatten().all(|entry| *entry <= Self::LARGEST), "an entry is too large");
        Self(tables)
    }

    /// Bytes of a code.
    fn width(&self) -> usize {
        self.0.len() / 2
    }
}

/// For each row, the sum of the entries that its code's nibbles choose.
///
/// # Panics
/// Where `codes` are not the groups of as many rows as there are `sums`.
pub(crate) fn add_up(isa: Isa, codes: &[u8], tables: &Tables, sums: &mut [u16]) {
    assert!(sums.len().is_multiple_of(GROUP), "rows come in groups");
    assert_eq!(codes.len(), sums.len() * tables.width(), "codes of another number of rows");
    match isa.kind() {
        // SAFETY: the `Isa` proves AVX-512F and BW; the lengths are checked above.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512 => unsafe { avx512::add_up(codes, &tables.0, sums) },
        // SAFETY: the `Isa` proves AVX2; the lengths are checked above.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx2 => unsafe { avx2::add_up(codes, &tables.0, sums) },
        // SAFETY: the `Isa` proves NEON; the lengths are checked above.
        #[cfg(target_arch = "aarch64")]
        Kind::Neon => unsafe { neon::add_up(codes, &tables.0, sums) },
        Kind::Portable => portable::add_up(codes, &tables.0, sums),
    }
}

/// How many bits a number of a packed row has. Byte `b` of a row of `w` bytes holds its numbers `b`, `w + b` and so on, the
/// first one in the lowest bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packed {
    /// Four numbers a byte.
    Two,
    /// Two numbers a byte.
    Four,
}

impl Packed {
    pub(crate) fn bits(self) -> usize {
        match self {
            Packed::Two => 2,
            Packed::Four => 4,
        }
    }

    /// Bytes of a row of so many numbers.
    pub(crate) fn width(self, numbers: usize) -> usize {
        numbers * self.bits() / 8
    }
}

/// `products[i]` = row `picks[i]` of `pieces` · `query`. Each piece has [`PIECE`] rows, but the last one, which may have fewer. A
/// row has as many numbers as the query, of which none is −128 and there are 4,096 at most.
///
/// # Panics
/// Where a pick lies outside the rows, or the query's length is no multiple of [`STRIDE`].
pub(crate) fn multiply(isa: Isa, packed: Packed, pieces: &[&[u8]], query: &[i8], picks: &[u32], products: &mut [i32]) {
    assert!(!query.is_empty() && query.len().is_multiple_of(STRIDE), "a query of {} numbers", query.len());
    assert_eq!(picks.len(), products.len(), "one product a pick");
    let rows = |piece: &[u8]| piece.len() / packed.width(query.len());
    let (last, whole) = pieces.split_last().map_or((0, pieces), |(last, whole)| (rows(last), whole));
    assert!(whole.iter().all(|piece| rows(piece) == PIECE), "pieces of other than {PIECE} rows");
    let count = whole.len() * PIECE + last.min(PIECE);
    assert!(picks.iter().all(|pick| (*pick as usize) < count), "a pick outside of {count} rows");
    match (isa.kind(), packed) {
        // SAFETY: the `Isa` proves AVX-512F and BW; picks and lengths are checked above.
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx512, Packed::Two) => unsafe { avx512::multiply::<2>(pieces, query, picks, products) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx512, Packed::Four) => unsafe { avx512::multiply::<4>(pieces, query, picks, products) },
        // SAFETY: the `Isa` proves AVX2; picks and lengths are checked above.
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx2, Packed::Two) => unsafe { avx2::multiply::<2>(pieces, query, picks, products) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx2, Packed::Four) => unsafe { avx2::multiply::<4>(pieces, query, picks, products) },
        // SAFETY: the `Isa` proves NEON; picks and lengths are checked above.
        #[cfg(target_arch = "aarch64")]
        (Kind::Neon, Packed::Two) => unsafe { neon::multiply::<2>(pieces, query, picks, products) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        (Kind::Neon, Packed::Four) => unsafe { neon::multiply::<4>(pieces, query, picks, products) },
        (Kind::Portable, packed) => portable::multiply(packed, pieces, query, picks, products),
    }
}

/// Where a row begins.
///
/// # Safety
///
/// `pick` is one of the rows of `width` bytes in these pieces.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
unsafe fn row(pieces: &[&[u8]], pick: u32, width: usize) -> *const u8 {
    let (piece, at) = (pick as usize / PIECE, pick as usize % PIECE);
    // SAFETY: the caller vouches for the row.
    unsafe { pieces.get_unchecked(piece).as_ptr().add(at * width) }
}

/// What a sum under a row's code is multiplied with: the upper half of a single-precision number (bfloat16), as a scan reads
/// every row's.
#[derive(Clone, Copy, Debug, Default)]
#[repr(transparent)]
pub(crate) struct Factor(u16);

impl Factor {
    /// The most that it may be off, as a share of itself: half of the last of eight bits.
    pub(crate) const ROUNDING: f32 = 1.0 / 256.0;

    /// The nearest one to a finite number.
    pub(crate) fn new(number: f32) -> Self {
        Self((number.to_bits().saturating_add(0x8000) >> 16) as u16)
    }

    #[inline(always)]
    pub(crate) fn get(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
}

/// `estimates[i]` = (`sums[i]` · `step` − `offset`) · `factors[i]`. The same roundings on every instruction set.
///
/// # Panics
/// Where there are not as many of each.
pub(crate) fn scale(isa: Isa, sums: &[u16], step: f32, offset: f32, factors: &[Factor], estimates: &mut [f32]) {
    assert!(sums.len() == factors.len() && sums.len() == estimates.len(), "one factor and one estimate a sum");
    match isa.kind() {
        // SAFETY: the `Isa` proves AVX2, which every processor with AVX-512F has.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512 | Kind::Avx2 => unsafe { avx2::scale(sums, step, offset, factors, estimates) },
        _ => portable::scale(sums, step, offset, factors, estimates),
    }
}

/// Pushes where the numbers stand that are not below `least`, ascending; the first one stands at `first`.
pub(crate) fn at_least(isa: Isa, numbers: &[f32], first: usize, least: f32, rows: &mut Vec<u32>) {
    match isa.kind() {
        // SAFETY: the `Isa` proves AVX-512F.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512 => unsafe { avx512::at_least(numbers, first, least, rows) },
        _ => portable::at_least(numbers, first, least, rows),
    }
}

/// Multiplies each number with its sign, then puts the Walsh–Hadamard transform, without its norm, in their place. The same
/// additions in the same order on every instruction set.
///
/// # Panics
/// Where there are not as many signs as numbers, or those are not a power of two, at least 16.
pub(crate) fn turn(isa: Isa, signs: &[f32], numbers: &mut [f32]) {
    assert!(numbers.len().is_power_of_two() && numbers.len() >= 16, "{} numbers", numbers.len());
    assert_eq!(signs.len(), numbers.len(), "one sign a number");
    match isa.kind() {
        // SAFETY: the `Isa` proves AVX-512F.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512 => unsafe { avx512::turn(signs, numbers) },
        // SAFETY: the `Isa` proves AVX2.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx2 => unsafe { avx2::turn(signs, numbers) },
        _ => portable::turn(signs, numbers),
    }
}

/// The steps that [`quantize`] rounds to.
#[derive(Clone, Copy)]
pub(crate) struct Steps {
    pub(crate) coarse: f32,
    pub(crate) fine: f32,
}

/// Where [`quantize`] writes: signs, eight a byte, the first one lowest; coarse and fine levels, one a byte.
pub(crate) struct Levels<'a> {
    pub(crate) bits: &'a mut [u8],
    pub(crate) coarse: &'a mut [u8],
    pub(crate) fine: &'a mut [u8],
}

/// What [`quantize`] tells of rounded numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    /// Of the rounded numbers' squares.
    pub(crate) squares: f32,
    /// Of their products with the true ones.
    pub(crate) products: f32,
}

/// What [`quantize`] tells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Quantized {
    /// The sum of the numbers without their signs.
    pub(crate) length: f32,
    pub(crate) coarse: Sums,
    pub(crate) fine: Sums,
}

/// Multiplies numbers by `scale` and rounds them: to the four levels ±½ and ±1½ coarse steps, and what that leaves to the sixteen
/// levels from −7½ to 7½ fine ones. The same sums in the same order on every instruction set.
///
/// # Panics
/// Where there is not a level of each kind for each number, nor a byte for eight of them, or those are no multiple of 16.
pub(crate) fn quantize(isa: Isa, numbers: &[f32], scale: f32, steps: Steps, levels: Levels<'_>) -> Quantized {
    assert!(numbers.len().is_multiple_of(16), "{} numbers", numbers.len());
    assert!(levels.coarse.len() == numbers.len() && levels.fine.len() == numbers.len(), "one level a number");
    assert_eq!(levels.bits.len() * 8, numbers.len(), "one bit a number");
    match isa.kind() {
        // SAFETY: the `Isa` proves AVX-512F and BW.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512 => unsafe { avx512::quantize(numbers, scale, steps, levels) },
        // SAFETY: the `Isa` proves AVX2.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx2 => unsafe { avx2::quantize(numbers, scale, steps, levels) },
        _ => portable::quantize(numbers, scale, steps, levels),
    }
}

/// Puts levels into a row, as [`Packed`] says.
///
/// # Panics
/// Where `row` has not as many bytes as the levels take.
pub(crate) fn pack(packed: Packed, levels: &[u8], row: &mut [u8]) {
    assert_eq!(row.len(), packed.width(levels.len()), "a row of another length");
    row.fill(0);
    for (part, levels) in levels.chunks_exact(row.len()).enumerate() {
        row.iter_mut().zip(levels).for_each(|(byte, level)| *byte |= level << (part * packed.bits()));
    }
}
