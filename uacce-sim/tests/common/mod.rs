//! A client without the preload library: speaks the protocol itself, and plays the trap handler's part for doorbells.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of this module")]
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use uacce_sim::os::process::{page_size, private_directory, send_signal};
use uacce_sim::os::region::Region;
use uacce_sim::os::socket;
use uacce_sim_protocol::{REPLY_LEN, Reply, Request, SOCKET_NAME, control};

pub const START: u32 = 0x5700;
pub const PUT_QUEUE: u32 = 0x5701;
pub const SHOW_SLICE: u32 = 0x8008_5703;
pub const SET_CONTEXT: u32 = 0xC004_480A;
pub const SHOW_INFO: u32 = 0xC010_480B;
pub const DEPTH: u16 = 1024;
/// Longer than anything here takes; only a failing test waits this long.
pub const DEADLINE: Duration = Duration::from_secs(60);

pub struct Daemon {
    process: Child,
    pub root: PathBuf,
}

impl Daemon {
    pub fn start(options: &[&str]) -> Self {
        let root = private_directory(&std::env::temp_dir()).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_uacce-sim"))
            .arg("serve")
            .arg("--root")
            .arg(&root)
            .args(options)
            .arg("--log")
            .arg(root.join("log"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self { process, root }
    }

    pub fn attribute(&self, device: &str, name: &str) -> String {
        attribute(&self.root, device, name)
    }

    pub fn free(&self, device: &str) -> u32 {
        self.attribute(device, "available_instances").parse().unwrap()
    }

    /// Waits until the device shows this many free queues, and says how long that took.
    pub fn wait_free(&self, device: &str, free: u32) -> Duration {
        let start = Instant::now();
        wait_until(|| self.free(device) == free);
        start.elapsed()
    }

    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Processor time used so far, in clock ticks (1/100 s).
    pub fn processor_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = send_signal(self.process.id(), 15);
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

fn attribute(root: &Path, device: &str, name: &str) -> String {
    let path = root.join("sys/class/uacce").join(device).join(name);
    std::fs::read_to_string(path).unwrap().trim_end().to_owned()
}

pub fn wait_until(condition: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "waited {DEADLINE:?} in vain");
        std::thread::yield_now();
    }
}

/// An open device.
pub struct Client {
    pub socket: OwnedFd,
}

impl Client {
    pub fn open(root: &Path, device: &str) -> Result<Self, i32> {
        Self::open_with(root, device, 2)
    }

    pub fn open_with(root: &Path, device: &str, flags: u32) -> Result<Self, i32> {
        Self::open_as(root, device, flags, page_size())
    }

    pub fn open_as(root: &Path, device: &str, flags: u32, page_size: u32) -> Result<Self, i32> {
        let client = Self { socket: socket::connect(&root.join(SOCKET_NAME)).unwrap() };
        let request = Request::Open { name: device.to_owned(), flags, page_size };
        client.call(&request.encode()).0.map(|_| client)
    }

    /// Sends raw bytes as a request and returns its answer.
    pub fn call(&self, wire: &[u8]) -> (Result<Reply, i32>, Option<OwnedFd>) {
        let (ours, theirs) = socket::pair().unwrap();
        let mem = std::fs::File::options().read(true).write(true).open("/proc/thread-self/mem").unwrap();
        socket::send(self.socket.as_fd(), wire, &[theirs.as_fd(), mem.as_fd()]).unwrap();
        drop(theirs);
        let mut bytes = [0; REPLY_LEN];
        let (len, descriptors) = socket::receive(ours.as_fd(), &mut bytes).unwrap();
        let reply = Reply::decode(&bytes[..len]).expect("an answer");
        let result = if reply.errno == 0 { Ok(reply) } else { Err(reply.errno) };
        (result, descriptors.into_iter().next())
    }

    pub fn ioctl(&self, command: u32, bytes: &[u8]) -> Result<Vec<u8>, i32> {
        let request = Request::Ioctl { command, argument: 0, bytes: bytes.to_vec() };
        self.call(&request.encode()).0.map(|reply| reply.bytes)
    }

    /// `GET_SS_DMA`: the word of a slice, and how many follow.
    pub fn slice(&self, index: u64) -> Result<(u64, i64), i32> {
        let bytes = index.to_le_bytes().to_vec();
        let reply = self.call(&Request::Ioctl { command: SHOW_SLICE, argument: 0, bytes }.encode()).0?;
        Ok((u64::from_le_bytes(reply.bytes.try_into().unwrap()), reply.value))
    }

    pub fn map(&self, offset: u64, length: u64) -> Result<(Reply, OwnedFd), i32> {
        let request = Request::Map { offset, length, prot: 3 };
        let (reply, fd) = self.call(&request.encode());
        reply.map(|reply| (reply, fd.expect("memory")))
    }
}

/// A started queue with its rings, used as a driver would.
pub struct Started {
    pub client: Client,
    pub rings: Region,
    pub doorbell: Region,
    pub control: usize,
    pub number: u16,
    descriptor_len: usize,
    tail: u16,
    head: u16,
    phase: u16,
}

impl Started {
    pub fn new(daemon: &Daemon, device: &str, class: u16) -> Self {
        Self::at(&daemon.root, device, class)
    }

    pub fn at(root: &Path, device: &str, class: u16) -> Self {
        let client = Client::open(root, device).unwrap();
        let size = |name: &str| attribute(root, device, name).parse::<u64>().unwrap();
        let page = u64::from(page_size());
        Self::of(client, page, size("region_dus_size"), size("region_mmio_size"), class)
    }

    /// A queue whose client has pages of `page` bytes, and regions of these sizes.
    pub fn of(client: Client, page: u64, rings_len: u64, doorbell_len: u64, class: u16) -> Self {
        let (reply, fd) = client.map(page, rings_len).unwrap();
        let rings = Region::map(fd, usize::try_from(reply.mapping_len).unwrap()).unwrap();
        let (reply, fd) = client.map(0, doorbell_len).unwrap();
        let control = usize::try_from(reply.mapping_len).unwrap();
        let doorbell = Region::map(fd, control + usize::try_from(page).unwrap()).unwrap();
        let context = client.ioctl(SET_CONTEXT, &[[0; 2], class.to_le_bytes()].concat()).unwrap();
        let number = u16::from_le_bytes([context[0], context[1]]);
        let info = client.ioctl(SHOW_INFO, &[0; 16]).unwrap();
        let descriptor_len = u32::from_le_bytes(info[..4].try_into().unwrap()) as usize;
        assert_eq!(info[4..8], [0, 4, 0, 4]);
        client.ioctl(START, &[]).unwrap();
        Self { client, rings, doorbell, control, number, descriptor_len, tail: 0, head: 0, phase: 1 }
    }

    /// Writes a descriptor without ringing.
    pub fn write(&mut self, descriptor: &[u8]) {
        assert_eq!(descriptor.len(), self.descriptor_len);
        self.rings.copy_in(usize::from(self.tail) * self.descriptor_len, descriptor);
        self.tail = (self.tail + 1) % DEPTH;
    }

    pub fn submit(&mut self, descriptor: &[u8]) {
        self.write(descriptor);
        self.ring_submission();
    }

    pub fn ring_submission(&self) {
        self.ring(self.word(0, self.tail, 0), control::SUBMISSION_DOORBELL, control::SUBMISSION_COUNT);
    }

    pub fn ring_completion(&self, arm: bool) {
        let word = self.word(1, self.head, arm.into());
        self.ring(word, control::COMPLETION_DOORBELL, control::COMPLETION_COUNT);
    }

    /// A doorbell word, by the layout that the control page tells (uacce-qm §3.3).
    pub fn word(&self, command: u64, index: u16, priority: u64) -> u64 {
        let offset = self.doorbell.word32(self.control + control::DOORBELL_OFFSET).load(Ordering::Relaxed);
        let command = command << if offset == 0x340 { 16 } else { 12 };
        u64::from(self.number) | command | u64::from(index) << 32 | priority << 48
    }

    /// What the trap handler does with a caught store.
    pub fn ring(&self, word: u64, slot: usize, count: usize) {
        if self.doorbell.word32(self.control + control::POLLED).load(Ordering::Relaxed) == 1 {
            let offset =
                self.doorbell.word32(self.control + control::DOORBELL_OFFSET).load(Ordering::Relaxed);
            self.doorbell.word64(offset as usize).store(word, Ordering::SeqCst);
            return;
        }
        if slot == control::COMPLETION_DOORBELL {
            let token = self.doorbell.word32(self.control + control::TOKEN);
            if token.swap(0, Ordering::SeqCst) == 1 && self.is_readable() {
                let _ = socket::receive(self.client.socket.as_fd(), &mut [0; 4]);
            }
        }
        self.doorbell.word64(self.control + slot).store(word, Ordering::Release);
        self.doorbell.word64(self.control + count).fetch_add(1, Ordering::SeqCst);
        let sequence = self.control + control::SEQUENCE;
        self.doorbell.word32(sequence).fetch_add(1, Ordering::SeqCst);
        if self.doorbell.word32(self.control + control::SLEEPING).load(Ordering::SeqCst) == 1 {
            self.doorbell.wake(sequence);
        }
    }

    /// The next completed descriptor, if there is one: its slot and bytes. Rings the completion doorbell unarmed.
    pub fn poll(&mut self) -> Option<(u16, Vec<u8>)> {
        let completed = self.peek()?;
        self.advance();
        self.ring_completion(false);
        Some(completed)
    }

    pub fn peek(&self) -> Option<(u16, Vec<u8>)> {
        let at = self.descriptor_len * usize::from(DEPTH) + usize::from(self.head) * 16;
        let phase = self.rings.word32(at + 12).load(Ordering::Acquire) >> 16 & 1;
        if phase != u32::from(self.phase) {
            return None;
        }
        let word = self.rings.word32(at + 8).load(Ordering::Relaxed);
        let slot = u16::try_from(word & 0xFFFF).unwrap();
        assert_eq!(word >> 16, u32::from(self.number), "completion for another queue");
        assert!(slot < DEPTH);
        let mut descriptor = vec![0; self.descriptor_len];
        self.rings.copy_out(usize::from(slot) * self.descriptor_len, &mut descriptor);
        Some((slot, descriptor))
    }

    /// Takes the completion just seen by `peek`, without a doorbell.
    pub fn advance(&mut self) {
        self.head = (self.head + 1) % DEPTH;
        if self.head == 0 {
            self.phase ^= 1;
        }
    }

    pub fn wait(&mut self) -> (u16, Vec<u8>) {
        wait_until(|| self.peek().is_some());
        self.poll().unwrap()
    }

    pub fn run(&mut self, descriptor: &[u8]) -> Vec<u8> {
        self.submit(descriptor);
        self.wait().1
    }

    /// Whether the device descriptor polls readable now.
    pub fn is_readable(&self) -> bool {
        socket::is_readable(self.client.socket.as_fd(), Duration::ZERO)
    }

    pub fn wait_readable(&self) -> bool {
        socket::is_readable(self.client.socket.as_fd(), DEADLINE)
    }
}

pub fn set_word(descriptor: &mut [u8], index: usize, value: u32) {
    descriptor[index * 4..][..4].copy_from_slice(&value.to_le_bytes());
}

pub fn set_address(descriptor: &mut [u8], index: usize, address: u64) {
    descriptor[index * 4..][..8].copy_from_slice(&address.to_le_bytes());
}

pub fn word(descriptor: &[u8], index: usize) -> u32 {
    u32::from_le_bytes(descriptor[index * 4..][..4].try_into().unwrap())
}

pub fn address_of<T>(values: &[T]) -> u64 {
    values.as_ptr().addr() as u64
}

/// Big-endian in a field of `width` bytes.
pub fn field(value: u64, width: usize) -> Vec<u8> {
    let mut bytes = vec![0; width];
    bytes[width - 8..].copy_from_slice(&value.to_be_bytes());
    bytes
}

/// hpre §9.2: the public operation with n 3233, e 17, and its buffers.
pub struct ToyRsa {
    pub key: Vec<u8>,
    pub input: Vec<u8>,
    pub output: Vec<u8>,
}

impl ToyRsa {
    pub fn new(input: u64) -> Self {
        Self {
            key: [field(17, 128), field(3233, 128)].concat(),
            input: field(input, 128),
            output: vec![0; 128],
        }
    }

    pub fn descriptor(&self) -> Vec<u8> {
        let mut descriptor = vec![0; 64];
        set_word(&mut descriptor, 0, 1 << 30);
        set_word(&mut descriptor, 1, 128 / 8 - 1);
        set_address(&mut descriptor, 2, address_of(&self.key));
        set_address(&mut descriptor, 4, address_of(&self.input));
        set_address(&mut descriptor, 6, address_of(&self.output));
        descriptor
    }

    pub fn expected(&self) -> Vec<u8> {
        let input = u64::from_be_bytes(self.input[120..].try_into().unwrap()) % 3233;
        field((0..17).fold(1, |power, _| power * input % 3233), 128)
    }

    /// The output, read as something another process writes.
    pub fn result(&self) -> Vec<u8> {
        std::hint::black_box(&self.output).clone()
    }
}
