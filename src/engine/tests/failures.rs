//! What fails is software, is counted, and is recovered from.

use super::*;

#[test]
fn each_way_to_fail_gives_software_is_counted_and_is_recovered_from() {
    type Misdeed = fn(&FakeDevice, Submission);
    let misdeeds: [(&str, &str, Misdeed); 9] = [
        ("lost", "time-out", |_, _| {}),
        ("wild index", "device-error", |device, submission| {
            device.complete(submission.slot, &submission.descriptor);
            device.write_entry(60_000, uacce_sys::fake::Phase::Right);
        }),
        ("wrong slot", "device-error", |device, mut submission| {
            model::serve(&mut submission.descriptor, 0);
            device.complete(submission.slot + 1, &submission.descriptor);
        }),
        ("wrong tag", "device-error", |device, mut submission| {
            model::serve(&mut submission.descriptor, 0);
            submission.descriptor[32] ^= 0x40;
            device.complete(submission.slot, &submission.descriptor);
        }),
        ("wrong generation", "device-error", |device, mut submission| {
            model::serve(&mut submission.descriptor, 0);
            submission.descriptor[34] ^= 1;
            device.complete(submission.slot, &submission.descriptor);
        }),
        ("never processed", "device-error", |device, submission| {
            device.complete(submission.slot, &submission.descriptor);
        }),
        ("wrong phase", "time-out", |device, submission| {
            device.write_entry(submission.slot, uacce_sys::fake::Phase::Wrong);
        }),
        ("stopped", "reset", |device, _| device.set_status(1, 1)),
        ("hung up", "reset", |device, _| device.hang_up()),
    ];
    for (name, reason, misdeed) in misdeeds {
        let lab = Lab::new(vec![hpre()]);
        let core = impatient(&lab);
        let key = key();
        assert!(sign(&core, &key, 1), "{name}: good at first");
        lab.behave(move |device, submission, _| misdeed(device, submission));
        let start = Instant::now();
        assert!(!sign(&core, &key, 2), "{name}");
        assert!(start.elapsed() < Duration::from_secs(5), "{name}");
        lab.behave_well();
        let (_, reasons) = counts(&core, RSA);
        assert_eq!(reasons, only(reason, 1), "{name}");
        wait_until(|| sign(&core, &key, 3));
        for seed in 0..50 {
            assert!(sign(&core, &key, seed), "{name}: good again");
        }
        let (_, reasons) = counts(&core, RSA);
        assert!(
            reasons
                .iter()
                .all(|(counted, requests)| counted == "paused" || (counted == reason && *requests == 1)),
            "{name}: {reasons:?}"
        );
    }
}

#[test]
fn one_refusal_is_the_request_s_three_in_a_row_the_device_s() {
    let lab = Lab::new(vec![hpre()]);
    let core = impatient(&lab);
    let key = key();
    lab.behave(|device, mut submission, _| {
        submission.descriptor[0] |= 0x20;
        submission.descriptor[3] |= 0xc0;
        device.complete(submission.slot, &submission.descriptor);
    });
    for seed in 0..4 {
        assert!(!sign(&core, &key, seed));
    }
    let (_, reasons) = counts(&core, RSA);
    assert_eq!(reasons, [("device-error".to_owned(), 3), ("paused".to_owned(), 1)]);
    lab.behave_well();
    wait_until(|| sign(&core, &key, 9));
}

#[test]
fn a_wrong_result_is_thrown_away_and_three_known_answers_are_wanted() {
    let lab = Lab::new(vec![hpre()]);
    let core = impatient(&lab);
    let key = key();
    assert!(sign(&core, &key, 1));
    let probes = Arc::new(AtomicUsize::new(0));
    lab.behave(|device, mut submission, class| {
        model::serve(&mut submission.descriptor, class);
        let output = u64::from_le_bytes(submission.descriptor[24..32].try_into().unwrap());
        device_view::write(output, &[0xee]);
        device.complete(submission.slot, &submission.descriptor);
    });
    assert!(!sign(&core, &key, 2));
    assert_eq!(counts(&core, RSA).1, only("wrong-result", 1));
    let counted = Arc::clone(&probes);
    lab.behave(move |device, mut submission, class| {
        counted.fetch_add(1, Ordering::SeqCst);
        model::serve(&mut submission.descriptor, class);
        device.complete(submission.slot, &submission.descriptor);
    });
    wait_until(|| sign(&core, &key, 3));
    // Three probes and the request itself.
    assert_eq!(probes.load(Ordering::SeqCst), 4);
}

/// A stream asks first and sends nothing to a device that is paused: its asking alone must bring the device back.
#[test]
fn a_paused_device_comes_back_for_callers_that_only_ask() {
    let lab = Lab::new(vec![zip_v3()]);
    let core = impatient(&lab);
    let plain: Vec<u8> = (0..=250).cycle().take(70_000).collect();
    let ask = || core.preview(Algorithm::Deflate, plain.len());
    assert_eq!(ask(), Ok(()));
    lab.behave(|device, _, _| device.set_status(1, 1));
    assert!(compress(&core, plain.clone()).is_none());
    lab.behave_well();
    assert_eq!(ask(), Err(Reason::Paused));
    wait_until(|| ask().is_ok());
    assert!(compress(&core, plain.clone()).is_some());
    assert_eq!(counts(&core, "deflate"), (1, only("reset", 1)));
}

/// The same wrong answer, with the request to blame: software, and the device goes on as before.
#[test]
fn a_bad_input_is_no_fault_of_the_device() {
    let lab = Lab::new(vec![hpre()]);
    let core = impatient(&lab);
    let key = key();
    let mut output = [0x55; 256];
    let outcome = core.rsa_private(&key, &[1; 256], &mut output, |_| Verdict::BadInput, || "software");
    assert_eq!(outcome, Outcome::Software("software"));
    assert_eq!(output, [0x55; 256]);
    assert_eq!(counts(&core, RSA), (0, only("unsupported", 1)));
    assert!(sign(&core, &key, 1), "at once");
    assert_eq!(counts(&core, RSA), (1, only("unsupported", 1)));
}

#[test]
fn a_duplicate_completion_ends_the_queue_and_hurts_no_request() {
    let lab = Lab::new(vec![hpre()]);
    let core = impatient(&lab);
    let key = key();
    lab.behave(|device, mut submission, class| {
        model::serve(&mut submission.descriptor, class);
        device.complete(submission.slot, &submission.descriptor);
        device.write_entry(submission.slot, uacce_sys::fake::Phase::Right);
    });
    for seed in 0..20 {
        sign(&core, &key, seed);
    }
    lab.behave_well();
    wait_until(|| sign(&core, &key, 21));
    let (_, reasons) = counts(&core, RSA);
    assert!(reasons.iter().any(|(reason, _)| reason == "device-error" || reason == "paused"), "{reasons:?}");
    assert!(lab.opens() > 1);
}

#[test]
fn a_device_in_reset_is_paused_and_opened_again() {
    let lab = Lab::new(vec![hpre()]);
    let core = impatient(&lab);
    *lab.inner.refuse.lock().unwrap() = Some(|| Error::Stopped);
    let key = key();
    for seed in 0..20 {
        assert!(!sign(&core, &key, seed));
    }
    assert_eq!(counts(&core, RSA).1, [("paused".to_owned(), 19), ("reset".to_owned(), 1)]);
    *lab.inner.refuse.lock().unwrap() = None;
    wait_until(|| sign(&core, &key, 1));
}

#[test]
fn the_log_tells_of_a_failure_and_of_the_recovery_and_of_nothing_else() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("log");
    let lab = Lab::new(vec![hpre()]);
    let core = lab
        .core(&format!("{HARDWARE}[health]\npause-min-ms = 1\n[log]\nfile = {:?}\n", path.to_str().unwrap()));
    let key = key();
    assert!(sign(&core, &key, 1));
    assert!(!path.exists(), "nothing happened");
    lab.devices()[0].set_status(1, 1);
    assert!(!sign(&core, &key, 2));
    wait_until(|| sign(&core, &key, 3));
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> =
        text.lines().filter_map(|line| line.split_once("]: ")).map(|(_, said)| said).collect();
    let name = hpre().name;
    assert_eq!(lines.first(), Some(&format!("{name}: paused after a failure: reset").as_str()), "{text}");
    assert_eq!(lines.last(), Some(&format!("{name}: in use again").as_str()), "{text}");
}
