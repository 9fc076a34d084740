//! HPRE descriptors (hpre §1).

use super::{Buffer, Field, Way, Work, address, bits};

const ALG: &[(u64, &str)] = &[
    (0x00, "NC_NCRT"),
    (0x01, "NC_CRT"),
    (0x02, "KG_STD"),
    (0x03, "KG_CRT"),
    (0x04, "DH_G2"),
    (0x05, "DH"),
    (0x06, "PRIME"),
    (0x07, "MOD"),
    (0x08, "MOD_INV"),
    (0x09, "MUL"),
    (0x0A, "COPRIME"),
    (0x0B, "ECC_CURVE_TEST"),
    (0x0C, "ECDH_PLUS"),
    (0x0D, "ECDH_MULTIPLY"),
    (0x0E, "ECDSA_SIGN"),
    (0x0F, "ECDSA_VERF"),
    (0x10, "X_DH_MULTIPLY"),
    (0x11, "SM2_KEY_GEN"),
    (0x12, "SM2_SIGN"),
    (0x13, "SM2_VERF"),
    (0x14, "SM2_ENC"),
    (0x15, "SM2_DEC"),
];

pub(super) const FIELDS: [Field; 20] = [
    Field::new("alg", 0, 0, 5, Way::Both).called(ALG),
    Field::new("etype", 0, 5, 11, Way::Out),
    Field::new("etype1", 0, 16, 14, Way::Out),
    Field::new("done", 0, 30, 2, Way::Both).called(&[(1, "init"), (3, "done")]),
    Field::new("task_len1", 1, 0, 8, Way::In),
    Field::new("task_len2", 1, 8, 8, Way::In),
    Field::new("mrttest_num", 1, 16, 8, Way::In),
    Field::new("uwkey_enb", 1, 24, 1, Way::In),
    Field::new("sm2_ksel", 1, 25, 1, Way::In),
    Field::new("sva_bypass", 1, 26, 1, Way::In),
    Field::new("sva_status", 1, 27, 4, Way::Out),
    Field::new("bd_rsv2", 1, 31, 1, Way::In),
    Field::new("key", 2, 0, 64, Way::In),
    Field::new("in", 4, 0, 64, Way::In),
    Field::new("out", 6, 0, 64, Way::Both),
    Field::new("tag", 8, 0, 64, Way::Both),
    Field::new("sm2_mlen", 10, 0, 9, Way::In),
    Field::new("uwkey_sel", 10, 16, 4, Way::In),
    Field::new("wrap_num", 10, 20, 3, Way::In),
    Field::new("kek_key", 11, 0, 32, Way::In),
];

pub(super) fn work(descriptor: &[u8], is_small: impl FnOnce(u64, usize) -> Option<bool>) -> Work {
    let bits_wide = width(descriptor) * 8;
    // Fields of the widest class hold 448 to 521 bits (hpre §1.3).
    let curve = if bits_wide == 576 { 521 } else { bits_wide };
    let name = match bits(descriptor, 0, 0, 5) {
        0x00 => {
            let word = match is_small(address(descriptor, 2), width(descriptor)) {
                Some(true) => "-public",
                Some(false) => "-private",
                None => "",
            };
            format!("rsa-{bits_wide}{word}")
        }
        0x01 => format!("rsa-{bits_wide}-private"),
        0x02 | 0x03 => format!("rsa-{bits_wide}-keygen"),
        0x04 | 0x05 => format!("dh-{bits_wide}"),
        0x0D => format!("ecdh-{curve}"),
        0x0E => format!("ecdsa-{curve}-sign"),
        0x0F => format!("ecdsa-{curve}-verify"),
        0x10 => (if bits_wide == 256 { "x25519" } else { "x448" }).to_owned(),
        0x11 => "sm2-keygen".to_owned(),
        0x12 => "sm2-sign".to_owned(),
        0x13 => "sm2-verify".to_owned(),
        0x14 => "sm2-encrypt".to_owned(),
        0x15 => "sm2-decrypt".to_owned(),
        other => format!("hpre-{other:#04x}"),
    };
    Work { name, bytes: 0 }
}

pub(super) fn failure(descriptor: &[u8]) -> Option<String> {
    let (done, etype, etype1) =
        (bits(descriptor, 0, 30, 2), bits(descriptor, 0, 5, 11), bits(descriptor, 0, 16, 14));
    match (done, etype, etype1) {
        (3, 0, 0) => None,
        (3, ..) if etype1 & 0x20 != 0 => {
            Some(format!("etype1 {etype1:#x} (address), sva_status {}", bits(descriptor, 1, 27, 4)))
        }
        (3, ..) => Some(format!("etype {etype:#x} etype1 {etype1:#x}")),
        _ => Some(format!("not processed, done {done}")),
    }
}

/// Hpre §3.1.
pub(super) fn buffers(descriptor: &[u8]) -> Vec<Buffer> {
    let width = width(descriptor);
    let message = bits(descriptor, 10, 0, 9) as usize + 1;
    let (key, input, output) = match bits(descriptor, 0, 0, 5) {
        0x00 | 0x05 => (width * 2, width, width),
        0x01 => (width / 2 * 5, width, width),
        0x02 => (width * 2, 0, width * 2),
        0x03 => (width * 2, 0, width / 2 * 7),
        0x04 => (width * 2, 0, width),
        0x0D => (width * 4, width * 2, width * 2),
        0x0E | 0x12 => (width * 7, width * 2, width * 2),
        0x0F | 0x13 => (width * 8, width * 3, 0),
        0x10 => (width * 3, width, width),
        0x11 => (width * 8, width * 2, width * 3),
        0x14 => (width * 8, width + message, width * 2 + message + 32),
        0x15 => (width * 4, width * 2 + message + 32, message),
        _ => (0, 0, 0),
    };
    let flat = |name, index, len, output| Buffer {
        name,
        at: address(descriptor, index),
        len,
        skip: 0,
        list: false,
        output,
    };
    vec![flat("key", 2, key, false), flat("in", 4, input, false), flat("out", 6, output, true)]
}

fn width(descriptor: &[u8]) -> usize {
    bits(descriptor, 1, 0, 8) as usize * 8 + 8
}
