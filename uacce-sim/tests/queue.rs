//! The queue as its clients see it: states and errno, rings and phases, doorbells and readiness, and how it ends.

mod common;

use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::*;
use uacce_sim::os::process::{page_size, send_signal};
use uacce_sim::os::socket;
use uacce_sim_protocol::{Mapping, REQUEST_LEN, Request, control};

const EBADF: i32 = 9;
const EACCES: i32 = 13;
const EFAULT: i32 = 14;
const EBUSY: i32 = 16;
const EEXIST: i32 = 17;
const ENODEV: i32 = 19;
const EINVAL: i32 = 22;
const ENXIO: i32 = 6;
const EPROTO: i32 = 71;

#[test]
fn open_and_exhaustion() {
    let daemon = Daemon::start(&["--queues", "3"]);
    assert_eq!(Client::open(&daemon.root, "hisi_zip-0").err(), Some(ENODEV));
    assert_eq!(Client::open(&daemon.root, "hisi_sec2-0").err(), Some(ENODEV));
    let mut open: Vec<_> = (0..3).map(|_| Client::open(&daemon.root, "hisi_hpre-0").unwrap()).collect();
    assert_eq!((daemon.free("hisi_hpre-0"), daemon.free("hisi_zip-1")), (0, 3));
    assert_eq!(Client::open(&daemon.root, "hisi_hpre-0").err(), Some(EBUSY));
    open.pop();
    daemon.wait_free("hisi_hpre-0", 1);
    Client::open(&daemon.root, "hisi_hpre-0").unwrap();
}

/// uacce-qm §2.5, the column of each kernel.
#[test]
fn states_and_errno() {
    for (kernel, second_put, restart) in [
        ("mainline", Err(ENXIO), Err(ENXIO)),
        ("kae", Err(ENXIO), Err(ENXIO)),
        ("openeuler", Ok(vec![]), Ok(vec![])),
    ] {
        let daemon = Daemon::start(&["--kernel", kernel]);
        let client = Client::open(&daemon.root, "hisi_hpre-0").unwrap();
        let set_context = |class: u16| client.ioctl(SET_CONTEXT, &[[9; 2], class.to_le_bytes()].concat());
        assert_eq!(set_context(1), Ok(vec![0, 0, 1, 0]));
        assert_eq!(set_context(0), Ok(vec![0, 0, 0, 0]));
        assert_eq!(set_context(3), Err(EINVAL));
        assert_eq!(set_context(2), if kernel == "openeuler" { Ok(vec![0, 0, 2, 0]) } else { Err(EINVAL) });
        assert_eq!(client.ioctl(SET_CONTEXT, &[]), Err(EFAULT));
        assert_eq!(client.ioctl(SHOW_INFO, &[7; 16]), Ok([&[64, 0, 0, 0, 0, 4, 0, 4][..], &[7; 8]].concat()));
        assert_eq!(client.ioctl(SHOW_INFO, &[7; 4]), Err(EFAULT));
        assert_eq!(client.ioctl(0x5799, &[]), Err(EINVAL));
        assert_eq!(client.ioctl(0x8008_5703, &[0; 8]), Err(EINVAL));
        assert_eq!(client.ioctl(START, &[]), Ok(vec![]));
        assert_eq!(client.ioctl(START, &[]), Err(EINVAL));
        assert_eq!(client.ioctl(PUT_QUEUE, &[]), Ok(vec![]));
        assert_eq!(daemon.free("hisi_hpre-0"), if kernel == "openeuler" { 63 } else { 64 });
        assert_eq!(client.ioctl(PUT_QUEUE, &[]), second_put, "{kernel}");
        assert_eq!(client.ioctl(START, &[]), restart, "{kernel}");
        let mapped = client.map(u64::from(page_size()), 86016).map(|_| vec![]);
        assert_eq!(mapped, restart, "{kernel}");
        drop(client);
        daemon.wait_free("hisi_hpre-0", 64);
    }
}

#[test]
fn mapping_sizes_and_errno() {
    let daemon = Daemon::start(&[]);
    let page = u64::from(page_size());
    let client = Client::open(&daemon.root, "hisi_zip-1").unwrap();
    let dus: u64 = daemon.attribute("hisi_zip-1", "region_dus_size").parse().unwrap();
    let mmio: u64 = daemon.attribute("hisi_zip-1", "region_mmio_size").parse().unwrap();
    for (offset, length) in [
        (page, dus - page),
        (page, dus + page),
        (page, 0),
        (0, mmio + page),
        (0, 0),
        (2 * page, dus),
        (8, mmio),
        (page, u64::MAX),
    ] {
        assert_eq!(client.map(offset, length).err(), Some(EINVAL), "{offset} {length}");
    }
    let (reply, fd) = client.map(page, dus - 1).unwrap();
    assert_eq!((reply.mapping, reply.mapping_len), (Mapping::Plain, dus));
    let (reply, _) = client.map(0, page).unwrap();
    assert_eq!((reply.mapping, reply.mapping_len), (Mapping::Doorbell, mmio));
    // Received but not mapped: may be asked for again. Mapped: not.
    assert!(client.map(page, dus).is_ok());
    let rings = uacce_sim::os::region::Region::map(fd, usize::try_from(dus).unwrap()).unwrap();
    assert_eq!(client.map(page, dus).err(), Some(EEXIST));
    drop(rings);
    assert!(client.map(page, dus).is_ok());
    let reader = Client::open_with(&daemon.root, "hisi_zip-1", 0).unwrap();
    assert_eq!(reader.map(page, dus).err(), Some(EACCES));
}

#[test]
fn strange_messages_are_answered() {
    let mut daemon = Daemon::start(&[]);
    let client = Client::open(&daemon.root, "hisi_zip-1").unwrap();
    assert_eq!(client.call(&[0; REQUEST_LEN]).0.err(), Some(EPROTO));
    assert_eq!(client.call(&[0xFF; 3]).0.err(), Some(EPROTO));
    let again = Request::Open { name: "hisi_zip-1".into(), flags: 2, page_size: page_size() };
    assert_eq!(client.call(&again.encode()).0.err(), Some(EBADF));
    let unopened = Client { socket: socket::connect(&daemon.root.join("sock")).unwrap() };
    assert_eq!(unopened.ioctl(START, &[]), Err(EBADF));
    let odd_page = Request::Open { name: "hisi_zip-1".into(), flags: 2, page_size: 5000 };
    assert_eq!(unopened.call(&odd_page.encode()).0.err(), Some(EINVAL));
    assert!(client.ioctl(START, &[]).is_ok() && daemon.is_running());
}

/// uacce-qm §3.2, §4: status words zero, completions zero, phases, order, more than two laps.
#[test]
fn rings_go_round_in_order() {
    for doorbell in ["trap", "poll"] {
        let daemon = Daemon::start(&["--doorbell", doorbell]);
        let mut queue = Started::new(&daemon, "hisi_hpre-0", 0);
        let status = queue.rings.size() - 8;
        assert_eq!(queue.rings.word64(status).load(Ordering::Relaxed), 0);
        let requests: Vec<_> = (0..u64::from(DEPTH) * 2 + 100).map(ToyRsa::new).collect();
        for (index, request) in requests.iter().enumerate() {
            let submitted = request.descriptor();
            queue.submit(&submitted);
            let (slot, descriptor) = queue.wait();
            assert_eq!(usize::from(slot), index % usize::from(DEPTH));
            assert_eq!(word(&descriptor, 0), 0xC000_0000);
            assert_eq!(descriptor[4..], submitted[4..]);
            assert_eq!(request.result(), request.expected());
        }
    }
}

/// A polled register keeps the last word: whoever submits and asks at once for an event has only the second one seen. The
/// worst case is that the first is never seen, so here it is never rung.
#[test]
fn a_submission_overwritten_by_its_arming_is_found() {
    let daemon = Daemon::start(&["--doorbell", "poll"]);
    let mut queue = Started::new(&daemon, "hisi_hpre-0", 0);
    let request = ToyRsa::new(65);
    let mut slots = vec![];
    for _ in 0..2 * DEPTH + 50 {
        queue.write(&request.descriptor());
        queue.ring_completion(true);
        slots.push(queue.wait().0);
        assert_eq!(request.result(), request.expected());
    }
    // Nothing new is there: these find nothing, or the next answer would come from the wrong slot.
    for _ in 0..50 {
        queue.ring_completion(true);
        std::thread::yield_now();
    }
    queue.submit(&request.descriptor());
    slots.push(queue.wait().0);
    let expected: Vec<_> = (0..2 * DEPTH + 51).map(|index| index % DEPTH).collect();
    assert_eq!(slots, expected);
    assert!(queue.peek().is_none());
}

/// 1023 outstanding, several laps, each result its own.
#[test]
fn a_full_ring_completes_in_order() {
    let daemon = Daemon::start(&[]);
    let mut queue = Started::new(&daemon, "hisi_hpre-0", 0);
    for _ in 0..5 {
        let requests: Vec<_> = (0..u64::from(DEPTH) - 1).map(ToyRsa::new).collect();
        for request in &requests {
            queue.write(&request.descriptor());
        }
        queue.ring_submission();
        for request in &requests {
            let (_, descriptor) = queue.wait();
            assert_eq!(descriptor[8..24], request.descriptor()[8..24]);
            assert_eq!(request.result(), request.expected());
        }
    }
}

#[test]
fn wrong_doorbells_are_dropped() {
    let mut daemon = Daemon::start(&[]);
    let mut queue = Started::new(&daemon, "hisi_hpre-0", 0);
    let request = ToyRsa::new(65);
    queue.write(&request.descriptor());
    let good = queue.word(0, 1, 0);
    for wrong in [good + 1, good | 1 << 16, good | 2 << 12, queue.word(0, 1024, 0), u64::MAX] {
        queue.ring(wrong, control::SUBMISSION_DOORBELL, control::SUBMISSION_COUNT);
    }
    // A dropped doorbell leaves no trace, so a good one after them is the earliest proof.
    assert!(queue.peek().is_none());
    queue.ring_submission();
    let (slot, _) = queue.wait();
    assert_eq!((slot, request.result()), (0, request.expected()));
    assert!(queue.peek().is_none() && daemon.is_running());
}

/// uacce-qm §2.7: armed at START, then by each completion doorbell; one token per arming; a doorbell that arms while
/// completions wait makes the descriptor readable at once.
#[test]
fn readiness_follows_the_arming() {
    let daemon = Daemon::start(&[]);
    let mut queue = Started::new(&daemon, "hisi_hpre-0", 0);
    let request = ToyRsa::new(65);
    assert!(!queue.is_readable());
    queue.submit(&request.descriptor());
    assert!(queue.wait_readable());
    queue.poll().unwrap();
    assert!(!queue.is_readable(), "the completion doorbell drains the token");
    // Not armed: completes silently.
    queue.submit(&request.descriptor());
    wait_until(|| queue.peek().is_some());
    assert!(!queue.is_readable());
    // Armed with a completion waiting: readable.
    queue.ring_completion(true);
    assert!(queue.wait_readable());
    queue.advance();
    queue.ring_completion(true);
    // Armed with none waiting: the next completion makes it readable. The same doorbell twice arms no less.
    queue.ring_completion(true);
    assert!(!queue.is_readable());
    queue.submit(&request.descriptor());
    assert!(queue.wait_readable());
    assert!(queue.peek().is_some());
}

/// Every sleep must end, however it races with completion.
#[test]
fn ten_thousand_armed_sleeps() {
    for spin in ["0", "20"] {
        let daemon = Daemon::start(&["--spin", spin]);
        let mut queue = Started::new(&daemon, "hisi_hpre-0", 0);
        let request = ToyRsa::new(65);
        for _ in 0..5000 {
            queue.submit(&request.descriptor());
            queue.ring_completion(true);
            while queue.peek().is_none() {
                assert!(queue.wait_readable(), "slept for ever");
                if queue.peek().is_none() {
                    queue.ring_completion(true);
                }
            }
            queue.advance();
        }
    }
}

#[test]
fn put_drains_what_was_rung() {
    let daemon = Daemon::start(&["--latency", "20ms"]);
    let mut queue = Started::new(&daemon, "hisi_hpre-0", 0);
    let requests: Vec<_> = (0..200).map(ToyRsa::new).collect();
    for request in &requests {
        queue.write(&request.descriptor());
    }
    queue.ring_submission();
    queue.client.ioctl(PUT_QUEUE, &[]).unwrap();
    for request in &requests {
        assert!(queue.poll().is_some());
        assert_eq!(request.result(), request.expected());
    }
}

#[test]
fn latency_is_kept_and_overlaps() {
    let daemon = Daemon::start(&["--latency", "30ms"]);
    let mut queue = Started::new(&daemon, "hisi_hpre-0", 0);
    let request = ToyRsa::new(65);
    let start = Instant::now();
    for _ in 0..100 {
        queue.write(&request.descriptor());
    }
    queue.ring_submission();
    for _ in 0..100 {
        queue.wait();
        assert!(start.elapsed() >= Duration::from_millis(30));
    }
    assert!(start.elapsed() < Duration::from_millis(30 * 100), "requests do not overlap");
}

#[test]
fn an_idle_daemon_uses_no_processor_time() {
    for doorbell in ["trap", "poll"] {
        let daemon = Daemon::start(&["--doorbell", doorbell]);
        let mut queues: Vec<_> = (0..8).map(|_| Started::new(&daemon, "hisi_hpre-0", 0)).collect();
        let request = ToyRsa::new(65);
        for queue in &mut queues {
            queue.run(&request.descriptor());
        }
        let before = daemon.processor_ticks();
        // Not synchronisation: the time over which rest is measured.
        std::thread::sleep(Duration::from_secs(1));
        let used = daemon.processor_ticks() - before;
        let limit = if doorbell == "trap" { 1 } else { 8 };
        assert!(used <= limit, "{doorbell}: {used} ticks in a second at rest");
    }
}

#[test]
fn a_killed_clients_queues_are_free_within_a_second() {
    let daemon = Daemon::start(&[]);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_holding_queues"])
        .env("HELPER_ROOT", &daemon.root)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    daemon.wait_free("hisi_hpre-0", 60);
    daemon.wait_free("hisi_zip-1", 63);
    send_signal(child.id(), 9).unwrap();
    child.wait().unwrap();
    let taken = daemon.wait_free("hisi_hpre-0", 64) + daemon.wait_free("hisi_zip-1", 64);
    assert!(taken < Duration::from_secs(1), "{taken:?}");
    // What it left behind is nobody's error.
    let state = uacce_sim::watch::ask(&daemon.root).unwrap();
    assert_eq!((state.devices[0].counts.failed, &state.devices[0].last_failure), (0, &None));
}

/// Not a test by itself: the process the test above kills, with queues mapped and 1023 requests in flight.
#[test]
fn helper_holding_queues() {
    let Some(root) = std::env::var_os("HELPER_ROOT") else { return };
    let root = std::path::PathBuf::from(root);
    let request = ToyRsa::new(65);
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut queue = Started::at(&root, "hisi_hpre-0", 0);
        queue.doorbell.word32(queue.control + control::MAPPED).store(1, Ordering::SeqCst);
        for _ in 0..DEPTH - 1 {
            queue.write(&request.descriptor());
        }
        queue.ring_submission();
        open.push(queue);
    }
    let _zip = Client::open(&root, "hisi_zip-1").unwrap();
    loop {
        std::thread::park();
    }
}

/// The kernel keeps a queue for its mapping: closed, it still computes, and goes when the mapping goes.
#[test]
fn closed_but_mapped_still_serves() {
    let daemon = Daemon::start(&[]);
    let mut queue = Started::new(&daemon, "hisi_hpre-0", 0);
    let mapped = queue.control + control::MAPPED;
    queue.doorbell.word32(mapped).store(1, Ordering::SeqCst);
    queue.client.socket = socket::pair().unwrap().0;
    let request = ToyRsa::new(65);
    queue.run(&request.descriptor());
    assert_eq!(request.result(), request.expected());
    assert_eq!(daemon.free("hisi_hpre-0"), 63);
    queue.doorbell.word32(mapped).store(0, Ordering::SeqCst);
    daemon.wait_free("hisi_hpre-0", 64);
}

#[test]
fn bad_pointers_are_statuses_and_the_queue_goes_on() {
    let mut daemon = Daemon::start(&[]);
    let mut queue = Started::new(&daemon, "hisi_hpre-0", 0);
    let request = ToyRsa::new(65);
    for index in [2, 4, 6] {
        for bad in [0, 8, u64::MAX - 64, 1 << 47, 1 << 63] {
            let mut descriptor = request.descriptor();
            set_address(&mut descriptor, index, bad);
            let after = queue.run(&descriptor);
            assert_eq!(word(&after, 0), 0xC020_0000, "{index} {bad:#x}");
        }
    }
    queue.run(&request.descriptor());
    assert_eq!(request.result(), request.expected());
    assert!(daemon.is_running());
}

/// A client may write anything into the shared memory at any time: only its own queue suffers.
#[test]
fn scribbling_clients_harm_only_themselves() {
    let mut daemon = Daemon::start(&[]);
    let mut other = Started::new(&daemon, "hisi_hpre-0", 0);
    let wild = Started::new(&daemon, "hisi_hpre-0", 0);
    let mut state = 1u64;
    for round in 0..2000u16 {
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        for _ in 0..64 {
            let at = random() % (wild.rings.size() / 4) * 4;
            wild.rings.word32(at).store(u32::try_from(random()).unwrap(), Ordering::Relaxed);
            let at = wild.control + random() % 1024 * 4;
            wild.doorbell.word32(at).store(u32::try_from(random()).unwrap(), Ordering::Relaxed);
        }
        wild.ring(
            wild.word(0, round.wrapping_mul(37) % DEPTH, 0),
            control::SUBMISSION_DOORBELL,
            control::SUBMISSION_COUNT,
        );
    }
    let request = ToyRsa::new(65);
    other.run(&request.descriptor());
    assert_eq!(request.result(), request.expected());
    drop(wild);
    daemon.wait_free("hisi_hpre-0", 63);
    assert!(daemon.is_running());
}
