//! Random bytes from the operating system.
#![expect(unsafe_code, reason = "a system call that writes to memory")]

/// Fills `bytes`; false when the system cannot give that many now. Never blocks.
pub(crate) fn fill(bytes: &mut [u8]) -> bool {
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        // SAFETY: `rest` is writable memory of the given length.
        let got = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), libc::GRND_NONBLOCK) };
        match usize::try_from(got) {
            Ok(0) => return false,
            Ok(got) => filled += got,
            Err(_) if std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn fills_every_length() {
        assert!(fill(&mut []));
        let mut bytes = [0; 490];
        assert!(fill(&mut bytes));
        assert_ne!(bytes, [0; 490]);
    }
}
