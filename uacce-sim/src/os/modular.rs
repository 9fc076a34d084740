//! Modular arithmetic with libcrypto's big numbers: no provider, no configuration, only `BN_…`.
#![expect(unsafe_code, reason = "libcrypto's C interface")]

use std::cmp::Ordering;
use std::ptr::NonNull;

use openssl_sys::{BIGNUM, BN_CTX, BN_MONT_CTX, c_int};

/// Working space of libcrypto; one per engine.
pub struct Scratch(NonNull<BN_CTX>);

/// A non-negative number.
pub struct Number(NonNull<BIGNUM>);

/// An odd modulus above 1 with its Montgomery form, which is worth keeping per key.
pub struct Modulus {
    value: Number,
    montgomery: NonNull<BN_MONT_CTX>,
}

// SAFETY: the object is owned and has no thread affinity; it is used by one thread at a time (`&mut`).
unsafe impl Send for Scratch {}
// SAFETY: as above; shared references only read.
unsafe impl Send for Number {}
// SAFETY: as above; the Montgomery form is not changed after construction.
unsafe impl Send for Modulus {}

impl Scratch {
    /// `None` when memory is out.
    pub fn new() -> Option<Self> {
        // SAFETY: allocates or returns null.
        NonNull::new(unsafe { openssl_sys::BN_CTX_new() }).map(Self)
    }

    /// For libcrypto's functions.
    pub(super) fn as_ptr(&mut self) -> *mut BN_CTX {
        self.0.as_ptr()
    }
}

impl Number {
    /// From big-endian bytes; `None` when memory is out.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let len = c_int::try_from(bytes.len()).ok()?;
        // SAFETY: `bytes` is `len` readable bytes; a null third argument asks for a new number.
        NonNull::new(unsafe { openssl_sys::BN_bin2bn(bytes.as_ptr(), len, std::ptr::null_mut()) }).map(Self)
    }

    /// For libcrypto's functions.
    pub(super) fn as_ptr(&self) -> *mut BIGNUM {
        self.0.as_ptr()
    }

    /// As big-endian bytes, zeros to the left; `None` when it does not fit `width`.
    pub fn to_bytes(&self, width: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; width];
        let len = c_int::try_from(width).ok()?;
        // SAFETY: `bytes` is `len` writable bytes, the number is live.
        let written = unsafe { openssl_sys::BN_bn2binpad(self.0.as_ptr(), bytes.as_mut_ptr(), len) };
        (written == len).then_some(bytes)
    }

    /// Significant bits.
    pub fn bits(&self) -> c_int {
        // SAFETY: the number is live.
        unsafe { openssl_sys::BN_num_bits(self.0.as_ptr()) }
    }

    /// Whether bit `index`, counted from the least significant, is set.
    pub fn bit(&self, index: c_int) -> bool {
        // SAFETY: the number is live; an index beyond its bits, or a negative one, gives 0.
        unsafe { openssl_sys::BN_is_bit_set(self.0.as_ptr(), index) == 1 }
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.bits() == 0
    }

    /// `self + 1`
    pub fn successor(&self) -> Option<Self> {
        let result = self.copy()?;
        // SAFETY: the number is live and ours.
        (unsafe { openssl_sys::BN_add_word(result.0.as_ptr(), 1) } == 1).then_some(result)
    }

    /// `self − 1`; `None` for zero.
    pub fn predecessor(&self) -> Option<Self> {
        if self.is_zero() {
            return None;
        }
        let result = self.copy()?;
        // SAFETY: the number is live and ours.
        (unsafe { openssl_sys::BN_sub_word(result.0.as_ptr(), 1) } == 1).then_some(result)
    }

    /// Another number of the same value; `None` when memory is out.
    pub fn copy(&self) -> Option<Self> {
        // SAFETY: the number is live; the result is null or new.
        NonNull::new(unsafe { openssl_sys::BN_dup(self.0.as_ptr()) }).map(Self)
    }

    /// `self mod divisor`, `None` when `divisor` is zero.
    pub fn remainder(&self, divisor: &Self, scratch: &mut Scratch) -> Option<Self> {
        let result = Self::new()?;
        // SAFETY: all objects are live; the result is written only. A zero divisor is an error.
        let done = unsafe {
            openssl_sys::BN_nnmod(result.0.as_ptr(), self.0.as_ptr(), divisor.0.as_ptr(), scratch.0.as_ptr())
        };
        (done == 1).then_some(result)
    }

    /// `self⁻¹ mod modulus`, `None` when there is none.
    pub fn inverse(&self, modulus: &Self, scratch: &mut Scratch) -> Option<Self> {
        let result = Self::new()?;
        // SAFETY: all objects are live; the result is written only.
        let inverse = unsafe {
            openssl_sys::BN_mod_inverse(
                result.0.as_ptr(),
                self.0.as_ptr(),
                modulus.0.as_ptr(),
                scratch.0.as_ptr(),
            )
        };
        if inverse.is_null() {
            // SAFETY: the queue of errors is this thread's own; nobody here reads it, and it must not grow stale.
            unsafe { openssl_sys::ERR_clear_error() };
            return None;
        }
        Some(result)
    }

    fn new() -> Option<Self> {
        // SAFETY: allocates or returns null.
        NonNull::new(unsafe { openssl_sys::BN_new() }).map(Self)
    }

    /// `self + factor · other`
    pub fn plus_product(&self, factor: &Self, other: &Self, scratch: &mut Scratch) -> Option<Self> {
        let (product, sum) = (Self::new()?, Self::new()?);
        // SAFETY: all numbers and the scratch are live and distinct where written.
        let done = unsafe {
            openssl_sys::BN_mul(product.0.as_ptr(), factor.0.as_ptr(), other.0.as_ptr(), scratch.0.as_ptr())
                == 1
                && openssl_sys::BN_add(sum.0.as_ptr(), self.0.as_ptr(), product.0.as_ptr()) == 1
        };
        done.then_some(sum)
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        // SAFETY: both numbers are live.
        unsafe { openssl_sys::BN_ucmp(self.0.as_ptr(), other.0.as_ptr()) }.cmp(&0)
    }
}

impl Modulus {
    /// `None` for an even modulus, 0 or 1: Montgomery hardware has no answer for them (hpre §8.3).
    pub fn from_bytes(bytes: &[u8], scratch: &mut Scratch) -> Option<Self> {
        if bytes.last().is_none_or(|low| low % 2 == 0) {
            return None;
        }
        let value = Number::from_bytes(bytes)?;
        if value.bits() < 2 {
            return None;
        }
        // SAFETY: allocates or returns null.
        let montgomery = NonNull::new(unsafe { BN_MONT_CTX_new() })?;
        let modulus = Self { value, montgomery };
        // SAFETY: all objects are live.
        let set =
            unsafe { BN_MONT_CTX_set(montgomery.as_ptr(), modulus.value.0.as_ptr(), scratch.0.as_ptr()) };
        (set == 1).then_some(modulus)
    }

    /// The modulus itself.
    pub fn value(&self) -> &Number {
        &self.value
    }

    /// `number mod self`
    pub fn reduce(&self, number: &Number, scratch: &mut Scratch) -> Option<Number> {
        let result = Number::new()?;
        // SAFETY: all objects are live; the result is written only.
        let done = unsafe {
            openssl_sys::BN_nnmod(
                result.0.as_ptr(),
                number.0.as_ptr(),
                self.value.0.as_ptr(),
                scratch.0.as_ptr(),
            )
        };
        (done == 1).then_some(result)
    }

    /// `base ^ exponent mod self`; the base may exceed the modulus, exponent 0 gives 1.
    pub fn power(&self, base: &Number, exponent: &Number, scratch: &mut Scratch) -> Option<Number> {
        let base = self.reduce(base, scratch)?;
        let result = Number::new()?;
        // Long exponents are private keys, and for them the constant-time function is also the faster one.
        let power = if exponent.bits() > 64 { BN_mod_exp_mont_consttime } else { BN_mod_exp_mont };
        // SAFETY: all objects are live, the base is below the modulus, the Montgomery form is of this modulus.
        let done = unsafe {
            power(
                result.0.as_ptr(),
                base.0.as_ptr(),
                exponent.0.as_ptr(),
                self.value.0.as_ptr(),
                scratch.0.as_ptr(),
                self.montgomery.as_ptr(),
            )
        };
        (done == 1).then_some(result)
    }

    /// `left · right mod self`, of any two numbers.
    pub fn product(&self, left: &Number, right: &Number, scratch: &mut Scratch) -> Option<Number> {
        let result = Number::new()?;
        // SAFETY: all objects are live and distinct where written.
        let done = unsafe {
            openssl_sys::BN_mod_mul(
                result.0.as_ptr(),
                left.0.as_ptr(),
                right.0.as_ptr(),
                self.value.0.as_ptr(),
                scratch.0.as_ptr(),
            )
        };
        (done == 1).then_some(result)
    }

    /// A number's Montgomery form, in which [`Modulus::multiply`] works.
    pub fn enter(&self, number: &Number, scratch: &mut Scratch) -> Option<Number> {
        let reduced = self.reduce(number, scratch)?;
        let result = Number::new()?;
        // SAFETY: all objects are live, the number is below the modulus.
        let done = unsafe {
            BN_to_montgomery(
                result.0.as_ptr(),
                reduced.0.as_ptr(),
                self.montgomery.as_ptr(),
                scratch.0.as_ptr(),
            )
        };
        (done == 1).then_some(result)
    }

    /// The number behind a Montgomery form.
    pub fn leave(&self, form: &Number, scratch: &mut Scratch) -> Option<Number> {
        let result = Number::new()?;
        // SAFETY: all objects are live, the form is below the modulus.
        let done = unsafe {
            BN_from_montgomery(
                result.0.as_ptr(),
                form.0.as_ptr(),
                self.montgomery.as_ptr(),
                scratch.0.as_ptr(),
            )
        };
        (done == 1).then_some(result)
    }

    /// Product of two Montgomery forms, as one.
    pub fn multiply(&self, left: &Number, right: &Number, scratch: &mut Scratch) -> Option<Number> {
        let result = Number::new()?;
        // SAFETY: all objects are live, both factors are below the modulus.
        let done = unsafe {
            BN_mod_mul_montgomery(
                result.0.as_ptr(),
                left.0.as_ptr(),
                right.0.as_ptr(),
                self.montgomery.as_ptr(),
                scratch.0.as_ptr(),
            )
        };
        (done == 1).then_some(result)
    }

    /// Sum of two numbers below the modulus.
    pub fn add(&self, left: &Number, right: &Number) -> Option<Number> {
        let result = Number::new()?;
        // SAFETY: all objects are live, both terms are below the modulus.
        let done = unsafe {
            BN_mod_add_quick(result.0.as_ptr(), left.0.as_ptr(), right.0.as_ptr(), self.value.0.as_ptr())
        };
        (done == 1).then_some(result)
    }

    /// Difference of two numbers below the modulus.
    pub fn subtract(&self, left: &Number, right: &Number) -> Option<Number> {
        let result = Number::new()?;
        // SAFETY: all objects are live, both terms are below the modulus.
        let done = unsafe {
            BN_mod_sub_quick(result.0.as_ptr(), left.0.as_ptr(), right.0.as_ptr(), self.value.0.as_ptr())
        };
        (done == 1).then_some(result)
    }

    /// `factor · (left − right) mod self`
    pub fn scaled_difference(
        &self,
        factor: &Number,
        left: &Number,
        right: &Number,
        scratch: &mut Scratch,
    ) -> Option<Number> {
        let (difference, result) = (Number::new()?, Number::new()?);
        let (modulus, context) = (self.value.0.as_ptr(), scratch.0.as_ptr());
        // SAFETY: all objects are live and distinct where written. BN_mod_sub and BN_mod_mul reduce by themselves.
        let done = unsafe {
            openssl_sys::BN_mod_sub(
                difference.0.as_ptr(),
                left.0.as_ptr(),
                right.0.as_ptr(),
                modulus,
                context,
            ) == 1
                && openssl_sys::BN_mod_mul(
                    result.0.as_ptr(),
                    factor.0.as_ptr(),
                    difference.0.as_ptr(),
                    modulus,
                    context,
                ) == 1
        };
        done.then_some(result)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: owned, freed once.
        unsafe { openssl_sys::BN_CTX_free(self.0.as_ptr()) };
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        // SAFETY: owned, freed once; clears the number, which may be a key.
        unsafe { openssl_sys::BN_clear_free(self.0.as_ptr()) };
    }
}

impl Drop for Modulus {
    fn drop(&mut self) {
        // SAFETY: owned, freed once.
        unsafe { BN_MONT_CTX_free(self.montgomery.as_ptr()) };
    }
}

// Not declared by openssl-sys; signatures from the manual pages BN_mod_mul_montgomery(3) and the header <openssl/bn.h>.
unsafe extern "C" {
    fn BN_MONT_CTX_new() -> *mut BN_MONT_CTX;
    fn BN_MONT_CTX_set(context: *mut BN_MONT_CTX, modulus: *const BIGNUM, scratch: *mut BN_CTX) -> c_int;
    fn BN_MONT_CTX_free(context: *mut BN_MONT_CTX);
    fn BN_to_montgomery(
        result: *mut BIGNUM,
        number: *const BIGNUM,
        montgomery: *mut BN_MONT_CTX,
        scratch: *mut BN_CTX,
    ) -> c_int;
    fn BN_from_montgomery(
        result: *mut BIGNUM,
        number: *const BIGNUM,
        montgomery: *mut BN_MONT_CTX,
        scratch: *mut BN_CTX,
    ) -> c_int;
    fn BN_mod_mul_montgomery(
        result: *mut BIGNUM,
        left: *const BIGNUM,
        right: *const BIGNUM,
        montgomery: *mut BN_MONT_CTX,
        scratch: *mut BN_CTX,
    ) -> c_int;
    fn BN_mod_add_quick(
        result: *mut BIGNUM,
        left: *const BIGNUM,
        right: *const BIGNUM,
        modulus: *const BIGNUM,
    ) -> c_int;
    fn BN_mod_sub_quick(
        result: *mut BIGNUM,
        left: *const BIGNUM,
        right: *const BIGNUM,
        modulus: *const BIGNUM,
    ) -> c_int;
    fn BN_mod_exp_mont(
        result: *mut BIGNUM,
        base: *const BIGNUM,
        exponent: *const BIGNUM,
        modulus: *const BIGNUM,
        scratch: *mut BN_CTX,
        montgomery: *mut BN_MONT_CTX,
    ) -> c_int;
    fn BN_mod_exp_mont_consttime(
        result: *mut BIGNUM,
        base: *const BIGNUM,
        exponent: *const BIGNUM,
        modulus: *const BIGNUM,
        scratch: *mut BN_CTX,
        montgomery: *mut BN_MONT_CTX,
    ) -> c_int;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_odd_moduli_above_one() {
        let mut scratch = Scratch::new().unwrap();
        for (bytes, valid) in [(&[][..], false), (&[0], false), (&[1], false), (&[2], false), (&[0, 3], true)]
        {
            assert_eq!(Modulus::from_bytes(bytes, &mut scratch).is_some(), valid, "{bytes:?}");
        }
    }

    #[test]
    fn powers_and_widths() {
        let mut scratch = Scratch::new().unwrap();
        let modulus = Modulus::from_bytes(&[101], &mut scratch).unwrap();
        let power = |base: u8, exponent: &[u8], scratch: &mut Scratch| {
            let (base, exponent) =
                (Number::from_bytes(&[base]).unwrap(), Number::from_bytes(exponent).unwrap());
            modulus.power(&base, &exponent, scratch).unwrap().to_bytes(3).unwrap()
        };
        assert_eq!(power(2, &[10], &mut scratch), [0, 0, 14]);
        assert_eq!(power(103, &[10], &mut scratch), [0, 0, 14]);
        assert_eq!(power(7, &[0], &mut scratch), [0, 0, 1]);
        assert_eq!(power(0, &[5], &mut scratch), [0, 0, 0]);
        // 2^(2^80): the exponent is long enough for the constant-time path.
        assert_eq!(power(2, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &mut scratch), [0, 0, 81]);
        assert_eq!(Number::from_bytes(&[1, 0]).unwrap().to_bytes(1), None);
    }
}
