//! Arithmetic modulo a public prime of at most 576 bits: what it takes to see that a point lies on its curve and that a
//! signature's two halves belong together. The values may be secret: every step takes the same time for all of them.

use crypto_bigint::modular::{MontyForm, MontyParams};
use crypto_bigint::{Odd, Uint};
use zeroize::Zeroizing;

use super::number::{is_below, is_zero};

/// 576 bits: the widest field of the device (`hpre §1.3`).
const LIMBS: usize = 576 / Uint::<1>::BITS as usize;
/// Bytes of the widest field.
pub(super) const WIDEST_BYTES: usize = 72;

/// A modulus, made ready once.
#[derive(Clone, Debug)]
pub(super) struct Modulus(MontyParams<LIMBS>);

/// A residue; erased on drop.
type Residue = Zeroizing<MontyForm<LIMBS>>;

impl Modulus {
    /// `None`: even, or zero, or longer than 72 bytes.
    pub(super) fn new(public: &[u8]) -> Option<Self> {
        let odd: Option<Odd<_>> = Odd::new(*uint(public)?).into();
        odd.map(|odd| Self(MontyParams::new_vartime(odd)))
    }

    /// The residue of a number of at most 72 bytes.
    fn residue(&self, number: &[u8]) -> Option<Residue> {
        Some(Zeroizing::new(MontyForm::new(&*uint(number)?, self.0)))
    }
}

/// The right-hand side of y² = x³ + a·x + b, ready to be compared.
#[derive(Clone, Debug)]
pub(super) struct Equation {
    p: Modulus,
    a: MontyForm<LIMBS>,
    b: MontyForm<LIMBS>,
}

impl Equation {
    /// The equation over the field of `p` elements; `None` when p is even or too long, or the curve is singular.
    pub(super) fn new(p: &[u8], a: &[u8], b: &[u8]) -> Option<Self> {
        let p = Modulus::new(p)?;
        let (a, b) = (*p.residue(a)?, *p.residue(b)?);
        let small = |value: u8| p.residue(&[value]);
        // 4a³ + 27b² ≠ 0
        let discriminant = *small(4)? * a.square() * a + *small(27)? * b.square();
        (discriminant != MontyForm::zero(p.0)).then_some(Self { p, a, b })
    }

    /// True when (x, y) satisfies it. Both below p.
    pub(super) fn holds(&self, x: &[u8], y: &[u8]) -> bool {
        let (Some(x), Some(y)) = (self.p.residue(x), self.p.residue(y)) else { return false };
        let right = Zeroizing::new((x.square() + self.a) * *x + self.b);
        let difference = Zeroizing::new(y.square() - *right);
        is_zero(&*bytes(&difference))
    }
}

/// True when left · factor ≡ first + second · third modulo `modulus`: how the two halves of a signature depend on each
/// other. All of them big-endian, at most 72 bytes. Says nothing about any of them alone.
pub(crate) fn scalars_agree(
    modulus: &Modulus,
    (left, factor): (&[u8], &[u8]),
    first: &[u8],
    (second, third): (&[u8], &[u8]),
) -> bool {
    let residues = || {
        let left = Zeroizing::new(*modulus.residue(left)? * *modulus.residue(factor)?);
        let product = Zeroizing::new(*modulus.residue(second)? * *modulus.residue(third)?);
        let right = Zeroizing::new(*modulus.residue(first)? + *product);
        Some(Zeroizing::new(*left - *right))
    };
    residues().is_some_and(|difference| is_zero(&*bytes(&difference)))
}

/// The value itself, big-endian.
fn bytes(residue: &MontyForm<LIMBS>) -> Zeroizing<[u8; WIDEST_BYTES]> {
    let value = Zeroizing::new(residue.retrieve());
    let mut bytes = Zeroizing::new([0; WIDEST_BYTES]);
    for (bytes, word) in bytes.rchunks_exact_mut(size_of::<crypto_bigint::Word>()).zip(value.as_words()) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

/// `None`: longer than the widest field.
fn uint(number: &[u8]) -> Option<Zeroizing<Uint<LIMBS>>> {
    let mut padded = Zeroizing::new([0; WIDEST_BYTES]);
    let start = WIDEST_BYTES.checked_sub(number.len())?;
    padded.get_mut(start..)?.copy_from_slice(number);
    Some(Zeroizing::new(Uint::from_be_slice(&*padded)))
}

/// `bound` is public and of the same length: whether the number is in 1..bound. Takes the same time for all numbers.
pub(super) fn in_range(number: &[u8], bound: &[u8]) -> bool {
    !is_zero(number) & is_below(number, bound)
}
