//! The interrupted code's registers, aarch64.
#![expect(unsafe_code, reason = "reads the signal frame")]

use crate::decode::aarch64::LENGTH;
use crate::decode::{Registers, Store};

/// Records behind the general registers (the kernel's `asm/sigcontext.h`): each begins with a magic and its size.
const RECORDS: usize = 288;
const RECORDS_BYTES: usize = 4096;
const VECTORS: u32 = 0x4650_8001;
const SYNDROME: u32 = 0x4553_5201;
/// WnR, bit 6 of the syndrome: the access was a write.
const WRITE: u64 = 1 << 6;

/// The signal frame of a fault.
pub(crate) struct Context(*mut libc::ucontext_t);

impl Context {
    /// # Safety
    /// `context` is what the kernel passed to a handler that is still running.
    pub(crate) unsafe fn new(context: *mut libc::c_void) -> Self {
        Self(context.cast())
    }

    fn machine(&self) -> *mut libc::mcontext_t {
        // SAFETY: the frame is valid.
        unsafe { &raw mut (*self.0).uc_mcontext }
    }

    /// The body of a record, bytes after its header.
    fn record(&self, magic: u32) -> Option<usize> {
        let begin = self.machine() as usize + RECORDS;
        let mut offset = 0;
        while offset + 8 <= RECORDS_BYTES {
            let at = begin + offset;
            // SAFETY: inside the frame's reserved area; records are 16-byte aligned.
            let (found, size) = unsafe { ((at as *const u32).read(), ((at + 4) as *const u32).read()) };
            if found == magic {
                return Some(at + 8);
            }
            if found == 0 || size < 8 {
                return None;
            }
            offset += size as usize;
        }
        None
    }

    /// Whether the fault was a write; assumed where the frame does not tell.
    pub(crate) fn is_write(&self) -> bool {
        // SAFETY: the record's body is one 64-bit word.
        self.record(SYNDROME).is_none_or(|at| unsafe { (at as *const u64).read() } & WRITE != 0)
    }

    /// Decodes the instruction that faulted.
    pub(crate) fn decode(&self) -> Option<Store> {
        // SAFETY: the processor has just fetched the instruction from here.
        let word = unsafe { ((*self.machine()).pc as *const u32).read_volatile() };
        crate::decode::aarch64::decode(word, self)
    }

    /// Sets a general register; 31 is the stack pointer.
    pub(crate) fn set(&mut self, number: u8, value: u64) {
        // SAFETY: the frame is valid.
        unsafe {
            match (&mut (*self.machine()).regs).get_mut(usize::from(number)) {
                Some(register) => *register = value,
                None => (*self.machine()).sp = value,
            }
        }
    }

    /// Puts the low `width` bytes of `value` into a general register; aarch64 always zeroes the rest.
    pub(crate) fn merge(&mut self, number: u8, value: u64, width: u8, _shift: u8, _zero_extend: bool) {
        let mask = if width >= 8 { u64::MAX } else { (1 << (8 * u32::from(width))) - 1 };
        self.set(number, value & mask);
    }

    /// Goes on behind the instruction.
    pub(crate) fn advance(&mut self, length: u8) {
        debug_assert_eq!(length, LENGTH);
        // SAFETY: the frame is valid.
        unsafe { (*self.machine()).pc = (*self.machine()).pc.wrapping_add(u64::from(length)) };
    }
}

impl Registers for Context {
    fn general(&self, number: u8) -> u64 {
        // SAFETY: the frame is valid.
        unsafe { (&(*self.machine()).regs).get(usize::from(number)).copied().unwrap_or((*self.machine()).sp) }
    }

    fn vector(&self, number: u8) -> Option<u128> {
        // The record holds fpsr and fpcr, then 32 registers of 16 bytes.
        let at = self.record(VECTORS)? + 8 + 16 * usize::from(number & 31);
        // SAFETY: inside the record.
        Some(unsafe { (at as *const u128).read_unaligned() })
    }
}
