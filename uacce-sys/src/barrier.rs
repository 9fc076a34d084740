//! Device-strength barriers, one function per purpose.
//!
//! Rust's fences order CPUs (`dmb ish` on arm64); the device is an observer outside that domain, so arm64 needs
//! outer-shareable or full-system barriers (uacce-qm §4.5). On x86-64 the rings are ordinary write-back memory and the
//! doorbell is uncached: stores are seen in program order and loads are not reordered with loads, hence only the
//! compiler must be held back, with one exception: a store followed by a load ([`after_arming`]).
//! The crate's ring stores are ordinary ones, never non-temporal, so x86-64 needs no `sfence`.
#![cfg_attr(
    target_arch = "aarch64",
    expect(unsafe_code, reason = "barrier instructions exist only as inline assembly")
)]

/// This architecture's barriers are known to reach the device; [`crate::open`] refuses to drive hardware otherwise.
pub(crate) const REACH_DEVICE: bool = cfg!(any(target_arch = "aarch64", target_arch = "x86_64"));

/// Between filling a descriptor, reading the status word, and the submission doorbell.
///
/// The device must see the whole descriptor before the new tail, and the status word must have been read before the
/// doorbell: loads and stores before, a store after. Hence `dmb osh`, not `oshst`, which would let the load pass.
#[inline]
pub(crate) fn before_submission_doorbell() {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a barrier touches no register and no memory; without `nomem` it also holds the compiler back.
    unsafe {
        core::arch::asm!("dmb osh", options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "aarch64"))]
    core::sync::atomic::fence(core::sync::atomic::Ordering::AcqRel);
}

/// Between reading a completion's phase and reading anything the phase vouches for (slot number, descriptor).
///
/// Loads before, loads after: `dmb oshld`.
#[inline]
pub(crate) fn after_phase() {
    loads_before_loads();
}

/// Between copying a completed descriptor and reading the status word that tells whether it may be believed.
///
/// Loads before, a load after: `dmb oshld`. The word may otherwise be read before the last bytes of the descriptor, and say
/// of bytes that a faulty device wrote in between that all was well.
#[inline]
pub(crate) fn after_copy() {
    loads_before_loads();
}

#[inline]
fn loads_before_loads() {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as in `before_submission_doorbell`.
    unsafe {
        core::arch::asm!("dmb oshld", options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "aarch64"))]
    core::sync::atomic::fence(core::sync::atomic::Ordering::Acquire);
}

/// Between reading a completion and its descriptor, and the completion doorbell that gives the entry back.
///
/// The loads must be complete before the device may overwrite what they read: `dsb ld`, as the reference driver has it.
#[inline]
pub(crate) fn before_completion_doorbell() {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as in `before_submission_doorbell`.
    unsafe {
        core::arch::asm!("dsb ld", options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "aarch64"))]
    core::sync::atomic::fence(core::sync::atomic::Ordering::AcqRel);
}

/// Between the completion doorbell that asks for an event and the look at the ring that decides whether to sleep.
///
/// A store before, a load after: the one order that neither architecture keeps by itself. `dsb sy` also waits until the
/// store has left for the device; on x86-64 it is `mfence`. Without it both sides could miss each other: we read "no
/// completion" early, the device completes, and only then learns that we want to be told.
#[inline]
pub(crate) fn after_arming() {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as in `before_submission_doorbell`.
    unsafe {
        core::arch::asm!("dsb sy", options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "aarch64"))]
    core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
}
