//! SEC descriptors of type 2 and 3 (sec §1).

use super::{Buffer, Field, Way, Work, address, bits};
use crate::model::sec::DESCRIPTOR_LEN;

const CIPHER: &[(u64, &str)] = &[(0, "none"), (1, "encrypt"), (2, "decrypt"), (3, "copy")];
const AUTH: &[(u64, &str)] = &[(0, "none"), (1, "compute"), (2, "verify")];
const SCENE: &[(u64, &str)] = &[
    (0, "none"),
    (1, "ipsec"),
    (3, "tls"),
    (4, "dtls"),
    (5, "storage"),
    (6, "nas"),
    (7, "stream"),
    (8, "pbkdf2"),
    (9, "smb"),
];
const PLACE: &[(u64, &str)] = &[(0, "flat"), (1, "list"), (2, "prp")];
const PAD: &[(u64, &str)] = &[(0, "pad"), (1, "nopad")];
const CIPHER_ALG: &[(u64, &str)] = &[(0, "des"), (1, "3des"), (2, "aes"), (3, "sm4")];
const CIPHER_MODE: &[(u64, &str)] = &[
    (0, "ecb"),
    (1, "cbc"),
    (2, "cfb"),
    (3, "ofb"),
    (4, "ctr"),
    (5, "ccm"),
    (6, "gcm"),
    (7, "xts"),
    (9, "cbc-cts"),
];
const AUTH_ALG: &[(u64, &str)] = &[
    (0x00, "sha1"),
    (0x01, "sha256"),
    (0x02, "md5"),
    (0x03, "sha224"),
    (0x04, "sha384"),
    (0x05, "sha512"),
    (0x06, "sha512-224"),
    (0x07, "sha512-256"),
    (0x10, "hmac-sha1"),
    (0x11, "hmac-sha256"),
    (0x12, "hmac-md5"),
    (0x13, "hmac-sha224"),
    (0x14, "hmac-sha384"),
    (0x15, "hmac-sha512"),
    (0x16, "hmac-sha512-224"),
    (0x17, "hmac-sha512-256"),
    (0x20, "aes-xcbc"),
    (0x21, "aes-cmac"),
    (0x22, "aes-gmac"),
    (0x25, "sm3"),
    (0x26, "hmac-sm3"),
    (0x31, "sm4-gmac"),
];

pub(super) const TYPE_2: [Field; 66] = {
    use Way::{Both, In, Out};
    [
        Field::new("type", 0, 0, 4, Both),
        Field::new("cipher", 0, 4, 2, In).called(CIPHER),
        Field::new("auth", 0, 6, 2, In).called(AUTH),
        Field::new("seq", 0, 8, 1, In),
        Field::new("de", 0, 9, 2, In),
        Field::new("scene", 0, 11, 4, In).called(SCENE),
        Field::new("src_addr_type", 0, 15, 3, In).called(PLACE),
        Field::new("dst_addr_type", 0, 18, 3, In).called(PLACE),
        Field::new("mac_addr_type", 0, 21, 3, In).called(PLACE),
        Field::new("nonce_len", 1, 0, 4, In),
        Field::new("huk", 1, 4, 1, In),
        Field::new("key_s", 1, 5, 1, In),
        Field::new("ci_gen", 1, 6, 2, In),
        Field::new("ai_gen", 1, 8, 2, In),
        Field::new("a_pad", 1, 10, 2, In).called(PAD),
        Field::new("c_s", 1, 12, 2, In),
        Field::new("rhf", 1, 16, 1, In),
        Field::new("c_key_type", 1, 17, 2, In),
        Field::new("a_key_type", 1, 19, 2, In),
        Field::new("write_frame_len", 1, 21, 3, In),
        Field::new("cal_iv_addr_en", 1, 24, 1, In),
        Field::new("tls_up", 1, 25, 1, In),
        Field::new("invalid", 1, 31, 1, In),
        Field::new("mac_len", 2, 0, 5, In),
        Field::new("a_key_len", 2, 5, 6, In),
        Field::new("a_alg", 2, 11, 6, In).called(AUTH_ALG),
        Field::new("c_icv_len", 3, 0, 6, In),
        Field::new("c_width", 3, 6, 3, In),
        Field::new("c_key_len", 3, 9, 3, In),
        Field::new("c_mode", 3, 12, 4, In).called(CIPHER_MODE),
        Field::new("c_alg", 3, 16, 4, In).called(CIPHER_ALG),
        Field::new("a_len", 4, 0, 24, In),
        Field::new("iv_offset_l", 4, 24, 8, In),
        Field::new("c_len", 5, 0, 24, In),
        Field::new("iv_offset_h", 5, 24, 8, In),
        Field::new("auth_src_offset", 6, 0, 16, In),
        Field::new("cipher_src_offset", 6, 16, 16, In),
        Field::new("cs_ip_header_offset", 7, 0, 16, In),
        Field::new("cs_udp_header_offset", 7, 16, 16, In),
        Field::new("pass_word_len", 8, 0, 16, In),
        Field::new("dk_len", 8, 16, 16, In),
        Field::new("salt", 9, 0, 32, In),
        Field::new("tag", 10, 0, 16, Both),
        Field::new("c_pad_type", 11, 0, 4, In),
        Field::new("c_pad_len", 11, 4, 8, In),
        Field::new("c_pad_data_type", 11, 12, 4, In),
        Field::new("c_pad_len_field", 11, 16, 2, In),
        Field::new("long_a_data_len", 12, 0, 64, In),
        Field::new("a_ivin_addr", 14, 0, 64, In),
        Field::new("a_key_addr", 16, 0, 64, In),
        Field::new("mac_addr", 18, 0, 64, In),
        Field::new("c_ivin_addr", 20, 0, 64, In),
        Field::new("c_key_addr", 22, 0, 64, In),
        Field::new("data_src_addr", 24, 0, 64, In),
        Field::new("data_dst_addr", 26, 0, 64, In),
        Field::new("done", 28, 0, 1, Out),
        Field::new("icv", 28, 1, 3, Out).called(&[(2, "mismatch")]),
        Field::new("csc", 28, 4, 3, Out),
        Field::new("flag", 28, 7, 4, Out),
        Field::new("dif_check", 28, 11, 3, Out),
        Field::new("error_type", 28, 16, 8, Out),
        Field::new("warning_type", 28, 24, 8, Out),
        Field::new("mac_i", 29, 0, 32, Out),
        Field::new("check_sum_i", 30, 0, 16, Out),
        Field::new("tls_pad_len_i", 30, 16, 8, Out),
        Field::new("counter", 31, 0, 32, Out),
    ]
};

pub(super) const TYPE_3: [Field; 60] = {
    use Way::{Both, In, Out};
    [
        Field::new("type", 0, 0, 4, Both),
        Field::new("bd_invalid", 0, 4, 1, In),
        Field::new("scene", 0, 5, 4, In).called(SCENE),
        Field::new("de", 0, 9, 2, In),
        Field::new("src_addr_type", 0, 11, 3, In).called(PLACE),
        Field::new("dst_addr_type", 0, 14, 3, In).called(PLACE),
        Field::new("mac_addr_type", 0, 17, 3, In).called(PLACE),
        Field::new("cipher", 1, 0, 2, In).called(CIPHER),
        Field::new("ci_gen", 1, 2, 2, In),
        Field::new("c_icv_len", 1, 4, 6, In),
        Field::new("c_width", 1, 10, 3, In),
        Field::new("c_key_len", 1, 13, 3, In),
        Field::new("c_mode", 1, 16, 4, In).called(CIPHER_MODE),
        Field::new("c_alg", 1, 20, 4, In).called(CIPHER_ALG),
        Field::new("nonce_len", 1, 24, 4, In),
        Field::new("huk", 1, 28, 1, In),
        Field::new("cal_iv_addr_en", 1, 29, 1, In),
        Field::new("seq", 1, 30, 1, In),
        Field::new("tag", 2, 0, 64, Both),
        Field::new("data_src_addr", 4, 0, 64, In),
        Field::new("a_key_addr", 6, 0, 64, In),
        Field::new("a_ivin_addr", 8, 0, 64, In),
        Field::new("c_key_addr", 12, 0, 64, In),
        Field::new("auth", 14, 0, 2, In).called(AUTH),
        Field::new("ai_gen", 14, 2, 2, In),
        Field::new("mac_len", 14, 4, 5, In),
        Field::new("a_key_len", 14, 9, 6, In),
        Field::new("a_alg", 14, 15, 6, In).called(AUTH_ALG),
        Field::new("key_sel", 14, 21, 4, In),
        Field::new("ctr_count_mode", 14, 25, 2, In),
        Field::new("sva_prefetch", 14, 27, 1, In),
        Field::new("key_wrap_num", 14, 28, 3, In),
        Field::new("update_key", 14, 31, 1, In),
        Field::new("salt", 15, 0, 32, In),
        Field::new("auth_src_offset", 16, 0, 16, In),
        Field::new("cipher_src_offset", 16, 16, 16, In),
        Field::new("a_len", 17, 0, 24, In),
        Field::new("auth_key_offset", 17, 24, 8, In),
        Field::new("c_len", 18, 0, 24, In),
        Field::new("auth_ivin_offset", 18, 24, 8, In),
        Field::new("data_dst_addr", 19, 0, 64, In),
        Field::new("mac_addr", 21, 0, 64, In),
        Field::new("c_ivin_addr", 23, 0, 64, In),
        // The scene's area; named as the stream scene names it.
        Field::new("long_a_data_len", 25, 0, 64, In),
        Field::new("auth_pad", 27, 0, 2, In).called(PAD),
        Field::new("stream_protocol", 27, 2, 3, In),
        Field::new("mac_sel", 27, 5, 1, In),
        Field::new("plaintext_type", 27, 8, 8, In),
        Field::new("pad_len_1p3", 27, 16, 16, In),
        Field::new("done", 28, 0, 1, Out),
        Field::new("icv", 28, 1, 3, Out).called(&[(2, "mismatch")]),
        Field::new("csc", 28, 4, 3, Out),
        Field::new("flag", 28, 7, 4, Out),
        Field::new("dc", 28, 11, 3, Out),
        Field::new("error_type", 28, 16, 8, Out),
        Field::new("warning_type", 28, 24, 8, Out),
        Field::new("mac_i", 29, 0, 32, Out),
        Field::new("hac_sva_status", 30, 8, 8, Out),
        Field::new("check_sum_i", 30, 16, 16, Out),
        Field::new("counter", 31, 0, 32, Out),
    ]
};

/// What both types say, in one form.
struct Request {
    cipher: u32,
    auth: u32,
    mode: u32,
    algorithm: u32,
    key_code: u32,
    width: u32,
    auth_algorithm: u32,
    auth_len: u32,
    cipher_len: u32,
}

impl Request {
    fn read(descriptor: &[u8]) -> Self {
        let get = |index, low, width| bits(descriptor, index, low, width);
        if is_type_3(descriptor) {
            Self {
                cipher: get(1, 0, 2),
                auth: get(14, 0, 2),
                mode: get(1, 16, 4),
                algorithm: get(1, 20, 4),
                key_code: get(1, 13, 3),
                width: get(1, 10, 3),
                auth_algorithm: get(14, 15, 6),
                auth_len: get(17, 0, 24),
                cipher_len: get(18, 0, 24),
            }
        } else {
            Self {
                cipher: get(0, 4, 2),
                auth: get(0, 6, 2),
                mode: get(3, 12, 4),
                algorithm: get(3, 16, 4),
                key_code: get(3, 9, 3),
                width: get(3, 6, 3),
                auth_algorithm: get(2, 11, 6),
                auth_len: get(4, 0, 24),
                cipher_len: get(5, 0, 24),
            }
        }
    }

    fn bytes(&self) -> u64 {
        let (auth, cipher) = (u64::from(self.auth_len), u64::from(self.cipher_len));
        match (self.cipher, self.auth) {
            (0, _) => auth,
            _ if self.is_aead() => auth + cipher,
            (_, 0) => cipher,
            // What is authenticated holds what is ciphered.
            _ => auth.max(cipher),
        }
    }

    fn is_aead(&self) -> bool {
        self.cipher != 0 && matches!(self.mode, 5 | 6)
    }
}

pub(super) fn work(descriptor: &[u8]) -> Work {
    let request = Request::read(descriptor);
    let auth = name(AUTH_ALG, request.auth_algorithm).unwrap_or("unknown");
    if request.cipher == 0 {
        let name = if request.auth == 0 { "sec-nothing" } else { auth };
        return Work { name: name.to_owned(), bytes: request.bytes() };
    }
    let algorithm = match (name(CIPHER_ALG, request.algorithm), request.key_code) {
        (Some("aes"), code @ 0..=2) => format!("aes-{}", 128 + 64 * code),
        (Some(plain), _) => plain.to_owned(),
        (None, _) => "unknown".to_owned(),
    };
    let mode = match (name(CIPHER_MODE, request.mode), request.width) {
        (Some("cbc-cts"), width) => format!("cbc-cs{width}"),
        (Some(mode), _) => mode.to_owned(),
        (None, _) => "unknown".to_owned(),
    };
    let direction = name(CIPHER, request.cipher).unwrap_or("unknown");
    let with = if request.auth != 0 && !request.is_aead() { format!("-{auth}") } else { String::new() };
    Work { name: format!("{algorithm}-{mode}{with}-{direction}"), bytes: request.bytes() }
}

pub(super) fn bytes(descriptor: &[u8]) -> u64 {
    Request::read(descriptor).bytes()
}

pub(super) fn failure(descriptor: &[u8]) -> Option<String> {
    let (done, icv, error) =
        (bits(descriptor, 28, 0, 1), bits(descriptor, 28, 1, 3), bits(descriptor, 28, 16, 8));
    match (done, error, icv) {
        (1, 0, 2) => Some("icv 2 (mismatch)".to_owned()),
        (1, 0, _) => None,
        (1, _, _) => Some(format!("error_type {error}")),
        _ => Some("not processed, done 0".to_owned()),
    }
}

/// Sec §2.1.
pub(super) fn buffers(descriptor: &[u8]) -> Vec<Buffer> {
    let request = Request::read(descriptor);
    let get = |index, low, width| bits(descriptor, index, low, width);
    let type_3 = is_type_3(descriptor);
    let (src, dst, mac, iv, key, auth_key) =
        if type_3 { (4, 19, 21, 23, 12, 6) } else { (24, 26, 18, 20, 22, 16) };
    let (src_kind, dst_kind) =
        if type_3 { (get(0, 11, 3), get(0, 14, 3)) } else { (get(0, 15, 3), get(0, 18, 3)) };
    let (de, offset) = (get(0, 9, 2), if type_3 { get(16, 16, 16) } else { get(6, 16, 16) } as usize);
    let (mac_words, key_words) =
        if type_3 { (get(14, 4, 5), get(14, 9, 6)) } else { (get(2, 0, 5), get(2, 5, 6)) };
    let ciphered = if request.cipher == 0 { 0 } else { offset + request.cipher_len as usize };
    let authenticated = if request.auth == 0 && !request.is_aead() { 0 } else { request.auth_len as usize };
    let key_len = match (request.algorithm, request.key_code) {
        _ if request.cipher == 0 => 0,
        (2, code @ 0..=2) => (16 + 8 * code as usize) * if request.mode == 7 { 2 } else { 1 },
        (3, _) => {
            if request.mode == 7 {
                32
            } else {
                16
            }
        }
        (1, 3) => 16,
        (1, _) => 24,
        _ => 8,
    };
    let iv_len = match (request.cipher, request.mode, request.algorithm) {
        (0, ..) | (_, 0, _) => 0,
        (_, 6, _) => 12,
        (_, _, 0 | 1) => 8,
        _ => 16,
    };
    let tag_len = if request.is_aead() {
        if type_3 { get(1, 4, 6) } else { get(3, 0, 6) }
    } else if request.auth != 0 {
        mac_words * 4
    } else {
        0
    } as usize;
    let auth_key_len = if request.auth == 0 { 0 } else { key_words as usize * 4 };
    let buffer = |name, index, len, kind, output| Buffer {
        name,
        at: address(descriptor, index),
        len: if descriptor.len() == DESCRIPTOR_LEN { len } else { 0 },
        skip: 0,
        list: kind == 1,
        output,
    };
    let (dst, dst_kind) = if de == 0 { (src, src_kind) } else { (dst, dst_kind) };
    vec![
        buffer("c_key", key, key_len, 0, false),
        buffer("a_key", auth_key, auth_key_len, 0, false),
        buffer("c_iv", iv, iv_len, 0, false),
        buffer("src", src, ciphered.max(authenticated), src_kind, false),
        buffer("dst", dst, ciphered, dst_kind, true),
        buffer("mac", mac, tag_len, 0, request.auth != 2),
    ]
}

fn is_type_3(descriptor: &[u8]) -> bool {
    bits(descriptor, 0, 0, 4) == 3
}

fn name(names: &'static [(u64, &'static str)], code: u32) -> Option<&'static str> {
    names.iter().find(|(named, _)| *named == u64::from(code)).map(|(_, name)| *name)
}
