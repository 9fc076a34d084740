//! Every operation against the worked examples of `hpre §9`: bytes as they lie in memory, the tag's high half apart (ours is
//! 32 bits).

use super::*;
use crate::descriptor::TagPlace;

const KEY: u64 = 0x0000_0010_2000_3000;
const INPUT: u64 = 0x0000_0010_2000_4000;
const OUTPUT: u64 = 0x0000_0010_2000_5000;

fn task(operation: Operation, width_bytes: usize) -> Task {
    let address = |len: usize, address: u64| if len == 0 { 0 } else { address };
    Task {
        operation,
        width_bytes,
        key: KEY,
        input: address(operation.input_len(width_bytes), INPUT),
        output: address(operation.output_len(width_bytes), OUTPUT),
    }
}

fn encoded(task: &Task) -> [u8; LEN_BYTES] {
    let mut bytes = [0xff; LEN_BYTES];
    task.encode(0x1234_5678, &mut bytes);
    bytes
}

/// dw0, dw1, input address, output address, dw10; the rest is the same in every example.
fn golden(dw0: u32, dw1: u32, input: u64, output: u64, dw10: u32) -> [u8; LEN_BYTES] {
    let mut bytes = [0; LEN_BYTES];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, &dw0.to_le_bytes());
    put(4, &dw1.to_le_bytes());
    put(8, &[0, 0x30, 0, 0x20, 0x10, 0, 0, 0]);
    put(16, &input.to_le_bytes());
    put(24, &output.to_le_bytes());
    put(32, &[0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0]);
    put(40, &dw10.to_le_bytes());
    bytes
}

#[test]
fn the_dump_of_section_9_1_byte_by_byte() {
    let mut bytes = [0; LEN_BYTES];
    bytes[..40].copy_from_slice(&[
        0x01, 0, 0, 0x40, 0x1f, 0, 0, 0, 0, 0x30, 0, 0x20, 0x10, 0, 0, 0, //
        0, 0x40, 0, 0x20, 0x10, 0, 0, 0, 0, 0x50, 0, 0x20, 0x10, 0, 0, 0, //
        0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0,
    ]);
    assert_eq!(encoded(&task(Operation::RsaCrt, 256)), bytes);
    assert_eq!(TagPlace::Hpre.read(&bytes), Some(0x1234_5678));
}

#[test]
fn every_operation_equals_its_worked_example() {
    use Operation::*;
    let message_len = 19;
    #[rustfmt::skip]
    let rows = [
        // section  operation                        width  dw0          dw1          input  output  dw10
        ("9.1", RsaCrt,                              256, 0x4000_0001, 0x0000_001f, INPUT, OUTPUT, 0),
        ("9.2", RsaNonCrt,                           256, 0x4000_0000, 0x0000_001f, INPUT, OUTPUT, 0),
        ("9.3", Dh,                                  256, 0x4000_0005, 0x0000_001f, INPUT, OUTPUT, 0),
        ("9.3", DhOfTwo,                             256, 0x4000_0004, 0x0000_001f, 0,     OUTPUT, 0),
        ("9.4", Multiply { fast: true },              32, 0x4000_000d, 0x8000_0003, INPUT, OUTPUT, 0),
        ("9.4", Multiply { fast: false },             32, 0x4000_000d, 0x0000_0003, INPUT, OUTPUT, 0),
        ("9.5", Ladder,                               32, 0x4000_0010, 0x0000_0003, INPUT, OUTPUT, 0),
        ("9.5", Ladder,                               72, 0x4000_0010, 0x0000_0008, INPUT, OUTPUT, 0),
        ("9.6", EcdsaSign,                            32, 0x4000_000e, 0x0000_0003, INPUT, OUTPUT, 0),
        ("9.6", EcdsaVerify,                          32, 0x4000_000f, 0x0000_0003, INPUT, 0,      0),
        ("9.6", Sm2Sign,                              32, 0x4000_0012, 0x0000_0003, INPUT, OUTPUT, 0),
        ("1.2", Sm2Verify,                            32, 0x4000_0013, 0x0000_0003, INPUT, 0,      0),
        ("9.6", Sm2Encrypt { message_len },           32, 0x4000_0014, 0x0000_0003, INPUT, OUTPUT, 0x12),
        ("1.2", Sm2Decrypt { message_len: 512 },      32, 0x4000_0015, 0x0000_0003, INPUT, OUTPUT, 0x1ff),
    ];
    for (section, operation, width_bytes, dw0, dw1, input, output, dw10) in rows {
        let bytes = encoded(&task(operation, width_bytes));
        assert_eq!(bytes, golden(dw0, dw1, input, output, dw10), "hpre §{section}: {operation:?}");
    }
}

#[test]
fn task_len_follows_the_width() {
    #[rustfmt::skip]
    let rows = [
        (96, 0x0b), (128, 0x0f), (192, 0x17), (256, 0x1f), (384, 0x2f), (512, 0x3f), (32, 0x03), (48, 0x05), (72, 0x08),
    ];
    for (width_bytes, task_len) in rows {
        assert_eq!(encoded(&task(Operation::Dh, width_bytes))[4], task_len, "hpre §1.3");
    }
}

#[test]
fn buffers_are_as_long_as_the_table_says() {
    use Operation::*;
    #[rustfmt::skip]
    let rows = [
        (RsaNonCrt,                      256, 512, 256, 256),
        (RsaCrt,                         256, 640, 256, 256),
        (DhOfTwo,                        256, 512, 0,   256),
        (Dh,                             256, 512, 256, 256),
        (Multiply { fast: false },       72,  288, 144, 144),
        (EcdsaSign,                      48,  336, 96,  96),
        (EcdsaVerify,                    48,  384, 144, 0),
        (Ladder,                         72,  216, 72,  72),
        (Sm2Sign,                        32,  224, 64,  64),
        (Sm2Verify,                      32,  256, 96,  0),
        (Sm2Encrypt { message_len: 19 }, 32,  256, 51,  115),
        (Sm2Decrypt { message_len: 19 }, 32,  224, 115, 19),
    ];
    for (operation, width, key, input, output) in rows {
        let lengths = (operation.key_len(width), operation.input_len(width), operation.output_len(width));
        assert_eq!(lengths, (key, input, output), "hpre §3.1: {operation:?}");
    }
}

#[test]
fn completions_are_judged_by_done_and_error_bits() {
    let task = task(Operation::RsaCrt, 256);
    let mut bytes = encoded(&task);
    assert_eq!(task.decode(&bytes), Err(Fault::Impossible), "never processed");
    bytes[3] = 0xc0;
    assert_eq!(task.decode(&bytes), Ok(Answer::Written));
    bytes[0] = 0x21; // etype 1
    assert_eq!(task.decode(&bytes), Err(Fault::Status(1)));
    bytes[0] = 1;
    bytes[2] = 0x20; // etype1 bit 5
    assert_eq!(task.decode(&bytes), Err(Fault::Status(0x20 << 11)));
    bytes[2] = 0;
    bytes[0] = 0; // another operation
    assert_eq!(task.decode(&bytes), Err(Fault::Impossible));
    bytes[0] = 1;
    bytes[3] = 0x80; // done 2
    assert_eq!(task.decode(&bytes), Err(Fault::Impossible));
    assert_eq!(task.decode(&[]), Err(Fault::Impossible));
}

#[test]
fn verdicts_stand_in_the_descriptor() {
    for operation in [Operation::EcdsaVerify, Operation::Sm2Verify] {
        let task = task(operation, 32);
        let mut bytes = encoded(&task);
        assert_eq!(bytes[24..32], [0; 8], "hpre §3.6: an address left there would be a verdict");
        bytes[3] = 0xc0;
        assert_eq!(task.decode(&bytes), Ok(Answer::Invalid));
        bytes[24] = 2;
        assert_eq!(task.decode(&bytes), Ok(Answer::Valid));
        bytes[24] = 1;
        assert_eq!(task.decode(&bytes), Ok(Answer::Invalid));
        bytes[24] = 2;
        bytes[1] = 1; // etype
        assert_eq!(task.decode(&bytes), Err(Fault::Status(8)));
    }
}
