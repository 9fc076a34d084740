//! Keys: the default provider's key object, and beside it the same key in device layout.
//!
//! The default provider's object is the one source of truth; everything libcrypto asks of a key is forwarded to it. The
//! device form is made at the first private operation that may go to hardware, by the room of its type.

pub(crate) mod rsa;

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use once_cell::race::OnceBox;
use warpdrive::Algorithm;

use crate::context::Context;
use crate::error::Reason;
use crate::ffi::bindings::{Param, selection};
use crate::ffi::fallback::{self, KeyType};
use crate::ffi::handle::Reports;
use crate::ffi::params::Params;

/// A key as libcrypto holds it.
pub(crate) struct Key {
    context: Arc<Context>,
    software: fallback::Key,
    device: OnceBox<Device>,
    /// The device form must not be used: the key changed after it was made, or its numbers contradict each other.
    device_unfit: AtomicBool,
    /// Its numbers were checked after a wrong answer.
    examined: AtomicBool,
    /// 0 until asked for.
    bits: AtomicU32,
}

/// A private key in device layout.
enum Device {
    Rsa(Box<rsa::DeviceKey>),
    /// The device cannot use this key.
    Unsuitable,
}

impl Device {
    fn from_software(software: &fallback::Key) -> Self {
        let device = match software.key_type() {
            KeyType::Rsa | KeyType::RsaPss => {
                rsa::DeviceKey::from_software(software).map(|device| Self::Rsa(Box::new(device)))
            }
            KeyType::Dh | KeyType::Ec | KeyType::X25519 | KeyType::X448 | KeyType::Sm2 => None,
        };
        device.unwrap_or(Self::Unsuitable)
    }
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
    pub(crate) fn new(context: Arc<Context>, key_type: KeyType) -> Option<Self> {
        let software = fallback::Key::new(context.fallback()?, key_type)?;
        Some(Self::over(context, software))
    }

    /// The default provider's key.
    pub(crate) fn software(&self) -> &fallback::Key {
        &self.software
    }

    /// Forgets what was derived from the key's numbers, which are about to change.
    fn changes(&self) {
        if self.device.get().is_some() {
            self.device_unfit.store(true, Ordering::Release);
        }
        self.bits.store(0, Ordering::Relaxed);
    }

    /// Fills in the numbers.
    pub(crate) fn import(&self, selection: c_int, params: Params<'_>) -> c_int {
        self.changes();
        self.software.import(selection, params)
    }

    /// Changes something, such as the public number of a key that had only parameters.
    pub(crate) fn set_params(&self, params: Params<'_>) -> c_int {
        self.changes();
        self.software.set_params(params)
    }

    /// A copy of the selected parts.
    pub(crate) fn duplicate(&self, selection: c_int) -> Option<Self> {
        let software = self.software.duplicate(selection)?;
        Some(Self::over(Arc::clone(&self.context), software))
    }

    /// Size in bits: of the modulus, the prime or the curve's order.
    pub(crate) fn bits(&self) -> u32 {
        let mut bits = self.bits.load(Ordering::Relaxed);
        if bits == 0 {
            bits = self.software.bits();
            self.bits.store(bits, Ordering::Relaxed);
        }
        bits
    }

    /// The row under which its RSA private operations are counted.
    pub(crate) fn rsa_algorithm(&self) -> Algorithm {
        match u16::try_from(self.bits()) {
            Ok(bits @ (1024 | 2048 | 3072 | 4096)) => Algorithm::RsaPrivate(bits),
            _ => Algorithm::RsaPrivate(0),
        }
    }

    /// Bytes of an input or output of its RSA private operation.
    pub(crate) fn len_bytes(&self) -> usize {
        self.bits().div_ceil(8) as usize
    }

    /// The key in device layout, made on first use; [`Device::Unsuitable`] for good when the device cannot use it.
    fn device(&self) -> &Device {
        if self.device_unfit.load(Ordering::Acquire) {
            return &Device::Unsuitable;
        }
        self.device.get_or_init(|| Box::new(Device::from_software(&self.software)))
    }

    /// The RSA key in device layout; `None` when the device cannot use it, or when it is of another type.
    pub(crate) fn rsa(&self) -> Option<&rsa::DeviceKey> {
        match self.device() {
            Device::Rsa(device) => Some(device),
            Device::Unsuitable => None,
        }
    }

    /// Asked when a device's answer failed its check: whether the device is to blame and not the key. Slow, so the key's
    /// numbers are examined once; a key found unsound stays in software.
    pub(crate) fn is_sound(&self) -> bool {
        const FULL_CHECK: c_int = 0;
        let comparable = match self.device() {
            // Without primes there is nothing to compare.
            Device::Rsa(device) => device.has_primes,
            Device::Unsuitable => false,
        };
        if comparable && !self.examined.load(Ordering::Acquire) {
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

/// A key being generated, by the default provider.
pub(crate) struct Generation {
    context: Arc<Context>,
    software: fallback::Generation,
}

impl Generation {
    pub(crate) fn new(
        context: Arc<Context>,
        key_type: KeyType,
        selection: c_int,
        params: Params<'_>,
    ) -> Option<Self> {
        let software = fallback::Generation::new(context.fallback()?, key_type, selection, params)?;
        Some(Self { context, software })
    }

    /// Starts from the parameters of `template`.
    pub(crate) fn set_template(&mut self, template: &Key) -> c_int {
        self.software.set_template(&template.software)
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
    pub(crate) fn settable_params(
        generation: Option<&Self>,
        key_type: KeyType,
        context: &Context,
    ) -> *const Param {
        context.fallback().map_or(std::ptr::null(), |fallback| {
            fallback.generation_settable_params(key_type, generation.map(|generation| &generation.software))
        })
    }
}

impl Reports for Generation {
    fn report_panic(&self) {
        Reason::Internal.raise(self.context.core(), c"keymgmt", "");
    }
}
