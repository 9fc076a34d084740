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

    /// The sum of two points of the curve, which may be the same: x and y. All public. `None`: it has no coordinates.
    pub(super) fn sum(&self, (x1, y1): (&[u8], &[u8]), (x2, y2): (&[u8], &[u8])) -> Option<[Coordinate; 2]> {
        let residue = |number| self.p.residue(number).map(|residue| *residue);
        let (x1, y1, x2, y2) = (residue(x1)?, residue(y1)?, residue(x2)?, residue(y2)?);
        let (rise, run) = if (x1, y1) == (x2, y2) {
            let square = x1.square();
            (square.double() + square + self.a, y1.double())
        } else {
            (y2 - y1, x2 - x1)
        };
        let slope = rise * Option::<MontyForm<LIMBS>>::from(run.inv_vartime())?;
        let x = slope.square() - x1 - x2;
        let y = slope * (x1 - x) - y1;
        Some([bytes(&x), bytes(&y)])
    }

    /// Whether twice the point `a`, and `b`, and `c` add up to nothing (infinity), three points of the curve in coordinates below
    /// p. The tangent at `a` meets the curve a second time in the negative of twice `a`, which then is the sum of `b` and `c`: its own
    /// negative lies on the line through these. No inversion, and the same time for all points. `None`: it cannot be told, because two
    /// of these three have the same x.
    pub(super) fn cancel(&self, a: Point<'_>, b: Point<'_>, c: Point<'_>) -> Option<bool> {
        let residue = |number| self.p.residue(number);
        let (xa, ya) = (residue(a.0)?, residue(a.1)?);
        let (xb, yb, xc, yc) = (residue(b.0)?, residue(b.1)?, residue(c.0)?, residue(c.1)?);
        let product = |a: &Residue, b: &Residue| Zeroizing::new(**a * **b);
        let difference = |a: &Residue, b: &Residue| Zeroizing::new(**a - **b);
        let square = product(&xa, &xa);
        // The slope of the tangent is rise / run; the point in question is (xt / run², yt / run³).
        let rise = Zeroizing::new(square.double() + *square + self.a);
        let run = Zeroizing::new(ya.double());
        let run_2 = product(&run, &run);
        let run_3 = product(&run_2, &run);
        let xa_run_2 = product(&xa, &run_2);
        let xt = Zeroizing::new(rise.square() - xa_run_2.double());
        let yt = Zeroizing::new(*rise * (*xa_run_2 - *xt) - *product(&ya, &run_3));
        let (across, down) = (difference(&xc, &xb), difference(&yc, &yb));
        let to_b = difference(&xt, &product(&xb, &run_2));
        let to_c = difference(&xt, &product(&xc, &run_2));
        if [&across, &to_b, &to_c].into_iter().any(|value| is_zero(&*bytes(value))) {
            return None;
        }
        let left = Zeroizing::new(*product(&down, &to_b) * *run);
        let right = product(&difference(&yt, &product(&yb, &run_3)), &across);
        Some(is_zero(&*bytes(&difference(&left, &right))))
    }
}

/// Coordinates of a point, big-endian, at most 72 bytes.
pub(super) type Point<'a> = (&'a [u8], &'a [u8]);

/// One of them, padded to the widest field.
pub(super) type Coordinate = Zeroizing<[u8; WIDEST_BYTES]>;

/// True when s·k ≡ e + r·d: an ECDSA signature's halves belong together, whatever point r came from. All big-endian, at most
/// 72 bytes.
pub(super) fn ecdsa_agrees(order: &Modulus, (r, s): (&[u8], &[u8]), e: &[u8], k: &[u8], d: &[u8]) -> bool {
    let residues = || {
        let left = Zeroizing::new(*order.residue(s)? * *order.residue(k)?);
        let product = Zeroizing::new(*order.residue(r)? * *order.residue(d)?);
        let right = Zeroizing::new(*order.residue(e)? + *product);
        Some(Zeroizing::new(*left - *right))
    };
    residues().is_some_and(|difference| is_zero(&*bytes(&difference)))
}

/// The same of an SM2 signature: s·(1 + d) ≡ k - r·d, written s + d·(s + r) ≡ k.
pub(super) fn sm2_agrees(order: &Modulus, (r, s): (&[u8], &[u8]), k: &[u8], d: &[u8]) -> bool {
    let residues = || {
        let (r, s) = (order.residue(r)?, order.residue(s)?);
        let product = Zeroizing::new(*order.residue(d)? * (*s + *r));
        let left = Zeroizing::new(*s + *product);
        Some(Zeroizing::new(*left - *order.residue(k)?))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A prime of 62 bits: products fit u128, so the same sums can be written down plainly.
    const PRIME: u64 = 0x3fff_ffff_ffff_ffc7;

    fn modulus() -> Modulus {
        Modulus::new(&PRIME.to_be_bytes()).unwrap()
    }

    fn times(a: u64, b: u64) -> u64 {
        u64::try_from(u128::from(a) * u128::from(b) % u128::from(PRIME)).unwrap()
    }

    fn plus(a: u64, b: u64) -> u64 {
        u64::try_from((u128::from(a) + u128::from(b)) % u128::from(PRIME)).unwrap()
    }

    fn minus(a: u64, b: u64) -> u64 {
        plus(a, PRIME - b % PRIME)
    }

    fn power(base: u64, mut exponent: u64) -> u64 {
        let (mut base, mut product) = (base, 1);
        while exponent > 0 {
            if exponent & 1 == 1 {
                product = times(product, base);
            }
            base = times(base, base);
            exponent >>= 1;
        }
        product
    }

    #[test]
    fn moduli_that_are_none() {
        for bytes in [&[][..], &[0], &[4], &[1; 73]] {
            assert!(Modulus::new(bytes).is_none(), "{bytes:?}");
        }
        assert!(Modulus::new(&[0xff; 72]).is_some());
    }

    proptest! {
        #[test]
        fn signatures_agree_when_they_were_made_so(r in 1..PRIME, e: u64, k in 1..PRIME, d in 1..PRIME, off in 1..PRIME) {
            let order = modulus();
            let [r_, e_, k_, d_] = [r, e, k, d].map(u64::to_be_bytes);
            // s = (e + r·d) / k, by Fermat.
            let s = times(plus(e % PRIME, times(r, d)), power(k, PRIME - 2));
            prop_assert!(ecdsa_agrees(&order, (&r_, &s.to_be_bytes()), &e_, &k_, &d_));
            prop_assert!(!ecdsa_agrees(&order, (&r_, &plus(s, off).to_be_bytes()), &e_, &k_, &d_));
            prop_assert!(!ecdsa_agrees(&order, (&plus(r, off).to_be_bytes(), &s.to_be_bytes()), &e_, &k_, &d_));
            let s = times(minus(k, times(r, d)), power(plus(1, d), PRIME - 2));
            prop_assert!(sm2_agrees(&order, (&r_, &s.to_be_bytes()), &k_, &d_));
            prop_assert!(!sm2_agrees(&order, (&r_, &plus(s, off).to_be_bytes()), &k_, &d_));
        }

        #[test]
        fn points_are_on_their_curve(x in 0..PRIME, y in 0..PRIME, a in 0..PRIME, off in 1..PRIME) {
            let b = minus(times(y, y), plus(times(x, times(x, x)), times(a, x)));
            let [p_, a_, b_, x_, y_] = [PRIME, a, b, x, y].map(u64::to_be_bytes);
            let discriminant = plus(times(4, power(a, 3)), times(27, times(b, b)));
            let equation = Equation::new(&p_, &a_, &b_);
            prop_assert_eq!(equation.is_some(), discriminant != 0);
            if let Some(equation) = equation {
                prop_assert!(equation.holds(&x_, &y_));
                prop_assert_eq!(equation.holds(&x_, &plus(y, off).to_be_bytes()), plus(y, off) == minus(0, y));
            }
        }
    }
}
