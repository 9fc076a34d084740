//! Compression as a whole: what idle streams cost, several queues for one call, who wins on slow and on fast devices, narrow
//! windows, and a device that lies.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::process::Command;

use common::{Devices, Scratch, Simulator, dist, failures, stock, succeed};

const PYTHON: &str = "/usr/bin/python3";

/// Text that compresses about as logs do, `len` bytes of it.
const TEXT: &str = "
import random, sys, time, zlib
def text(length, seed=1):
    chance = random.Random(seed)
    words = [''.join(chance.choices('abcdefghijklmnop', k=chance.randint(2, 9))) for _ in range(2000)]
    return ' '.join(chance.choices(words, k=length // 5)).encode().ljust(length)[:length]
";

fn python(scratch: &Scratch, devices: Devices<'_>, program: &str) -> Command {
    let mut command = scratch.client(PYTHON, devices);
    command.args(["-c", &format!("{TEXT}{program}")]);
    command
}

fn printed(command: &mut Command) -> f64 {
    String::from_utf8(succeed(command).stdout).unwrap().trim().parse().unwrap()
}

/// Ten thousand streams that were begun and have done a little: 2 KiB each at the most.
#[test]
fn ten_thousand_idle_streams_fit_in_20_megabytes() {
    let scratch = Scratch::new("idle-streams");
    let simulator = Simulator::start(&[]);
    let program = scratch.compile("idle_streams", &["-lz"]);
    for devices in [Devices::None, Devices::Simulated(&simulator)] {
        for kind in ["deflate", "flushed", "inflate"] {
            let kib = printed(scratch.client(&program, devices).args([kind, "10000"]));
            println!("{kind}: {kib} KiB");
            assert!(kib < 20_000.0, "{kind}: {kib} KiB");
        }
    }
    // The measure itself measures: stock zlib holds a quarter of a megabyte for each, a third of it touched.
    assert!(printed(stock(&program).args(["flushed", "1000"])) > 20_000.0);
}

/// One call with 32 MB: as many pieces are at the device at a time as configured, each on a queue of its own, which hides its latency
/// and keeps its cores busy. The simulator's record says what was outstanding when.
#[test]
fn a_large_call_uses_several_queues_at_once() {
    let program = "
data = text(1 << 20) * 32
packed = zlib.compress(data)
assert zlib.decompress(packed) == data
";
    for parallel in [1, 4] {
        let config = format!("[policy]\ndefault = \"hardware\"\n[deflate]\nparallel = {parallel}\n");
        let scratch = Scratch::with_config(&format!("parallel-{parallel}"), &config);
        let record = scratch.file("record");
        let simulator = Simulator::start(&["--latency", "deflate=50ms", "--trace", record.to_str().unwrap()]);
        succeed(&mut python(&scratch, Devices::Simulated(&simulator), program));
        let row = scratch.row("deflate");
        assert!(row.hardware >= 4 && failures(&row).is_empty(), "{row:?}");
        assert!(row.hardware_bytes >= (32 << 20) - (64 << 10), "{row:?}");
        // The record is whole once the daemon has ended.
        drop(simulator);
        let shown =
            succeed(Command::new(dist().join("bin/uacce-sim")).args(["trace", "--brief"]).arg(&record));
        let (mut outstanding, mut most) = (BTreeSet::new(), 0);
        for line in String::from_utf8(shown.stdout).unwrap().lines().filter(|line| line.contains("deflate")) {
            // "TIME DEVICE queue N > slot S #REQUEST …", and "<" for its completion.
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[4] {
                ">" => assert!(outstanding.insert(words[3].to_owned()), "two on one queue: {line}"),
                _ => assert!(outstanding.remove(words[3]), "{line}"),
            }
            most = most.max(outstanding.len());
        }
        println!("deflate.parallel = {parallel}: {most} at a time");
        assert_eq!(most, parallel);
    }
}

/// Measured costs decide, for each size: 20 ms are long for 40 KB and short for 8 MB, 400 ms are long for both.
#[test]
fn a_slow_device_loses_where_it_is_slower() {
    let program = "
small, large = text(40000), text(8 << 20)
for _ in range(60): zlib.compress(small, 6)
for _ in range(6): zlib.compress(large, 9)
";
    for (latency, large_in_hardware) in [("20ms", true), ("400ms", false)] {
        let simulator = Simulator::start(&["--latency", latency, "--memo"]);
        let scratch = Scratch::with_config(&format!("cost-{latency}"), "");
        succeed(&mut python(&scratch, Devices::Simulated(&simulator), program));
        let row = scratch.row("deflate");
        println!("{latency}: {row:?}");
        // The first request goes to the device, and all but a few of the others to software.
        assert!(row.hardware > 0 && row.software.get("policy").is_some_and(|&count| count > 50), "{row:?}");
        // A device that was left alone for ten seconds is tried again, so not quite all.
        let most = 3 * (8 << 20);
        assert_eq!(row.hardware_bytes > most, large_in_hardware, "{row:?}");
        assert_eq!(row.software_bytes > most, !large_in_hardware, "{row:?}");
        assert!(failures(&row).is_empty(), "{row:?}");
    }
}

/// A reader that promised itself 4 KiB of history can read what a v3 device made; a v2 device is not asked.
#[test]
fn windows_below_32_kib() {
    let program = "
data = text(1 << 20)
for bits in 12, 13, 14:
    for form in -bits, bits, bits + 16:
        maker = zlib.compressobj(6, zlib.DEFLATED, form, 9)
        packed = maker.compress(data) + maker.flush()
        sys.stdout.buffer.write(len(packed).to_bytes(4, 'little') + form.to_bytes(4, 'little', signed=True) + packed)
";
    let reader = "
import sys, zlib
packed, count = sys.stdin.buffer.read(), 0
while packed:
    length, form = int.from_bytes(packed[:4], 'little'), int.from_bytes(packed[4:8], 'little', signed=True)
    taker = zlib.decompressobj(form)
    plain, rest = b'', packed[8:8 + length]
    while rest:
        # A little at a time, so that nothing but the window is there to refer to.
        plain += taker.decompress(rest, 512)
        rest = taker.unconsumed_tail
    assert taker.eof and len(plain) == 1 << 20
    packed, count = packed[8 + length:], count + 1
assert count == 9
";
    for (version, hardware) in [("v3", true), ("v2", false)] {
        let simulator = Simulator::start(&["--hw", version]);
        let scratch = Scratch::new(&format!("windows-{version}"));
        let packed = succeed(&mut python(&scratch, Devices::Simulated(&simulator), program)).stdout;
        let output = common::run_with_input(stock(PYTHON).args(["-c", reader]), &packed);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let row = scratch.row("deflate");
        assert_eq!(row.hardware > 0, hardware, "{version}: {row:?}");
        assert!(hardware || row.software.contains_key("unsupported"), "{row:?}");
        assert!(failures(&row).is_empty(), "{row:?}");
    }
}

/// With the default, a device that damages whatever it writes is found out by its first piece, and the pieces that were sent
/// along with that are looked at too.
#[test]
fn a_device_that_lies_is_found_out_by_default() {
    let simulator = Simulator::start(&["--fault", "bytes,class=0"]);
    let scratch = Scratch::new("lies");
    let program = "
data = text(6 << 20)
packed = zlib.compress(data)
sys.stdout.buffer.write(packed)
";
    let packed = succeed(&mut python(&scratch, Devices::Simulated(&simulator), program)).stdout;
    let reader = "import sys, zlib; assert len(zlib.decompress(sys.stdin.buffer.read())) == 6 << 20";
    assert!(common::run_with_input(stock(PYTHON).args(["-c", reader]), &packed).status.success());
    let row = scratch.row("deflate");
    assert_eq!(row.hardware, 0, "{row:?}");
    assert!(row.software.get("wrong-result").is_some_and(|&count| count >= 1), "{row:?}");
}
