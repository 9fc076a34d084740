//! Key exchange: a context of the default provider keeps the parameters and does whatever stays in software; private
//! operations that may go to hardware are handed to the core.

use std::ffi::c_int;
use std::sync::Arc;

use warpdrive::request::pkey::{DhPrivateKey, EcPrivateKey, EcPublicKey, EcxPrivateKey};
use warpdrive::{Algorithm, Outcome, Reason as Why, dh_shared, ecdh, ecx_shared, note_software, presence};
use zeroize::Zeroizing;

use crate::context::Context;
use crate::error::Reason;
use crate::ffi::bindings::Param;
use crate::ffi::fallback::{ExchangeContext, ExchangeType};
use crate::ffi::handle::{Output, Reports};
use crate::ffi::params::{Params, ParamsToFill};
use crate::ops::keymgmt::Key;

/// A key exchange context as libcrypto holds it.
pub(crate) struct Exchange {
    context: Arc<Context>,
    exchange_type: ExchangeType,
    /// Parameters, and every software operation.
    software: ExchangeContext,
    /// The key that `software` uses; `None` when that is not known.
    key: Option<Arc<Key>>,
    /// The peer's key that `software` uses; `None` when that is not known.
    peer: Option<Arc<Key>>,
    /// DH: the secret keeps its leading zeros. `None` when that is not known; a context does not tell.
    is_padded: Option<bool>,
    /// Something was said that may have brought in a key derivation function: the context must be asked.
    may_derive: bool,
}

impl Exchange {
    pub(crate) fn new(context: Arc<Context>, exchange_type: ExchangeType) -> Option<Self> {
        let software = ExchangeContext::new(context.fallback()?, exchange_type)?;
        Some(Self {
            context,
            exchange_type,
            software,
            key: None,
            peer: None,
            is_padded: Some(false),
            may_derive: false,
        })
    }

    /// A second context in the same state.
    pub(crate) fn duplicate(&self) -> Option<Self> {
        Some(Self {
            context: Arc::clone(&self.context),
            exchange_type: self.exchange_type,
            software: self.software.duplicate()?,
            key: self.key.clone(),
            peer: self.peer.clone(),
            is_padded: self.is_padded,
            may_derive: self.may_derive,
        })
    }

    pub(crate) fn init(&mut self, key: Option<Arc<Key>>, params: Params<'_>) -> c_int {
        let begun = self.software.init(key.as_deref().map(Key::software), params);
        self.note(params, begun);
        // After a refusal the context may hold the old key or the new one: it alone answers, until an init brings a key.
        self.key = key.filter(|_| begun == 1);
        begun
    }

    pub(crate) fn set_peer(&mut self, peer: Option<Arc<Key>>) -> c_int {
        let set = self.software.set_peer(peer.as_deref().map(Key::software));
        self.peer = peer.filter(|_| set == 1);
        set
    }

    pub(crate) fn set_params(&mut self, params: Params<'_>) -> c_int {
        let set = self.software.set_params(params);
        self.note(params, set);
        set
    }

    /// Remembers what `params`, which the default provider's context took when `taken` is 1, mean for the secret's form.
    fn note(&mut self, params: Params<'_>, taken: c_int) {
        if let Some(is_padded) = params.flag(c"pad") {
            self.is_padded = Some(is_padded).filter(|_| taken == 1);
        }
        self.may_derive |= params.iter().any(|(name, _)| name != c"pad");
    }

    pub(crate) fn get_params(&mut self, params: ParamsToFill<'_>) -> c_int {
        self.software.get_params(params)
    }

    /// Computes the secret.
    pub(crate) fn derive(&mut self, output: &mut Output<'_>) -> c_int {
        let (Some(key), Some(peer)) = (self.key.clone(), self.peer.clone()) else {
            return self.software.derive(output);
        };
        if output.is_size_query() {
            return self.software.derive(output);
        }
        let Some(row) = key.exchange() else { return self.software.derive(output) };
        match self.prepare(row, &key, &peer, output.size()) {
            Ok(prepared) => self.deliver(&prepared, row.secret_len_bytes, output),
            Err(reason) => {
                let derived = self.software.derive(output);
                if derived == 1 {
                    let len_bytes = u64::try_from(row.secret_len_bytes).unwrap_or(0);
                    note_software(row.algorithm, reason, 1, len_bytes);
                }
                derived
            }
        }
    }

    /// Brings both keys into device layout. An error for whatever the default provider must do, or refuse, itself.
    fn prepare(&mut self, row: Row, key: &Key, peer: &Key, room: usize) -> Result<Prepared, Why> {
        // Reasons that pass, or that only a routed request can learn about, count as yes: the core decides then.
        presence(row.algorithm)?;
        if room < row.secret_len_bytes || self.may_derive && !self.software.is_plain() {
            return Err(Why::Unsupported);
        }
        let prepared = match self.exchange_type {
            ExchangeType::Dh => {
                key.dh().zip(peer.dh_public()).zip(self.is_padded).map(|((private, peer), is_padded)| {
                    Prepared::Dh { private: private.clone(), peer, is_padded }
                })
            }
            ExchangeType::Ecdh => key
                .ec()
                .zip(peer.ec_public())
                .filter(|(private, peer)| private.curve() == peer.curve())
                .map(|(private, peer)| Prepared::Ec { private: private.clone(), peer: peer.clone() }),
            ExchangeType::X25519 | ExchangeType::X448 => key
                .ecx()
                .zip(peer.ecx_public())
                .map(|(private, peer)| Prepared::Ecx { private: private.clone(), peer }),
        };
        prepared.ok_or(Why::Unsupported)
    }

    /// Hands the operation to the core and gives the caller whatever comes of it.
    fn deliver(&mut self, prepared: &Prepared, len_bytes: usize, output: &mut Output<'_>) -> c_int {
        let mut room = Zeroizing::new([0; MAX_LEN_BYTES]);
        let software = &mut self.software;
        // Nothing here could tell a wrong secret from a right one; what can be told, the core checks.
        let unchecked = |_: &[u8]| true;
        let outcome = match prepared {
            Prepared::Dh { private, peer, .. } => {
                let Some(secret) = room.get_mut(..len_bytes) else { return 0 };
                dh_shared(private, peer, secret, unchecked, || software.derive(output))
            }
            Prepared::Ec { private, peer } => {
                let Some(point) = room.get_mut(..len_bytes * 2) else { return 0 };
                ecdh(private, peer, point, unchecked, || software.derive(output))
            }
            Prepared::Ecx { private, peer } => {
                let Some(secret) = room.get_mut(..len_bytes) else { return 0 };
                ecx_shared(private, peer, secret, unchecked, || software.derive(output))
            }
        };
        match outcome {
            Outcome::Software(derived) => derived,
            Outcome::Hardware(()) => {
                let Some(secret) = room.get_mut(..len_bytes) else { return 0 };
                let len = match prepared {
                    Prepared::Dh { is_padded: false, .. } => strip(secret),
                    _ => len_bytes,
                };
                c_int::from(output.put_part(secret, len))
            }
        }
    }

    /// What a context can be told; it may be absent.
    pub(crate) fn settable_params(
        exchange: Option<&Self>,
        exchange_type: ExchangeType,
        context: &Context,
    ) -> *const Param {
        context.fallback().map_or(std::ptr::null(), |fallback| {
            fallback.exchange_settable_params(exchange_type, exchange.map(|exchange| &exchange.software))
        })
    }

    /// What a context can tell; it may be absent.
    pub(crate) fn gettable_params(
        exchange: Option<&Self>,
        exchange_type: ExchangeType,
        context: &Context,
    ) -> *const Param {
        context.fallback().map_or(std::ptr::null(), |fallback| {
            fallback.exchange_gettable_params(exchange_type, exchange.map(|exchange| &exchange.software))
        })
    }
}

impl Reports for Exchange {
    fn report_panic(&self) {
        Reason::Internal.raise(self.context.core(), c"exchange", "");
    }
}

/// How a key's exchanges are counted, and how long their secrets are.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) algorithm: Algorithm,
    /// Before leading zeros are stripped.
    pub(crate) secret_len_bytes: usize,
}

/// Both keys as the core takes them.
enum Prepared {
    Dh { private: DhPrivateKey, peer: Vec<u8>, is_padded: bool },
    Ec { private: EcPrivateKey, peer: EcPublicKey },
    Ecx { private: EcxPrivateKey, peer: Vec<u8> },
}

/// The longest a device gives: DH of 4096 bits, or a point of two coordinates of 66 bytes.
const MAX_LEN_BYTES: usize = 512;

/// Moves `secret` without its leading zeros to the front, zeros behind, as `DH_compute_key(3)` leaves its buffer. Gives the
/// length. Like there, how many zeros there were is not hidden.
fn strip(secret: &mut [u8]) -> usize {
    let zeros = secret.iter().take_while(|byte| **byte == 0).count();
    secret.rotate_left(zeros);
    secret.len() - zeros
}

#[cfg(test)]
mod tests {
    use super::strip;

    #[test]
    fn leading_zeros_go_to_the_end() {
        let mut secret = [0, 0, 7, 0, 9];
        assert_eq!(strip(&mut secret), 3);
        assert_eq!(secret, [7, 0, 9, 0, 0]);
        let mut secret = [1, 0];
        assert_eq!((strip(&mut secret), secret), (2, [1, 0]));
    }
}
