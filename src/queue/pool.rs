//! Which queues exist: one set per (device, queue class), shared by all threads, within the process's budget.
//!
//! The nearest device comes first, of equally near ones the least used. Opening and stopping hold no lock: requests that come meanwhile use another queue or
//! software, except under the policy `hardware`, where they wait for the opening. There is no thread: what is to be done
//! later (looking for devices, giving idle queues back) is done by a later call.

use std::cmp::Reverse;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant};

use uacce_sys::{DeviceInfo, Error, QueueClass, Roots};

use super::slots::Ticket;
use super::wait::coarse_time;
use super::{Opened, SharedQueue, fork, recover};
use crate::Algorithm;
use crate::config;
use crate::descriptor::TagPlace;
use crate::descriptor::sec;
use crate::descriptor::zip::Form;
use crate::health::Health;
use crate::request::compress::{Checksum, Window, Wrapper};
use crate::stats::Reason;

/// Where devices come from: the kernel, or a test.
pub(crate) trait Source: Send + Sync {
    /// The devices there are.
    fn devices(&self) -> Vec<Found>;
    /// Opens and starts a queue.
    /// # Errors
    /// As [`uacce_sys::open`].
    fn open(&self, found: &Found, class: u16) -> Result<Opened, Error>;
}

/// What is known of a device.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) api_version: u32,
    pub(crate) algorithms: Vec<String>,
    pub(crate) sva: bool,
    pub(crate) isolated: bool,
    /// The device's NUMA node, -1 unknown.
    pub(crate) numa_node: i32,
    pub(crate) numa_distance: Option<i32>,
    /// Queues that were free when it was found, over all processes.
    pub(crate) free_queues: Option<i64>,
    /// What opens it; none in tests.
    pub(crate) info: Option<DeviceInfo>,
}

impl Found {
    /// The same device in the same mode: what was concluded from one holds for the other. A driver that was loaded again may
    /// give the same name with or without a shared address space, and addresses mean something else then.
    fn is_same(&self, other: &Self) -> bool {
        let mode = |found: &Self| {
            found.info.as_ref().map(|info| {
                (info.path.clone(), info.api.clone(), info.flags, info.mmio_len_bytes, info.dus_len_bytes)
            })
        };
        self.name == other.name
            && self.api_version == other.api_version
            && self.algorithms == other.algorithms
            && self.sva == other.sva
            && mode(self) == mode(other)
    }
}

/// The kernel's devices.
#[derive(Debug)]
pub(crate) struct Kernel;

impl Source for Kernel {
    fn devices(&self) -> Vec<Found> {
        let found = |info: DeviceInfo| Found {
            name: info.name.clone(),
            api_version: info.api_version,
            algorithms: info.algorithms.clone(),
            sva: info.sva(),
            isolated: info.isolated || info.dev_state.is_some_and(|state| state < 0),
            numa_node: info.numa_node,
            numa_distance: info.numa_distance,
            free_queues: info.available_instances,
            info: Some(info),
        };
        uacce_sys::discover(&Roots::default()).into_iter().map(found).collect()
    }

    fn open(&self, found: &Found, class: u16) -> Result<Opened, Error> {
        // The look that found it may be long ago.
        let still = self.devices().iter().any(|now| now.is_same(found));
        match &found.info {
            Some(info) if still => uacce_sys::open(info, QueueClass(class)),
            _ => Err(Error::Gone),
        }
    }
}

/// Kinds of work, by the queue that serves them and the capability they ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// HPRE, class 0.
    Rsa,
    /// HPRE, class 0.
    Dh,
    /// HPRE, class 1, as all that follow to [`Self::X448`]: point multiplication.
    Ecdh,
    /// Signature and verification.
    Ecdsa,
    /// All four SM2 operations.
    Sm2,
    X25519,
    X448,
    /// SEC, class 0.
    Cipher,
    /// ZIP, class 0. Older devices have one window only.
    Deflate(Window),
    /// ZIP, class 1. The wrapper of the body decides which devices can.
    Inflate(Wrapper),
}

impl Work {
    /// The work behind a row of the counters. A body's wrapper is not known here: the one every ZIP device has.
    pub(crate) fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::RsaPrivate(_) => Self::Rsa,
            Algorithm::Dh(_) => Self::Dh,
            Algorithm::Ecdh(_) => Self::Ecdh,
            Algorithm::EcdsaSign(_) | Algorithm::EcdsaVerify(_) => Self::Ecdsa,
            Algorithm::X25519 => Self::X25519,
            Algorithm::X448 => Self::X448,
            Algorithm::Sm2Sign | Algorithm::Sm2Verify | Algorithm::Sm2Encrypt | Algorithm::Sm2Decrypt => {
                Self::Sm2
            }
            Algorithm::Aes256Cbc => Self::Cipher,
            Algorithm::Deflate => Self::Deflate(Window::K32),
            Algorithm::Inflate => Self::Inflate(Wrapper::Zlib),
        }
    }

    fn family(self) -> Family {
        match self {
            Self::Deflate(_) | Self::Inflate(_) => Family::Zip,
            Self::Cipher => Family::Sec,
            _ => Family::Hpre,
        }
    }

    /// The queue class that serves it (`hpre §1.1`, `zip §1`).
    fn class(self) -> u16 {
        match self {
            Self::Rsa | Self::Dh | Self::Cipher | Self::Deflate(_) => 0,
            Self::Ecdh | Self::Ecdsa | Self::Sm2 | Self::X25519 | Self::X448 | Self::Inflate(_) => 1,
        }
    }

    /// What an HPRE or SEC device must list to do it (`hpre §2.3`, `sec §5`); `None`: ZIP's, which has more conditions.
    fn capability(self) -> Option<&'static str> {
        Some(match self {
            Self::Rsa => "rsa",
            Self::Dh => "dh",
            Self::Ecdh => "ecdh",
            Self::Ecdsa => "ecdsa",
            Self::Sm2 => "sm2",
            Self::X25519 => "x25519",
            Self::X448 => "x448",
            Self::Cipher => "cipher",
            Self::Deflate(_) | Self::Inflate(_) => return None,
        })
    }
}

/// Every kind of work that HPRE does.
const HPRE: [Work; 7] = [Work::Rsa, Work::Dh, Work::Ecdh, Work::Ecdsa, Work::Sm2, Work::X25519, Work::X448];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Hpre,
    Sec,
    Zip,
}

/// A probe with a known answer, under way.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) queue: Arc<SharedQueue>,
    pub(crate) ticket: Ticket,
    /// Whose known answer is expected.
    pub(crate) work: Work,
}

impl Drop for Probe {
    fn drop(&mut self) {
        // Without effect when the answer was fetched: the claim is spent then.
        self.queue.abandon(&self.ticket);
    }
}

/// A device this library can drive.
#[derive(Debug)]
pub(crate) struct Device {
    found: Found,
    family: Family,
    /// Of a ZIP device.
    pub(crate) form: Form,
    /// Queue class 0, queue class 1.
    sets: [Set; 2],
}

/// The queues of one class of one device.
#[derive(Debug)]
pub(crate) struct Set {
    class: u16,
    tag_place: TagPlace,
    pub(crate) health: Health<Probe>,
    state: Mutex<SetState>,
    /// An opening ended.
    opened: Condvar,
}

#[derive(Debug)]
struct SetState {
    queues: Vec<Arc<SharedQueue>>,
    opening: bool,
    /// No attempt to open before, and why.
    retry: Option<(Instant, Reason)>,
    /// Attempts refused in a row.
    refusals: u32,
}

/// Requests outstanding on every queue of a set before another queue is opened.
const CROWDED: usize = 32;
/// Most queues of one set.
const SET_LIMIT: usize = 4;
/// How long a request under the policy `hardware` waits for another's opening.
const OPENING_LIMIT: Duration = Duration::from_secs(5);
/// A queue not used for this long may be closed for the sake of another device's.
const UNUSED_MS: u64 = 100;
/// Looks for devices are this much rarer while there are some.
const SETTLED_FACTOR: u32 = 10;

impl Device {
    /// Its entry name, e.g. `hisi_zip-4`.
    pub(crate) fn name(&self) -> &str {
        &self.found.name
    }

    /// `None`: not one of ours, or not usable in this process (no shared address space, isolated).
    fn new(found: Found) -> Option<Self> {
        let has = |name: &str| found.algorithms.iter().any(|algorithm| algorithm == name);
        let family = if HPRE.into_iter().filter_map(Work::capability).any(has) {
            Family::Hpre
        } else if Work::Cipher.capability().is_some_and(has) {
            Family::Sec
        } else if has("zlib") || has("gzip") || has("deflate") {
            Family::Zip
        } else {
            return None;
        };
        // Without SVA payloads would have to bounce through the reserved region (uacce-qm §7.3): the place for that is
        // `Flight`, which knows every address of a request. Until then such a device is not used.
        if !found.sva || found.isolated || found.api_version < 2 {
            return None;
        }
        let form = if found.api_version == 2 { Form::Type0 } else { Form::Type3 };
        let tag_place = match family {
            Family::Hpre => TagPlace::Hpre,
            Family::Sec => cipher_form(found.api_version).tag_place(),
            Family::Zip => form.tag_place(),
        };
        let sets = [0, 1].map(|class| Set::new(class, tag_place));
        Some(Self { found, family, form, sets })
    }

    /// The descriptors of a SEC device.
    pub(crate) fn cipher_form(&self) -> sec::Form {
        cipher_form(self.found.api_version)
    }

    fn lists(&self, name: &str) -> bool {
        self.found.algorithms.iter().any(|algorithm| algorithm == name)
    }

    /// The request type that compresses into raw blocks (`zlib-abi §2.1`): the one that comes with `checksum`, else the
    /// raw one, where there is one.
    pub(crate) fn deflate_wrapper(&self, checksum: Option<Checksum>) -> Option<Wrapper> {
        match checksum {
            Some(Checksum::Crc32) if self.lists("gzip") => Some(Wrapper::Gzip),
            Some(Checksum::Adler32) if self.lists("zlib") => Some(Wrapper::Zlib),
            _ if self.lists("deflate") && self.form == Form::Type3 => Some(Wrapper::Raw),
            _ if self.lists("zlib") => Some(Wrapper::Zlib),
            _ => None,
        }
    }

    fn can(&self, work: Work) -> bool {
        match work {
            // An older device's window is fixed: a stream that promised its reader less history would be broken (`zip §1.6`).
            Work::Deflate(window) => {
                self.deflate_wrapper(None).is_some() && (self.form == Form::Type3 || window == Window::K32)
            }
            // Raw deflate exists in the newer form only (`zip §1.3`).
            Work::Inflate(Wrapper::Raw) => self.lists("deflate") && self.form == Form::Type3,
            Work::Inflate(Wrapper::Zlib) => self.lists("zlib"),
            Work::Inflate(Wrapper::Gzip) => self.lists("gzip"),
            // HPRE's older interface has no curves, whatever its list says (`hpre §1.1`).
            listed => {
                let newer = listed.class() == 0 || self.found.api_version >= 3;
                newer && listed.capability().is_some_and(|name| self.lists(name))
            }
        }
    }

    pub(crate) fn set(&self, work: Work) -> &Set {
        let [zero, one] = &self.sets;
        if work.class() == 0 { zero } else { one }
    }

    /// Nearer devices sort first; of those equally near the one that others use least, or all processes would crowd on one.
    fn rank(&self, node: Option<i32>) -> (i32, bool, Reverse<i64>) {
        let elsewhere = node.is_some_and(|node| self.found.numa_node >= 0 && self.found.numa_node != node);
        let free = Reverse(self.found.free_queues.unwrap_or(0));
        (self.found.numa_distance.unwrap_or(0), elsewhere, free)
    }
}

/// The descriptors SEC reads: a device of the second generation knows the older ones only (`sec §1`).
fn cipher_form(api_version: u32) -> sec::Form {
    if api_version == 2 { sec::Form::Type2 } else { sec::Form::Type3 }
}

impl Set {
    fn new(class: u16, tag_place: TagPlace) -> Self {
        Self {
            class,
            tag_place,
            health: Health::new(),
            state: Mutex::new(SetState { queues: Vec::new(), opening: false, retry: None, refusals: 0 }),
            opened: Condvar::new(),
        }
    }

    /// Requests outstanding, and how many there could be; a set without a queue could open one.
    pub(crate) fn load(&self) -> (usize, usize) {
        let state = recover(self.state.lock());
        let usable = || state.queues.iter().filter(|queue| queue.usable());
        let capacity: usize = usable().map(|queue| queue.capacity()).sum();
        (usable().map(|queue| queue.outstanding()).sum(), capacity.max(1))
    }
}

/// The devices and queues of this process.
pub(crate) struct Pool {
    source: Box<dyn Source>,
    limits: config::Queue,
    start: Instant,
    /// The same moment by [`coarse_time`].
    coarse_start: Duration,
    devices: RwLock<Arc<[Arc<Device>]>>,
    any: AtomicBool,
    /// Serialises looking for devices.
    looking: Mutex<()>,
    /// Milliseconds since `start` of the next look; 0: at once.
    next_look_ms: AtomicU64,
    next_sweep_ms: AtomicU64,
    budget: Arc<AtomicU32>,
}

/// The right to one open queue; given back on drop.
#[derive(Debug)]
pub(crate) struct Permit(Arc<AtomicU32>);

impl Permit {
    fn take(budget: &Arc<AtomicU32>) -> Option<Self> {
        let taken = budget.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
        taken.ok().map(|_| Self(Arc::clone(budget)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl Pool {
    pub(crate) fn new(source: Box<dyn Source>, limits: &config::Queue) -> Self {
        Self {
            source,
            start: Instant::now(),
            coarse_start: coarse_time(),
            devices: RwLock::new(Arc::new([])),
            any: AtomicBool::new(false),
            looking: Mutex::new(()),
            next_look_ms: AtomicU64::new(0),
            next_sweep_ms: AtomicU64::new(0),
            budget: Arc::new(AtomicU32::new(limits.budget)),
            limits: limits.clone(),
        }
    }

    /// There was no device at the last look, and the next one is not due. What every request of a machine without devices
    /// asks, so it reads two words and the coarse clock.
    pub(crate) fn is_empty(&self) -> bool {
        let next_look_ms = self.next_look_ms.load(Ordering::Acquire);
        if next_look_ms == 0 || self.any.load(Ordering::Acquire) {
            return false;
        }
        let now_ms = coarse_time().saturating_sub(self.coarse_start).as_millis() + 1;
        now_ms < u128::from(next_look_ms)
    }

    /// What is due: a look for devices, idle queues given back. Cheap when nothing is.
    pub(crate) fn upkeep(&self, now: Instant) {
        let now_ms = self.clock(now);
        if now_ms >= self.next_look_ms.load(Ordering::Acquire) {
            self.look(now);
        }
        if self.any.load(Ordering::Acquire) && now_ms >= self.next_sweep_ms.load(Ordering::Relaxed) {
            self.sweep(now_ms);
        }
    }

    /// The devices that can do `work`, best first, and whether there is one of the family at all.
    pub(crate) fn candidates(&self, work: Work) -> (Vec<Arc<Device>>, bool) {
        if !self.any.load(Ordering::Acquire) {
            return (Vec::new(), false);
        }
        let devices = self.snapshot();
        let family = devices.iter().filter(|device| device.family == work.family());
        let able: Vec<_> = family.clone().filter(|device| device.can(work)).cloned().collect();
        (able, family.count() > 0)
    }

    /// Whether one of the devices can do `work`, and whether there is one of the family at all.
    pub(crate) fn presence(&self, work: Work) -> (bool, bool) {
        if !self.any.load(Ordering::Acquire) {
            return (false, false);
        }
        let devices = self.snapshot();
        let mut family = devices.iter().filter(|device| device.family == work.family()).peekable();
        let any = family.peek().is_some();
        (family.any(|device| device.can(work)), any)
    }

    /// A queue of `set`. `patient`: wait while another caller opens the set's first queue. `apart`: open another one rather
    /// than stand in line.
    /// # Errors
    /// [`Reason::Busy`], [`Reason::Reset`], [`Reason::NoDevice`].
    pub(crate) fn queue(
        &self,
        device: &Device,
        set: &Set,
        now: Instant,
        patient: bool,
        apart: bool,
    ) -> Result<Arc<SharedQueue>, Reason> {
        let crowd = if apart { 1 } else { CROWDED };
        let mut dropped = Vec::new();
        let mut state = recover(set.state.lock());
        let waited_until = now + OPENING_LIMIT;
        loop {
            dropped.extend(state.queues.extract_unusable());
            let best = state.queues.iter().min_by_key(|queue| queue.outstanding()).cloned();
            if let Some(queue) = best {
                let full = state.queues.len() >= SET_LIMIT || self.budget.load(Ordering::Acquire) == 0;
                let early = state.retry.is_some_and(|(retry, _)| now < retry);
                if full || early || state.opening || queue.outstanding() < crowd {
                    queue.touch(self.clock(now));
                    return Ok(queue);
                }
                break;
            }
            if !state.opening {
                break;
            }
            let left = waited_until.saturating_duration_since(Instant::now());
            if !patient || left.is_zero() {
                return Err(Reason::Busy);
            }
            state = set.opened.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        if let Some((_, reason)) = state.retry.filter(|(retry, _)| now < *retry) {
            return Err(reason);
        }
        state.opening = true;
        drop(state);
        let opening = Opening(set);
        // Queues that died are closed here, where nobody waits for the lock.
        drop(dropped);
        let opened = self.open(device, set);
        let mut state = recover(set.state.lock());
        let result = match opened {
            Ok(queue) => {
                state.refusals = 0;
                state.retry = None;
                queue.touch(self.clock(Instant::now()));
                state.queues.push(Arc::clone(&queue));
                Ok(queue)
            }
            Err((reason, mut pause)) => {
                if reason == Reason::Busy {
                    state.refusals = state.refusals.saturating_add(1);
                    let factor = 1 << (state.refusals - 1).min(6);
                    pause = pause.map(|pause| pause.saturating_mul(factor));
                }
                state.retry = pause.map(|pause| (Instant::now() + pause, reason));
                // A set that is merely crowded goes on with what it has.
                state.queues.iter().find(|queue| queue.usable()).cloned().ok_or(reason)
            }
        };
        drop(state);
        drop(opening);
        result
    }

    /// # Errors
    /// Why there is no queue, and for how long not to ask again. A device in reset is health's affair.
    fn open(&self, device: &Device, set: &Set) -> Result<Arc<SharedQueue>, (Reason, Option<Duration>)> {
        let full = (Reason::Busy, Some(self.limits.busy_retry));
        // One that may not be used will hardly be tomorrow.
        let barred = (Reason::NoDevice, Some(self.limits.rediscover * SETTLED_FACTOR));
        let permit = match Permit::take(&self.budget) {
            Some(permit) => permit,
            None => {
                self.give_back_one(self.clock(Instant::now()));
                Permit::take(&self.budget).ok_or(full)?
            }
        };
        match self.source.open(&device.found, set.class) {
            Ok(opened) => SharedQueue::new(opened, set.tag_place, permit)
                .map(Arc::new)
                .map_err(|reason| (reason, barred.1)),
            Err(Error::Busy) => Err(full),
            Err(Error::Stopped) => Err((Reason::Reset, None)),
            Err(Error::Gone) => {
                // Not where it was: look again at the next call.
                self.next_look_ms.store(0, Ordering::Release);
                Err((Reason::NoDevice, Some(self.limits.rediscover)))
            }
            Err(Error::Denied | Error::Unsupported) => Err(barred),
            Err(Error::Os(error)) if out_of(&error) => Err(full),
            Err(_) => Err((Reason::Reset, None)),
        }
    }

    /// Looks for devices. The first look is waited for, later ones by nobody but the caller.
    fn look(&self, now: Instant) {
        let first = self.next_look_ms.load(Ordering::Acquire) == 0 && !self.any.load(Ordering::Acquire);
        let looking = match self.looking.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                if first {
                    drop(recover(self.looking.lock()));
                }
                return;
            }
        };
        let node = fork::node();
        let known = self.snapshot();
        let found = self.source.devices();
        let mut devices: Vec<Arc<Device>> = Vec::with_capacity(found.len());
        for found in found {
            let same = known.iter().find(|device| device.found.is_same(&found));
            match same {
                Some(device) if !found.isolated => devices.push(Arc::clone(device)),
                _ => devices.extend(Device::new(found).map(Arc::new)),
            }
        }
        devices.sort_by_key(|device| device.rank(node));
        let any = !devices.is_empty();
        let old = std::mem::replace(
            &mut *self.devices.write().unwrap_or_else(PoisonError::into_inner),
            devices.into(),
        );
        self.any.store(any, Ordering::Release);
        let pause = if any { self.limits.rediscover * SETTLED_FACTOR } else { self.limits.rediscover };
        self.next_look_ms.store(self.clock(now + pause), Ordering::Release);
        drop(looking);
        // The queues of devices that went away are closed here, outside the locks.
        drop((old, known));
    }

    /// Closes queues that nobody used for a while.
    fn sweep(&self, now_ms: u64) {
        let idle_ms = u64::try_from(self.limits.idle.as_millis()).unwrap_or(u64::MAX);
        let next = now_ms.saturating_add((idle_ms / 4).clamp(10, 1000));
        if self.next_sweep_ms.swap(next, Ordering::Relaxed) > now_ms {
            return;
        }
        let idle = |queue: &SharedQueue| {
            queue.outstanding() == 0 && now_ms.saturating_sub(queue.last_used_ms()) >= idle_ms
        };
        let mut given_back = Vec::new();
        for device in self.snapshot().iter() {
            for set in &device.sets {
                let mut state = recover(set.state.lock());
                let (old, kept) =
                    std::mem::take(&mut state.queues).into_iter().partition(|queue| idle(queue));
                state.queues = kept;
                given_back.push(old);
            }
        }
        // Closed here, outside the locks; a request that still found one of them keeps it until it is answered.
        drop::<Vec<Vec<Arc<SharedQueue>>>>(given_back);
    }

    /// The budget is spent: closes a queue that is not in use, if there is one.
    fn give_back_one(&self, now_ms: u64) {
        let unused = |queue: &Arc<SharedQueue>| {
            queue.outstanding() == 0 && now_ms.saturating_sub(queue.last_used_ms()) >= UNUSED_MS
        };
        for device in self.snapshot().iter() {
            for set in &device.sets {
                let mut state = recover(set.state.lock());
                if let Some(index) = state.queues.iter().position(unused) {
                    let queue = state.queues.remove(index);
                    drop(state);
                    drop(queue);
                    return;
                }
            }
        }
    }

    fn snapshot(&self) -> Arc<[Arc<Device>]> {
        Arc::clone(&self.devices.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Milliseconds since the pool was made, never 0.
    fn clock(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.start).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX - 1) + 1
    }
}

/// The process or the machine has no room for another file or mapping.
fn out_of(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EAGAIN))
}

/// Ends an opening, whatever became of it.
struct Opening<'a>(&'a Set);

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        recover(self.0.state.lock()).opening = false;
        self.0.opened.notify_all();
    }
}

trait ExtractUnusable {
    /// Removes the queues that take no more requests.
    fn extract_unusable(&mut self) -> Vec<Arc<SharedQueue>>;
}

impl ExtractUnusable for Vec<Arc<SharedQueue>> {
    fn extract_unusable(&mut self) -> Vec<Arc<SharedQueue>> {
        if self.iter().all(|queue| queue.usable()) {
            return Self::new();
        }
        let (usable, rest) = std::mem::take(self).into_iter().partition(|queue| queue.usable());
        *self = usable;
        rest
    }
}
