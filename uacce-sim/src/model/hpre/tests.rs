use super::*;
use crate::model::testing::FlatMemory;

const KEY: u64 = FlatMemory::BASE;
const IN: u64 = FlatMemory::BASE + 0x1000;
const OUT: u64 = FlatMemory::BASE + 0x2000;

fn descriptor(operation: u32, width: usize) -> Vec<u8> {
    let mut bytes = vec![0; DESCRIPTOR_LEN];
    set_word(&mut bytes, 0, operation | 1 << 30);
    set_word(&mut bytes, 1, u32::try_from(width / 8 - 1).unwrap());
    for (index, at) in [(2, KEY), (4, IN), (6, OUT)] {
        set_word(&mut bytes, index, u32::try_from(at).unwrap());
    }
    set_word(&mut bytes, 8, 0x1234_5678);
    set_word(&mut bytes, 9, 0x7F00);
    bytes
}

/// Big-endian in a field of `width` bytes.
fn field(value: u64, width: usize) -> Vec<u8> {
    let mut bytes = vec![0; width];
    bytes[width - 8..].copy_from_slice(&value.to_be_bytes());
    bytes
}

fn run(operation: u32, width: usize, key: &[u8], input: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let memory = FlatMemory::new(0x3000);
    memory.write(KEY, key).unwrap();
    memory.write(IN, input).unwrap();
    memory.write(OUT, &vec![0xEE; 0x800]).unwrap();
    let mut bytes = descriptor(operation, width);
    Hpre::new(0, Hardware::V2, false).execute(&mut bytes, &memory);
    assert_eq!(memory.bytes(OUT + width as u64, 8), [0xEE; 8], "wrote past the field");
    (bytes, memory.bytes(OUT, width))
}

fn toy_crt_key(width: usize) -> Vec<u8> {
    [49, 53, 53, 61, 38].map(|value| field(value, width / 2)).concat()
}

/// hpre §9.1: p 61, q 53, dp 53, dq 49, qinv 38, input 2790 gives 65. The completed descriptor differs in byte 3 only.
#[test]
fn published_crt_example() {
    for width in [128, 256, 384, 512] {
        let (after, out) = run(1, width, &toy_crt_key(width), &field(2790, width));
        assert_eq!(out, field(65, width));
        let mut expected = descriptor(1, width);
        expected[3] = 0xC0;
        assert_eq!(after, expected);
    }
}

/// hpre §9.2: n 3233, e 17, 65 gives 2790; d 2753 and 413 give 65 back.
#[test]
fn published_plain_example() {
    for (exponent, input, output) in [(17, 65, 2790), (2753, 2790, 65), (413, 2790, 65)] {
        let key = [field(exponent, 256), field(3233, 256)].concat();
        let (after, out) = run(0, 256, &key, &field(input, 256));
        assert_eq!((out, word(&after, 0)), (field(output, 256), 0xC000_0000));
    }
}

#[test]
fn dh_base_two_ignores_the_input_address() {
    let key = [field(10, 96), field(1_000_003, 96)].concat();
    let memory = FlatMemory::new(0x3000);
    memory.write(KEY, &key).unwrap();
    let mut bytes = descriptor(4, 96);
    set_word(&mut bytes, 4, 0);
    Hpre::new(0, Hardware::V2, false).execute(&mut bytes, &memory);
    assert_eq!((word(&bytes, 0), memory.bytes(OUT, 96)), (0xC000_0004, field(1024, 96)));
    let (_, out) = run(5, 96, &key, &field(3, 96));
    assert_eq!(out, field(59049, 96));
}

/// hpre §8.3: operands above the modulus are reduced, exponent 0 gives 1.
#[test]
fn corner_cases_that_must_work() {
    let key = [field(17, 128), field(3233, 128)].concat();
    let (_, out) = run(0, 128, &key, &field(65 + 3233 * 7, 128));
    assert_eq!(out, field(2790, 128));
    let (_, out) = run(0, 128, &[field(0, 128), field(3233, 128)].concat(), &field(5, 128));
    assert_eq!(out, field(1, 128));
    let (_, out) = run(1, 128, &toy_crt_key(128), &field(2790 + 3233 * 5, 128));
    assert_eq!(out, field(65, 128));
}

#[test]
fn even_and_zero_moduli_are_parameter_errors() {
    for modulus in [0, 1, 3232] {
        let (after, out) = run(0, 128, &[field(17, 128), field(modulus, 128)].concat(), &field(5, 128));
        assert_eq!((word(&after, 0), out), (0xC000_0020, vec![0xEE; 128]));
    }
}

#[test]
fn other_operations_widths_and_classes_are_unsupported() {
    for (operation, width, class) in
        [(6, 256, 0), (0xD, 32, 0), (0xD, 32, 1), (1, 96, 0), (1, 136, 0), (31, 256, 0), (1, 256, 1)]
    {
        let memory = FlatMemory::new(0x3000);
        memory.write(KEY, &toy_crt_key(256)).unwrap();
        let mut bytes = descriptor(operation, width);
        Hpre::new(class, Hardware::V2, false).execute(&mut bytes, &memory);
        assert_eq!(word(&bytes, 0), 0xC000_0040 | operation, "{operation} {width} {class}");
    }
}

#[test]
fn bad_addresses_show_as_translation_faults() {
    let memory = FlatMemory::new(0x3000);
    memory.write(KEY, &toy_crt_key(256)).unwrap();
    for index in [2, 4, 6] {
        let mut bytes = descriptor(1, 256);
        set_word(&mut bytes, index, 8);
        Hpre::new(0, Hardware::V2, false).execute(&mut bytes, &memory);
        assert_eq!((word(&bytes, 0), word(&bytes, 1)), (0xC020_0001, 0x1F | 1 << 27));
    }
}

#[test]
fn an_unsubmitted_descriptor_is_left_alone() {
    let memory = FlatMemory::new(0x3000);
    let mut bytes = vec![0xA5; DESCRIPTOR_LEN];
    Hpre::new(0, Hardware::V2, false).execute(&mut bytes, &memory);
    assert_eq!(bytes, vec![0xA5; DESCRIPTOR_LEN]);
}

#[test]
fn a_remembered_result_is_the_same() {
    let memory = FlatMemory::new(0x3000);
    memory.write(KEY, &toy_crt_key(256)).unwrap();
    memory.write(IN, &field(2790, 256)).unwrap();
    let mut hpre = Hpre::new(0, Hardware::V2, true);
    for _ in 0..3 {
        memory.write(OUT, &field(0, 256)).unwrap();
        hpre.execute(&mut descriptor(1, 256), &memory);
        assert_eq!(memory.bytes(OUT, 256), field(65, 256));
    }
}

#[test]
fn many_keys_do_not_pile_up() {
    let memory = FlatMemory::new(0x3000);
    let mut hpre = Hpre::new(0, Hardware::V2, false);
    for step in 0..200 {
        memory.write(KEY, &[field(17, 128), field(3233 + 2 * step, 128)].concat()).unwrap();
        let mut bytes = descriptor(0, 128);
        hpre.execute(&mut bytes, &memory);
        assert_eq!(word(&bytes, 0), 0xC000_0000);
    }
    assert!(hpre.keys.len() <= MAX_KEYS);
}

/// Real keys of every width: the model's answers are libcrypto's, with and without CRT, and the public operation undoes them.
#[test]
fn real_keys_agree_with_libcrypto() {
    use openssl::rsa::{Padding, Rsa};
    for bits in [1024, 2048, 3072, 4096] {
        let width = bits as usize / 8;
        let key = Rsa::generate(bits).unwrap();
        let wide = |number: &openssl::bn::BigNumRef, len: usize| {
            number.to_vec_padded(i32::try_from(len).unwrap()).unwrap()
        };
        let crt = [key.dmq1(), key.dmp1(), key.q(), key.p(), key.iqmp()]
            .map(|number| wide(number.unwrap(), width / 2))
            .concat();
        let private = [wide(key.d(), width), wide(key.n(), width)].concat();
        let public = [wide(key.e(), width), wide(key.n(), width)].concat();
        let mut input = vec![0x5A; width];
        input[0] = 0;
        let mut expected = vec![0; width];
        key.private_encrypt(&input, &mut expected, Padding::NONE).unwrap();
        for (operation, key) in [(1, &crt), (0, &private)] {
            let (after, out) = run(operation, width, key, &input);
            assert_eq!(word(&after, 0), 0xC000_0000 | operation);
            assert!(out == expected, "{bits} {operation}");
        }
        assert!(run(0, width, &public, &expected).1 == input, "{bits}");
    }
}

/// Key derivation from e, p and q: what libcrypto's own keys contain, d taken modulo (p − 1)(q − 1).
#[test]
fn derived_keys_are_libcryptos() {
    use openssl::bn::{BigNum, BigNumContext};
    let mut context = BigNumContext::new().unwrap();
    for bits in [1024, 2048, 4096] {
        let width = bits as usize / 8;
        let key = openssl::rsa::Rsa::generate(bits).unwrap();
        let wide = |number: &openssl::bn::BigNumRef, len: usize| {
            number.to_vec_padded(i32::try_from(len).unwrap()).unwrap()
        };
        let half = |number: Option<&openssl::bn::BigNumRef>| wide(number.unwrap(), width / 2);
        let source = [wide(key.e(), width), half(key.p()), half(key.q())].concat();
        let (mut p1, mut q1) = (key.p().unwrap().to_owned().unwrap(), key.q().unwrap().to_owned().unwrap());
        p1.sub_word(1).unwrap();
        q1.sub_word(1).unwrap();
        let [mut phi, mut d] = [0; 2].map(|_| BigNum::new().unwrap());
        phi.checked_mul(&p1, &q1, &mut context).unwrap();
        d.mod_inverse(key.e(), &phi, &mut context).unwrap();
        let standard = [wide(&d, width), wide(key.n(), width)].concat();
        let parts = [half(key.iqmp()), half(key.dmq1()), half(key.dmp1())].concat();
        for (operation, expected) in [(2, standard.clone()), (3, [standard, parts].concat())] {
            let memory = FlatMemory::new(0x3000);
            memory.write(KEY, &source).unwrap();
            memory.write(OUT, &vec![0xEE; 0x1000]).unwrap();
            let mut bytes = descriptor(operation, width);
            set_word(&mut bytes, 4, 0);
            Hpre::new(0, Hardware::V2, false).execute(&mut bytes, &memory);
            assert_eq!(word(&bytes, 0), 0xC000_0000 | operation);
            assert!(memory.bytes(OUT, expected.len()) == expected, "{bits} {operation}");
            assert_eq!(memory.bytes(OUT + expected.len() as u64, 8), [0xEE; 8]);
        }
    }
    // e without an inverse, and no primes at all.
    for (e, p) in [(2, 61), (17, 0)] {
        let key = [field(e, 128), field(p, 64), field(53, 64)].concat();
        assert_eq!(word(&run(3, 128, &key, &[]).0, 0), 0xC000_0023);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(500))]
    /// Whatever a client writes, the engine answers.
    #[test]
    fn any_descriptor_is_answered(
        head in proptest::prelude::any::<u32>(),
        second in proptest::prelude::any::<u32>(),
        narrow in proptest::prelude::any::<bool>(),
        content in proptest::collection::vec(proptest::prelude::any::<u8>(), 0x3000),
        class in 0u16..2,
    ) {
        let memory = FlatMemory::new(0x3000);
        memory.write(KEY, &content).unwrap();
        let mut bytes = descriptor(0, 128);
        set_word(&mut bytes, 0, head & 0x3FFF_FFFF | 1 << 30);
        let second = if narrow { second & 0xFFFF_FF00 | [3, 5, 8, 11][second as usize % 4] } else { second };
        set_word(&mut bytes, 1, second);
        Hpre::new(class, Hardware::V3, false).execute(&mut bytes, &memory);
        proptest::prop_assert_eq!(bytes[3] >> 6, 3);
    }
}
