//! The zlib library beside the system's zlib, zlib-rs, zlib-ng and libdeflate, all in one process.
//!
//! `warpdrive-bench-engines LIBRARY FOLDER [--rounds N] [--count] [--kilobytes N]`. LIBRARY is opened as a program would; FOLDER
//! holds the inputs, one file each. Prints a table per input. Exit status 1 when a target is missed that is no named exception.
//! `--count`: each turn once and announced, for a tool that counts instructions; nothing is judged.

mod contest;
mod engines;
mod targets;
mod work;

use std::process::ExitCode;

use contest::{Plan, Player, Score, contest, pin};
use engines::{Format, Sum, Zlib};
use targets::{NEVER_SLOWER, Row, STREAM, Target, Verdict, WHOLE};
use work::{CHUNKS, Calls, Samples, Small};

/// All zlibs, by name; the first is the one that is judged.
struct Zlibs([(&'static str, Zlib); 4]);

impl Zlibs {
    fn ours(&self) -> Zlib {
        self.0[0].1
    }

    fn system(&self) -> Zlib {
        self.0[1].1
    }

    /// A player for each, told its level: the system's as asked, the others at the level that ours uses for it.
    fn players<'a>(
        &self,
        level: i32,
        make: impl Fn(&'static str, Zlib, i32) -> Player<'a>,
    ) -> Vec<Player<'a>> {
        let engine_level = targets::engine_level(level);
        self.0
            .iter()
            .map(|&(name, zlib)| {
                make(name, zlib, if matches!(name, OURS | SYSTEM) { level } else { engine_level })
            })
            .collect()
    }
}

pub const OURS: &str = "ours";
pub const SYSTEM: &str = "system";
const LEVELS: [i32; 3] = [1, 6, 9];
/// Parts of a stream, after each of which the next engine has its turn; and whole buffers.
const PIECES: usize = 32;
const WHOLE_PIECES: usize = 4;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, otherwise: usize| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(otherwise)
    };
    let [library, folder, ..] = &arguments[..] else {
        eprintln!("usage: warpdrive-bench-engines LIBRARY FOLDER [--rounds N] [--count] [--kilobytes N]");
        return ExitCode::from(2);
    };
    let count = arguments.iter().any(|argument| argument == "--count");
    let text = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).map_or("", String::as_str)
    };
    let rounds = number("--rounds", if count { 1 } else { 5 });
    let plan = Plan { rounds, announce: count, only: text("--only"), player: text("--player") };
    let zlibs = Zlibs([
        (OURS, Zlib::open(library)),
        (SYSTEM, Zlib::open("libz.so.1")),
        ("zlib-rs", Zlib::zlib_rs()),
        ("zlib-ng", Zlib::zlib_ng()),
    ]);
    pin();
    let mut verdict = Verdict::default();
    for name in ["text", "programs", "json"] {
        let mut plain = std::fs::read(format!("{folder}/{name}")).expect("an input");
        plain.truncate(number("--kilobytes", usize::MAX >> 10) << 10);
        large(plan, &zlibs, name, &plain, &mut verdict);
        if !count {
            sizes(&zlibs, name, &plain, &mut verdict);
        }
        if name != "programs" {
            little(plan, &zlibs, name, &plain, &mut verdict);
        }
    }
    let random = std::fs::read(format!("{folder}/random")).expect("an input");
    if !count {
        bounds(&zlibs, &random, &mut verdict);
    }
    checksums(plan, &zlibs, &random, &mut verdict);
    if count { ExitCode::SUCCESS } else { verdict.close() }
}

/// Streams in chunks of 16 KiB, and whole buffers.
fn large(plan: Plan<'_>, zlibs: &Zlibs, name: &str, plain: &[u8], verdict: &mut Verdict) {
    let (pieces, whole) = if plan.announce { (1, 1) } else { (PIECES, WHOLE_PIECES) };
    verdict.table(&format!("{name}, {} bytes", plain.len()));
    let mut row = |label: &str, targets: &'static [Target], pieces: usize, players: Vec<Player<'_>>| {
        let scores = contest(plan, &format!("{name} {label}"), pieces, players);
        verdict.row(Row { input: name, label, plain: plain.len(), operations: 1, scores: &scores, targets });
    };
    for level in LEVELS {
        let make = |name, zlib, level| work::deflate(name, zlib, level, plain, pieces, CHUNKS);
        row(&format!("deflate L{level}"), STREAM, pieces, zlibs.players(level, make));
    }
    for level in LEVELS {
        let make = |name, zlib, level| work::compress(name, zlib, level, plain, whole);
        let mut players = zlibs.players(level, make);
        players.push(work::compress_by_libdeflate(targets::whole_level(level), plain, whole));
        row(&format!("compress L{level}"), WHOLE, whole, players);
    }
    let gzip = Calls { format: Format::Gzip, ..CHUNKS };
    let make = |name, zlib, level| work::deflate(name, zlib, level, plain, pieces, gzip);
    row("deflate L6 gzip", STREAM, pieces, zlibs.players(6, make));
    for (label, format) in
        [("inflate", Format::Zlib), ("inflate gzip", Format::Gzip), ("inflate raw", Format::Raw)]
    {
        let calls = Calls { format, ..CHUNKS };
        let packed = work::deflated(zlibs.system(), 6, plain, calls);
        let make = |name, zlib, _| work::inflate(name, zlib, &packed, plain.len(), pieces, calls);
        row(label, STREAM, pieces, zlibs.players(6, make));
    }
    let packed = work::cut(zlibs.system(), plain, whole);
    let len = plain.len().div_ceil(whole);
    let mut players = zlibs.players(6, |name, zlib, _| work::uncompress(name, zlib, &packed, len));
    players.push(work::uncompress_by_libdeflate(&packed, len));
    row("uncompress", WHOLE, whole, players);
}

/// Every level's size, and that the system's zlib reads what ours wrote.
fn sizes(zlibs: &Zlibs, name: &str, plain: &[u8], verdict: &mut Verdict) {
    let mut back = vec![0; plain.len() + 1];
    let mut room = vec![0; work::compress_bound(plain.len())];
    for level in 1..=9 {
        let stock = work::deflated(zlibs.system(), level, plain, CHUNKS).len();
        let streamed = work::deflated(zlibs.ours(), level, plain, CHUNKS);
        let whole = zlibs.ours().compress(level, plain, &mut room).expect("compress2");
        for packed in [&streamed[..], &room[..whole]] {
            let len = zlibs.system().uncompress(packed, &mut back).expect("the system's zlib reads it");
            assert!(back[..len] == *plain, "{name} at level {level}: wrong bytes");
        }
        verdict.sizes(name, level, stock, streamed.len(), whole);
    }
}

/// Small buffers, small calls, streams that hardly begin.
fn little(plan: Plan<'_>, zlibs: &Zlibs, name: &str, plain: &[u8], verdict: &mut Verdict) {
    let count = if plan.announce { 2 } else { 16 };
    verdict.table(&format!("{name}, small"));
    for (len, repeats) in [(100, 40), (1 << 10, 20), (4 << 10, 8), (16 << 10, 3)] {
        let samples = Samples::new(plain, len, count, zlibs.system());
        for (label, what) in [
            ("compress L6", Small::Compress),
            ("uncompress", Small::Uncompress),
            ("deflate L6", Small::Deflate),
            ("deflate L6 again", Small::DeflateAgain),
            ("inflate", Small::Inflate),
            ("inflate again", Small::InflateAgain),
        ] {
            let label = format!("{label}, {len} bytes");
            let mut players =
                zlibs.players(6, |name, zlib, level| work::small(name, zlib, what, level, &samples, repeats));
            players.extend(work::small_by_libdeflate(what, 6, &samples, repeats));
            let scores = contest(plan, &format!("{name} {label}"), count, players);
            verdict.row(Row {
                input: name,
                label: &label,
                plain: len,
                operations: count * repeats,
                scores: &scores,
                targets: NEVER_SLOWER,
            });
        }
    }
    if name == "json" {
        return;
    }
    let samples = Samples::new(plain, 100, 1, zlibs.system());
    for (label, what) in [
        ("deflateInit, deflateEnd", Small::DeflateNothing),
        ("inflateInit, inflateEnd", Small::InflateNothing),
    ] {
        let players =
            zlibs.players(6, |name, zlib, level| work::small(name, zlib, what, level, &samples, 200));
        let scores = contest(plan, label, 1, players);
        verdict.row(Row {
            input: name,
            label,
            plain: 0,
            operations: 200,
            scores: &scores,
            targets: NEVER_SLOWER,
        });
    }
    let plain = &plain[..256 << 10];
    let pieces = if plan.announce { 1 } else { 8 };
    for (label, calls) in [
        ("deflate L6, 256 KiB in writes of 68 bytes", Calls { chunk: 68, ..CHUNKS }),
        ("deflate L6, 256 KiB in writes of 4 KiB", Calls { chunk: 4 << 10, ..CHUNKS }),
        (
            "deflate L6, 256 KiB, a sync flush each 200 bytes",
            Calls { chunk: 200, flush: work::Z_SYNC_FLUSH, ..CHUNKS },
        ),
    ] {
        let players =
            zlibs.players(6, |name, zlib, level| work::deflate(name, zlib, level, plain, pieces, calls));
        let scores = contest(plan, label, pieces, players);
        verdict.row(Row {
            input: name,
            label,
            plain: plain.len(),
            operations: 1,
            scores: &scores,
            targets: NEVER_SLOWER,
        });
    }
    let packed = work::deflated(zlibs.system(), 6, plain, CHUNKS);
    for (label, chunk) in
        [("inflate, 256 KiB in reads of 68 bytes", 68), ("inflate, 256 KiB in reads of 4 KiB", 4 << 10)]
    {
        let calls = Calls { chunk, ..CHUNKS };
        let players =
            zlibs.players(6, |name, zlib, _| work::inflate(name, zlib, &packed, plain.len(), pieces, calls));
        let scores = contest(plan, label, pieces, players);
        verdict.row(Row {
            input: name,
            label,
            plain: plain.len(),
            operations: 1,
            scores: &scores,
            targets: NEVER_SLOWER,
        });
    }
}

/// What cannot be compressed stays within the bound that callers have hard-coded.
fn bounds(zlibs: &Zlibs, random: &[u8], verdict: &mut Verdict) {
    for len in [1, 100, 1000, 16 << 10, 65_536, 1 << 20] {
        let plain = &random[..len];
        let bound = work::compress_bound(len);
        for level in 0..=9 {
            let streamed = work::deflated(zlibs.ours(), level, plain, CHUNKS).len();
            // zlib promises its bound to `compress2` and to one call of `deflate`; in chunks at level 0 it may be more.
            if level != 0 {
                verdict.bound(&format!("random, {len} bytes, level {level}, streamed"), streamed, bound);
            }
            let whole = zlibs.ours().compress(level, plain, &mut vec![0; bound]);
            verdict.bound(
                &format!("random, {len} bytes, level {level}, whole"),
                whole.unwrap_or(usize::MAX),
                bound,
            );
        }
    }
}

fn checksums(plan: Plan<'_>, zlibs: &Zlibs, bytes: &[u8], verdict: &mut Verdict) {
    verdict.table("checksums");
    for (name, sum) in [("crc32", Sum::Crc32), ("adler32", Sum::Adler32)] {
        for (len, repeats) in [(16, 4000), (1 << 10, 1000), (32 << 10, 60), (1 << 20, 2)] {
            let bytes = &bytes[..len];
            let label = format!("{name}, {len} bytes");
            let mut players =
                zlibs.players(6, |name, zlib, _| work::checksum(name, zlib, sum, bytes, repeats));
            players.push(work::checksum_by_libdeflate(sum, bytes, repeats));
            let pieces = if plan.announce { 1 } else { 8 };
            let scores: Vec<Score> = contest(plan, &label, pieces, players);
            let operations = pieces * repeats;
            let row = Row {
                input: "checksums",
                label: &label,
                plain: len,
                operations,
                scores: &scores,
                targets: NEVER_SLOWER,
            };
            verdict.row(row);
        }
    }
}
