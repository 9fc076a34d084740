//! What the library is held to, what is excepted and why, and the table.

use std::process::ExitCode;

use crate::contest::Score;
use crate::{OURS, SYSTEM};

/// At least this times an engine's speed.
pub struct Target {
    against: &'static str,
    least: f64,
}

const fn at_least(least: f64, against: &'static str) -> Target {
    Target { against, least }
}

/// Streams: the same engine loses next to nothing by what stands around it, and zlib-ng at the same level makes the same bytes.
pub const STREAM: &[Target] = &[at_least(0.97, "zlib-rs"), at_least(1.0, "zlib-ng"), at_least(1.0, SYSTEM)];
/// Whole buffers.
pub const WHOLE: &[Target] = &[at_least(0.95, "libdeflate"), at_least(1.0, SYSTEM)];
/// Whatever else.
pub const NEVER_SLOWER: &[Target] = &[at_least(1.0, SYSTEM)];

/// By so much two measurements of the same code differ here.
const TOLERANCE: f64 = 0.03;
/// Compressed size, at most this times the system's.
const SIZE_MOST: f64 = 1.03;

/// The engine's level for zlib's, in streams (docs/decisions.md).
pub fn engine_level(level: i32) -> i32 {
    if level == 1 { 2 } else { level }
}

/// libdeflate's level for zlib's, for whole buffers.
pub fn whole_level(level: i32) -> i32 {
    level.min(8)
}

/// What misses its target and may: input ("" for any), beginning of the label, what it is measured against, and why.
const EXCEPTIONS: &[(&str, &str, &str, &str)] = &[
    ("", "deflate L1", "zlib-ng", "zlib-rs's own level 2 is slower than zlib-ng's"),
    (
        "",
        "inflate gzip",
        "zlib-rs",
        "strm->adler is right after every call; there it is told at the end only",
    ),
    ("", "inflate gzip", "zlib-ng", "as above"),
    ("", "uncompress", "libdeflate", "it takes code sets that zlib refuses, so the stream engine does it"),
    (
        "",
        "uncompress, 100 bytes",
        SYSTEM,
        "the engine alone takes all of stock zlib's time; choosing and counting add 0.2 us",
    ),
    ("", "inflate, 100 bytes", SYSTEM, "as above"),
    ("", "inflate again, 100 bytes", SYSTEM, "as above"),
    ("", "inflate, 1024 bytes", SYSTEM, "as above: 0.94 to 0.98"),
    ("", "inflate again, 1024 bytes", SYSTEM, "as above"),
    (
        "",
        "deflate L6, 100 bytes",
        SYSTEM,
        "the engine clears more than stock zlib for each stream (docs/decisions.md)",
    ),
    ("", "deflate L6 again, 100 bytes", SYSTEM, "as above"),
    ("", "compress L6, 100 bytes", SYSTEM, "as above"),
    ("", "deflate L6, 1024 bytes", SYSTEM, "as above"),
    ("", "deflate L6 again, 1024 bytes", SYSTEM, "as above"),
    ("", "inflateInit, inflateEnd", SYSTEM, "both calls hold thread cancellation off (docs/performance.md)"),
    ("json", "L9 streamed", "size", "the engine's highest level"),
];

fn exception(input: &str, label: &str, against: &str) -> Option<&'static str> {
    let found = EXCEPTIONS.iter().find(|(of, begins, with, _)| {
        (of.is_empty() || *of == input) && label.starts_with(begins) && *with == against
    });
    found.map(|(.., why)| *why)
}

/// A line of the table.
pub struct Row<'a> {
    pub input: &'a str,
    pub label: &'a str,
    /// Bytes of plain text of one operation.
    pub plain: usize,
    pub operations: usize,
    pub scores: &'a [Score],
    pub targets: &'static [Target],
}

/// What was found so far.
#[derive(Default)]
pub struct Verdict {
    missed: Vec<String>,
    excepted: Vec<String>,
    kept: usize,
}

impl Verdict {
    /// Begins a table.
    pub fn table(&mut self, title: &str) {
        println!("\n{title}\n");
        println!(
            "| processor time | system | ours | zlib-rs | zlib-ng | libdeflate | ours, wall | ours to zlib-rs, zlib-ng, libdeflate | size |"
        );
        println!("|---|---|---|---|---|---|---|---|---|");
    }

    /// Prints a line, speeds as multiples of the system's, and judges it.
    pub fn row(&mut self, row: Row<'_>) {
        let find = |name: &str| row.scores.iter().find(|score| score.name == name);
        let (Some(ours), Some(system)) = (find(OURS), find(SYSTEM)) else { return };
        let each = system.cpu / row.operations as f64;
        let speed = if row.plain >= 256 << 10 {
            format!("{:.0} MB/s", row.plain as f64 / each / 1e6)
        } else {
            format!("{:.0} ns", each * 1e9)
        };
        let times =
            |name: &str| find(name).map_or(String::new(), |score| format!("{:.2}", system.cpu / score.cpu));
        let to =
            |name: &str| find(name).map_or("-".to_owned(), |score| format!("{:.3}", score.cpu / ours.cpu));
        let size = ours.bytes as f64 / system.bytes.max(1) as f64;
        println!(
            "| {} | {speed} | {} | {} | {} | {} | {:.2} | {}, {}, {} | {size:.4} |",
            row.label,
            times(OURS),
            times("zlib-rs"),
            times("zlib-ng"),
            times("libdeflate"),
            system.wall / ours.wall,
            to("zlib-rs"),
            to("zlib-ng"),
            to("libdeflate"),
        );
        for target in row.targets {
            if let Some(other) = find(target.against) {
                let reached = other.cpu / ours.cpu;
                let what = format!("{} {}: {reached:.3} of {}", row.input, row.label, target.against);
                self.judge(reached >= target.least - TOLERANCE, row.input, row.label, target.against, what);
            }
        }
    }

    /// Sizes of one level, of the system's stream, our stream, our whole buffer.
    pub fn sizes(&mut self, input: &str, level: i32, stock: usize, streamed: usize, whole: usize) {
        for (how, len) in [("streamed", streamed), ("whole", whole)] {
            let ratio = len as f64 / stock as f64;
            println!("{input} L{level} {how}: {len} bytes, {ratio:.4} of {stock}");
            let what = format!("{input} L{level} {how}: {ratio:.4} of the system's size");
            self.judge(ratio <= SIZE_MOST, input, &format!("L{level} {how}"), "size", what);
        }
    }

    pub fn bound(&mut self, label: &str, len: usize, bound: usize) {
        self.judge(len <= bound, "random", label, "bound", format!("{label}: {len} of {bound} bytes"));
    }

    fn judge(&mut self, good: bool, input: &str, label: &str, against: &str, what: String) {
        match (good, exception(input, label, against)) {
            (true, _) => self.kept += 1,
            (false, Some(why)) => self.excepted.push(format!("{what} ({why})")),
            (false, None) => self.missed.push(what),
        }
    }

    /// Prints what was found; success if nothing was missed.
    pub fn close(self) -> ExitCode {
        println!("\n{} targets kept", self.kept);
        for what in &self.excepted {
            println!("excepted: {what}");
        }
        for what in &self.missed {
            println!("MISSED: {what}");
        }
        if self.missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
