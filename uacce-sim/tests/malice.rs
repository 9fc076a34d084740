//! Clients that break every rule, through the real socket: only they are harmed. Beside each one a well-behaved client works
//! on the same device and checks every answer.

#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod common;

use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use common::*;
use uacce_sim::os::process::{page_size, send_signal};
use uacce_sim::os::socket;
use uacce_sim_protocol::{REQUEST_LEN, Request, SOCKET_NAME, control};

/// A client that does what it should: one checked RSA request after another, on a queue of its own.
struct Neighbour {
    rounds: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Neighbour {
    fn new(daemon: &Daemon) -> Self {
        let (rounds, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut queue = Started::new(daemon, "hisi_hpre-0", 0);
        let (counted, ended) = (Arc::clone(&rounds), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let request = ToyRsa::new(counted.load(Ordering::Relaxed) % 3000);
                let after = queue.run(&request.descriptor());
                assert_eq!((word(&after, 0), request.result()), (0xC000_0000, request.expected()));
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { rounds, stop, thread: Some(thread) }
    }

    /// It still gets right answers: twenty more of them.
    fn goes_on(&self) {
        let before = self.rounds.load(Ordering::Relaxed);
        wait_until(|| {
            assert!(!self.thread.as_ref().unwrap().is_finished(), "the neighbour got a wrong answer");
            self.rounds.load(Ordering::Relaxed) >= before + 20
        });
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the neighbour got a wrong answer");
    }
}

const ALL: [&str; 3] = ["--device=hpre,sec,zip", "--hw=v3", "--queues=16"];

fn done(descriptor: &[u8]) -> bool {
    match descriptor.len() {
        64 => word(descriptor, 0) >> 30 == 3,
        // SEC: done; ZIP: a status that is none of success.
        _ => word(descriptor, 28) & 1 == 1 || word(descriptor, 3) & 0xFF != 0,
    }
}

/// A page that ends before a hole, and one that cannot be written.
fn holes() -> [u64; 2] {
    static READ_ONLY: [u8; 8192] = [7; 8192];
    [u64::MAX - 7, std::hint::black_box(&READ_ONLY).as_ptr().addr() as u64]
}

#[test]
fn bad_pointers_of_every_engine() {
    let daemon = Daemon::start(&ALL);
    let neighbour = Neighbour::new(&daemon);
    let [end, read_only] = holes();
    let data = [0u8; 4096];
    let good = address_of(&data);
    // Each engine's descriptor with all addresses right, the words of its addresses, and which of them is written.
    let mut rsa = ToyRsa::new(65).descriptor();
    set_word(&mut rsa, 0, 1 << 30);
    let mut sec = vec![0; 128];
    for (index, value) in [(0, 0x223), (1, 0x0021_4001), (18, 1024)] {
        set_word(&mut sec, index, value);
    }
    let mut zip = vec![0; 128];
    for (index, value) in [(4, 1024), (7, 3 << 28), (9, 0x4002), (14, 4096)] {
        set_word(&mut zip, index, value);
    }
    let cases = [
        ("hisi_hpre-0", rsa, vec![2, 4, 6], 6),
        ("hisi_sec2-1", sec, vec![4, 12, 19, 23], 19),
        ("hisi_zip-2", zip, vec![18, 20], 20),
    ];
    for (device, descriptor, addresses, output) in cases {
        let mut queue = Started::new(&daemon, device, 0);
        for index in &addresses {
            let mut bad: Vec<u64> = vec![0, 1, 8, 1 << 47, 1 << 63, u64::MAX, end];
            if *index == output {
                bad.push(read_only);
            }
            for bad in bad {
                let mut wrong = descriptor.clone();
                for other in &addresses {
                    set_address(&mut wrong, *other, good);
                }
                set_address(&mut wrong, *index, bad);
                let after = queue.run(&wrong);
                assert!(done(&after), "{device} {index} {bad:#x}: {after:x?}");
                let failed = match device {
                    "hisi_hpre-0" => word(&after, 0) & 0x3FFF_FFE0 != 0,
                    "hisi_sec2-1" => word(&after, 28) >> 16 & 0xFF != 0,
                    _ => word(&after, 3) & 0xFF != 0,
                };
                assert!(failed, "{device}: word {index} = {bad:#x} is taken for right");
            }
        }
        neighbour.goes_on();
    }
    assert_eq!(data, [0; 4096]);
}

/// Lengths of gigabytes, lists without end, lists of the longest entries: an error, at once, and no memory of the daemon's.
#[test]
fn huge_lengths() {
    let daemon = Daemon::start(&ALL);
    let neighbour = Neighbour::new(&daemon);
    let mut list = vec![0u8; 64 + 255 * 32 + 64];
    let at = (address_of(&list) + 63) & !63;
    let skip = usize::try_from(at - address_of(&list)).unwrap();
    list[skip..skip + 8].copy_from_slice(&at.to_le_bytes());
    list[skip + 10] = 255;
    for entry in list[skip + 64..].chunks_exact_mut(32).take(255) {
        entry[..8].copy_from_slice(&at.to_le_bytes());
        entry[16..20].copy_from_slice(&(8u32 << 20).to_le_bytes());
    }
    let room = vec![0u8; 4096];
    let mut zip = Started::new(&daemon, "hisi_zip-2", 0);
    for kind in [0x4002, 0x4102] {
        for (input, output) in [(u32::MAX, 4096), (16 << 20, 4096), (16, u32::MAX), (u32::MAX, u32::MAX)] {
            let mut descriptor = vec![0; 128];
            for (index, value) in [(4, input), (7, 3 << 28), (9, kind), (14, output)] {
                set_word(&mut descriptor, index, value);
            }
            set_address(&mut descriptor, 18, at);
            set_address(&mut descriptor, 20, if kind == 0x4102 { at } else { address_of(&room) });
            zip.run(&descriptor);
        }
    }
    let mut sec = Started::new(&daemon, "hisi_sec2-1", 0);
    for kinds in [0x223, 0x223 | 1 << 11 | 1 << 14] {
        let mut descriptor = vec![0; 128];
        for (index, value) in [(0, kinds), (1, 0x0021_4001), (18, 0xFF_FFFF), (17, 0xFF_FFFF)] {
            set_word(&mut descriptor, index, value);
        }
        for index in [4, 12, 19, 23] {
            set_address(&mut descriptor, index, at);
        }
        let after = sec.run(&descriptor);
        assert!(word(&after, 28) >> 16 & 0xFF != 0, "{after:x?}");
    }
    let mut hpre = Started::new(&daemon, "hisi_hpre-0", 1);
    for operation in 0..32 {
        let mut descriptor = vec![0; 64];
        set_word(&mut descriptor, 0, 1 << 30 | operation);
        set_word(&mut descriptor, 1, u32::MAX);
        set_word(&mut descriptor, 10, u32::MAX);
        for index in [2, 4, 6] {
            set_address(&mut descriptor, index, address_of(&room));
        }
        let after = hpre.run(&descriptor);
        assert!(word(&after, 0) & 0x3FFF_FFE0 != 0, "{operation}: {after:x?}");
    }
    neighbour.goes_on();
    let state = uacce_sim::watch::ask(&daemon.root).unwrap();
    assert!(state.resident < 256 << 20, "{} bytes", state.resident);
}

/// Doorbells in another queue's name, or of no sense, thousands of them.
#[test]
fn doorbells_for_others() {
    let daemon = Daemon::start(&ALL);
    let neighbour = Neighbour::new(&daemon);
    let evil = Started::new(&daemon, "hisi_hpre-0", 0);
    for round in 0..5000u64 {
        for number in 0..16 {
            let word = number | (round % 5) << 12 | (round % 1024) << 32 | (round & 1) << 48;
            evil.ring(word, control::SUBMISSION_DOORBELL, control::SUBMISSION_COUNT);
            evil.ring(word ^ 1 << 12, control::COMPLETION_DOORBELL, control::COMPLETION_COUNT);
        }
    }
    neighbour.goes_on();
    drop(evil);
    daemon.wait_free("hisi_hpre-0", 15);
}

/// Its own queue's shared memory is all that a client is ever given.
#[test]
fn no_way_to_another_queue() {
    let daemon = Daemon::start(&ALL);
    let neighbour = Neighbour::new(&daemon);
    let client = Client::open(&daemon.root, "hisi_hpre-0").unwrap();
    let page = u64::from(page_size());
    for offset in (2..64).map(|index| index * page).chain([u64::MAX - page + 1, 1 << 62]) {
        assert!(client.map(offset, page).is_err(), "{offset:#x}");
    }
    // A class or slice of others, a queue number in the argument: only its own answers.
    let answer = client.ioctl(SET_CONTEXT, &[0, 0, 0, 0]).unwrap();
    assert_ne!(answer[..2], [0, 0], "the neighbour has number 0");
    let inode = |fd: &OwnedFd| {
        use std::os::unix::fs::MetadataExt;
        std::fs::File::from(fd.try_clone().unwrap()).metadata().unwrap().ino()
    };
    let rings: u64 = daemon.attribute("hisi_hpre-0", "region_dus_size").parse().unwrap();
    let other = Client::open(&daemon.root, "hisi_hpre-0").unwrap();
    assert_ne!(inode(&client.map(page, rings).unwrap().1), inode(&other.map(page, rings).unwrap().1));
    neighbour.goes_on();
}

#[test]
fn garbage_and_too_many_descriptors() {
    let mut daemon = Daemon::start(&ALL);
    let neighbour = Neighbour::new(&daemon);
    let connect = || socket::connect(&daemon.root.join(SOCKET_NAME)).unwrap();
    let (_keep, end) = socket::pair().unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    let open = Request::Open { name: "hisi_zip-2".into(), flags: 2, page_size: page_size() }.encode();
    for round in 0..200usize {
        let connection = connect();
        let garbage: Vec<u8> =
            (0..round * 7 % 300 + 1).map(|at| (at * round * 31).to_le_bytes()[0]).collect();
        // Without a descriptor, with one that is no socket, with too many.
        for fds in [vec![], vec![file.as_fd()], vec![end.as_fd(); 8]] {
            let _ = socket::send(connection.as_fd(), &garbage, &fds);
            let _ = socket::send(connection.as_fd(), &open, &fds);
            let _ = socket::send(connection.as_fd(), &[], &fds);
        }
        // Half of them go away without reading, in the middle of it all.
        if round % 2 == 0 {
            drop(connection);
        }
    }
    neighbour.goes_on();
    daemon.wait_free("hisi_zip-2", 16);
    // Messages cut anywhere.
    for len in 0..=REQUEST_LEN {
        let connection = Client { socket: connect() };
        if len > 0 {
            let _ = connection.call(&open[..len]);
        }
    }
    daemon.wait_free("hisi_zip-2", 16);
    neighbour.goes_on();
    assert!(daemon.is_running());
}

/// Connections that never open anything, as many as the daemon takes: others still get theirs.
#[test]
fn a_flood_of_connections() {
    let daemon = Daemon::start(&ALL);
    let neighbour = Neighbour::new(&daemon);
    let mut flood = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_flooding", "--nocapture"])
        .env("HELPER_ROOT", &daemon.root)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = std::io::BufReader::new(flood.stdout.take().unwrap());
    while !line.contains("flooded") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut output, &mut line).unwrap() > 0);
    }
    neighbour.goes_on();
    let mut queue = Started::new(&daemon, "hisi_hpre-0", 0);
    let request = ToyRsa::new(65);
    queue.run(&request.descriptor());
    assert_eq!(request.result(), request.expected());
    let threads = std::fs::read_dir(format!("/proc/{}/task", daemon.process_id())).unwrap().count();
    assert!(threads < 250, "{threads} threads");
    send_signal(flood.id(), 9).unwrap();
    flood.wait().unwrap();
}

/// Not a test by itself: the process of the test above.
#[test]
fn helper_flooding() {
    let Some(root) = std::env::var_os("HELPER_ROOT") else { return };
    let path = std::path::PathBuf::from(root).join(SOCKET_NAME);
    let mut open = Vec::new();
    while open.len() < 900 {
        open.push(socket::connect(&path).unwrap());
    }
    println!("flooded");
    loop {
        std::thread::park();
    }
}

/// What a client hands over as its memory must be that: its own socket, held by the daemon, would keep the queue for ever.
#[test]
fn something_else_for_memory() {
    let daemon = Daemon::start(&ALL);
    let neighbour = Neighbour::new(&daemon);
    let open = Request::Open { name: "hisi_hpre-0".into(), flags: 2, page_size: page_size() }.encode();
    let null = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    let own = OwnedFd::from(std::fs::File::open("/proc/self/maps").unwrap());
    for what in ["socket", "null", "maps"] {
        let connection = socket::connect(&daemon.root.join(SOCKET_NAME)).unwrap();
        let (ours, theirs) = socket::pair().unwrap();
        let memory = match what {
            "socket" => connection.as_fd(),
            "null" => null.as_fd(),
            _ => own.as_fd(),
        };
        socket::send(connection.as_fd(), &open, &[theirs.as_fd(), memory]).unwrap();
        let mut answer = [0; 128];
        let (len, _) = socket::receive(ours.as_fd(), &mut answer).unwrap();
        let reply = uacce_sim_protocol::Reply::decode(&answer[..len]).unwrap();
        assert_ne!(reply.errno, 0, "{what}");
    }
    daemon.wait_free("hisi_hpre-0", 15);
    neighbour.goes_on();
}

/// A ring full of work for minutes, then PUT_Q, which waits for it: nobody else does.
#[test]
fn draining_holds_up_nobody() {
    let daemon = Daemon::start(&ALL);
    let neighbour = Neighbour::new(&daemon);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_draining", "--nocapture"])
        .env("HELPER_ROOT", &daemon.root)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    while !line.contains("ring is full") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut output, &mut line).unwrap() > 0);
    }
    // The device's other queues come and go meanwhile.
    for _ in 0..50 {
        drop(Started::new(&daemon, "hisi_zip-2", 0));
    }
    assert!(child.try_wait().unwrap().is_none(), "it was done before we looked");
    assert!(daemon.free("hisi_zip-2") < 16);
    neighbour.goes_on();
    send_signal(child.id(), 9).unwrap();
    child.wait().unwrap();
    let taken = daemon.wait_free("hisi_zip-2", 16);
    assert!(taken < Duration::from_secs(20), "{taken:?}");
}

/// Not a test by itself: the process of the test above.
#[test]
fn helper_draining() {
    let Some(root) = std::env::var_os("HELPER_ROOT") else { return };
    let root = std::path::PathBuf::from(root);
    let input: Vec<u8> = (0..16u32 << 20).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let output = vec![0u8; 20 << 20];
    let mut queue = Started::at(&root, "hisi_zip-2", 0);
    for _ in 0..DEPTH - 1 {
        let mut descriptor = vec![0; 128];
        for (index, value) in [(4, 16 << 20), (7, 3 << 28), (9, 0x4002), (14, 20 << 20)] {
            set_word(&mut descriptor, index, value);
        }
        set_address(&mut descriptor, 18, address_of(&input));
        set_address(&mut descriptor, 20, address_of(&output));
        queue.write(&descriptor);
    }
    queue.ring_submission();
    println!("ring is full");
    let _ = queue.client.ioctl(PUT_QUEUE, &[]);
}

/// Everything at once, from one process, with its memory unmapped under the engine.
#[test]
fn memory_that_goes_away_while_it_is_used() {
    let mut daemon = Daemon::start(&ALL);
    let neighbour = Neighbour::new(&daemon);
    let mut queue = Started::new(&daemon, "hisi_zip-2", 0);
    for round in 0..20u8 {
        let input = vec![round; 1 << 20];
        let output = vec![0u8; 2 << 20];
        for _ in 0..4 {
            let mut descriptor = vec![0; 128];
            for (index, value) in [(4, 1 << 20), (7, 3 << 28), (9, 0x4002), (14, 2 << 20)] {
                set_word(&mut descriptor, index, value);
            }
            set_address(&mut descriptor, 18, address_of(&input));
            // Freed memory of this size is unmapped: nothing of ours lies there when the result comes.
            set_address(&mut descriptor, 20, address_of(&output));
            queue.write(&descriptor);
        }
        queue.ring_submission();
        if round % 2 == 0 {
            drop(input);
        }
        for _ in 0..4 {
            queue.wait();
        }
        drop(output);
    }
    neighbour.goes_on();
    assert!(daemon.is_running());
}
