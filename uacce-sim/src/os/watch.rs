//! Files that clients write: inotify tells when.
#![expect(unsafe_code, reason = "inotify has no safe interface in std")]

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::checked;

/// A set of watched files.
pub struct Watch(File);

impl Watch {
    /// Watches nothing yet.
    /// # Errors
    /// What `inotify_init1` reports.
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes flags, returns a new descriptor.
        let raw = checked(unsafe { libc::inotify_init1(libc::IN_CLOEXEC) })?;
        // SAFETY: just returned; nobody else owns it.
        Ok(Self(unsafe { File::from_raw_fd(raw) }))
    }

    /// Adds a file; its number comes back with every change of it.
    /// # Errors
    /// What `inotify_add_watch` reports.
    pub fn add(&self, path: &Path) -> io::Result<i32> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let mask = libc::IN_MODIFY | libc::IN_CLOSE_WRITE;
        // SAFETY: a NUL-terminated name that lives through the call.
        checked(unsafe { libc::inotify_add_watch(self.0.as_raw_fd(), path.as_ptr(), mask) })
    }

    /// Waits for changes: the file's number, and whether its writer has closed it.
    /// # Errors
    /// What reading reports.
    pub fn wait(&mut self) -> io::Result<Vec<(i32, bool)>> {
        let mut bytes = [0; 4096];
        let len = self.0.read(&mut bytes)?;
        let mut rest = bytes.get(..len).unwrap_or_default();
        let mut changes = Vec::new();
        // struct inotify_event: number, mask, cookie, length of the name behind it.
        while let Some((head, tail)) = rest.split_first_chunk::<16>() {
            let word = |at: usize| [head[at], head[at + 1], head[at + 2], head[at + 3]];
            changes
                .push((i32::from_ne_bytes(word(0)), u32::from_ne_bytes(word(4)) & libc::IN_CLOSE_WRITE != 0));
            rest = tail.get(u32::from_ne_bytes(word(12)) as usize..).unwrap_or_default();
        }
        Ok(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_told() {
        let directory = crate::os::process::private_directory(&std::env::temp_dir()).unwrap();
        let path = directory.join("file");
        std::fs::write(&path, "0\n").unwrap();
        let mut watch = Watch::new().unwrap();
        let number = watch.add(&path).unwrap();
        std::fs::write(&path, "5\n").unwrap();
        let mut changes = Vec::new();
        while !changes.contains(&(number, true)) {
            changes.extend(watch.wait().unwrap());
        }
        assert!(changes.contains(&(number, false)));
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
