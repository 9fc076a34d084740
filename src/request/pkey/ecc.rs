//! Keys on prime curves, for ECDH, ECDSA and SM2.

use std::fmt;
use std::sync::Arc;

use once_cell::race::OnceBox;
use zeroize::Zeroizing;

use super::curve::Curve;
use super::number::{is_one, less, place};
use crate::secret::Secret;
use crate::{Algorithm, Error};

/// A point of a curve, checked: a public key, or a peer's. In device layout, held once, cheap to clone.
#[derive(Clone)]
pub struct EcPublicKey {
    curve: Curve,
    /// p ‖ a ‖ b ‖ n ‖ Gx ‖ Gy ‖ Qx ‖ Qy, each padded to the width (hpre §3.4).
    material: Arc<Secret>,
    /// See [`Self::shifted`]; made at first use.
    shifted: Arc<OnceBox<Option<Box<[u8]>>>>,
}

impl EcPublicKey {
    /// The point with these coordinates, big-endian, leading zeros allowed.
    /// # Errors
    /// [`Error::Unsuitable`]: a coordinate not below p, or the point not on the curve. Infinity has no coordinates.
    pub fn new(curve: &Curve, x: &[u8], y: &[u8]) -> Result<Self, Error> {
        let width = curve.width_bytes();
        let mut material = Secret::zeroed(width * 8);
        let (parameters, point) = material.bytes_mut().split_at_mut(width * 6);
        for (index, field) in parameters.chunks_exact_mut(width).enumerate() {
            field.copy_from_slice(curve.field(index));
        }
        let (qx, qy) = point.split_at_mut(width);
        // Zero is a coordinate: what does not fit is found by `contains`, which sees the rest of the number.
        let fits = super::number::place_any(x, qx) & super::number::place_any(y, qy);
        if fits && curve.contains(qx, qy) {
            Ok(Self { curve: curve.clone(), material: Arc::new(material), shifted: Arc::default() })
        } else {
            Err(Error::Unsuitable)
        }
    }

    /// The point of an uncompressed encoding, `04 ‖ x ‖ y` with both coordinates at [`Curve::len_bytes`] (SEC 1 §2.3.3).
    /// # Errors
    /// As [`EcPublicKey::new`], and for every other form.
    pub fn from_uncompressed(curve: &Curve, encoded: &[u8]) -> Result<Self, Error> {
        match encoded.split_first() {
            Some((4, point)) if point.len() == curve.len_bytes() * 2 => {
                let (x, y) = point.split_at(curve.len_bytes());
                Self::new(curve, x, y)
            }
            _ => Err(Error::Unsuitable),
        }
    }

    /// Its curve.
    pub fn curve(&self) -> &Curve {
        &self.curve
    }

    /// The key buffer of a verification (hpre §3.1): eight fields.
    pub(crate) fn material(&self) -> &Arc<Secret> {
        &self.material
    }

    /// Q + 2G, which multiplications of Q and G are checked with; x ‖ y, each padded to the width. `None`: it has no coordinates.
    pub(crate) fn shifted(&self) -> Option<&[u8]> {
        self.shifted.get_or_init(|| Box::new(self.curve.plus_two_generators(self.point()))).as_deref()
    }

    /// Qx ‖ Qy, each padded to the width.
    pub(crate) fn point(&self) -> &[u8] {
        self.material.bytes().get(self.curve.width_bytes() * 6..).unwrap_or_default()
    }
}

impl fmt::Debug for EcPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EcPublicKey").field("curve", &self.curve.name()).finish_non_exhaustive()
    }
}

/// A private key on a prime curve in device layout, held once per key, shared with requests in flight, zeroised when the
/// last owner drops it. Cheap to clone.
#[derive(Clone)]
pub struct EcPrivateKey {
    curve: Curve,
    /// p ‖ a ‖ d ‖ b ‖ n ‖ Gx ‖ Gy, each padded to the width: the scalar stands third (hpre §3.4).
    material: Arc<Secret>,
    public: Option<EcPublicKey>,
}

impl EcPrivateKey {
    /// Builds the device form of the private scalar `d`, big-endian, leading zeros allowed. The time this takes does not
    /// depend on `d`, except that 0, 1 and whatever is not below n are refused.
    ///
    /// `public`: the key's own public point, on the same curve. Signatures need it, to be verified before they leave; without it
    /// [`crate::ecdsa_sign`] and [`crate::sm2_sign`] stay in software. Whether it belongs to `d` is not checked here: a
    /// signature of a mismatched pair does not verify, and comes from software.
    /// # Errors
    /// [`Error::Unsuitable`]: d not in 2..n (hpre §4.3: hardware does not take 1), or a public point of another curve.
    pub fn new(curve: &Curve, d: &[u8], public: Option<&EcPublicKey>) -> Result<Self, Error> {
        if public.is_some_and(|public| public.curve() != curve) {
            return Err(Error::Unsuitable);
        }
        let width = curve.width_bytes();
        let mut scalar = Zeroizing::new(vec![0; width]);
        if !(place(d, &mut scalar) & curve.is_scalar(&scalar) & !is_one(&scalar)) {
            return Err(Error::Unsuitable);
        }
        let mut material = Secret::zeroed(width * 7);
        let sources = [curve.field(0), curve.field(1), &scalar, curve.field(2), curve.order()];
        let mut fields = material.bytes_mut().chunks_exact_mut(width);
        for (field, source) in
            fields.by_ref().zip(sources.into_iter().chain(curve.generator().chunks_exact(width)))
        {
            field.copy_from_slice(source);
        }
        Ok(Self { curve: curve.clone(), material: Arc::new(material), public: public.cloned() })
    }

    /// The key of n - d.
    /// # Errors
    /// [`Error::Unsuitable`]: hardware does not take it, as in [`EcPrivateKey::new`].
    pub(crate) fn opposite(&self) -> Result<Self, Error> {
        let mut scalar = Zeroizing::new(vec![0; self.curve.width_bytes()]);
        less(self.curve.order(), self.scalar(), &mut scalar);
        Self::new(&self.curve, &scalar, None)
    }

    /// Its curve.
    pub fn curve(&self) -> &Curve {
        &self.curve
    }

    /// The public point it was given.
    pub fn public(&self) -> Option<&EcPublicKey> {
        self.public.as_ref()
    }

    /// The row of counters and policy of its point multiplications.
    pub fn ecdh(&self) -> Algorithm {
        Algorithm::Ecdh(self.curve.name())
    }

    /// The key buffer (hpre §3.1): seven fields.
    pub(crate) fn material(&self) -> &Arc<Secret> {
        &self.material
    }

    /// d, padded to the width.
    pub(crate) fn scalar(&self) -> &[u8] {
        let width = self.curve.width_bytes();
        self.material.bytes().get(width * 2..width * 3).unwrap_or_default()
    }
}

impl fmt::Debug for EcPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EcPrivateKey").field("curve", &self.curve.name()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::pkey::CurveName;

    fn curves() -> impl Iterator<Item = Curve> {
        CurveName::ALL.into_iter().filter_map(Curve::known)
    }

    #[test]
    fn layouts() {
        for curve in curves() {
            let width = curve.width_bytes();
            let (x, y) = curve.generator().split_at(width);
            let public = EcPublicKey::new(&curve, x, y).unwrap();
            let key = EcPrivateKey::new(&curve, &[0, 3, 9], Some(&public)).unwrap();
            let field = |material: &Secret, index: usize| material.bytes()[index * width..][..width].to_vec();
            let d = [vec![0; width - 2], vec![3, 9]].concat();
            assert_eq!(key.scalar(), d);
            let private: Vec<_> = (0..7).map(|index| field(key.material(), index)).collect();
            let wanted = [0, 1].map(|index| curve.field(index).to_vec());
            assert_eq!(private[..2], wanted);
            assert_eq!(private[2], d, "the scalar stands third");
            assert_eq!(private[3..], [2, 3, 4, 5].map(|index| curve.field(index).to_vec()));
            let fields: Vec<_> = (0..8).map(|index| field(public.material(), index)).collect();
            assert_eq!(fields[..6], [0, 1, 2, 3, 4, 5].map(|index| curve.field(index).to_vec()));
            assert_eq!(fields[6..].concat(), public.point());
        }
    }

    #[test]
    fn scalars_out_of_range() {
        for curve in curves() {
            let refused = |d: &[u8]| EcPrivateKey::new(&curve, d, None).is_err();
            assert!(refused(&[]) && refused(&[0; 80]) && refused(&[0, 1]) && refused(curve.order()));
            assert!(refused(&[0xff; 73]));
            assert!(!refused(&[2]));
            let mut last = curve.order().to_vec();
            *last.last_mut().unwrap() -= 1;
            assert!(!refused(&last), "n - 1");
        }
    }

    #[test]
    fn points_off_the_curve() {
        for curve in curves() {
            let (x, y) = curve.generator().split_at(curve.width_bytes());
            let refused = |x: &[u8], y: &[u8]| EcPublicKey::new(&curve, x, y).is_err();
            assert!(!refused(x, y));
            assert!(refused(y, x) && refused(x, &[]) && refused(&[], &[]) && refused(curve.field(0), y));
            assert!(refused(&[&[1], x].concat(), y), "too long");
            let mut encoded = vec![4];
            let len = curve.len_bytes();
            encoded.extend(&x[x.len() - len..]);
            encoded.extend(&y[y.len() - len..]);
            assert!(EcPublicKey::from_uncompressed(&curve, &encoded).is_ok());
            assert!(EcPublicKey::from_uncompressed(&curve, &encoded[..len + 1]).is_err());
            encoded[0] = 2;
            assert!(EcPublicKey::from_uncompressed(&curve, &encoded).is_err());
            encoded[0] = 4;
            encoded[3] ^= 0x10;
            assert!(EcPublicKey::from_uncompressed(&curve, &encoded).is_err());
        }
        assert!(
            EcPublicKey::from_uncompressed(&Curve::known(CurveName::P256).unwrap(), &[0]).is_err(),
            "infinity"
        );
    }

    #[test]
    fn a_public_point_of_another_curve() {
        let [a, b] = [CurveName::P256, CurveName::Sm2].map(|name| Curve::known(name).unwrap());
        let (x, y) = b.generator().split_at(32);
        let public = EcPublicKey::new(&b, x, y).unwrap();
        assert!(EcPrivateKey::new(&a, &[5], Some(&public)).is_err());
        assert!(EcPrivateKey::new(&b, &[5], Some(&public)).is_ok());
    }

    #[test]
    fn debug_shows_no_number() {
        let key = EcPrivateKey::new(&Curve::known(CurveName::P256).unwrap(), &[77], None).unwrap();
        assert_eq!(format!("{key:?}"), "EcPrivateKey { curve: P256, .. }");
    }
}
