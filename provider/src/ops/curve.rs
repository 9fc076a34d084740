//! What operations with keys on curves share: whether one is worth preparing for hardware, and its secret number.

use std::sync::atomic::{AtomicU32, Ordering};

use warpdrive::request::pkey::Curve;
use warpdrive::{Algorithm, Reason as Why, preview};
use zeroize::Zeroizing;

use crate::ffi::random;

/// Whether an operation is worth preparing for hardware. Reasons that pass count as yes: the core decides then. Where software is
/// the faster engine by now, one operation in sixteen goes to the core all the same, so that its measurements stay true; the
/// others lose no time.
/// # Errors
/// Why not.
pub(super) fn may_use_device(algorithm: Algorithm, len_bytes: usize) -> Result<(), Why> {
    static PASSED: AtomicU32 = AtomicU32::new(0);
    match preview(algorithm, len_bytes) {
        Err(Why::Policy) if PASSED.fetch_add(1, Ordering::Relaxed) % 16 != 0 => Err(Why::Policy),
        Err(reason @ (Why::NoDevice | Why::Unsupported)) => Err(reason),
        _ => Ok(()),
    }
}

/// A number in 1..n, each with the same chance: random bits until they are one. `None` when there are none to be had.
pub(super) fn nonce(curve: &Curve, order_bits: u32) -> Option<Zeroizing<Vec<u8>>> {
    let mut nonce = Zeroizing::new(vec![0; curve.order_len_bytes()]);
    let excess = (8 - order_bits % 8) % 8;
    // At least half of all numbers of that many bits are below the order: never 256 in a row.
    for _ in 0..256 {
        if !random::fill(&mut nonce) {
            return None;
        }
        *nonce.first_mut()? &= 0xff >> excess;
        if curve.takes_scalar(&nonce) {
            return Some(nonce);
        }
    }
    None
}
