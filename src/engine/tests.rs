//! The whole path against a device that a thread plays: request, route, descriptor, ring, slot, answer, counters.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use uacce_sys::Error;
use uacce_sys::fake::{FakeDevice, Submission};

use super::hardware::Core;
use super::*;
use crate::config::Config;
use crate::health::known;
use crate::queue::inflight::device_view;
use crate::queue::pool::{Found, Source};
use crate::queue::{Opened, fork};
use crate::request::compress::{Checksum, DeflateSegment, DeflatedSegment, InflateBody, Window, Wrapper};
use crate::request::pkey::RsaPrivateKey;

mod cipher;
mod devices;
mod pieces;
mod pkey;
mod sm2;

mod model {
    //! What the played device computes: enough to see that each answer belongs to its request.

    #![expect(clippy::cast_possible_truncation, reason = "test data is small")]

    use super::*;

    fn dword(bytes: &[u8], index: usize) -> u32 {
        u32::from_le_bytes(bytes[index * 4..][..4].try_into().unwrap())
    }

    fn address(bytes: &[u8], index: usize) -> u64 {
        u64::from(dword(bytes, index)) | u64::from(dword(bytes, index + 1)) << 32
    }

    fn set(bytes: &mut [u8], index: usize, value: u32) {
        bytes[index * 4..][..4].copy_from_slice(&value.to_le_bytes());
    }

    /// Answers one descriptor as a good device would.
    pub(super) fn serve(descriptor: &mut [u8], class: u16) {
        match (descriptor.len(), class) {
            (64, 0) if descriptor[0] & 0x1f <= 1 => rsa(descriptor),
            (64, _) => pkey::serve(descriptor),
            (_, 0) => deflate(descriptor),
            _ => inflate(descriptor),
        }
    }

    /// Not RSA: the input with every byte turned over, which the tests' `check` knows. The known question gets the known
    /// answer.
    fn rsa(descriptor: &mut [u8]) {
        let width = (usize::from(descriptor[4]) + 1) * 8;
        let input = device_view::read(address(descriptor, 4), width);
        let answer: Vec<u8> = if input == known::pkey::rsa_input() {
            known::pkey::RSA_ANSWER.to_vec()
        } else {
            input.iter().map(|byte| !byte).collect()
        };
        device_view::write(address(descriptor, 6), &answer);
        descriptor[3] |= 0xc0;
    }

    fn deflate(descriptor: &mut [u8]) {
        let input = device_view::read(address(descriptor, 18), dword(descriptor, 4) as usize);
        let context = device_view::read(address(descriptor, 22) - 64, 65_536);
        assert!(context.iter().all(|&byte| byte == 0), "a stream starts with an empty context");
        let out = if input == known::text() { vec![7, 0, 0, 0xff, 0xff] } else { stored(&input, false) };
        assert!(out.len() <= dword(descriptor, 14) as usize, "9/8 is enough");
        device_view::write(address(descriptor, 20), &out);
        set(descriptor, 0, dword(descriptor, 4));
        set(descriptor, 1, out.len() as u32);
        set(descriptor, 31, adler(&input));
    }

    fn inflate(descriptor: &mut [u8]) {
        let input = device_view::read(address(descriptor, 18), dword(descriptor, 4) as usize);
        let (text, consumed) = if input == known::inflate_body(&mut []).input {
            (known::text(), input.len())
        } else {
            let Some(body) = unstored(&input) else {
                set(descriptor, 3, 0x20);
                return;
            };
            body
        };
        if text.len() > dword(descriptor, 14) as usize {
            set(descriptor, 3, 0x0e);
            return;
        }
        device_view::write(address(descriptor, 20), &text);
        set(descriptor, 0, consumed as u32);
        set(descriptor, 1, text.len() as u32);
    }

    /// Stored blocks (RFC 1951 §3.2.4), then the sync marker, or a final empty block.
    pub(super) fn stored(plain: &[u8], last: bool) -> Vec<u8> {
        let mut out = Vec::new();
        for chunk in plain.chunks(0xffff).chain([&[][..]]) {
            let len = chunk.len() as u16;
            out.push(u8::from(last && chunk.is_empty()));
            out.extend(len.to_le_bytes());
            out.extend((!len).to_le_bytes());
            out.extend(chunk);
        }
        out
    }

    /// The text of stored blocks up to the final one, and the bytes used.
    pub(super) fn unstored(mut rest: &[u8]) -> Option<(Vec<u8>, usize)> {
        let total = rest.len();
        let mut text = Vec::new();
        loop {
            let (head, tail) = rest.split_at_checked(5)?;
            let len = usize::from(u16::from_le_bytes([head[1], head[2]]));
            let (chunk, tail) = tail.split_at_checked(len)?;
            text.extend_from_slice(chunk);
            rest = tail;
            if head[0] & 1 == 1 {
                return Some((text, total - rest.len()));
            }
            if rest.is_empty() && head[0] == 0 && len == 0 {
                return Some((text, total));
            }
        }
    }

    fn adler(bytes: &[u8]) -> u32 {
        let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), &byte| {
            let a = (a + u32::from(byte)) % 65_521;
            (a, (b + a) % 65_521)
        });
        b << 16 | a
    }
}

/// What a played device does with one submission.
type Behaviour = Arc<dyn Fn(&FakeDevice, Submission, u16) + Send + Sync>;

/// Devices to be found, and who plays them.
#[derive(Clone)]
struct Lab {
    inner: Arc<LabState>,
}

struct LabState {
    found: Mutex<Vec<Found>>,
    behaviour: Mutex<Behaviour>,
    depth: u16,
    opens: AtomicUsize,
    looks: AtomicUsize,
    refuse: Mutex<Option<fn() -> Error>>,
    devices: Mutex<Vec<FakeDevice>>,
    /// Names of the devices that gave a queue.
    opened: Mutex<Vec<String>>,
}

fn good() -> Behaviour {
    Arc::new(|device, mut submission, class| {
        model::serve(&mut submission.descriptor, class);
        device.complete(submission.slot, &submission.descriptor);
    })
}

fn found(name: &str, api_version: u32, algorithms: &[&str]) -> Found {
    Found {
        name: name.into(),
        api_version,
        algorithms: algorithms.iter().map(|&name| name.into()).collect(),
        sva: true,
        isolated: false,
        numa_node: -1,
        numa_distance: None,
        free_queues: None,
        info: None,
    }
}

fn hpre() -> Found {
    found("hisi_hpre-2", 2, &["rsa", "dh"])
}

fn zip_v2() -> Found {
    found("hisi_zip-4", 2, &["zlib", "gzip"])
}

fn zip_v3() -> Found {
    found("hisi_zip-5", 3, &["zlib", "gzip", "deflate"])
}

impl Lab {
    fn new(found: Vec<Found>) -> Self {
        Self::with_depth(found, 1024)
    }

    fn with_depth(found: Vec<Found>, depth: u16) -> Self {
        Self {
            inner: Arc::new(LabState {
                found: Mutex::new(found),
                behaviour: Mutex::new(good()),
                depth,
                opens: AtomicUsize::new(0),
                looks: AtomicUsize::new(0),
                refuse: Mutex::new(None),
                devices: Mutex::new(Vec::new()),
                opened: Mutex::new(Vec::new()),
            }),
        }
    }

    fn behave(&self, behaviour: impl Fn(&FakeDevice, Submission, u16) + Send + Sync + 'static) {
        *self.inner.behaviour.lock().unwrap() = Arc::new(behaviour);
    }

    fn behave_well(&self) {
        *self.inner.behaviour.lock().unwrap() = good();
    }

    fn core(&self, toml: &str) -> Core {
        Core::new(Arc::new(Config::parse(toml).unwrap()), Box::new(self.clone()))
    }

    fn opens(&self) -> usize {
        self.inner.opens.load(Ordering::Relaxed)
    }

    fn devices(&self) -> Vec<FakeDevice> {
        self.inner.devices.lock().unwrap().clone()
    }
}

impl Source for Lab {
    fn devices(&self) -> Vec<Found> {
        self.inner.looks.fetch_add(1, Ordering::Relaxed);
        self.inner.found.lock().unwrap().clone()
    }

    fn open(&self, found: &Found, class: u16) -> Result<Opened, Error> {
        self.inner.opens.fetch_add(1, Ordering::Relaxed);
        if let Some(error) = *self.inner.refuse.lock().unwrap() {
            return Err(error());
        }
        let descriptor_len = if found.name.contains("hpre") { 64 } else { 128 };
        let (queue, submission, completion, device) = FakeDevice::queue(self.inner.depth, descriptor_len);
        self.inner.devices.lock().unwrap().push(device.clone());
        self.inner.opened.lock().unwrap().push(found.name.clone());
        let lab = self.clone();
        std::thread::spawn(move || {
            while !device.put() {
                if let Some(submission) = device.take(Duration::from_millis(50)) {
                    let behaviour = Arc::clone(&lab.inner.behaviour.lock().unwrap());
                    behaviour(&device, submission, class);
                }
            }
        });
        Ok((queue, submission, completion))
    }
}

const HARDWARE: &str = "[policy]\ndefault = \"hardware\"\n";

fn key() -> RsaPrivateKey {
    known::pkey::rsa_key().unwrap()
}

fn turned(input: &[u8]) -> Vec<u8> {
    input.iter().map(|byte| !byte).collect()
}

/// Signs a number made from `seed`; true when hardware answered, rightly.
fn sign(core: &Core, key: &RsaPrivateKey, seed: u32) -> bool {
    let mut input = vec![0; 256];
    input[252..].copy_from_slice(&seed.to_be_bytes());
    let mut output = vec![0x55; 256];
    let software = AtomicBool::new(false);
    let outcome = core.rsa_private(
        key,
        &input,
        &mut output,
        |answer| (answer == turned(&input)).into(),
        || software.store(true, Ordering::Relaxed),
    );
    let hardware = outcome == Outcome::Hardware(());
    assert_ne!(hardware, software.load(Ordering::Relaxed), "exactly one engine");
    if hardware {
        assert_eq!(output, turned(&input));
    } else {
        assert_eq!(output, [0x55; 256], "untouched");
    }
    hardware
}

fn run(core: &Core, segment: &DeflateSegment) -> Outcome<DeflatedSegment, ()> {
    core.finish_deflate(core.begin_deflate(segment, 0), |_| true, || ())
}

fn compress(core: &Core, plain: Vec<u8>) -> Option<Vec<u8>> {
    let segment = DeflateSegment { input: Arc::new(plain), window: Window::K32, checksum: None };
    match run(core, &segment) {
        Outcome::Hardware(segment) => Some(segment.bytes),
        Outcome::Software(()) => None,
    }
}

/// Requests counted as hardware, and as software with their reasons.
fn counts(core: &Core, algorithm: &str) -> (u64, Vec<(String, u64)>) {
    let row = core.counters.totals().algorithms.remove(algorithm).unwrap_or_default();
    let reasons = row.software.into_iter().filter(|(_, requests)| *requests > 0).collect();
    (row.hardware, reasons)
}

fn only(reason: &str, requests: u64) -> Vec<(String, u64)> {
    vec![(reason.to_owned(), requests)]
}

const RSA: &str = "rsa-2048-private";

#[test]
fn every_eligible_request_of_a_single_thread_is_hardware_from_the_first_one_on() {
    let lab = Lab::new(vec![hpre(), zip_v2()]);
    let core = lab.core(HARDWARE);
    let key = key();
    for seed in 0..200 {
        assert!(sign(&core, &key, seed));
    }
    for len in [1, 2, 255, 65_536, 70_001, 1 << 20] {
        let plain: Vec<u8> = (0..=250).cycle().take(len).collect();
        let bytes = compress(&core, plain.clone()).unwrap();
        assert!(bytes.ends_with(&known::SYNC_MARKER));
        assert_eq!(model::unstored(&bytes).unwrap().0, plain);
    }
    assert_eq!(counts(&core, RSA), (200, vec![]));
    assert_eq!(counts(&core, "deflate"), (6, vec![]));
    assert_eq!(lab.opens(), 2, "one queue for each class");
}

#[test]
fn bodies_are_inflated_through_copies_and_in_place() {
    for (device, wrapper) in [(zip_v2(), Wrapper::Gzip), (zip_v2(), Wrapper::Zlib), (zip_v3(), Wrapper::Raw)]
    {
        let lab = Lab::new(vec![device]);
        let core = lab.core(HARDWARE);
        for len in [1usize, 1000, 100_000, 3_000_000] {
            let plain: Vec<u8> = (0..=252).cycle().take(len).collect();
            let mut input = model::stored(&plain, true);
            let body_len = input.len();
            input.extend(b"what follows");
            let mut output = vec![0; len + 10];
            let body = InflateBody { input: &input, output: &mut output, wrapper };
            let sizes = match core.inflate(body, |_, _| true, |_| ()) {
                Outcome::Hardware(sizes) => sizes,
                Outcome::Software(()) => panic!("software for {len} bytes"),
            };
            assert_eq!((sizes.consumed, sizes.produced), (body_len, len));
            assert_eq!(output[..len], plain);
        }
        assert_eq!(counts(&core, "inflate"), (4, vec![]));
    }
}

#[test]
fn what_a_device_cannot_do_is_design_not_failure() {
    let lab = Lab::new(vec![zip_v2()]);
    let core = lab.core(HARDWARE);
    let input = model::stored(b"text", true);
    let body = InflateBody { input: &input, output: &mut [0; 10], wrapper: Wrapper::Raw };
    assert_eq!(core.inflate(body, |_, _| true, |_| 5), Outcome::Software(5));
    assert_eq!(counts(&core, "inflate"), (0, only("unsupported", 1)));
    assert!(!sign(&core, &key(), 1), "no public-key device");
    assert_eq!(counts(&core, RSA), (0, only("no-device", 1)));
    assert_eq!(lab.opens(), 0);
}

#[test]
fn devices_without_shared_addresses_or_isolated_are_not_used() {
    let odd = [
        Found { sva: false, ..hpre() },
        Found { isolated: true, ..hpre() },
        Found { api_version: 1, ..hpre() },
    ];
    for device in odd {
        let lab = Lab::new(vec![device]);
        let core = lab.core(HARDWARE);
        assert!(!sign(&core, &key(), 1));
        assert_eq!(counts(&core, RSA), (0, only("no-device", 1)));
        assert_eq!(lab.opens(), 0);
    }
}

#[test]
fn a_device_that_appears_later_is_found_and_looks_are_rare() {
    let lab = Lab::new(vec![]);
    let core = lab.core(&format!("{HARDWARE}[queue]\nrediscover-ms = 50\n"));
    let key = key();
    for seed in 0..1000 {
        assert!(!sign(&core, &key, seed));
    }
    assert!(lab.inner.looks.load(Ordering::Relaxed) < 100, "not at every request");
    *lab.inner.found.lock().unwrap() = vec![hpre()];
    wait_until(|| sign(&core, &key, 1));
}

#[test]
fn policy_software_does_not_even_look() {
    let lab = Lab::new(vec![hpre()]);
    let core = lab.core("[policy]\ndefault = \"software\"\n");
    assert!(!sign(&core, &key(), 1));
    assert_eq!(counts(&core, RSA), (0, only("policy", 1)));
    assert_eq!(lab.inner.looks.load(Ordering::Relaxed), 0);
}

#[test]
fn small_requests_stay_in_software_under_auto() {
    let lab = Lab::new(vec![zip_v3()]);
    let core = lab.core("");
    assert!(compress(&core, vec![1; 1000]).is_none());
    assert!(compress(&core, vec![1; 100_000]).is_some());
    assert_eq!(counts(&core, "deflate"), (1, only("small", 1)));
    assert_eq!(core.preview(Algorithm::Deflate, 100), Err(Reason::Small));
    assert_eq!(core.preview(Algorithm::Deflate, 100_000), Ok(()));
    assert_eq!(counts(&core, "deflate"), (1, only("small", 1)), "a preview is not counted");
}

#[test]
fn auto_leaves_a_slow_device_alone_and_tries_it_again_now_and_then() {
    let lab = Lab::new(vec![hpre()]);
    lab.behave(|device, mut submission, class| {
        std::thread::sleep(Duration::from_millis(2));
        model::serve(&mut submission.descriptor, class);
        device.complete(submission.slot, &submission.descriptor);
    });
    let core = lab.core("");
    let key = key();
    let hardware = (0..600).filter(|&seed| sign(&core, &key, seed)).count();
    // Eight to get to know it, then one request of software to compare, then one in 256.
    assert_eq!(hardware, 10);
    assert_eq!(counts(&core, RSA), (10, only("policy", 590)));
}

#[test]
fn eight_threads_share_queues_and_each_gets_its_own_answer() {
    let lab = Lab::with_depth(vec![hpre()], 16);
    let core = lab.core(HARDWARE);
    let key = key();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (core, key) = (&core, &key);
            scope.spawn(move || {
                for request in 0..2000 {
                    assert!(sign(core, key, thread * 1_000_000 + request));
                }
            });
        }
    });
    assert_eq!(counts(&core, RSA), (16_000, vec![]));
    assert_eq!(lab.opens(), 1, "waited for, not opened again");
}

#[test]
fn more_threads_than_slots_get_software_not_a_wait() {
    let lab = Lab::with_depth(vec![hpre()], 4);
    let core = lab.core(&format!("{HARDWARE}[queue]\nbudget = 1\n"));
    let key = key();
    let hardware = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (core, key, hardware) = (&core, &key, &hardware);
            scope.spawn(move || {
                for request in 0..500 {
                    if sign(core, key, thread * 1_000_000 + request) {
                        hardware.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let (counted, reasons) = counts(&core, RSA);
    assert_eq!(counted, hardware.load(Ordering::Relaxed) as u64);
    assert!(reasons.iter().all(|(reason, _)| reason == "busy"), "{reasons:?}");
    assert_eq!(counted + reasons.iter().map(|(_, requests)| requests).sum::<u64>(), 4000);
}

/// A core whose device behaves as told, short deadlines and pauses.
fn impatient(lab: &Lab) -> Core {
    lab.core(&format!(
        "{HARDWARE}[wait]\ndeadline-ms = 300\n[health]\npause-min-ms = 20\npause-max-ms = 100\n"
    ))
}

/// Tries until it works; a device that never comes back fails the test.
fn wait_until(mut works: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !works() {
        assert!(Instant::now() < end, "never came back");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn each_way_to_fail_gives_software_is_counted_and_is_recovered_from() {
    type Misdeed = fn(&FakeDevice, Submission);
    let misdeeds: [(&str, &str, Misdeed); 9] = [
        ("lost", "time-out", |_, _| {}),
        ("wild index", "device-error", |device, submission| {
            device.complete(submission.slot, &submission.descriptor);
            device.write_entry(60_000, uacce_sys::fake::Phase::Right);
        }),
        ("wrong slot", "device-error", |device, mut submission| {
            model::serve(&mut submission.descriptor, 0);
            device.complete(submission.slot + 1, &submission.descriptor);
        }),
        ("wrong tag", "device-error", |device, mut submission| {
            model::serve(&mut submission.descriptor, 0);
            submission.descriptor[32] ^= 0x40;
            device.complete(submission.slot, &submission.descriptor);
        }),
        ("wrong generation", "device-error", |device, mut submission| {
            model::serve(&mut submission.descriptor, 0);
            submission.descriptor[34] ^= 1;
            device.complete(submission.slot, &submission.descriptor);
        }),
        ("never processed", "device-error", |device, submission| {
            device.complete(submission.slot, &submission.descriptor);
        }),
        ("wrong phase", "time-out", |device, submission| {
            device.write_entry(submission.slot, uacce_sys::fake::Phase::Wrong);
        }),
        ("stopped", "reset", |device, _| device.set_status(1, 1)),
        ("hung up", "reset", |device, _| device.hang_up()),
    ];
    for (name, reason, misdeed) in misdeeds {
        let lab = Lab::new(vec![hpre()]);
        let core = impatient(&lab);
        let key = key();
        assert!(sign(&core, &key, 1), "{name}: good at first");
        lab.behave(move |device, submission, _| misdeed(device, submission));
        let start = Instant::now();
        assert!(!sign(&core, &key, 2), "{name}");
        assert!(start.elapsed() < Duration::from_secs(5), "{name}");
        lab.behave_well();
        let (_, reasons) = counts(&core, RSA);
        assert_eq!(reasons, only(reason, 1), "{name}");
        wait_until(|| sign(&core, &key, 3));
        for seed in 0..50 {
            assert!(sign(&core, &key, seed), "{name}: good again");
        }
        let (_, reasons) = counts(&core, RSA);
        assert!(
            reasons
                .iter()
                .all(|(counted, requests)| counted == "paused" || (counted == reason && *requests == 1)),
            "{name}: {reasons:?}"
        );
    }
}

#[test]
fn one_refusal_is_the_request_s_three_in_a_row_the_device_s() {
    let lab = Lab::new(vec![hpre()]);
    let core = impatient(&lab);
    let key = key();
    lab.behave(|device, mut submission, _| {
        submission.descriptor[0] |= 0x20;
        submission.descriptor[3] |= 0xc0;
        device.complete(submission.slot, &submission.descriptor);
    });
    for seed in 0..4 {
        assert!(!sign(&core, &key, seed));
    }
    let (_, reasons) = counts(&core, RSA);
    assert_eq!(reasons, [("device-error".to_owned(), 3), ("paused".to_owned(), 1)]);
    lab.behave_well();
    wait_until(|| sign(&core, &key, 9));
}

#[test]
fn a_wrong_result_is_thrown_away_and_three_known_answers_are_wanted() {
    let lab = Lab::new(vec![hpre()]);
    let core = impatient(&lab);
    let key = key();
    assert!(sign(&core, &key, 1));
    let probes = Arc::new(AtomicUsize::new(0));
    lab.behave(|device, mut submission, class| {
        model::serve(&mut submission.descriptor, class);
        let output = u64::from_le_bytes(submission.descriptor[24..32].try_into().unwrap());
        device_view::write(output, &[0xee]);
        device.complete(submission.slot, &submission.descriptor);
    });
    assert!(!sign(&core, &key, 2));
    assert_eq!(counts(&core, RSA).1, only("wrong-result", 1));
    let counted = Arc::clone(&probes);
    lab.behave(move |device, mut submission, class| {
        counted.fetch_add(1, Ordering::SeqCst);
        model::serve(&mut submission.descriptor, class);
        device.complete(submission.slot, &submission.descriptor);
    });
    wait_until(|| sign(&core, &key, 3));
    // Three probes and the request itself.
    assert_eq!(probes.load(Ordering::SeqCst), 4);
}

/// A stream asks first and sends nothing to a device that is paused: its asking alone must bring the device back.
#[test]
fn a_paused_device_comes_back_for_callers_that_only_ask() {
    let lab = Lab::new(vec![zip_v3()]);
    let core = impatient(&lab);
    let plain: Vec<u8> = (0..=250).cycle().take(70_000).collect();
    let ask = || core.preview(Algorithm::Deflate, plain.len());
    assert_eq!(ask(), Ok(()));
    lab.behave(|device, _, _| device.set_status(1, 1));
    assert!(compress(&core, plain.clone()).is_none());
    lab.behave_well();
    assert_eq!(ask(), Err(Reason::Paused));
    wait_until(|| ask().is_ok());
    assert!(compress(&core, plain.clone()).is_some());
    assert_eq!(counts(&core, "deflate"), (1, only("reset", 1)));
}

/// The same wrong answer, with the request to blame: software, and the device goes on as before.
#[test]
fn a_bad_input_is_no_fault_of_the_device() {
    let lab = Lab::new(vec![hpre()]);
    let core = impatient(&lab);
    let key = key();
    let mut output = [0x55; 256];
    let outcome = core.rsa_private(&key, &[1; 256], &mut output, |_| Verdict::BadInput, || "software");
    assert_eq!(outcome, Outcome::Software("software"));
    assert_eq!(output, [0x55; 256]);
    assert_eq!(counts(&core, RSA), (0, only("unsupported", 1)));
    assert!(sign(&core, &key, 1), "at once");
    assert_eq!(counts(&core, RSA), (1, only("unsupported", 1)));
}

#[test]
fn a_duplicate_completion_ends_the_queue_and_hurts_no_request() {
    let lab = Lab::new(vec![hpre()]);
    let core = impatient(&lab);
    let key = key();
    lab.behave(|device, mut submission, class| {
        model::serve(&mut submission.descriptor, class);
        device.complete(submission.slot, &submission.descriptor);
        device.write_entry(submission.slot, uacce_sys::fake::Phase::Right);
    });
    for seed in 0..20 {
        sign(&core, &key, seed);
    }
    lab.behave_well();
    wait_until(|| sign(&core, &key, 21));
    let (_, reasons) = counts(&core, RSA);
    assert!(reasons.iter().any(|(reason, _)| reason == "device-error" || reason == "paused"), "{reasons:?}");
    assert!(lab.opens() > 1);
}

#[test]
fn a_late_completion_frees_what_its_request_left_behind() {
    let lab = Lab::new(vec![zip_v3()]);
    let core = impatient(&lab);
    let held: Arc<Mutex<Vec<(FakeDevice, Submission)>>> = Arc::default();
    let kept = Arc::clone(&held);
    lab.behave(move |device, submission, _| kept.lock().unwrap().push((device.clone(), submission)));
    let input = Arc::new(vec![5; 70_000]);
    let segment = DeflateSegment { input: Arc::clone(&input), window: Window::K32, checksum: None };
    // Two at once: the first to give up must not take the queue away from the second's memory.
    let core = &core;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let segment = segment.clone();
            scope.spawn(move || assert!(matches!(run(core, &segment), Outcome::Software(()))));
        }
    });
    drop(segment);
    // Answers now would be a use of freed memory if anything had been given back; the queue is closed by its last user,
    // and only then the input is let go.
    for (device, mut submission) in held.lock().unwrap().drain(..) {
        if !device.put() {
            model::serve(&mut submission.descriptor, 0);
            device.complete(submission.slot, &submission.descriptor);
        }
    }
    wait_until(|| {
        core.preview(Algorithm::Deflate, 70_000).ok();
        compress(core, vec![1; 10]);
        Arc::strong_count(&input) == 1
    });
}

#[test]
fn a_caller_s_own_memory_comes_back_only_when_the_queue_is_closed() {
    let lab = Lab::new(vec![zip_v3()]);
    let core = impatient(&lab);
    lab.behave(|device, _, _| device.hold_stop(true));
    let plain = vec![3; 2_000_000];
    let input = model::stored(&plain, true);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut output = vec![0; 2_000_000];
            let body = InflateBody { input: &input, output: &mut output, wrapper: Wrapper::Raw };
            let outcome = core.inflate(body, |_, _| true, |body| body.output.len());
            assert_eq!(outcome, Outcome::Software(2_000_000));
            done.store(true, Ordering::SeqCst);
        });
        wait_until(|| lab.devices().first().is_some_and(FakeDevice::put));
        // The kernel still drains: the device may still write.
        assert!(!done.load(Ordering::SeqCst));
        lab.devices()[0].hold_stop(false);
    });
    assert_eq!(counts(&core, "inflate"), (0, only("time-out", 1)));
}

#[test]
fn a_stop_in_mid_load_leaves_every_caller_with_an_answer() {
    let lab = Lab::new(vec![hpre()]);
    let core = impatient(&lab);
    let key = key();
    let over = AtomicBool::new(false);
    let requests = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (core, key, over, requests) = (&core, &key, &over, &requests);
            scope.spawn(move || {
                let mut seed = thread * 1_000_000;
                while !over.load(Ordering::Relaxed) {
                    sign(core, key, seed);
                    seed += 1;
                    requests.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut answered = 0;
        for _ in 0..5 {
            wait_until(|| counts(&core, RSA).0 > answered);
            lab.devices().last().unwrap().set_status(1, 1);
            answered = counts(&core, RSA).0;
        }
        wait_until(|| counts(&core, RSA).0 > answered);
        over.store(true, Ordering::Relaxed);
    });
    let (hardware, reasons) = counts(&core, RSA);
    let software: u64 = reasons.iter().map(|(_, requests)| requests).sum();
    assert_eq!(hardware + software, requests.load(Ordering::Relaxed) as u64);
    assert!(reasons.iter().all(|(reason, _)| reason == "reset" || reason == "paused"), "{reasons:?}");
}

#[test]
fn every_queue_taken_backs_off_and_comes_back() {
    let lab = Lab::new(vec![hpre()]);
    let core = impatient(&lab);
    let key = key();
    *lab.inner.refuse.lock().unwrap() = Some(|| Error::Busy);
    for seed in 0..200 {
        assert!(!sign(&core, &key, seed));
    }
    assert_eq!(counts(&core, RSA), (0, only("busy", 200)));
    assert!(lab.opens() < 50, "not tried at every request");
    *lab.inner.refuse.lock().unwrap() = None;
    wait_until(|| sign(&core, &key, 1));
}

#[test]
fn a_device_that_may_not_be_opened_is_no_device() {
    let lab = Lab::new(vec![hpre()]);
    let core = lab.core(HARDWARE);
    *lab.inner.refuse.lock().unwrap() = Some(|| Error::Denied);
    let key = key();
    for seed in 0..100 {
        assert!(!sign(&core, &key, seed));
    }
    assert_eq!(counts(&core, RSA), (0, only("no-device", 100)));
    assert_eq!(lab.opens(), 1);
}

#[test]
fn a_device_in_reset_is_paused_and_opened_again() {
    let lab = Lab::new(vec![hpre()]);
    let core = impatient(&lab);
    *lab.inner.refuse.lock().unwrap() = Some(|| Error::Stopped);
    let key = key();
    for seed in 0..20 {
        assert!(!sign(&core, &key, seed));
    }
    assert_eq!(counts(&core, RSA).1, [("paused".to_owned(), 19), ("reset".to_owned(), 1)]);
    *lab.inner.refuse.lock().unwrap() = None;
    wait_until(|| sign(&core, &key, 1));
}

#[test]
fn the_log_tells_of_a_failure_and_of_the_recovery_and_of_nothing_else() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("log");
    let lab = Lab::new(vec![hpre()]);
    let core = lab
        .core(&format!("{HARDWARE}[health]\npause-min-ms = 1\n[log]\nfile = {:?}\n", path.to_str().unwrap()));
    let key = key();
    assert!(sign(&core, &key, 1));
    assert!(!path.exists(), "nothing happened");
    lab.devices()[0].set_status(1, 1);
    assert!(!sign(&core, &key, 2));
    wait_until(|| sign(&core, &key, 3));
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> =
        text.lines().filter_map(|line| line.split_once("]: ")).map(|(_, said)| said).collect();
    let name = hpre().name;
    assert_eq!(lines.first(), Some(&format!("{name}: paused after a failure: reset").as_str()), "{text}");
    assert_eq!(lines.last(), Some(&format!("{name}: in use again").as_str()), "{text}");
}

#[test]
fn compressed_output_without_its_marker_is_a_wrong_result() {
    let lab = Lab::new(vec![zip_v2()]);
    let core = impatient(&lab);
    lab.behave(|device, mut submission, class| {
        model::serve(&mut submission.descriptor, class);
        let shorter = u32::from_le_bytes(submission.descriptor[4..8].try_into().unwrap()) - 1;
        submission.descriptor[4..8].copy_from_slice(&shorter.to_le_bytes());
        device.complete(submission.slot, &submission.descriptor);
    });
    assert!(compress(&core, vec![1; 1000]).is_none());
    assert_eq!(counts(&core, "deflate"), (0, only("wrong-result", 1)));
    lab.behave_well();
    wait_until(|| compress(&core, vec![1; 1000]).is_some());
}

#[test]
fn a_compressed_answer_that_fails_its_check_is_a_wrong_result() {
    let lab = Lab::new(vec![zip_v2()]);
    let core = impatient(&lab);
    let segment = DeflateSegment {
        input: Arc::new(vec![1; 1000]),
        window: Window::K32,
        checksum: Some(Checksum::Adler32),
    };
    let outcome = core.finish_deflate(
        core.begin_deflate(&segment, 0),
        // Adler-32 of a thousand ones, as the device says it; and yet.
        |made| made.checksum != Some(0xa765_03e9) || !made.bytes.ends_with(&known::SYNC_MARKER),
        || "software",
    );
    assert!(matches!(outcome, Outcome::Software("software")), "{outcome:?}");
    assert_eq!(counts(&core, "deflate"), (0, only("wrong-result", 1)));
    wait_until(|| compress(&core, vec![1; 1000]).is_some());
}

#[test]
fn the_checksum_comes_with_the_request_types_that_have_one() {
    for (checksum, device, told) in [
        (Some(Checksum::Adler32), zip_v3(), true),
        (Some(Checksum::Crc32), zip_v3(), true),
        (Some(Checksum::Crc32), found("hisi_zip-6", 2, &["zlib"]), false),
        (None, zip_v3(), false),
    ] {
        let core = Lab::new(vec![device]).core(HARDWARE);
        let segment = DeflateSegment { input: Arc::new(vec![1; 1000]), window: Window::K32, checksum };
        match run(&core, &segment) {
            Outcome::Hardware(made) => assert_eq!(made.checksum.is_some(), told, "{checksum:?}"),
            Outcome::Software(()) => panic!("{checksum:?}"),
        }
    }
}

#[test]
fn several_segments_of_one_caller_are_out_at_a_time_on_queues_of_their_own() {
    let lab = Lab::new(vec![zip_v3()]);
    let core = lab.core(HARDWARE);
    // Nobody answers before all are there.
    let held: Arc<Mutex<Vec<(FakeDevice, Submission)>>> = Arc::default();
    let kept = Arc::clone(&held);
    lab.behave(move |device, submission, class| {
        let mut kept = kept.lock().unwrap();
        kept.push((device.clone(), submission));
        if kept.len() == 6 {
            for (device, mut submission) in kept.drain(..) {
                model::serve(&mut submission.descriptor, class);
                device.complete(submission.slot, &submission.descriptor);
            }
        }
    });
    let texts: Vec<Vec<u8>> = (0..6).map(|seed| vec![seed; 70_000]).collect();
    let in_flight: Vec<_> = (0..6)
        .map(|ahead| {
            let input = Arc::new(texts[ahead].clone());
            core.begin_deflate(&DeflateSegment { input, window: Window::K32, checksum: None }, ahead)
        })
        .collect();
    for (in_flight, text) in in_flight.into_iter().zip(&texts) {
        match core.finish_deflate(in_flight, |_| true, || ()) {
            Outcome::Hardware(made) => assert_eq!(&model::unstored(&made.bytes).unwrap().0, text),
            Outcome::Software(()) => panic!("a device was there"),
        }
    }
    assert_eq!(counts(&core, "deflate"), (6, vec![]));
    assert_eq!(lab.opens(), 4, "as many queues as a set may have");
}

#[test]
fn a_segment_that_nobody_waits_for_leaves_its_memory_with_the_device() {
    let lab = Lab::new(vec![zip_v3()]);
    let core = lab.core(HARDWARE);
    let input = Arc::new(vec![5; 70_000]);
    let segment = DeflateSegment { input: Arc::clone(&input), window: Window::K32, checksum: None };
    drop(core.begin_deflate(&segment, 0));
    drop(segment);
    // Consumed, and let go, on behalf of a later request.
    wait_until(|| {
        compress(&core, vec![1; 10]);
        Arc::strong_count(&input) == 1
    });
    let (_, reasons) = counts(&core, "deflate");
    assert_eq!(reasons, vec![]);
}

#[test]
fn inflated_text_that_fails_its_check_is_a_wrong_result() {
    let lab = Lab::new(vec![zip_v2()]);
    let core = impatient(&lab);
    let input = model::stored(&[7; 1000], true);
    let mut output = [0; 2000];
    let body = InflateBody { input: &input, output: &mut output, wrapper: Wrapper::Zlib };
    let outcome = core.inflate(body, |text, done| text != [7; 1000] || done.produced != 1000, |_| "software");
    assert_eq!(outcome, Outcome::Software("software"));
    assert_eq!(counts(&core, "inflate"), (0, only("wrong-result", 1)));
}

#[test]
fn the_older_device_has_one_window_only() {
    let lab = Lab::new(vec![zip_v2()]);
    let core = lab.core(HARDWARE);
    let narrow = DeflateSegment { input: Arc::new(vec![1; 70_000]), window: Window::K4, checksum: None };
    assert!(matches!(run(&core, &narrow), Outcome::Software(())));
    assert_eq!(counts(&core, "deflate"), (0, only("unsupported", 1)));
    let newer = Lab::new(vec![zip_v3()]);
    assert!(matches!(run(&newer.core(HARDWARE), &narrow), Outcome::Hardware(_)));
}

#[test]
fn damaged_streams_are_software_s_to_explain() {
    let lab = Lab::new(vec![zip_v2()]);
    let core = impatient(&lab);
    let input = &model::stored(&[1; 1000], true)[..500];
    for _ in 0..5 {
        let body = InflateBody { input, output: &mut [0; 2000], wrapper: Wrapper::Zlib };
        assert_eq!(core.inflate(body, |_, _| true, |_| "data error"), Outcome::Software("data error"));
    }
    assert_eq!(counts(&core, "inflate"), (0, only("refused", 5)));
    let input = model::stored(&[1; 1000], true);
    let body = InflateBody { input: &input, output: &mut [0; 2000], wrapper: Wrapper::Zlib };
    assert!(matches!(core.inflate(body, |_, _| true, |_| ()), Outcome::Hardware(_)), "still trusted");
}

#[test]
fn the_budget_is_never_exceeded_and_unused_queues_make_room() {
    let lab = Lab::new(vec![hpre(), zip_v2()]);
    let core = lab.core(&format!("{HARDWARE}[queue]\nbudget = 1\n"));
    let key = key();
    assert!(sign(&core, &key, 1));
    assert!(compress(&core, vec![1; 1000]).is_none());
    assert_eq!(counts(&core, "deflate"), (0, only("busy", 1)));
    wait_until(|| compress(&core, vec![1; 1000]).is_some());
    assert!(lab.devices()[0].put(), "the other queue was closed");
}

#[test]
fn idle_queues_are_given_back() {
    let lab = Lab::new(vec![hpre(), zip_v2()]);
    let core = lab.core(&format!("{HARDWARE}[queue]\nidle-ms = 30\n"));
    assert!(sign(&core, &key(), 1));
    wait_until(|| {
        compress(&core, vec![1; 1000]);
        lab.devices()[0].put()
    });
    assert!(sign(&core, &key(), 1));
}

#[test]
fn a_forked_child_opens_its_own_queue_and_disturbs_nobody() {
    static PROCESS: PerProcess<Core> = PerProcess::new();
    let lab = Lab::new(vec![hpre()]);
    let core = PROCESS.value(|_| lab.core(HARDWARE));
    let key = key();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (key, over) = (&key, &over);
            scope.spawn(move || {
                let mut seed = thread * 1_000_000;
                while !over.load(Ordering::Relaxed) {
                    assert!(sign(core, key, seed));
                    seed += 1;
                }
            });
        }
        for child in 0..20 {
            let well = fork::in_child(|| {
                // Threads and locks of the parent's device are not here: the child brings its own.
                let lab = Lab::new(vec![hpre()]);
                let core = PROCESS
                    .value(|parent| Core::new(Arc::clone(&parent.unwrap().config), Box::new(lab.clone())));
                (0..20).all(|seed| sign(core, &key, child * 100 + seed)) && counts(core, RSA) == (20, vec![])
            });
            assert!(well, "child {child}");
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(counts(core, RSA).1, []);
    assert_eq!(lab.opens(), 1);
}

#[test]
fn errno_is_the_caller_s() {
    let lab = Lab::new(vec![]);
    let core = lab.core(HARDWARE);
    let _ = std::fs::File::open("/nonexistent/file");
    let before = std::io::Error::last_os_error().raw_os_error();
    assert!(!sign(&core, &key(), 1));
    assert_eq!(std::io::Error::last_os_error().raw_os_error(), before);
}
