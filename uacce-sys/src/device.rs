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
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
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
    consumed_since_poll: AtomicU32,
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
    /// caller that spins calls it with a zero `timeout` whenever [`Self::poll_due`] says so, then consumes until nothing
    /// is left, because the call may have taken the event of a completion that came meanwhile. The rings do not do this
    /// themselves: only the caller knows whether another thread sleeps here, whose wake-up it would take.
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
        self.consumed_since_poll.store(0, Ordering::Relaxed);
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

    /// At least half a ring was consumed since the last [`Self::poll`].
    pub fn poll_due(&self) -> bool {
        self.consumed_since_poll.load(Ordering::Relaxed) >= u32::from(self.layout.completion_depth() / 2)
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
            consumed_since_poll: AtomicU32::new(0),
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

    #[inline]
    pub(crate) fn note_consumed(&self) {
        self.consumed_since_poll.fetch_add(1, Ordering::Relaxed);
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
