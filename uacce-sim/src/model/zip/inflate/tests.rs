use super::*;
use zlib_rs::{Deflate, DeflateFlush};

fn deflate(level: i32, input: &[u8]) -> Vec<u8> {
    let mut engine = Deflate::new(level, false, 15);
    let mut output = vec![0; input.len() * 2 + 1000];
    assert_eq!(engine.compress(input, &mut output, DeflateFlush::Finish), Ok(Status::StreamEnd));
    output.truncate(usize::try_from(engine.total_out()).unwrap());
    output
}

/// Text with matches near and far, bytes of every value, runs, and noise.
fn sample(len: usize) -> Vec<u8> {
    let mut state = 7u32;
    let mut bytes = Vec::new();
    while bytes.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let choice = state >> 24;
        match choice {
            0..=99 => bytes.extend(format!("line {} of {}\n", choice, state >> 20).bytes()),
            100..=199 if bytes.len() > 40_000 => {
                let at = state as usize % 30_000;
                bytes.extend_from_within(bytes.len() - 32_768 + at..bytes.len() - 32_768 + at + 300);
            }
            200..=219 => bytes.extend(vec![bytes.len().to_le_bytes()[0]; 700]),
            _ => bytes.extend(state.to_le_bytes()),
        }
    }
    bytes.truncate(len);
    bytes
}

/// Decodes in pieces of the given sizes, the state going through its saved form each time.
fn in_pieces(input: &[u8], trailer_len: usize, input_step: usize, room: usize) -> (Vec<u8>, usize, Outcome) {
    let mut state = State::new(trailer_len);
    let (mut output, mut at): (Vec<u8>, usize) = (Vec::new(), 0);
    loop {
        let history = output[output.len() - output.len().min(MAX_WINDOW)..].to_vec();
        state.set_history_len(u32::try_from(history.len()).unwrap());
        state = State::load(&state.save()).unwrap();
        let piece = &input[at..(at + input_step).min(input.len())];
        let progress = state.run(piece, &history, room);
        assert!(progress.output.len() <= room && progress.consumed <= piece.len());
        at += progress.consumed;
        output.extend(&progress.output);
        let stuck = progress.consumed == 0 && progress.output.is_empty();
        match progress.outcome {
            Outcome::Ended | Outcome::InvalidData | Outcome::AlreadyEnded => {
                return (output, at, progress.outcome);
            }
            Outcome::InputUsed if at == input.len() => return (output, at, progress.outcome),
            // Less than a symbol of input and no room for its output: the next round must give more input.
            Outcome::RoomFull | Outcome::InputUsed => assert!(!stuck, "no progress at {at}"),
        }
    }
}

#[test]
fn agrees_with_zlib_at_every_split() {
    let text = sample(120_000);
    let coarse = [(1 << 20, 1 << 20), (1000, 300), (17, 100_000), (8192, 8192)];
    let fine = [(1 << 20, 1), (1, 1 << 20), (3, 7)];
    // Fine splits carry 32 KiB of history for every byte or so: long enough for the farthest matches, no longer.
    for (text, splits) in [(&text[..], &coarse[..]), (&text[..42_000], &fine)] {
        for level in [0, 1, 2, 6, 9] {
            let mut payload = deflate(level, text);
            let payload_len = payload.len();
            payload.extend(b"TRAILERand more");
            for (step, room) in splits {
                let (output, consumed, outcome) = in_pieces(&payload, 7, *step, *room);
                assert_eq!((outcome, consumed), (Outcome::Ended, payload_len + 7), "{level} {step} {room}");
                assert!(output == text, "{level} {step} {room}");
            }
        }
    }
}

/// Room for exactly the output: the end is reached without another call (zip §7.3).
#[test]
fn exact_room_reaches_the_end() {
    let text = sample(5000);
    for level in [0, 1, 6] {
        let payload = [deflate(level, &text), vec![1, 2, 3, 4]].concat();
        let mut state = State::new(4);
        let progress = state.run(&payload, &[], text.len());
        assert_eq!((progress.outcome, progress.consumed), (Outcome::Ended, payload.len()));
        assert_eq!(state.trailer(), [1, 2, 3, 4]);
        let again = state.run(&payload, &[], 10);
        assert_eq!((again.outcome, again.consumed, again.output.len()), (Outcome::AlreadyEnded, 0, 0));
    }
}

/// Whatever is wrong with a payload: this decoder and zlib's find the same, and give the same bytes up to there.
#[test]
fn damaged_payloads_are_judged_as_by_zlib() {
    let text = sample(3000);
    let mut state = 1u32;
    let mut judged = [0u32; 3];
    for level in [1, 6, 9] {
        let payload = deflate(level, &text);
        for _ in 0..4000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let mut damaged = payload.clone();
            let at = (state >> 8) as usize % damaged.len().min(200);
            damaged[at] ^= 1 << (state >> 5 & 7);
            let theirs = whole(&mut Inflate::new(false, 15), &damaged, 1 << 20);
            let ours = State::new(0).run(&damaged, &[], 1 << 20);
            match theirs {
                Ok((consumed, output)) => {
                    assert_eq!((ours.outcome, ours.consumed), (Outcome::Ended, consumed));
                    assert!(ours.output == output);
                    judged[0] += 1;
                }
                Err(Failure::Room) => assert_eq!(ours.outcome, Outcome::RoomFull),
                Err(_) => {
                    assert!(matches!(ours.outcome, Outcome::InvalidData | Outcome::InputUsed));
                    judged[if ours.outcome == Outcome::InvalidData { 1 } else { 2 }] += 1;
                }
            }
        }
    }
    assert!(judged.iter().all(|count| *count > 5), "{judged:?}");
}

#[test]
fn hostile_states_are_refused_or_harmless() {
    let mut random = 1u32;
    let mut loaded = 0;
    for round in 0..200_000u32 {
        let mut bytes = State::new(8).save();
        for _ in 0..1 + round % 6 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            bytes[(random >> 8) as usize % if round % 2 == 0 { 40 } else { State::LEN }] =
                random.to_le_bytes()[3] >> (random & 7);
        }
        if let Some(mut state) = State::load(&bytes) {
            loaded += 1;
            let _ = state.run(&random.to_le_bytes(), &[0; 64], 100);
        }
    }
    assert!(loaded > 1000, "{loaded}");
    assert!(State::load(&[0; State::LEN]).is_none());
}

#[test]
fn whole_payloads_and_their_errors() {
    let text = sample(50_000);
    let payload = deflate(6, &text);
    let mut engine = Inflate::new(false, 15);
    let padded = [payload.as_slice(), b"rest"].concat();
    assert_eq!(whole(&mut engine, &padded, text.len()), Ok((payload.len(), text.clone())));
    assert_eq!(whole(&mut engine, &payload, text.len() - 1), Err(Failure::Room));
    assert_eq!(whole(&mut engine, &payload[..payload.len() / 2], 1 << 20), Err(Failure::Data));
    assert_eq!(whole(&mut engine, &[7], 100), Err(Failure::Data));
    assert_eq!(whole(&mut engine, &[], 100), Err(Failure::Data));
}
