//! Big-endian numbers on their way into fixed fields: padded, compared and multiplied, in time that does not depend on the
//! values of secret ones.

use zeroize::Zeroizing;

/// Without leading zeros. Public numbers only: takes time by content.
pub(super) fn strip_public(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

pub(super) fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|byte| byte & 1 == 1)
}

/// Copies a big-endian number right-aligned into a zeroed field. True when it fits. Looks at every byte whatever their
/// values.
pub(super) fn place_any(number: &[u8], field: &mut [u8]) -> bool {
    let excess = number.len().saturating_sub(field.len());
    let (above, kept) = number.split_at(excess);
    let start = field.len() - kept.len();
    field[start..].copy_from_slice(kept);
    is_zero(above)
}

/// As [`place_any`], and true only when the number is not zero.
pub(crate) fn place(number: &[u8], field: &mut [u8]) -> bool {
    let fits = place_any(number, field);
    // Not `&&`: both are looked at.
    fits & !is_zero(field)
}

/// True when n = p · q. Schoolbook on 64-bit limbs, the same steps for all values of one length: p and q are secret. About a
/// microsecond, once per key; without it a damaged or multi-prime key would look like a broken device.
pub(super) fn is_product(n: &[u8], p: &[u8], q: &[u8]) -> bool {
    let half = n.len() / 2 / 8;
    let (p, q, n) = (limbs(p, half), limbs(q, half), limbs(n, half * 2));
    let mut product = Zeroizing::new(vec![0_u64; half * 2]);
    for (shift, &a) in p.iter().enumerate() {
        let mut carry = 0_u64;
        for (slot, &b) in product.iter_mut().skip(shift).zip(q.iter().chain(std::iter::once(&0))) {
            // At most (2^64-1)^2 + 2·(2^64-1) = 2^128-1: cannot overflow.
            let sum = u128::from(a) * u128::from(b) + u128::from(*slot) + u128::from(carry);
            (*slot, carry) = split(sum);
        }
    }
    product.iter().zip(n.iter()).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// Low and high half.
#[expect(clippy::cast_possible_truncation, reason = "the halves are what is asked for")]
fn split(wide: u128) -> (u64, u64) {
    (wide as u64, (wide >> 64) as u64)
}

/// Little-endian limbs of the last `count · 8` bytes of a big-endian number, zero-extended.
fn limbs(number: &[u8], count: usize) -> Zeroizing<Vec<u64>> {
    let mut limbs = Zeroizing::new(vec![0_u64; count]);
    for (limb, bytes) in limbs.iter_mut().zip(number.rchunks(8)) {
        *limb = bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    }
    limbs
}

/// True when `number` is less than `bound`; both big-endian and of one length. The same steps for all values.
pub(crate) fn is_below(number: &[u8], bound: &[u8]) -> bool {
    debug_assert_eq!(number.len(), bound.len(), "fields of one width");
    let pairs = number.iter().rev().zip(bound.iter().rev());
    let borrow = pairs.fold(0_u16, |borrow, (a, b)| {
        // 0 or 0xffff, shifted: the borrow of this byte.
        (u16::from(*a).wrapping_sub(u16::from(*b)).wrapping_sub(borrow)) >> 15
    });
    borrow == 1
}

/// `bound` less `number` into `difference`, all big-endian and of one length; `number` is not above `bound`. The same steps for all
/// values.
pub(crate) fn less(bound: &[u8], number: &[u8], difference: &mut [u8]) {
    debug_assert!(bound.len() == number.len() && bound.len() == difference.len(), "fields of one width");
    let mut borrow = 0;
    for ((place, a), b) in difference.iter_mut().zip(bound).zip(number).rev() {
        let wide = u16::from(*a).wrapping_sub(u16::from(*b)).wrapping_sub(borrow);
        let [_, low] = wide.to_be_bytes();
        *place = low;
        borrow = wide >> 15;
    }
}

/// True when every byte is zero. Looks at all of them.
pub(crate) fn is_zero(number: &[u8]) -> bool {
    number.iter().fold(0, |all, byte| all | byte) == 0
}

/// True when the number is one. Looks at all bytes.
pub(crate) fn is_one(number: &[u8]) -> bool {
    number.split_last().is_some_and(|(last, above)| {
        let above = above.iter().fold(0, |all, byte| all | byte);
        above | (last ^ 1) == 0
    })
}

/// Bits of a public number.
pub(super) fn bits(number: &[u8]) -> usize {
    let number = strip_public(number);
    number.first().map_or(0, |first| {
        let top = usize::try_from(u8::BITS - first.leading_zeros()).unwrap_or(0);
        (number.len() - 1) * 8 + top
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn comparisons() {
        assert!(is_below(&[0, 0xff], &[1, 0]));
        assert!(!is_below(&[1, 0], &[0, 0xff]));
        assert!(!is_below(&[7, 7], &[7, 7]));
        assert!(is_zero(&[]) && is_zero(&[0, 0]) && !is_zero(&[0x80, 0]));
        assert!(is_one(&[1]) && is_one(&[0, 0, 1]) && !is_one(&[1, 1]) && !is_one(&[0]) && !is_one(&[]));
        assert_eq!(bits(&[0, 1, 0xff]), 9);
        assert_eq!(bits(&[0x80]), 8);
        assert_eq!(bits(&[0, 0]), 0);
    }

    #[test]
    fn numbers_longer_than_their_field_fit_when_the_excess_is_zero() {
        let mut field = [0; 3];
        assert!(place(&[0, 0, 1, 2], &mut field));
        assert_eq!(field, [0, 1, 2]);
        assert!(!place(&[1, 0, 0, 0], &mut [0; 3]));
        assert!(!place(&[0, 0, 0, 0], &mut [0; 3]), "zero");
        assert!(!place(&[], &mut [0; 3]));
    }

    proptest! {
        #[test]
        fn below_is_less_than(a: u64, b: u64) {
            prop_assert_eq!(is_below(&a.to_be_bytes(), &b.to_be_bytes()), a < b);
            prop_assert_eq!(is_below(&a.to_be_bytes(), &a.wrapping_add(1).to_be_bytes()), a != u64::MAX);
        }

        #[test]
        fn differences(a: u64, b: u64) {
            let (number, bound) = (a.min(b), a.max(b));
            let mut difference = [0; 8];
            less(&bound.to_be_bytes(), &number.to_be_bytes(), &mut difference);
            prop_assert_eq!(u64::from_be_bytes(difference), bound - number);
        }

        #[test]
        fn products(p: u64, q: u64, other: u128) {
            let product = u128::from(p) * u128::from(q);
            prop_assert!(is_product(&product.to_be_bytes(), &p.to_be_bytes(), &q.to_be_bytes()));
            prop_assert_eq!(is_product(&other.to_be_bytes(), &p.to_be_bytes(), &q.to_be_bytes()), other == product);
        }

        #[test]
        fn products_of_two_limbs(p: u128, q: u128) {
            let (p, q) = (p.to_be_bytes(), q.to_be_bytes());
            let mut n = [0_u8; 32];
            let (low, high) = (u128::from_be_bytes(p), u128::from_be_bytes(q));
            let limbs = |value: u128| [split(value).0, split(value).1];
            let (a, b) = (limbs(low), limbs(high));
            // Column sums, the other way round than the code under test.
            let mut columns = [0_u128; 5];
            for (i, x) in a.iter().enumerate() {
                for (j, y) in b.iter().enumerate() {
                    let (l, h) = split(u128::from(*x) * u128::from(*y));
                    columns[i + j] += u128::from(l);
                    columns[i + j + 1] += u128::from(h);
                }
            }
            let mut carry = 0;
            for (index, column) in columns.iter().take(4).enumerate() {
                let (digit, above) = split(column + carry);
                carry = u128::from(above);
                n[24 - index * 8..32 - index * 8].copy_from_slice(&digit.to_be_bytes());
            }
            prop_assert!(is_product(&n, &p, &q));
            prop_assert!(is_product(&n, &q, &p));
            n[7] ^= 1;
            prop_assert!(!is_product(&n, &p, &q));
        }
    }
}
