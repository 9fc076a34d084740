mod aead;
mod ciphers;
mod digests;

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

fn hmac(digest: MessageDigest, key: &[u8], message: &[u8]) -> Vec<u8> {
    let key = openssl::pkey::PKey::hmac(key).unwrap();
    let mut signer = openssl::sign::Signer::new(digest, &key).unwrap();
    signer.sign_oneshot_to_vec(message).unwrap()
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
