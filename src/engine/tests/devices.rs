//! Several devices: which one is asked first, and who stands in for one that failed.

use super::*;

#[test]
fn a_second_device_takes_over_from_a_paused_one() {
    let lab = Lab::new(vec![
        Found { numa_distance: Some(10), ..hpre() },
        Found { name: "hisi_hpre-3".into(), numa_distance: Some(20), ..hpre() },
    ]);
    let core = lab.core(&format!("{HARDWARE}[wait]\ndeadline-ms = 300\n[health]\npause-min-ms = 60000\n"));
    let key = key();
    assert!(sign(&core, &key, 1));
    lab.devices()[0].set_status(1, 1);
    assert!(!sign(&core, &key, 2));
    for seed in 0..50 {
        assert!(sign(&core, &key, seed));
    }
    assert_eq!(counts(&core, RSA), (51, only("reset", 1)));
}

#[test]
fn of_devices_equally_near_the_one_with_most_free_queues_comes_first() {
    let device = |name: &str, numa_distance, free_queues| Found {
        name: name.into(),
        numa_distance: Some(numa_distance),
        free_queues,
        ..hpre()
    };
    let first = |found: Vec<Found>| {
        let lab = Lab::new(found);
        assert!(sign(&lab.core(HARDWARE), &key(), 1));
        lab.inner.opened.lock().unwrap().clone()
    };
    let near = [device("hisi_hpre-2", 10, Some(3)), device("hisi_hpre-3", 10, Some(200))];
    assert_eq!(first(near.to_vec()), ["hisi_hpre-3"]);
    assert_eq!(first(near.into_iter().rev().collect()), ["hisi_hpre-3"]);
    let far = [device("hisi_hpre-2", 20, Some(200)), device("hisi_hpre-3", 10, Some(1))];
    assert_eq!(first(far.to_vec()), ["hisi_hpre-3"], "a near one that is full can still be left");
    let silent = [device("hisi_hpre-2", 10, None), device("hisi_hpre-3", 10, Some(1))];
    assert_eq!(first(silent.to_vec()), ["hisi_hpre-3"], "who does not tell may have none");
}

#[test]
fn devices_without_shared_addresses_or_isolated_are_not_used() {
    let odd = [
        Found { sva: false, ..hpre() },
        Found { isolated: true, ..hpre() },
        Found { api_version: 1, ..hpre() },
    ];
    for device in odd {
        let lab = Lab::new(vec![device]);
        let core = lab.core(HARDWARE);
        assert!(!sign(&core, &key(), 1));
        assert_eq!(counts(&core, RSA), (0, only("no-device", 1)));
        assert_eq!(lab.opens(), 0);
    }
}

#[test]
fn a_device_that_appears_later_is_found_and_looks_are_rare() {
    let lab = Lab::new(vec![]);
    let core = lab.core(&format!("{HARDWARE}[queue]\nrediscover-ms = 50\n"));
    let key = key();
    for seed in 0..1000 {
        assert!(!sign(&core, &key, seed));
    }
    assert!(lab.inner.looks.load(Ordering::Relaxed) < 100, "not at every request");
    *lab.inner.found.lock().unwrap() = vec![hpre()];
    wait_until(|| sign(&core, &key, 1));
}

/// The driver was loaded again, in another mode: the process's own addresses mean nothing to the device now.
#[test]
fn a_device_that_lost_its_shared_addresses_is_another_device() {
    let lab = Lab::new(vec![hpre()]);
    let core = lab.core(&format!("{HARDWARE}[queue]\nrediscover-ms = 10\n"));
    let key = key();
    assert!(sign(&core, &key, 1));
    *lab.inner.found.lock().unwrap() = vec![Found { sva: false, ..hpre() }];
    wait_until(|| !sign(&core, &key, 2));
    assert!(lab.devices().iter().all(FakeDevice::put), "its queue was closed");
    let opens = lab.opens();
    for seed in 0..50 {
        assert!(!sign(&core, &key, seed));
    }
    assert_eq!(lab.opens(), opens);
    *lab.inner.found.lock().unwrap() = vec![hpre()];
    wait_until(|| sign(&core, &key, 3));
}

/// A daemon or driver that is away for a moment is asked again after one `rediscover-ms`, not after the ten of a device that may
/// not be used at all.
#[test]
fn a_device_that_is_gone_for_a_moment_is_back_soon() {
    let lab = Lab::new(vec![hpre()]);
    let core = lab.core(&format!("{HARDWARE}[queue]\nrediscover-ms = 1000\n[health]\npause-min-ms = 10\n"));
    let key = key();
    assert!(sign(&core, &key, 1));
    *lab.inner.refuse.lock().unwrap() = Some(|| Error::Gone);
    lab.devices()[0].set_status(1, 1);
    wait_until(|| !sign(&core, &key, 2) && lab.opens() == 2);
    *lab.inner.refuse.lock().unwrap() = None;
    let back = Instant::now();
    wait_until(|| sign(&core, &key, 3));
    assert!(back.elapsed() < Duration::from_secs(5), "{:?}", back.elapsed());
}

#[test]
fn a_device_that_may_not_be_opened_is_no_device() {
    let lab = Lab::new(vec![hpre()]);
    let core = lab.core(HARDWARE);
    *lab.inner.refuse.lock().unwrap() = Some(|| Error::Denied);
    let key = key();
    for seed in 0..100 {
        assert!(!sign(&core, &key, seed));
    }
    assert_eq!(counts(&core, RSA), (0, only("no-device", 100)));
    assert_eq!(lab.opens(), 1);
}
