//! One RSA private operation: whether it is worth preparing for hardware, sending it there, checking what comes back, and
//! counting what software did instead.

use std::ffi::c_int;

use warpdrive::{Algorithm, Outcome, Reason as Why, Verdict, note_software, presence, rsa_private};
use zeroize::Zeroizing;

use crate::context::Context;
use crate::ffi::fallback::{SignatureContext, SignatureType};
use crate::ffi::handle::{Input, Output};
use crate::ffi::params::{Own, to_send};
use crate::ops::keymgmt::Key;
use crate::ops::keymgmt::rsa::{DeviceKey, without_primes};

/// No padding (`RSA_NO_PADDING` in `openssl/rsa.h`).
pub(super) const NONE: c_int = 3;

/// Whether answers are checked. Always, in every build but one: `scripts/bench-pkey` makes a module of its own, with
/// `RUSTFLAGS="--cfg warpdrive_unverified"`, to measure what the check costs. That module says so of itself (`status.rs`).
const VERIFIED: bool = !cfg!(warpdrive_unverified);

/// The longest modulus a device takes, bytes.
pub(super) const MAX_LEN_BYTES: usize = 512;

/// Whether a private operation with `key` is worth preparing for hardware. Reasons that pass, or that only a routed
/// request can learn about, count as yes: the core decides then.
/// # Errors
/// Why not.
pub(super) fn may_use_device(context: &Context, key: &Key) -> Result<(), Why> {
    if !context.config().rsa_private {
        return Err(Why::Policy);
    }
    presence(key.rsa_algorithm())
}

/// Counts a private operation done in software; one that failed was none.
pub(super) fn count(algorithm: Algorithm, reason: Why, len_bytes: usize, done: c_int) -> c_int {
    if done == 1 {
        note_software(algorithm, reason, 1, u64::try_from(len_bytes).unwrap_or(0));
    }
    done
}

/// Hands `input`, as long as the modulus and below it, to the core. `hardware` gets the device's checked answer, or `software`
/// runs; whichever does answers the caller.
pub(super) fn private(
    context: &Context,
    key: &Key,
    device: &DeviceKey,
    input: &[u8],
    hardware: impl FnOnce(&[u8]) -> c_int,
    software: impl FnOnce() -> c_int,
) -> c_int {
    // What a decryption gives is a secret.
    let mut room = Zeroizing::new([0; MAX_LEN_BYTES]);
    let Some(answer) = room.get_mut(..input.len()) else { return 0 };
    let check = |answer: &[u8]| {
        if !VERIFIED {
            return Verdict::Right;
        }
        context.core().without_errors(|| match gives_back(key, device, answer, input) {
            Some(true) => Verdict::Right,
            Some(false) if is_sound(key, device, input) => Verdict::Wrong,
            _ => Verdict::BadInput,
        })
    };
    match rsa_private(&device.private, input, answer, check, software) {
        Outcome::Hardware(()) => hardware(answer),
        Outcome::Software(done) => done,
    }
}

/// Whether `answer`^e mod n is `input`, by the default provider's own public operation; `None` when that cannot be made with this key,
/// and so says nothing of the answer.
fn gives_back(key: &Key, device: &DeviceKey, answer: &[u8], input: &[u8]) -> Option<bool> {
    let mut opener = SignatureContext::new(key.software().fallback(), SignatureType::Rsa, None)?;
    let public = device.opener(key.software());
    let mut padding = NONE;
    let array = [Own::int(c"pad-mode", &mut padding), Own::END];
    if opener.verify_recover_init(Some(public), to_send(&array)) != 1 {
        return None;
    }
    let (mut opened, mut len) = ([0; MAX_LEN_BYTES], 0);
    let recovered = opener.verify_recover(&Output::over(&mut opened, &mut len), Input::from(answer));
    if recovered == 1 {
        return Some(opened.get(..len) == Some(input));
    }
    // What is not below the modulus is refused for its own sake, with any key.
    (*answer >= *device.modulus).then_some(false)
}

/// Whether a device that made of `input` what does not give it back is to blame, and not the key. Without primes the key's numbers
/// cannot be compared with each other: what the default provider makes of the same input must give it back.
fn is_sound(key: &Key, device: &DeviceKey, input: &[u8]) -> bool {
    if device.has_primes {
        return key.is_sound();
    }
    let mut room = Zeroizing::new([0; MAX_LEN_BYTES]);
    let answer = by_software(key, input, &mut *room);
    let is_sound = answer.and_then(|answer| gives_back(key, device, answer, input)) == Some(true);
    if !is_sound {
        key.stays_in_software();
    }
    is_sound
}

/// What the default provider makes of `input` without the key's primes and without padding; `None` when it refuses.
fn by_software<'a>(key: &Key, input: &[u8], room: &'a mut [u8]) -> Option<&'a [u8]> {
    let plain = without_primes(key.software())?;
    let mut signer = SignatureContext::new(plain.fallback(), SignatureType::Rsa, None)?;
    let mut padding = NONE;
    let array = [Own::int(c"pad-mode", &mut padding), Own::END];
    let begun = signer.sign_init(Some(&plain), to_send(&array));
    let mut len = 0;
    let signed = begun == 1 && signer.sign(&Output::over(room, &mut len), Input::from(input)) == 1;
    room.get(..len).filter(|_| signed)
}
