//! The elliptic-curve operations of v3: ECDH, ECDSA, SM2, X25519 and X448, on curves given by their parameters
//! (hpre §3.1, §3.4, §8.2).

use super::Failure;
use super::curve::{Curve, Point, multiply_u};
use crate::model::{sm3, word};
use crate::os::modular::{Modulus, Number, Scratch};
use crate::os::random;

/// What a descriptor asks for. Lengths are in bytes.
pub(super) struct Task {
    operation: Operation,
    width: usize,
    /// The device draws k itself.
    draws: bool,
    /// Of SM2 encryption and decryption.
    message_len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Multiply,
    EcdsaSign,
    EcdsaVerify,
    Montgomery,
    Sm2Generate,
    Sm2Sign,
    Sm2Verify,
    Sm2Encrypt,
    Sm2Decrypt,
}

/// A key's fields, in the order of the operation's layout.
type Fields<'a> = std::slice::ChunksExact<'a, u8>;

impl Task {
    pub(super) fn parse(descriptor: &[u8]) -> Result<Self, Failure> {
        let operation = match word(descriptor, 0) & 0x1F {
            0x0D => Operation::Multiply,
            0x0E => Operation::EcdsaSign,
            0x0F => Operation::EcdsaVerify,
            0x10 => Operation::Montgomery,
            0x11 => Operation::Sm2Generate,
            0x12 => Operation::Sm2Sign,
            0x13 => Operation::Sm2Verify,
            0x14 => Operation::Sm2Encrypt,
            0x15 => Operation::Sm2Decrypt,
            _ => return Err(Failure::Unsupported),
        };
        let widths: &[usize] = match operation {
            Operation::Multiply | Operation::EcdsaSign | Operation::EcdsaVerify => &[32, 48, 72],
            Operation::Montgomery => &[32, 72],
            _ => &[32],
        };
        let width = super::width(descriptor);
        if !widths.contains(&width) {
            return Err(Failure::Unsupported);
        }
        let draws = operation == Operation::Sm2Generate
            || matches!(operation, Operation::Sm2Sign | Operation::Sm2Encrypt)
                && word(descriptor, 1) >> 25 & 1 == 1;
        let message_len = (word(descriptor, 10) as usize & 0x1FF) + 1;
        Ok(Self { operation, width, draws, message_len })
    }

    /// Whether the same buffers always give the same result.
    pub(super) fn is_repeatable(&self) -> bool {
        !self.draws
    }

    /// Whether the result is a verdict in the descriptor instead of bytes in memory.
    pub(super) fn is_verification(&self) -> bool {
        matches!(self.operation, Operation::EcdsaVerify | Operation::Sm2Verify)
    }

    pub(super) fn key_len(&self) -> usize {
        let fields = match self.operation {
            Operation::Montgomery => 3,
            Operation::Multiply | Operation::Sm2Decrypt => 4,
            Operation::EcdsaSign | Operation::Sm2Sign => 7,
            _ => 8,
        };
        fields * self.width
    }

    pub(super) fn input_len(&self) -> usize {
        match self.operation {
            Operation::Montgomery => self.width,
            Operation::EcdsaVerify | Operation::Sm2Verify => self.width * 3,
            Operation::Sm2Encrypt => self.width + self.message_len,
            Operation::Sm2Decrypt => self.width * 2 + self.message_len + sm3::DIGEST_LEN,
            _ => self.width * 2,
        }
    }

    /// The output; of a verification one byte, 1 for valid.
    pub(super) fn compute(
        &self,
        key: &[u8],
        input: &[u8],
        scratch: &mut Scratch,
    ) -> Result<Vec<u8>, Failure> {
        let mut fields = key.chunks_exact(self.width);
        match self.operation {
            Operation::Multiply => {
                let curve = Curve::parse(&mut fields, scratch)?;
                let scalar = number(&mut fields)?;
                let product =
                    curve.multiply(&scalar, &point(&mut input.chunks_exact(self.width))?, scratch)?;
                self.point_bytes(&product)
            }
            Operation::Montgomery => {
                let p = modulus(&mut fields, scratch)?;
                let (a24, scalar) = (number(&mut fields)?, number(&mut fields)?);
                let u = Number::from_bytes(input).ok_or(Failure::Parameter)?;
                if u.is_zero() || u >= *p.value() {
                    return Err(Failure::Parameter);
                }
                let u = multiply_u(&p, &a24, &scalar, &u, scratch).ok_or(Failure::Arithmetic)?;
                self.bytes(&u)
            }
            Operation::EcdsaSign | Operation::Sm2Sign => self.sign(fields, input, scratch),
            Operation::EcdsaVerify | Operation::Sm2Verify => {
                self.verify(fields, input, scratch).map(|valid| vec![u8::from(valid)])
            }
            Operation::Sm2Generate => {
                let curve = Curve::parse(&mut fields, scratch)?;
                let n = modulus(after_b(&mut fields), scratch)?;
                let below = n.value().predecessor().ok_or(Failure::Parameter)?;
                let secret = draw(&below)?;
                let base = point(&mut input.chunks_exact(self.width))?;
                let public = curve.multiply(&secret, &base, scratch)?;
                Ok([self.point_bytes(&public)?, self.bytes(&secret)?].concat())
            }
            Operation::Sm2Encrypt => self.encrypt(fields, input, scratch),
            Operation::Sm2Decrypt => self.decrypt(fields, input, scratch),
        }
    }

    /// Key: p, a, d, b, n, G. Input: e, k. Output: r, s.
    fn sign(&self, mut fields: Fields<'_>, input: &[u8], scratch: &mut Scratch) -> Result<Vec<u8>, Failure> {
        let curve = Curve::parse(&mut fields, scratch)?;
        let secret = number(&mut fields)?;
        let n = modulus(after_b(&mut fields), scratch)?;
        let base = point(&mut fields)?;
        let mut input = input.chunks_exact(self.width);
        let (e, k) = (number(&mut input)?, number(&mut input)?);
        if secret.is_zero() {
            return Err(Failure::Arithmetic);
        }
        for _ in 0..MAX_DRAWS {
            let k = if self.draws { draw(n.value())? } else { reduce(&n, &k, scratch)? };
            if k.is_zero() {
                return Err(Failure::Arithmetic);
            }
            let x = curve.multiply(&k, &base, scratch)?.x;
            let signature = if self.operation == Operation::EcdsaSign {
                ecdsa_signature(&n, &secret, &e, &k, &x, scratch)
            } else {
                sm2_signature(&n, &secret, &e, &k, &x, scratch)
            };
            match signature {
                Some((r, s)) => return Ok([self.bytes(&r)?, self.bytes(&s)?].concat()),
                None if self.draws => {}
                None => break,
            }
        }
        Err(Failure::Arithmetic)
    }

    /// Key: p, a, b, n, G, Q. Input: e, s, r, in this order.
    fn verify(&self, mut fields: Fields<'_>, input: &[u8], scratch: &mut Scratch) -> Result<bool, Failure> {
        let curve = Curve::parse(&mut fields, scratch)?;
        let n = modulus(after_b(&mut fields), scratch)?;
        let (base, public) = (point(&mut fields)?, point(&mut fields)?);
        let mut input = input.chunks_exact(self.width);
        let (e, s, r) = (number(&mut input)?, number(&mut input)?, number(&mut input)?);
        let in_range = |number: &Number| !number.is_zero() && number < n.value();
        if !in_range(&r) || !in_range(&s) || !curve.has(&base) || !curve.has(&public) {
            return Ok(false);
        }
        let e = reduce(&n, &e, scratch)?;
        let valid = if self.operation == Operation::EcdsaVerify {
            let Some(w) = s.inverse(n.value(), scratch) else { return Ok(false) };
            let (u1, u2) = (n.product(&e, &w, scratch), n.product(&r, &w, scratch));
            let (u1, u2) = (u1.ok_or(Failure::Parameter)?, u2.ok_or(Failure::Parameter)?);
            curve
                .combine(&[(&u1, &base), (&u2, &public)], scratch)
                .and_then(|point| n.reduce(&point.x, scratch))
                .is_some_and(|x| x == r)
        } else {
            let t = n.add(&r, &s).ok_or(Failure::Parameter)?;
            if t.is_zero() {
                return Ok(false);
            }
            curve
                .combine(&[(&s, &base), (&t, &public)], scratch)
                .and_then(|point| n.reduce(&point.x, scratch))
                .and_then(|x| n.add(&e, &x))
                .is_some_and(|x| x == r)
        };
        Ok(valid)
    }

    /// Key: p, a, b, n, G, Q. Input: k, message. Output: C1, C2, C3.
    fn encrypt(
        &self,
        mut fields: Fields<'_>,
        input: &[u8],
        scratch: &mut Scratch,
    ) -> Result<Vec<u8>, Failure> {
        let curve = Curve::parse(&mut fields, scratch)?;
        let n = modulus(after_b(&mut fields), scratch)?;
        let (base, public) = (point(&mut fields)?, point(&mut fields)?);
        let (k, message) = input.split_at_checked(self.width).ok_or(Failure::Parameter)?;
        let k = Number::from_bytes(k).ok_or(Failure::Parameter)?;
        for _ in 0..MAX_DRAWS {
            let k = if self.draws { draw(n.value())? } else { reduce(&n, &k, scratch)? };
            let c1 = self.point_bytes(&curve.multiply(&k, &base, scratch)?)?;
            let shared = self.point_bytes(&curve.multiply(&k, &public, scratch)?)?;
            let mask = derive(&shared, message.len());
            if mask.iter().all(|byte| *byte == 0) {
                if self.draws {
                    continue;
                }
                break;
            }
            let c2 = xor(message, &mask);
            return Ok([c1, c2, self.check(&shared, message).to_vec()].concat());
        }
        Err(Failure::Arithmetic)
    }

    /// Key: p, a, d, b. Input: C1, C2, C3. Output: the message, if C3 is that of this message.
    fn decrypt(
        &self,
        mut fields: Fields<'_>,
        input: &[u8],
        scratch: &mut Scratch,
    ) -> Result<Vec<u8>, Failure> {
        let curve = Curve::parse(&mut fields, scratch)?;
        let secret = number(&mut fields)?;
        let c1 = point(&mut input.chunks_exact(self.width))?;
        let rest = input.get(self.width * 2..).ok_or(Failure::Parameter)?;
        let (c2, c3) = rest.split_at_checked(self.message_len).ok_or(Failure::Parameter)?;
        let shared = self.point_bytes(&curve.multiply(&secret, &c1, scratch)?)?;
        let message = xor(c2, &derive(&shared, c2.len()));
        if self.check(&shared, &message) == c3 { Ok(message) } else { Err(Failure::Arithmetic) }
    }

    /// C3: the digest of x2, message, y2.
    fn check(&self, shared: &[u8], message: &[u8]) -> [u8; sm3::DIGEST_LEN] {
        let (x, y) = shared.split_at(self.width);
        sm3::digest(&[x, message, y])
    }

    fn bytes(&self, number: &Number) -> Result<Vec<u8>, Failure> {
        number.to_bytes(self.width).ok_or(Failure::Arithmetic)
    }

    fn point_bytes(&self, point: &Point) -> Result<Vec<u8>, Failure> {
        Ok([self.bytes(&point.x)?, self.bytes(&point.y)?].concat())
    }
}

impl Curve {
    /// From the first two fields of any key.
    fn parse(fields: &mut Fields<'_>, scratch: &mut Scratch) -> Result<Self, Failure> {
        let (Some(p), Some(a)) = (fields.next(), fields.next()) else { return Err(Failure::Parameter) };
        Self::from_bytes(p, a, scratch).ok_or(Failure::Parameter)
    }

    fn multiply(&self, scalar: &Number, point: &Point, scratch: &mut Scratch) -> Result<Point, Failure> {
        if !self.has(point) {
            return Err(Failure::Parameter);
        }
        self.combine(&[(scalar, point)], scratch).ok_or(Failure::Arithmetic)
    }
}

/// Passes over b, which no operation needs.
fn after_b<'f, 'k>(fields: &'f mut Fields<'k>) -> &'f mut Fields<'k> {
    fields.next();
    fields
}

fn ecdsa_signature(
    n: &Modulus,
    secret: &Number,
    e: &Number,
    k: &Number,
    x: &Number,
    scratch: &mut Scratch,
) -> Option<(Number, Number)> {
    let r = n.reduce(x, scratch)?;
    let sum = n.add(&n.reduce(e, scratch)?, &n.product(secret, &r, scratch)?)?;
    let inverse = k.inverse(n.value(), scratch)?;
    let s = n.product(&inverse, &sum, scratch)?;
    (!r.is_zero() && !s.is_zero()).then_some((r, s))
}

fn sm2_signature(
    n: &Modulus,
    secret: &Number,
    e: &Number,
    k: &Number,
    x: &Number,
    scratch: &mut Scratch,
) -> Option<(Number, Number)> {
    let r = n.add(&n.reduce(e, scratch)?, &n.reduce(x, scratch)?)?;
    if r.is_zero() || n.add(&r, k)?.is_zero() {
        return None;
    }
    let inverse = secret.successor()?.inverse(n.value(), scratch)?;
    let difference = n.subtract(k, &n.product(&r, secret, scratch)?)?;
    let s = n.product(&inverse, &difference, scratch)?;
    (!s.is_zero()).then_some((r, s))
}

fn number(fields: &mut Fields<'_>) -> Result<Number, Failure> {
    fields.next().and_then(Number::from_bytes).ok_or(Failure::Parameter)
}

fn modulus(fields: &mut Fields<'_>, scratch: &mut Scratch) -> Result<Modulus, Failure> {
    fields.next().and_then(|bytes| Modulus::from_bytes(bytes, scratch)).ok_or(Failure::Parameter)
}

fn point(fields: &mut Fields<'_>) -> Result<Point, Failure> {
    Ok(Point { x: number(fields)?, y: number(fields)? })
}

fn reduce(n: &Modulus, number: &Number, scratch: &mut Scratch) -> Result<Number, Failure> {
    n.reduce(number, scratch).ok_or(Failure::Parameter)
}

/// A random number from 1 to `limit` − 1.
fn draw(limit: &Number) -> Result<Number, Failure> {
    let bits = usize::try_from(limit.bits()).unwrap_or(0);
    let mut bytes = vec![0; bits.div_ceil(8)];
    for _ in 0..MAX_DRAWS {
        random::fill(&mut bytes).ok_or(Failure::Arithmetic)?;
        if let Some(first) = bytes.first_mut() {
            *first &= 0xFF >> (bits.next_multiple_of(8) - bits);
        }
        let number = Number::from_bytes(&bytes).ok_or(Failure::Arithmetic)?;
        if !number.is_zero() && number < *limit {
            return Ok(number);
        }
    }
    Err(Failure::Arithmetic)
}

/// The key derivation of GB/T 32918.4 §5.4.3: a 32-bit counter from 1.
fn derive(shared: &[u8], len: usize) -> Vec<u8> {
    (1u32..).flat_map(|counter| sm3::digest(&[shared, &counter.to_be_bytes()])).take(len).collect()
}

fn xor(left: &[u8], right: &[u8]) -> Vec<u8> {
    left.iter().zip(right).map(|(left, right)| left ^ right).collect()
}

/// Each draw fails with a probability of at most one half; where nothing ever fits, the parameters are wrong.
const MAX_DRAWS: usize = 128;

#[cfg(test)]
mod tests;
