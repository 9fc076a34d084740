//! The interrupted code's registers, x86-64.
#![expect(unsafe_code, reason = "reads the signal frame")]

use crate::decode::x86_64::{LONGEST, Refused, decode};
use crate::decode::{Registers, Store};

/// Bytes of the legacy floating-point area, and offsets inside it (Intel SDM vol. 1 §10.5, §13.4; the kernel's
/// `asm/sigcontext.h`).
const VECTORS: usize = 160;
const SOFTWARE: usize = 464;
const XSTATE_BITS: usize = 512;
const EXTENDED_MAGIC: u32 = 0x4650_5853;
/// State components: SSE, and vector registers 16 to 31.
const SSE: u64 = 1 << 1;
const HIGH_VECTORS: u32 = 7;

/// The signal frame of a fault.
pub(crate) struct Context(*mut libc::ucontext_t);

/// Where each register number lies in the frame.
const GENERAL: [i32; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

impl Context {
    /// # Safety
    /// `context` is what the kernel passed to a handler that is still running.
    pub(crate) unsafe fn new(context: *mut libc::c_void) -> Self {
        Self(context.cast())
    }

    fn slot(&self, index: i32) -> *mut i64 {
        // SAFETY: the frame is valid; every caller's index is a `REG_*` constant, below the array's 23.
        unsafe {
            (&raw mut (*self.0).uc_mcontext.gregs).cast::<i64>().add(usize::try_from(index).unwrap_or(0))
        }
    }

    fn read(&self, index: i32) -> u64 {
        // SAFETY: as in `slot`.
        unsafe { self.slot(index).read() as u64 }
    }

    fn write(&mut self, index: i32, value: u64) {
        // SAFETY: as in `slot`.
        unsafe { self.slot(index).write(value as i64) }
    }

    /// Whether the fault was a write (bit 1 of the page fault's error code).
    pub(crate) fn is_write(&self) -> bool {
        self.read(libc::REG_ERR) & 2 != 0
    }

    /// Decodes the instruction that faulted.
    pub(crate) fn decode(&self) -> Option<Store> {
        let at = usize::try_from(self.read(libc::REG_RIP)).ok()?;
        let mut bytes = [0u8; LONGEST];
        let mut filled = 0;
        // First only what lies on the instruction's own 4 KiB; a longer one proves that the next page is there.
        for upto in [LONGEST.min(4096 - (at & 4095)), LONGEST] {
            for (index, byte) in bytes.iter_mut().enumerate().take(upto).skip(filled) {
                // SAFETY: the processor has just fetched the instruction from here.
                *byte = unsafe { ((at + index) as *const u8).read_volatile() };
            }
            filled = upto;
            match decode(bytes.get(..upto)?, self) {
                Ok(store) => return Some(store),
                Err(Refused::Unknown) => return None,
                Err(Refused::Cut) => {}
            }
        }
        None
    }

    /// Sets a general register.
    pub(crate) fn set(&mut self, number: u8, value: u64) {
        if let Some(index) = GENERAL.get(usize::from(number)) {
            self.write(*index, value);
        }
    }

    /// Puts the low `width` bytes of `value` into a general register.
    pub(crate) fn merge(&mut self, number: u8, value: u64, width: u8, shift: u8, zero_extend: bool) {
        let mask = if width >= 8 { u64::MAX } else { (1 << (8 * u32::from(width))) - 1 };
        let kept = if zero_extend { 0 } else { self.general(number) & !(mask << shift) };
        self.set(number, kept | (value & mask) << shift);
    }

    /// Goes on behind the instruction.
    pub(crate) fn advance(&mut self, length: u8) {
        let next = self.read(libc::REG_RIP).wrapping_add(u64::from(length));
        self.write(libc::REG_RIP, next);
    }
}

impl Registers for Context {
    fn general(&self, number: u8) -> u64 {
        GENERAL.get(usize::from(number)).map_or(0, |index| self.read(*index))
    }

    fn vector(&self, number: u8) -> Option<u128> {
        // SAFETY: the frame is valid.
        let area = unsafe { (*self.0).uc_mcontext.fpregs } as usize;
        if area == 0 || number > 31 {
            return None;
        }
        // SAFETY: the legacy area is 512 bytes.
        let extended = unsafe { ((area + SOFTWARE) as *const u32).read() } == EXTENDED_MAGIC;
        let present = if extended {
            // SAFETY: the magic says that the extended area follows.
            unsafe { ((area + XSTATE_BITS) as *const u64).read_unaligned() }
        } else {
            SSE
        };
        let at = if number < 16 {
            if present & SSE == 0 {
                return Some(0);
            }
            area + VECTORS + 16 * usize::from(number)
        } else {
            if !extended {
                return None;
            }
            if present & 1 << HIGH_VECTORS == 0 {
                return Some(0);
            }
            // Leaf 0xD gives the component's offset in the uncompacted form that signal frames use.
            #[allow(unused_unsafe)]
            // SAFETY: the processor saved extended state, so it has CPUID and this leaf.
            let offset = unsafe { core::arch::x86_64::__cpuid_count(0xD, HIGH_VECTORS) }.ebx as usize;
            area + offset + 64 * usize::from(number - 16)
        };
        // SAFETY: inside the saved state, which holds this component.
        Some(unsafe { (at as *const u128).read_unaligned() })
    }
}
