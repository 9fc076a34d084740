//! Load on the queues, every answer checked: threads that sign with a known key and compress, then inflate again.
//!
//! `load [--threads N] [--seconds N] [--operations N] [--forks N] [--rsa-only]`. Run it below `uacce-sim run --` for simulated
//! devices. `--operations`: that many rounds per thread and no longer, for counting instructions. Prints what the engines
//! answered and the processor time of this process; exits with 1 at the first wrong byte.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use warpdrive::request::compress::{DeflateSegment, InflateBody, Window, Wrapper};
use warpdrive::request::pkey::{RsaComponents, RsaPrivateKey};
use warpdrive::{Outcome, deflate, inflate, rsa_private};

const VECTORS: &str = include_str!("../tests/vectors/rsa-2048-private.txt");

struct Known {
    key: RsaPrivateKey,
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Default)]
struct Tally {
    hardware: AtomicU64,
    software: AtomicU64,
    slowest_us: AtomicU64,
    wrong: AtomicBool,
}

impl Tally {
    fn note(&self, hardware: bool, start: Instant) {
        let side = if hardware { &self.hardware } else { &self.software };
        side.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.slowest_us.fetch_max(micros, Ordering::Relaxed);
    }

    fn check(&self, right: bool, what: &str) {
        if !right && !self.wrong.swap(true, Ordering::Relaxed) {
            eprintln!("wrong: {what}");
        }
    }

    fn print(&self, who: &str) {
        println!(
            "{who}: hardware {} software {} slowest {} us",
            self.hardware.load(Ordering::Relaxed),
            self.software.load(Ordering::Relaxed),
            self.slowest_us.load(Ordering::Relaxed)
        );
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, otherwise: u64| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(otherwise)
    };
    let rsa_only = arguments.iter().any(|argument| argument == "--rsa-only");
    let end = Instant::now() + Duration::from_secs(number("--seconds", 3));
    let operations = number("--operations", u64::MAX);
    let end = if operations == u64::MAX { end } else { end + Duration::from_secs(3600) };
    let known = known();
    let tally = Tally::default();
    let mut children_ok = true;
    std::thread::scope(|scope| {
        for thread in 0..number("--threads", 4) {
            let (known, tally) = (&known, &tally);
            scope.spawn(move || {
                let mut seed = thread;
                let mut left = operations;
                while left > 0 && Instant::now() < end && !tally.wrong.load(Ordering::Relaxed) {
                    work(known, tally, seed, rsa_only);
                    seed += 1;
                    left -= 1;
                }
            });
        }
        children_ok = forks(number("--forks", 0), &known);
    });
    tally.print("parent");
    println!("processor time: {} us", cpu_time().as_micros());
    ExitCode::from(u8::from(tally.wrong.load(Ordering::Relaxed) || !children_ok))
}

/// User and system time of this process so far.
#[expect(unsafe_code, reason = "getrusage")]
fn cpu_time() -> Duration {
    // SAFETY: all-zero is a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a valid rusage for the kernel to fill.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    let part = |time: libc::timeval| {
        Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0))
            + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
    };
    part(usage.ru_utime) + part(usage.ru_stime)
}

/// One signature and, unless `rsa_only`, one compression and its way back.
fn work(known: &Known, tally: &Tally, seed: u64, rsa_only: bool) {
    let pick = usize::try_from(seed).unwrap_or(0) % known.pairs.len();
    let Some((input, expected)) = known.pairs.get(pick) else { return };
    let mut output = vec![0; input.len()];
    let start = Instant::now();
    let outcome = rsa_private(&known.key, input, &mut output, |answer| answer == expected, || ());
    let hardware = outcome == Outcome::Hardware(());
    tally.note(hardware, start);
    tally.check(!hardware || output == *expected, "signature");
    if rsa_only {
        return;
    }

    let len = 1000 + usize::try_from(seed.wrapping_mul(7919) % 400_000).unwrap_or(0);
    let plain: Vec<u8> = (0..len).map(|at| b"queue, doorbell, completion; "[(at * at / 7) % 29]).collect();
    let segment = DeflateSegment { input: Arc::new(plain), window: Window::K32, checksum: None };
    let start = Instant::now();
    let Outcome::Hardware(mut body) = deflate(&segment, |_| true, || ()) else {
        return tally.note(false, start);
    };
    tally.note(true, start);
    tally.check(body.bytes.ends_with(&[0, 0, 0xff, 0xff]), "sync marker");

    body.bytes.extend([3, 0]);
    let mut output = vec![0; len];
    let start = Instant::now();
    let request = InflateBody { input: &body.bytes, output: &mut output, wrapper: Wrapper::Raw };
    match inflate(request, |text, _| text == *segment.input, |_| ()) {
        Outcome::Hardware(sizes) => {
            tally.note(true, start);
            tally.check(sizes.consumed == body.bytes.len() && sizes.produced == len, "sizes");
            tally.check(output == *segment.input, "text");
        }
        Outcome::Software(()) => tally.note(false, start),
    }
}

/// Forks children one after the other while the threads work; each does some work of its own.
#[expect(unsafe_code, reason = "fork")]
fn forks(count: u64, known: &Known) -> bool {
    let mut good = 0;
    let mut hardware = 0;
    for _ in 0..count {
        // SAFETY: the child calls only what a forked child of a threaded program may hope to call, which is the point.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let tally = Tally::default();
            for seed in 0..3 {
                work(known, &tally, seed, false);
            }
            let code = if tally.wrong.load(Ordering::Relaxed) { 1 } else { 0 };
            let code = if tally.hardware.load(Ordering::Relaxed) > 0 { code } else { code | 2 };
            // SAFETY: leaves at once.
            unsafe { libc::_exit(code) };
        }
        let mut status = -1;
        let start = Instant::now();
        loop {
            // SAFETY: our own child and a valid integer.
            let ended = unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) };
            if ended == child {
                break;
            }
            if start.elapsed() > Duration::from_secs(30) {
                println!("child {child} hangs");
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) & 1 == 0 {
            good += 1;
            hardware += u64::from(libc::WEXITSTATUS(status) == 0);
        } else {
            println!("child ended with status {status:#x}");
        }
    }
    if count > 0 {
        println!("children: {good} of {count} well, {hardware} of them used hardware");
    }
    good == count
}

fn known() -> Known {
    let mut numbers: HashMap<&str, Vec<u8>> = HashMap::new();
    let mut pairs = Vec::new();
    for line in VECTORS.lines() {
        match line.split_once(' ') {
            Some(("#", _)) | None => {}
            Some(("in", hex)) => pairs.push((bytes(hex), Vec::new())),
            Some(("out", hex)) => pairs.iter_mut().rev().take(1).for_each(|pair| pair.1 = bytes(hex)),
            Some((name, hex)) => drop(numbers.insert(name, bytes(hex))),
        }
    }
    let part = |name: &str| numbers.get(name).map_or(&[][..], |number| number);
    let components = RsaComponents {
        n: part("n"),
        e: &[1, 0, 1],
        d: part("d"),
        p: part("p"),
        q: part("q"),
        dp: part("dp"),
        dq: part("dq"),
        qinv: part("qinv"),
    };
    match RsaPrivateKey::new(&components) {
        Ok(key) => Known { key, pairs },
        Err(error) => panic!("{error}"),
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let hex = if hex.len() % 2 == 1 { format!("0{hex}") } else { hex.to_owned() };
    (0..hex.len() / 2).filter_map(|at| u8::from_str_radix(hex.get(at * 2..at * 2 + 2)?, 16).ok()).collect()
}
