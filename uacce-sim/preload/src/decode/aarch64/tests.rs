//! Encodings as the GNU assembler gives them, and the classes of simulator.md's table at random.

use super::*;

/// Registers whose every byte tells which one it is; 31 is the stack pointer.
struct Pattern;

impl Registers for Pattern {
    fn general(&self, number: u8) -> u64 {
        0x8182_8384_8586_8700 + u64::from(number)
    }

    fn vector(&self, number: u8) -> Option<u128> {
        Some(0xf1f2_f3f4_f5f6_f7f8_0102_0304_0506_0700 + u128::from(number))
    }
}

fn general(number: u8) -> u128 {
    Pattern.general(number).into()
}

fn vector(number: u8) -> u128 {
    Pattern.vector(number).unwrap()
}

fn base(number: u8, offset: i64) -> Effect {
    Effect::Set { register: number, value: Pattern.general(number).wrapping_add_signed(offset) }
}

fn loaded(register: u8) -> Effect {
    Effect::Load { register, shift: 0, zero_extend: true }
}

#[test]
fn known_stores() {
    let status = Effect::Set { register: 3, value: 0 };
    let pair = |first: u128, second: u128| first | second << 64;
    let table = [
        (0xf900_0001, general(1), 8, Effect::None),  // str x1, [x0]
        (0xf900_001f, 0, 8, Effect::None),           // str xzr, [x0]
        (0xf908_0062, general(2), 8, Effect::None),  // str x2, [x3, #0x1000]
        (0xf900_07e1, general(1), 8, Effect::None),  // str x1, [sp, #8]
        (0xf822_6801, general(1), 8, Effect::None),  // str x1, [x0, x2]
        (0xf822_7801, general(1), 8, Effect::None),  // str x1, [x0, x2, lsl #3]
        (0xf822_d801, general(1), 8, Effect::None),  // str x1, [x0, w2, sxtw #3]
        (0xc89f_fc01, general(1), 8, Effect::None),  // stlr x1, [x0]
        (0xc89f_7c01, general(1), 8, Effect::None),  // stllr x1, [x0]
        (0x889f_fc01, general(1), 4, Effect::None),  // stlr w1, [x0]
        (0xd91f_8001, general(1), 8, Effect::None),  // stlur x1, [x0, #-8]
        (0x9900_8001, general(1), 4, Effect::None),  // stlur w1, [x0, #8]
        (0xf81f_8001, general(1), 8, Effect::None),  // stur x1, [x0, #-8]
        (0xf800_8801, general(1), 8, Effect::None),  // sttr x1, [x0, #8]
        (0xf800_8401, general(1), 8, base(0, 8)),    // str x1, [x0], #8
        (0xf81f_0c01, general(1), 8, base(0, -16)),  // str x1, [x0, #-16]!
        (0xf81f_0fe1, general(1), 8, base(31, -16)), // str x1, [sp, #-16]!
        (0xb900_0401, general(1), 4, Effect::None),  // str w1, [x0, #4]
        (0x7900_0001, general(1), 2, Effect::None),  // strh w1, [x0]
        (0x3900_0001, general(1), 1, Effect::None),  // strb w1, [x0]
        (0xf821_8002, general(1), 8, loaded(2)),     // swp x1, x2, [x0]
        (0xf8a1_8002, general(1), 8, loaded(2)),     // swpa
        (0xf861_8002, general(1), 8, loaded(2)),     // swpl
        (0xf8e1_8002, general(1), 8, loaded(2)),     // swpal
        (0xf8e1_801f, general(1), 8, Effect::None),  // swpal x1, xzr, [x0]
        (0xb821_8002, general(1), 4, loaded(2)),     // swp w1, w2, [x0]
        (0xc803_7c01, general(1), 8, status),        // stxr w3, x1, [x0]
        (0xc803_fc01, general(1), 8, status),        // stlxr w3, x1, [x0]
        (0xc81f_7c01, general(1), 8, Effect::None),  // stxr wzr, x1, [x0]
        (0x8803_fc01, general(1), 4, status),        // stlxr w3, w1, [x0]
        (0xa900_0801, pair(general(1), general(2)), 16, Effect::None), // stp x1, x2, [x0]
        (0xa9bf_7c01, general(1), 16, base(0, -16)), // stp x1, xzr, [x0, #-16]!
        (0xa882_0801, pair(general(1), general(2)), 16, base(0, 32)), // stp x1, x2, [x0], #32
        (0xa800_0801, pair(general(1), general(2)), 16, Effect::None), // stnp x1, x2, [x0]
        (0x2900_0801, cut(general(1), 4) | cut(general(2), 4) << 32, 8, Effect::None), // stp w1, w2, [x0]
        (0x2d00_0801, cut(vector(1), 4) | cut(vector(2), 4) << 32, 8, Effect::None), // stp s1, s2, [x0]
        (0x6d00_0801, pair(cut(vector(1), 8), cut(vector(2), 8)), 16, Effect::None), // stp d1, d2, [x0]
        (0xfd00_0001, vector(1), 8, Effect::None),   // str d1, [x0]
        (0x3d80_0001, vector(1), 16, Effect::None),  // str q1, [x0]
        (0xbd00_0401, vector(1), 4, Effect::None),   // str s1, [x0, #4]
        (0xfc1f_8001, vector(1), 8, Effect::None),   // stur d1, [x0, #-8]
        (0x3c9f_8001, vector(1), 16, Effect::None),  // stur q1, [x0, #-8]
        (0xfc00_8401, vector(1), 8, base(0, 8)),     // str d1, [x0], #8
        (0xfc22_6801, vector(1), 8, Effect::None),   // str d1, [x0, x2]
    ];
    for (word, value, width, effect) in table {
        let expected = Store { value: cut(value, width), width, length: LENGTH, effect };
        assert_eq!(decode(word, &Pattern), Some(expected), "{word:08x}");
    }
}

#[test]
fn what_is_no_doorbell_store_is_refused() {
    let table = [
        0xf940_0001, // ldr x1, [x0]
        0xb980_0001, // ldrsw x1, [x0]
        0xf980_0000, // prfm pldl1keep, [x0]
        0x3dc0_0001, // ldr q1, [x0]
        0xc8df_fc01, // ldar x1, [x0]
        0xf8bf_c001, // ldapr x1, [x0]
        0xd940_0001, // ldapur x1, [x0]
        0xc85f_7c01, // ldxr x1, [x0]
        0xa940_0801, // ldp x1, x2, [x0]
        0x6940_0801, // ldpsw x1, x2, [x0]
        0xad00_0801, // stp q1, q2, [x0]
        0xc823_0801, // stxp w3, x1, x2, [x0]
        0xc8a1_7c02, // cas x1, x2, [x0]
        0x4822_7c04, // casp x2, x3, x4, x5, [x0]
        0xf821_0002, // ldadd x1, x2, [x0]
        0xf821_001f, // stadd x1, [x0]
        0x4c00_7001, // st1 {v1.16b}, [x0]
        0x5800_0001, // ldr x1, .
        0x8b03_0041, // add x1, x2, x3
        0xd503_32bf, // dmb oshst
        0x1400_0000, // b .
        0x0000_0000,
        0xffff_ffff,
    ];
    for word in table {
        assert_eq!(decode(word, &Pattern), None, "{word:08x}");
    }
}

#[test]
fn whole_classes_are_stores() {
    // Mask, match, width; the bits outside the mask are free.
    let classes: [(u32, u32, u8); 18] = [
        (0xffc0_0000, 0xf900_0000, 8),
        (0xffe0_4c00, 0xf820_4800, 8),
        (0xffff_fc00, 0xc89f_fc00, 8),
        (0xffe0_0c00, 0xd900_0000, 8),
        (0xffe0_0c00, 0xf800_0000, 8),
        (0xffe0_0c00, 0xf800_0400, 8),
        (0xffe0_0c00, 0xf800_0c00, 8),
        (0xffc0_0000, 0xb900_0000, 4),
        (0xff20_fc00, 0xf820_8000, 8),
        (0xffe0_fc00, 0xc800_7c00, 8),
        (0xffe0_fc00, 0xc800_fc00, 8),
        (0xffc0_0000, 0xa900_0000, 16),
        (0xffc0_0000, 0xa880_0000, 16),
        (0xffc0_0000, 0xa980_0000, 16),
        (0xffc0_0000, 0xa800_0000, 16),
        (0xffc0_0000, 0xfd00_0000, 8),
        (0xffc0_0000, 0x3d80_0000, 16),
        (0xffc0_0000, 0x2900_0000, 8),
    ];
    let mut random = 1u32;
    for _ in 0..20_000 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let bits = random.rotate_left(16);
        for (mask, fixed, width) in classes {
            let word = bits & !mask | fixed;
            let store = decode(word, &Pattern).unwrap_or_else(|| panic!("{word:08x} refused"));
            assert_eq!((store.width, store.length), (width, LENGTH), "{word:08x}");
        }
        // Anything at all: no panic, and a width that memory accesses have.
        if let Some(store) = decode(bits, &Pattern) {
            assert!(
                matches!(store.width, 1 | 2 | 4 | 8 | 16) && cut(store.value, store.width) == store.value
            );
        }
    }
}
