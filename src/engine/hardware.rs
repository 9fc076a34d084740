//! The hardware engine: routes a request, lends it to a queue, judges the answer, tells health.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::{Config, Policy};
use crate::cost::{Class, Costs};
use crate::descriptor::Fault;
use crate::health::{Admission, known};
use crate::log::Log;
use crate::memory;
use crate::queue::inflight::Flight;
use crate::queue::pool::{Device, Kernel, Pool, Probe, Source, Work};
use crate::queue::{SharedQueue, Timing, wait};
use crate::request::cipher::Direction;
use crate::route::{self, Inputs, route};
use crate::stats::Counters;
use crate::{Algorithm, Reason};

/// Everything one process needs: configuration, counters, queues, measured costs.
pub(super) struct Core {
    pub(super) config: Arc<Config>,
    pub(super) counters: Counters,
    pub(super) costs: Costs,
    log: Log,
    pool: Pool,
    cpus: usize,
}

/// A request as routing sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) algorithm: Algorithm,
    /// What its cost is compared by.
    pub(super) class: Class,
    /// What one flight's latency is remembered by: the same, unless a request takes several flights.
    pub(super) flight: Class,
    pub(super) len_bytes: usize,
    pub(super) work: Work,
    /// The device judges data that came from outside and may be damaged: that it refuses some is no failure.
    pub(super) is_foreign: bool,
}

impl Ask {
    /// A request of `algorithm` whose form is not known more closely.
    pub(super) fn of(algorithm: Algorithm, len_bytes: usize) -> Self {
        Self::of_class(algorithm, super::class_of(algorithm, len_bytes), len_bytes)
    }

    pub(super) fn of_class(algorithm: Algorithm, class: Class, len_bytes: usize) -> Self {
        let work = Work::of(algorithm);
        let is_foreign = matches!(work, Work::Inflate(_)) || algorithm == Algorithm::Sm2Decrypt;
        Self { algorithm, class, flight: class, len_bytes, work, is_foreign }
    }

    /// A request of a cipher; who runs it notes what it cost as a whole.
    pub(super) fn of_cipher(direction: Direction, len_bytes: usize) -> Self {
        let ask = Self::of(Algorithm::Aes256Cbc, len_bytes);
        Self { class: Class::of_cipher(direction, len_bytes), ..ask }
    }

    /// A request that takes several flights; who runs it notes what it cost as a whole.
    pub(super) fn of_several_flights(algorithm: Algorithm, len_bytes: usize) -> Self {
        Self { flight: Class::of(algorithm, len_bytes, false), ..Self::of(algorithm, len_bytes) }
    }
}

/// A deadline grows by itself for each of this many bytes.
const DEADLINE_STEP: usize = 1 << 20;
/// Refusals in a row of requests that are valid by construction before the device is paused.
const PATIENCE: u32 = 3;
/// The same for streams that came from outside and may be damaged.
const PATIENCE_FOREIGN: u32 = 16;

impl Core {
    /// The core of this process; a child of a fork takes over what its parent had read.
    pub(super) fn in_process(parent: Option<&Self>) -> Self {
        let config = parent.map_or_else(|| Arc::new(Config::load()), |parent| Arc::clone(&parent.config));
        let core = Self::new(config, Box::new(Kernel));
        if let (Some(error), None) = (&core.config.error, parent) {
            core.log.note(format_args!("everything stays in software: {error}"));
        }
        core
    }

    pub(super) fn new(config: Arc<Config>, source: Box<dyn Source>) -> Self {
        memory::limit(&config.memory);
        Self {
            counters: Counters::open(&config),
            costs: Costs::new(),
            log: Log::open(&config.log),
            pool: Pool::new(source, &config.queue),
            cpus: wait::cpus(),
            config,
        }
    }

    pub(super) fn preview(&self, algorithm: Algorithm, len_bytes: usize) -> Result<(), Reason> {
        self.preview_of(&Ask::of(algorithm, len_bytes))
    }

    pub(super) fn presence(&self, algorithm: Algorithm) -> Result<(), Reason> {
        if self.config.policy(algorithm) == Policy::Software {
            return Ok(());
        }
        if self.pool.is_empty() {
            return Err(Reason::NoDevice);
        }
        self.pool.upkeep(Instant::now());
        match self.pool.presence(Work::of(algorithm)) {
            (true, _) => Ok(()),
            (false, true) => Err(Reason::Unsupported),
            (false, false) => Err(Reason::NoDevice),
        }
    }

    pub(super) fn preview_of(&self, ask: &Ask) -> Result<(), Reason> {
        if self.pool.is_empty() {
            return self.judge(ask, route::Device::Absent, None);
        }
        let now = Instant::now();
        let devices = self.route(ask, now)?;
        let good = devices.iter().find(|device| self.admitted(device, ask.work, now));
        self.judge(
            ask,
            good.map_or(route::Device::Paused, |_| route::Device::Ready),
            good.map(|d| d.set(ask.work).load()),
        )
    }

    /// Policy, presence, capability, size and cost: the devices that may serve `ask`, nearest first.
    fn route(&self, ask: &Ask, now: Instant) -> Result<Vec<Arc<Device>>, Reason> {
        if self.config.policy(ask.algorithm) == Policy::Software {
            // Not even a look for devices.
            self.judge(ask, route::Device::Absent, None)?;
        }
        self.pool.upkeep(now);
        let (able, any) = self.pool.candidates(ask.work);
        let device = match (able.is_empty(), any) {
            (false, _) => route::Device::Ready,
            (true, true) => route::Device::Incapable,
            (true, false) => route::Device::Absent,
        };
        self.judge(ask, device, None)?;
        Ok(able)
    }

    fn judge(&self, ask: &Ask, device: route::Device, load: Option<(usize, usize)>) -> Result<(), Reason> {
        let (outstanding, capacity) = load.unwrap_or((0, 1));
        let policy = self.config.policy(ask.algorithm);
        // Looked up only where they decide: a request that nobody can serve is over in no time.
        let compared = policy == Policy::Auto && device == route::Device::Ready;
        let estimate =
            |of: fn(&Costs, Class) -> Option<Duration>| compared.then(|| of(&self.costs, ask.class))?;
        route(&Inputs {
            policy,
            device,
            len_bytes: u64::try_from(ask.len_bytes).unwrap_or(u64::MAX),
            min_bytes: u64::try_from(self.config.min_bytes(ask.algorithm)).unwrap_or(u64::MAX),
            outstanding: u32::try_from(outstanding).unwrap_or(u32::MAX),
            capacity: u32::try_from(capacity).unwrap_or(u32::MAX),
            hardware: estimate(Costs::hardware_estimate),
            software: estimate(Costs::software_estimate),
        })
    }

    /// A healthy device and a queue of it, for a request whose side is settled: size and cost do not matter any more.
    pub(super) fn acquire_again(&self, ask: &Ask) -> Result<(Arc<Device>, Arc<SharedQueue>), Reason> {
        let now = Instant::now();
        if self.config.policy(ask.algorithm) == Policy::Software {
            return Err(Reason::Policy);
        }
        self.pool.upkeep(now);
        match self.pool.candidates(ask.work) {
            (devices, _) if !devices.is_empty() => self.pick(ask, devices, now, 0),
            (_, true) => Err(Reason::Unsupported),
            (_, false) => Err(Reason::NoDevice),
        }
    }

    /// A healthy device and a queue of it.
    pub(super) fn acquire(&self, ask: &Ask) -> Result<(Arc<Device>, Arc<SharedQueue>), Reason> {
        self.acquire_beside(ask, 0)
    }

    /// As [`Self::acquire`], for a caller with `ahead` requests out: those should not queue up behind each other.
    pub(super) fn acquire_beside(
        &self,
        ask: &Ask,
        ahead: usize,
    ) -> Result<(Arc<Device>, Arc<SharedQueue>), Reason> {
        let now = Instant::now();
        let policy = self.config.policy(ask.algorithm);
        let devices = match self.route(ask, now) {
            Ok(devices) if policy == Policy::Auto && self.costs.sample(ask.class) => {
                // Now and then the other engine is measured.
                drop(devices);
                return Err(Reason::Policy);
            }
            Ok(devices) => devices,
            Err(Reason::Policy) if policy == Policy::Auto && self.costs.sample(ask.class) => {
                self.pool.candidates(ask.work).0
            }
            Err(reason) => return Err(reason),
        };
        self.pick(ask, devices, now, ahead)
    }

    /// The first of `devices` that is healthy and gives a queue.
    fn pick(
        &self,
        ask: &Ask,
        devices: Vec<Arc<Device>>,
        now: Instant,
        ahead: usize,
    ) -> Result<(Arc<Device>, Arc<SharedQueue>), Reason> {
        let policy = self.config.policy(ask.algorithm);
        let mut refused = Reason::Paused;
        for device in devices {
            let set = device.set(ask.work);
            if !self.admitted(&device, ask.work, now) {
                continue;
            }
            match self.pool.queue(&device, set, now, policy == Policy::Hardware, ahead > 0) {
                Ok(queue) => return Ok((device, queue)),
                Err(reason) => {
                    if reason == Reason::Reset {
                        set.health.failed(now, &self.config.health);
                        self.log.note(format_args!(
                            "{}: paused, gives no queue: {}",
                            device.name(),
                            reason.name()
                        ));
                    }
                    refused = reason;
                }
            }
        }
        Err(refused)
    }

    /// Lends a request to the queue and waits for it. `flight` gives `None` where there is no memory for it: that is nobody's
    /// failure, and software needs less.
    pub(super) fn fly(
        &self,
        ask: &Ask,
        device: &Device,
        queue: &SharedQueue,
        flight: impl FnOnce(&Device) -> Option<Box<Flight>>,
    ) -> Result<Box<Flight>, Reason> {
        let start = Instant::now();
        let flight = flight(device).ok_or(Reason::Busy)?;
        let answered = queue.submit(flight).and_then(|ticket| queue.wait(&ticket, &self.timing(ask)));
        self.arrived(ask, device, queue, start, answered)
    }

    /// Notes how long an answer took, or why there is none.
    pub(super) fn arrived(
        &self,
        ask: &Ask,
        device: &Device,
        queue: &SharedQueue,
        start: Instant,
        answered: Result<Box<Flight>, Reason>,
    ) -> Result<Box<Flight>, Reason> {
        let failed = match &answered {
            Ok(_) => {
                self.costs.note_hardware(ask.flight, start.elapsed());
                // Right for us, and something impossible behind it.
                queue.death().is_some()
            }
            Err(reason) => *reason != Reason::Busy,
        };
        if failed {
            let why = answered.as_ref().err().map_or("impossible completion", |reason| reason.name());
            self.broken(ask, device, queue, why);
        }
        answered
    }

    /// A request that the queue would not take. A full queue is no failure.
    pub(super) fn lost(&self, ask: &Ask, device: &Device, queue: &SharedQueue, reason: Reason) {
        if reason != Reason::Busy {
            self.broken(ask, device, queue, reason.name());
        }
    }

    fn broken(&self, ask: &Ask, device: &Device, queue: &SharedQueue, why: &str) {
        if queue.first_report() {
            device.set(ask.work).health.failed(Instant::now(), &self.config.health);
            self.log.note(format_args!("{}: paused after a failure: {why}", device.name()));
        }
    }

    /// Tells health what the completed descriptor says.
    pub(super) fn judged<T>(
        &self,
        ask: &Ask,
        device: &Device,
        queue: &SharedQueue,
        answer: Result<T, Fault>,
    ) -> Result<T, Reason> {
        let health = &device.set(ask.work).health;
        match answer {
            Ok(answer) => {
                health.answered();
                Ok(answer)
            }
            Err(Fault::Status(_)) => {
                let patience = if ask.is_foreign { PATIENCE_FOREIGN } else { PATIENCE };
                health.refused(Instant::now(), &self.config.health, patience);
                Err(if ask.is_foreign { Reason::Refused } else { Reason::DeviceError })
            }
            Err(Fault::Impossible) => {
                queue.retire();
                health.failed(Instant::now(), &self.config.health);
                self.log.note(format_args!("{}: paused after an impossible answer", device.name()));
                Err(Reason::DeviceError)
            }
        }
    }

    pub(super) fn wrong(&self, ask: &Ask, device: &Device) -> Reason {
        device.set(ask.work).health.wrong(Instant::now(), &self.config.health);
        self.log.note(format_args!(
            "{}: paused after a wrong result of {}",
            device.name(),
            ask.algorithm.name()
        ));
        Reason::WrongResult
    }

    pub(super) fn timing(&self, ask: &Ask) -> Timing<'_> {
        let steps = match ask.work {
            Work::Cipher | Work::Deflate(_) | Work::Inflate(_) => {
                1 + u32::try_from(ask.len_bytes / DEADLINE_STEP).unwrap_or(u32::MAX)
            }
            _ => 1,
        };
        Timing {
            expected: self.costs.hardware(ask.flight),
            habit: self.costs.habit(ask.flight),
            deadline: self.config.wait.deadline.saturating_mul(steps).min(DEADLINE_LIMIT),
            spin_max: self.config.wait.spin_max,
            sleep_min: self.config.wait.sleep_min,
            cpus: self.cpus,
        }
    }

    /// True when health lets a request through. A paused device is probed on the way: started by one caller, looked
    /// after by a later one; nobody waits for it, nothing of it is counted.
    fn admitted(&self, device: &Device, work: Work, now: Instant) -> bool {
        let health = &device.set(work).health;
        match health.admit(now) {
            Admission::Go => true,
            Admission::Wait => false,
            Admission::Start => {
                self.probe(device, work, now);
                false
            }
            Admission::Check(probe) => {
                let Some(flight) = probe.queue.fetch(&probe.ticket) else {
                    let waiting = if probe.queue.usable() { health.probing(probe, now) } else { Err(probe) };
                    if let Err(lost) = waiting {
                        lost.queue.retire();
                        health.failed(now, &self.config.health);
                    }
                    return false;
                };
                // Another kind of work of this class may have asked.
                if !right(device, probe.work, flight) {
                    health.wrong(now, &self.config.health);
                    self.log.note(format_args!("{}: still gives wrong results", device.name()));
                    return false;
                }
                match health.passed(now) {
                    Admission::Go => {
                        self.log.note(format_args!("{}: in use again", device.name()));
                        true
                    }
                    Admission::Start => {
                        self.probe(device, work, now);
                        false
                    }
                    Admission::Wait | Admission::Check(_) => false,
                }
            }
        }
    }

    /// Sends a known question; a later caller compares the answer.
    fn probe(&self, device: &Device, work: Work, now: Instant) {
        let set = device.set(work);
        let submitted = self.question(device, work).and_then(|flight| {
            let queue = self.pool.queue(device, set, now, false, false)?;
            let ticket = queue.submit(flight)?;
            Ok(Probe { queue, ticket, work })
        });
        match submitted {
            Ok(probe) => {
                if set.health.probing(probe, now).is_err() {
                    set.health.failed(now, &self.config.health);
                }
            }
            // No queue is free, or the device is not there: that says nothing of how it works.
            Err(Reason::Busy | Reason::NoDevice) => set.health.postponed(now, &self.config.health),
            Err(_) => set.health.failed(now, &self.config.health),
        }
    }

    fn question(&self, device: &Device, work: Work) -> Result<Box<Flight>, Reason> {
        match work {
            Work::Deflate(_) => {
                let wrapper = device.deflate_wrapper(None).ok_or(Reason::Unsupported)?;
                Flight::deflate(&known::segment(), device.form, wrapper).ok_or(Reason::Busy)
            }
            Work::Inflate(_) => {
                let mut room = known::text();
                Flight::inflate(&known::inflate_body(&mut room), device.form).ok_or(Reason::Busy)
            }
            Work::Cipher => {
                let key = known::cipher::key().map_err(|_| Reason::Unsupported)?;
                let (iv, input) = known::cipher::question();
                Flight::aes_cbc(&key, Direction::Encrypt, &iv, input, device.cipher_form())
                    .ok_or(Reason::Busy)
            }
            pkey => known::pkey::question(pkey).ok_or(Reason::Unsupported),
        }
    }
}

/// Longest deadline of any request.
const DEADLINE_LIMIT: Duration = Duration::from_secs(60);

/// True when the answer to a known question is the known one.
fn right(device: &Device, work: Work, flight: Box<Flight>) -> bool {
    match work {
        Work::Deflate(_) => match (flight.deflate_answer(), device.deflate_wrapper(None)) {
            (Ok((bytes, answer)), Some(wrapper)) => known::deflate_right(&bytes, &answer, wrapper),
            _ => false,
        },
        Work::Inflate(_) => {
            let mut output = vec![0; known::text().len()];
            flight.inflate_answer(&mut output).is_ok_and(|sizes| {
                output.get(..sizes.produced).is_some_and(|text| known::inflate_right(sizes.consumed, text))
            })
        }
        Work::Cipher => flight.cipher_answer().is_ok_and(|answer| known::cipher::right(answer.answer())),
        pkey => flight.pkey_answer().is_ok_and(|answer| known::pkey::right(pkey, answer.bytes())),
    }
}
