//! A64 stores.
//!
//! Known: every single-register store (`str`, `stur`, `sttr`, post- and pre-indexed, register offset; general and
//! vector), `stlr`, `stllr`, `stlur`, store-exclusives, `swp`, and pairs of up to 16 bytes together (`stp`, `stnp`).
//! Other atomics, `stp q`, structure stores and `st64b` are refused.

use super::{Effect, Registers, Store, cut};

/// Bytes of every instruction.
pub(crate) const LENGTH: u8 = 4;

fn field(word: u32, low: u32, bits: u32) -> u32 {
    word >> low & ((1 << bits) - 1)
}

fn register(word: u32, low: u32) -> u8 {
    field(word, low, 5).to_le_bytes()[0]
}

/// A signed field of `bits` bits.
fn signed(word: u32, low: u32, bits: u32) -> i64 {
    let shift = 32 - bits;
    i64::from((field(word, low, bits) << shift) as i32 >> shift)
}

/// A value register's content: 31 is the zero register here.
fn value_of(registers: &impl Registers, number: u8, vector: bool) -> Option<u128> {
    match (vector, number) {
        (true, _) => registers.vector(number),
        (false, 31) => Some(0),
        (false, _) => Some(u128::from(registers.general(number))),
    }
}

/// Decodes one instruction word; `None` if it is no known store.
pub(crate) fn decode(word: u32, registers: &impl Registers) -> Option<Store> {
    match field(word, 24, 6) {
        0b00_1000 => exclusive(word, registers),
        0b01_1001 => {
            // stlur{b,h}
            let plain = field(word, 21, 3) == 0 && field(word, 10, 2) == 0;
            plain.then(|| single(word, registers, false, 1 << field(word, 30, 2), Effect::None))?
        }
        _ => match field(word, 27, 3) {
            0b111 => load_store(word, registers),
            0b101 => pair(word, registers),
            _ => None,
        },
    }
}

fn single(word: u32, registers: &impl Registers, vector: bool, width: u8, effect: Effect) -> Option<Store> {
    let value = cut(value_of(registers, register(word, 0), vector)?, width);
    Some(Store { value, width, length: LENGTH, effect })
}

/// Load/store register, all addressing forms, and the swap atomics.
fn load_store(word: u32, registers: &impl Registers) -> Option<Store> {
    let (size, vector, kind) = (field(word, 30, 2), field(word, 26, 1) == 1, field(word, 22, 2));
    let width = 1u8 << size;
    let unscaled = field(word, 24, 2);
    if unscaled == 0 && field(word, 21, 1) == 1 && field(word, 10, 2) == 0 {
        // Atomic memory operations: only the swap.
        if vector || field(word, 12, 4) != 0b1000 {
            return None;
        }
        let value = cut(value_of(registers, register(word, 16), false)?, width);
        let target = register(word, 0);
        let effect = if target == 31 {
            Effect::None
        } else {
            Effect::Load { register: target, shift: 0, zero_extend: true }
        };
        return Some(Store { value, width, length: LENGTH, effect });
    }
    let width = match (vector, kind, size) {
        (_, 0, _) => width,
        (true, 2, 0) => 16,
        _ => return None,
    };
    if unscaled == 1 {
        return single(word, registers, vector, width, Effect::None);
    }
    if unscaled != 0 {
        return None;
    }
    let form = field(word, 10, 2);
    if field(word, 21, 1) == 1 {
        // Register offset; the option's middle bit is set in every allocated form.
        let plain = form == 2 && field(word, 14, 1) == 1;
        return plain.then(|| single(word, registers, vector, width, Effect::None))?;
    }
    let effect = match form {
        1 | 3 => write_back(word, registers, signed(word, 12, 9)),
        2 if vector => return None,
        _ => Effect::None,
    };
    single(word, registers, vector, width, effect)
}

fn write_back(word: u32, registers: &impl Registers, offset: i64) -> Effect {
    let base = register(word, 5);
    Effect::Set { register: base, value: registers.general(base).wrapping_add_signed(offset) }
}

/// Store-release and store-exclusive.
fn exclusive(word: u32, registers: &impl Registers) -> Option<Store> {
    let width = 1u8 << field(word, 30, 2);
    // o2, L, o1: 000 store-exclusive, 100 store-release; the rest are loads, pairs and compare-and-swap.
    match field(word, 21, 3) {
        0b000 => {
            let status = register(word, 16);
            let effect = if status == 31 { Effect::None } else { Effect::Set { register: status, value: 0 } };
            single(word, registers, false, width, effect)
        }
        0b100 => single(word, registers, false, width, Effect::None),
        _ => None,
    }
}

/// Pairs of registers.
fn pair(word: u32, registers: &impl Registers) -> Option<Store> {
    let (size, vector, load) = (field(word, 30, 2), field(word, 26, 1) == 1, field(word, 22, 1) == 1);
    let each: u8 = match (vector, size) {
        (false, 0) | (true, 0) => 4,
        (false, 2) | (true, 1) => 8,
        _ => return None,
    };
    let form = field(word, 23, 3);
    if load || form > 3 {
        return None;
    }
    let first = cut(value_of(registers, register(word, 0), vector)?, each);
    let second = cut(value_of(registers, register(word, 10), vector)?, each);
    let effect = match form {
        1 | 3 => write_back(word, registers, signed(word, 15, 7) * i64::from(each)),
        _ => Effect::None,
    };
    let value = first | second << (8 * u32::from(each));
    Some(Store { value, width: each * 2, length: LENGTH, effect })
}

#[cfg(test)]
mod tests;
