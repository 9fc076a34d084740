//! How long requests take: `--latency`, `--bandwidth`, `--profile`.
//!
//! A request waits for one of its engine's cores, occupies it for its work at the core's share of the bandwidth, and is
//! complete a latency later. Cores belong to the device, so queues compete for them as on hardware.

use std::str::FromStr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::cli::parse_time;
use crate::describe::{FAMILIES, Work};
use crate::device::{Engine, Hardware};

/// `[OPERATION=]TIME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latency {
    operation: String,
    time: Duration,
}

/// `[OPERATION=]RATE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bandwidth {
    operation: String,
    rate: Rate,
}

/// What a whole device does in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rate {
    Bytes(u64),
    Operations(u64),
}

/// A set of figures with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// What has been published for Kunpeng 920; nothing else is slowed down (docs/simulator.md cites each figure).
    Kunpeng920,
}

/// All that was said about times. Later items override earlier ones for the same operation; the more special operation wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    latencies: Vec<Latency>,
    bandwidths: Vec<Bandwidth>,
}

/// The cores of one device, and what keeps them busy.
pub struct Pace {
    times: Times,
    engine: Engine,
    /// By queue class where the classes have cores of their own: when each core is free.
    cores: Vec<Mutex<Vec<Option<Instant>>>>,
}

impl Profile {
    /// hpre §7, zip §4. RSA: 100,000 private operations a second for a server with two devices, so 50,000 a device and, on
    /// eight cores (hpre §2.3), 160 µs each: what one synchronous thread sees (154 to 175 µs). Public: 46,592 to 51,969 a
    /// second from one synchronous thread, 20 µs a core. Compression: 7,272 MB/s with many 8 KiB blocks in flight, 556 MB/s
    /// with one: 14.7 µs, of which 2.25 µs are spent on one of two cores. Decompression: 1,530 MB/s from one thread, six
    /// cores (zip §1.3).
    fn figures(self) -> &'static [Published] {
        match self {
            Self::Kunpeng920 => KUNPENG_920,
        }
    }
}

const KUNPENG_920: &[Published] = &[
    Published::new("rsa-2048-private", 0, Rate::Operations(50_000)),
    Published::new("rsa-2048-public", 0, Rate::Operations(400_000)),
    Published::new("deflate", 12_500, Rate::Bytes(7_272_000_000)),
    Published::new("inflate", 0, Rate::Bytes(9_180_000_000)),
];

/// A line of a profile.
struct Published {
    operation: &'static str,
    latency: Duration,
    rate: Rate,
}

impl Published {
    const fn new(operation: &'static str, nanoseconds: u64, rate: Rate) -> Self {
        Self { operation, latency: Duration::from_nanos(nanoseconds), rate }
    }
}

impl Times {
    /// A profile, overridden by what was said besides.
    pub fn new(profile: Option<Profile>, latencies: Vec<Latency>, bandwidths: Vec<Bandwidth>) -> Self {
        let mut times = Self::default();
        for known in profile.map_or(&[][..], Profile::figures) {
            let operation = known.operation.to_owned();
            times.bandwidths.push(Bandwidth { operation: operation.clone(), rate: known.rate });
            if !known.latency.is_zero() {
                times.latencies.push(Latency { operation, time: known.latency });
            }
        }
        times.latencies.extend(latencies);
        times.bandwidths.extend(bandwidths);
        times
    }
}

impl Pace {
    /// A device whose cores are all free.
    pub fn new(times: &Times, engine: Engine, hardware: Hardware) -> Self {
        let free = |count: usize| Mutex::new(vec![None; count]);
        let cores = match (engine, hardware) {
            // Ten on v3, of which two do SM2 alone (hpre §1.4, §2.3).
            (Engine::Hpre, _) => vec![free(8)],
            // Nothing is published.
            (Engine::Sec, _) => vec![free(1)],
            // Compression and decompression apart (zip §1.3).
            (Engine::Zip, Hardware::V2) => vec![free(2), free(6)],
            (Engine::Zip, _) => vec![free(2), free(3)],
        };
        Self { times: times.clone(), engine, cores }
    }

    /// Whether every request is complete as soon as it is computed.
    pub fn is_immediate(&self) -> bool {
        self.times == Times::default()
    }

    /// When a request that was rung at `rung` is complete.
    pub fn due(&self, rung: Instant, class: u16, work: &Work) -> Instant {
        let bandwidths = self.times.bandwidths.iter().map(|item| (item.operation.as_str(), item.rate));
        let end = match self.closest(bandwidths, &work.name) {
            Some(rate) => self.occupy(rung, class, work, rate),
            None => rung,
        };
        let latencies = self.times.latencies.iter().map(|item| (item.operation.as_str(), item.time));
        end + self.closest(latencies, &work.name).unwrap_or_default()
    }

    /// Puts a request on the core that is free first; returns when it leaves it.
    fn occupy(&self, rung: Instant, class: u16, work: &Work, rate: Rate) -> Instant {
        let Some(cores) = self.cores.get(usize::from(class)).or_else(|| self.cores.first()) else {
            return rung;
        };
        let mut cores = cores.lock();
        let share = u64::try_from(cores.len()).unwrap_or(1);
        let (amount, per_second) = match rate {
            Rate::Bytes(rate) => (work.bytes, rate),
            Rate::Operations(rate) => (1, rate),
        };
        let nanoseconds = u128::from(amount) * u128::from(share) * 1_000_000_000 / u128::from(per_second);
        let time = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX)).min(LONGEST);
        let Some(first) = cores.iter_mut().min() else { return rung };
        let end = first.map_or(rung, |free| free.max(rung)) + time;
        *first = Some(end);
        end
    }

    /// The value given for the most special name of this operation; of several for the same, the last.
    fn closest<'a, T>(&self, items: impl Iterator<Item = (&'a str, T)>, operation: &str) -> Option<T> {
        let engine = self.engine.name();
        let rank = |name: &str| match name {
            "" => Some(0),
            _ if name == engine => Some(1),
            _ => names(name, operation).then_some(1 + name.len()),
        };
        items
            .filter_map(|(name, value)| Some((rank(name)?, value)))
            .max_by_key(|(rank, _)| *rank)
            .map(|found| found.1)
    }
}

/// Whether `name` is this operation or a family it belongs to: its first words.
fn names(name: &str, operation: &str) -> bool {
    operation.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

impl FromStr for Latency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (operation, value) = split(text)?;
        Ok(Self { operation, time: parse_time(value)? })
    }
}

impl FromStr for Bandwidth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (operation, value) = split(text)?;
        let number = value.strip_suffix("/s").unwrap_or(value);
        let digits = number.find(|character: char| !character.is_ascii_digit()).unwrap_or(number.len());
        let (count, unit) = number.split_at(digits);
        let count: u64 =
            count.parse().map_err(|_| format!("{value}: not a rate, such as 2380MB or 50000op"))?;
        let bytes = |factor| count.checked_mul(factor).map(Rate::Bytes);
        let rate = match unit {
            "op" => Some(Rate::Operations(count)),
            "B" => bytes(1),
            "kB" => bytes(1000),
            "MB" => bytes(1_000_000),
            "GB" => bytes(1_000_000_000),
            _ => return Err(format!("{value}: a unit is needed: op, B, kB, MB or GB, a second")),
        };
        match rate {
            Some(rate) if count > 0 => Ok(Self { operation, rate }),
            _ => Err(format!("{value}: no such rate")),
        }
    }
}

impl std::fmt::Display for Latency {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let equals = if self.operation.is_empty() { "" } else { "=" };
        write!(formatter, "{}{equals}{}ns", self.operation, self.time.as_nanos())
    }
}

impl std::fmt::Display for Bandwidth {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let equals = if self.operation.is_empty() { "" } else { "=" };
        let (count, unit) = match self.rate {
            Rate::Bytes(count) => (count, "B"),
            Rate::Operations(count) => (count, "op"),
        };
        write!(formatter, "{}{equals}{count}{unit}", self.operation)
    }
}

/// Operation, empty if none is named, and value.
fn split(text: &str) -> Result<(String, &str), String> {
    let Some((operation, value)) = text.split_once('=') else { return Ok((String::new(), text)) };
    let family = operation.split('-').next().unwrap_or_default();
    if FAMILIES.contains(&family) {
        Ok((operation.to_owned(), value))
    } else {
        Err(format!(
            "{operation}: no such operation ({} and what `uacce-sim trace` calls them)",
            FAMILIES.join(", ")
        ))
    }
}

/// No request takes longer, whatever was said.
const LONGEST: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(engine: Engine, profile: Option<Profile>, latencies: &[&str], bandwidths: &[&str]) -> Pace {
        let latencies = latencies.iter().map(|text| text.parse().unwrap()).collect();
        let bandwidths = bandwidths.iter().map(|text| text.parse().unwrap()).collect();
        Pace::new(&Times::new(profile, latencies, bandwidths), engine, Hardware::V2)
    }

    fn work(name: &str, bytes: u64) -> Work {
        Work { name: name.to_owned(), bytes }
    }

    #[test]
    fn the_most_special_name_wins_and_then_the_last() {
        let pace = pace(Engine::Hpre, None, &["1us", "rsa=2us", "rsa-2048=3us", "hpre=4us", "rsa=5us"], &[]);
        let now = Instant::now();
        let latency = |name: &str| (pace.due(now, 0, &work(name, 0)) - now).as_micros();
        assert_eq!(latency("rsa-2048-private"), 3);
        assert_eq!(latency("rsa-20480"), 5);
        assert_eq!(latency("rsa-4096-public"), 5);
        assert_eq!(latency("dh-2048"), 4);
        let zip = super::tests::pace(Engine::Zip, None, &["1us", "hpre=4us"], &[]);
        assert_eq!((zip.due(now, 0, &work("deflate-zlib", 9)) - now).as_micros(), 1);
    }

    #[test]
    fn cores_are_shared_by_all_and_never_idle() {
        // Two cores of 500 MB/s.
        let pace = pace(Engine::Zip, None, &["10us"], &["deflate=1GB/s"]);
        let now = Instant::now();
        let due = |class| (pace.due(now, class, &work("deflate-zlib", 1000)) - now).as_micros();
        assert_eq!([due(0), due(0), due(0), due(0), due(0)], [12, 12, 14, 14, 16]);
        // Other cores: decompression is said nothing about, and nothing else occupied them.
        assert_eq!((pace.due(now, 1, &work("inflate-zlib", 1000)) - now).as_micros(), 10);
        let later = now + Duration::from_secs(1);
        assert_eq!((pace.due(later, 0, &work("deflate-zlib", 1000)) - later).as_micros(), 12);
    }

    /// hpre §7, zip §4: the profile gives back the figures it was made of.
    #[test]
    fn the_profile_reproduces_its_sources() {
        let hpre = pace(Engine::Hpre, Some(Profile::Kunpeng920), &[], &[]);
        let now = Instant::now();
        let private = work("rsa-2048-private", 0);
        assert_eq!((hpre.due(now, 0, &private) - now).as_micros(), 160);
        let last = (1..50_000).map(|_| hpre.due(now, 0, &private)).max().unwrap();
        assert_eq!((last - now).as_millis(), 1000);
        assert_eq!(
            (hpre.due(now, 0, &work("rsa-4096-private", 0)) - now).as_nanos(),
            0,
            "nothing is published"
        );
        let zip = pace(Engine::Zip, Some(Profile::Kunpeng920), &[], &[]);
        let alone = zip.due(now, 0, &work("deflate-raw", 8192)) - now;
        let rate = 8192.0 / alone.as_secs_f64() / 1e6;
        assert!((rate - 556.0).abs() < 6.0, "{rate} MB/s with one block in flight");
        let overridden = pace(Engine::Zip, Some(Profile::Kunpeng920), &["deflate=1ms"], &[]);
        assert!(overridden.due(now, 0, &work("deflate-raw", 0)) - now >= Duration::from_millis(1));
    }

    #[test]
    fn values_survive_their_text() {
        for text in ["150000ns", "rsa-2048=160000ns"] {
            assert_eq!(text.parse::<Latency>().unwrap().to_string(), text);
        }
        for text in ["5000000B", "rsa-2048-private=50000op"] {
            assert_eq!(text.parse::<Bandwidth>().unwrap().to_string(), text);
        }
        assert_eq!("inflate=2GB/s".parse::<Bandwidth>().unwrap().to_string(), "inflate=2000000000B");
        for bad in ["", "5", "MB", "0MB", "1.5GB", "rsa=50000", "resa=1op", "99999999999999GB", "rsa=-1op"] {
            assert!(bad.parse::<Bandwidth>().is_err(), "{bad}");
        }
        assert!("zipp=5us".parse::<Latency>().is_err());
    }
}
