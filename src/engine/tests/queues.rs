//! Queues under load: shared by threads, full, given back, stopped, inherited by a child; and the memory that is lent to them.

use super::*;

#[test]
fn eight_threads_share_queues_and_each_gets_its_own_answer() {
    let lab = Lab::with_depth(vec![hpre()], 16);
    let core = lab.core(HARDWARE);
    let key = key();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (core, key) = (&core, &key);
            scope.spawn(move || {
                for request in 0..2000 {
                    assert!(sign(core, key, thread * 1_000_000 + request));
                }
            });
        }
    });
    assert_eq!(counts(&core, RSA), (16_000, vec![]));
    assert_eq!(lab.opens(), 1, "waited for, not opened again");
}

#[test]
fn more_threads_than_slots_get_software_not_a_wait() {
    let lab = Lab::with_depth(vec![hpre()], 4);
    let core = lab.core(&format!("{HARDWARE}[queue]\nbudget = 1\n"));
    let key = key();
    let hardware = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (core, key, hardware) = (&core, &key, &hardware);
            scope.spawn(move || {
                for request in 0..500 {
                    if sign(core, key, thread * 1_000_000 + request) {
                        hardware.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let (counted, reasons) = counts(&core, RSA);
    assert_eq!(counted, hardware.load(Ordering::Relaxed) as u64);
    assert!(reasons.iter().all(|(reason, _)| reason == "busy"), "{reasons:?}");
    assert_eq!(counted + reasons.iter().map(|(_, requests)| requests).sum::<u64>(), 4000);
}

#[test]
fn a_late_completion_frees_what_its_request_left_behind() {
    let lab = Lab::new(vec![zip_v3()]);
    let core = impatient(&lab);
    let held: Arc<Mutex<Vec<(FakeDevice, Submission)>>> = Arc::default();
    let kept = Arc::clone(&held);
    lab.behave(move |device, submission, _| kept.lock().unwrap().push((device.clone(), submission)));
    let input = Arc::new(vec![5; 70_000]);
    let segment = DeflateSegment { input: Arc::clone(&input), window: Window::K32, checksum: None };
    // Two at once: the first to give up must not take the queue away from the second's memory.
    let core = &core;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let segment = segment.clone();
            scope.spawn(move || assert!(matches!(run(core, &segment), Outcome::Software(()))));
        }
    });
    drop(segment);
    // Answers now would be a use of freed memory if anything had been given back; the queue is closed by its last user,
    // and only then the input is let go.
    for (device, mut submission) in held.lock().unwrap().drain(..) {
        if !device.put() {
            model::serve(&mut submission.descriptor, 0);
            device.complete(submission.slot, &submission.descriptor);
        }
    }
    wait_until(|| {
        core.preview(Algorithm::Deflate, 70_000).ok();
        compress(core, vec![1; 10]);
        Arc::strong_count(&input) == 1
    });
}

/// A caller lends its own memory to a device that ends badly and holds the stop up: it waits for that.
fn inflate_in_place_until_the_queue_is_closed(lab: &Lab, core: &Core) {
    let input = model::stored(&vec![3; 2_000_000], true);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut output = vec![0; 2_000_000];
            let body = InflateBody { input: &input, output: &mut output, wrapper: Wrapper::Raw };
            let outcome = core.inflate(body, |_, _| true, |body| body.output.len());
            assert_eq!(outcome, Outcome::Software(2_000_000));
            done.store(true, Ordering::SeqCst);
        });
        wait_until(|| lab.devices().first().is_some_and(FakeDevice::put));
        // The kernel still drains: the device may still write.
        assert!(!done.load(Ordering::SeqCst));
        lab.devices()[0].hold_stop(false);
    });
}

#[test]
fn a_caller_s_own_memory_comes_back_only_when_the_queue_is_closed() {
    let lab = Lab::new(vec![zip_v3()]);
    let core = impatient(&lab);
    lab.behave(|device, _, _| device.hold_stop(true));
    inflate_in_place_until_the_queue_is_closed(&lab, &core);
    assert_eq!(counts(&core, "inflate"), (0, only("time-out", 1)));
}

/// A completion that names a request which the device has not done: the memory is still the device's.
#[test]
fn what_was_never_processed_gives_no_memory_back_before_the_queue_is_closed() {
    let lab = Lab::new(vec![zip_v3()]);
    let core = impatient(&lab);
    lab.behave(|device, submission, _| {
        device.hold_stop(true);
        device.complete(submission.slot, &submission.descriptor);
    });
    inflate_in_place_until_the_queue_is_closed(&lab, &core);
    assert_eq!(counts(&core, "inflate"), (0, only("device-error", 1)));

    // Memory of the request's own stays in the table, and the queue in the pool until someone looks there.
    lab.behave(|device, submission, _| {
        device.complete(submission.slot, &submission.descriptor);
    });
    let text = Arc::new(vec![5; 70_000]);
    let segment = DeflateSegment { input: Arc::clone(&text), window: Window::K32, checksum: None };
    assert!(matches!(run(&core, &segment), Outcome::Software(())));
    drop(segment);
    assert_eq!(counts(&core, "deflate"), (0, only("device-error", 1)));
    let queue_is_closed = lab.devices().iter().all(FakeDevice::put);
    assert!(!queue_is_closed && Arc::strong_count(&text) == 2);
    lab.behave_well();
    wait_until(|| compress(&core, vec![1; 10]).is_some());
    assert_eq!(Arc::strong_count(&text), 1);
}

#[test]
fn a_stop_in_mid_load_leaves_every_caller_with_an_answer() {
    let lab = Lab::new(vec![hpre()]);
    let core = impatient(&lab);
    let key = key();
    let over = AtomicBool::new(false);
    let requests = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (core, key, over, requests) = (&core, &key, &over, &requests);
            scope.spawn(move || {
                let mut seed = thread * 1_000_000;
                while !over.load(Ordering::Relaxed) {
                    sign(core, key, seed);
                    seed += 1;
                    requests.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut answered = 0;
        for _ in 0..5 {
            wait_until(|| counts(&core, RSA).0 > answered);
            lab.devices().last().unwrap().set_status(1, 1);
            answered = counts(&core, RSA).0;
        }
        wait_until(|| counts(&core, RSA).0 > answered);
        over.store(true, Ordering::Relaxed);
    });
    let (hardware, reasons) = counts(&core, RSA);
    let software: u64 = reasons.iter().map(|(_, requests)| requests).sum();
    assert_eq!(hardware + software, requests.load(Ordering::Relaxed) as u64);
    assert!(reasons.iter().all(|(reason, _)| reason == "reset" || reason == "paused"), "{reasons:?}");
}

#[test]
fn every_queue_taken_backs_off_and_comes_back() {
    let lab = Lab::new(vec![hpre()]);
    let core = impatient(&lab);
    let key = key();
    *lab.inner.refuse.lock().unwrap() = Some(|| Error::Busy);
    for seed in 0..200 {
        assert!(!sign(&core, &key, seed));
    }
    assert_eq!(counts(&core, RSA), (0, only("busy", 200)));
    assert!(lab.opens() < 50, "not tried at every request");
    *lab.inner.refuse.lock().unwrap() = None;
    wait_until(|| sign(&core, &key, 1));
}

#[test]
fn the_budget_is_never_exceeded_and_unused_queues_make_room() {
    let lab = Lab::new(vec![hpre(), zip_v2()]);
    let core = lab.core(&format!("{HARDWARE}[queue]\nbudget = 1\n"));
    let key = key();
    assert!(sign(&core, &key, 1));
    assert!(compress(&core, vec![1; 1000]).is_none());
    assert_eq!(counts(&core, "deflate"), (0, only("busy", 1)));
    wait_until(|| compress(&core, vec![1; 1000]).is_some());
    assert!(lab.devices()[0].put(), "the other queue was closed");
}

#[test]
fn idle_queues_are_given_back() {
    let lab = Lab::new(vec![hpre(), zip_v2()]);
    let core = lab.core(&format!("{HARDWARE}[queue]\nidle-ms = 30\n"));
    assert!(sign(&core, &key(), 1));
    wait_until(|| {
        compress(&core, vec![1; 1000]);
        lab.devices()[0].put()
    });
    assert!(sign(&core, &key(), 1));
}

#[test]
fn a_forked_child_opens_its_own_queue_and_disturbs_nobody() {
    static PROCESS: PerProcess<Core> = PerProcess::new();
    let lab = Lab::new(vec![hpre()]);
    let core = PROCESS.value(|_| lab.core(HARDWARE));
    let key = key();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (key, over) = (&key, &over);
            scope.spawn(move || {
                let mut seed = thread * 1_000_000;
                while !over.load(Ordering::Relaxed) {
                    assert!(sign(core, key, seed));
                    seed += 1;
                }
            });
        }
        for child in 0..20 {
            let well = fork::in_child(|| {
                // Threads and locks of the parent's device are not here: the child brings its own.
                let lab = Lab::new(vec![hpre()]);
                let core = PROCESS
                    .value(|parent| Core::new(Arc::clone(&parent.unwrap().config), Box::new(lab.clone())));
                (0..20).all(|seed| sign(core, &key, child * 100 + seed)) && counts(core, RSA) == (20, vec![])
            });
            assert!(well, "child {child}");
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(counts(core, RSA).1, []);
    assert_eq!(lab.opens(), 1);
}
