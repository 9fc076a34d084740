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
mod compress;
mod devices;
mod failures;
mod pieces;
mod pkey;
mod queues;
mod routing;
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
