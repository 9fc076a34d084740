//! Digests, with and without a key, and block cipher MACs.

use super::*;

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
