//! X25519 and X448 (RFC 7748).

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::field::in_range;
use super::number::place;
use crate::secret::Secret;
use crate::{Algorithm, Error};

/// Which of the two functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EcxKind {
    /// Curve25519; 32-byte strings.
    X25519,
    /// Curve448; 56-byte strings.
    X448,
}

impl EcxKind {
    /// Bytes of scalars, u-coordinates and results as RFC 7748 writes them.
    pub fn len_bytes(self) -> usize {
        match self {
            Self::X25519 => 32,
            Self::X448 => 56,
        }
    }

    /// Its row of counters and policy.
    pub fn algorithm(self) -> Algorithm {
        match self {
            Self::X25519 => Algorithm::X25519,
            Self::X448 => Algorithm::X448,
        }
    }

    /// Bytes of one field in the device's buffers (hpre §1.3: X448 takes the widest).
    pub(crate) fn width_bytes(self) -> usize {
        match self {
            Self::X25519 => 32,
            Self::X448 => 72,
        }
    }

    /// The prime, padded to the width: 2^255 - 19, 2^448 - 2^224 - 1.
    fn prime(self) -> Vec<u8> {
        let mut p = vec![0; self.width_bytes()];
        let start = self.width_bytes() - self.len_bytes();
        if let Some(digits) = p.get_mut(start..) {
            digits.fill(0xff);
            match self {
                Self::X25519 => {
                    (digits[0], digits[31]) = (0x7f, 0xed);
                }
                Self::X448 => digits[27] = 0xfe,
            }
        }
        p
    }

    /// (A - 2) / 4: what the device calls `a` (hpre §3.5).
    fn a24(self) -> &'static [u8] {
        match self {
            Self::X25519 => &[0x01, 0xdb, 0x41],
            Self::X448 => &[0x98, 0xa9],
        }
    }

    /// The u-coordinate of the base point.
    fn base(self) -> u8 {
        match self {
            Self::X25519 => 9,
            Self::X448 => 5,
        }
    }
}

/// An X25519 or X448 private key in device layout, held once per key, shared with requests in flight, zeroised when the
/// last owner drops it. Cheap to clone.
#[derive(Clone)]
pub struct EcxPrivateKey {
    kind: EcxKind,
    /// p ‖ a24 ‖ k, each padded to the width (hpre §3.5).
    material: Arc<Secret>,
}

impl EcxPrivateKey {
    /// The device form of a private key as RFC 7748 §5 writes it: little-endian, `kind.len_bytes()` bytes, clamped here.
    /// # Errors
    /// [`Error::Unsuitable`]: another length.
    pub fn new(kind: EcxKind, scalar: &[u8]) -> Result<Self, Error> {
        if scalar.len() != kind.len_bytes() {
            return Err(Error::Unsuitable);
        }
        let width = kind.width_bytes();
        let mut digits: Zeroizing<Vec<u8>> = Zeroizing::new(scalar.iter().rev().copied().collect());
        match (kind, digits.as_mut_slice()) {
            (EcxKind::X25519, [first, .., last]) => {
                *last &= 0xf8;
                *first = *first & 0x7f | 0x40;
            }
            (EcxKind::X448, [first, .., last]) => {
                *last &= 0xfc;
                *first |= 0x80;
            }
            _ => return Err(Error::Unsuitable),
        }
        let mut material = Secret::zeroed(width * 3);
        let prime = kind.prime();
        let mut fits = true;
        for (field, number) in material.bytes_mut().chunks_exact_mut(width).zip([&prime, kind.a24(), &digits])
        {
            fits &= place(number, field);
        }
        if fits { Ok(Self { kind, material: Arc::new(material) }) } else { Err(Error::Unsuitable) }
    }

    /// Which function it is for.
    pub fn kind(&self) -> EcxKind {
        self.kind
    }

    /// The key buffer (hpre §3.5): three fields.
    pub(crate) fn material(&self) -> &Arc<Secret> {
        &self.material
    }

    fn prime(&self) -> &[u8] {
        self.material.bytes().get(..self.kind.width_bytes()).unwrap_or_default()
    }

    /// Fills a field of the width with the u-coordinate of the base point.
    pub(crate) fn place_base(&self, field: &mut [u8]) -> Option<()> {
        (field.len() == self.kind.width_bytes() && place(&[self.kind.base()], field)).then_some(())
    }

    /// Turns a peer's u-coordinate, as RFC 7748 writes it, into a field of the width; `None` unless it is in 1..p once
    /// X25519's unused bit is cleared: the device wants no other (hpre §4.3).
    pub(crate) fn place_peer(&self, u: &[u8], field: &mut [u8]) -> Option<()> {
        let start = field.len().checked_sub(self.kind.len_bytes())?;
        if u.len() != self.kind.len_bytes() || field.len() != self.kind.width_bytes() {
            return None;
        }
        let digits = field.get_mut(start..)?;
        for (digit, byte) in digits.iter_mut().zip(u.iter().rev()) {
            *digit = *byte;
        }
        if self.kind == EcxKind::X25519 {
            *digits.first_mut()? &= 0x7f;
        }
        in_range(field, self.prime()).then_some(())
    }

    /// Turns a result of the device, a field of the width, into RFC 7748's bytes; `None` when it is no element of the field, or
    /// zero, which a peer's point of small order gives: software says what that means. The same time for all values.
    pub(crate) fn accept(&self, field: &[u8], output: &mut [u8]) -> Option<()> {
        if field.len() != self.kind.width_bytes() || output.len() != self.kind.len_bytes() {
            return None;
        }
        if !in_range(field, self.prime()) {
            return None;
        }
        for (byte, digit) in output.iter_mut().zip(field.iter().rev()) {
            *byte = *digit;
        }
        Some(())
    }
}

impl fmt::Debug for EcxPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EcxPrivateKey").field("kind", &self.kind).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(digits: &str) -> Vec<u8> {
        let digits: Vec<char> = digits.chars().filter(|digit| !digit.is_whitespace()).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).unwrap()).collect()
    }

    /// The first vectors of RFC 7748 §5.2 in the byte order of `hpre §9.5`.
    #[test]
    fn fields_equal_the_worked_examples() {
        let scalar = hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
        let key = EcxPrivateKey::new(EcxKind::X25519, &scalar).unwrap();
        let p = [vec![0x7f], vec![0xff; 30], vec![0xed]].concat();
        let a24 = [vec![0; 29], vec![0x01, 0xdb, 0x41]].concat();
        let k = hex("449a44ba44226a50185afcc10a4c1462dd5e46824b15163b9d7c52f06be346a0");
        assert_eq!(key.material().bytes(), [p, a24, k].concat());
        let u = hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
        let mut field = [0; 32];
        key.place_peer(&u, &mut field).unwrap();
        assert_eq!(field.to_vec(), hex("4c1cabd0a603a9103b35b326ec2466727c5fb124a4c19435db3030586768dbe6"));
        let mut out = [0; 32];
        key.accept(&hex("5285a2775507b454f7711c4903cfec324f088df24dea948e90c6e99d3755dac3"), &mut out)
            .unwrap();
        assert_eq!(out.to_vec(), hex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"));

        let scalar = hex(
            "3d262fddf9ec8e88495266fea19a34d28882acef045104d0d1aae121700a779c984c24f8cdd78fbff44943eba368f54b29259a4f1c600ad3",
        );
        let key = EcxPrivateKey::new(EcxKind::X448, &scalar).unwrap();
        let k = hex(
            "d30a601c4f9a25294bf568a3eb4349f4bf8fd7cdf8244c989c770a7021e1aad1d0045104efac8288d2349aa1fe665249888eecf9dd2f263c",
        );
        let p = [vec![0; 16], vec![0xff; 27], vec![0xfe], vec![0xff; 28]].concat();
        let a24 = [vec![0; 70], vec![0x98, 0xa9]].concat();
        assert_eq!(key.material().bytes(), [p, a24, vec![0; 16], k].concat());
    }

    #[test]
    fn coordinates_the_device_does_not_take() {
        for kind in [EcxKind::X25519, EcxKind::X448] {
            let key = EcxPrivateKey::new(kind, &vec![7; kind.len_bytes()]).unwrap();
            let place = |u: &[u8]| key.place_peer(u, &mut vec![0; kind.width_bytes()]);
            let mut p: Vec<u8> = kind.prime()[kind.width_bytes() - kind.len_bytes()..].to_vec();
            p.reverse();
            assert_eq!(place(&vec![0; kind.len_bytes()]), None);
            assert_eq!(place(&p), None);
            p[0] -= 1;
            assert_eq!(place(&p), Some(()), "p - 1");
            assert_eq!(place(&p[1..]), None);
            assert_eq!(key.accept(&vec![0; kind.width_bytes()], &mut vec![0; kind.len_bytes()]), None);
            assert_eq!(key.accept(&kind.prime(), &mut vec![0; kind.len_bytes()]), None);
            assert!(EcxPrivateKey::new(kind, &[1; 31]).is_err());
            let mut field = vec![0; kind.width_bytes()];
            key.place_base(&mut field).unwrap();
            assert_eq!(field.last(), Some(&kind.base()));
        }
        let key = EcxPrivateKey::new(EcxKind::X25519, &[7; 32]).unwrap();
        let mut high = [1; 32];
        high[31] |= 0x80;
        let mut field = [0; 32];
        key.place_peer(&high, &mut field).unwrap();
        assert_eq!(field, [1; 32], "the unused bit is ignored (RFC 7748 §5)");
    }

    #[test]
    fn debug_shows_no_number() {
        let key = EcxPrivateKey::new(EcxKind::X448, &[9; 56]).unwrap();
        assert_eq!(format!("{key:?}"), "EcxPrivateKey { kind: X448, .. }");
    }
}
