//! Machines with several devices: which of them the core takes, on which NUMA node, and which it leaves alone.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use common::{Devices, Scratch, Simulator};

/// Free queues of each device named, as the simulator shows them now.
fn free<const N: usize>(simulator: &Simulator, devices: [&str; N]) -> [u32; N] {
    devices.map(|device| {
        let class = Path::new(&simulator.root).join("sys/class/uacce");
        let text = std::fs::read_to_string(class.join(device).join("available_instances")).unwrap();
        text.trim().parse().unwrap()
    })
}

/// Runs the load program, looks at the devices when it has done `rounds` rounds, and waits for its good end.
fn loaded<R>(scratch: &Scratch, simulator: &Simulator, rounds: usize, look: impl FnOnce() -> R) -> R {
    let key = scratch.key(2048);
    let program = scratch.compile("load", &["-lcrypto", "-lz"]);
    let mut command = scratch.client(program, Devices::Simulated(simulator));
    let mut child = command.arg(key).args(["2", "30"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.by_ref().take(rounds).filter(Result::is_ok).count(), rounds, "the load ended early");
    let seen = look();
    lines.for_each(drop);
    assert!(child.wait().unwrap().success());
    seen
}

/// By `numa_distance` where the kernel tells it, by the node where it does not.
#[test]
fn the_nearest_device_is_taken() {
    for kernel in ["mainline", "kae", "openeuler"] {
        let simulator = Simulator::start(&["--kernel", kernel, "--device", "hpre@1,hpre,hpre@2,zip@3,zip"]);
        let scratch = Scratch::new(&format!("nearest-{kernel}"));
        let devices = ["hisi_hpre-0", "hisi_hpre-1", "hisi_hpre-2", "hisi_zip-3", "hisi_zip-4"];
        let seen = loaded(&scratch, &simulator, 20, || free(&simulator, devices));
        let [far, near, farther, far_zip, near_zip] = seen;
        assert_eq!((far, farther, far_zip), (64, 64, 64), "{kernel}: {seen:?}");
        assert!(near < 64 && near_zip < 64, "{kernel}: {seen:?}");
        assert!(scratch.row("rsa-2048-private").hardware > 0, "{kernel}");
    }
}

/// A device whose errors were counted too often is left alone, although it would still open.
#[test]
fn an_isolated_device_is_left_alone() {
    let simulator =
        Simulator::start(&["--device", "hpre,hpre@1", "--fault", "reset=1ms,device=hisi_hpre-0,times=4"]);
    let strategy = Path::new(&simulator.root).join("sys/class/uacce/hisi_hpre-0/isolate_strategy");
    std::fs::write(strategy, "1\n").unwrap();
    let isolated = || {
        let path = Path::new(&simulator.root).join("sys/class/uacce/hisi_hpre-0/isolate");
        std::fs::read_to_string(path).unwrap().trim() == "1"
    };
    let scratch = Scratch::new("isolated");
    // Each client meets a reset; the second error is one too many. The daemon may learn of the number after the first, which it
    // then forgets, so there are more of them than it takes.
    for _ in 0..20 {
        if isolated() {
            break;
        }
        loaded(&scratch, &simulator, 1, || ());
    }
    assert!(isolated(), "{:?}", scratch.row("rsa-2048-private"));
    scratch.reset_counters();
    let seen = loaded(&scratch, &simulator, 20, || free(&simulator, ["hisi_hpre-0", "hisi_hpre-1"]));
    assert!(seen[0] == 64 && seen[1] < 64, "{seen:?}");
    let row = scratch.row("rsa-2048-private");
    assert!(row.hardware > 0 && row.software.is_empty(), "{row:?}");
}
