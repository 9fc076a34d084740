//! Which requests go to a device at all: policy, capability, size, cost.

use super::*;

#[test]
fn every_eligible_request_of_a_single_thread_is_hardware_from_the_first_one_on() {
    let lab = Lab::new(vec![hpre(), zip_v2()]);
    let core = lab.core(HARDWARE);
    let key = key();
    for seed in 0..200 {
        assert!(sign(&core, &key, seed));
    }
    for len in [1, 2, 255, 65_536, 70_001, 1 << 20] {
        let plain: Vec<u8> = (0..=250).cycle().take(len).collect();
        let bytes = compress(&core, plain.clone()).unwrap();
        assert!(bytes.ends_with(&known::SYNC_MARKER));
        assert_eq!(model::unstored(&bytes).unwrap().0, plain);
    }
    assert_eq!(counts(&core, RSA), (200, vec![]));
    assert_eq!(counts(&core, "deflate"), (6, vec![]));
    assert_eq!(lab.opens(), 2, "one queue for each class");
}

#[test]
fn what_a_device_cannot_do_is_design_not_failure() {
    let lab = Lab::new(vec![zip_v2()]);
    let core = lab.core(HARDWARE);
    let input = model::stored(b"text", true);
    let body = InflateBody { input: &input, output: &mut [0; 10], wrapper: Wrapper::Raw };
    assert_eq!(core.inflate(body, |_, _| true, |_| 5), Outcome::Software(5));
    assert_eq!(counts(&core, "inflate"), (0, only("unsupported", 1)));
    assert!(!sign(&core, &key(), 1), "no public-key device");
    assert_eq!(counts(&core, RSA), (0, only("no-device", 1)));
    assert_eq!(lab.opens(), 0);
}

#[test]
fn policy_software_does_not_even_look() {
    let lab = Lab::new(vec![hpre()]);
    let core = lab.core("[policy]\ndefault = \"software\"\n");
    assert!(!sign(&core, &key(), 1));
    assert_eq!(counts(&core, RSA), (0, only("policy", 1)));
    assert_eq!(lab.inner.looks.load(Ordering::Relaxed), 0);
}

#[test]
fn small_requests_stay_in_software_under_auto() {
    let lab = Lab::new(vec![zip_v3()]);
    let core = lab.core("");
    assert!(compress(&core, vec![1; 1000]).is_none());
    assert!(compress(&core, vec![1; 100_000]).is_some());
    assert_eq!(counts(&core, "deflate"), (1, only("small", 1)));
    assert_eq!(core.preview(Algorithm::Deflate, 100), Err(Reason::Small));
    assert_eq!(core.preview(Algorithm::Deflate, 100_000), Ok(()));
    assert_eq!(counts(&core, "deflate"), (1, only("small", 1)), "a preview is not counted");
}

#[test]
fn auto_leaves_a_slow_device_alone_and_tries_it_again_now_and_then() {
    let lab = Lab::new(vec![hpre()]);
    lab.behave(|device, mut submission, class| {
        // How slow the device is; nothing is synchronised by it.
        std::thread::sleep(Duration::from_millis(2));
        model::serve(&mut submission.descriptor, class);
        device.complete(submission.slot, &submission.descriptor);
    });
    let core = lab.core("");
    let key = key();
    let hardware = (0..600).filter(|&seed| sign(&core, &key, seed)).count();
    // Eight to get to know it, then one request of software to compare, then one in 256.
    assert_eq!(hardware, 10);
    assert_eq!(counts(&core, RSA), (10, only("policy", 590)));
}

#[test]
fn errno_is_the_caller_s() {
    let lab = Lab::new(vec![]);
    let core = lab.core(HARDWARE);
    let _ = std::fs::File::open("/nonexistent/file");
    let before = std::io::Error::last_os_error().raw_os_error();
    assert!(!sign(&core, &key(), 1));
    assert_eq!(std::io::Error::last_os_error().raw_os_error(), before);
}

#[test]
fn presence_asks_for_no_more_than_a_device_that_can() {
    let ask = |found: Vec<Found>, toml: &str, algorithm| Lab::new(found).core(toml).presence(algorithm);
    let rsa = Algorithm::RsaPrivate(2048);
    assert_eq!(ask(vec![hpre()], "", rsa), Ok(()));
    assert_eq!(ask(vec![hpre()], "", Algorithm::X25519), Err(Reason::Unsupported));
    assert_eq!(ask(vec![zip_v2()], "", rsa), Err(Reason::NoDevice));
    assert_eq!(ask(vec![zip_v2(), hpre()], "", rsa), Ok(()));
    assert_eq!(ask(vec![], "", rsa), Err(Reason::NoDevice));
    let lab = Lab::new(vec![]);
    assert_eq!(
        lab.core("[policy]\ndefault = \"software\"\n").presence(rsa),
        Ok(()),
        "the request is counted"
    );
    assert_eq!(lab.inner.looks.load(Ordering::Relaxed), 0, "and nothing looked for");
    // What comes later is found by those who only ask.
    let core = lab.core("[queue]\nrediscover-ms = 10\n");
    assert_eq!(core.presence(rsa), Err(Reason::NoDevice));
    *lab.inner.found.lock().unwrap() = vec![hpre()];
    wait_until(|| core.presence(rsa) == Ok(()));
    assert_eq!(lab.opens(), 0);
}
