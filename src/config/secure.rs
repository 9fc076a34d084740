//! Whether the process runs with more rights than whoever started it.
#![expect(unsafe_code, reason = "getauxval has no safe form")]

/// True under `AT_SECURE` (set-uid, set-gid, file capabilities, a security module's say-so): the environment then belongs to
/// somebody less trusted (getauxval(3)).
pub(super) fn elevated() -> bool {
    // SAFETY: getauxval takes a number and reads the process's own auxiliary vector; no pointer is involved.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}
