//! The device's own random numbers: the kernel's.
#![expect(unsafe_code, reason = "getrandom has no safe interface")]

/// Fills `bytes`; `None` when the kernel has none to give.
pub fn fill(bytes: &mut [u8]) -> Option<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        // SAFETY: `rest` is that many writable bytes.
        let filled = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(filled) {
            Ok(filled) => rest = rest.get_mut(filled..)?,
            Err(_) if std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) => {}
            Err(_) => return None,
        }
    }
    Some(())
}
