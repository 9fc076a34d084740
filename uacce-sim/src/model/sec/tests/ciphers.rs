//! Ciphers in all modes, as published and as libcrypto computes them.

use super::*;

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
