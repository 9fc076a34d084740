use super::*;

fn name(engine: Engine, class: u16, words: &[(usize, u32)]) -> String {
    work(engine, class, &descriptor(engine, words), |_, _| None).name
}

fn descriptor(engine: Engine, words: &[(usize, u32)]) -> Vec<u8> {
    let mut descriptor = vec![0; if engine == Engine::Hpre { 64 } else { 128 }];
    for (index, value) in words {
        descriptor[index * 4..][..4].copy_from_slice(&value.to_le_bytes());
    }
    descriptor
}

/// No bit belongs to two fields, and each field lies inside.
#[test]
fn fields_do_not_overlap() {
    for (engine, words) in [
        (Engine::Hpre, &[][..]),
        (Engine::Sec, &[(0, 2)]),
        (Engine::Sec, &[(0, 3)]),
        (Engine::Zip, &[]),
        (Engine::Zip, &[(7, 3 << 28)]),
    ] {
        let descriptor = descriptor(engine, words);
        let mut taken = vec![""; descriptor.len() * 8];
        for field in fields(engine, &descriptor) {
            let start = field.word * 32 + field.low as usize;
            for bit in &mut taken[start..start + field.width as usize] {
                assert_eq!(*bit, "", "{engine:?} {}", field.name);
                *bit = field.name;
            }
        }
    }
}

/// The worked examples of the references: hpre §9, sec §9, zip §9.
#[test]
fn requests_have_names() {
    for (expected, words) in [
        ("rsa-2048-private", &[(0, 0x4000_0001), (1, 0x1F)][..]),
        ("rsa-2048", &[(0, 0x4000_0000), (1, 0x1F)]),
        ("rsa-4096-keygen", &[(0, 0x4000_0003), (1, 0x3F)]),
        ("dh-2048", &[(0, 0x4000_0005), (1, 0x1F)]),
        ("ecdh-256", &[(0, 0x4000_000D), (1, 0x8000_0003)]),
        ("ecdsa-521-sign", &[(0, 0x4000_000E), (1, 8)]),
        ("x25519", &[(0, 0x4000_0010), (1, 3)]),
        ("x448", &[(0, 0x4000_0010), (1, 8)]),
        ("sm2-verify", &[(0, 0x4000_0013), (1, 3)]),
        ("hpre-0x07", &[(0, 0x4000_0007), (1, 3)]),
    ] {
        assert_eq!(name(Engine::Hpre, 0, words), expected);
    }
    for (expected, words) in [
        ("aes-256-cbc-encrypt", &[(0, 0x0000_0A12), (3, 0x0002_1400)][..]),
        ("aes-256-cbc-decrypt", &[(0, 0x0000_0223), (1, 0x0021_4002)]),
        ("aes-128-cbc-cs2-encrypt", &[(0, 0x0000_0223), (1, 0x0029_0801)]),
        ("aes-256-gcm-encrypt", &[(0, 0x0000_0A12), (3, 0x0002_6410)]),
        ("sm4-ctr-encrypt", &[(0, 0x0000_0223), (1, 0x0034_0001)]),
        ("3des-cbc-encrypt", &[(0, 0x0000_0A12), (3, 0x0001_1200)]),
        ("sha256", &[(0, 0x0000_0842), (2, 0x0000_0808)]),
        ("hmac-sha256", &[(0, 0x0000_00E3), (14, 0x0808_9081)]),
        ("aes-128-cbc-hmac-sha256-encrypt", &[(0, 0x0000_0A52), (2, 0x0000_8908), (3, 0x0002_1000)]),
    ] {
        assert_eq!(name(Engine::Sec, 0, words), expected);
    }
    for (expected, class, words) in [
        ("deflate-raw", 0, &[(7, 0x3A00_0000), (9, 0x1001)]),
        ("inflate-gzip", 1, &[(7, 0x3A00_0000), (9, 3)]),
        ("lz77-zstd", 0, &[(7, 0x3000_0000), (9, 0x43)]),
    ] {
        assert_eq!(name(Engine::Zip, class, words), expected);
    }
    for family in ["rsa", "aes", "hmac", "inflate"] {
        assert!(FAMILIES.contains(&family));
    }
}

#[test]
fn only_the_exponent_tells_public_from_private() {
    let rsa = descriptor(Engine::Hpre, &[(0, 0x4000_0000), (1, 0x1F), (2, 0x5000)]);
    for (small, expected) in [(true, "rsa-2048-public"), (false, "rsa-2048-private")] {
        let named = work(Engine::Hpre, 0, &rsa, |at, len| {
            assert_eq!((at, len), (0x5000, 256));
            Some(small)
        });
        assert_eq!(named.name, expected);
    }
}

#[test]
fn failures_are_told_from_answers() {
    let failed = |engine, words: &[(usize, u32)]| failure(engine, &descriptor(engine, words));
    assert_eq!(failed(Engine::Hpre, &[(0, 0xC000_0001)]), None);
    assert_eq!(failed(Engine::Hpre, &[(0, 0xC000_0021)]).unwrap(), "etype 0x1 etype1 0x0");
    assert_eq!(
        failed(Engine::Hpre, &[(0, 0xC020_0001), (1, 1 << 27)]).unwrap(),
        "etype1 0x20 (address), sva_status 1"
    );
    assert_eq!(failed(Engine::Hpre, &[(0, 0x4000_0001)]).unwrap(), "not processed, done 1");
    assert_eq!(failed(Engine::Sec, &[(28, 0x0101)]), None);
    assert_eq!(failed(Engine::Sec, &[(28, 0x0185)]).unwrap(), "icv 2 (mismatch)");
    assert_eq!(failed(Engine::Sec, &[(28, 0x0004_0001)]).unwrap(), "error_type 4");
    assert_eq!(failed(Engine::Zip, &[(3, 0x113)]), None);
    assert_eq!(failed(Engine::Zip, &[(3, 0x0D)]), None);
    assert_eq!(failed(Engine::Zip, &[(3, 0x13)]).unwrap(), "status 0x13 (decompression ended)");
    assert_eq!(failed(Engine::Zip, &[(3, 0x21)]).unwrap(), "status 0x21");
}

#[test]
fn work_is_counted_in_plain_bytes() {
    let zip = descriptor(Engine::Zip, &[(0, 900), (1, 5000), (9, 3)]);
    assert_eq!(work(Engine::Zip, 0, &zip, |_, _| None).bytes, 900);
    assert_eq!(work(Engine::Zip, 1, &zip, |_, _| None).bytes, 5000);
    let gcm = descriptor(Engine::Sec, &[(0, 0xA12), (3, 0x2_6410), (4, 13), (5, 64)]);
    assert_eq!(work(Engine::Sec, 0, &gcm, |_, _| None).bytes, 77);
}

#[test]
fn buffers_are_where_the_reference_says() {
    let crt = descriptor(Engine::Hpre, &[(0, 0x4000_0001), (1, 0x1F), (2, 0x1000), (4, 0x2000), (6, 0x3000)]);
    let found: Vec<_> = buffers(Engine::Hpre, &crt)
        .iter()
        .map(|buffer| (buffer.name, buffer.at, buffer.len, buffer.output))
        .collect();
    assert_eq!(found, [("key", 0x1000, 640, false), ("in", 0x2000, 256, false), ("out", 0x3000, 256, true)]);
    // sec §9.3, in place of its addresses small numbers.
    let gcm = descriptor(
        Engine::Sec,
        &[
            (0, 0xA12),
            (3, 0x2_6410),
            (4, 13),
            (5, 64),
            (6, 13 << 16),
            (18, 1),
            (20, 2),
            (22, 3),
            (24, 4),
            (26, 5),
        ],
    );
    let found: Vec<_> =
        buffers(Engine::Sec, &gcm).iter().map(|buffer| (buffer.name, buffer.at, buffer.len)).collect();
    assert_eq!(found, [("c_key", 3, 32), ("c_iv", 2, 12), ("src", 4, 77), ("dst", 5, 77), ("mac", 1, 16)]);
}
