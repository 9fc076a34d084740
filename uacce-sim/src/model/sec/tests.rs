use openssl::hash::MessageDigest;
use openssl::symm::{self, Cipher};

use super::*;
use crate::model::testing::{FlatMemory, hex};

const KEY: u64 = FlatMemory::BASE;
const IV: u64 = FlatMemory::BASE + 0x100;
const AUTH_KEY: u64 = FlatMemory::BASE + 0x200;
const STATE: u64 = FlatMemory::BASE + 0x300;
const MAC: u64 = FlatMemory::BASE + 0x400;
const LISTS: u64 = FlatMemory::BASE + 0x800;
const SOURCE: u64 = FlatMemory::BASE + 0x1000;
const TARGET: u64 = FlatMemory::BASE + 0x8000;

const V2: Hardware = Hardware::V2;
const V3: Hardware = Hardware::V3;

/// A request in the words of sec §1, to be encoded as either descriptor type.
#[derive(Clone, Default)]
struct Ask {
    cipher: u32,
    auth: u32,
    seq: u32,
    scene: u32,
    de: u32,
    lists: bool,
    mode: u32,
    algorithm: u32,
    key_code: u32,
    width: u32,
    tag: u32,
    mac_words: u32,
    key_words: u32,
    auth_algorithm: u32,
    ai_gen: u32,
    pad: u32,
    variant: u32,
    auth_len: usize,
    len: usize,
    offset: usize,
    total: u64,
}

impl Ask {
    /// A cipher request of U: scene 1, destination enabled.
    fn cipher(direction: u32, algorithm: u32, mode: u32, key_code: u32, len: usize) -> Self {
        Self { cipher: direction, scene: 1, de: 1, algorithm, mode, key_code, len, ..Self::default() }
    }

    fn digest(algorithm: u32, out_len: usize, len: usize) -> Self {
        let mac_words = u32::try_from(out_len / 4).unwrap();
        Self { auth: 1, scene: 7, auth_algorithm: algorithm, mac_words, auth_len: len, ..Self::default() }
    }

    fn bytes(&self, kind: u32) -> Vec<u8> {
        let small = |value: usize| u32::try_from(value).unwrap();
        let list = u32::from(self.lists);
        let mut bytes = vec![0; DESCRIPTOR_LEN];
        let mut at = |index: usize, address: u64| {
            bytes[index * 4..index * 4 + 8].copy_from_slice(&address.to_le_bytes());
        };
        let (source, target) = if self.lists { (LISTS, LISTS + 0x200) } else { (SOURCE, TARGET) };
        let places = if kind == 2 { [24, 26, 16, 14, 22, 20, 18] } else { [4, 19, 6, 8, 12, 23, 21] };
        for (index, address) in places.into_iter().zip([source, target, AUTH_KEY, STATE, KEY, IV, MAC]) {
            at(index, address);
        }
        let words: &[(usize, u32)] = if kind == 2 {
            at(12, self.total);
            &[
                (
                    0,
                    2 | self.cipher << 4
                        | self.auth << 6
                        | self.seq << 8
                        | self.de << 9
                        | self.scene << 11
                        | list << 15
                        | list << 18,
                ),
                (1, self.ai_gen << 8 | self.pad << 10),
                (2, self.mac_words | self.key_words << 5 | self.auth_algorithm << 11),
                (3, self.tag | self.width << 6 | self.key_code << 9 | self.mode << 12 | self.algorithm << 16),
                (4, small(self.auth_len)),
                (5, small(self.len)),
                (6, small(self.offset) << 16),
                (10, 0x1234),
            ]
        } else {
            if self.scene == 7 {
                at(25, self.total);
            }
            &[
                (0, 3 | self.scene << 5 | self.de << 9 | list << 11 | list << 14),
                (
                    1,
                    self.cipher
                        | self.tag << 4
                        | self.width << 10
                        | self.key_code << 13
                        | self.mode << 16
                        | self.algorithm << 20
                        | self.seq << 30,
                ),
                (2, 0x1234_5678),
                (3, 0x7F00),
                (
                    14,
                    self.auth
                        | self.ai_gen << 2
                        | self.mac_words << 4
                        | self.key_words << 9
                        | self.auth_algorithm << 15
                        | self.variant << 25,
                ),
                (16, small(self.offset) << 16),
                (17, small(self.auth_len)),
                (18, small(self.len)),
                (27, if self.scene == 7 { self.pad } else { 0 }),
            ]
        };
        for (index, word) in words {
            set_word(&mut bytes, *index, *word);
        }
        bytes
    }

    /// Executes as descriptor type `kind` on `hardware`: u16 at 112 and `error_type`.
    fn run(&self, kind: u32, hardware: Hardware, memory: &FlatMemory) -> (u32, u32) {
        let before = self.bytes(kind);
        let mut after = before.clone();
        Sec::new(hardware).execute(&mut after, memory);
        assert_eq!(after[..112], before[..112], "changed what it must not");
        (word(&after, 28) & 0xFFFF, word(&after, 28) >> 16)
    }
}

fn memory(parts: &[(u64, &[u8])]) -> FlatMemory {
    let memory = FlatMemory::new(0x1_0000);
    memory.write(MAC, &[0xEE; 0x80]).unwrap();
    memory.write(TARGET, &[0xEE; 0x4000]).unwrap();
    for (at, bytes) in parts {
        memory.write(*at, bytes).unwrap();
    }
    memory
}

/// Every generation and descriptor type that has it.
const KINDS: [(u32, Hardware); 3] = [(2, V2), (2, V3), (3, V3)];

/// Ciphers one way and back, as each of `kinds`.
fn check_cipher(ask: &Ask, kinds: &[(u32, Hardware)], key: &[u8], iv: &[u8], plain: &[u8], expected: &[u8]) {
    for (kind, hardware) in kinds {
        for (direction, from, to) in [(1, plain, expected), (2, expected, plain)] {
            let memory = memory(&[(KEY, key), (IV, iv), (SOURCE, from)]);
            let ask = Ask { cipher: direction, ..ask.clone() };
            assert_eq!(ask.run(*kind, *hardware, &memory), (0x0101, 0), "{kind} {hardware:?}");
            assert!(memory.bytes(TARGET, to.len()) == to, "{kind} {hardware:?} {direction}");
            assert_eq!(memory.bytes(TARGET + to.len() as u64, 4), [0xEE; 4]);
            assert_eq!(memory.bytes(IV, iv.len()), iv, "the device never writes the IV");
        }
    }
}

fn noise(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 37 + index / 251).to_le_bytes()[0]).collect()
}

/// The words of sec §9, that the encoding above is theirs.
#[test]
fn encoding_is_the_published() {
    let cbc = Ask::cipher(1, 2, 1, 2, 4096);
    let bytes = cbc.bytes(2);
    assert_eq!([0, 3, 5].map(|index| word(&bytes, index)), [0x0A12, 0x2_1400, 0x1000]);
    let bytes = cbc.bytes(3);
    assert_eq!([0, 1, 18].map(|index| word(&bytes, index)), [0x0223, 0x21_4001, 0x1000]);
    let lists = Ask { lists: true, ..cbc };
    assert_eq!([word(&lists.bytes(2), 0), word(&lists.bytes(3), 0)], [0x4_8A12, 0x4A23]);
    let gcm = Ask { seq: 1, tag: 16, auth_len: 13, offset: 13, ..Ask::cipher(2, 2, 6, 2, 64) };
    let bytes = gcm.bytes(2);
    assert_eq!([0, 3, 6].map(|index| word(&bytes, index)), [0x0B22, 0x2_6410, 0xD_0000]);
    assert_eq!([1, 16].map(|index| word(&gcm.bytes(3), index)), [0x4026_4102, 0xD_0000]);
    let sha = Ask { scene: 1, ..Ask::digest(1, 32, 1000) }.bytes(2);
    assert_eq!([0, 2, 4].map(|index| word(&sha, index)), [0x0842, 0x0808, 0x03E8]);
    let sha = Ask::digest(1, 32, 1000).bytes(3);
    assert_eq!([0, 14, 17].map(|index| word(&sha, index)), [0xE3, 0x8081, 0x03E8]);
    let hmac = Ask { key_words: 8, ..Ask::digest(0x11, 32, 1000) };
    assert_eq!([word(&hmac.bytes(2), 2), word(&hmac.bytes(3), 14)], [0x8908, 0x8_9081]);
    let end = Ask { ai_gen: 1, total: 262_944, ..Ask::digest(1, 32, 100) };
    assert_eq!([word(&end.bytes(2), 1), word(&end.bytes(3), 14)], [0x100, 0x8085]);
    assert_eq!([word(&end.bytes(2), 12), word(&end.bytes(3), 25)], [0x4_0320, 0x4_0320]);
}

/// SP 800-38A, appendix F, AES-128.
#[test]
fn aes_modes_as_published() {
    let key = hex("2b7e151628aed2a6abf7158809cf4f3c");
    let plain = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
    let iv = hex("000102030405060708090a0b0c0d0e0f");
    let counter = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    let cases = [
        (0, &iv, "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf"),
        (1, &iv, "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"),
        (2, &iv, "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b"),
        (3, &iv, "3b3fd92eb72dad20333449f8e83cfb4a7789508d16918f03f53c52dac54ed825"),
        (4, &counter, "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"),
    ];
    for (mode, iv, expected) in cases {
        let kinds = if matches!(mode, 2 | 3) { &KINDS[1..] } else { &KINDS };
        check_cipher(&Ask::cipher(1, 2, mode, 0, 32), kinds, &key, iv, &plain, &hex(expected));
    }
}

/// All key lengths, many lengths, against libcrypto.
#[test]
fn ciphers_agree_with_libcrypto() {
    let iv = noise(16);
    let cases = [
        (2, 0, 0, Cipher::aes_128_ecb()),
        (2, 0, 1, Cipher::aes_192_ecb()),
        (2, 0, 2, Cipher::aes_256_ecb()),
        (2, 1, 1, Cipher::aes_192_cbc()),
        (2, 1, 2, Cipher::aes_256_cbc()),
        (2, 2, 1, Cipher::aes_192_cfb128()),
        (2, 2, 2, Cipher::aes_256_cfb128()),
        (2, 3, 1, Cipher::aes_192_ofb()),
        (2, 3, 2, Cipher::aes_256_ofb()),
        (2, 4, 1, Cipher::aes_192_ctr()),
        (2, 4, 2, Cipher::aes_256_ctr()),
        (2, 7, 0, Cipher::aes_128_xts()),
        (2, 7, 2, Cipher::aes_256_xts()),
        (3, 0, 0, Cipher::sm4_ecb()),
        (3, 1, 0, Cipher::sm4_cbc()),
        (3, 2, 0, Cipher::sm4_cfb128()),
        (3, 3, 0, Cipher::sm4_ofb()),
        (3, 4, 0, Cipher::sm4_ctr()),
        (1, 0, 1, Cipher::des_ede3_ecb()),
        (1, 1, 1, Cipher::des_ede3_cbc()),
    ];
    for (algorithm, mode, key_code, cipher) in cases {
        let key = noise(cipher.key_len());
        for len in [16, 48, 4096, 17, 31, 1000] {
            if len % 16 != 0 && mode < 2 {
                continue;
            }
            let plain = noise(len);
            let vector = cipher.iv_len().map(|len| &iv[..len]);
            let mut crypter = symm::Crypter::new(cipher, symm::Mode::Encrypt, &key, vector).unwrap();
            crypter.pad(false);
            let mut expected = vec![0; len + 16];
            let written = crypter.update(&plain, &mut expected).unwrap();
            let written = written + crypter.finalize(&mut expected[written..]).unwrap();
            expected.truncate(written);
            let kinds = if matches!(mode, 2 | 3) { &KINDS[1..] } else { &KINDS };
            let ask = Ask::cipher(1, algorithm, mode, key_code, len);
            check_cipher(&ask, kinds, &key, &iv, &plain, &expected);
        }
    }
}

#[test]
fn des_and_two_key_triple_des() {
    let (key, plain) = (hex("133457799bbcdff1"), hex("0123456789abcdef"));
    // The second form is one driver's slip: a tag length of 1, no key code (sec §10.1).
    for slip in [Ask::cipher(1, 0, 0, 1, 8), Ask { tag: 1, ..Ask::cipher(1, 0, 0, 0, 8) }] {
        check_cipher(&slip, &KINDS, &key, &[], &plain, &hex("85e813540f0ab405"));
    }
    let two = noise(16);
    let three = [&two[..], &two[..8]].concat();
    let plain = noise(64);
    let mut crypter =
        symm::Crypter::new(Cipher::des_ede3_cbc(), symm::Mode::Encrypt, &three, Some(&[7; 8])).unwrap();
    crypter.pad(false);
    let mut expected = vec![0; 72];
    crypter.update(&plain, &mut expected).unwrap();
    check_cipher(&Ask::cipher(1, 1, 1, 3, 64), &KINDS, &two, &[7; 8], &plain, &expected[..64]);
}

/// RFC 3962 appendix B is CS3; the other variants only change the order of the last two blocks.
#[test]
fn ciphertext_stealing_as_published() {
    let key = b"chicken teriyaki";
    let text = b"I would like the General Gau's Chicken, please, and wonton soup.";
    let cases = [
        (17, "c6353568f2bf8cb4d8a580362da7ff7f97", "97c6353568f2bf8cb4d8a580362da7ff7f"),
        (
            31,
            "fc00783e0efdb2c1d445d4c8eff7ed2297687268d6ecccc0c07b25e25ecfe5",
            "97687268d6ecccc0c07b25e25ecfe5fc00783e0efdb2c1d445d4c8eff7ed22",
        ),
        (
            32,
            "39312523a78662d5be7fcbcc98ebf5a897687268d6ecccc0c07b25e25ecfe584",
            "97687268d6ecccc0c07b25e25ecfe58439312523a78662d5be7fcbcc98ebf5a8",
        ),
    ];
    for (len, third, first) in cases {
        let second = if len % 16 == 0 { first } else { third };
        for (width, expected) in [(1, first), (2, second), (3, third)] {
            let ask = Ask { width, ..Ask::cipher(1, 2, 9, 0, len) };
            check_cipher(&ask, &KINDS, key, &[0; 16], &text[..len], &hex(expected));
        }
    }
    for (algorithm, len) in [(2, 47), (3, 33), (3, 16), (2, 1000)] {
        for width in 1..=3 {
            let memory = memory(&[(KEY, key), (SOURCE, &noise(len))]);
            let ask = Ask { width, ..Ask::cipher(1, algorithm, 9, 0, len) };
            assert_eq!(ask.run(3, V3, &memory), (0x0101, 0));
            memory.write(SOURCE, &memory.bytes(TARGET, len)).unwrap();
            assert_eq!(Ask { cipher: 2, ..ask }.run(3, V3, &memory), (0x0101, 0));
            assert_eq!(memory.bytes(TARGET, len), noise(len), "{algorithm} {len} {width}");
        }
    }
}

/// Sec §3.1: 32 bits count unless the descriptor says 128.
#[test]
fn counters_wrap_as_told() {
    let (key, counter) = (noise(16), [0xFF; 16]);
    let stream = |blocks: &[[u8; 16]]| symm::encrypt(Cipher::aes_128_ecb(), &key, None, &blocks.concat());
    let mut short = [0xFF; 16];
    short[12..].fill(0);
    for (kind, variant, second) in [(2, 0, short), (3, 0, short), (3, 2, [0; 16])] {
        let memory = memory(&[(KEY, &key), (IV, &counter), (SOURCE, &[0; 32])]);
        let ask = Ask { variant, ..Ask::cipher(1, 2, 4, 0, 32) };
        assert_eq!(ask.run(kind, V3, &memory), (0x0101, 0));
        assert_eq!(memory.bytes(TARGET, 32), stream(&[counter, second]).unwrap()[..32]);
    }
}

/// GB/T 17964-2021, where the tweak goes on in the other order of bits, and the same in the form of IEEE 1619; then 17 bytes
/// in the first form. All as in OpenSSL's test/recipes/30-test_evp_data/evpciph_sm4.txt, where GB is what is not named.
#[test]
fn sm4_xts_in_both_forms() {
    let key = hex("2B7E151628AED2A6ABF7158809CF4F3C000102030405060708090A0B0C0D0E0F");
    let iv = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF");
    let plain = hex("6BC1BEE22E409F96E93D7E117393172AAE2D8A571E03AC9C9EB76FAC45AF8E51\
         30C81C46A35CE411E5FBC1191A0A52EFF69F2445DF4F9B17");
    let gb = hex("E9538251C71D7B80BBE4483FEF497BD12C5C581BD6242FC51E08964FB4F60FDB\
         0BA42F63499279213D318D2C11F6886E903BE7F93A1B3479");
    let ieee = hex("E9538251C71D7B80BBE4483FEF497BD1B3DB1A3E60408C575D63FF7DB39F8326\
         0869F9E2585FEC9F0B863BF8FD784B8627D16C0DB6D2CFC7");
    let ask = Ask::cipher(1, 3, 7, 0, 56);
    check_cipher(&Ask { variant: 1, ..ask.clone() }, &KINDS[2..], &key, &iv, &plain, &gb);
    check_cipher(&ask, &KINDS, &key, &iv, &plain, &ieee);
    let key = hex("FFFEFDFCFBFAF9F8F7F6F5F4F3F2F1F0BFBEBDBCBBBAB9B8B7B6B5B4B3B2B1B0");
    let iv = hex("9A785634120000000000000000000000");
    let plain: Vec<u8> = (0..17).collect();
    let sealed = hex("9E52443A35410CA0BA5637B94C0766F469");
    let ask = Ask { variant: 1, ..Ask::cipher(1, 3, 7, 0, 17) };
    check_cipher(&ask, &KINDS[2..], &key, &iv, &plain, &sealed);
}

/// Runs an AEAD both ways, then with a wrong tag.
fn check_aead(
    ask: &Ask,
    kinds: &[(u32, Hardware)],
    parts: &[(u64, &[u8])],
    plain: &[u8],
    sealed: &[u8],
    tag: &[u8],
) {
    let additional = noise(ask.offset);
    for (kind, hardware) in kinds {
        let memory = memory(parts);
        memory.write(SOURCE, &[&additional, plain].concat()).unwrap();
        assert_eq!(ask.run(*kind, *hardware, &memory), (0x0181, 0), "{kind} {hardware:?}");
        let target = memory.bytes(TARGET, ask.offset + plain.len() + 4);
        assert!(target[ask.offset..] == [sealed, &[0xEE; 4]].concat(), "{kind} {hardware:?}");
        assert_eq!(memory.bytes(MAC, tag.len() + 2), [tag, &[0xEE; 2]].concat());
        memory.write(SOURCE, &[&additional, sealed].concat()).unwrap();
        let open = Ask { cipher: 2, seq: 1, auth: ask.auth * 2, ..ask.clone() };
        assert_eq!(open.run(*kind, *hardware, &memory), (0x0181, 0), "{kind} {hardware:?}");
        assert!(memory.bytes(TARGET + ask.offset as u64, plain.len()) == plain);
        let wrong: Vec<u8> = tag.iter().map(|byte| byte ^ 1).collect();
        memory.write(MAC, &wrong).unwrap();
        assert_eq!(open.run(*kind, *hardware, &memory), (0x0185, 0), "{kind} {hardware:?}");
        assert_eq!(memory.bytes(MAC, tag.len()), wrong, "the expected tag is only read");
    }
}

#[test]
fn gcm_agrees_with_libcrypto() {
    let nonce = noise(12);
    for (key_code, cipher) in
        [(0, Cipher::aes_128_gcm()), (1, Cipher::aes_192_gcm()), (2, Cipher::aes_256_gcm())]
    {
        let key = noise(cipher.key_len());
        for (additional, len, tag_len) in [(13, 64, 16), (0, 1, 16), (20, 60, 12), (16, 4000, 8), (7, 0, 16)]
        {
            let plain = noise(len);
            let mut tag = vec![0; tag_len];
            let sealed =
                symm::encrypt_aead(cipher, &key, Some(&nonce), &noise(additional), &plain, &mut tag).unwrap();
            let ask = Ask {
                tag: u32::try_from(tag_len).unwrap(),
                auth_len: additional,
                offset: additional,
                ..Ask::cipher(1, 2, 6, key_code, len)
            };
            let kinds = if len == 0 { &KINDS[1..] } else { &KINDS };
            check_aead(&ask, kinds, &[(KEY, &key), (IV, &nonce)], &plain, &sealed, &tag);
        }
    }
}

/// RFC 8998 appendix A.
#[test]
fn sm4_aead_as_published() {
    let key = hex("0123456789ABCDEFFEDCBA9876543210");
    let nonce = hex("00001234567800000000ABCD");
    let additional = hex("FEEDFACEDEADBEEFFEEDFACEDEADBEEFABADDAD2");
    let plain: Vec<u8> =
        [0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF, 0xEE, 0xAA].iter().flat_map(|byte| [*byte; 8]).collect();
    let gcm = hex("17F399F08C67D5EE19D0DC9969C4BB7D5FD46FD3756489069157B282BB200735\
         D82710CA5C22F0CCFA7CBF93D496AC15A56834CBCF98C397B4024A2691233B8D\
         83DE3541E4C2B58177E065A9BF7B62EC");
    let ccm = hex("48AF93501FA62ADBCD414CCE6034D895DDA1BF8F132F042098661572E7483094\
         FD12E518CE062C98ACEE28D95DF4416BED31A2F04476C18BB40C84A74B97DC5B\
         16842D4FA186F56AB33256971FA110F4");
    let counter = [&[2][..], &nonce, &[0, 0, 1]].concat();
    let first = [&[2 | 7 << 3 | 1 << 6][..], &nonce, &[0, 0, 64]].concat();
    for (mode, iv, expected) in [(6, &nonce, gcm), (5, &counter, ccm)] {
        let ask = Ask { tag: 16, auth_len: 20, offset: 20, ..Ask::cipher(1, 3, mode, 0, 64) };
        let memory = memory(&[(KEY, &key), (IV, iv), (STATE, &first)]);
        memory.write(SOURCE, &[&additional[..], &plain].concat()).unwrap();
        assert_eq!(ask.run(2, V2, &memory), (1, 2), "v2 has no SM4 here");
        assert_eq!(ask.run(3, V3, &memory), (0x0181, 0));
        assert_eq!(memory.bytes(TARGET, 84), [&additional[..], &expected[..64]].concat());
        assert_eq!(memory.bytes(MAC, 16), expected[64..]);
    }
}

/// Tags of 12 bytes only: libcrypto 3.0 fixes the length when the key is set, before the binding can say another.
fn libcrypto_ccm(
    key: &[u8],
    nonce: &[u8],
    additional: &[u8],
    plain: &[u8],
    tag_len: usize,
) -> (Vec<u8>, Vec<u8>) {
    let mut crypter =
        symm::Crypter::new(Cipher::aes_256_ccm(), symm::Mode::Encrypt, key, Some(nonce)).unwrap();
    crypter.set_tag_len(tag_len).unwrap();
    crypter.set_data_len(plain.len()).unwrap();
    if !additional.is_empty() {
        crypter.aad_update(additional).unwrap();
    }
    let (mut sealed, mut tag) = (vec![0; plain.len() + 16], vec![0; tag_len]);
    crypter.update(plain, &mut sealed).unwrap();
    sealed.truncate(plain.len());
    crypter.finalize(&mut [0; 16]).unwrap();
    crypter.get_tag(&mut tag).unwrap();
    (sealed, tag)
}

/// RFC 3610 packet vector 1, and libcrypto at other lengths.
#[test]
fn ccm_as_published() {
    let key: Vec<u8> = (0xC0..=0xCF).collect();
    let nonce = hex("00000003020100A0A1A2A3A4A5");
    let additional: Vec<u8> = (0..8).collect();
    let plain: Vec<u8> = (8..=0x1E).collect();
    let expected = hex("588C979A61C663D2F066D0C2C0F989806D5F6B61DAC38417E8D12CFDF926E0");
    let blocks = |nonce: &[u8], tag: u8, additional: bool, len: u16| {
        let counter = [&[1][..], nonce, &[0, 1]].concat();
        let flags = 1 | ((tag - 2) / 2) << 3 | u8::from(additional) << 6;
        (counter, [&[flags][..], nonce, &len.to_be_bytes()].concat())
    };
    let (counter, first) = blocks(&nonce, 8, true, 23);
    let memory = memory(&[(KEY, &key), (IV, &counter), (STATE, &first)]);
    memory.write(SOURCE, &[additional, plain].concat()).unwrap();
    let ask = Ask { tag: 8, auth_len: 8, offset: 8, ..Ask::cipher(1, 2, 5, 0, 23) };
    for (kind, hardware) in KINDS {
        assert_eq!(ask.run(kind, hardware, &memory), (0x0181, 0));
        assert_eq!([memory.bytes(TARGET + 8, 23), memory.bytes(MAC, 8)].concat(), expected);
    }
    for (additional, len, tag_len) in [(13, 64, 12), (0, 33, 12), (300, 1000, 12)] {
        let (key, plain) = (noise(32), noise(len));
        let (sealed, tag) = libcrypto_ccm(&key, &nonce, &noise(additional), &plain, tag_len);
        let (counter, first) =
            blocks(&nonce, u8::try_from(tag_len).unwrap(), additional > 0, u16::try_from(len).unwrap());
        let tag_code = u32::try_from(tag_len).unwrap();
        let ask =
            Ask { tag: tag_code, auth_len: additional, offset: additional, ..Ask::cipher(1, 2, 5, 2, len) };
        check_aead(&ask, &KINDS, &[(KEY, &key), (IV, &counter), (STATE, &first)], &plain, &sealed, &tag);
    }
}

/// FIRST, MIDDLE, END of sec §3.4 give what the whole message gives.
#[test]
fn gcm_streams_are_gcm() {
    let (key, nonce, additional, plain) = (noise(32), noise(12), noise(13), noise(64 + 32 + 5));
    let mut tag = vec![0; 16];
    let sealed =
        symm::encrypt_aead(Cipher::aes_256_gcm(), &key, Some(&nonce), &additional, &plain, &mut tag).unwrap();
    for (kind, hardware) in KINDS {
        for (direction, from, to) in [(1, &plain, &sealed), (2, &sealed, &plain)] {
            let memory = memory(&[(KEY, &key), (AUTH_KEY, &key), (SOURCE, &additional)]);
            let first = Ask {
                cipher: 0,
                auth: 1,
                scene: 7,
                auth_algorithm: 0x22,
                mac_words: 4,
                key_words: 8,
                pad: 1,
                tag: 16,
                auth_len: 13,
                offset: 13,
                ..Ask::cipher(0, 0, 6, 2, 0)
            };
            assert_eq!(first.run(kind, hardware, &memory), (0x0081, 0));
            let mut counter = 1u32;
            let mut done = 0;
            for len in [64, 32] {
                memory.write(IV, &[&nonce[..], &counter.to_be_bytes()].concat()).unwrap();
                memory.write(STATE, &memory.bytes(MAC, 16)).unwrap();
                memory.write(SOURCE, &from[done..done + len]).unwrap();
                let ask =
                    Ask { scene: 7, tag: 12, ai_gen: 1, pad: 1, ..Ask::cipher(direction, 2, 6, 2, len) };
                assert_eq!(ask.run(kind, hardware, &memory), (0x0181, 0));
                assert_eq!(memory.bytes(TARGET, len), to[done..done + len]);
                done += len;
                counter += u32::try_from(len / 16).unwrap();
            }
            let record = [&nonce[..], &[0, 0, 0, 1], &[0; 16], &memory.bytes(MAC, 16), &[0; 16]].concat();
            memory.write(IV, &[&nonce[..], &counter.to_be_bytes()].concat()).unwrap();
            memory.write(STATE, &record).unwrap();
            memory.write(SOURCE, &from[done..]).unwrap();
            if direction == 2 {
                memory.write(MAC, &tag).unwrap();
            }
            let total = 13 | (from.len() as u64) << 24;
            let end = Ask { scene: 7, tag: 16, ai_gen: 1, total, ..Ask::cipher(direction, 2, 6, 2, 5) };
            if hardware == V2 {
                assert_eq!(end.run(kind, hardware, &memory), (1, 2));
                continue;
            }
            assert_eq!(end.run(kind, hardware, &memory), (0x0181, 0));
            assert_eq!((memory.bytes(TARGET, 5), memory.bytes(MAC, 16)), (to[done..].to_vec(), tag.clone()));
        }
    }
}

fn hmac(digest: MessageDigest, key: &[u8], message: &[u8]) -> Vec<u8> {
    let key = openssl::pkey::PKey::hmac(key).unwrap();
    let mut signer = openssl::sign::Signer::new(digest, &key).unwrap();
    signer.sign_oneshot_to_vec(message).unwrap()
}

#[test]
fn cbc_with_hmac_agrees_with_libcrypto() {
    let (key, iv, auth_key, plain) = (noise(16), noise(16), noise(32), noise(64));
    let sealed_aes = {
        let mut crypter =
            symm::Crypter::new(Cipher::aes_128_cbc(), symm::Mode::Encrypt, &key, Some(&iv)).unwrap();
        crypter.pad(false);
        let mut sealed = vec![0; 80];
        crypter.update(&plain, &mut sealed).unwrap();
        sealed.truncate(64);
        sealed
    };
    for (code, digest, v2) in [
        (0x10, MessageDigest::sha1(), true),
        (0x11, MessageDigest::sha256(), true),
        (0x15, MessageDigest::sha512(), true),
        (0x26, MessageDigest::sm3(), false),
    ] {
        let mac = hmac(digest, &auth_key, &[noise(13), sealed_aes.clone()].concat());
        for mac_len in [mac.len(), 12] {
            let ask = Ask {
                auth: 1,
                auth_algorithm: code,
                mac_words: u32::try_from(mac_len / 4).unwrap(),
                key_words: 8,
                auth_len: 77,
                offset: 13,
                ..Ask::cipher(1, 2, 1, 0, 64)
            };
            let kinds = if v2 { &KINDS } else { &KINDS[1..] };
            let parts = [(KEY, &key[..]), (IV, &iv), (AUTH_KEY, &auth_key)];
            check_aead(&ask, kinds, &parts, &plain, &sealed_aes, &mac[..mac_len]);
            let memory = memory(&[]);
            for wrong in [
                Ask { mac_words: 0, ..ask.clone() },
                Ask { len: 60, ..ask.clone() },
                Ask { len: 0, ..ask.clone() },
            ] {
                assert_eq!(wrong.run(3, V3, &memory), (1, 3));
            }
            assert_eq!(Ask { auth_algorithm: 1, ..ask }.run(3, V3, &memory), (1, 2));
        }
    }
}

fn digests() -> Vec<(u32, MessageDigest, usize)> {
    let named = |name| MessageDigest::from_name(name).unwrap();
    vec![
        (0, MessageDigest::sha1(), 64),
        (1, MessageDigest::sha256(), 64),
        (2, MessageDigest::md5(), 64),
        (3, MessageDigest::sha224(), 64),
        (4, MessageDigest::sha384(), 128),
        (5, MessageDigest::sha512(), 128),
        (6, named("SHA512-224"), 128),
        (7, named("SHA512-256"), 128),
        (0x25, MessageDigest::sm3(), 64),
    ]
}

/// Whole and in pieces, plain and with a key, against libcrypto.
#[test]
fn digests_agree_with_libcrypto() {
    for (code, digest, block_len) in digests() {
        let key = noise(block_len - 4);
        let keyed_code = if code == 0x25 { 0x26 } else { code | 0x10 };
        for len in [1, 55, 56, 64, 111, 112, 128, 1000, 4096] {
            let message = noise(len);
            let plain = openssl::hash::hash(digest, &message).unwrap().to_vec();
            let keyed = hmac(digest, &key, &message);
            for (code, key_words, expected) in
                [(code, 0, plain), (keyed_code, u32::try_from(key.len() / 4).unwrap(), keyed)]
            {
                let pieces: &[usize] =
                    if len > 2 * block_len { &[0, block_len, 2 * block_len] } else { &[0] };
                for (kind, hardware) in KINDS {
                    let memory = memory(&[(AUTH_KEY, &key)]);
                    for (index, from) in pieces.iter().enumerate() {
                        let to = pieces.get(index + 1).copied();
                        memory.write(SOURCE, &message[*from..to.unwrap_or(len)]).unwrap();
                        // In place as drivers do: the state is read where it was written.
                        memory.write(STATE, &memory.bytes(MAC, 64)).unwrap();
                        let ask = Ask {
                            key_words,
                            ai_gen: u32::from(index > 0),
                            pad: u32::from(to.is_some()),
                            total: if index > 0 { len as u64 * 8 } else { 0 },
                            ..Ask::digest(code, expected.len(), to.unwrap_or(len) - from)
                        };
                        assert_eq!(ask.run(kind, hardware, &memory), (0x0081, 0), "{code:#x} {len} {kind}");
                    }
                    let out = memory.bytes(MAC, expected.len());
                    assert_eq!(out, expected, "{code:#x} {len} {kind} {hardware:?}");
                }
            }
        }
    }
}

/// An empty last piece of whole blocks, and an empty message, which v2 has not.
#[test]
fn empty_digests() {
    for (code, digest, block_len) in digests() {
        let message = noise(block_len);
        for (kind, hardware) in KINDS {
            let memory = memory(&[(SOURCE, &message)]);
            let out_len = openssl::hash::hash(digest, &[]).unwrap().len();
            let first = Ask { pad: 1, ..Ask::digest(code, out_len, block_len) };
            assert_eq!(first.run(kind, hardware, &memory), (0x0081, 0));
            memory.write(STATE, &memory.bytes(MAC, 64)).unwrap();
            let end = Ask { ai_gen: 1, total: block_len as u64 * 8, ..Ask::digest(code, out_len, 0) };
            assert_eq!(end.run(kind, hardware, &memory), (0x0081, 0));
            assert_eq!(memory.bytes(MAC, out_len), *openssl::hash::hash(digest, &message).unwrap());
            let whole = Ask::digest(code, out_len, 0).run(kind, hardware, &memory);
            if hardware == V2 {
                assert_eq!(whole, (1, 3));
            } else {
                assert_eq!(whole, (0x0081, 0));
                assert_eq!(memory.bytes(MAC, out_len), *openssl::hash::hash(digest, &[]).unwrap());
            }
            let partial = Ask { pad: 1, ..Ask::digest(code, out_len, block_len - 4) };
            assert_eq!(partial.run(kind, hardware, &memory), (1, 3));
            assert_eq!(Ask { pad: 1, ..Ask::digest(code, out_len, 0) }.run(kind, hardware, &memory), (1, 3));
        }
    }
}

/// RFC 4231 test case 2.
#[test]
fn hmacs_as_published() {
    let cases = [
        (0x13, "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44"),
        (0x11, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            0x14,
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
        ),
        (
            0x15,
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
             9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ),
    ];
    for (code, expected) in cases {
        let expected = hex(expected);
        let memory = memory(&[(AUTH_KEY, b"Jefe"), (SOURCE, b"what do ya want for nothing?")]);
        let ask = Ask { key_words: 1, ..Ask::digest(code, expected.len(), 28) };
        assert_eq!(ask.run(3, V3, &memory), (0x0081, 0));
        assert_eq!(memory.bytes(MAC, expected.len()), expected);
        assert_eq!(Ask { mac_words: 0, ..ask }.run(3, V3, &memory), (1, 3));
    }
    // Zero means the whole digest, except for SM3.
    let memory = memory(&[(SOURCE, b"abc")]);
    assert_eq!(Ask::digest(1, 0, 3).run(3, V3, &memory), (0x0081, 0));
    let expected = hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(memory.bytes(MAC, 32), expected);
    assert_eq!(Ask::digest(0x25, 0, 3).run(3, V3, &memory), (1, 3));
    assert_eq!(Ask::digest(1, 36, 3).run(3, V3, &memory), (1, 3));
}

/// RFC 4493, RFC 3566, and GMAC against libcrypto's GCM without text.
#[test]
fn block_cipher_macs_as_published() {
    let cmac_key = hex("2b7e151628aed2a6abf7158809cf4f3c");
    let text = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
         30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
    let xcbc_key: Vec<u8> = (0..16).collect();
    let counting: Vec<u8> = (0..34).collect();
    let cases = [
        (0x21, &cmac_key, &text, 16, "070a16b46b4d4144f79bdd9dd04a287c"),
        (0x21, &cmac_key, &text, 40, "dfa66747de9ae63030ca32611497c827"),
        (0x21, &cmac_key, &text, 64, "51f0bebf7e3b9d92fc49741779363cfe"),
        (0x20, &xcbc_key, &counting, 3, "5b376580ae2f19afe7219ceef172756f"),
        (0x20, &xcbc_key, &counting, 16, "d2a246fa349b68a79998a4394ff7a263"),
        (0x20, &xcbc_key, &counting, 20, "47f51b4564966215b8985c63055ed308"),
        (0x20, &xcbc_key, &counting, 32, "f54f0ec8d2b9f3d36807734bd5283fd4"),
        (0x20, &xcbc_key, &counting, 34, "becbb3bccdb518a30677d5481fb6b4d8"),
    ];
    for (code, key, text, len, expected) in cases {
        for mac_len in [16, 12] {
            let memory = memory(&[(AUTH_KEY, key), (SOURCE, text)]);
            let ask = Ask { key_words: 4, ..Ask::digest(code, mac_len, len) };
            assert_eq!(ask.run(3, V3, &memory), (0x0081, 0));
            assert_eq!(memory.bytes(MAC, mac_len), hex(expected)[..mac_len], "{code:#x} {len}");
            assert_eq!(ask.run(2, V2, &memory), (1, 2), "v2 has it not");
            assert_eq!(Ask { auth_len: 0, ..ask }.run(3, V3, &memory), (1, 3));
        }
    }
    let nonce = noise(16);
    for (key_words, cipher) in
        [(4, Cipher::aes_128_gcm()), (6, Cipher::aes_192_gcm()), (8, Cipher::aes_256_gcm())]
    {
        let key = noise(cipher.key_len());
        let mut tag = vec![0; 16];
        symm::encrypt_aead(cipher, &key, Some(&nonce[..12]), &text, &[], &mut tag).unwrap();
        let memory = memory(&[(AUTH_KEY, &key), (STATE, &nonce), (SOURCE, &text)]);
        let ask = Ask { scene: 1, ai_gen: 1, key_words, ..Ask::digest(0x22, 16, 64) };
        assert_eq!(ask.run(3, V3, &memory), (0x0081, 0));
        assert_eq!(memory.bytes(MAC, 16), tag);
        assert_eq!(Ask { key_words: 5, ..ask }.run(3, V3, &memory), (1, 2));
    }
}

fn write_list(memory: &FlatMemory, at: u64, entries: &[(u64, u32)]) {
    let mut bytes = vec![0; 64 + entries.len() * 32];
    bytes[8] = 255;
    bytes[10] = u8::try_from(entries.len()).unwrap();
    bytes[12] = 255;
    for (index, (address, len)) in entries.iter().enumerate() {
        let entry = &mut bytes[64 + index * 32..];
        entry[..8].copy_from_slice(&address.to_le_bytes());
        entry[16..20].copy_from_slice(&len.to_le_bytes());
    }
    memory.write(at, &bytes).unwrap();
}

#[test]
fn scatter_gather_lists_work() {
    let (key, nonce, plain) = (noise(16), noise(12), noise(100));
    let mut tag = vec![0; 16];
    let sealed =
        symm::encrypt_aead(Cipher::aes_128_gcm(), &key, Some(&nonce), &noise(13), &plain, &mut tag).unwrap();
    for (kind, hardware) in KINDS {
        let memory = memory(&[(KEY, &key), (IV, &nonce)]);
        let input = [noise(13), plain.clone()].concat();
        memory.write(SOURCE, &input[..50]).unwrap();
        memory.write(SOURCE + 0x100, &input[50..]).unwrap();
        // More than needed is allowed.
        write_list(&memory, LISTS, &[(SOURCE, 50), (SOURCE + 0x100, 200)]);
        write_list(&memory, LISTS + 0x200, &[(TARGET, 20), (TARGET + 0x100, 93)]);
        let ask = Ask { lists: true, tag: 16, auth_len: 13, offset: 13, ..Ask::cipher(1, 2, 6, 0, 100) };
        assert_eq!(ask.run(kind, hardware, &memory), (0x0181, 0));
        let output = [memory.bytes(TARGET, 20), memory.bytes(TARGET + 0x100, 93)].concat();
        assert_eq!((&output[13..], memory.bytes(MAC, 16)), (&sealed[..], tag.clone()));
        write_list(&memory, LISTS + 0x200, &[(TARGET, 20), (TARGET + 0x100, 92)]);
        assert_eq!(ask.run(kind, hardware, &memory), (1, 5));
    }
}

#[test]
fn in_place_without_destination() {
    let (key, iv, plain) = (noise(16), noise(16), noise(64));
    let memory = memory(&[(KEY, &key), (IV, &iv), (SOURCE, &plain)]);
    for (kind, direction) in [(2, 1), (2, 2), (3, 1), (3, 2)] {
        let ask = Ask { de: 0, scene: 0, ..Ask::cipher(direction, 2, 1, 0, 64) };
        assert_eq!(ask.run(kind, V3, &memory), (0x0101, 0));
        assert_eq!(memory.bytes(SOURCE, 64) == plain, direction == 2);
    }
}

/// An invalid request touches nothing and completes (sec §8.1).
#[test]
fn invalid_requests_complete() {
    for (kind, index, bit) in [(2, 1, 31), (3, 0, 4)] {
        let mut descriptor = Ask::cipher(1, 2, 6, 0, 5).bytes(kind);
        let marked = word(&descriptor, index) | 1 << bit;
        set_word(&mut descriptor, index, marked);
        for address in [4, 24, 26, 20] {
            set_word(&mut descriptor, address, 8);
        }
        Sec::new(V3).execute(&mut descriptor, &memory(&[]));
        assert_eq!(word(&descriptor, 28), 1);
    }
}

#[test]
fn what_does_not_exist_is_refused() {
    let memory = memory(&[]);
    let refused = |ask: Ask, kind, hardware| ask.run(kind, hardware, &memory);
    assert_eq!(refused(Ask::cipher(1, 2, 1, 0, 16), 3, V2), (1, 1), "type 3 on v2");
    assert_eq!(refused(Ask::default(), 2, V3), (1, 2), "nothing asked");
    for (algorithm, mode, key_code) in
        [(2, 1, 3), (2, 8, 0), (4, 0, 0), (0, 4, 1), (1, 1, 0), (2, 7, 1), (3, 1, 1), (2, 9, 0), (0, 6, 1)]
    {
        let answer = refused(Ask { tag: 16, ..Ask::cipher(1, algorithm, mode, key_code, 32) }, 3, V3);
        assert_eq!(answer, (1, 2), "{algorithm} {mode} {key_code}");
    }
    assert_eq!(refused(Ask::cipher(1, 2, 3, 0, 16), 2, V2), (1, 2), "OFB on v2");
    for len in [0, 15, 17] {
        assert_eq!(refused(Ask::cipher(1, 2, 1, 0, len), 2, V2), (1, 3));
    }
    assert_eq!(refused(Ask::cipher(1, 2, 7, 0, 15), 2, V2), (1, 3));
    assert_eq!(refused(Ask::cipher(1, 2, 4, 0, 0xFF_FE01), 3, V3), (1, 3));
    assert_eq!(refused(Ask { scene: 5, ..Ask::cipher(1, 2, 1, 0, 16) }, 3, V3), (1, 2), "storage");
    assert_eq!(refused(Ask { tag: 16, ..Ask::cipher(1, 2, 6, 0, 0) }, 3, V3), (1, 3), "nothing to do");
    assert_eq!(refused(Ask { tag: 3, ..Ask::cipher(1, 2, 6, 0, 16) }, 3, V3), (1, 2), "tag length");
    assert_eq!(refused(Ask::digest(0x30, 16, 16), 3, V3), (1, 2));
    assert_eq!(refused(Ask { key_words: 17, ..Ask::digest(0x11, 32, 16) }, 3, V3), (1, 2), "key length");
}

#[test]
fn bad_addresses_are_faults() {
    let memory = memory(&[]);
    for (kind, places) in [(2, [20, 22, 24, 26]), (3, [23, 12, 4, 19])] {
        for place in places {
            let mut descriptor = Ask::cipher(1, 2, 1, 0, 16).bytes(kind);
            set_word(&mut descriptor, place, 8);
            Sec::new(V3).execute(&mut descriptor, &memory);
            assert_eq!(word(&descriptor, 28), 4 << 16 | 1);
            assert_eq!(word(&descriptor, 30) != 0, kind == 3, "translation status is type 3's");
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]
    /// Whatever a client writes, the engine answers.
    #[test]
    fn any_descriptor_is_answered(
        mut descriptor in proptest::collection::vec(proptest::prelude::any::<u8>(), DESCRIPTOR_LEN),
        kind in 2u8..4,
        near in proptest::prelude::any::<bool>(),
        v3 in proptest::prelude::any::<bool>(),
    ) {
        descriptor[0] = descriptor[0] & 0xE0 | kind;
        if near {
            // Lengths and addresses that reach memory, so that more than the first check is passed.
            let ask = Ask::cipher(1, 2, 1, 0, 64).bytes(kind.into());
            let places: &[usize] =
                if kind == 2 { &[16, 14, 18, 20, 22, 24, 26] } else { &[6, 8, 12, 19, 21, 23, 4] };
            for place in places {
                descriptor[place * 4..place * 4 + 8].copy_from_slice(&ask[place * 4..place * 4 + 8]);
            }
            let lens: [usize; 2] = if kind == 2 { [4, 5] } else { [17, 18] };
            for len in lens {
                descriptor[len * 4 + 1..len * 4 + 3].fill(0);
            }
        }
        let hardware = if v3 { V3 } else { V2 };
        Sec::new(hardware).execute(&mut descriptor, &memory(&[]));
        proptest::prop_assert_eq!(descriptor[112] & 1, 1);
    }
}
