//! The kernel's and the queue manager's numbers and layouts, as C programs see them in `include/uacce_abi.h`.
//!
//! That header is made from this file; `tests/abi.rs` keeps the two equal and compiles it beside the kernel's own
//! headers. Values are written out, because C must see them; the assertions at the end derive each one again.
//! Everything is little-endian. Sizes are bytes.

/// ioctl: starts the queue (`_IO('W', 0)`).
pub const START: u32 = 0x5700;
/// ioctl: stops the queue, after draining it (`_IO('W', 1)`).
pub const PUT_Q: u32 = 0x5701;
/// ioctl: asks for one slice of the reserved memory region (vendor kernels; `_IOR('W', 3, unsigned long)`). The
/// argument also goes in: the slice's index.
pub const GET_SS_DMA: u32 = 0x8008_5703;
/// ioctl: sets the queue class and gives the queue's number (`_IOWR('H', 10, 4 bytes)`).
pub const SET_QP_CTX: u32 = 0xC004_480A;
/// ioctl: asks for the descriptor size and the depths (`_IOWR('H', 11, 16 bytes)`); in spite of its name it sets nothing.
pub const SET_QP_INFO: u32 = 0xC010_480B;

/// Region number of the doorbell registers; a region is mapped at its number times the page size.
pub const REGION_MMIO: u32 = 0;
/// Region number of the rings and status words.
pub const REGION_DUS: u32 = 1;
/// Region number of the reserved memory (vendor kernels).
pub const REGION_SS: u32 = 2;

/// `flags` bit: the device works in the process's own address space.
pub const FLAG_SVA: u32 = 1;
/// `flags` bit: no IOMMU stands before the device (vendor kernels).
pub const FLAG_NOIOMMU: u32 = 2;
/// `flags` bit: an IOMMU stands before the device (vendor kernels).
pub const FLAG_IOMMU: u32 = 128;

/// Offset of the doorbell in the MMIO region, queue manager version 1.
pub const DOORBELL_OFFSET_V1: u32 = 0x340;
/// Offset of the doorbell in the MMIO region, queue manager version 2 and later.
pub const DOORBELL_OFFSET_V2: u32 = 0x1000;
/// Doorbell command: the submission ring's tail moved.
pub const DOORBELL_SQ: u16 = 0;
/// Doorbell command: the completion ring's head moved.
pub const DOORBELL_CQ: u16 = 1;

/// Offset of the receive status word from the end of the DUS region.
pub const STATUS_RX_FROM_END: u32 = 8;
/// Offset of the send status word from the end of the DUS region.
pub const STATUS_TX_FROM_END: u32 = 4;

/// Entries of either ring when the kernel does not tell.
pub const DEFAULT_DEPTH: u16 = 1024;
/// Descriptor size of HPRE.
pub const DESCRIPTOR_LEN_HPRE: u32 = 64;
/// Descriptor size of SEC and ZIP.
pub const DESCRIPTOR_LEN_SEC_ZIP: u32 = 128;

/// Most entries of one hardware scatter-gather list.
pub const SGL_ENTRIES_MAX: u32 = 255;
/// Most lists in one chain.
pub const SGL_CHAIN_MAX: u32 = 256;
/// Alignment of a list's address.
pub const SGL_ALIGN: u32 = 64;
/// Most bytes one entry may name.
pub const SGL_ENTRY_LEN_MAX: u32 = 8_388_608;

/// Argument of `SET_QP_CTX` (the kernel's `hisi_qp_ctx`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QpContext {
    /// Out: the queue's number inside its function, named in every doorbell.
    pub id: u16,
    /// In: the queue class.
    pub qc_type: u16,
}

/// Argument of `SET_QP_INFO` (the kernel's `hisi_qp_info`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QpInfo {
    /// Out: bytes of one descriptor.
    pub sqe_size: u32,
    /// Out: entries of the submission ring.
    pub sq_depth: u16,
    /// Out: entries of the completion ring.
    pub cq_depth: u16,
    /// Unused.
    pub reserved: u64,
}

/// One entry of the completion ring.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompletionEntry {
    /// Unused.
    pub rsvd0: u32,
    /// Read by no known driver.
    pub cmd_id: u16,
    /// Unused.
    pub rsvd1: u16,
    /// Submission slot whose descriptor completed.
    pub sq_head: u16,
    /// The queue's number.
    pub sq_num: u16,
    /// Unused.
    pub rsvd2: u16,
    /// Bit 0: phase. The entry is new when it equals the phase the reader expects.
    pub w7: u16,
}

/// Head of a hardware scatter-gather list; its entries follow at once.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SglHeader {
    /// Device address of the next list; 0 ends the chain.
    pub next_dma: u64,
    /// Entries of the whole chain, counted as room.
    pub entry_sum_in_chain: u16,
    /// Valid entries of this list.
    pub entry_sum_in_sgl: u16,
    /// Room for entries in this list.
    pub entry_length_in_sgl: u16,
    /// Zero.
    pub pad0: u16,
    /// Unused.
    pub pad1: [u64; 4],
    /// Ignored by the device.
    pub pad2: [u64; 2],
}

/// One entry of a hardware scatter-gather list.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SglEntry {
    /// Device address of the data.
    pub buff: u64,
    /// Ignored by the device.
    pub page_ctrl: u64,
    /// Bytes, `1..=8388608`.
    pub len: u32,
    /// Zero.
    pub pad: u32,
    /// Ignored by the device.
    pub pad1: u64,
}

// The numbers above again, from the encoding rule of <asm-generic/ioctl.h> and from uacce-qm §2.1, §4.1, §8.
const _: () = {
    use core::mem::{align_of, offset_of, size_of};

    const NONE: u32 = 0;
    const READ: u32 = 2;
    const READ_WRITE: u32 = 3;
    const fn number(direction: u32, kind: u8, command: u32, len: u32) -> u32 {
        direction << 30 | len << 16 | (kind as u32) << 8 | command
    }
    assert!(START == number(NONE, b'W', 0, 0));
    assert!(PUT_Q == number(NONE, b'W', 1, 0));
    assert!(GET_SS_DMA == number(READ, b'W', 3, 8));
    assert!(SET_QP_CTX == number(READ_WRITE, b'H', 10, 4));
    assert!(SET_QP_INFO == number(READ_WRITE, b'H', 11, 16));

    assert!(size_of::<QpContext>() == 4 && align_of::<QpContext>() == 2);
    assert!(offset_of!(QpContext, id) == 0 && offset_of!(QpContext, qc_type) == 2);
    assert!(size_of::<QpInfo>() == 16 && align_of::<QpInfo>() == 8);
    assert!(offset_of!(QpInfo, sqe_size) == 0 && offset_of!(QpInfo, sq_depth) == 4);
    assert!(offset_of!(QpInfo, cq_depth) == 6 && offset_of!(QpInfo, reserved) == 8);
    assert!(size_of::<CompletionEntry>() == 16 && offset_of!(CompletionEntry, cmd_id) == 4);
    assert!(offset_of!(CompletionEntry, sq_head) == 8 && offset_of!(CompletionEntry, sq_num) == 10);
    assert!(offset_of!(CompletionEntry, w7) == 14);
    assert!(size_of::<SglHeader>() == 64 && offset_of!(SglHeader, entry_sum_in_chain) == 8);
    assert!(offset_of!(SglHeader, entry_sum_in_sgl) == 10);
    assert!(offset_of!(SglHeader, entry_length_in_sgl) == 12 && offset_of!(SglHeader, pad1) == 16);
    assert!(offset_of!(SglHeader, pad2) == 48);
    assert!(size_of::<SglEntry>() == 32 && offset_of!(SglEntry, page_ctrl) == 8);
    assert!(offset_of!(SglEntry, len) == 16 && offset_of!(SglEntry, pad1) == 24);
};
