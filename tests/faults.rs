//! Devices that misbehave, in every way that the simulator knows: programs end well with right bytes, and the counters say
//! what was wrong.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;

use common::{Devices, Scratch, Simulator, failures, stock, succeed};

/// A fault, whether answers are good nevertheless, and the reasons that are counted for it.
const FAULTS: [(&str, bool, &[&str]); 21] = [
    ("late=30ms", true, &[]),
    ("slow=10ms", true, &[]),
    // The second entry comes for nothing, or for the next request before that one is done.
    ("twice", true, &["device-error"]),
    ("late=1s", false, &["time-out"]),
    ("lost", false, &["time-out"]),
    ("phase", false, &["time-out"]),
    ("wild", false, &["device-error"]),
    ("wild=9", false, &["device-error"]),
    ("tag", false, &["device-error"]),
    ("tag=0xffffffff", false, &["device-error"]),
    ("bytes", false, &["wrong-result"]),
    ("short,class=0", false, &["wrong-result"]),
    ("short,class=1", false, &["wrong-result"]),
    // What is unpacked came from outside and may be damaged: to refuse it is no failure.
    ("status", false, &["device-error", "refused"]),
    ("status=0x22", false, &["device-error", "refused"]),
    ("reset=50ms,times=1000", false, &["reset"]),
    ("isolate,times=2", false, &["reset"]),
    ("unplug,times=2", false, &["reset", "no-device"]),
    ("open=EBUSY", false, &["busy"]),
    ("open=EPERM", false, &["reset"]),
    ("open=ENXIO", false, &["no-device"]),
];

/// Packs a stream and unpacks a buffer in one process; the plain text must come back.
const PYTHON: &str = "import ctypes, gzip, sys, zlib
plain = open(sys.argv[1], 'rb').read()
with gzip.open(sys.argv[2], 'wb', 6) as packed: packed.write(plain)
packed = zlib.compress(plain)
room = ctypes.create_string_buffer(len(plain))
size = ctypes.c_ulong(len(plain))
assert ctypes.CDLL(None).uncompress(room, ctypes.byref(size), packed, ctypes.c_ulong(len(packed))) == 0
assert room.raw == plain and size.value == len(plain)";

#[test]
fn every_fault_ends_in_right_bytes() {
    let scratch = Scratch::with_config(
        "faults",
        "[policy]\ndefault = \"hardware\"\n[wait]\ndeadline-ms = 400\n[deflate]\nverify = \"full\"\n",
    );
    let key = scratch.key(2048);
    let (message, signature, packed) =
        (scratch.file("message"), scratch.file("signature"), scratch.file("packed"));
    let text: String =
        (0..60_000_u64).map(|line| format!("line {line}: {:x}\n", line * line % 7919)).collect();
    fs::write(&message, &text).unwrap();
    let mut sign = stock("openssl");
    succeed(sign.args(["dgst", "-sha256", "-sign"]).arg(&key).arg("-out").arg(&signature).arg(&message));
    let right = fs::read(&signature).unwrap();

    let mut surprises = Vec::new();
    for (fault, good, reasons) in FAULTS {
        let simulator = Simulator::start(&["--fault", fault]);
        scratch.reset_counters();
        let devices = Devices::Simulated(&simulator);
        let mut sign = scratch.client("openssl", devices);
        succeed(sign.args(["dgst", "-sha256", "-sign"]).arg(&key).arg("-out").arg(&signature).arg(&message));
        assert!(fs::read(&signature).unwrap() == right, "{fault}: another signature");
        let mut python = scratch.client("/usr/bin/python3", devices);
        succeed(python.args(["-c", PYTHON]).arg(&message).arg(&packed));
        let unpacked = succeed(stock("gzip").arg("-dc").arg(&packed)).stdout;
        assert!(unpacked == text.as_bytes(), "{fault}: another text");

        for algorithm in ["rsa-2048-private", "deflate", "inflate"] {
            let row = scratch.row(algorithm);
            let failed = failures(&row);
            let spared = match algorithm {
                "deflate" => fault.contains("device=hpre") || fault.contains("class=1"),
                "inflate" => fault.contains("device=hpre") || fault.contains("class=0"),
                _ => fault.contains("class=1"),
            };
            if spared {
                continue;
            }
            println!("{fault:24} {algorithm:18} hardware {} {failed:?}", row.hardware);
            // A device that failed is left alone for a while.
            let allowed = |reason: &str| reasons.contains(&reason) || reason == "paused";
            let named = row.software.keys().any(|reason| reasons.contains(&reason.as_str()));
            let told = if good { row.hardware > 0 } else { named };
            if !told || !failed.iter().all(|(reason, _)| allowed(reason)) {
                surprises.push(format!("{fault}, {algorithm}: {row:?}"));
            }
        }
    }
    assert!(surprises.is_empty(), "{surprises:#?}");
}
