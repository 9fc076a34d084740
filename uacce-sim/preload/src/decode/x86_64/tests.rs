//! Each form of the table by hand, and all of them at random against a disassembler's word.

use super::*;
use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

/// Registers whose every byte tells which one it is.
struct Pattern;

impl Registers for Pattern {
    fn general(&self, number: u8) -> u64 {
        0x8182_8384_8586_8788 ^ (u64::from(number) * 0x1111_1111_1111_1111).rotate_left(4)
    }

    fn vector(&self, number: u8) -> Option<u128> {
        Some(0xf1f2_f3f4_f5f6_f7f8_0102_0304_0506_0708 ^ u128::from(number) << 120 ^ u128::from(number))
    }
}

fn general(number: u8) -> u128 {
    Pattern.general(number).into()
}

fn low_vector(number: u8) -> u128 {
    Pattern.vector(number).unwrap() & u128::from(u64::MAX)
}

fn stored(bytes: &[u8], value: u128, width: u8) {
    changed(bytes, value, width, Effect::None);
}

fn changed(bytes: &[u8], value: u128, width: u8, effect: Effect) {
    let length = u8::try_from(bytes.len()).unwrap();
    let expected = Store { value: cut(value, width), width, length, effect };
    assert_eq!(decode(bytes, &Pattern), Ok(expected), "{bytes:02x?}");
    // What follows does not matter, what is missing does.
    let mut followed = bytes.to_vec();
    followed.extend([0xff; LONGEST]);
    assert_eq!(decode(&followed, &Pattern), Ok(expected), "{bytes:02x?}");
    for upto in 0..bytes.len() {
        assert_eq!(decode(&bytes[..upto], &Pattern), Err(Refused::Cut), "{:02x?}", &bytes[..upto]);
    }
}

#[test]
fn register_stores_in_every_addressing_form() {
    // UADK's own: mov %rcx,(%rdi)
    stored(&[0x48, 0x89, 0x0f], general(1), 8);
    // mov %rax,0x1000(%rdx); mov %rax,8(%rbp); mov %r9,(%r8); mov %r15,(%r13) by a displacement of 0
    stored(&[0x48, 0x89, 0x82, 0x00, 0x10, 0x00, 0x00], general(0), 8);
    stored(&[0x48, 0x89, 0x45, 0x08], general(0), 8);
    stored(&[0x4d, 0x89, 0x08], general(9), 8);
    stored(&[0x4d, 0x89, 0x7d, 0x00], general(15), 8);
    // mov %rdx,(%rsp); mov %rsi,0x1000(%rax,%rbx,8); mov %rsi,0x1000(,%rbx,8); mov %rdi,off(%rip)
    stored(&[0x48, 0x89, 0x14, 0x24], general(2), 8);
    stored(&[0x48, 0x89, 0xb4, 0xd8, 0x00, 0x10, 0x00, 0x00], general(6), 8);
    stored(&[0x48, 0x89, 0x34, 0xdd, 0x00, 0x10, 0x00, 0x00], general(6), 8);
    stored(&[0x48, 0x89, 0x3d, 0x00, 0x10, 0x00, 0x00], general(7), 8);
    // fs: and 32-bit address
    stored(&[0x64, 0x67, 0x48, 0x89, 0x0f], general(1), 8);
    // mov %rax, 64-bit absolute address
    stored(&[0x48, 0xa3, 1, 2, 3, 4, 5, 6, 7, 8], general(0), 8);
}

#[test]
fn narrower_register_stores() {
    stored(&[0x89, 0x0f], general(1), 4);
    stored(&[0x44, 0x89, 0x0f], general(9), 4);
    stored(&[0x66, 0x89, 0x0f], general(1), 2);
    stored(&[0x88, 0x0f], general(1), 1);
    // mov %ch,(%rdi), and with REX the same field is mov %bpl,(%rdi)
    stored(&[0x88, 0x2f], general(1) >> 8, 1);
    stored(&[0x40, 0x88, 0x2f], general(5), 1);
}

#[test]
fn constants() {
    stored(&[0x48, 0xc7, 0x07, 0x00, 0x10, 0x00, 0x00], 0x1000, 8);
    // Sign-extended.
    stored(&[0x48, 0xc7, 0x07, 0xfe, 0xff, 0xff, 0xff], u128::from(u64::MAX - 1), 8);
    stored(&[0x48, 0xc7, 0x87, 0x00, 0x10, 0x00, 0x00, 0, 0, 0, 0], 0, 8);
    stored(&[0xc7, 0x07, 0x78, 0x56, 0x34, 0x92], 0x9234_5678, 4);
    stored(&[0x66, 0xc7, 0x07, 0x34, 0x92], 0x9234, 2);
    stored(&[0xc6, 0x07, 0x92], 0x92, 1);
}

#[test]
fn exchanges_give_the_old_value_to_the_register() {
    let load = |register, shift, zero_extend| Effect::Load { register, shift, zero_extend };
    changed(&[0x48, 0x87, 0x0f], general(1), 8, load(1, 0, false));
    changed(&[0xf0, 0x49, 0x87, 0x07], general(0), 8, load(0, 0, false));
    changed(&[0x87, 0x0f], general(1), 4, load(1, 0, true));
    changed(&[0x66, 0x87, 0x0f], general(1), 2, load(1, 0, false));
    changed(&[0x86, 0x2f], general(1) >> 8, 1, load(1, 8, false));
}

#[test]
fn stores_past_the_cache_and_swapped() {
    stored(&[0x48, 0x0f, 0xc3, 0x0f], general(1), 8);
    stored(&[0x0f, 0xc3, 0x0f], general(1), 4);
    stored(&[0x48, 0x0f, 0x38, 0xf1, 0x0f], Pattern.general(1).swap_bytes().into(), 8);
}

#[test]
fn vector_stores_of_eight_bytes() {
    // movq %xmm1,(%rdi), both encodings; movsd, movlps, movhps; movd and movss of half the width
    stored(&[0x66, 0x0f, 0xd6, 0x0f], low_vector(1), 8);
    stored(&[0x66, 0x48, 0x0f, 0x7e, 0x0f], low_vector(1), 8);
    stored(&[0x66, 0x44, 0x0f, 0xd6, 0x0f], low_vector(9), 8);
    stored(&[0xf2, 0x0f, 0x11, 0x0f], low_vector(1), 8);
    stored(&[0x0f, 0x13, 0x0f], low_vector(1), 8);
    stored(&[0x0f, 0x17, 0x0f], Pattern.vector(1).unwrap() >> 64, 8);
    stored(&[0x66, 0x0f, 0x7e, 0x0f], low_vector(1), 4);
    stored(&[0xf3, 0x0f, 0x11, 0x0f], low_vector(1), 4);
    // vmovq %xmm1,(%rdi) and vmovq %xmm9,(%r8), VEX of two and three bytes; vmovsd %xmm9,(%rdi)
    stored(&[0xc5, 0xf9, 0xd6, 0x0f], low_vector(1), 8);
    stored(&[0xc4, 0x41, 0x79, 0xd6, 0x08], low_vector(9), 8);
    stored(&[0xc4, 0xe1, 0xf9, 0x7e, 0x0f], low_vector(1), 8);
    stored(&[0xc5, 0x7b, 0x11, 0x0f], low_vector(9), 8);
    // vmovq %xmm17,(%rdi), EVEX
    stored(&[0x62, 0xe1, 0xfd, 0x08, 0xd6, 0x0f], low_vector(17), 8);
}

#[test]
fn what_is_no_doorbell_store_is_refused() {
    let refused: &[&[u8]] = &[
        // mov (%rdi),%rcx; mov %rcx,%rdi; add %rcx,(%rdi); lock mov
        &[0x48, 0x8b, 0x0f],
        &[0x48, 0x89, 0xcf],
        &[0x48, 0x01, 0x0f],
        &[0xf0, 0x48, 0x89, 0x0f],
        // rep movsq, stosq; lock cmpxchg, xadd; push, pop to memory
        &[0xf3, 0x48, 0xa5],
        &[0x48, 0xab],
        &[0xf0, 0x48, 0x0f, 0xb1, 0x0f],
        &[0xf0, 0x48, 0x0f, 0xc1, 0x0f],
        &[0x50],
        &[0x8f, 0x07],
        // movaps, movdqu, vmovups of 16 and 32 bytes; a masked vmovsd
        &[0x0f, 0x29, 0x0f],
        &[0xf3, 0x0f, 0x7f, 0x0f],
        &[0xc5, 0xf8, 0x11, 0x0f],
        &[0xc5, 0xfc, 0x11, 0x0f],
        &[0x62, 0xf1, 0xff, 0x09, 0x11, 0x0f],
        // fifteen prefixes and more
        &[0x66; 20],
    ];
    for bytes in refused {
        assert_eq!(decode(bytes, &Pattern), Err(Refused::Unknown), "{bytes:02x?}");
    }
}

/// What a disassembler says the instruction stores; `None` for anything but the forms this room promises.
fn oracle(bytes: &[u8]) -> Option<Store> {
    let mut instruction = Instruction::default();
    Decoder::new(64, &bytes[..bytes.len().min(LONGEST)], DecoderOptions::NONE).decode_out(&mut instruction);
    if instruction.is_invalid() || instruction.op0_kind() != OpKind::Memory || instruction.op_count() != 2 {
        return None;
    }
    let known = matches!(
        instruction.mnemonic(),
        Mnemonic::Mov
            | Mnemonic::Xchg
            | Mnemonic::Movnti
            | Mnemonic::Movbe
            | Mnemonic::Movq
            | Mnemonic::Movd
            | Mnemonic::Movss
            | Mnemonic::Movsd
            | Mnemonic::Movlps
            | Mnemonic::Movlpd
            | Mnemonic::Movhps
            | Mnemonic::Movhpd
            | Mnemonic::Vmovq
            | Mnemonic::Vmovd
            | Mnemonic::Vmovss
            | Mnemonic::Vmovsd
            | Mnemonic::Vmovlps
            | Mnemonic::Vmovlpd
            | Mnemonic::Vmovhps
            | Mnemonic::Vmovhpd
    );
    let string = matches!(instruction.code(), Code::Movsd_m32_m32);
    if !known || string || instruction.op_mask() != Register::None {
        return None;
    }
    let width = u8::try_from(instruction.memory_size().size()).ok()?;
    let source = instruction.op1_register();
    let number = u8::try_from(source.full_register().number()).ok()?;
    let (value, effect) = if instruction.op1_kind() != OpKind::Register {
        (u128::from(instruction.immediate(1)), Effect::None)
    } else if source.is_gpr() {
        let high = matches!(source, Register::AH | Register::CH | Register::DH | Register::BH);
        let (register, shift) = (number, if high { 8 } else { 0 });
        let value = Pattern.general(register) >> shift;
        match instruction.mnemonic() {
            Mnemonic::Xchg => {
                (value.into(), Effect::Load { register, shift, zero_extend: source.is_gpr32() })
            }
            Mnemonic::Movbe => ((value.swap_bytes() >> (64 - 8 * u32::from(width))).into(), Effect::None),
            _ => (value.into(), Effect::None),
        }
    } else if source.is_xmm() {
        let value = Pattern.vector(number)?;
        let high = matches!(
            instruction.mnemonic(),
            Mnemonic::Movhps | Mnemonic::Movhpd | Mnemonic::Vmovhps | Mnemonic::Vmovhpd
        );
        (if high { value >> 64 } else { value }, Effect::None)
    } else {
        return None;
    };
    let length = u8::try_from(instruction.len()).ok()?;
    Some(Store { value: cut(value, width), width, length, effect })
}

/// A small generator, so that a failure repeats.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn one_of(&mut self, bytes: &[u8]) -> u8 {
        let index = usize::try_from(self.next()).unwrap() % bytes.len();
        bytes[index]
    }
}

/// Bytes that are likely to be a store, or nearly one.
fn candidate(random: &mut Random) -> [u8; 24] {
    let mut bytes = [0u8; 24];
    for byte in &mut bytes {
        *byte = random.byte();
    }
    let mut at = 0;
    let mut put = |byte| {
        bytes[at] = byte;
        at += 1;
    };
    for _ in 0..random.next() % 3 {
        put(random.one_of(&[0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x64, 0x65, 0x48, 0x41]));
    }
    if random.next() % 2 == 0 {
        put(0x40 | random.byte() & 15);
    }
    match random.next() % 8 {
        0..=2 => put(random.one_of(&[0x88, 0x89, 0x86, 0x87, 0xa2, 0xa3, 0xc6, 0xc7])),
        3 | 4 => {
            put(0x0f);
            put(random.one_of(&[0xc3, 0x38, 0x11, 0x13, 0x17, 0x7e, 0xd6, 0x7f, 0x29]));
            if random.next() % 2 == 0 {
                put(0xf1);
            }
        }
        5 => {
            put(0xc5);
            put(random.byte() | 0x78);
            put(random.one_of(&[0x11, 0x13, 0x17, 0x7e, 0xd6]));
        }
        6 => {
            put(random.one_of(&[0xc4, 0x62]));
            put(random.byte() & 0xf0 | 1);
            put(random.byte() | 0x78);
            if random.next() % 2 == 0 {
                put(8 | random.byte() & 0x60);
            }
            put(random.one_of(&[0x11, 0x13, 0x17, 0x7e, 0xd6]));
        }
        _ => {}
    }
    bytes
}

#[test]
fn a_disassembler_agrees() {
    let mut random = Random(1);
    let mut stores = 0;
    for _ in 0..400_000 {
        let bytes = candidate(&mut random);
        let found = decode(&bytes, &Pattern);
        assert_eq!(found.ok(), oracle(&bytes), "{bytes:02x?}");
        let Ok(store) = found else { continue };
        stores += 1;
        for upto in 0..usize::from(store.length) {
            assert_eq!(decode(&bytes[..upto], &Pattern), Err(Refused::Cut), "{:02x?}", &bytes[..upto]);
        }
    }
    assert!(stores > 50_000, "only {stores} stores among the candidates");
}

#[test]
fn random_bytes_agree_too() {
    let mut random = Random(2);
    for _ in 0..400_000 {
        let mut bytes = [0u8; LONGEST];
        for byte in &mut bytes {
            *byte = random.byte();
        }
        assert_eq!(decode(&bytes, &Pattern).ok(), oracle(&bytes), "{bytes:02x?}");
    }
}
