//! Every fault as a driver meets it, on the wire and in the rings.

mod common;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::*;

const EPERM: i32 = 1;
const ENXIO: i32 = 6;
const ENOMEM: i32 = 12;
const EBUSY: i32 = 16;

fn with_fault(fault: &str) -> (Daemon, Started) {
    let daemon = Daemon::start(&["--fault", fault]);
    let queue = Started::new(&daemon, "hisi_hpre-0", 0);
    (daemon, queue)
}

fn status_words(queue: &Started) -> [u32; 2] {
    [4, 8].map(|back| queue.rings.word32(queue.rings.size() - back).load(Ordering::SeqCst))
}

#[test]
fn completions_late_and_slow() {
    for (fault, least) in [("late=80ms,every=2", 80), ("slow=40ms", 80)] {
        let (_daemon, mut queue) = with_fault(fault);
        let rsa = ToyRsa::new(65);
        let start = Instant::now();
        queue.write(&rsa.descriptor());
        queue.submit(&rsa.descriptor());
        assert_eq!((queue.wait().0, queue.wait().0), (0, 1));
        assert!(start.elapsed() >= Duration::from_millis(least), "{fault}: {:?}", start.elapsed());
        assert_eq!(rsa.result(), rsa.expected());
    }
}

#[test]
fn completions_lost_and_twice() {
    let (_daemon, mut queue) = with_fault("lost,after=1,times=1");
    let rsa = ToyRsa::new(65);
    for _ in 0..3 {
        queue.submit(&rsa.descriptor());
    }
    assert_eq!((queue.wait().0, queue.wait().0), (0, 2));
    // The lost one is not waited for.
    queue.client.ioctl(PUT_QUEUE, &[]).unwrap();
    assert!(queue.peek().is_none());

    let (_daemon, mut queue) = with_fault("twice,times=1");
    queue.submit(&rsa.descriptor());
    assert_eq!((queue.wait().0, queue.wait().0), (0, 0));
    queue.submit(&rsa.descriptor());
    assert_eq!(queue.wait().0, 1);
}

#[test]
fn entries_with_wild_slots_and_stale_phases() {
    for (fault, slot, phase) in
        [("wild=1023,times=1", 1023, 1), ("wild,times=1", 0xFFFF, 1), ("phase,times=1", 0, 0)]
    {
        let (_daemon, mut queue) = with_fault(fault);
        let rsa = ToyRsa::new(65);
        queue.write(&rsa.descriptor());
        queue.submit(&rsa.descriptor());
        let entry = 64 * usize::from(DEPTH);
        let word = |offset: usize| queue.rings.word32(entry + offset).load(Ordering::Acquire);
        // Entries are written in order: the good one behind it tells that it is there.
        wait_until(|| word(16 + 12) >> 16 & 1 == 1);
        assert_eq!(word(8), slot | u32::from(queue.number) << 16, "{fault}");
        assert_eq!(word(12) >> 16 & 1, phase, "{fault}");
    }
}

#[test]
fn descriptors_with_wrong_tags_bytes_and_status() {
    let rsa = ToyRsa::new(65);
    let mut sent = rsa.descriptor();
    set_word(&mut sent, 8, 0x1234_5678);
    let (_daemon, mut queue) = with_fault("tag=0xff");
    let answer = queue.run(&sent);
    assert_eq!((word(&answer, 8), rsa.result()), (0x1234_5687, rsa.expected()));

    let (_daemon, mut queue) = with_fault("bytes,times=1");
    let answer = queue.run(&sent);
    let wrong = rsa.result().iter().zip(rsa.expected()).filter(|(is, should)| *is != should).count();
    assert_eq!((answer[3], wrong), (0xC0, 1));
    queue.run(&sent);
    assert_eq!(rsa.result(), rsa.expected());

    let rsa = ToyRsa::new(66);
    let (_daemon, mut queue) = with_fault("status=3");
    assert_eq!(word(&queue.run(&rsa.descriptor()), 0), 3 << 30 | 3 << 5);
    assert_eq!(rsa.result(), [0; 128]);

    // The number stands in the last bytes: none of it arrives.
    let (_daemon, mut queue) = with_fault("short");
    assert_eq!(queue.run(&rsa.descriptor())[3], 0xC0);
    assert_eq!(rsa.result(), [0; 128]);
}

/// uacce-qm §5.1: tx, then rx; the descriptor stays, opens fail until the device runs again, old queues stay dead.
#[test]
fn a_reset_stops_every_queue_and_passes() {
    let daemon = Daemon::start(&["--kernel", "kae", "--fault", "reset=300ms,device=hpre,after=2"]);
    let mut queue = Started::new(&daemon, "hisi_hpre-0", 0);
    let idle = Started::new(&daemon, "hisi_hpre-0", 0);
    let other = Started::new(&daemon, "hisi_zip-1", 0);
    let waiting = Client::open(&daemon.root, "hisi_hpre-0").unwrap();
    let rsa = ToyRsa::new(65);
    queue.run(&rsa.descriptor());
    queue.run(&rsa.descriptor());
    queue.submit(&rsa.descriptor());
    wait_until(|| status_words(&queue) == [1, 1] && status_words(&idle) == [1, 1]);
    assert_eq!(status_words(&other), [0, 0]);
    assert!(queue.peek().is_none());
    assert_eq!(Client::open(&daemon.root, "hisi_hpre-0").err(), Some(EPERM));
    assert_eq!(waiting.ioctl(START, &[]), Err(EPERM));
    wait_until(|| daemon.attribute("hisi_hpre-0", "dev_state") == "-1");
    wait_until(|| Client::open(&daemon.root, "hisi_hpre-0").is_ok());
    assert_eq!(daemon.attribute("hisi_hpre-0", "dev_state"), "0");
    assert_eq!(daemon.attribute("hisi_hpre-0", "isolate"), "0");
    queue.submit(&rsa.descriptor());
    let mut fresh = Started::new(&daemon, "hisi_hpre-0", 0);
    assert_eq!(fresh.run(&rsa.descriptor())[3], 0xC0);
    assert_eq!(status_words(&fresh), [0, 0]);
    assert!(queue.peek().is_none(), "a stopped queue answers again");
    drop((queue, idle, waiting, fresh));
    daemon.wait_free("hisi_hpre-0", 64);
}

#[test]
fn an_isolated_device_stays_so() {
    let (daemon, mut queue) = with_fault("isolate");
    queue.submit(&ToyRsa::new(65).descriptor());
    wait_until(|| daemon.attribute("hisi_hpre-0", "isolate") == "1");
    assert_eq!(status_words(&queue), [1, 1]);
    assert_eq!(Client::open(&daemon.root, "hisi_hpre-0").err(), Some(EPERM));
    Client::open(&daemon.root, "hisi_zip-1").unwrap();
    drop(queue);
    daemon.wait_free("hisi_hpre-0", 64);
}

#[test]
fn a_removed_device_is_gone() {
    let (mut daemon, mut queue) = with_fault("unplug");
    let waiting = Client::open(&daemon.root, "hisi_hpre-0").unwrap();
    queue.submit(&ToyRsa::new(65).descriptor());
    let entries = ["sys/class/uacce/hisi_hpre-0", "dev/hisi_hpre-0"].map(|entry| daemon.root.join(entry));
    wait_until(|| entries.iter().all(|entry| entry.symlink_metadata().is_err()));
    assert_eq!(Client::open(&daemon.root, "hisi_hpre-0").err(), Some(ENXIO));
    for client in [&waiting, &queue.client] {
        assert_eq!(client.ioctl(START, &[]), Err(ENXIO));
        assert_eq!(client.ioctl(PUT_QUEUE, &[]), Err(ENXIO));
        assert_eq!(client.map(0, 8192).err(), Some(ENXIO));
    }
    assert!(!queue.is_readable(), "poll tells nothing of it");
    drop((queue, waiting));
    Client::open(&daemon.root, "hisi_zip-1").unwrap();
    assert!(daemon.is_running());
}

#[test]
fn opens_fail_as_told() {
    let daemon = Daemon::start(&[
        "--fault",
        "open=ENOMEM,device=hpre,after=1,times=1",
        "--fault",
        "open,device=hisi_zip-1,every=2",
    ]);
    let open = |name: &str| Client::open(&daemon.root, name).err();
    assert_eq!(["hisi_hpre-0"; 3].map(open), [None, Some(ENOMEM), None]);
    assert_eq!(["hisi_zip-1"; 4].map(open), [None, Some(EBUSY), None, Some(EBUSY)]);
}

#[test]
fn class_and_file_choose() {
    let directory = uacce_sim::os::process::private_directory(&std::env::temp_dir()).unwrap();
    let file = directory.join("faults");
    std::fs::write(&file, "# compression only\nstatus=0x21, device=zip, class=1\nstatus, class=0\n").unwrap();
    let daemon = Daemon::start(&["--fault-file", file.to_str().unwrap()]);
    for (class, status) in [(0, 1), (1, 0x21)] {
        let mut queue = Started::new(&daemon, "hisi_zip-1", class);
        assert_eq!(word(&queue.run(&[0; 128]), 3), status);
    }
    std::fs::remove_dir_all(directory).unwrap();
}

/// Random trouble of every kind on both devices for a while: whatever clients see, the daemon stays whole and no queue
/// stays taken.
#[test]
fn the_daemon_survives_all_at_once() {
    let mut arguments = Vec::new();
    for (seed, fault) in [
        "lost", "twice", "wild", "wild=9", "phase", "tag", "bytes", "status", "short", "late=1ms", "slow=1ms",
    ]
    .iter()
    .enumerate()
    {
        arguments.push(format!("--fault={fault},chance=0.05,seed={seed}"));
    }
    arguments.push("--fault=reset=2ms,chance=0.02,times=1000".into());
    arguments.push("--fault=open=EPERM,chance=0.1".into());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut daemon = Daemon::start(&arguments);
    // Outlives every queue: results arrive until the last one is closed.
    let rsa = ToyRsa::new(65);
    let mut opened = 0;
    for _ in 0..150 {
        let Ok(probe) = Client::open(&daemon.root, "hisi_hpre-0") else { continue };
        drop(probe);
        let started = std::panic::catch_unwind(|| Started::new(&daemon, "hisi_hpre-0", 0));
        let Ok(mut queue) = started else { continue };
        opened += 1;
        for _ in 0..20 {
            queue.write(&rsa.descriptor());
        }
        queue.ring_submission();
        let end = Instant::now() + Duration::from_millis(2);
        while Instant::now() < end {
            std::thread::yield_now();
        }
    }
    assert!(opened > 20, "{opened}");
    assert!(daemon.is_running());
    daemon.wait_free("hisi_hpre-0", 64);
    wait_until(|| Client::open(&daemon.root, "hisi_zip-1").is_ok());
}
