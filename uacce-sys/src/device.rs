//! One open queue pair: the file, its two mappings, its life.
//!
//! ```text
//! open ─► map DUS, MMIO ─► SET_QP_CTX (class, number) ─► SET_QP_INFO (sizes) ─► START ─► rings ─► PUT_Q ─► unmap ─► close
//! ```
//! After `PUT_Q` kernels differ in what may still be done (uacce-qm §11, trap 1), so nothing is: the mappings are taken away
//! and the file is closed.
#![expect(unsafe_code, reason = "ppoll")]

use std::fs::OpenOptions;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::credit::Credit;
use crate::file::QueueFile;
use crate::gate::{Gate, Inside};
use crate::mmio::Mmio;
use crate::qm::{self, Bell, Layout, Version};
use crate::region::Region;
use crate::{CompletionRing, DeviceInfo, Error, SubmissionRing, abi, barrier};

/// The queue class (`qc_type`) given to the kernel before start: ZIP 0 compress, 1 inflate; HPRE 0 RSA/DH, 1 ECC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueueClass(pub u16);

/// An open and started queue pair, shared by its two rings. The last owner stops, unmaps and closes it; in a forked
/// child dropping does nothing.
///
/// In a child the mappings do not exist: [`Queue::stopped`] and the rings must not be used there (the core's generation
/// stamp sees to that); [`Queue::poll`] and [`Queue::stop`] refuse by themselves.
#[derive(Debug)]
pub struct Queue {
    // Fields drop in this order: the file goes last.
    doorbell: Doorbell,
    shared: Region,
    file: QueueFile,
    layout: Layout,
    version: Version,
    number: u16,
    /// Nothing may be submitted or rung any more: stopped by us, or found impossible.
    halted: AtomicBool,
    /// `PUT_Q` is done. Held while it runs, so that every caller of `stop` returns after it.
    put: Mutex<bool>,
    credit: Credit,
    submission_gate: Gate,
    completion_gate: Gate,
}

/// Where doorbells go.
#[derive(Debug)]
pub(crate) enum Doorbell {
    Mapped(Mmio),
    #[cfg(any(test, feature = "fake"))]
    Fake(Arc<crate::fake::Shared>),
}

/// Opens a queue of `device`, maps it, sets its class, starts it, and gives its rings. Clobbers errno.
///
/// # Errors
/// [`Error::Gone`], [`Error::Busy`], [`Error::Stopped`], [`Error::Denied`], [`Error::Unsupported`], [`Error::Os`].
pub fn open(
    device: &DeviceInfo,
    class: QueueClass,
) -> Result<(Arc<Queue>, SubmissionRing, CompletionRing), Error> {
    if device.api_version == 0 || !barrier::REACH_DEVICE {
        return Err(Error::Unsupported);
    }
    // The standard library adds O_CLOEXEC and repeats the call after EINTR.
    let file = OpenOptions::new().read(true).write(true).open(&device.path).map_err(open_error)?;
    let file = QueueFile::new(file)?;
    let version = Version::of(device.api_version);
    let shared = Region::map(&file, abi::REGION_DUS, device.dus_len_bytes)?;
    let registers = Region::map(&file, abi::REGION_MMIO, device.mmio_len_bytes)?;
    let doorbell = Doorbell::Mapped(Mmio::new(registers, version).ok_or(Error::Unsupported)?);

    let fd = file.number()?;
    let number = qm::set_context(fd, class.0)?;
    let info = qm::info(fd, built_in_descriptor_len(&device.name))?;
    let layout = Layout::new(info, shared.len()).ok_or(Error::Unsupported)?;
    qm::start(fd)?;
    Ok(Queue::rings(Queue::new(doorbell, shared, file, layout, version, number)))
}

impl Queue {
    /// Bytes of one descriptor: HPRE 64, SEC and ZIP 128.
    pub fn descriptor_len(&self) -> usize {
        self.layout.descriptor_len()
    }

    /// Slots in the submission ring; at most one fewer may be outstanding.
    pub fn depth(&self) -> u16 {
        self.layout.submission_depth()
    }

    /// The queue's number inside its function, `0..1024` (V1: `0..4096`).
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The status words say that the device was stopped, or we stopped it, or it was found impossible; every
    /// outstanding request is lost.
    ///
    /// While only the send word is set the device still finishes what it has; submissions are refused, completions
    /// still come, and this is false.
    pub fn stopped(&self) -> bool {
        self.halted() || self.receive_disabled()
    }

    /// Sleeps until the device announces a completion or `timeout` passes. Spurious returns are normal, a signal's among
    /// them. Clobbers errno.
    ///
    /// Kernels never announce a reset here, so bound every sleep and look at [`Self::stopped`] after it.
    /// Mainline kernels move their own idea of the completion ring's head only inside this call (uacce-qm §11, trap 7): a
    /// caller that spins calls it with a zero `timeout` after every [`Self::completions_between_polls`] completions, then
    /// consumes until nothing is left, because the call may have taken the event of a completion that came meanwhile. The
    /// rings do not do this themselves: only the caller knows whether another thread sleeps here, whose wake-up it would
    /// take.
    ///
    /// Returns true when the file is readable.
    /// # Errors
    /// [`Error::Gone`]: hang-up, a foreign file now has our number, the device was removed, or this is a forked child.
    /// [`Error::Stopped`]: the queue was stopped by [`Self::stop`] or found impossible. [`Error::Os`].
    pub fn poll(&self, timeout: Duration) -> Result<bool, Error> {
        let fd = self.file.number()?;
        if self.halted() {
            return Err(Error::Stopped);
        }
        let mut entry = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let timeout = libc::timespec {
            // A day is for ever here, and fits every `time_t`.
            tv_sec: libc::time_t::try_from(timeout.as_secs().min(86_400)).unwrap_or(libc::time_t::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // SAFETY: one entry and one time-out, both alive during the call; no signal mask is changed.
        let ready = unsafe { libc::ppoll(&raw mut entry, 1, &raw const timeout, std::ptr::null()) };
        if ready < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted {
                Ok(false)
            } else {
                Err(Error::Os(error))
            };
        }
        // Real devices never hang up; a simulated one does when its daemon is gone, and is readable for ever then.
        if entry.revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0 {
            return Err(Error::Gone);
        }
        Ok(entry.revents & libc::POLLIN != 0)
    }

    /// Completions, one at least, after which [`Self::poll`] is due: half the completion ring, for that is the ring whose
    /// head the kernel counts, and it may be smaller than the submission ring.
    pub fn completions_between_polls(&self) -> u16 {
        self.layout.completion_depth() / 2
    }

    /// Stops the queue (`PUT_Q`): returns when the device no longer touches any buffer of any submitted descriptor.
    /// May block while the kernel drains. Later submissions answer [`Error::Stopped`], completions not yet consumed are
    /// lost. Calling it again, or from several threads, is harmless: each call returns after the stop. In a forked child
    /// it does nothing. Clobbers errno.
    pub fn stop(&self) {
        // First of all: a child may have inherited the lock in any state.
        if !self.file.here() {
            return;
        }
        let mut put = self.put.lock().unwrap_or_else(PoisonError::into_inner);
        if *put {
            return;
        }
        // After PUT_Q the queue may be another process's at once (trap 2): no doorbell may follow, not even one that
        // another thread is just about to ring.
        self.halted.store(true, Ordering::SeqCst);
        self.submission_gate.wait_empty();
        self.completion_gate.wait_empty();
        match &self.doorbell {
            Doorbell::Mapped(mmio) => {
                // A closed or foreign number cannot be told to stop; then taking away the mappings, which hold the last
                // references to our file, makes the kernel release the queue.
                if let Ok(fd) = self.file.number() {
                    qm::put(fd);
                }
                self.shared.detach();
                mmio.detach();
            }
            #[cfg(any(test, feature = "fake"))]
            Doorbell::Fake(device) => device.put(),
        }
        *put = true;
    }
}

/// For the rings.
impl Queue {
    pub(crate) fn new(
        doorbell: Doorbell,
        shared: Region,
        file: QueueFile,
        layout: Layout,
        version: Version,
        number: u16,
    ) -> Self {
        Self {
            doorbell,
            shared,
            file,
            layout,
            version,
            number,
            halted: AtomicBool::new(false),
            put: Mutex::new(false),
            credit: Credit::new(layout.submission_depth(), layout.limit()),
            submission_gate: Gate::new(),
            completion_gate: Gate::new(),
        }
    }

    /// The queue with its two rings: one of each, ever.
    pub(crate) fn rings(self) -> (Arc<Self>, SubmissionRing, CompletionRing) {
        let queue = Arc::new(self);
        let submission = SubmissionRing::new(Arc::clone(&queue));
        let completion = CompletionRing::new(Arc::clone(&queue));
        (queue, submission, completion)
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn shared(&self) -> &Region {
        &self.shared
    }

    pub(crate) fn credit(&self) -> &Credit {
        &self.credit
    }

    /// Holds off `stop` while a submission is written and rung.
    #[inline]
    pub(crate) fn enter_submission(&self) -> Result<Inside<'_>, Error> {
        self.submission_gate.enter(&self.halted).ok_or(Error::Stopped)
    }

    /// Holds off `stop` while a completion is read and rung.
    #[inline]
    pub(crate) fn enter_completion(&self) -> Result<Inside<'_>, Error> {
        self.completion_gate.enter(&self.halted).ok_or(Error::Stopped)
    }

    /// Declares the device mad: nothing more is sent or believed.
    pub(crate) fn halt(&self) {
        self.halted.store(true, Ordering::SeqCst);
    }

    #[inline]
    pub(crate) fn halted(&self) -> bool {
        self.halted.load(Ordering::Acquire)
    }

    /// The receive status word: nothing more comes back. The kernel writes 1; any other value is no reason to go on.
    #[inline]
    pub(crate) fn receive_disabled(&self) -> bool {
        self.shared.load_u32(self.layout.status_rx()) != Some(0)
    }

    /// Either status word: nothing more may be sent.
    #[inline]
    pub(crate) fn send_disabled(&self) -> bool {
        self.shared.load_u32(self.layout.status_tx()) != Some(0) || self.receive_disabled()
    }

    /// Rings; the caller is inside a gate and has placed the barrier.
    #[inline]
    pub(crate) fn ring(&self, bell: Bell) {
        let word = qm::doorbell_word(self.version, self.number, bell);
        match &self.doorbell {
            Doorbell::Mapped(mmio) => mmio.ring(word),
            #[cfg(any(test, feature = "fake"))]
            Doorbell::Fake(device) => device.ring(word),
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What `open` of the character device may answer (uacce-qm §2.4).
fn open_error(error: io::Error) -> Error {
    match error.raw_os_error() {
        // EINVAL: the parent device is gone.
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO | libc::EINVAL) => Error::Gone,
        Some(libc::EBUSY) => Error::Busy,
        Some(libc::EPERM) => Error::Stopped,
        Some(libc::EACCES) => Error::Denied,
        _ => Error::Os(error),
    }
}

/// Descriptor size by the driver's name, for kernels that do not tell.
fn built_in_descriptor_len(name: &str) -> Option<u32> {
    match name.rsplit_once('-').map_or(name, |(driver, _)| driver) {
        "hisi_hpre" => Some(abi::DESCRIPTOR_LEN_HPRE),
        "hisi_sec2" | "hisi_zip" => Some(abi::DESCRIPTOR_LEN_SEC_ZIP),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeDevice;
    use std::fs::{self, File};
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::FileExt;
    use std::path::Path;

    const LONG: Duration = Duration::from_secs(20);

    fn info(name: &str, path: &Path) -> DeviceInfo {
        DeviceInfo {
            name: name.into(),
            path: path.to_owned(),
            api: "hisi_qm_v2".into(),
            api_version: 2,
            flags: 1,
            algorithms: vec!["zlib".into()],
            mmio_len_bytes: 8192,
            dus_len_bytes: 151_552,
            available_instances: None,
            isolated: false,
            numa_node: -1,
            numa_distance: None,
            dev_state: None,
            isolate_strategy: None,
            usage: None,
        }
    }

    fn open_path(path: &str) -> Result<(), Error> {
        open(&info("hisi_zip-0", Path::new(path)), QueueClass(0)).map(|_| ())
    }

    #[test]
    fn what_is_no_device_cannot_be_opened() {
        assert!(matches!(open_path("/dev/no-such-device"), Err(Error::Gone)));
        // Opens, but cannot be mapped; maps, but knows no ioctl.
        assert!(matches!(open_path("/dev/null"), Err(Error::Gone)));
        assert!(matches!(open_path("/dev/zero"), Err(Error::Gone)));
        assert!(matches!(open_path("/"), Err(Error::Os(_))));
        let mut foreign = info("hisi_zip-0", Path::new("/dev/zero"));
        foreign.api_version = 0;
        assert!(matches!(open(&foreign, QueueClass(0)), Err(Error::Unsupported)));
        // The two mappings made on the way are gone again.
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        assert!(!maps.contains("/dev/zero"), "{maps}");
    }

    #[test]
    fn the_meaning_of_errno() {
        let meaning = |number| open_error(io::Error::from_raw_os_error(number));
        for number in [libc::ENOENT, libc::ENODEV, libc::ENXIO, libc::EINVAL] {
            assert!(matches!(meaning(number), Error::Gone));
        }
        assert!(matches!(meaning(libc::EBUSY), Error::Busy));
        assert!(matches!(meaning(libc::EPERM), Error::Stopped));
        assert!(matches!(meaning(libc::EACCES), Error::Denied));
        assert!(matches!(meaning(libc::EMFILE), Error::Os(_)));
    }

    #[test]
    fn descriptor_lengths_of_known_drivers() {
        for (name, len) in [
            ("hisi_hpre-2", Some(64)),
            ("hisi_zip-10", Some(128)),
            ("hisi_sec2-0", Some(128)),
            ("hisi_dae-1", None),
            ("hisi_zip", Some(128)),
        ] {
            assert_eq!(built_in_descriptor_len(name), len, "{name}");
        }
    }

    /// The mapped form, with ordinary files in the place of the device's regions.
    #[test]
    fn descriptors_and_doorbells_land_in_the_mappings_until_the_stop() {
        let file = |name: &str, len| {
            let path = std::env::temp_dir().join(format!("uacce-sys-{name}-{}", std::process::id()));
            let file =
                File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
            fs::remove_file(&path).unwrap();
            file.set_len(len).unwrap();
            (file.try_clone().unwrap(), QueueFile::new(file).unwrap())
        };
        let (rings, rings_file) = file("dus", 86_016);
        let (registers, registers_file) = file("mmio", 8192);
        let shared = Region::map(&rings_file, 0, 86_016).unwrap();
        let mmio = Mmio::new(Region::map(&registers_file, 0, 8192).unwrap(), Version::V2).unwrap();
        let answer = abi::QpInfo { sqe_size: 64, sq_depth: 1024, cq_depth: 1024, reserved: 0 };
        let layout = Layout::new(answer, 86_016).unwrap();
        let queue = Queue::new(Doorbell::Mapped(mmio), shared, rings_file, layout, Version::V2, 3);
        let (queue, mut submission, mut completion) = queue.rings();
        let at = |file: &File, offset| {
            let mut word = [0; 8];
            file.read_exact_at(&mut word, offset).unwrap();
            u64::from_le_bytes(word)
        };

        // SAFETY: no addresses in it.
        assert_eq!(unsafe { submission.submit(&[0x11; 64]) }.unwrap(), 0);
        // SAFETY: no addresses in it.
        assert_eq!(unsafe { submission.submit(&[0x22; 64]) }.unwrap(), 1);
        assert_eq!((at(&rings, 56), at(&rings, 64)), (0x1111_1111_1111_1111, 0x2222_2222_2222_2222));
        assert_eq!(at(&registers, 0x1000), 0x0000_0002_0000_0003);

        // The device's answer to slot 0: descriptor, then entry 0 with phase 1.
        rings.write_all_at(&[0x33; 64], 0).unwrap();
        rings.write_all_at(&[0, 0, 3, 0, 0, 0, 1, 0], 0x10000 + 8).unwrap();
        let mut descriptor = [0; 64];
        assert_eq!(completion.consume(&mut descriptor).unwrap().unwrap().slot, 0);
        assert_eq!(descriptor, [0x33; 64]);
        completion.acknowledge(true);
        assert_eq!(at(&registers, 0x1000), 0x0001_0001_0000_1003);

        rings.write_all_at(&[1, 0, 0, 0], 0x14FFC).unwrap();
        // SAFETY: no addresses in it.
        assert!(matches!(unsafe { submission.submit(&[0x44; 64]) }, Err(Error::Stopped)));
        assert!(!queue.stopped());
        rings.write_all_at(&[1, 0, 0, 0], 0x14FF8).unwrap();
        assert!(queue.stopped());

        queue.stop();
        queue.ring(Bell::Submission { tail: 9 });
        assert_eq!(at(&registers, 0x1000), 0x0001_0001_0000_1003, "a doorbell after the stop");
    }

    #[test]
    fn a_hung_up_device_is_gone() {
        let (queue, _submission, _completion, device) = FakeDevice::queue(4, 64);
        device.hang_up();
        for _ in 0..3 {
            assert!(matches!(queue.poll(LONG), Err(Error::Gone)));
        }
    }

    #[test]
    fn poll_ends_with_its_time_out() {
        let (queue, _submission, _completion, _device) = FakeDevice::queue(4, 64);
        assert!(!queue.poll(Duration::ZERO).unwrap());
        assert!(!queue.poll(Duration::from_millis(1)).unwrap());
    }

    #[test]
    fn the_longest_time_out_is_valid() {
        let (queue, _submission, _completion, device) = FakeDevice::queue(4, 64);
        device.wake();
        assert!(queue.poll(Duration::MAX).unwrap());
    }

    /// A signal handled while asleep is a spurious return.
    #[test]
    fn signals_end_a_sleep_early() {
        extern "C" fn nothing(_: libc::c_int) {}
        // SAFETY: an empty handler for a signal that nothing else in this program uses.
        unsafe { libc::signal(libc::SIGUSR2, nothing as extern "C" fn(libc::c_int) as libc::sighandler_t) };
        let (queue, _submission, _completion, _device) = FakeDevice::queue(4, 64);
        let done = AtomicBool::new(false);
        // SAFETY: gives this thread's id.
        let sleeper = unsafe { libc::pthread_self() };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    // SAFETY: the sleeper outlives this scope.
                    unsafe { libc::pthread_kill(sleeper, libc::SIGUSR2) };
                    std::thread::yield_now();
                }
            });
            assert!(!queue.poll(LONG).unwrap());
            done.store(true, Ordering::Release);
        });
    }

    /// What a daemon does to the files it does not know, and what then gets their numbers.
    #[test]
    fn a_foreign_file_under_the_queues_number_is_left_alone() {
        let (queue, submission, completion, device) = FakeDevice::queue(4, 64);
        let number = queue.file.number().unwrap();
        let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        // SAFETY: both numbers are open; only the queue used the old one.
        assert_eq!(unsafe { libc::dup2(theirs.as_raw_fd(), number) }, number);
        drop(theirs);
        assert!(matches!(queue.poll(LONG), Err(Error::Gone)));
        queue.stop();
        assert!(device.put());
        drop((queue, submission, completion));
        ours.set_nonblocking(true).unwrap();
        let error = ours.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "the stranger's socket was closed");
        // SAFETY: the duplicate made above, used no more.
        unsafe { libc::close(number) };
        // Blocking: another test's forked child may hold a copy for a moment.
        ours.set_nonblocking(false).unwrap();
        assert_eq!(ours.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_child_does_not_disturb_its_parents_queue() {
        let (queue, mut submission, mut completion, device) = FakeDevice::queue(4, 64);
        // SAFETY: the child calls nothing but the functions under test, which take no lock there, and `_exit`.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            let gone = matches!(queue.poll(LONG), Err(Error::Gone));
            queue.stop();
            let put = queue.halted();
            drop((queue, submission, completion));
            // SAFETY: leaves at once, running nothing of the test harness.
            unsafe { libc::_exit(if gone && !put { 0 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: waits for the child just made.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
        assert!(!device.put());
        // SAFETY: no addresses in it.
        unsafe { submission.submit(&[5; 64]) }.unwrap();
        let taken = device.take(LONG).unwrap();
        assert!(device.complete(taken.slot, &taken.descriptor));
        assert!(queue.poll(LONG).unwrap());
        assert!(completion.consume(&mut [0; 64]).unwrap().is_some());
    }

    #[test]
    fn every_stop_returns_after_the_device_is_done() {
        let (queue, _submission, _completion, device) = FakeDevice::queue(4, 64);
        device.hold_stop(true);
        let released = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    queue.stop();
                    assert!(released.load(Ordering::Acquire));
                });
            }
            assert!(device.wait_put(LONG));
            released.store(true, Ordering::Release);
            device.hold_stop(false);
        });
    }

    #[test]
    fn the_last_owner_stops_the_queue() {
        let (queue, submission, completion, device) = FakeDevice::queue(4, 64);
        drop(queue);
        drop(submission);
        assert!(!device.put());
        drop(completion);
        assert!(device.put());
    }
}
