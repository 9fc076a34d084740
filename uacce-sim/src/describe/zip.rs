//! ZIP descriptors (zip §1.2, §1.3, §1.7).

use super::{Buffer, Field, Way, Work, address, bits, word};

const REQUEST: &[(u64, &str)] = &[
    (0x01, "deflate"),
    (0x02, "zlib"),
    (0x03, "gzip"),
    (0x04, "lz4"),
    (0x10, "xts-aes-128"),
    (0x20, "xts-aes-256"),
    (0x30, "xts-sm4"),
    (0x40, "lz77-only"),
    (0x41, "lz77-only, price"),
    (0x42, "lz77-zstd, price"),
    (0x43, "lz77-zstd"),
];

const STATUS: &[(u64, &str)] = &[
    (0x00, "success"),
    (0x0D, "negative compression"),
    (0x0E, "no room"),
    (0x0F, "input DIF"),
    (0x10, "checksum"),
    (0x12, "data DIF"),
    (0x13, "decompression ended"),
];

const WINDOW: &[(u64, &str)] = &[(0, "4 KiB"), (1, "8 KiB"), (2, "16 KiB"), (3, "24 KiB"), (4, "32 KiB")];

/// What both types have; three fields differ.
const fn common() -> [Field; 39] {
    use Way::{Both, In, Out};
    [
        Field::new("consumed", 0, 0, 32, Out),
        Field::new("produced", 1, 0, 32, Out),
        Field::new("comp_data_length", 2, 0, 32, Out),
        Field::new("status", 3, 0, 8, Out).called(STATUS),
        Field::new("lstblk", 3, 8, 1, Out),
        Field::new("input_data_length", 4, 0, 32, In),
        Field::new("lba", 5, 0, 64, In),
        Field::new("in_sge_data_offset", 7, 0, 24, In),
        Field::new("flush_type", 7, 25, 1, In).called(&[(0, "sync"), (1, "finish")]),
        Field::new("stream_mode", 7, 26, 1, In).called(&[(0, "stateless"), (1, "stateful")]),
        Field::new("stream_new_flag", 7, 27, 1, In),
        Field::new("sqe_type", 7, 28, 4, In),
        Field::new("out_sge_data_offset", 8, 0, 24, In),
        Field::new("request_type", 9, 0, 8, Both).called(REQUEST),
        Field::new("buffer_type", 9, 8, 4, In).called(&[(0, "flat"), (1, "list")]),
        Field::new("window_size", 9, 12, 4, In).called(WINDOW),
        Field::new("align_size", 9, 16, 16, In),
        Field::new("dif_page_layout_gen", 10, 0, 4, In),
        Field::new("dif_grd_gen", 10, 4, 4, In),
        Field::new("dif_ver_gen", 10, 8, 4, In),
        Field::new("dif_app_gen", 10, 12, 4, In),
        Field::new("dif_app", 10, 16, 8, In),
        Field::new("dif_ver", 10, 24, 8, In),
        Field::new("priv_info", 11, 0, 32, In),
        Field::new("dif_ref_gen", 12, 0, 4, In),
        Field::new("dif_pad_type", 12, 4, 4, In),
        Field::new("dif_grd_verify", 12, 8, 4, In),
        Field::new("dif_ref_verify", 12, 12, 4, In),
        Field::new("block_size", 12, 16, 16, In),
        Field::new("dest_avail_out", 14, 0, 32, In),
        Field::new("ctx_dw0", 15, 0, 32, Both),
        Field::new("comp_head_addr", 16, 0, 64, In),
        Field::new("source_addr", 18, 0, 64, In),
        Field::new("dest_addr", 20, 0, 64, In),
        Field::new("stream_ctx_addr", 22, 0, 64, In),
        Field::new("ctx_dw1", 28, 0, 32, Both),
        Field::new("ctx_dw2", 29, 0, 32, Both),
        Field::new("isize", 30, 0, 32, Both),
        Field::new("checksum", 31, 0, 32, Both),
    ]
}

const fn with_rest(rest: [Field; 3]) -> [Field; 42] {
    let common = common();
    let mut all = [common[0]; 42];
    let mut index = 0;
    while index < 39 {
        all[index] = common[index];
        index += 1;
    }
    all[39] = rest[0];
    all[40] = rest[1];
    all[41] = rest[2];
    all
}

pub(super) const TYPE_0: [Field; 42] = with_rest([
    Field::new("cipher_key1_addr", 24, 0, 64, Way::In),
    Field::new("cipher_key2_addr", 26, 0, 64, Way::In),
    Field::new("tag", 13, 0, 32, Way::Both),
]);

pub(super) const TYPE_3: [Field; 42] = with_rest([
    Field::new("literals_size", 13, 0, 32, Way::In),
    Field::new("literals_addr", 24, 0, 64, Way::In),
    Field::new("tag", 26, 0, 64, Way::Both),
]);

pub(super) fn work(class: u16, descriptor: &[u8]) -> Work {
    let kind = bits(descriptor, 9, 0, 8);
    let name = match kind {
        0x01..=0x03 => {
            let direction = if class == 0 { "deflate" } else { "inflate" };
            let form = ["raw", "zlib", "gzip"].get(kind as usize - 1).unwrap_or(&"raw");
            format!("{direction}-{form}")
        }
        0x04 => "lz4".to_owned(),
        0x40 | 0x41 => "lz77-only".to_owned(),
        0x42 | 0x43 => "lz77-zstd".to_owned(),
        _ => format!("zip-{kind:#04x}"),
    };
    Work { name, bytes: bytes(class, descriptor) }
}

/// Consumed by compression, produced by decompression.
pub(super) fn bytes(class: u16, descriptor: &[u8]) -> u64 {
    word(descriptor, usize::from(class != 0)).into()
}

pub(super) fn failure(descriptor: &[u8]) -> Option<String> {
    let status = bits(descriptor, 3, 0, 8);
    // Less compressed than it was is an answer, and so is the end of a stream (zip §1.7).
    if matches!(status, 0x00 | 0x0D) || status == 0x13 && bits(descriptor, 3, 8, 1) == 1 {
        return None;
    }
    let meaning = STATUS.iter().find(|(code, _)| *code == u64::from(status));
    Some(match meaning {
        Some((_, meaning)) => format!("status {status:#04x} ({meaning})"),
        None => format!("status {status:#04x}"),
    })
}

pub(super) fn buffers(descriptor: &[u8]) -> Vec<Buffer> {
    let list = bits(descriptor, 9, 8, 4) == 1;
    let produced = word(descriptor, 1).min(word(descriptor, 14)) as usize;
    let buffer = |name, index, len, skip, output| Buffer {
        name,
        at: address(descriptor, index),
        len,
        skip: if list { skip as usize } else { 0 },
        list,
        output,
    };
    vec![
        buffer("source", 18, word(descriptor, 4) as usize, bits(descriptor, 7, 0, 24), false),
        buffer("dest", 20, produced, bits(descriptor, 8, 0, 24), true),
    ]
}
