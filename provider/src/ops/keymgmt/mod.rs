//! Keys: the default provider's key object, and beside it the same key in device layout.
//!
//! The default provider's object is the one source of truth; everything libcrypto asks of a key is forwarded to it. The
//! device form is made at the first private operation that may go to hardware, by the room of its type.

mod dh;
mod ec;
mod ecx;
pub(crate) mod rsa;

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use once_cell::race::OnceBox;
use warpdrive::Algorithm;
use warpdrive::request::pkey::{Curve, CurveName, DhPrivateKey, EcPrivateKey, EcPublicKey, EcxPrivateKey};

use crate::context::Context;
use crate::error::Reason;
use crate::ffi::bindings::{Param, selection};
use crate::ffi::fallback::{self, KeyType};
use crate::ffi::handle::Reports;
use crate::ffi::params::Params;
use crate::ops::exchange::Row;

/// A key as libcrypto holds it.
pub(crate) struct Key {
    context: Arc<Context>,
    software: fallback::Key,
    device: OnceBox<Device>,
    /// The public point, if it is one that devices take.
    point: OnceBox<Option<EcPublicKey>>,
    /// The key with its public point, for signatures, which are verified before they leave.
    signer: OnceBox<Option<EcPrivateKey>>,
    curve: OnceBox<CurveName>,
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
    Dh(DhPrivateKey),
    /// Without its public point.
    Ec(EcPrivateKey),
    Ecx(EcxPrivateKey),
    /// The device cannot use this key.
    Unsuitable,
}

impl Key {
    fn over(context: Arc<Context>, software: fallback::Key) -> Self {
        Self {
            context,
            software,
            device: OnceBox::new(),
            point: OnceBox::new(),
            signer: OnceBox::new(),
            curve: OnceBox::new(),
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
        if self.device.get().is_some() || self.point.get().is_some() {
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

    /// Whether the selected parts are worth handing out. An RSA key without a number makes OpenSSL's own encoder follow a null
    /// pointer (`EVP_PKEY_print_params`, which no provider but the encoder's own survives).
    pub(crate) fn is_exportable(&self, selected: c_int) -> bool {
        !matches!(self.software.key_type(), KeyType::Rsa | KeyType::RsaPss)
            || selected & selection::KEYPAIR != 0
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

    /// How exchanges with this key are counted; `None` for keys that have none.
    pub(crate) fn exchange(&self) -> Option<Row> {
        let bytes = |bits: u32| bits.div_ceil(8) as usize;
        Some(match self.software.key_type() {
            KeyType::Dh => {
                let secret_len_bytes = bytes(self.bits());
                let algorithm = match u16::try_from(secret_len_bytes * 8) {
                    Ok(bits @ (768 | 1024 | 1536 | 2048 | 3072 | 4096)) => Algorithm::Dh(bits),
                    _ => Algorithm::Dh(0),
                };
                Row { algorithm, secret_len_bytes }
            }
            KeyType::Ec => {
                let name = self.curve_name();
                let len_bytes = Curve::known(name).map_or(bytes(self.bits()), |curve| curve.len_bytes());
                Row { algorithm: Algorithm::Ecdh(name), secret_len_bytes: len_bytes }
            }
            key_type => {
                let kind = ecx::kind(key_type)?;
                Row { algorithm: kind.algorithm(), secret_len_bytes: kind.len_bytes() }
            }
        })
    }

    /// The curve of an EC or SM2 key, as the counters know it.
    pub(crate) fn curve_name(&self) -> CurveName {
        let name = || ec::curve_name(&self.software);
        *self.curve.get_or_init(|| Box::new(self.context.core().without_errors(name)))
    }

    /// The key in device layout, made on first use; [`Device::Unsuitable`] for good when the device cannot use it.
    fn device(&self) -> &Device {
        if self.device_unfit.load(Ordering::Acquire) {
            return &Device::Unsuitable;
        }
        self.device.get_or_init(|| {
            // What a key does not have is not worth an error.
            let device = self.context.core().without_errors(|| self.to_device());
            Box::new(device.unwrap_or(Device::Unsuitable))
        })
    }

    fn to_device(&self) -> Option<Device> {
        let software = &self.software;
        match software.key_type() {
            KeyType::Rsa | KeyType::RsaPss => {
                rsa::DeviceKey::from_software(software).map(|device| Device::Rsa(Box::new(device)))
            }
            KeyType::Dh => dh::private(software).map(Device::Dh),
            KeyType::Ec | KeyType::Sm2 => {
                let curve = Curve::known(self.curve_name())?;
                ec::private(software, &curve, None).map(Device::Ec)
            }
            KeyType::X25519 | KeyType::X448 => ecx::private(software).map(Device::Ecx),
        }
    }

    /// The RSA key in device layout; `None` when the device cannot use it, or when it is of another type.
    pub(crate) fn rsa(&self) -> Option<&rsa::DeviceKey> {
        if let Device::Rsa(device) = self.device() { Some(device) } else { None }
    }

    /// The DH key in device layout; `None` as for [`Key::rsa`].
    pub(crate) fn dh(&self) -> Option<&DhPrivateKey> {
        if let Device::Dh(device) = self.device() { Some(device) } else { None }
    }

    /// The private scalar of an EC or SM2 key in device layout, for exchange and decryption; `None` as for [`Key::rsa`].
    pub(crate) fn ec(&self) -> Option<&EcPrivateKey> {
        if let Device::Ec(device) = self.device() { Some(device) } else { None }
    }

    /// The X25519 or X448 key in device layout; `None` as for [`Key::rsa`].
    pub(crate) fn ecx(&self) -> Option<&EcxPrivateKey> {
        if let Device::Ecx(device) = self.device() { Some(device) } else { None }
    }

    /// The public point of an EC or SM2 key in device layout; `None` when the device cannot use it.
    pub(crate) fn ec_public(&self) -> Option<&EcPublicKey> {
        if self.device_unfit.load(Ordering::Acquire) {
            return None;
        }
        let point = self.point.get_or_init(|| {
            let curve = Curve::known(self.curve_name());
            let public = || curve.and_then(|curve| ec::public(&self.software, &curve));
            Box::new(self.context.core().without_errors(public))
        });
        point.as_ref()
    }

    /// The EC or SM2 key with its public point in device layout, for signatures; `None` when the device cannot use it.
    pub(crate) fn ec_signer(&self) -> Option<&EcPrivateKey> {
        let public = self.ec_public()?;
        let signer = || ec::private(&self.software, public.curve(), Some(public));
        let signer = self.signer.get_or_init(|| Box::new(self.context.core().without_errors(signer)));
        signer.as_ref()
    }

    /// The public value of a DH key, big-endian; `None` without one.
    pub(crate) fn dh_public(&self) -> Option<Vec<u8>> {
        let len_bytes = self.bits().div_ceil(8) as usize;
        self.context.core().without_errors(|| dh::public(&self.software, len_bytes))
    }

    /// The public key of type X25519 or X448 as RFC 7748 writes it; `None` without one.
    pub(crate) fn ecx_public(&self) -> Option<Vec<u8>> {
        self.context.core().without_errors(|| ecx::public(&self.software))
    }

    /// Asked of an RSA key with primes when a device's answer failed its check: whether the device is to blame and not the key. Slow,
    /// so the key's numbers are examined once; a key found unsound stays in software.
    pub(crate) fn is_sound(&self) -> bool {
        const FULL_CHECK: c_int = 0;
        if !self.examined.load(Ordering::Acquire) {
            let validate = || self.software.validate(selection::KEYPAIR, FULL_CHECK) == 1;
            if !self.context.core().without_errors(validate) {
                self.stays_in_software();
            }
            self.examined.store(true, Ordering::Release);
        }
        !self.device_unfit.load(Ordering::Acquire)
    }

    /// No device is to be given this key again: its numbers contradict each other.
    pub(crate) fn stays_in_software(&self) {
        self.device_unfit.store(true, Ordering::Release);
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
