//! What devices and kernels differ in: how descriptors name memory, generations, NUMA nodes, page sizes, counted errors.

mod common;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::*;
use uacce_sim::os::process::page_size;
use uacce_sim::os::region::Region;
use uacce_sim_protocol::{Mapping, control};

const EINVAL: i32 = 22;
const EEXIST: i32 = 17;
const ENOMEM: i32 = 12;

/// A region of reserved memory with the toy RSA operands in it, and the descriptor that names them by device addresses.
fn in_reserved_memory(region: &Region, bus: u64, input: u64) -> (Vec<u8>, Vec<u8>) {
    let toy = ToyRsa::new(input);
    region.copy_in(0, &toy.key);
    region.copy_in(0x1000, &toy.input);
    region.copy_in(0x2000, &[0xEE; 128]);
    let mut descriptor = toy.descriptor();
    for (index, offset) in [(2, 0), (4, 0x1000), (6, 0x2000)] {
        set_address(&mut descriptor, index, bus + offset);
    }
    (descriptor, toy.expected())
}

/// Both error fields of an HPRE descriptor (hpre §8); the done bits beside them say that it was processed.
fn error_bits(descriptor: &[u8]) -> u32 {
    assert_eq!(descriptor[3] & 0xC0, 0xC0, "processed");
    word(descriptor, 0) & 0x3FFF_FFE0
}

fn output(region: &Region) -> Vec<u8> {
    let mut bytes = vec![0; 128];
    region.copy_out(0x2000, &mut bytes);
    bytes
}

/// uacce-qm §7.3, with and without an IOMMU, on both kernels that have the region.
#[test]
fn reserved_memory_serves_requests() {
    let page = u64::from(page_size());
    for (memory, kernel, flags, api) in
        [("iommu", "kae", "128", "hisi_qm_v2"), ("noiommu", "openeuler", "2", "hisi_qm_v2_noiommu")]
    {
        let daemon = Daemon::start(&["--memory", memory, "--kernel", kernel]);
        assert_eq!(daemon.attribute("hisi_hpre-0", "flags"), flags);
        assert_eq!(daemon.attribute("hisi_hpre-0", "api"), api);
        let mut queue = Started::new(&daemon, "hisi_hpre-0", 0);
        assert_eq!(queue.client.slice(0), Err(EINVAL), "no region yet");
        assert_eq!(queue.client.ioctl(SHOW_SLICE, &[]), Err(14));
        let len = 18 << 20;
        let (reply, fd) = queue.client.map(2 * page, len - 1).unwrap();
        assert_eq!((reply.mapping, reply.mapping_len), (Mapping::Plain, len));
        let region = Region::map(fd, usize::try_from(len).unwrap()).unwrap();
        assert_eq!(queue.client.map(2 * page, len).err(), Some(EEXIST));
        let slices: Vec<_> = (0..).map_while(|index| queue.client.slice(index).ok()).collect();
        let expected = if memory == "iommu" {
            vec![(288, 0)]
        } else {
            vec![(64, 4), (64, 3), (64, 2), (64, 1), (32, 0)]
        };
        assert_eq!(slices.iter().map(|(word, rest)| (word & 0xFFF, *rest)).collect::<Vec<_>>(), expected);
        assert!(slices.windows(2).all(|pair| pair[0].0 < pair[1].0), "in the order of their addresses");
        let bus = slices[0].0 & !0xFFF;
        let (descriptor, expected) = in_reserved_memory(&region, bus, 65);
        assert_eq!(error_bits(&queue.run(&descriptor)), 0);
        assert_eq!(output(&region), expected);
        // The client's own addresses mean nothing to such a device; neither do those beyond the region.
        let toy = ToyRsa::new(65);
        let done = queue.run(&toy.descriptor());
        assert_ne!(error_bits(&done), 0, "{memory}: an address error");
        assert_eq!(toy.result(), [0; 128]);
        // Another queue of the device reaches it, as through one IOMMU domain, until its owner closes.
        let mut other = Started::new(&daemon, "hisi_hpre-0", 0);
        let (descriptor, expected) = in_reserved_memory(&region, bus, 99);
        other.run(&descriptor);
        assert_eq!(output(&region), expected);
        drop((queue, region));
        daemon.wait_free("hisi_hpre-0", 63);
        let refused = other.run(&descriptor);
        assert_ne!(error_bits(&refused), 0, "{memory}: memory of a closed queue");
    }
}

/// Mainline has neither region nor command; with SVA nobody has the memory.
#[test]
fn no_reserved_memory_where_the_kernel_has_none() {
    let page = u64::from(page_size());
    for (kernel, errno) in [("mainline", EINVAL), ("kae", ENOMEM), ("openeuler", ENOMEM)] {
        let daemon = Daemon::start(&["--kernel", kernel]);
        let client = Client::open(&daemon.root, "hisi_hpre-0").unwrap();
        assert_eq!(client.map(2 * page, 1 << 20).err(), Some(errno), "{kernel}");
        assert_eq!(client.map(3 * page, 1 << 20).err(), Some(EINVAL), "{kernel}");
        assert_eq!(client.slice(0), Err(EINVAL), "{kernel}");
    }
}

/// uacce-qm §3.1 and §3.3: a page of registers, the doorbell at 0x340, 16 bits of queue number.
#[test]
fn the_first_generation_has_a_doorbell_of_its_own() {
    for doorbell in ["trap", "poll"] {
        let daemon = Daemon::start(&["--hw=v1", "--device=zip,sec", "--doorbell", doorbell]);
        assert_eq!(daemon.attribute("hisi_zip-0", "api"), "hisi_qm_v1");
        assert_eq!(daemon.attribute("hisi_zip-0", "device/revision"), "0x20");
        assert_eq!(daemon.attribute("hisi_zip-0", "region_mmio_size"), page_size().to_string());
        let mut queue = Started::new(&daemon, "hisi_zip-0", 0);
        assert_eq!(queue.word(1, 5, 1), u64::from(queue.number) | 1 << 16 | 5 << 32 | 1 << 48);
        // A word of the later layout names another command here.
        queue.write(&[0; 128]);
        let later = u64::from(queue.number) | 1 << 12 | 1 << 32;
        queue.ring(later, control::SUBMISSION_DOORBELL, control::SUBMISSION_COUNT);
        assert!(queue.peek().is_none());
        // Zeros are no request: refused by the engine, and so completed.
        queue.ring_submission();
        assert_eq!(queue.wait().0, 0, "{doorbell}");
        queue.ring_completion(true);
        queue.submit(&[0; 128]);
        assert!(queue.wait_readable());
    }
}

/// uacce-qm §3.2 and §3.1: a client with larger pages finds its regions at larger offsets.
#[test]
fn clients_with_larger_pages() {
    for (page, rings, doorbell_v2) in [(4096, 86016, 8192), (16384, 98304, 16384), (65536, 196_608, 65536)] {
        for (hw, doorbell) in [("v2", doorbell_v2), ("v3", 65536)] {
            let size = page.to_string();
            let daemon = Daemon::start(&["--hw", hw, "--page-size", &size]);
            let size = |name| daemon.attribute("hisi_hpre-0", name).parse::<u64>().unwrap();
            assert_eq!((size("region_dus_size"), size("region_mmio_size")), (rings, doorbell));
            let client =
                Client::open_as(&daemon.root, "hisi_hpre-0", 2, u32::try_from(page).unwrap()).unwrap();
            assert_eq!(client.map(page / 2, rings).err(), Some(EINVAL));
            assert_eq!(client.map(page, rings - page).err(), Some(EINVAL));
            let mut queue = Started::of(client, page, rings, doorbell, 0);
            let toy = ToyRsa::new(65);
            assert_eq!(queue.run(&toy.descriptor())[3], 0xC0);
            assert_eq!(toy.result(), toy.expected());
            // The status words are the region's last eight bytes.
            assert_eq!(queue.rings.size() as u64, rings);
        }
    }
}

/// uacce-qm §3.1: the share of busy time, in a register and in an attribute.
#[test]
fn the_fifth_generation_tells_how_busy_it_is() {
    let daemon = Daemon::start(&["--hw=v5", "--kernel=openeuler"]);
    assert_eq!(daemon.attribute("hisi_hpre-0", "api"), "hisi_qm_v5");
    assert_eq!(daemon.attribute("hisi_hpre-0", "dev_usage"), "RSA: 0\nECC: 0");
    assert_eq!(daemon.attribute("hisi_zip-1", "dev_usage"), "COMPRESS: 0\nDECOMPRESS: 0\nDAE: 0");
    let mut queue = Started::new(&daemon, "hisi_hpre-0", 0);
    let register =
        |queue: &Started, class: usize| queue.doorbell.word32(0x1100 + class * 4).load(Ordering::Relaxed);
    assert_eq!(register(&queue, 0), 1000 << 16);
    let toy = ToyRsa::new(65);
    // Whatever little it is, a window shows it.
    let shown = || daemon.attribute("hisi_hpre-0", "dev_usage");
    queue.run(&toy.descriptor());
    wait_until(|| shown() != "RSA: 0\nECC: 0");
    assert!(shown().ends_with("\nECC: 0"));
    assert_eq!(register(&queue, 0) >> 16, 1000);
    wait_until(|| shown() == "RSA: 0\nECC: 0");
    assert_eq!((register(&queue, 0), register(&queue, 1)), (1000 << 16, 1000 << 16));
    let plain = Daemon::start(&["--hw=v5"]);
    assert_eq!(plain.attribute("hisi_hpre-0", "api"), "hisi_qm_v3", "mainline does not tell");
    assert!(!plain.root.join("sys/class/uacce/hisi_hpre-0/dev_usage").exists());
}

/// uacce-qm §5.4: error number threshold + 1 within an hour isolates; the device still resets and opens.
#[test]
fn counted_errors_isolate() {
    let daemon = Daemon::start(&["--fault", "reset=1ms,device=hpre,times=9"]);
    let strategy = daemon.root.join("sys/class/uacce/hisi_hpre-0/isolate_strategy");
    let shown = |name: &str| daemon.attribute("hisi_hpre-0", name);
    let reset = || {
        let mut queue = Started::new(&daemon, "hisi_hpre-0", 0);
        queue.submit(&ToyRsa::new(65).descriptor());
        wait_until(|| queue.rings.word32(queue.rings.size() - 8).load(Ordering::SeqCst) == 1);
        wait_until(|| Client::open(&daemon.root, "hisi_hpre-0").is_ok());
    };
    reset();
    reset();
    assert_eq!(shown("isolate"), "0", "a threshold of 0 never isolates");
    for refused in ["65536", "-1", "many", ""] {
        std::fs::write(&strategy, refused).unwrap();
        wait_until(|| std::fs::read_to_string(&strategy).unwrap() == "0\n");
    }
    // Normalised by the daemon: proof that it was taken over.
    // Written again when it is lost: the daemon may just be putting its own value back over the last one that it refused.
    wait_until(|| {
        std::fs::write(&strategy, "02").unwrap();
        let soon = Instant::now() + Duration::from_millis(500);
        while Instant::now() < soon {
            if std::fs::read_to_string(&strategy).unwrap() == "2\n" {
                return true;
            }
            std::thread::yield_now();
        }
        false
    });
    reset();
    reset();
    assert_eq!(shown("isolate"), "0");
    reset();
    wait_until(|| shown("isolate") == "1");
    assert!(Client::open(&daemon.root, "hisi_hpre-0").is_ok(), "isolation alone closes nothing");
    std::fs::write(&strategy, "9\n").unwrap();
    wait_until(|| std::fs::read_to_string(&strategy).unwrap() == "2\n");
    assert_eq!(shown("isolate"), "1");
}

#[test]
fn devices_on_several_nodes() {
    let daemon = Daemon::start(&["--device", "hpre@1,zip:2@2,zip", "--kernel", "openeuler"]);
    let placed = ["hisi_hpre-0", "hisi_zip-1", "hisi_zip-2", "hisi_zip-3"].map(|device| {
        ["device/numa_node", "node_id", "numa_distance"].map(|name| daemon.attribute(device, name))
    });
    assert_eq!(
        placed,
        [["1", "1", "12"], ["2", "2", "20"], ["2", "2", "20"], ["0", "0", "10"]]
            .map(|row| row.map(str::to_owned))
    );
    let queue = Started::new(&daemon, "hisi_zip-2", 0);
    assert_eq!((daemon.free("hisi_zip-1"), daemon.free("hisi_zip-2")), (64, 63));
    drop(queue);
    daemon.wait_free("hisi_zip-2", 64);
}
