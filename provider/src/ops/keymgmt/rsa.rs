//! RSA keys: the default provider's key object, and beside it the same key in device layout.
//!
//! The default provider's object is the one source of truth; everything libcrypto asks of a key is forwarded to it. The
//! device form is made at the first private operation that may go to hardware.

use std::ffi::{CStr, c_int};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use once_cell::race::OnceBox;
use warpdrive::Algorithm;
use warpdrive::request::pkey::{RsaComponents, RsaPrivateKey};
use zeroize::Zeroizing;

use crate::context::Context;
use crate::error::Reason;
use crate::ffi::bindings::{Param, selection};
use crate::ffi::fallback;
use crate::ffi::handle::Reports;
use crate::ffi::params::Params;

/// A key as libcrypto holds it.
pub(crate) struct Key {
    context: Arc<Context>,
    software: fallback::Key,
    device: OnceBox<Option<DeviceKey>>,
    /// The device form must not be used: the key changed after it was made, or its numbers contradict each other.
    device_unfit: AtomicBool,
    /// Its numbers were checked after a wrong answer.
    examined: AtomicBool,
    /// 0 until asked for.
    bits: AtomicU32,
}

/// A private key the device can use.
pub(crate) struct DeviceKey {
    pub(crate) private: RsaPrivateKey,
    /// Big-endian, exactly as long as inputs and outputs.
    pub(crate) modulus: Vec<u8>,
    has_primes: bool,
}

impl Key {
    fn over(context: Arc<Context>, software: fallback::Key) -> Self {
        Self {
            context,
            software,
            device: OnceBox::new(),
            device_unfit: AtomicBool::new(false),
            examined: AtomicBool::new(false),
            bits: AtomicU32::new(0),
        }
    }

    /// An empty key.
    pub(crate) fn new(context: Arc<Context>) -> Option<Self> {
        let software = fallback::Key::new(context.fallback()?)?;
        Some(Self::over(context, software))
    }

    /// The default provider's key.
    pub(crate) fn software(&self) -> &fallback::Key {
        &self.software
    }

    /// Fills in the numbers.
    pub(crate) fn import(&self, selection: c_int, params: Params<'_>) -> c_int {
        if self.device.get().is_some() {
            self.device_unfit.store(true, Ordering::Release);
        }
        self.bits.store(0, Ordering::Relaxed);
        self.software.import(selection, params)
    }

    /// A copy of the selected parts.
    pub(crate) fn duplicate(&self, selection: c_int) -> Option<Self> {
        let software = self.software.duplicate(selection)?;
        Some(Self::over(Arc::clone(&self.context), software))
    }

    /// The row under which its private operations are counted.
    pub(crate) fn algorithm(&self) -> Algorithm {
        let mut bits = self.bits.load(Ordering::Relaxed);
        if bits == 0 {
            bits = self.software.bits();
            self.bits.store(bits, Ordering::Relaxed);
        }
        match u16::try_from(bits) {
            Ok(bits @ (1024 | 2048 | 3072 | 4096)) => Algorithm::RsaPrivate(bits),
            _ => Algorithm::RsaPrivate(0),
        }
    }

    /// Bytes of an input or output of its private operation.
    pub(crate) fn len_bytes(&self) -> usize {
        self.algorithm();
        self.bits.load(Ordering::Relaxed).div_ceil(8) as usize
    }

    /// The key in device layout, made on first use; `None` for good when the device cannot use it.
    pub(crate) fn device(&self) -> Option<&DeviceKey> {
        if self.device_unfit.load(Ordering::Acquire) {
            return None;
        }
        self.device.get_or_init(|| Box::new(DeviceKey::from_software(&self.software))).as_ref()
    }

    /// Asked when a device's answer failed its check: whether the device is to blame and not the key. Slow, so the key's
    /// numbers are examined once; a key found unsound stays in software.
    pub(crate) fn is_sound(&self, device: &DeviceKey) -> bool {
        const FULL_CHECK: c_int = 0;
        // Without primes there is nothing to compare.
        if device.has_primes && !self.examined.load(Ordering::Acquire) {
            let validate = || self.software.validate(selection::KEYPAIR, FULL_CHECK) == 1;
            if !self.context.core().without_errors(validate) {
                self.device_unfit.store(true, Ordering::Release);
            }
            self.examined.store(true, Ordering::Release);
        }
        !self.device_unfit.load(Ordering::Acquire)
    }
}

impl Reports for Key {
    fn report_panic(&self) {
        Reason::Internal.raise(self.context.core(), c"keymgmt", "");
    }
}

impl DeviceKey {
    fn from_software(software: &fallback::Key) -> Option<Self> {
        let mut key = None;
        let exported = software.export_to(selection::KEYPAIR, &mut |params| key = Self::from_params(params));
        key.filter(|_| exported)
    }

    fn from_params(params: Params<'_>) -> Option<Self> {
        // More than two primes: the device knows two.
        if params.iter().any(|(name, _)| name == c"rsa-factor3") {
            return None;
        }
        let part = |name: &CStr| -> Zeroizing<Vec<u8>> { params.big_number(name).unwrap_or_default() };
        let (n, e, d) = (part(c"n"), part(c"e"), part(c"d"));
        let (p, q) = (part(c"rsa-factor1"), part(c"rsa-factor2"));
        let (dp, dq) = (part(c"rsa-exponent1"), part(c"rsa-exponent2"));
        let qinv = part(c"rsa-coefficient1");
        // Without a public exponent no result could be checked.
        if e.iter().all(|byte| *byte == 0) {
            return None;
        }
        let components = RsaComponents { n: &n, e: &e, d: &d, p: &p, q: &q, dp: &dp, dq: &dq, qinv: &qinv };
        let private = RsaPrivateKey::new(&components).ok()?;
        let len = private.len_bytes();
        let leading = n.iter().take_while(|byte| **byte == 0).count();
        let modulus = n.get(leading..)?.to_vec();
        let has_primes = !p.is_empty() && !q.is_empty();
        (modulus.len() == len).then_some(Self { private, modulus, has_primes })
    }
}

/// A key being generated, by the default provider.
pub(crate) struct Generation {
    context: Arc<Context>,
    software: fallback::Generation,
}

impl Generation {
    pub(crate) fn new(context: Arc<Context>, selection: c_int, params: Params<'_>) -> Option<Self> {
        let software = fallback::Generation::new(context.fallback()?, selection, params)?;
        Some(Self { context, software })
    }

    pub(crate) fn set_params(&mut self, params: Params<'_>) -> c_int {
        self.software.set_params(params)
    }

    /// Makes the key; `software` lets the default provider's generation run, with whatever callback its caller has.
    pub(crate) fn run(
        &mut self,
        software: impl FnOnce(&mut fallback::Generation) -> Option<fallback::Key>,
    ) -> Option<Key> {
        software(&mut self.software).map(|key| Key::over(Arc::clone(&self.context), key))
    }

    /// What can be set; the generation may be absent.
    pub(crate) fn settable_params(generation: Option<&Self>, context: &Context) -> *const Param {
        context.fallback().map_or(std::ptr::null(), |fallback| {
            fallback.generation_settable_params(generation.map(|generation| &generation.software))
        })
    }
}

impl Reports for Generation {
    fn report_panic(&self) {
        Reason::Internal.raise(self.context.core(), c"keymgmt", "");
    }
}
