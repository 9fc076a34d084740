//! The mode string of `gzopen`: letters and digits in any order, unknown ones ignored, the last of a kind counts.

use std::ffi::c_int;

/// What to do with the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Access {
    Read,
    Write,
    Append,
}

/// A `gzopen` mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mode {
    pub(super) access: Access,
    pub(super) level: c_int,
    pub(super) strategy: c_int,
    /// `T`: bytes go out as they are.
    pub(super) transparent: bool,
    /// `G`: what is no gzip stream is an error.
    pub(super) gzip_only: bool,
    exclusive: bool,
    close_on_exec: bool,
    non_blocking: bool,
}

impl Mode {
    /// `None`: no access named, or a combination that zlib refuses.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let mut access = None;
        let mut mode = Self {
            access: Access::Read,
            level: -1,
            strategy: 0,
            transparent: false,
            gzip_only: false,
            exclusive: false,
            close_on_exec: false,
            non_blocking: false,
        };
        for &letter in text {
            match letter {
                b'r' => access = Some(Access::Read),
                b'w' => access = Some(Access::Write),
                b'a' => access = Some(Access::Append),
                // Both ways at once is not possible.
                b'+' => return None,
                b'0'..=b'9' => mode.level = c_int::from(letter - b'0'),
                b'f' => mode.strategy = 1,
                b'h' => mode.strategy = 2,
                b'R' => mode.strategy = 3,
                b'F' => mode.strategy = 4,
                b'T' | b'G' => {
                    mode.transparent = letter == b'T';
                    mode.gzip_only = letter == b'G';
                }
                b'x' => mode.exclusive = true,
                b'e' => mode.close_on_exec = true,
                b'N' => mode.non_blocking = true,
                _ => {}
            }
        }
        mode.access = access?;
        let reads = mode.access == Access::Read;
        let refused = if reads { mode.transparent } else { mode.gzip_only };
        (!refused).then_some(mode)
    }

    /// Flags for open(2).
    pub(crate) fn open_flags(self) -> c_int {
        let mut flags = match self.access {
            Access::Read => libc::O_RDONLY,
            Access::Write => libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC,
            Access::Append => libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND,
        };
        if self.exclusive && self.access != Access::Read {
            flags = flags & !libc::O_TRUNC | libc::O_EXCL;
        }
        if self.close_on_exec {
            flags |= libc::O_CLOEXEC;
        }
        if self.non_blocking {
            flags |= libc::O_NONBLOCK;
        }
        flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_in_any_order() {
        let mode = Mode::parse(b"b9hwx").unwrap();
        assert_eq!((mode.access, mode.level, mode.strategy, mode.exclusive), (Access::Write, 9, 2, true));
        assert_eq!(Mode::parse(b"rw3w1").unwrap().level, 1);
        assert_eq!(Mode::parse(b"ra").unwrap().access, Access::Append);
        assert_eq!(Mode::parse(b"rGTG").map(|mode| mode.gzip_only), Some(true));
    }

    #[test]
    fn refused_modes() {
        for text in [&b""[..], b"b6", b"r+", b"w+b", b"rT", b"wG", b"aGe"] {
            assert_eq!(Mode::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn flags_of_open() {
        let flags = |text: &[u8]| Mode::parse(text).unwrap().open_flags();
        assert_eq!(flags(b"r"), libc::O_RDONLY);
        assert_eq!(flags(b"we"), libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_CLOEXEC);
        assert_eq!(flags(b"ax"), libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_EXCL);
    }
}
