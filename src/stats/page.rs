//! One process's counters in memory or in a mapped file, and that file's layout.
//!
//! A file describes itself, so that a reader of another version still understands it. Little-endian, whole pages of 4096 bytes:
//!
//! | Byte | Field |
//! |---|---|
//! | 0 | magic `wdcount` and a zero byte; written last, so a file without it is still being made |
//! | 8 | u32 version, 1 |
//! | 12 | u32 length of a name, 32 |
//! | 16 | u32 number of rows |
//! | 20 | u32 number of columns |
//! | 24 | u32 offset of the names: rows, then columns; ASCII, zero-padded; an empty name is a cell not in use |
//! | 28 | u32 offset of the cells: u64 each, row by row |
//! | 32 | u64 process id |
//! | 40 | u64 time of making, nanoseconds since 1970 |
//! | 48 | 16 zero bytes |
#![expect(unsafe_code, reason = "the file is mapped: shared memory has no safe form")]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::{Algorithm, Reason};

/// Columns of a row.
pub(super) const HARDWARE: usize = 0;
pub(super) const HARDWARE_BYTES: usize = 1;
pub(super) const SOFTWARE_BYTES: usize = 2;
/// The first of the reasons' columns.
pub(super) const REASONS: usize = 3;
/// Two cache lines, so that rows do not share one.
pub(super) const COLUMNS: usize = 16;

/// How counter files' names end.
pub const FILE_SUFFIX: &str = ".counters";

/// Column names; a reason's is its own name behind [`REASON_PREFIX`].
pub(super) const HARDWARE_NAME: &str = "hardware";
pub(super) const HARDWARE_BYTES_NAME: &str = "hardware-bytes";
pub(super) const SOFTWARE_BYTES_NAME: &str = "software-bytes";
pub(super) const REASON_PREFIX: &str = "software/";

pub(super) const MAGIC: [u8; 8] = *b"wdcount\0";
pub(super) const VERSION: u32 = 1;
pub(super) const NAME_LEN: usize = 32;
pub(super) const HEADER_LEN: usize = 64;

const ROWS: usize = Algorithm::ALL.len();
/// Header and names, rounded up to a cache line.
const CELLS_OFFSET: usize = (HEADER_LEN + (ROWS + COLUMNS) * NAME_LEN).next_multiple_of(64);
const CELLS_END: usize = CELLS_OFFSET + ROWS * COLUMNS * 8;
/// Bytes of a file.
pub(super) const FILE_LEN: usize = CELLS_END.next_multiple_of(4096);

#[repr(C, align(64))]
struct Layout {
    head: [AtomicU64; CELLS_OFFSET / 8],
    cells: [[AtomicU64; COLUMNS]; ROWS],
    rest: [AtomicU64; (FILE_LEN - CELLS_END) / 8],
}

const _: () = assert!(size_of::<Layout>() == FILE_LEN && REASONS + Reason::ALL.len() <= COLUMNS);

/// The counters of one process.
pub(super) struct Page {
    memory: Memory,
}

enum Memory {
    Heap(Box<Layout>),
    Mapped { map: NonNull<Layout>, path: PathBuf },
}

// SAFETY: a Layout consists of atomics only; the mapping stays where it is until the Page is dropped.
unsafe impl Send for Page {}
// SAFETY: as above; nothing but the atomics is reached through a shared Page.
unsafe impl Sync for Page {}

impl Page {
    /// In a new file below `dir`; without one, or if anything at all goes wrong with it, on the heap.
    pub(super) fn open(dir: Option<&Path>) -> Self {
        let memory = dir.and_then(|dir| create(dir).ok()).map_or_else(
            || Memory::Heap(Box::new(Layout::zeroed())),
            |(map, path)| Memory::Mapped { map, path },
        );
        Self { memory }
    }

    /// The cells of one row.
    pub(super) fn cells(&self, row: usize) -> &[AtomicU64; COLUMNS] {
        &self.layout().cells[row]
    }

    fn layout(&self) -> &Layout {
        match &self.memory {
            Memory::Heap(layout) => layout,
            // SAFETY: `create` mapped FILE_LEN readable and writable bytes, page-aligned and backed by allocated blocks;
            // they stay mapped until `drop`, and all-zero or any other bytes are valid atomics.
            Memory::Mapped { map, .. } => unsafe { map.as_ref() },
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let unused = self.layout().cells.iter().flatten().all(|cell| cell.load(Ordering::Relaxed) == 0);
        if let Memory::Mapped { map, path } = &self.memory {
            if unused {
                // Lost the race of two first counts: nothing to tell.
                let _ = fs::remove_file(path);
            }
            // SAFETY: the mapping made by `create`, FILE_LEN bytes, unmapped once; no reference into it outlives `self`.
            unsafe { libc::munmap(map.as_ptr().cast(), FILE_LEN) };
        }
    }
}

impl Layout {
    fn zeroed() -> Self {
        Self {
            head: [const { AtomicU64::new(0) }; CELLS_OFFSET / 8],
            cells: [const { [const { AtomicU64::new(0) }; COLUMNS] }; ROWS],
            rest: [const { AtomicU64::new(0) }; (FILE_LEN - CELLS_END) / 8],
        }
    }

    /// Fills the header, its magic last.
    fn describe(&self, created_ns: u64) {
        let mut bytes = [0_u8; CELLS_OFFSET];
        let mut put =
            |offset: usize, field: &[u8]| bytes[offset..offset + field.len()].copy_from_slice(field);
        put(8, &VERSION.to_le_bytes());
        put(12, &le32(NAME_LEN));
        put(16, &le32(ROWS));
        put(20, &le32(COLUMNS));
        put(24, &le32(HEADER_LEN));
        put(28, &le32(CELLS_OFFSET));
        put(32, &u64::from(std::process::id()).to_le_bytes());
        put(40, &created_ns.to_le_bytes());
        for algorithm in Algorithm::ALL {
            put(HEADER_LEN + algorithm.index() * NAME_LEN, algorithm.name().as_bytes());
        }
        for (column, name) in column_names() {
            let at = HEADER_LEN + (ROWS + column) * NAME_LEN;
            let (prefix, name) = if column < REASONS { ("", name) } else { (REASON_PREFIX, name) };
            put(at, prefix.as_bytes());
            put(at + prefix.len(), name.as_bytes());
        }
        for (word, value) in self.head.iter().zip(bytes.chunks_exact(8)).skip(1) {
            let value = value.try_into().map_or(0, u64::from_ne_bytes);
            word.store(value, Ordering::Relaxed);
        }
        self.head[0].store(u64::from_ne_bytes(MAGIC), Ordering::Release);
    }
}

/// The columns in use: index, and name without [`REASON_PREFIX`].
pub(super) fn column_names() -> impl Iterator<Item = (usize, &'static str)> {
    let fixed = [
        (HARDWARE, HARDWARE_NAME),
        (HARDWARE_BYTES, HARDWARE_BYTES_NAME),
        (SOFTWARE_BYTES, SOFTWARE_BYTES_NAME),
    ];
    let reasons = Reason::ALL.into_iter().map(|reason| (REASONS + reason.index(), reason.name()));
    fixed.into_iter().chain(reasons)
}

fn le32(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap_or(0).to_le_bytes()
}

/// Makes, fills and maps a new file; it is closed again before this returns.
fn create(dir: &Path) -> io::Result<(NonNull<Layout>, PathBuf)> {
    if !file_may_reach(FILE_LEN as u64) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let created = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(io::Error::other)?;
    let created_ns = u64::try_from(created.as_nanos()).map_err(io::Error::other)?;
    let name = format!("warpdrive-{}-{created_ns:x}{FILE_SUFFIX}", std::process::id());
    let path = dir.join(name);
    // create_new is O_EXCL: nobody's file is ever taken over. std sets O_CLOEXEC.
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NOCTTY)
        .open(&path)?;
    match map(&file) {
        Ok(map) => {
            // SAFETY: `map` is FILE_LEN writable bytes, all zero (fresh blocks), aligned to a page.
            unsafe { map.as_ref() }.describe(created_ns);
            Ok((map, path))
        }
        Err(error) => {
            let _ = fs::remove_file(&path);
            Err(error)
        }
    }
}

fn map(file: &File) -> io::Result<NonNull<Layout>> {
    let fd = file.as_raw_fd();
    // Blocks are allocated before the first store: a full file system must fail here, not kill the host with SIGBUS.
    // SAFETY: `fd` is open for writing; the call takes no pointer.
    let errno = unsafe { libc::posix_fallocate(fd, 0, FILE_LEN as libc::off_t) };
    if errno != 0 {
        return Err(io::Error::from_raw_os_error(errno));
    }
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the kernel chooses a free address; `fd` is a regular file of at least FILE_LEN bytes.
    let address = unsafe { libc::mmap(ptr::null_mut(), FILE_LEN, prot, libc::MAP_SHARED, fd, 0) };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(address.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}

/// False when a file of this length would meet `RLIMIT_FSIZE`, whose signal, `SIGXFSZ`, kills.
pub(crate) fn file_may_reach(len_bytes: u64) -> bool {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit for the kernel to fill.
    let answer = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) };
    // No limit is the greatest number.
    answer == 0 && limit.rlim_cur >= len_bytes
}
