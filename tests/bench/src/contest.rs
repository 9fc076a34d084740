//! The same work done by several engines in turn, timed, and what comes of the times.

use std::hint::black_box;
use std::time::Instant;

/// One engine at the work. Called with the number of a piece of the work, 0 and up; returns bytes of output.
pub struct Player<'a> {
    pub name: &'static str,
    pub play: Box<dyn FnMut(usize) -> usize + 'a>,
}

/// What one engine needed, in seconds, and made, in bytes, for all pieces.
#[derive(Clone)]
pub struct Score {
    pub name: &'static str,
    pub cpu: f64,
    pub wall: f64,
    pub bytes: usize,
}

/// How often, and whether each turn is announced to a tool that counts.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    pub rounds: usize,
    pub announce: bool,
    /// Only contests whose label has this in it, and only this player; "" for all.
    pub only: &'a str,
    pub player: &'a str,
}

/// Lets every player do every piece, as often as planned. Players take turns at each piece, another one first each time: what the
/// machine does beside meets all of them alike. A score is each piece's median over the rounds, added up.
pub fn contest(plan: Plan<'_>, label: &str, pieces: usize, mut players: Vec<Player<'_>>) -> Vec<Score> {
    players.retain(|player| label.contains(plan.only) && player.name.contains(plan.player));
    let count = players.len();
    let mut times = vec![vec![Vec::new(); pieces]; count];
    let mut bytes = vec![0; count];
    for round in 0..plan.rounds {
        bytes.fill(0);
        for piece in 0..pieces {
            for turn in 0..count {
                let at = (turn + piece + round) % count;
                let player = &mut players[at];
                if plan.announce {
                    println!("turn|{label}|{}", player.name);
                }
                let (cpu, wall) = (thread_seconds(), Instant::now());
                bytes[at] += measured(&mut *player.play, piece);
                let (cpu, wall) = (thread_seconds() - cpu, wall.elapsed().as_secs_f64());
                times[at][piece].push((cpu, wall));
            }
        }
    }
    let total = |at: usize, pick: fn(&(f64, f64)) -> f64| {
        times[at].iter().map(|samples: &Vec<_>| median(samples.iter().map(pick).collect())).sum()
    };
    (0..count)
        .map(|at| Score {
            name: players[at].name,
            cpu: total(at, |time| time.0),
            wall: total(at, |time| time.1),
            bytes: bytes[at],
        })
        .collect()
}

/// What is timed, and nothing else: tools that count instructions look for calls of this function.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn measured(play: &mut dyn FnMut(usize) -> usize, piece: usize) -> usize {
    black_box(play(black_box(piece)))
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    let half = samples.len() / 2;
    if samples.len() % 2 == 1 { samples[half] } else { (samples[half - 1] + samples[half]) / 2.0 }
}

/// Processor time of this thread.
fn thread_seconds() -> f64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a clock that always exists, and a place for its answer.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut now) };
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Keeps this thread on one processor.
pub fn pin() {
    // SAFETY: the set is plain memory of the size given; the calls read and write nothing else.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(usize::try_from(libc::sched_getcpu()).unwrap_or(0), &mut set);
        assert_eq!(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set), 0, "sched_setaffinity");
    }
}
