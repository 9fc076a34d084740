//! x86-64 stores (64-bit mode).
//!
//! Known: `mov` from a register or an immediate in every width and addressing form, `xchg`, `movnti`, `movbe`, and the
//! vector moves that store at most eight bytes (`movq`, `movd`, `movss`, `movsd`, `movlps`, `movhps`, with VEX and EVEX
//! forms). String instructions, 16-byte stores and read-modify-write arithmetic are refused: no doorbell is rung so.

use super::{Effect, Registers, Store, cut};

/// Longest instruction, bytes.
pub(crate) const LONGEST: usize = 15;

/// Why an instruction was not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No known store.
    Unknown,
    /// The bytes end within the instruction.
    Cut,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    cut: bool,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied();
        self.cut |= byte.is_none();
        self.at += 1;
        byte
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at += count;
        self.cut |= self.at > self.bytes.len();
        (!self.cut).then_some(())
    }

    fn immediate(&mut self, width: usize) -> Option<u128> {
        let from = self.at;
        self.skip(width)?;
        let bytes = self.bytes.get(from..self.at)?;
        Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u128::from(*byte)))
    }

    /// Reads a ModRM byte with its SIB and displacement; returns its `reg` field. `None` for a register operand.
    fn memory_operand(&mut self) -> Option<u8> {
        let modrm = self.byte()?;
        let (mode, rm) = (modrm >> 6, modrm & 7);
        let mut base = rm;
        if mode == 3 {
            return None;
        }
        if rm == 4 {
            base = self.byte()? & 7;
        }
        match mode {
            1 => self.skip(1)?,
            2 => self.skip(4)?,
            // Without a base register (or relative to the instruction pointer) four bytes follow.
            _ if base == 5 => self.skip(4)?,
            _ => {}
        }
        Some(modrm >> 3 & 7)
    }
}

#[derive(Default)]
struct Prefixes {
    operand_16: bool,
    address_32: bool,
    /// 0, 0xF2 or 0xF3, the last one given.
    repeat: u8,
    lock: bool,
    rex: Option<u8>,
}

impl Prefixes {
    fn wide(&self) -> bool {
        self.rex.is_some_and(|rex| rex & 8 != 0)
    }

    fn register(&self, field: u8) -> u8 {
        field | self.rex.map_or(0, |rex| (rex & 4) << 1)
    }

    fn width(&self) -> u8 {
        if self.wide() {
            8
        } else if self.operand_16 {
            2
        } else {
            4
        }
    }
}

/// Decodes the instruction at the start of `bytes`.
///
/// # Errors
/// [`Refused::Unknown`] for anything but a known store, [`Refused::Cut`] when `bytes` end first.
pub(crate) fn decode(bytes: &[u8], registers: &impl Registers) -> Result<Store, Refused> {
    let whole = bytes.len() >= LONGEST;
    let mut reader = Reader { bytes: bytes.get(..LONGEST).unwrap_or(bytes), at: 0, cut: false };
    let store = instruction(&mut reader, registers);
    store.ok_or(if reader.cut && !whole { Refused::Cut } else { Refused::Unknown })
}

fn instruction(reader: &mut Reader<'_>, registers: &impl Registers) -> Option<Store> {
    let mut prefixes = Prefixes::default();
    let opcode = loop {
        let byte = reader.byte()?;
        // A REX counts only directly before the opcode.
        let rex = prefixes.rex.take();
        match byte {
            0x66 => prefixes.operand_16 = true,
            0x67 => prefixes.address_32 = true,
            0xF0 => prefixes.lock = true,
            0xF2 | 0xF3 => prefixes.repeat = byte,
            0x26 | 0x2E | 0x36 | 0x3E | 0x64 | 0x65 => {}
            0x40..=0x4F => prefixes.rex = Some(byte),
            _ => {
                prefixes.rex = rex;
                break byte;
            }
        }
    };
    let store = match opcode {
        0x0F => two_byte(reader, &prefixes, registers)?,
        0xC5 | 0xC4 | 0x62 => vector_extension(opcode, reader, &prefixes, registers)?,
        _ => one_byte(opcode, reader, &prefixes, registers)?,
    };
    Some(Store { value: cut(store.value, store.width), length: u8::try_from(reader.at).ok()?, ..store })
}

fn plain(value: u128, width: u8) -> Store {
    Store { value, width, length: 0, effect: Effect::None }
}

/// A byte register: number and shift. Without REX, 4 to 7 are AH, CH, DH, BH.
fn byte_register(prefixes: &Prefixes, field: u8) -> (u8, u8) {
    if prefixes.rex.is_none() && field >= 4 { (field - 4, 8) } else { (prefixes.register(field), 0) }
}

fn one_byte(
    opcode: u8,
    reader: &mut Reader<'_>,
    prefixes: &Prefixes,
    registers: &impl Registers,
) -> Option<Store> {
    if prefixes.lock && !matches!(opcode, 0x86 | 0x87) {
        return None;
    }
    match opcode {
        // mov and xchg, byte
        0x88 | 0x86 => {
            let (register, shift) = byte_register(prefixes, reader.memory_operand()?);
            let effect = match opcode {
                0x86 => Effect::Load { register, shift, zero_extend: false },
                _ => Effect::None,
            };
            Some(Store { effect, ..plain(u128::from(registers.general(register) >> shift), 1) })
        }
        // mov and xchg, 2, 4 or 8 bytes
        0x89 | 0x87 => {
            let register = prefixes.register(reader.memory_operand()?);
            let width = prefixes.width();
            let effect = match opcode {
                0x87 => Effect::Load { register, shift: 0, zero_extend: width == 4 },
                _ => Effect::None,
            };
            Some(Store { effect, ..plain(u128::from(registers.general(register)), width) })
        }
        // mov of al, ax, eax or rax to an absolute address
        0xA2 | 0xA3 => {
            reader.skip(if prefixes.address_32 { 4 } else { 8 })?;
            let width = if opcode == 0xA2 { 1 } else { prefixes.width() };
            Some(plain(u128::from(registers.general(0)), width))
        }
        0xC6 => {
            if reader.memory_operand()? != 0 {
                return None;
            }
            Some(plain(reader.immediate(1)?, 1))
        }
        0xC7 => {
            if reader.memory_operand()? != 0 {
                return None;
            }
            let width = prefixes.width();
            let value = reader.immediate(usize::from(width.min(4)))?;
            // A 32-bit immediate is sign-extended to 64 bits.
            let value =
                if width == 8 && value >> 31 == 1 { value | u128::from(u32::MAX) << 32 } else { value };
            Some(plain(value, width))
        }
        _ => None,
    }
}

fn two_byte(reader: &mut Reader<'_>, prefixes: &Prefixes, registers: &impl Registers) -> Option<Store> {
    if prefixes.lock {
        return None;
    }
    let opcode = reader.byte()?;
    let vector = |field: u8| registers.vector(prefixes.register(field));
    match (opcode, prefixes.operand_16, prefixes.repeat) {
        // movnti
        (0xC3, false, 0) => {
            let register = prefixes.register(reader.memory_operand()?);
            Some(plain(u128::from(registers.general(register)), if prefixes.wide() { 8 } else { 4 }))
        }
        // movbe (0F 38 F1)
        (0x38, _, 0) => {
            if reader.byte()? != 0xF1 {
                return None;
            }
            let register = prefixes.register(reader.memory_operand()?);
            let width = prefixes.width();
            let swapped = registers.general(register).swap_bytes() >> (64 - 8 * u32::from(width));
            Some(plain(u128::from(swapped), width))
        }
        // movss, movsd
        (0x11, _, 0xF3) => Some(plain(vector(reader.memory_operand()?)?, 4)),
        (0x11, _, 0xF2) => Some(plain(vector(reader.memory_operand()?)?, 8)),
        // movlps, movlpd; movhps, movhpd
        (0x13, _, 0) => Some(plain(vector(reader.memory_operand()?)?, 8)),
        (0x17, _, 0) => Some(plain(vector(reader.memory_operand()?)? >> 64, 8)),
        // movd, movq from a vector register
        (0x7E, true, 0) => {
            Some(plain(vector(reader.memory_operand()?)?, if prefixes.wide() { 8 } else { 4 }))
        }
        (0xD6, true, 0) => Some(plain(vector(reader.memory_operand()?)?, 8)),
        _ => None,
    }
}

/// VEX (C5, C4) and EVEX (62) forms of the same vector moves.
fn vector_extension(
    lead: u8,
    reader: &mut Reader<'_>,
    prefixes: &Prefixes,
    registers: &impl Registers,
) -> Option<Store> {
    if prefixes.rex.is_some() || prefixes.operand_16 || prefixes.lock || prefixes.repeat != 0 {
        return None;
    }
    let first = reader.byte()?;
    // The payload's fields, made positive: high bits of the register, W, unused source, vector length, implied prefix.
    let (high, wide, source, length, prefix) = match lead {
        0xC5 => ((!first >> 7 & 1) << 3, false, !first >> 3 & 15, first >> 2 & 1, first & 3),
        0xC4 => {
            let second = reader.byte()?;
            if first & 31 != 1 {
                return None;
            }
            ((!first >> 7 & 1) << 3, second >> 7 == 1, !second >> 3 & 15, second >> 2 & 1, second & 3)
        }
        _ => {
            let (second, third) = (reader.byte()?, reader.byte()?);
            // Map 1; fixed bits; no mask, no broadcast, no zeroing.
            if first & 0x0F != 1 || second & 4 == 0 || third & 0x97 != 0 {
                return None;
            }
            let high = (!first >> 7 & 1) << 3 | (!first >> 4 & 1) << 4;
            let source = (!second >> 3 & 15) | (!third >> 3 & 1) << 4;
            (high, second >> 7 == 1, source, third >> 5 & 3, second & 3)
        }
    };
    let opcode = reader.byte()?;
    if source != 0 {
        return None;
    }
    // EVEX fixes W by the element's size; VEX ignores it but for 7E.
    let evex = lead == 0x62;
    // The scalar moves ignore the vector length, but for the value that is reserved.
    if length == 3 || length != 0 && opcode != 0x11 {
        return None;
    }
    let register = reader.memory_operand()? | high;
    let value = registers.vector(register)?;
    let (value, width, element_wide) = match (opcode, prefix) {
        (0xD6, 1) => (value, 8, true),
        (0x7E, 1) if wide => (value, 8, true),
        (0x7E, 1) => (value, 4, false),
        (0x11, 2) => (value, 4, false),
        (0x11, 3) => (value, 8, true),
        (0x13, 0) => (value, 8, false),
        (0x13, 1) => (value, 8, true),
        (0x17, 0) => (value >> 64, 8, false),
        (0x17, 1) => (value >> 64, 8, true),
        _ => return None,
    };
    (!evex || element_wide == wide).then(|| plain(value, width))
}

#[cfg(test)]
mod tests;
