//! Segments and bodies: their windows, checks and checksums.

use super::*;

#[test]
fn bodies_are_inflated_through_copies_and_in_place() {
    for (device, wrapper) in [(zip_v2(), Wrapper::Gzip), (zip_v2(), Wrapper::Zlib), (zip_v3(), Wrapper::Raw)]
    {
        let lab = Lab::new(vec![device]);
        let core = lab.core(HARDWARE);
        for len in [1usize, 1000, 100_000, 3_000_000] {
            let plain: Vec<u8> = (0..=252).cycle().take(len).collect();
            let mut input = model::stored(&plain, true);
            let body_len = input.len();
            input.extend(b"what follows");
            let mut output = vec![0; len + 10];
            let body = InflateBody { input: &input, output: &mut output, wrapper };
            let sizes = match core.inflate(body, |_, _| true, |_| ()) {
                Outcome::Hardware(sizes) => sizes,
                Outcome::Software(()) => panic!("software for {len} bytes"),
            };
            assert_eq!((sizes.consumed, sizes.produced), (body_len, len));
            assert_eq!(output[..len], plain);
        }
        assert_eq!(counts(&core, "inflate"), (4, vec![]));
    }
}

#[test]
fn compressed_output_without_its_marker_is_a_wrong_result() {
    let lab = Lab::new(vec![zip_v2()]);
    let core = impatient(&lab);
    lab.behave(|device, mut submission, class| {
        model::serve(&mut submission.descriptor, class);
        let shorter = u32::from_le_bytes(submission.descriptor[4..8].try_into().unwrap()) - 1;
        submission.descriptor[4..8].copy_from_slice(&shorter.to_le_bytes());
        device.complete(submission.slot, &submission.descriptor);
    });
    assert!(compress(&core, vec![1; 1000]).is_none());
    assert_eq!(counts(&core, "deflate"), (0, only("wrong-result", 1)));
    lab.behave_well();
    wait_until(|| compress(&core, vec![1; 1000]).is_some());
}

#[test]
fn a_compressed_answer_that_fails_its_check_is_a_wrong_result() {
    let lab = Lab::new(vec![zip_v2()]);
    let core = impatient(&lab);
    let segment = DeflateSegment {
        input: Arc::new(vec![1; 1000]),
        window: Window::K32,
        checksum: Some(Checksum::Adler32),
    };
    let outcome = core.finish_deflate(
        core.begin_deflate(&segment, 0),
        // Adler-32 of a thousand ones, as the device says it; and yet.
        |made| made.checksum != Some(0xa765_03e9) || !made.bytes.ends_with(&known::SYNC_MARKER),
        || "software",
    );
    assert!(matches!(outcome, Outcome::Software("software")), "{outcome:?}");
    assert_eq!(counts(&core, "deflate"), (0, only("wrong-result", 1)));
    wait_until(|| compress(&core, vec![1; 1000]).is_some());
}

#[test]
fn the_checksum_comes_with_the_request_types_that_have_one() {
    for (checksum, device, told) in [
        (Some(Checksum::Adler32), zip_v3(), true),
        (Some(Checksum::Crc32), zip_v3(), true),
        (Some(Checksum::Crc32), found("hisi_zip-6", 2, &["zlib"]), false),
        (None, zip_v3(), false),
    ] {
        let core = Lab::new(vec![device]).core(HARDWARE);
        let segment = DeflateSegment { input: Arc::new(vec![1; 1000]), window: Window::K32, checksum };
        match run(&core, &segment) {
            Outcome::Hardware(made) => assert_eq!(made.checksum.is_some(), told, "{checksum:?}"),
            Outcome::Software(()) => panic!("{checksum:?}"),
        }
    }
}

#[test]
fn several_segments_of_one_caller_are_out_at_a_time_on_queues_of_their_own() {
    let lab = Lab::new(vec![zip_v3()]);
    let core = lab.core(HARDWARE);
    // Nobody answers before all are there.
    let held: Arc<Mutex<Vec<(FakeDevice, Submission)>>> = Arc::default();
    let kept = Arc::clone(&held);
    lab.behave(move |device, submission, class| {
        let mut kept = kept.lock().unwrap();
        kept.push((device.clone(), submission));
        if kept.len() == 6 {
            for (device, mut submission) in kept.drain(..) {
                model::serve(&mut submission.descriptor, class);
                device.complete(submission.slot, &submission.descriptor);
            }
        }
    });
    let texts: Vec<Vec<u8>> = (0..6).map(|seed| vec![seed; 70_000]).collect();
    let in_flight: Vec<_> = (0..6)
        .map(|ahead| {
            let input = Arc::new(texts[ahead].clone());
            core.begin_deflate(&DeflateSegment { input, window: Window::K32, checksum: None }, ahead)
        })
        .collect();
    for (in_flight, text) in in_flight.into_iter().zip(&texts) {
        match core.finish_deflate(in_flight, |_| true, || ()) {
            Outcome::Hardware(made) => assert_eq!(&model::unstored(&made.bytes).unwrap().0, text),
            Outcome::Software(()) => panic!("a device was there"),
        }
    }
    assert_eq!(counts(&core, "deflate"), (6, vec![]));
    assert_eq!(lab.opens(), 4, "as many queues as a set may have");
}

#[test]
fn a_segment_that_nobody_waits_for_leaves_its_memory_with_the_device() {
    let lab = Lab::new(vec![zip_v3()]);
    let core = lab.core(HARDWARE);
    let input = Arc::new(vec![5; 70_000]);
    let segment = DeflateSegment { input: Arc::clone(&input), window: Window::K32, checksum: None };
    drop(core.begin_deflate(&segment, 0));
    drop(segment);
    // Consumed, and let go, on behalf of a later request.
    wait_until(|| {
        compress(&core, vec![1; 10]);
        Arc::strong_count(&input) == 1
    });
    let (_, reasons) = counts(&core, "deflate");
    assert_eq!(reasons, vec![]);
}

#[test]
fn inflated_text_that_fails_its_check_is_a_wrong_result() {
    let lab = Lab::new(vec![zip_v2()]);
    let core = impatient(&lab);
    let input = model::stored(&[7; 1000], true);
    let mut output = [0; 2000];
    let body = InflateBody { input: &input, output: &mut output, wrapper: Wrapper::Zlib };
    let outcome = core.inflate(body, |text, done| text != [7; 1000] || done.produced != 1000, |_| "software");
    assert_eq!(outcome, Outcome::Software("software"));
    assert_eq!(counts(&core, "inflate"), (0, only("wrong-result", 1)));
}

#[test]
fn the_older_device_has_one_window_only() {
    let lab = Lab::new(vec![zip_v2()]);
    let core = lab.core(HARDWARE);
    let narrow = DeflateSegment { input: Arc::new(vec![1; 70_000]), window: Window::K4, checksum: None };
    assert!(matches!(run(&core, &narrow), Outcome::Software(())));
    assert_eq!(counts(&core, "deflate"), (0, only("unsupported", 1)));
    let newer = Lab::new(vec![zip_v3()]);
    assert!(matches!(run(&newer.core(HARDWARE), &narrow), Outcome::Hardware(_)));
}

#[test]
fn damaged_streams_are_software_s_to_explain() {
    let lab = Lab::new(vec![zip_v2()]);
    let core = impatient(&lab);
    let input = &model::stored(&[1; 1000], true)[..500];
    for _ in 0..5 {
        let body = InflateBody { input, output: &mut [0; 2000], wrapper: Wrapper::Zlib };
        assert_eq!(core.inflate(body, |_, _| true, |_| "data error"), Outcome::Software("data error"));
    }
    assert_eq!(counts(&core, "inflate"), (0, only("refused", 5)));
    let input = model::stored(&[1; 1000], true);
    let body = InflateBody { input: &input, output: &mut [0; 2000], wrapper: Wrapper::Zlib };
    assert!(matches!(core.inflate(body, |_, _| true, |_| ()), Outcome::Hardware(_)), "still trusted");
}
