//! Ciphers with a tag, whole and in streams.

use super::*;

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
