//! Arithmetic on curves whose parameters come with each request.
//!
//! Nothing is checked that the hardware does not check: a point off the curve goes through the same formulas, which never use
//! b (hpre §4.3).

use crate::os::modular::{Modulus, Number, Scratch};

/// y² = x³ + ax + b over the integers modulo p; b is not needed.
pub(super) struct Curve {
    p: Modulus,
    /// In Montgomery form, as every coordinate inside this file.
    a: Number,
    one: Number,
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
        let a = p.enter(&Number::from_bytes(a)?, scratch)?;
        let one = p.enter(&Number::from_bytes(&[1])?, scratch)?;
        Some(Self { p, a, one })
    }

    /// Whether both coordinates are below p.
    pub(super) fn has(&self, point: &Point) -> bool {
        point.x < *self.p.value() && point.y < *self.p.value()
    }

    /// The sum of the products of each scalar and its point; `None` for infinity, and when p is not prime and an inversion
    /// impossible.
    pub(super) fn combine(&self, terms: &[(&Number, &Point)], scratch: &mut Scratch) -> Option<Point> {
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
pub(super) fn ladder(
    p: &Modulus,
    a24: &Number,
    scalar: &Number,
    u: &Number,
    scratch: &mut Scratch,
) -> Option<Number> {
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
