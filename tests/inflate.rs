//! Streams that programs inflate, piece by piece, on simulated devices: right bytes, and hardware counters that moved.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::{Devices, Scratch, Simulator, dist, failures, stock, succeed};

/// The interpreter whose zlib module loads `libz.so.1`: the distribution's, not one that brought its own.
const PYTHON: &str = "/usr/bin/python3";

/// Text of `len` bytes that compresses to about a third.
fn text(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut text = Vec::with_capacity(len + 100);
    while text.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let word = state >> 40;
        write!(text, "{word:x} and again {} of {word} ", state >> 60).unwrap();
    }
    text.truncate(len);
    text
}

/// `data` packed by stock zlib, in each wrapper.
fn pack(scratch: &Scratch, data: &[u8]) -> (PathBuf, [PathBuf; 3]) {
    let plain = scratch.file("plain");
    fs::write(&plain, data).unwrap();
    let program = "import sys, zlib
plain = open(sys.argv[1], 'rb').read()
for bits, path in zip((15, 31, -15), sys.argv[2:]):
    maker = zlib.compressobj(6, zlib.DEFLATED, bits)
    open(path, 'wb').write(maker.compress(plain) + maker.flush())";
    let files = ["zlib", "gzip", "raw"].map(|name| scratch.file(name));
    succeed(stock(PYTHON).args(["-c", program]).arg(&plain).args(&files));
    (plain, files)
}

/// inflate.py PLAIN WINDOWBITS PACKED: in one call, and in pieces of 64 KiB and 1 MiB.
const INFLATE: &str = "import sys, zlib
plain, bits, packed = open(sys.argv[1], 'rb').read(), int(sys.argv[2]), open(sys.argv[3], 'rb').read()
assert zlib.decompress(packed, bits) == plain
for piece in (65536, 1 << 20):
    reader, got = zlib.decompressobj(bits), []
    for at in range(0, len(packed) + 5, piece):
        got.append(reader.decompress((packed + b'later')[at:at + piece]))
    assert b''.join(got) == plain and reader.eof and reader.unused_data == b'later'";

fn inflate(scratch: &Scratch, devices: Devices<'_>, bits: &str, plain: &Path, packed: &Path) {
    let mut python = scratch.client(PYTHON, devices);
    succeed(python.args(["-c", INFLATE]).arg(plain).arg(bits).arg(packed));
}

const WITH_RAW: &str = "[policy]\ndefault = \"hardware\"\n[inflate]\nraw = true\n";

#[test]
fn python_inflates_30_megabytes_in_hardware() {
    let data = text(30_000_000);
    for version in ["v2", "v3"] {
        let simulator = Simulator::start(&["--hw", version]);
        let scratch = Scratch::with_config(&format!("inflate-{version}"), WITH_RAW);
        let (plain, [zlib, gzip, raw]) = pack(&scratch, &data);
        for (bits, packed) in [("15", &zlib), ("31", &gzip), ("47", &gzip), ("-15", &raw)] {
            scratch.reset_counters();
            inflate(&scratch, Devices::Simulated(&simulator), bits, &plain, packed);
            let row = scratch.row("inflate");
            println!("{version} {bits}: {row:?}");
            assert_eq!(failures(&row), [], "{version} {bits}");
            if bits == "-15" && version == "v2" {
                // Raw deflate is not that device's.
                assert_eq!((row.hardware, row.software.keys().len()), (0, 1), "{row:?}");
                assert!(row.software.contains_key("unsupported"));
            } else {
                // Three times the text; the last piece of the caller's may be small.
                assert!(row.hardware_bytes >= 3 * 29_000_000, "{version} {bits}: {row:?}");
            }
        }
        scratch.reset_counters();
        inflate(&scratch, Devices::None, "15", &plain, &zlib);
        assert_eq!(scratch.row("inflate").software.keys().collect::<Vec<_>>(), ["no-device"]);
    }
}

#[test]
fn raw_streams_stay_in_software_unless_told_otherwise() {
    let simulator = Simulator::start(&["--hw", "v3"]);
    let scratch = Scratch::new("inflate-raw");
    let (plain, [_, _, raw]) = pack(&scratch, &text(1_000_000));
    inflate(&scratch, Devices::Simulated(&simulator), "-15", &plain, &raw);
    let row = scratch.row("inflate");
    assert_eq!((row.hardware, row.software.keys().map(String::as_str).collect()), (0, vec!["unsupported"]));
}

/// `gzread` of the drop-in form, whose buffers are large enough.
#[test]
fn the_drop_in_form_reads_files_in_hardware() {
    let simulator = Simulator::start(&[]);
    let scratch = Scratch::new("inflate-drop-in");
    let (data, packed, back) = (scratch.file("data"), scratch.file("data.gz"), scratch.file("back"));
    let plain = text(8_000_000);
    fs::write(&data, &plain).unwrap();
    let program = scratch.compile("gz_file", &["-lz"]);
    let mut client = scratch.client(&program, Devices::Simulated(&simulator));
    client.env("LD_LIBRARY_PATH", dist().join("lib")).env("LD_PRELOAD", &simulator.preload);
    succeed(client.arg(&data).arg(&packed).arg(&back));
    assert!(fs::read(&back).unwrap() == plain);
    let row = scratch.row("inflate");
    assert!(row.hardware_bytes > 7_000_000 && failures(&row).is_empty(), "{row:?}");
}

/// A fault from the third request on, and the reasons that may be counted for it.
const FAULTS: [(&str, &[&str]); 10] = [
    ("late=30ms,class=1,every=3", &[]),
    ("lost,class=1,after=2,times=3", &["time-out"]),
    ("lost,class=1,after=2,every=4", &["time-out"]),
    ("bytes,class=1,after=2,every=3", &["wrong-result"]),
    ("short,class=1,after=2,every=3", &["wrong-result"]),
    ("status,class=1,after=2,every=4", &["refused"]),
    ("tag,class=1,after=2,times=2", &["device-error"]),
    ("wild,class=1,after=2,times=2", &["device-error"]),
    ("reset=50ms,class=1,after=3,times=2", &["reset"]),
    ("unplug,class=1,after=3", &["reset", "no-device"]),
];

#[test]
fn every_fault_in_mid_stream_ends_in_right_bytes() {
    let data = text(3_000_000);
    for (version, bits) in [("v2", "31"), ("v3", "15")] {
        let config = "[policy]\ndefault = \"hardware\"\n[wait]\ndeadline-ms = 300\n";
        let scratch = Scratch::with_config(&format!("inflate-faults-{version}"), config);
        let (plain, [zlib, gzip, _]) = pack(&scratch, &data);
        let packed = if bits == "31" { gzip } else { zlib };
        for (fault, reasons) in FAULTS {
            let simulator = Simulator::start(&["--hw", version, "--fault", fault]);
            scratch.reset_counters();
            inflate(&scratch, Devices::Simulated(&simulator), bits, &plain, &packed);
            let row = scratch.row("inflate");
            println!("{version} {bits} {fault:36} hardware {} {:?}", row.hardware, row.software);
            assert!(row.hardware > 0, "{fault}: {row:?}");
            let of_fault = |reason: &String| reasons.contains(&reason.as_str());
            assert!(reasons.is_empty() || row.software.keys().any(of_fault), "{fault}: {row:?}");
            let unknown = row.software.keys().find(|reason| !of_fault(reason) && *reason != "paused");
            assert_eq!(unknown, None, "{fault}: {row:?}");
        }
    }
}

#[test]
fn a_daemon_killed_in_mid_stream_costs_nobody_a_byte() {
    let simulator = Simulator::start(&[]);
    let scratch = Scratch::new("inflate-kill");
    let (plain, [zlib, ..]) = pack(&scratch, &text(6_000_000));
    let program = "import sys, zlib
plain, packed = open(sys.argv[1], 'rb').read(), open(sys.argv[2], 'rb').read()
reader, got = zlib.decompressobj(), []
for at in range(0, len(packed), 100000):
    if at == 1000000:
        print('half way', flush=True)
        sys.stdin.readline()
    got.append(reader.decompress(packed[at:at + 100000]))
assert b''.join(got) == plain and reader.eof
print('done')";
    let mut python = scratch.client(PYTHON, Devices::Simulated(&simulator));
    python.args(["-c", program]).arg(plain).arg(zlib).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = python.spawn().unwrap();
    let mut said = BufReader::new(python.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "half way");
    simulator.kill_daemon();
    writeln!(python.stdin.take().unwrap()).unwrap();
    assert_eq!(said.next().unwrap().unwrap(), "done");
    assert!(python.wait().unwrap().success());
    let row = scratch.row("inflate");
    assert!(row.hardware > 3 && row.hardware_bytes > 1_000_000, "{row:?}");
    assert!(row.software.keys().any(|reason| matches!(reason.as_str(), "reset" | "time-out")), "{row:?}");
}
