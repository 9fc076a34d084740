//! Arithmetic on curves whose parameters come with each request.
//!
//! Nothing is checked that the hardware does not check: a point off the curve goes through the same formulas, which never use
//! b (hpre §4.3).

use crate::os::group::{Affine, Group, Montgomery};
use crate::os::modular::{Modulus, Number, Scratch};

/// y² = x³ + ax + b over the integers modulo p; b is not needed.
pub(super) struct Curve {
    p: Modulus,
    /// In Montgomery form, as every coordinate inside this file.
    a: Number,
    one: Number,
    /// The shorter way, for points on the named curve with these parameters.
    named: Option<&'static Group>,
}

/// A point other than infinity.
pub(super) struct Point {
    pub(super) x: Number,
    pub(super) y: Number,
}

/// X/Z², Y/Z³; `None` for infinity.
type Jacobian = Option<(Number, Number, Number)>;

impl Curve {
    /// `None`: p is even, 0 or 1.
    pub(super) fn from_bytes(p: &[u8], a: &[u8], scratch: &mut Scratch) -> Option<Self> {
        let p = Modulus::from_bytes(p, scratch)?;
        let a = Number::from_bytes(a)?;
        let named = Group::named(p.value(), &a);
        let a = p.enter(&a, scratch)?;
        let one = p.enter(&Number::from_bytes(&[1])?, scratch)?;
        Some(Self { p, a, one, named })
    }

    /// Whether both coordinates are below p.
    pub(super) fn has(&self, point: &Point) -> bool {
        point.x < *self.p.value() && point.y < *self.p.value()
    }

    /// The sum of the products of each scalar and its point; `None` for infinity, and when p is not prime and an inversion
    /// impossible.
    pub(super) fn combine(&self, terms: &[(&Number, &Point)], scratch: &mut Scratch) -> Option<Point> {
        match self.combine_by_name(terms, scratch) {
            Some(sum) => sum.map(|(x, y)| Point { x, y }),
            None => self.combine_by_formula(terms, scratch),
        }
    }

    /// `None` unless libcrypto knows the curve, and how to.
    fn combine_by_name(&self, terms: &[(&Number, &Point)], scratch: &mut Scratch) -> Option<Affine> {
        let group = self.named?;
        let numbers: Vec<_> = terms.iter().map(|(scalar, point)| (*scalar, &point.x, &point.y)).collect();
        let [one @ (_, x, y)] = numbers.as_slice() else { return group.combine(&numbers, scratch) };
        group.combine(&numbers, scratch).or_else(|| {
            let p = &self.p;
            let square = p.product(x, x, scratch)?;
            let right = p.product(&p.add(&square, group.a())?, x, scratch)?;
            let b = p.subtract(&p.product(y, y, scratch)?, &right)?;
            group.multiply_elsewhere(&b, *one, scratch)
        })
    }

    fn combine_by_formula(&self, terms: &[(&Number, &Point)], scratch: &mut Scratch) -> Option<Point> {
        let mut points = Vec::new();
        for (_, point) in terms {
            points.push((self.p.enter(&point.x, scratch)?, self.p.enter(&point.y, scratch)?));
        }
        let bits = terms.iter().map(|(scalar, _)| scalar.bits()).max()?;
        let mut sum = None;
        for bit in (0..bits).rev() {
            sum = self.double(sum, scratch)?;
            for ((scalar, _), point) in terms.iter().zip(&points) {
                if scalar.bit(bit) {
                    sum = self.add(sum, point, scratch)?;
                }
            }
        }
        let (x, y, z) = sum?;
        let inverse = self.p.leave(&z, scratch)?.inverse(self.p.value(), scratch)?;
        let inverse = self.p.enter(&inverse, scratch)?;
        let square = self.p.multiply(&inverse, &inverse, scratch)?;
        let cube = self.p.multiply(&square, &inverse, scratch)?;
        let (x, y) = (self.p.multiply(&x, &square, scratch)?, self.p.multiply(&y, &cube, scratch)?);
        Some(Point { x: self.p.leave(&x, scratch)?, y: self.p.leave(&y, scratch)? })
    }

    /// The outer `None` is lack of memory, the inner infinity; so below.
    fn double(&self, point: Jacobian, scratch: &mut Scratch) -> Option<Jacobian> {
        let Some((x, y, z)) = point else { return Some(None) };
        if y.is_zero() {
            return Some(None);
        }
        let p = &self.p;
        let (xx, yy, zz) =
            (p.multiply(&x, &x, scratch)?, p.multiply(&y, &y, scratch)?, p.multiply(&z, &z, scratch)?);
        let xyy = p.multiply(&x, &yy, scratch)?;
        let s = self.doubled(&self.doubled(&xyy)?)?;
        let azzzz = p.multiply(&self.a, &p.multiply(&zz, &zz, scratch)?, scratch)?;
        let m = p.add(&p.add(&self.doubled(&xx)?, &xx)?, &azzzz)?;
        let new_x = p.subtract(&p.multiply(&m, &m, scratch)?, &self.doubled(&s)?)?;
        let yyyy = p.multiply(&yy, &yy, scratch)?;
        let eight_yyyy = self.doubled(&self.doubled(&self.doubled(&yyyy)?)?)?;
        let slope = p.multiply(&m, &p.subtract(&s, &new_x)?, scratch)?;
        let new_y = p.subtract(&slope, &eight_yyyy)?;
        let new_z = self.doubled(&p.multiply(&y, &z, scratch)?)?;
        Some(Some((new_x, new_y, new_z)))
    }

    fn add(
        &self,
        left: Jacobian,
        (right_x, right_y): &(Number, Number),
        scratch: &mut Scratch,
    ) -> Option<Jacobian> {
        let Some((x, y, z)) = left else {
            return Some(Some((right_x.copy()?, right_y.copy()?, self.one.copy()?)));
        };
        let p = &self.p;
        let zz = p.multiply(&z, &z, scratch)?;
        let zzz = p.multiply(&zz, &z, scratch)?;
        let h = p.subtract(&p.multiply(right_x, &zz, scratch)?, &x)?;
        let r = p.subtract(&p.multiply(right_y, &zzz, scratch)?, &y)?;
        if h.is_zero() {
            // The same point, or its opposite.
            return if r.is_zero() { self.double(Some((x, y, z)), scratch) } else { Some(None) };
        }
        let hh = p.multiply(&h, &h, scratch)?;
        let hhh = p.multiply(&hh, &h, scratch)?;
        let v = p.multiply(&x, &hh, scratch)?;
        let rr = p.multiply(&r, &r, scratch)?;
        let new_x = p.subtract(&p.subtract(&rr, &hhh)?, &self.doubled(&v)?)?;
        let slope = p.multiply(&r, &p.subtract(&v, &new_x)?, scratch)?;
        let new_y = p.subtract(&slope, &p.multiply(&y, &hhh, scratch)?)?;
        let new_z = p.multiply(&z, &h, scratch)?;
        Some(Some((new_x, new_y, new_z)))
    }

    fn doubled(&self, number: &Number) -> Option<Number> {
        self.p.add(number, number)
    }
}

/// u-coordinate of `scalar` times the point with u-coordinate `u`, on the Montgomery curve with (A − 2)/4 = `a24` (RFC 7748
/// §5, scalar and u as they are: no clamping, no masking). 0 where that is infinity.
pub(super) fn multiply_u(
    p: &Modulus,
    a24: &Number,
    scalar: &Number,
    u: &Number,
    scratch: &mut Scratch,
) -> Option<Number> {
    multiply_u_of_known_curve(p, a24, scalar, u).or_else(|| ladder(p, a24, scalar, u, scratch))
}

/// `None` unless the curve is X25519 or X448 and the scalar is as RFC 7748 §5 has it, since libcrypto would make it so; and
/// where the result is zero.
fn multiply_u_of_known_curve(p: &Modulus, a24: &Number, scalar: &Number, u: &Number) -> Option<Number> {
    let is = |prime: &[u8], constant: &[u8]| {
        Number::from_bytes(prime).is_some_and(|prime| prime == *p.value())
            && Number::from_bytes(constant).is_some_and(|constant| constant == *a24)
    };
    let (curve, bits, cleared) = match scalar.bits() {
        255 if is(&P25519, &A24_OF_25519) => (Montgomery::X25519, 255, 3),
        448 if is(&P448, &A24_OF_448) => (Montgomery::X448, 448, 2),
        _ => return None,
    };
    if u.bits() > bits || (0..cleared).any(|bit| scalar.bit(bit)) {
        return None;
    }
    let little_endian = |number: &Number| {
        let mut bytes = number.to_bytes(curve.number_len())?;
        bytes.reverse();
        Some(bytes)
    };
    let mut product = curve.multiply(&little_endian(scalar)?, &little_endian(u)?)?;
    product.reverse();
    Number::from_bytes(&product)
}

/// The same by the steps of RFC 7748 §5, for any prime and constant.
fn ladder(p: &Modulus, a24: &Number, scalar: &Number, u: &Number, scratch: &mut Scratch) -> Option<Number> {
    let one = p.enter(&Number::from_bytes(&[1])?, scratch)?;
    let (u, a24) = (p.enter(u, scratch)?, p.enter(a24, scratch)?);
    let (mut x2, mut z2) = (one.copy()?, Number::from_bytes(&[])?);
    let (mut x3, mut z3) = (u.copy()?, one);
    for bit in (0..scalar.bits()).rev() {
        let swap = scalar.bit(bit);
        if swap {
            std::mem::swap(&mut x2, &mut x3);
            std::mem::swap(&mut z2, &mut z3);
        }
        let (a, b) = (p.add(&x2, &z2)?, p.subtract(&x2, &z2)?);
        let (c, d) = (p.add(&x3, &z3)?, p.subtract(&x3, &z3)?);
        let (aa, bb) = (p.multiply(&a, &a, scratch)?, p.multiply(&b, &b, scratch)?);
        let e = p.subtract(&aa, &bb)?;
        let (da, cb) = (p.multiply(&d, &a, scratch)?, p.multiply(&c, &b, scratch)?);
        let (sum, difference) = (p.add(&da, &cb)?, p.subtract(&da, &cb)?);
        x3 = p.multiply(&sum, &sum, scratch)?;
        z3 = p.multiply(&u, &p.multiply(&difference, &difference, scratch)?, scratch)?;
        x2 = p.multiply(&aa, &bb, scratch)?;
        z2 = p.multiply(&e, &p.add(&aa, &p.multiply(&a24, &e, scratch)?)?, scratch)?;
        if swap {
            std::mem::swap(&mut x2, &mut x3);
            std::mem::swap(&mut z2, &mut z3);
        }
    }
    let (x, z) = (p.leave(&x2, scratch)?, p.leave(&z2, scratch)?);
    if z.is_zero() {
        return Some(z);
    }
    let inverse = z.inverse(p.value(), scratch)?;
    p.product(&x, &inverse, scratch)
}

/// 2²⁵⁵ − 19
const P25519: [u8; 32] = {
    let mut bytes = [0xFF; 32];
    bytes[0] = 0x7F;
    bytes[31] = 0xED;
    bytes
};
/// 2⁴⁴⁸ − 2²²⁴ − 1
const P448: [u8; 56] = {
    let mut bytes = [0xFF; 56];
    bytes[27] = 0xFE;
    bytes
};
const A24_OF_25519: [u8; 3] = [0x01, 0xDB, 0x41];
const A24_OF_448: [u8; 2] = [0x98, 0xA9];

#[cfg(test)]
mod tests {
    use openssl::bn::{BigNum, BigNumContext};
    use openssl::ec::EcGroup;
    use openssl::nid::Nid;

    use super::*;

    fn number(bytes: &[u8]) -> Number {
        Number::from_bytes(bytes).unwrap()
    }

    fn equal(left: Option<Point>, right: Option<Point>) -> bool {
        match (left, right) {
            (Some(left), Some(right)) => left.x == right.x && left.y == right.y,
            (left, right) => left.is_none() && right.is_none(),
        }
    }

    /// The formulas and libcrypto's curves know nothing of each other.
    #[test]
    fn both_ways_give_the_same() {
        let mut scratch = Scratch::new().unwrap();
        for name in [706, 711, 409, 713, 415, 714, 1172, 929, 931, 715, 716] {
            let group = EcGroup::from_curve_name(Nid::from_raw(name)).unwrap();
            let mut context = BigNumContext::new().unwrap();
            let [mut p, mut a, mut b, mut n, mut x, mut y] = [0; 6].map(|_| BigNum::new().unwrap());
            group.components_gfp(&mut p, &mut a, &mut b, &mut context).unwrap();
            group.order(&mut n, &mut context).unwrap();
            group.generator_opt().unwrap().affine_coordinates(&group, &mut x, &mut y, &mut context).unwrap();
            let curve = Curve::from_bytes(&p.to_vec(), &a.to_vec(), &mut scratch).unwrap();
            assert!(curve.named.is_some(), "{name}");
            let base = Point { x: number(&x.to_vec()), y: number(&y.to_vec()) };
            let n = number(&n.to_vec());
            let scalars = [
                number(&[]),
                number(&[1]),
                number(&[2]),
                number(&[0xA5; 12]),
                n.predecessor().unwrap(),
                n.copy().unwrap(),
                n.successor().unwrap(),
                number(&vec![0xFF; p.to_vec().len()]),
            ];
            for scalar in &scalars {
                let (named, formula) = (
                    curve.combine(&[(scalar, &base)], &mut scratch),
                    curve.combine_by_formula(&[(scalar, &base)], &mut scratch),
                );
                let other = curve.combine_by_formula(&[(&scalars[3], &base)], &mut scratch).unwrap();
                assert!(equal(named, formula), "{name}, times {:?}", scalar.to_bytes(80));
                for terms in
                    [[(scalar, &base), (&scalars[2], &other)], [(&scalars[4], &base), (scalar, &base)]]
                {
                    let (named, formula) =
                        (curve.combine(&terms, &mut scratch), curve.combine_by_formula(&terms, &mut scratch));
                    assert!(equal(named, formula), "{name}, sum with {:?}", scalar.to_bytes(80));
                }
                let terms = [(scalar, &other)];
                let (named, formula) =
                    (curve.combine(&terms, &mut scratch), curve.combine_by_formula(&terms, &mut scratch));
                assert!(equal(named, formula), "{name}, other point");
                // Not on this curve.
                let stray = Point { x: base.x.copy().unwrap(), y: other.y.copy().unwrap() };
                assert!(curve.combine_by_name(&[(scalar, &stray)], &mut scratch).is_some());
                let terms = [(scalar, &stray)];
                let (named, formula) =
                    (curve.combine(&terms, &mut scratch), curve.combine_by_formula(&terms, &mut scratch));
                assert!(equal(named, formula), "{name}, stray point");
            }
        }
    }

    #[test]
    fn both_ways_up_the_ladder_give_the_same() {
        let mut scratch = Scratch::new().unwrap();
        for (p, a24, len) in [(&P25519[..], &A24_OF_25519[..], 32), (&P448, &A24_OF_448, 56)] {
            let p = Modulus::from_bytes(p, &mut scratch).unwrap();
            let a24 = number(a24);
            let mut used = 0;
            for seed in 1..8u8 {
                let mut scalar = vec![seed.wrapping_mul(37); len];
                if seed != 7 {
                    // As RFC 7748 wants it; the last is not, and must be taken as it is.
                    scalar[len - 1] &= 0xF8;
                    scalar[0] = if len == 32 { scalar[0] & 0x3F | 0x40 } else { scalar[0] | 0x80 };
                }
                let scalar = number(&scalar);
                for u in [number(&[9]), number(&vec![seed; len]), p.value().predecessor().unwrap()] {
                    let u = p.reduce(&u, &mut scratch).unwrap();
                    used += u32::from(multiply_u_of_known_curve(&p, &a24, &scalar, &u).is_some());
                    let (short, long) = (
                        multiply_u(&p, &a24, &scalar, &u, &mut scratch),
                        ladder(&p, &a24, &scalar, &u, &mut scratch),
                    );
                    assert!(short.unwrap() == long.unwrap(), "{len} {seed}");
                }
            }
            assert!(used >= 6, "{used} of 21 by libcrypto");
        }
    }
}
