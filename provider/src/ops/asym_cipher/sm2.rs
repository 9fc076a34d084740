//! SM2 encryption and decryption (GB/T 32918.4): the points come from the device, checked by the core; key stream and hash are made
//! here, with the default provider's digests.
//!
//! A decryption is checked by its own hash C3: only the right point gives the right one. When it does not fit, the default provider
//! decrypts, and says whether the device is to blame or the ciphertext. A key stream of zeros is the ciphertext's own, which some
//! versions open and others refuse.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::sync::Arc;

use subtle::ConstantTimeEq as _;
use warpdrive::request::pkey::{Curve, CurveName, EcPrivateKey, EcPublicKey};
use warpdrive::{Algorithm, Outcome, Reason as Why, Verdict, sm2_decryption_point, sm2_encryption_points};
use zeroize::Zeroizing;

use crate::ciphertext::{self, COORDINATE_LEN_BYTES, Parts};
use crate::context::Context;
use crate::encode::MAX_DIGEST_LEN_BYTES;
use crate::ffi::fallback::{AsymCipherContext, Digest, DigestContext, Fallback};
use crate::ffi::handle::{Input, Output};
use crate::ops::curve::{may_use_device, nonce};
use crate::ops::keymgmt::Key;
use crate::ops::rsa::count;

/// What OpenSSL leaves in the caller's buffer behind its answers.
const BEHIND_CIPHERTEXT: u8 = 0;
const BEHIND_MESSAGE: u8 = 0xff;

/// The longest message that OpenSSL's key derivation serves.
const MAX_MESSAGE_LEN_BYTES: usize = 1 << 30;

/// Encrypts with `key`, which `software` has too.
pub(super) fn encrypt(
    context: &Context,
    software: &mut AsymCipherContext,
    key: &Key,
    output: &mut Output<'_>,
    message: Input<'_>,
) -> c_int {
    let (algorithm, len) = (Algorithm::Sm2Encrypt, message.raw().1);
    let prepared = may_use_device(algorithm, len)
        .and_then(|()| Encryption::prepare(context, software, key, output, message).ok_or(Why::Unsupported));
    let mut encryption = match prepared {
        Ok(encryption) => encryption,
        Err(reason) => {
            let encrypted = software.encrypt(output, message);
            return count(algorithm, reason, len, encrypted);
        }
    };
    let Encryption { key, nonce, work } = &mut encryption;
    let mut points = Zeroizing::new([0; COORDINATE_LEN_BYTES * 4]);
    // A key stream of zeros is for nobody to see: software draws a nonce of its own.
    let check = |points: &[u8]| if work.seal(points).is_some() { Verdict::Right } else { Verdict::BadInput };
    let outcome =
        sm2_encryption_points(key, nonce, len, &mut *points, check, || software.encrypt(output, message));
    match outcome {
        Outcome::Hardware(()) => c_int::from(output.put_and_fill(&work.sealed, BEHIND_CIPHERTEXT)),
        Outcome::Software(encrypted) => encrypted,
    }
}

/// Decrypts with `key`, which `software` has too.
pub(super) fn decrypt(
    context: &Context,
    software: &mut AsymCipherContext,
    key: &Key,
    output: &mut Output<'_>,
    encrypted: Input<'_>,
) -> c_int {
    let algorithm = Algorithm::Sm2Decrypt;
    // About as long as the message.
    let about = encrypted.raw().1.saturating_sub(COORDINATE_LEN_BYTES * 3);
    let prepared = may_use_device(algorithm, about).and_then(|()| {
        Decryption::prepare(context, software, key, output, encrypted).ok_or(Why::Unsupported)
    });
    let mut decryption = match prepared {
        Ok(decryption) => decryption,
        Err(reason) => {
            let decrypted = software.decrypt(output, encrypted);
            return count(algorithm, reason, output.answered_len(), decrypted);
        }
    };
    let Decryption { key, first, work } = &mut decryption;
    let len = work.text.len();
    let mut point = Zeroizing::new([0; COORDINATE_LEN_BYTES * 2]);
    let again = RefCell::new(|| software.decrypt(output, encrypted));
    let decrypted = Cell::new(None);
    let check = |point: &[u8]| {
        let opened = work.open(point);
        if opened == Some(true) {
            return Verdict::Right;
        }
        let result = (again.borrow_mut())();
        decrypted.set(Some(result));
        if opened == Some(false) && result == 1 { Verdict::Wrong } else { Verdict::BadInput }
    };
    let finish = || decrypted.get().unwrap_or_else(|| (again.borrow_mut())());
    match sm2_decryption_point(key, first, len, &mut *point, check, finish) {
        Outcome::Hardware(()) => c_int::from(output.put_and_fill(&work.text, BEHIND_MESSAGE)),
        Outcome::Software(decrypted) => decrypted,
    }
}

/// An encryption prepared for the device.
struct Encryption<'a> {
    key: &'a EcPublicKey,
    nonce: Zeroizing<Vec<u8>>,
    work: Sealing,
}

impl<'a> Encryption<'a> {
    /// `None` for whatever the default provider must do, or refuse, itself.
    fn prepare(
        context: &Context,
        software: &mut AsymCipherContext,
        key: &'a Key,
        output: &Output<'_>,
        message: Input<'_>,
    ) -> Option<Self> {
        let text = copied(message).filter(|_| !output.overlaps(message))?;
        let digest = digest_of(context, software, |software, size| software.encrypt(size, message))?;
        let max_len = ciphertext::max_len_bytes(digest.kind().len_bytes(), text.len())?;
        let key_bits = key.bits();
        let key = key.ec_public().filter(|key| is_sm2(key.curve()))?;
        if output.size() < max_len {
            return None;
        }
        let mut sealed = Vec::new();
        sealed.try_reserve_exact(max_len).ok()?;
        let nonce = nonce(key.curve(), key_bits)?;
        let work = Sealing { fallback: Arc::clone(software.fallback()), digest, text, sealed };
        Some(Self { key, nonce, work })
    }
}

/// What is left to do with the points.
struct Sealing {
    fallback: Arc<Fallback>,
    digest: Digest,
    /// The message; then C2.
    text: Zeroizing<Vec<u8>>,
    /// Empty, with room for the ciphertext; then that.
    sealed: Vec<u8>,
}

impl Sealing {
    /// Makes the ciphertext. `points`: C1x ‖ C1y ‖ x2 ‖ y2. `None`: the key stream is all zero, or a digest failed.
    fn seal(&mut self, points: &[u8]) -> Option<()> {
        let (first, second) = points.split_at_checked(COORDINATE_LEN_BYTES * 2)?;
        let (x, y) = first.split_at_checked(COORDINATE_LEN_BYTES)?;
        let mut room = [0; MAX_DIGEST_LEN_BYTES];
        let hash = hash(&self.fallback, self.digest, second, &self.text, &mut room)?;
        lay_key_stream(&self.fallback, self.digest, second, &mut self.text)?;
        ciphertext::encode(&Parts { x, y, hash, text: &self.text }, &mut self.sealed)
    }
}

/// A decryption prepared for the device.
struct Decryption<'a> {
    key: &'a EcPrivateKey,
    /// C1.
    first: EcPublicKey,
    work: Opening,
}

impl<'a> Decryption<'a> {
    /// `None` for whatever the default provider must do, or refuse, itself.
    fn prepare(
        context: &Context,
        software: &mut AsymCipherContext,
        key: &'a Key,
        output: &Output<'_>,
        encrypted: Input<'_>,
    ) -> Option<Self> {
        let encoded = copied(encrypted).filter(|_| !output.overlaps(encrypted))?;
        let Parts { x, y, hash, text } = ciphertext::parse(&encoded)?;
        let digest = digest_of(context, software, |software, size| software.decrypt(size, encrypted))?;
        let fits = hash.len() == digest.kind().len_bytes() && !text.is_empty() && text.len() <= output.size();
        let key = key.ec().filter(|key| fits && is_sm2(key.curve()))?;
        let first = EcPublicKey::new(key.curve(), x, y).ok()?;
        let mut room = Zeroizing::new(Vec::new());
        room.try_reserve_exact(text.len()).ok()?;
        room.extend_from_slice(text);
        let work =
            Opening { fallback: Arc::clone(software.fallback()), digest, hash: hash.to_vec(), text: room };
        Some(Self { key, first, work })
    }
}

/// What is left to do with the point.
struct Opening {
    fallback: Arc<Fallback>,
    digest: Digest,
    /// C3.
    hash: Vec<u8>,
    /// C2; then what it opens to.
    text: Zeroizing<Vec<u8>>,
}

impl Opening {
    /// Opens the message, and says whether C3 fits it. `point`: x2 ‖ y2. `None`: the key stream is all zero, or a digest failed.
    fn open(&mut self, point: &[u8]) -> Option<bool> {
        lay_key_stream(&self.fallback, self.digest, point, &mut self.text)?;
        let mut room = [0; MAX_DIGEST_LEN_BYTES];
        let hash = hash(&self.fallback, self.digest, point, &self.text, &mut room)?;
        Some(bool::from(hash.ct_eq(&self.hash)))
    }
}

fn is_sm2(curve: &Curve) -> bool {
    curve.name() == CurveName::Sm2
}

/// A copy, of which there is memory for; not of nothing, and not of more than OpenSSL takes.
fn copied(input: Input<'_>) -> Option<Zeroizing<Vec<u8>>> {
    let len = input.raw().1;
    if !(1..=MAX_MESSAGE_LEN_BYTES).contains(&len) {
        return None;
    }
    let mut copy = Zeroizing::new(Vec::new());
    copy.try_reserve_exact(len).ok()?;
    copy.resize(len, 0);
    input.copy_to(&mut copy)?;
    Some(copy)
}

/// The digest of `software`. It chooses SM3 when first used without having been told another; `ask` asks it for a size, so that
/// afterwards it tells what it would tell without us. `None`: one that is not known here, or none to be had.
fn digest_of(
    context: &Context,
    software: &mut AsymCipherContext,
    ask: impl FnOnce(&mut AsymCipherContext, &Output<'_>) -> c_int,
) -> Option<Digest> {
    let mut name = software.digest_name()?;
    if name.is_empty() {
        let mut size = 0;
        let asked = context.core().without_errors(|| ask(software, &Output::asking(&mut size)));
        name = software.digest_name().filter(|_| asked == 1)?;
    }
    software.fallback().digest(&name)
}

/// C3 = hash(x2 ‖ message ‖ y2), at the front of `room`. `point`: x2 ‖ y2.
fn hash<'a>(
    fallback: &Arc<Fallback>,
    digest: Digest,
    point: &[u8],
    message: &[u8],
    room: &'a mut [u8],
) -> Option<&'a [u8]> {
    let (x, y) = point.split_at_checked(COORDINATE_LEN_BYTES)?;
    let value = room.get_mut(..digest.kind().len_bytes())?;
    digest.of(fallback, &[x, message, y], value).then_some(value)
}

/// Lays the key stream of a point (the KDF of GB/T 32918.4 §5.4.3: hash(x2 ‖ y2 ‖ counter), counter from 1) over `text`. `None`: it is
/// all zero, or a digest failed.
fn lay_key_stream(fallback: &Arc<Fallback>, digest: Digest, point: &[u8], text: &mut [u8]) -> Option<()> {
    let mut room = Zeroizing::new([0; MAX_DIGEST_LEN_BYTES]);
    let block = room.get_mut(..digest.kind().len_bytes())?;
    let mut begun = DigestContext::new(fallback, digest)?;
    let mut all = 0;
    if !begun.update(Input::from(point)) {
        return None;
    }
    for (counter, piece) in (1_u32..).zip(text.chunks_mut(block.len())) {
        let mut running = begun.duplicate()?;
        if !running.update(Input::from(&counter.to_be_bytes()[..])) || !running.finish(block) {
            return None;
        }
        for (byte, key) in piece.iter_mut().zip(block.iter()) {
            *byte ^= key;
            all |= key;
        }
    }
    (all != 0).then_some(())
}
