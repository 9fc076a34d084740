//! Programs of zlib with the shim preloaded: on simulated devices, with none, and with bad input.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Devices, Scratch, Simulator, dist, failures, run, stock, succeed};

/// The interpreter whose zlib module loads `libz.so.1`: the distribution's, not one that brought its own.
const PYTHON: &str = "/usr/bin/python3";

/// 20 MB and more of what the machine has: documents, scripts, programs.
fn real_data(scratch: &Scratch) -> PathBuf {
    let path = scratch.file("data");
    let mut data = Vec::new();
    for folder in ["/usr/lib", "/usr/share"] {
        let limit = data.len() + (11 << 20);
        let mut folders = vec![PathBuf::from(folder)];
        while let Some(folder) = folders.pop() {
            let mut entries: Vec<PathBuf> = fs::read_dir(folder)
                .into_iter()
                .flatten()
                .filter_map(|entry| Some(entry.ok()?.path()))
                .collect();
            entries.sort();
            for entry in entries {
                let Ok(metadata) = entry.symlink_metadata() else { continue };
                if metadata.is_dir() {
                    folders.push(entry);
                } else if metadata.is_file() && metadata.len() < 4 << 20 && data.len() < limit {
                    data.extend(fs::read(entry).unwrap_or_default());
                }
            }
            if data.len() >= limit {
                break;
            }
        }
    }
    assert!(data.len() > 20_000_000, "too little below /usr");
    fs::write(&path, data).unwrap();
    path
}

fn python_gzip(scratch: &Scratch, devices: Devices<'_>, data: &Path, packed: &Path) {
    let program = "import gzip, shutil, sys\nwith open(sys.argv[1], 'rb') as plain, gzip.open(sys.argv[2], 'wb', 6) as packed: shutil.copyfileobj(plain, packed, 1 << 20)";
    succeed(scratch.client(PYTHON, devices).args(["-c", program]).arg(data).arg(packed));
}

/// What stock `gzip -dc` makes of a file.
fn gunzip(packed: &Path) -> Vec<u8> {
    succeed(stock("gzip").arg("-dc").arg(packed)).stdout
}

#[test]
fn python_gzips_in_hardware_and_stock_gzip_agrees() {
    for version in ["v2", "v3"] {
        let simulator = Simulator::start(&["--hw", version]);
        let scratch = Scratch::new(&format!("gzip-{version}"));
        let (data, packed) = (real_data(&scratch), scratch.file("data.gz"));
        python_gzip(&scratch, Devices::Simulated(&simulator), &data, &packed);
        let plain = fs::read(&data).unwrap();
        assert!(gunzip(&packed) == plain);
        let row = scratch.row("deflate");
        assert!(
            row.hardware_bytes * 100 >= plain.len() as u64 * 95,
            "{version}: {row:?} of {} bytes",
            plain.len()
        );
        assert_eq!(failures(&row), []);
    }
}

#[test]
fn python_gzips_in_software_without_a_device() {
    let scratch = Scratch::new("gzip-no-device");
    let (data, packed) = (real_data(&scratch), scratch.file("data.gz"));
    python_gzip(&scratch, Devices::None, &data, &packed);
    assert!(gunzip(&packed) == fs::read(&data).unwrap());
    let row = scratch.row("deflate");
    assert_eq!((row.hardware, row.hardware_bytes), (0, 0));
    assert_eq!(row.software.keys().collect::<Vec<_>>(), ["no-device"], "{row:?}");
}

/// `libz.so.1` of ours in place of the system's, `gz*` functions included, and nothing preloaded but the devices.
#[test]
fn the_drop_in_form_uses_hardware() {
    let simulator = Simulator::start(&[]);
    let scratch = Scratch::new("drop-in");
    let (data, packed, back) = (real_data(&scratch), scratch.file("data.gz"), scratch.file("back"));
    let program = scratch.compile("gz_file", &["-lz"]);
    let plain = fs::read(&data).unwrap();
    for devices in [Devices::Simulated(&simulator), Devices::None] {
        scratch.reset_counters();
        let mut client = scratch.client(&program, devices);
        client.env_remove("LD_PRELOAD").env("LD_LIBRARY_PATH", dist().join("lib"));
        if let Devices::Simulated(simulator) = devices {
            client.env("LD_PRELOAD", &simulator.preload);
        }
        let output = succeed(client.arg(&data).arg(&packed).arg(&back));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert!(gunzip(&packed) == plain && fs::read(&back).unwrap() == plain);
        let row = scratch.row("deflate");
        if let Devices::None = devices {
            assert_eq!(row.hardware, 0);
            assert_eq!(row.software.keys().collect::<Vec<_>>(), ["no-device"], "{row:?}");
        } else {
            assert!(row.hardware_bytes * 100 >= plain.len() as u64 * 95, "{row:?} of {} bytes", plain.len());
            assert_eq!(failures(&row), []);
        }
    }
}

#[test]
fn one_shot_calls_use_hardware_both_ways() {
    let simulator = Simulator::start(&[]);
    let scratch = Scratch::new("one-shot");
    let program = scratch.compile("one_shot", &["-lz"]);
    for devices in [Devices::Simulated(&simulator), Devices::None] {
        scratch.reset_counters();
        succeed(&mut scratch.client(&program, devices));
        let (deflate, inflate) = (scratch.row("deflate"), scratch.row("inflate"));
        if let Devices::None = devices {
            assert_eq!((deflate.hardware, inflate.hardware), (0, 0));
            assert!(deflate.software.contains_key("no-device") && inflate.software.contains_key("no-device"));
        } else {
            assert!(deflate.hardware > 0 && failures(&deflate).is_empty(), "{deflate:?}");
            // Three levels, each with two good calls and four that the device must refuse and software then answers.
            assert_eq!((inflate.hardware, inflate.software.get("refused")), (6, Some(&12)));
            assert!(failures(&inflate).is_empty(), "{inflate:?}");
        }
    }
}

/// Truncated, altered and foreign input, by each of Python's ways to inflate: the same exception, word by word.
#[test]
fn bad_input_gets_the_errors_of_stock_zlib() {
    let simulator = Simulator::start(&[]);
    let scratch = Scratch::new("bad-streams");
    let program = scratch.file("inflate.py");
    fs::write(
        &program,
        r#"
import bz2, gzip, io, random, sys, traceback, zlib
random.seed(5)
words = [bytes(random.choices(b"abcdefghij", k=random.randint(2, 9))) for _ in range(500)]
plain = b" ".join(random.choices(words, k=120000))
def attempt(name, way):
    try:
        result = way()
        print(name, "gave", zlib.crc32(result), len(result))
    except Exception as error:
        print(name, "raised", repr(error))
for form, bits in ("zlib", 15), ("gzip", 31), ("raw", -15):
    maker = zlib.compressobj(6, zlib.DEFLATED, bits)
    good = maker.compress(plain) + maker.flush()
    # Compressed output may differ from stock's; the damage is done at places that do not depend on it.
    for title, bad in [("whole", good), ("half", good[:len(good) // 2]), ("no trailer", good[:-3]), ("empty", b""),
                       ("header only", good[:2]), ("text", b"this is no compressed data at all" * 40),
                       ("wrong trailer", good[:-1] + bytes([good[-1] ^ 1])), ("twice", good + good)]:
        if form == "raw" and title in ("no trailer", "wrong trailer"):
            continue
        if title == "half":
            attempt(f"{form} {title} object", lambda: zlib.decompressobj(bits).decompress(bad)[:10000])
        else:
            attempt(f"{form} {title} object", lambda: zlib.decompressobj(bits).decompress(bad))
        attempt(f"{form} {title} whole", lambda: zlib.decompress(bad, bits))
        if form == "gzip":
            attempt(f"{form} {title} module", lambda: gzip.decompress(bad))
            attempt(f"{form} {title} file", lambda: gzip.GzipFile(fileobj=io.BytesIO(bad)).read())
"#,
    )
    .unwrap();
    let seen = |command: &mut Command| {
        let output = run(command.arg(&program));
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let expected = seen(&mut stock(PYTHON));
    assert!(expected.0 == Some(0) && expected.1.matches("raised").count() > 15, "{expected:?}");
    for devices in [Devices::None, Devices::Simulated(&simulator)] {
        assert_eq!(seen(&mut scratch.client(PYTHON, devices)), expected);
    }
}

/// `gzip -t` is not a program of zlib, but what our files are tested with: it must also see our damage.
#[test]
fn stock_gzip_rejects_a_truncated_file_of_ours() {
    let simulator = Simulator::start(&[]);
    let scratch = Scratch::new("truncated");
    let (data, packed) = (scratch.file("data"), scratch.file("data.gz"));
    fs::write(&data, "a line of text that repeats\n".repeat(100_000)).unwrap();
    python_gzip(&scratch, Devices::Simulated(&simulator), &data, &packed);
    assert!(scratch.row("deflate").hardware > 0);
    let whole = fs::read(&packed).unwrap();
    fs::write(&packed, &whole[..whole.len() - 1]).unwrap();
    let output = stock("gzip").arg("-t").arg(&packed).stderr(Stdio::piped()).output().unwrap();
    assert!(!output.status.success());
}
