//! Short Weierstrass curves over prime fields: y² = x³ + a·x + b.
//!
//! The device takes any such curve; its parameters travel with each request (`hpre §2.2`). The standard ones are kept here
//! so that front doors need not spell them out, and so that each has its own row in the counters.

use std::fmt;
use std::sync::Arc;

use once_cell::race::OnceBox;
use zeroize::Zeroizing;

use super::field::{Equation, Modulus, WIDEST_BYTES, ecdsa_agrees, in_range, sm2_agrees};
use super::number::{bits, is_odd, place, place_any, strip_public};
use crate::Error;

/// Which curve, as the counters and the configuration know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CurveName {
    /// NIST P-192, `prime192v1`.
    P192,
    /// NIST P-224, `secp224r1`.
    P224,
    /// NIST P-256, `prime256v1`.
    P256,
    /// NIST P-384, `secp384r1`.
    P384,
    /// NIST P-521, `secp521r1`.
    P521,
    /// `secp256k1`.
    Secp256k1,
    /// `brainpoolP256r1`.
    BrainpoolP256,
    /// `brainpoolP320r1`.
    BrainpoolP320,
    /// `brainpoolP384r1`.
    BrainpoolP384,
    /// `brainpoolP512r1`.
    BrainpoolP512,
    /// The recommended curve of GB/T 32918.5.
    Sm2,
    /// Any other.
    Other,
}

impl CurveName {
    /// Every curve, in the order of the counters.
    pub const ALL: [Self; 12] = [
        Self::P192,
        Self::P224,
        Self::P256,
        Self::P384,
        Self::P521,
        Self::Secp256k1,
        Self::BrainpoolP256,
        Self::BrainpoolP320,
        Self::BrainpoolP384,
        Self::BrainpoolP512,
        Self::Sm2,
        Self::Other,
    ];

    /// Position in [`CurveName::ALL`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    fn numbers(self) -> Option<&'static Numbers> {
        Some(match self {
            Self::P192 => &P_192,
            Self::P224 => &P_224,
            Self::P256 => &P_256,
            Self::P384 => &P_384,
            Self::P521 => &P_521,
            Self::Secp256k1 => &SECP256K1,
            Self::BrainpoolP256 => &BRAINPOOL_P256,
            Self::BrainpoolP320 => &BRAINPOOL_P320,
            Self::BrainpoolP384 => &BRAINPOOL_P384,
            Self::BrainpoolP512 => &BRAINPOOL_P512,
            Self::Sm2 => &SM2,
            Self::Other => return None,
        })
    }
}

/// The numbers of a curve, unsigned big-endian, leading zeros allowed. All public.
#[derive(Clone, Copy, Debug)]
pub struct CurveParameters<'a> {
    /// The prime of the field.
    pub p: &'a [u8],
    /// Coefficient, below p; may be zero.
    pub a: &'a [u8],
    /// Coefficient, below p.
    pub b: &'a [u8],
    /// The order of the generator, a prime.
    pub n: &'a [u8],
    /// The generator.
    pub gx: &'a [u8],
    /// The generator.
    pub gy: &'a [u8],
}

/// A curve the device can work on, checked once. Cheap to clone.
#[derive(Clone)]
pub struct Curve(Arc<Inner>);

struct Inner {
    name: CurveName,
    /// Bytes of p.
    len_bytes: usize,
    /// Bytes of n.
    order_len_bytes: usize,
    /// Bits of n.
    order_bits: usize,
    /// Field width of the device: 32, 48 or 72 bytes (`hpre §1.3`), the H of `hpre §3`.
    width_bytes: usize,
    /// p ‖ a ‖ b ‖ n ‖ Gx ‖ Gy, each padded to the width.
    fields: Box<[u8]>,
    equation: Equation,
    order: Modulus,
}

impl Curve {
    /// Checks a curve by its numbers; a standard one is recognised.
    ///
    /// Takes some tens of microseconds: do it once per group, not per key.
    /// # Errors
    /// [`Error::Unsuitable`]: p of fewer than 128 or more than 576 bits, n longer than the field (32, 48 or 72 bytes), an even
    /// p or n, a coefficient not below p, a singular curve, or a generator that is not on it. Whether p and n are prime, and n
    /// is the generator's order, is not checked: who takes a curve from a stranger checks that.
    pub fn new(parameters: &CurveParameters<'_>) -> Result<Self, Error> {
        let &CurveParameters { p, a, b, n, gx, gy } = parameters;
        let (p, n) = (strip_public(p), strip_public(n));
        let len_bytes = p.len();
        if bits(p) < 128 || !is_odd(p) || !is_odd(n) {
            return Err(Error::Unsuitable);
        }
        let longest = len_bytes.max(n.len());
        let width_bytes =
            WIDTHS_BYTES.into_iter().find(|width| longest <= *width).ok_or(Error::Unsuitable)?;

        let mut fields = vec![0; width_bytes * 6].into_boxed_slice();
        let mut fits = true;
        for (field, number) in fields.chunks_exact_mut(width_bytes).zip([p, a, b, n, gx, gy]) {
            fits &= place_any(number, field);
        }
        if !fits {
            return Err(Error::Unsuitable);
        }
        let equation = {
            let (p, a, b) =
                (part(&fields, width_bytes, 0), part(&fields, width_bytes, 1), part(&fields, width_bytes, 2));
            let below = super::is_below(a, p) && super::is_below(b, p);
            below.then(|| Equation::new(p, a, b)).flatten().ok_or(Error::Unsuitable)?
        };
        let inner = Inner {
            name: recognised(&fields, width_bytes),
            len_bytes,
            order_len_bytes: n.len(),
            order_bits: bits(n),
            width_bytes,
            equation,
            order: Modulus::new(n).ok_or(Error::Unsuitable)?,
            fields,
        };
        let curve = Self(Arc::new(inner));
        let (x, y) = (curve.field(GX), curve.field(GX + 1));
        if curve.contains(x, y) { Ok(curve) } else { Err(Error::Unsuitable) }
    }

    /// A standard curve, made at its first use; `None` for [`CurveName::Other`].
    pub fn known(name: CurveName) -> Option<Self> {
        static KNOWN: [OnceBox<Curve>; CurveName::ALL.len()] =
            [const { OnceBox::new() }; CurveName::ALL.len()];
        let place = KNOWN.get(name.index())?;
        let made = place.get_or_try_init(|| {
            let Numbers { p, a, b, n, gx, gy } = name.numbers().ok_or(Error::Unsuitable)?;
            let [p, a, b, n, gx, gy] = [p, a, b, n, gx, gy].map(|digits| hex(digits));
            let parameters = CurveParameters { p: &p, a: &a, b: &b, n: &n, gx: &gx, gy: &gy };
            Self::new(&parameters).map(Box::new)
        });
        made.ok().cloned()
    }

    /// Which one it is.
    pub fn name(&self) -> CurveName {
        self.0.name
    }

    /// Bytes of the prime, and of each coordinate in results: 32 for P-256, 66 for P-521.
    pub fn len_bytes(&self) -> usize {
        self.0.len_bytes
    }

    /// Bytes of the order, and of r and s in signatures.
    pub fn order_len_bytes(&self) -> usize {
        self.0.order_len_bytes
    }

    /// Whether a number, big-endian, is in 1..n: a private scalar, or a nonce. Takes the same time for all numbers of one length.
    pub fn takes_scalar(&self, number: &[u8]) -> bool {
        let mut field = Zeroizing::new(vec![0; self.0.width_bytes]);
        self.padded(number, &mut field).is_some() && self.is_scalar(&field)
    }

    /// Bytes of one field in the device's buffers: 32, 48 or 72.
    pub(crate) fn width_bytes(&self) -> usize {
        self.0.width_bytes
    }

    /// Field `index` of p, a, b, n, Gx, Gy, padded to the width.
    pub(crate) fn field(&self, index: usize) -> &[u8] {
        part(&self.0.fields, self.0.width_bytes, index)
    }

    /// n, padded to the width.
    pub(crate) fn order(&self) -> &[u8] {
        self.field(N)
    }

    /// Gx ‖ Gy, each padded to the width.
    pub(crate) fn generator(&self) -> &[u8] {
        self.0.fields.get(GX * self.0.width_bytes..).unwrap_or_default()
    }

    /// Whether r and s, padded to the width, are in 1..n and fit digest, nonce and key as ECDSA wants; see
    /// [`ecdsa_agrees`]. Takes the same time for all numbers in range.
    pub(crate) fn ecdsa_fits(&self, signature: (&[u8], &[u8]), e: &[u8], k: &[u8], d: &[u8]) -> bool {
        let in_range = self.is_scalar(signature.0) && self.is_scalar(signature.1);
        in_range && ecdsa_agrees(&self.0.order, signature, e, k, d)
    }

    /// The same for SM2.
    pub(crate) fn sm2_fits(&self, signature: (&[u8], &[u8]), k: &[u8], d: &[u8]) -> bool {
        let in_range = self.is_scalar(signature.0) && self.is_scalar(signature.1);
        in_range && sm2_agrees(&self.0.order, signature, k, d)
    }

    /// The leftmost bits of a digest, as many as the order has, as a field of the width (FIPS 186-5 §6.4.1). The number may
    /// exceed n; `None`: it is zero, which hardware does not take (`hpre §4.3`).
    pub(crate) fn place_digest(&self, digest: &[u8], field: &mut [u8]) -> Option<()> {
        let taken = digest.len().min(self.0.order_len_bytes);
        self.padded(digest.get(..taken)?, field)?;
        let excess = (taken * 8).saturating_sub(self.0.order_bits);
        if excess > 0 {
            // Fewer than eight: only whole bytes of the order were taken.
            let mut above = 0;
            for byte in field.iter_mut() {
                let wide = above << 8 | u16::from(*byte);
                above = u16::from(*byte);
                *byte = u8::try_from(wide >> excess & 0xff).ok()?;
            }
        }
        (!super::number::is_zero(field)).then_some(())
    }

    /// Copies two fields of the width to `output` without their padding, each at `len_bytes`; `None`: `output` is not as long.
    pub(crate) fn unpad(fields: &[u8], len_bytes: usize, output: &mut [u8]) -> Option<()> {
        let (first, second) = fields.split_at(fields.len() / 2);
        let (to_first, to_second) = output.split_at_mut_checked(len_bytes)?;
        let start = first.len().checked_sub(len_bytes)?;
        if to_second.len() != len_bytes {
            return None;
        }
        to_first.copy_from_slice(first.get(start..)?);
        to_second.copy_from_slice(second.get(start..)?);
        Some(())
    }

    /// True when x and y, each padded to the width, are below p and satisfy the equation; infinity has no such form. Takes
    /// the same time for all points.
    pub(crate) fn contains(&self, x: &[u8], y: &[u8]) -> bool {
        let p = self.field(P);
        x.len() == p.len()
            && y.len() == p.len()
            && super::is_below(x, p) & super::is_below(y, p) & self.0.equation.holds(x, y)
    }

    /// The sum of two points of the curve, which may be the same; points are x ‖ y, each padded to the width, and public. `None`: it
    /// has no coordinates.
    pub(crate) fn sum(&self, one: &[u8], other: &[u8]) -> Option<Box<[u8]>> {
        let halves = |point| <[u8]>::split_at_checked(point, self.0.width_bytes);
        let [x, y] = self.0.equation.sum(halves(one)?, halves(other)?)?;
        let skip = WIDEST_BYTES.checked_sub(self.0.width_bytes)?;
        Some([x.get(skip..)?, y.get(skip..)?].concat().into_boxed_slice())
    }

    /// A point of the curve plus twice the generator, as [`Self::sum`].
    pub(crate) fn plus_two_generators(&self, point: &[u8]) -> Option<Box<[u8]>> {
        self.sum(point, &self.sum(self.generator(), self.generator())?)
    }

    /// Whether points that were multiplied fit each other: `first` a multiple of G, `second` the same multiple of another point Q, and
    /// `third` the negative of it of Q + 2G ([`Self::plus_two_generators`]); then 2·`first` + `second` + `third` is nothing. Points of
    /// the curve, x ‖ y, each padded to the width. Takes the same time for all of them. `None`: they are such that it cannot be
    /// told.
    pub(crate) fn multiples_fit(&self, first: &[u8], second: &[u8], third: &[u8]) -> Option<bool> {
        let halves = |point| <[u8]>::split_at_checked(point, self.0.width_bytes);
        self.0.equation.cancel(halves(first)?, halves(second)?, halves(third)?)
    }

    /// Whether a number padded to the width is in 1..n. Takes the same time for all numbers.
    pub(crate) fn is_scalar(&self, number: &[u8]) -> bool {
        in_range(number, self.order())
    }

    /// A number as a field of the width; `None`: it does not fit, or is zero.
    pub(crate) fn padded(&self, number: &[u8], field: &mut [u8]) -> Option<()> {
        (field.len() == self.0.width_bytes && place(number, field)).then_some(())
    }
}

impl PartialEq for Curve {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.fields == other.0.fields
    }
}

impl Eq for Curve {}

impl fmt::Debug for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Curve").field("name", &self.0.name).field("len_bytes", &self.0.len_bytes).finish()
    }
}

/// Positions in [`Inner::fields`].
const P: usize = 0;
const N: usize = 3;
const GX: usize = 4;

/// Field widths of the device, bytes (`hpre §1.3`).
const WIDTHS_BYTES: [usize; 3] = [32, 48, WIDEST_BYTES];

/// Field `index` of fields of one width.
fn part(fields: &[u8], width_bytes: usize, index: usize) -> &[u8] {
    fields.get(index * width_bytes..(index + 1) * width_bytes).unwrap_or_default()
}

/// The standard curve that has these numbers.
fn recognised(fields: &[u8], width_bytes: usize) -> CurveName {
    let is = |name: &CurveName| {
        name.numbers().is_some_and(|Numbers { p, a, b, n, gx, gy }| {
            let mut wanted = fields.chunks_exact(width_bytes).zip([p, a, b, n, gx, gy]);
            wanted.all(|(field, digits)| strip_public(field) == strip_public(&hex(digits)))
        })
    };
    CurveName::ALL.into_iter().find(is).unwrap_or(CurveName::Other)
}

/// The bytes of hexadecimal digits.
fn hex(digits: &str) -> Vec<u8> {
    let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).filter_map(pair).collect()
}

/// A standard curve's numbers, hexadecimal.
struct Numbers {
    p: &'static str,
    a: &'static str,
    b: &'static str,
    n: &'static str,
    gx: &'static str,
    gy: &'static str,
}

/// P-192 (FIPS 186-4 D.1.2.1).
const P_192: Numbers = Numbers {
    p: "fffffffffffffffffffffffffffffffeffffffffffffffff",
    a: "fffffffffffffffffffffffffffffffefffffffffffffffc",
    b: "64210519e59c80e70fa7e9ab72243049feb8deecc146b9b1",
    n: "ffffffffffffffffffffffff99def836146bc9b1b4d22831",
    gx: "188da80eb03090f67cbf20eb43a18800f4ff0afd82ff1012",
    gy: "07192b95ffc8da78631011ed6b24cdd573f977a11e794811",
};
/// P-224 (SP 800-186 3.2.1.2).
const P_224: Numbers = Numbers {
    p: "ffffffffffffffffffffffffffffffff000000000000000000000001",
    a: "fffffffffffffffffffffffffffffffefffffffffffffffffffffffe",
    b: "b4050a850c04b3abf54132565044b0b7d7bfd8ba270b39432355ffb4",
    n: "ffffffffffffffffffffffffffff16a2e0b8f03e13dd29455c5c2a3d",
    gx: "b70e0cbd6bb4bf7f321390b94a03c1d356c21122343280d6115c1d21",
    gy: "bd376388b5f723fb4c22dfe6cd4375a05a07476444d5819985007e34",
};
/// P-256 (SP 800-186 3.2.1.3).
const P_256: Numbers = Numbers {
    p: "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
    a: "ffffffff00000001000000000000000000000000fffffffffffffffffffffffc",
    b: "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
    n: "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    gx: "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
    gy: "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
};
/// P-384 (SP 800-186 3.2.1.4).
const P_384: Numbers = Numbers {
    p: "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
    a: "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000fffffffc",
    b: "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
    n: "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    gx: "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7",
    gy: "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f",
};
/// P-521 (SP 800-186 3.2.1.5).
const P_521: Numbers = Numbers {
    p: "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    a: "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffc",
    b: "0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00",
    n: "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
    gx: "00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66",
    gy: "011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650",
};
/// secp256k1 (SEC 2 2.4.1).
const SECP256K1: Numbers = Numbers {
    p: "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f",
    a: "0000000000000000000000000000000000000000000000000000000000000000",
    b: "0000000000000000000000000000000000000000000000000000000000000007",
    n: "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
    gx: "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    gy: "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8",
};
/// brainpoolP256r1 (RFC 5639 3.4).
const BRAINPOOL_P256: Numbers = Numbers {
    p: "a9fb57dba1eea9bc3e660a909d838d726e3bf623d52620282013481d1f6e5377",
    a: "7d5a0975fc2c3057eef67530417affe7fb8055c126dc5c6ce94a4b44f330b5d9",
    b: "26dc5c6ce94a4b44f330b5d9bbd77cbf958416295cf7e1ce6bccdc18ff8c07b6",
    n: "a9fb57dba1eea9bc3e660a909d838d718c397aa3b561a6f7901e0e82974856a7",
    gx: "8bd2aeb9cb7e57cb2c4b482ffc81b7afb9de27e1e3bd23c23a4453bd9ace3262",
    gy: "547ef835c3dac4fd97f8461a14611dc9c27745132ded8e545c1d54c72f046997",
};
/// brainpoolP320r1 (RFC 5639 3.5).
const BRAINPOOL_P320: Numbers = Numbers {
    p: "d35e472036bc4fb7e13c785ed201e065f98fcfa6f6f40def4f92b9ec7893ec28fcd412b1f1b32e27",
    a: "3ee30b568fbab0f883ccebd46d3f3bb8a2a73513f5eb79da66190eb085ffa9f492f375a97d860eb4",
    b: "520883949dfdbc42d3ad198640688a6fe13f41349554b49acc31dccd884539816f5eb4ac8fb1f1a6",
    n: "d35e472036bc4fb7e13c785ed201e065f98fcfa5b68f12a32d482ec7ee8658e98691555b44c59311",
    gx: "43bd7e9afb53d8b85289bcc48ee5bfe6f20137d10a087eb6e7871e2a10a599c710af8d0d39e20611",
    gy: "14fdd05545ec1cc8ab4093247f77275e0743ffed117182eaa9c77877aaac6ac7d35245d1692e8ee1",
};
/// brainpoolP384r1 (RFC 5639 3.6).
const BRAINPOOL_P384: Numbers = Numbers {
    p: "8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b412b1da197fb71123acd3a729901d1a71874700133107ec53",
    a: "7bc382c63d8c150c3c72080ace05afa0c2bea28e4fb22787139165efba91f90f8aa5814a503ad4eb04a8c7dd22ce2826",
    b: "04a8c7dd22ce28268b39b55416f0447c2fb77de107dcd2a62e880ea53eeb62d57cb4390295dbc9943ab78696fa504c11",
    n: "8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b31f166e6cac0425a7cf3ab6af6b7fc3103b883202e9046565",
    gx: "1d1c64f068cf45ffa2a63a81b7c13f6b8847a3e77ef14fe3db7fcafe0cbd10e8e826e03436d646aaef87b2e247d4af1e",
    gy: "8abe1d7520f9c2a45cb1eb8e95cfd55262b70b29feec5864e19c054ff99129280e4646217791811142820341263c5315",
};
/// brainpoolP512r1 (RFC 5639 3.7).
const BRAINPOOL_P512: Numbers = Numbers {
    p: "aadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca703308717d4d9b009bc66842aecda12ae6a380e62881ff2f2d82c68528aa6056583a48f3",
    a: "7830a3318b603b89e2327145ac234cc594cbdd8d3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b57f1117a72bf2c7b9e7c1ac4d77fc94ca",
    b: "3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b57f1117a72bf2c7b9e7c1ac4d77fc94cadc083e67984050b75ebae5dd2809bd638016f723",
    n: "aadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca70330870553e5c414ca92619418661197fac10471db1d381085ddaddb58796829ca90069",
    gx: "81aee4bdd82ed9645a21322e9c4c6a9385ed9f70b5d916c1b43b62eef4d0098eff3b1f78e2d0d48d50d1687b93b97d5f7c6d5047406a5e688b352209bcb9f822",
    gy: "7dde385d566332ecc0eabfa9cf7822fdf209f70024a57b1aa000c55b881f8111b2dcde494a5f485e5bca4bd88a2763aed1ca2b2fa8f0540678cd1e0f3ad80892",
};
/// SM2 (GB/T 32918.5).
const SM2: Numbers = Numbers {
    p: "fffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffff",
    a: "fffffffeffffffffffffffffffffffffffffffff00000000fffffffffffffffc",
    b: "28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93",
    n: "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123",
    gx: "32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7",
    gy: "bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_curves_are_what_they_are_called() {
        for name in CurveName::ALL {
            let curve = Curve::known(name);
            assert_eq!(curve.as_ref().map(Curve::name), (name != CurveName::Other).then_some(name));
            let Some(curve) = curve else { continue };
            assert_eq!(curve.field(GX + 1).len(), curve.width_bytes());
            assert!(curve.is_scalar(&[&vec![0; curve.width_bytes() - 1][..], &[1]].concat()));
            assert!(!curve.is_scalar(curve.order()));
        }
        #[rustfmt::skip]
        let rows = [
            (CurveName::P192, 24, 32), (CurveName::P224, 28, 32), (CurveName::P256, 32, 32), (CurveName::P384, 48, 48),
            (CurveName::P521, 66, 72), (CurveName::BrainpoolP320, 40, 48), (CurveName::BrainpoolP512, 64, 72),
        ];
        for (name, len_bytes, width_bytes) in rows {
            let curve = Curve::known(name).unwrap();
            assert_eq!((curve.len_bytes(), curve.order_len_bytes()), (len_bytes, len_bytes));
            assert_eq!(curve.width_bytes(), width_bytes, "hpre §1.3");
        }
    }

    #[test]
    fn a_curve_by_its_numbers_is_recognised_with_or_without_leading_zeros() {
        let number = |digits: &str| [vec![0; 5], hex(digits)].concat();
        let Numbers { p, a, b, n, gx, gy } = P_521;
        let [p, a, b, n, gx, gy] = [p, a, b, n, gx, gy].map(number);
        let parameters = CurveParameters { p: &p, a: &a, b: &b, n: &n, gx: &gx, gy: &gy };
        let curve = Curve::new(&parameters).unwrap();
        assert_eq!(curve.name(), CurveName::P521);
        assert_eq!(curve, Curve::known(CurveName::P521).unwrap());
        // The same curve with another generator is another group.
        let minus = {
            let (p, y) = (&p[5..], &gy[5..]);
            let mut borrow = 0;
            let mut out: Vec<u8> = p
                .iter()
                .zip(y)
                .rev()
                .map(|(p, y)| {
                    let wide = 256 + i32::from(*p) - i32::from(*y) - borrow;
                    borrow = i32::from(wide < 256);
                    u8::try_from(wide % 256).unwrap()
                })
                .collect();
            out.reverse();
            out
        };
        let other = Curve::new(&CurveParameters { gy: &minus, ..parameters }).unwrap();
        assert_eq!(other.name(), CurveName::Other);
        assert_ne!(other, curve);
    }

    fn negative(curve: &Curve, point: &[u8]) -> Vec<u8> {
        let (x, y) = point.split_at(curve.width_bytes());
        let mut minus = vec![0; y.len()];
        super::super::less(curve.field(P), y, &mut minus);
        [x, &minus].concat()
    }

    /// By additions one after the other.
    fn times(curve: &Curve, factor: u32, point: &[u8]) -> Vec<u8> {
        let first = Box::from(point);
        (1..factor).fold(first, |sum: Box<[u8]>, _| curve.sum(&sum, point).unwrap()).to_vec()
    }

    #[test]
    fn sums_follow_the_group() {
        for curve in CurveName::ALL.into_iter().filter_map(Curve::known) {
            let generator = curve.generator();
            let [two, three, five] = [2, 3, 5].map(|factor| times(&curve, factor, generator));
            assert_eq!(curve.sum(&two, &three).as_deref(), Some(&five[..]));
            assert_eq!(curve.sum(&three, &two).as_deref(), Some(&five[..]));
            assert_eq!(curve.sum(&five, &negative(&curve, &two)).as_deref(), Some(&three[..]));
            assert_eq!(curve.sum(&two, &negative(&curve, &two)), None, "infinity");
            let (x, y) = five.split_at(curve.width_bytes());
            assert!(curve.contains(x, y));
        }
    }

    #[test]
    fn multiples_fit_when_all_three_are_right() {
        for curve in CurveName::ALL.into_iter().filter_map(Curve::known) {
            let generator = curve.generator();
            for (factor, secret) in [(7, 5), (3, 11), (2, 1), (9, 3)] {
                let key = times(&curve, secret, generator);
                let shifted = curve.plus_two_generators(&key).unwrap();
                let right = [
                    times(&curve, factor, generator),
                    times(&curve, factor, &key),
                    negative(&curve, &times(&curve, factor, &shifted)),
                ];
                let [first, second, third] = &right;
                assert_eq!(
                    curve.multiples_fit(first, second, third),
                    Some(true),
                    "{curve:?} {factor} {secret}"
                );
                let swapped = curve.multiples_fit(second, first, third);
                assert_eq!(swapped == Some(true), first == second, "the other way round");
                for (at, point) in right.iter().enumerate() {
                    for wrong in
                        [negative(&curve, point), curve.sum(point, generator).unwrap().to_vec(), key.clone()]
                    {
                        let mut points = right.clone();
                        points[at] = wrong;
                        if points == right {
                            continue;
                        }
                        let [first, second, third] = &points;
                        assert_ne!(
                            curve.multiples_fit(first, second, third),
                            Some(true),
                            "{curve:?} {factor} {secret} {at}"
                        );
                    }
                }
            }
            // Q = 2G: twice the first is the second, and any third would lie on a line with it.
            let two = times(&curve, 2, generator);
            let (first, second) = (times(&curve, 3, generator), times(&curve, 3, &two));
            assert_eq!(curve.multiples_fit(&first, &second, &two), None);
        }
    }

    #[test]
    fn digests_are_cut_to_the_order() {
        let curve = |name| Curve::known(name).unwrap();
        let place = |name, digest: &[u8]| {
            let mut field = vec![0; curve(name).width_bytes()];
            curve(name).place_digest(digest, &mut field).map(|()| field)
        };
        let digest: Vec<u8> = (129..=208).collect();
        assert_eq!(place(CurveName::P256, &digest[..20]).unwrap(), [&[0; 12], &digest[..20]].concat());
        assert_eq!(place(CurveName::P256, &digest).unwrap(), digest[..32]);
        assert_eq!(place(CurveName::P521, &digest[..64]).unwrap(), [&[0; 8], &digest[..64]].concat());
        // 528 bits taken, 521 wanted: seven to the right.
        let shifted = place(CurveName::P521, &digest).unwrap();
        assert_eq!(shifted[..6], [0; 6]);
        // 81 82 83 … c1 c2
        assert_eq!(shifted[6..9], [0x01, 0x03, 0x05]);
        assert_eq!(shifted[71], 0x83);
        for zero in [&[][..], &[0; 32], &[0; 80]] {
            assert_eq!(place(CurveName::P256, zero), None);
        }
    }

    #[test]
    fn unsuitable_curves() {
        let Numbers { p, a, b, n, gx, gy } = P_256;
        let [p, a, b, n, gx, gy] = [p, a, b, n, gx, gy].map(hex);
        let good = CurveParameters { p: &p, a: &a, b: &b, n: &n, gx: &gx, gy: &gy };
        assert!(Curve::new(&good).is_ok());
        let mut even = p.clone();
        even[31] ^= 1;
        let mut off = gy.clone();
        off[0] ^= 1;
        let long = [1; 73];
        #[rustfmt::skip]
        let rows = [
            ("p missing", CurveParameters { p: &[], ..good }),
            ("p even", CurveParameters { p: &even, ..good }),
            ("p short", CurveParameters { p: &[3], ..good }),
            ("p long", CurveParameters { p: &long, ..good }),
            ("n missing", CurveParameters { n: &[0], ..good }),
            ("n long", CurveParameters { n: &long, ..good }),
            ("a is p", CurveParameters { a: &p, ..good }),
            ("b is p", CurveParameters { b: &p, ..good }),
            ("generator off the curve", CurveParameters { gy: &off, ..good }),
            ("generator at the origin", CurveParameters { gx: &[], gy: &[], ..good }),
            ("x is p", CurveParameters { gx: &p, ..good }),
            ("singular", CurveParameters { a: &[], b: &[], gx: &[1], gy: &[1], ..good }),
        ];
        for (what, parameters) in rows {
            assert!(Curve::new(&parameters).is_err(), "{what}");
        }
    }
}
