//! `warpdrive.toml` and the environment, read once, made into one immutable [`Config`].
//!
//! Every option with unit, default and bounds stands in `conf/warpdrive.toml`; a test compares that file with the defaults
//! here. Nothing in this room fails or prints: a file that cannot be read, or says something unknown, leaves the process in
//! software, and [`Config::error`] says why to whoever asks (`warpdrive doctor`, the opt-in log).

mod file;
mod secure;
mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::Algorithm;

/// Everything that can be configured. Read once per process, never changed afterwards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Config {
    /// Hardware or software, by algorithm.
    #[serde(rename = "policy")]
    policies: Policies,
    /// How many queues are held, and for how long.
    pub queue: Queue,
    /// How a caller waits for a device.
    pub wait: Wait,
    /// How long a device that failed is left alone.
    pub health: Health,
    /// Symmetric ciphers.
    pub cipher: Cipher,
    /// Compression.
    pub deflate: Deflate,
    /// Decompression.
    pub inflate: Inflate,
    /// How much memory streams hold.
    pub memory: Memory,
    /// Counters.
    pub stats: Stats,
    /// The log, off by default.
    pub log: Log,
    /// Where the settings came from.
    #[serde(skip)]
    pub source: Source,
    /// Why the file could not be used, one line naming file, line and key. With an error, every policy is `software`.
    #[serde(skip)]
    pub error: Option<String>,
}

/// Where a [`Config`] came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// No file was found: defaults.
    #[default]
    Defaults,
    /// The file named by `WARPDRIVE_CONF`.
    Environment(PathBuf),
    /// `/etc/warpdrive.toml`.
    System(PathBuf),
    /// The process has more rights than its caller (`AT_SECURE`): no file and no variable was looked at.
    Secure,
}

/// Where requests of an algorithm go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Where they are served best.
    #[default]
    Auto,
    /// To hardware whenever a device can do them, whatever their size and cost. For tests and benchmarks.
    Hardware,
    /// Never to hardware.
    Software,
}

/// `[policy]`: one default, one row per family, one per algorithm; the narrowest that is not `inherit` wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Policies {
    default: Policy,
    rsa: Row,
    rsa_1024_private: Row,
    rsa_2048_private: Row,
    rsa_3072_private: Row,
    rsa_4096_private: Row,
    rsa_other_private: Row,
    dh: Row,
    ecdh: Row,
    ecdsa_sign: Row,
    ecdsa_verify: Row,
    x25519: Row,
    x448: Row,
    sm2: Row,
    aes_256_cbc: Row,
    deflate: Row,
    inflate: Row,
}

/// A policy, or the wider row's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Row {
    #[default]
    Inherit,
    Auto,
    Hardware,
    Software,
}

/// `[queue]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Queue {
    /// Most queues this process holds at one time, over all devices and classes; 0: none, everything is software.
    #[serde(deserialize_with = "values::count::<_, 0, 1024>")]
    pub budget: u32,
    /// A queue unused for this long is given back.
    #[serde(rename = "idle-ms", deserialize_with = "values::ms::<_, 10, 3_600_000>")]
    pub idle: Duration,
    /// After every device answered "busy": how long until the next attempt to open a queue.
    #[serde(rename = "busy-retry-ms", deserialize_with = "values::ms::<_, 1, 60_000>")]
    pub busy_retry: Duration,
    /// With no device present: how long until the next look.
    #[serde(rename = "rediscover-ms", deserialize_with = "values::ms::<_, 10, 3_600_000>")]
    pub rediscover: Duration,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            budget: 8,
            idle: Duration::from_secs(10),
            busy_retry: Duration::from_millis(10),
            rediscover: Duration::from_secs(1),
        }
    }
}

/// `[wait]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Wait {
    /// Longest time a caller looks for its completion without sleeping; 0: sleep at once. The actual time is what sleeping
    /// was measured to cost, and none where looking was in vain.
    #[serde(rename = "spin-max-us", deserialize_with = "values::us::<_, 0, 10_000>")]
    pub spin_max: Duration,
    /// Shortest time-out of one sleep.
    #[serde(rename = "sleep-min-ms", deserialize_with = "values::ms::<_, 1, 1_000>")]
    pub sleep_min: Duration,
    /// A request unanswered for this long is given up: its caller gets the result from software.
    #[serde(rename = "deadline-ms", deserialize_with = "values::ms::<_, 10, 60_000>")]
    pub deadline: Duration,
}

impl Default for Wait {
    fn default() -> Self {
        Self {
            spin_max: Duration::from_micros(100),
            sleep_min: Duration::from_millis(1),
            deadline: Duration::from_secs(1),
        }
    }
}

/// `[health]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Health {
    /// First pause after a failure; doubled by each failure that follows.
    #[serde(rename = "pause-min-ms", deserialize_with = "values::ms::<_, 1, 60_000>")]
    pub pause_min: Duration,
    /// Longest pause; not below the first.
    #[serde(rename = "pause-max-ms", deserialize_with = "values::ms::<_, 1, 3_600_000>")]
    pub pause_max: Duration,
    /// Known answers a device must give in a row after a wrong result.
    #[serde(deserialize_with = "values::count::<_, 1, 100>")]
    pub known_answers: u32,
}

impl Default for Health {
    fn default() -> Self {
        Self { pause_min: Duration::from_millis(100), pause_max: Duration::from_secs(60), known_answers: 3 }
    }
}

/// `[cipher]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Cipher {
    /// Requests shorter than this stay in software.
    #[serde(deserialize_with = "values::bytes::<_, 0, { 16 * MIB }>")]
    pub min_bytes: usize,
    /// How a device's output is checked before it leaves.
    pub verify: CipherVerify,
}

impl Default for Cipher {
    fn default() -> Self {
        Self { min_bytes: 64 << 10, verify: CipherVerify::Full }
    }
}

/// `cipher.verify`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CipherVerify {
    /// Cipher text, the device's or the caller's, is decrypted again in software and compared with the plain text.
    #[default]
    Full,
    /// One block of each 4096 bytes, at a random place, and the first and the last one.
    Sample,
}

/// `[deflate]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Deflate {
    /// A stream that is given whole and is shorter than this stays in software; longer ones go where they are served best.
    #[serde(deserialize_with = "values::bytes::<_, 0, { GIB }>")]
    pub min_bytes: usize,
    /// How compressed output of a device is checked before it leaves.
    pub verify: Verify,
    /// Most segments of one call that are at the device at a time.
    #[serde(deserialize_with = "values::count::<_, 1, 64>")]
    pub parallel: u32,
}

impl Default for Deflate {
    fn default() -> Self {
        Self { min_bytes: 16 << 10, verify: Verify::Crc, parallel: 4 }
    }
}

/// `deflate.verify`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verify {
    /// Only what costs nothing: lengths, status, the marker at the end.
    Off,
    /// The device's checksum of the plain text it read is compared with ours; the first segment of a process, and then one
    /// in 64, is inflated again as well.
    #[default]
    Crc,
    /// Every segment is inflated again and compared with its plain text.
    Full,
}

/// `[inflate]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Inflate {
    /// Compressed input shorter than this stays in software.
    #[serde(deserialize_with = "values::bytes::<_, 0, { 8 * MIB }>")]
    pub min_bytes: usize,
    /// Raw streams may go to the device: they carry no checksum, so nothing tells whether its answer is right.
    pub raw: bool,
}

impl Default for Inflate {
    fn default() -> Self {
        Self { min_bytes: 64 << 10, raw: false }
    }
}

/// `[memory]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Memory {
    /// Large buffers kept for the next request, all together.
    #[serde(deserialize_with = "values::bytes::<_, 0, { GIB }>")]
    pub idle_bytes: usize,
    /// Plain text and output of one stream that are at the device, or on the way to it.
    #[serde(deserialize_with = "values::bytes::<_, { MIB }, { GIB }>")]
    pub stream_bytes: usize,
    /// Buffers and software engines of all streams; past it each stream holds as little as it can.
    #[serde(deserialize_with = "values::bytes::<_, 0, { 1024 * GIB }>")]
    pub process_bytes: usize,
}

impl Memory {
    pub(crate) const DEFAULT: Self =
        Self { idle_bytes: 8 << 20, stream_bytes: 16 << 20, process_bytes: 256 << 20 };
}

impl Default for Memory {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// `[stats]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Stats {
    /// Directory of counter files; `None`: counters stay in memory. `WARPDRIVE_STATS_DIR` overrides it.
    #[serde(deserialize_with = "values::path")]
    pub dir: Option<PathBuf>,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Log {
    /// The file lines are appended to; `None`: no log.
    #[serde(deserialize_with = "values::path")]
    pub file: Option<PathBuf>,
    /// Most lines per minute; further ones are dropped and counted.
    #[serde(deserialize_with = "values::count::<_, 1, 6_000>")]
    pub lines_per_minute: u32,
}

impl Default for Log {
    fn default() -> Self {
        Self { file: None, lines_per_minute: 10 }
    }
}

impl Config {
    /// Reads the file named by `WARPDRIVE_CONF`, else `/etc/warpdrive.toml`, then the other variables. Never fails: without
    /// a file the defaults stand; with a bad one, or one that `WARPDRIVE_CONF` names and that cannot be read, see
    /// [`Config::error`]. In a process with more rights than its caller neither file nor variable is looked at.
    pub fn load() -> Self {
        if secure::elevated() {
            return Self { source: Source::Secure, ..Self::default() };
        }
        let mut config = match variable(CONF_VARIABLE) {
            Some(path) => Self::from_file(Source::Environment(path.clone()), &path, true),
            None => Self::from_file(Source::System(SYSTEM_FILE.into()), Path::new(SYSTEM_FILE), false),
        };
        if let Some(dir) = variable(STATS_DIR_VARIABLE) {
            // Made absolute now: the host program may change its directory before it counts.
            config.stats.dir = std::path::absolute(dir).ok();
        }
        config
    }

    /// As read from `text`; the error is one line without the file's name.
    /// # Errors
    /// `line N: key: what is wrong`.
    pub fn parse(text: &str) -> Result<Self, String> {
        file::parse(text)
    }

    /// The policy of one algorithm.
    pub fn policy(&self, algorithm: Algorithm) -> Policy {
        if self.error.is_some() {
            return Policy::Software;
        }
        let rows = &self.policies;
        let (row, family) = match algorithm {
            Algorithm::RsaPrivate(1024) => (rows.rsa_1024_private, rows.rsa),
            Algorithm::RsaPrivate(2048) => (rows.rsa_2048_private, rows.rsa),
            Algorithm::RsaPrivate(3072) => (rows.rsa_3072_private, rows.rsa),
            Algorithm::RsaPrivate(4096) => (rows.rsa_4096_private, rows.rsa),
            Algorithm::RsaPrivate(_) => (rows.rsa_other_private, rows.rsa),
            Algorithm::Dh(_) => (rows.dh, Row::Inherit),
            Algorithm::Ecdh(_) => (rows.ecdh, Row::Inherit),
            Algorithm::EcdsaSign(_) => (rows.ecdsa_sign, Row::Inherit),
            Algorithm::EcdsaVerify(_) => (rows.ecdsa_verify, Row::Inherit),
            Algorithm::X25519 => (rows.x25519, Row::Inherit),
            Algorithm::X448 => (rows.x448, Row::Inherit),
            Algorithm::Sm2Sign | Algorithm::Sm2Verify | Algorithm::Sm2Encrypt | Algorithm::Sm2Decrypt => {
                (rows.sm2, Row::Inherit)
            }
            Algorithm::Aes256Cbc => (rows.aes_256_cbc, Row::Inherit),
            Algorithm::Deflate => (rows.deflate, Row::Inherit),
            Algorithm::Inflate => (rows.inflate, Row::Inherit),
        };
        row.policy().or(family.policy()).unwrap_or(rows.default)
    }

    /// The policy of whatever has none of its own.
    pub fn default_policy(&self) -> Policy {
        if self.error.is_some() { Policy::Software } else { self.policies.default }
    }

    /// Smallest payload worth a trip to the device under the policy `auto`, bytes; 0 where size does not matter.
    pub fn min_bytes(&self, algorithm: Algorithm) -> usize {
        match algorithm {
            Algorithm::Aes256Cbc => self.cipher.min_bytes,
            Algorithm::Deflate => self.deflate.min_bytes,
            Algorithm::Inflate => self.inflate.min_bytes,
            _ => 0,
        }
    }

    /// True when nothing simulated may be used and no file trusted: the process has more rights than its caller.
    pub fn secure(&self) -> bool {
        self.source == Source::Secure
    }

    fn from_file(source: Source, path: &Path, required: bool) -> Self {
        let text = match file::read(path) {
            Ok(Some(text)) => text,
            Ok(None) if !required => return Self::default(),
            Ok(None) => return Self::failed(source, format!("{}: no such file", path.display())),
            Err(error) => return Self::failed(source, format!("{}: {error}", path.display())),
        };
        match Self::parse(&text) {
            Ok(config) => Self { source, ..config },
            // Its log section, if that is sound, still says where the complaint may go.
            Err(error) => Self {
                log: file::log_alone(&text),
                ..Self::failed(source, format!("{}: {error}", path.display()))
            },
        }
    }

    fn failed(source: Source, error: String) -> Self {
        Self { source, error: Some(error), ..Self::default() }
    }

    /// Rules that hold between two keys.
    fn contradiction(&self) -> Option<(&'static str, &'static str)> {
        if self.health.pause_max < self.health.pause_min {
            return Some(("health.pause-max-ms", "must not be below health.pause-min-ms"));
        }
        None
    }
}

impl Policy {
    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Hardware => "hardware",
            Self::Software => "software",
        }
    }
}

impl Row {
    fn policy(self) -> Option<Policy> {
        match self {
            Self::Inherit => None,
            Self::Auto => Some(Policy::Auto),
            Self::Hardware => Some(Policy::Hardware),
            Self::Software => Some(Policy::Software),
        }
    }
}

/// A variable that is set and not empty, as a path.
fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Names the configuration file.
pub const CONF_VARIABLE: &str = "WARPDRIVE_CONF";
/// Names the directory of counter files.
pub const STATS_DIR_VARIABLE: &str = "WARPDRIVE_STATS_DIR";
/// Read when [`CONF_VARIABLE`] is not set.
pub const SYSTEM_FILE: &str = "/etc/warpdrive.toml";

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

#[cfg(test)]
mod tests;
