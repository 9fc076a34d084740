//! Named elliptic curves by libcrypto: far faster than arithmetic on numbers, for points that lie on them; X25519 and X448.
#![expect(unsafe_code, reason = "libcrypto's C interface")]

use std::ptr::{self, NonNull};
use std::sync::OnceLock;

use openssl_sys::{EC_GROUP, EC_POINT, EVP_PKEY, EVP_PKEY_CTX, c_int};

use super::cipher::Library;
use super::modular::{Number, Scratch};

/// A curve that libcrypto knows by name.
pub struct Group {
    group: NonNull<EC_GROUP>,
    p: Number,
    a: Number,
    base: (Number, Number),
}

// SAFETY: the objects are owned, without thread affinity, and never changed or freed after construction.
unsafe impl Send for Group {}
// SAFETY: as above; every function used on them takes them as constant.
unsafe impl Sync for Group {}

/// A point: its coordinates, or infinity.
pub type Affine = Option<(Number, Number)>;

impl Group {
    /// The curve y² = x³ + ax + b modulo p, whatever its b.
    pub fn named(p: &Number, a: &Number) -> Option<&'static Self> {
        static GROUPS: OnceLock<Vec<Group>> = OnceLock::new();
        let groups = GROUPS.get_or_init(|| {
            let Some(mut scratch) = Scratch::new() else { return Vec::new() };
            NAMES.iter().filter_map(|name| Self::open(*name, &mut scratch)).collect()
        });
        groups.iter().find(|group| group.p == *p && group.a == *a)
    }

    /// The a that it was asked for with.
    pub fn a(&self) -> &Number {
        &self.a
    }

    fn open(name: c_int, scratch: &mut Scratch) -> Option<Self> {
        // SAFETY: gives a new object or null.
        let group = NonNull::new(unsafe { openssl_sys::EC_GROUP_new_by_curve_name(name) })?;
        let (p, a) = (Number::from_bytes(&[])?, Number::from_bytes(&[])?);
        // SAFETY: all objects are live; p and a are written, b is not asked for.
        let got = unsafe {
            EC_GROUP_get_curve(group.as_ptr(), p.as_ptr(), a.as_ptr(), ptr::null_mut(), scratch.as_ptr())
        };
        // SAFETY: the group is live and lives on; named curves have a generator.
        let base = unsafe { openssl_sys::EC_GROUP_get0_generator(group.as_ptr()) };
        let base = (got == 1 && !base.is_null()).then(|| coordinates(group, base, scratch))??;
        Some(Self { group, p, a, base })
    }

    /// The scalar's multiple of a point off this curve: on the one with the same p and a that it lies on, whose b is given.
    ///
    /// `None` if libcrypto does not take it.
    pub fn multiply_elsewhere(
        &self,
        b: &Number,
        (scalar, x, y): (&Number, &Number, &Number),
        scratch: &mut Scratch,
    ) -> Option<Affine> {
        // SAFETY: all numbers and the scratch are live; gives a new object or null.
        let group = unsafe {
            openssl_sys::EC_GROUP_new_curve_GFp(
                self.p.as_ptr(),
                self.a.as_ptr(),
                b.as_ptr(),
                scratch.as_ptr(),
            )
        };
        let group = Unnamed(NonNull::new(group)?);
        let (point, result) = (Point::at(group.0, x, y, scratch)?, Point::new(group.0)?);
        multiply(group.0, &result, None, Some((scalar, &point)), scratch)
    }

    /// The sum of the products of scalars and points.
    ///
    /// `None` if this is not the way to compute it: a point off this curve, terms that libcrypto does not take together.
    pub fn combine(&self, terms: &[(&Number, &Number, &Number)], scratch: &mut Scratch) -> Option<Affine> {
        let is_base = |(_, x, y): &&(&Number, &Number, &Number)| **x == self.base.0 && **y == self.base.1;
        let (with_base, other) = match terms {
            [one] if is_base(&one) => (Some(one.0), None),
            [one] => (None, Some(one)),
            [first, second] if is_base(&first) => (Some(first.0), Some(second)),
            _ => return None,
        };
        let result = Point::new(self.group)?;
        let Some((scalar, x, y)) = other else {
            return multiply(self.group, &result, with_base, None, scratch);
        };
        let point = Point::at(self.group, x, y, scratch)?;
        multiply(self.group, &result, with_base, Some((scalar, &point)), scratch)
    }
}

/// `result` becomes the sum of the generator's multiple and the point's; both are of `group`.
fn multiply(
    group: NonNull<EC_GROUP>,
    result: &Point,
    of_base: Option<&Number>,
    of_point: Option<(&Number, &Point)>,
    scratch: &mut Scratch,
) -> Option<Affine> {
    let scalar = |number: Option<&Number>| number.map_or(ptr::null(), |number| number.as_ptr().cast_const());
    // SAFETY: all objects are live and of this group; the result is distinct from them. A scalar or point that is not there
    // is null, as EC_POINT_mul(3) allows.
    let done = unsafe {
        openssl_sys::EC_POINT_mul(
            group.as_ptr(),
            result.0.as_ptr(),
            scalar(of_base),
            of_point.map_or(ptr::null(), |(_, point)| point.0.as_ptr().cast_const()),
            scalar(of_point.map(|(number, _)| number)),
            scratch.as_ptr(),
        )
    };
    if done != 1 {
        clear_errors();
        return None;
    }
    // SAFETY: both objects are live.
    if unsafe { openssl_sys::EC_POINT_is_at_infinity(group.as_ptr(), result.0.as_ptr()) } == 1 {
        return Some(None);
    }
    coordinates(group, result.0.as_ptr(), scratch).map(Some)
}

struct Unnamed(NonNull<EC_GROUP>);

impl Drop for Unnamed {
    fn drop(&mut self) {
        // SAFETY: owned, freed once.
        unsafe { openssl_sys::EC_GROUP_free(self.0.as_ptr()) };
    }
}

struct Point(NonNull<EC_POINT>);

impl Point {
    fn new(group: NonNull<EC_GROUP>) -> Option<Self> {
        // SAFETY: the group is live; gives a new object or null.
        NonNull::new(unsafe { openssl_sys::EC_POINT_new(group.as_ptr()) }).map(Self)
    }

    /// `None` if there is no such point on the curve.
    fn at(group: NonNull<EC_GROUP>, x: &Number, y: &Number, scratch: &mut Scratch) -> Option<Self> {
        let point = Self::new(group)?;
        // SAFETY: all objects are live. Coordinates off the curve are an error.
        let set = unsafe {
            openssl_sys::EC_POINT_set_affine_coordinates(
                group.as_ptr(),
                point.0.as_ptr(),
                x.as_ptr(),
                y.as_ptr(),
                scratch.as_ptr(),
            )
        };
        if set != 1 {
            clear_errors();
            return None;
        }
        Some(point)
    }
}

impl Drop for Point {
    fn drop(&mut self) {
        // SAFETY: owned, freed once; cleared, since it may be a shared secret.
        unsafe { EC_POINT_clear_free(self.0.as_ptr()) };
    }
}

fn coordinates(
    group: NonNull<EC_GROUP>,
    point: *const EC_POINT,
    scratch: &mut Scratch,
) -> Option<(Number, Number)> {
    let (x, y) = (Number::from_bytes(&[])?, Number::from_bytes(&[])?);
    // SAFETY: all objects are live; x and y are written.
    let got = unsafe {
        openssl_sys::EC_POINT_get_affine_coordinates(
            group.as_ptr(),
            point,
            x.as_ptr(),
            y.as_ptr(),
            scratch.as_ptr(),
        )
    };
    (got == 1).then_some((x, y))
}

/// A curve of RFC 7748.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Montgomery {
    /// 32-byte numbers.
    X25519,
    /// 56-byte numbers.
    X448,
}

impl Montgomery {
    /// Bytes of a number.
    pub fn number_len(self) -> usize {
        match self {
            Self::X25519 => 32,
            Self::X448 => 56,
        }
    }

    /// The u-coordinate of the scalar's multiple of the point, all little-endian. libcrypto clamps the scalar: it must be
    /// clamped already to be used as it is. `None` where the result is zero, or a length is wrong.
    pub fn multiply(self, scalar: &[u8], u: &[u8]) -> Option<Vec<u8>> {
        let library = Library::open()?.as_ptr();
        let name = match self {
            Self::X25519 => c"X25519",
            Self::X448 => c"X448",
        };
        if scalar.len() != self.number_len() || u.len() != self.number_len() {
            return None;
        }
        // SAFETY: the library context is live, the name a C string, the buffers have the lengths given.
        let private = Key::own(unsafe {
            openssl_sys::EVP_PKEY_new_raw_private_key_ex(
                library,
                name.as_ptr(),
                ptr::null(),
                scalar.as_ptr(),
                scalar.len(),
            )
        })?;
        // SAFETY: as above.
        let public = Key::own(unsafe {
            openssl_sys::EVP_PKEY_new_raw_public_key_ex(
                library,
                name.as_ptr(),
                ptr::null(),
                u.as_ptr(),
                u.len(),
            )
        })?;
        // SAFETY: library context and key are live; gives a new object or null.
        let context = unsafe { EVP_PKEY_CTX_new_from_pkey(library, private.0.as_ptr(), ptr::null()) };
        let context = Derivation(NonNull::new(context)?);
        let mut output = vec![0; self.number_len()];
        let mut len = output.len();
        // SAFETY: context and key are live; `len` bytes are writable, and it says so.
        let done = unsafe {
            openssl_sys::EVP_PKEY_derive_init(context.0.as_ptr()) == 1
                && openssl_sys::EVP_PKEY_derive_set_peer(context.0.as_ptr(), public.0.as_ptr()) == 1
                && openssl_sys::EVP_PKEY_derive(context.0.as_ptr(), output.as_mut_ptr(), &raw mut len) == 1
        };
        if !done {
            clear_errors();
        }
        (done && len == output.len()).then_some(output)
    }
}

struct Key(NonNull<EVP_PKEY>);

impl Key {
    fn own(key: *mut EVP_PKEY) -> Option<Self> {
        let key = NonNull::new(key).map(Self);
        if key.is_none() {
            clear_errors();
        }
        key
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: owned, freed once.
        unsafe { openssl_sys::EVP_PKEY_free(self.0.as_ptr()) };
    }
}

struct Derivation(NonNull<EVP_PKEY_CTX>);

impl Drop for Derivation {
    fn drop(&mut self) {
        // SAFETY: owned, freed once.
        unsafe { openssl_sys::EVP_PKEY_CTX_free(self.0.as_ptr()) };
    }
}

fn clear_errors() {
    // SAFETY: the queue of errors is this thread's own; nobody here reads it, and it must not grow stale.
    unsafe { openssl_sys::ERR_clear_error() };
}

/// Those that drivers know (hpre §2.2), and P-192, by libcrypto's numbers: secp128r1, secp192k1, P-192, P-224, P-256, secp256k1,
/// SM2, brainpoolP320r1, brainpoolP384r1, P-384, P-521. All have cofactor 1: a scalar may be reduced by the order.
const NAMES: [c_int; 11] = [706, 711, 409, 713, 415, 714, 1172, 929, 931, 715, 716];

// Not declared by openssl-sys; signatures from EC_GROUP_copy(3), EC_POINT_new(3) and EVP_PKEY_CTX_new(3).
unsafe extern "C" {
    fn EC_GROUP_get_curve(
        group: *const EC_GROUP,
        p: *mut openssl_sys::BIGNUM,
        a: *mut openssl_sys::BIGNUM,
        b: *mut openssl_sys::BIGNUM,
        scratch: *mut openssl_sys::BN_CTX,
    ) -> c_int;
    fn EC_POINT_clear_free(point: *mut EC_POINT);
    fn EVP_PKEY_CTX_new_from_pkey(
        library: *mut openssl_sys::OSSL_LIB_CTX,
        key: *mut EVP_PKEY,
        properties: *const std::ffi::c_char,
    ) -> *mut EVP_PKEY_CTX;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7748 §5.2, first vectors of each.
    #[test]
    fn published_multiples() {
        let hex = crate::model::testing::hex;
        for (curve, scalar, u, expected) in [
            (
                Montgomery::X25519,
                "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
                "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
                "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
            ),
            (
                Montgomery::X448,
                "3d262fddf9ec8e88495266fea19a34d28882acef045104d0d1aae121700a779c984c24f8cdd78fbff44943eba368f54b29259a4f1c600ad3",
                "06fce640fa3487bfda5f6cf2d5263f8aad88334cbd07437f020f08f9814dc031ddbdc38c19c6da2583fa5429db94ada18aa7a7fb4ef8a086",
                "ce3e4ff95a60dc6697da1db1d85e6afbdf79b50a2412d7546d5f239fe14fbaadeb445fc66a01b0779d98223961111e21766282f73dd96b6f",
            ),
        ] {
            let product = curve.multiply(&hex(scalar), &hex(u)).unwrap();
            assert_eq!(product, hex(expected), "{curve:?}");
            assert_eq!(curve.multiply(&hex(scalar), &vec![0; curve.number_len()]), None, "zero");
        }
    }

    #[test]
    fn every_name_is_known() {
        let mut scratch = Scratch::new().unwrap();
        for name in NAMES {
            let group = Group::open(name, &mut scratch).unwrap();
            assert!(Group::named(&group.p, &group.a).is_some_and(|found| found.base == group.base), "{name}");
        }
    }
}
