//! Records of known descriptors, for tests.

use super::record::{Kind, Payload, Record};
use crate::device::Engine;

pub(super) fn records() -> Vec<Record> {
    let base = |kind, engine, device: &str, class, words: &[(usize, u32)]| {
        let mut descriptor = vec![0; if engine == Engine::Hpre { 64 } else { 128 }];
        for (index, value) in words {
            descriptor[index * 4..][..4].copy_from_slice(&value.to_le_bytes());
        }
        Record {
            engine,
            device: device.to_owned(),
            queue: 3,
            class,
            slot: 17,
            process: 4321,
            number: 1041,
            descriptor,
            ..Record::note(kind, 0, 1_700_000_000_000_001_000)
        }
    };
    // hpre §9.1
    let rsa = [(0, 0x4000_0001), (1, 0x1F), (2, 0x2000_3000), (3, 0x10), (4, 0x2000_4000), (5, 0x10)];
    let rsa = [&rsa[..], &[(6, 0x2000_5000), (7, 0x10), (8, 0x1234_5678), (9, 0x7F00)]].concat();
    let mut failed = rsa.clone();
    failed[0].1 = 0xC000_0021;
    // zip §9.3, whole
    let gunzip =
        [(4, 0x3DE), (7, 0x3A00_0000), (9, 3), (14, 0x2000), (18, 0x7000), (20, 0x9000), (26, 0x1234)];
    let done = [&gunzip[..], &[(0, 0x3DE), (1, 0x1388), (30, 0x1388), (31, 0xCAFE_F00D)]].concat();
    // sec §9.1, both types
    let cbc_2 = [(0, 0xA12), (3, 0x0002_1400), (5, 0x1000), (10, 0xBEEF), (20, 1), (22, 2), (24, 3), (26, 4)];
    let cbc_3 = [(0, 0x223), (1, 0x0021_4001), (2, 0xBEEF), (4, 3), (12, 2), (14, 0x0800_0000), (18, 0x1000)];
    let cbc_3 = [&cbc_3[..], &[(19, 4), (23, 1), (28, 0x0101)]].concat();
    let mut completed = base(Kind::Completion, Engine::Hpre, "hisi_hpre-0", 0, &failed);
    completed.took = 160_250;
    let mut inflated = base(Kind::Completion, Engine::Zip, "hisi_zip-1", 1, &done);
    inflated.payload = vec![Payload { name: "dest".to_owned(), len: 5000, bytes: (0..18).collect() }];
    vec![
        base(Kind::Submission, Engine::Hpre, "hisi_hpre-0", 0, &rsa),
        completed,
        base(Kind::Submission, Engine::Zip, "hisi_zip-1", 1, &gunzip),
        inflated,
        base(Kind::Submission, Engine::Sec, "hisi_sec2-2", 0, &cbc_2),
        base(Kind::Completion, Engine::Sec, "hisi_sec2-2", 0, &cbc_3),
        Record::note(Kind::Gap, 9, 1_700_000_000_000_002_000),
        Record::note(Kind::Limit, 0, 1_700_000_000_000_003_000),
    ]
}
