//! Messages between the simulator daemon and its preload library, and the layout of the memory they share.
//!
//! One `SOCK_SEQPACKET` connection is one open queue. Every call travels as one fixed-size message on that connection
//! together with one end of a fresh socket pair, on which the answer comes back: calls never mix with each other or with
//! the readiness token, the only byte the daemon ever sends on the connection itself.
//! All numbers are little-endian. Nothing here is `unsafe`; both sides copy bytes.

/// First four bytes of every message.
pub const MAGIC: u32 = 0x5541_4353;
/// Version of this protocol; a daemon answers any other with `EPROTO`.
pub const VERSION: u16 = 1;
/// Environment variable naming the daemon's directory; the preload library is inert without it.
pub const ROOT_VARIABLE: &str = "UACCE_SIM_ROOT";
/// The socket's name inside that directory. Also there: `sys/…` and `dev/…`, ordinary files shown as `/sys/…`, `/dev/…`.
pub const SOCKET_NAME: &str = "sock";
/// A symbolic link inside that directory, to nowhere: its target is the page size of the machine that is imitated, in digits.
/// Absent where it is this machine's.
pub const PAGE_SIZE_NAME: &str = "page-size";
/// Bytes of argument an ioctl can carry either way.
pub const IOCTL_BYTES: usize = 64;
/// Bytes of a [`Request`] on the wire.
pub const REQUEST_LEN: usize = 128;
/// Bytes of a [`Reply`] on the wire.
pub const REPLY_LEN: usize = 128;

/// What a client asks of the daemon. Each travels with one reply socket (and `Open` with the client's
/// `/proc/thread-self/mem` as a second descriptor, when it could be opened).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `open("/dev/<name>")`; `page_size` is the client's, bytes; `name` at most 63 bytes.
    Open {
        /// Device entry, e.g. `hisi_zip-4`.
        name: String,
        /// The `open` flags.
        flags: u32,
        /// The client's page size, bytes.
        page_size: u32,
    },
    /// `ioctl(fd, command, argument)`; `bytes` is what the argument points at (by the size in `command`), else empty.
    Ioctl {
        /// ioctl number.
        command: u32,
        /// The raw argument.
        argument: u64,
        /// Pointed-at bytes, at most [`IOCTL_BYTES`].
        bytes: Vec<u8>,
    },
    /// `mmap(…, length, prot, MAP_SHARED, fd, offset)`.
    Map {
        /// Bytes.
        offset: u64,
        /// Bytes.
        length: u64,
        /// `PROT_*`.
        prot: u32,
    },
}

/// What comes back on the reply socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// 0, or the errno the call fails with.
    pub errno: i32,
    /// The call's return value when `errno` is 0.
    pub value: i64,
    /// Bytes to copy back to where an ioctl's argument points.
    pub bytes: Vec<u8>,
    /// With a memfd attached: what it is.
    pub mapping: Mapping,
    /// Bytes of the memfd the client may see (the control page behind an MMIO region not counted).
    pub mapping_len: u64,
}

/// The kind of memory attached to a [`Reply`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mapping {
    /// No memory attached.
    #[default]
    None,
    /// Plain shared memory (rings, reserved memory): map it as asked.
    Plain,
    /// Doorbell region: map it read-only at the caller's address; one [`control`] page follows it in the memfd.
    Doorbell,
}

/// The page behind a doorbell region, shared by the trap handler (writer) and the daemon. Offsets in bytes.
pub mod control {
    /// u32, [`super::MAGIC`].
    pub const MAGIC: usize = 0;
    /// u32, [`super::VERSION`].
    pub const VERSION: usize = 4;
    /// u32, 1 while the client has the doorbell region mapped.
    pub const MAPPED: usize = 8;
    /// u32, 1 while an unread readiness token lies in the socket.
    pub const TOKEN: usize = 12;
    /// u64, latest submission doorbell word.
    pub const SUBMISSION_DOORBELL: usize = 64;
    /// u64, count of submission doorbells.
    pub const SUBMISSION_COUNT: usize = 72;
    /// u64, latest completion doorbell word.
    pub const COMPLETION_DOORBELL: usize = 128;
    /// u64, count of completion doorbells (two equal words in a row are two doorbells).
    pub const COMPLETION_COUNT: usize = 136;
    /// u32 futex, incremented after every doorbell.
    pub const SEQUENCE: usize = 192;
    /// u32, 1 while the daemon sleeps on [`SEQUENCE`].
    pub const SLEEPING: usize = 196;
    /// u32, QP number the doorbells of this mapping must name.
    pub const QUEUE_NUMBER: usize = 256;
    /// u32, byte offset of the doorbell inside the region (0x1000, or 0x340 on V1).
    pub const DOORBELL_OFFSET: usize = 260;
    /// u32, 1: doorbells are polled from the region, the page is writable, no trap (`--doorbell poll`).
    pub const POLLED: usize = 264;
    /// u64, doorbells dropped because they named another queue.
    pub const FOREIGN: usize = 272;
    /// u32, how `poll` answers: one of the `READY_` values.
    pub const READINESS: usize = 280;
    /// u32, not 0: the device is gone or the queue was put, and `poll` answers nothing any more; one of the `GONE_` values.
    pub const GONE: usize = 284;
    /// [`GONE`]: doorbells have no effect.
    pub const GONE_SILENTLY: u32 = 1;
    /// [`GONE`]: a doorbell is a SIGBUS.
    pub const GONE_WITH_MEMORY: u32 = 2;
    /// u64, completion entries written since START.
    pub const COMPLETIONS: usize = 320;
    /// u32, events that no `poll` has answered yet; the daemon adds, the preload library takes.
    pub const EVENTS: usize = 328;
    /// u64, completion entries that a `poll` has passed over; the preload library's alone after START.
    pub const POLLED_COMPLETIONS: usize = 384;
    /// [`READINESS`]: whatever the kernel, as the token says.
    pub const READY_TOKEN: u32 = 0;
    /// [`READINESS`]: mainline's (uacce-qm §2.7): entries of the expected phase behind those that a `poll` passed over.
    pub const READY_SCAN: u32 = 1;
    /// [`READINESS`]: the vendors': one answer per event.
    pub const READY_COUNT: u32 = 2;
}

/// Where a request's name or argument bytes, and a reply's bytes, begin.
pub const PAYLOAD: usize = 32;

/// The fixed part of a [`Reply`], read without allocating: what the preload library uses inside its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyHead {
    /// As [`Reply::errno`].
    pub errno: i32,
    /// As [`Reply::value`].
    pub value: i64,
    /// Number of bytes from [`PAYLOAD`] on to copy back, at most [`IOCTL_BYTES`].
    pub len: usize,
    /// As [`Reply::mapping`].
    pub mapping: Mapping,
    /// As [`Reply::mapping_len`].
    pub mapping_len: u64,
}

impl ReplyHead {
    /// Reads an answer's fixed part; `None` if it is not one of this version.
    pub fn decode(wire: &[u8]) -> Option<Self> {
        if wire.len() != REPLY_LEN || read_u32(wire, 0) != MAGIC || wire[4..6] != VERSION.to_le_bytes() {
            return None;
        }
        let len = usize::from(wire[7]);
        if len > IOCTL_BYTES {
            return None;
        }
        Some(Self {
            errno: i32::from_le_bytes(wire[8..12].try_into().ok()?),
            value: i64::from_le_bytes(wire[16..24].try_into().ok()?),
            len,
            mapping: match wire[6] {
                0 => Mapping::None,
                1 => Mapping::Plain,
                2 => Mapping::Doorbell,
                _ => return None,
            },
            mapping_len: read_u64(wire, 24),
        })
    }
}

/// A request's fixed part: everything but the name or the argument bytes, which begin at [`PAYLOAD`].
fn request_head(kind: u8, len: u8, word: u32, first: u64, second: u64) -> [u8; REQUEST_LEN] {
    let mut wire = [0u8; REQUEST_LEN];
    wire[0..4].copy_from_slice(&MAGIC.to_le_bytes());
    wire[4..6].copy_from_slice(&VERSION.to_le_bytes());
    wire[6] = kind;
    wire[7] = len;
    wire[8..12].copy_from_slice(&word.to_le_bytes());
    wire[16..24].copy_from_slice(&first.to_le_bytes());
    wire[24..32].copy_from_slice(&second.to_le_bytes());
    wire
}

impl Request {
    /// The bytes of an [`Request::Open`] message, without allocating. A name beyond 63 bytes is cut.
    pub fn open_message(name: &[u8], flags: u32, page_size: u32) -> [u8; REQUEST_LEN] {
        let mut wire = request_head(1, 0, flags, 0, 0);
        wire[12..16].copy_from_slice(&page_size.to_le_bytes());
        let len = name.len().min(63);
        wire[PAYLOAD..PAYLOAD + len].copy_from_slice(&name[..len]);
        wire
    }

    /// The bytes of an [`Request::Ioctl`] message, without allocating; the caller puts `len` (at most [`IOCTL_BYTES`])
    /// argument bytes at [`PAYLOAD`]. A `len` of 0 with a command that has a size means: the argument was unreadable.
    pub fn ioctl_message(command: u32, argument: u64, len: usize) -> [u8; REQUEST_LEN] {
        request_head(2, len.min(IOCTL_BYTES).to_le_bytes()[0], command, argument, 0)
    }

    /// The bytes of an [`Request::Map`] message, without allocating.
    pub fn map_message(offset: u64, length: u64, prot: u32) -> [u8; REQUEST_LEN] {
        request_head(3, 0, prot, offset, length)
    }

    /// The message's bytes. Names and ioctl bytes beyond their limit are cut.
    pub fn encode(&self) -> [u8; REQUEST_LEN] {
        match self {
            Self::Open { name, flags, page_size } => Self::open_message(name.as_bytes(), *flags, *page_size),
            Self::Ioctl { command, argument, bytes } => {
                let len = bytes.len().min(IOCTL_BYTES);
                let mut wire = Self::ioctl_message(*command, *argument, len);
                wire[PAYLOAD..PAYLOAD + len].copy_from_slice(&bytes[..len]);
                wire
            }
            Self::Map { offset, length, prot } => Self::map_message(*offset, *length, *prot),
        }
    }

    /// Reads a message; `None` if it is not one of this version.
    pub fn decode(wire: &[u8]) -> Option<Self> {
        if wire.len() != REQUEST_LEN || read_u32(wire, 0) != MAGIC || wire[4..6] != VERSION.to_le_bytes() {
            return None;
        }
        match wire[6] {
            1 => {
                let raw = &wire[32..95];
                let len = raw.iter().position(|byte| *byte == 0).unwrap_or(raw.len());
                let name = core::str::from_utf8(&raw[..len]).ok()?.to_owned();
                Some(Self::Open { name, flags: read_u32(wire, 8), page_size: read_u32(wire, 12) })
            }
            2 => {
                let len = usize::from(wire[7]);
                let bytes = wire.get(32..32 + len).filter(|bytes| bytes.len() <= IOCTL_BYTES)?.to_vec();
                Some(Self::Ioctl { command: read_u32(wire, 8), argument: read_u64(wire, 16), bytes })
            }
            3 => Some(Self::Map {
                prot: read_u32(wire, 8),
                offset: read_u64(wire, 16),
                length: read_u64(wire, 24),
            }),
            _ => None,
        }
    }
}

impl Reply {
    /// A failing answer.
    pub fn failure(errno: i32) -> Self {
        Self { errno, ..Self::default() }
    }

    /// The message's bytes.
    pub fn encode(&self) -> [u8; REPLY_LEN] {
        let mut wire = [0u8; REPLY_LEN];
        let len = self.bytes.len().min(IOCTL_BYTES);
        wire[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        wire[4..6].copy_from_slice(&VERSION.to_le_bytes());
        wire[6] = match self.mapping {
            Mapping::None => 0,
            Mapping::Plain => 1,
            Mapping::Doorbell => 2,
        };
        wire[7] = len.to_le_bytes()[0];
        wire[8..12].copy_from_slice(&self.errno.to_le_bytes());
        wire[16..24].copy_from_slice(&self.value.to_le_bytes());
        wire[24..32].copy_from_slice(&self.mapping_len.to_le_bytes());
        wire[32..32 + len].copy_from_slice(&self.bytes[..len]);
        wire
    }

    /// Reads an answer; `None` if it is not one of this version.
    pub fn decode(wire: &[u8]) -> Option<Self> {
        let head = ReplyHead::decode(wire)?;
        Some(Self {
            errno: head.errno,
            value: head.value,
            bytes: wire.get(PAYLOAD..PAYLOAD + head.len)?.to_vec(),
            mapping: head.mapping,
            mapping_len: head.mapping_len,
        })
    }
}

fn read_u32(wire: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([wire[at], wire[at + 1], wire[at + 2], wire[at + 3]])
}

fn read_u64(wire: &[u8], at: usize) -> u64 {
    u64::from(read_u32(wire, at)) | u64::from(read_u32(wire, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_survive_the_wire() {
        let requests = [
            Request::Open { name: "hisi_zip-4".into(), flags: 0x80002, page_size: 65536 },
            Request::Ioctl { command: 0xC010_480B, argument: u64::MAX - 7, bytes: (0..16).collect() },
            Request::Map { offset: 4096, length: 86016, prot: 3 },
        ];
        for request in requests {
            assert_eq!(Request::decode(&request.encode()), Some(request));
        }
    }

    #[test]
    fn replies_survive_the_wire() {
        let reply =
            Reply { errno: 0, value: -5, bytes: vec![9; 16], mapping: Mapping::Doorbell, mapping_len: 8192 };
        assert_eq!(Reply::decode(&reply.encode()), Some(reply));
    }

    #[test]
    fn garbage_is_refused() {
        assert_eq!(Request::decode(&[]), None);
        assert_eq!(Request::decode(&[0; REQUEST_LEN]), None);
        let mut wire = Request::Map { offset: 0, length: 0, prot: 0 }.encode();
        wire[6] = 9;
        assert_eq!(Request::decode(&wire), None);
        let mut wire = Request::Ioctl { command: 0, argument: 0, bytes: vec![] }.encode();
        wire[7] = 255;
        assert_eq!(Request::decode(&wire), None);
    }
}
