//! The grammar of faults: `KIND[=VALUE][,CONDITION=VALUE]…`, one per `--fault` or per line of a file.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use super::{Kind, Unplugged};
use crate::cli::parse_time;
use crate::device::Description;

/// One fault: what, where and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    text: String,
    pub(super) kind: Kind,
    /// An engine's name (`zip`) or a device's (`hisi_zip-1`).
    device: Option<String>,
    pub(super) class: Option<u16>,
    pub(super) after: u64,
    pub(super) every: u64,
    /// In parts of [`WHOLE`].
    pub(super) chance: Option<u64>,
    pub(super) seed: u64,
    pub(super) times: Option<u64>,
}

impl Rule {
    /// Whether the rule concerns this device.
    pub fn names(&self, device: &Description) -> bool {
        self.device.as_ref().is_none_or(|name| *name == device.name() || name == device.engine.name())
    }

    /// Reads a file of rules: one a line; empty lines and what follows a `#` do not count.
    /// # Errors
    /// What reading reports; `InvalidData` naming file and line of the first rule that is none.
    pub fn read(path: &Path) -> io::Result<Vec<Self>> {
        let named =
            |kind, what: fmt::Arguments<'_>| io::Error::new(kind, format!("{}: {what}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| named(error.kind(), format_args!("{error}")))?;
        let mut rules = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                rules.push(line.parse().map_err(|error: String| {
                    named(io::ErrorKind::InvalidData, format_args!("line {number}: {error}"))
                })?);
            }
        }
        Ok(rules)
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split(',').map(str::trim);
        let first = words.next().unwrap_or_default();
        let (name, value) = first.split_once('=').map_or((first, None), |(name, value)| (name, Some(value)));
        let mut rule = Self {
            text: text.to_owned(),
            kind: kind(name, value)?,
            device: None,
            class: None,
            after: 0,
            every: 1,
            chance: None,
            seed: 0,
            times: None,
        };
        // A device is removed, isolated or reset once, unless the rule says otherwise.
        if matches!(rule.kind, Kind::Reset(_) | Kind::Isolate | Kind::Unplug(_)) {
            rule.times = Some(1);
        }
        for word in words {
            let (name, value) =
                word.split_once('=').ok_or_else(|| format!("{word}: a condition needs a value"))?;
            match name {
                "device" => rule.device = Some(value.to_owned()),
                "class" => rule.class = Some(number(value)?),
                "after" => rule.after = number(value)?,
                "every" => {
                    rule.every = number(value).ok().filter(|every| *every > 0).ok_or("every: 1 or more")?
                }
                "chance" => rule.chance = Some(share(value)?),
                "seed" => rule.seed = number(value)?,
                "times" => rule.times = Some(number(value)?),
                _ => return Err(format!("{name}: no such condition ({CONDITIONS})")),
            }
        }
        Ok(rule)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

fn kind(name: &str, value: Option<&str>) -> Result<Kind, String> {
    let time = |otherwise| value.map_or(Ok(otherwise), parse_time);
    let kind = match name {
        "late" => Kind::Late(time(Duration::from_millis(5))?),
        "slow" => Kind::Slow(time(Duration::from_millis(5))?),
        "wild" => Kind::Wild(value.map_or(Ok(u16::MAX), number)?),
        "tag" => Kind::Tag(value.map_or(Ok(1), number)?),
        "status" => Kind::Status(value.map_or(Ok(1), number)?),
        "reset" => Kind::Reset(time(Duration::from_millis(100))?),
        "unplug" => Kind::Unplug(match value {
            None => Unplugged::Readable,
            Some("sigbus") => Unplugged::Sigbus,
            Some(other) => return Err(format!("{other}: unplug takes no value but sigbus")),
        }),
        "open" => Kind::Open(errno(value.unwrap_or("EBUSY"))?),
        _ => {
            let plain = match name {
                "lost" => Kind::Lost,
                "twice" => Kind::Twice,
                "phase" => Kind::Phase,
                "bytes" => Kind::Bytes,
                "short" => Kind::Short,
                "isolate" => Kind::Isolate,
                _ => return Err(format!("{name}: no such fault ({KINDS})")),
            };
            return if value.is_none() { Ok(plain) } else { Err(format!("{name} takes no value")) };
        }
    };
    Ok(kind)
}

fn errno(name: &str) -> Result<i32, String> {
    let known = [
        ("EPERM", libc::EPERM),
        ("ENXIO", libc::ENXIO),
        ("ENOMEM", libc::ENOMEM),
        ("EACCES", libc::EACCES),
        ("EBUSY", libc::EBUSY),
        ("ENODEV", libc::ENODEV),
        ("EINVAL", libc::EINVAL),
    ];
    let found = known.iter().find(|(known, _)| *known == name).map(|(_, errno)| *errno);
    found.ok_or_else(|| format!("{name}: not an errno of open ({})", known.map(|(name, _)| name).join(", ")))
}

/// Decimal, or hexadecimal after `0x`.
fn number<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let value = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    value
        .ok()
        .and_then(|value| T::try_from(value).ok())
        .ok_or_else(|| format!("{text}: not a number that fits"))
}

/// `0.25` as parts of [`WHOLE`].
fn share(text: &str) -> Result<u64, String> {
    let whole = |digits: &str| digits.parse::<u64>().ok();
    let (before, after) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{after:0<9}");
    match (whole(before), whole(&digits), digits.len()) {
        (Some(ones @ 0..=1), Some(parts), 9) if ones * WHOLE + parts <= WHOLE => Ok(ones * WHOLE + parts),
        _ => Err(format!("{text}: not a number from 0 to 1 with at most 9 digits")),
    }
}

/// What a chance of 1 is.
pub(super) const WHOLE: u64 = 1_000_000_000;
const KINDS: &str =
    "late, slow, lost, twice, wild, phase, tag, bytes, status, short, reset, isolate, unplug, open";
const CONDITIONS: &str = "device, class, after, every, chance, seed, times";

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(text: &str) -> Kind {
        text.parse::<Rule>().unwrap().kind
    }

    #[test]
    fn every_kind_is_read() {
        assert_eq!(kind_of("late=2ms"), Kind::Late(Duration::from_millis(2)));
        assert_eq!(kind_of("slow"), Kind::Slow(Duration::from_millis(5)));
        assert_eq!(kind_of("wild"), Kind::Wild(0xFFFF));
        assert_eq!(kind_of("wild=0x3ff"), Kind::Wild(1023));
        assert_eq!(kind_of("tag=3"), Kind::Tag(3));
        assert_eq!(kind_of("status=0x21"), Kind::Status(0x21));
        assert_eq!(kind_of("reset=1s"), Kind::Reset(Duration::from_secs(1)));
        assert_eq!(kind_of("unplug"), Kind::Unplug(Unplugged::Readable));
        assert_eq!(kind_of("unplug=sigbus"), Kind::Unplug(Unplugged::Sigbus));
        assert_eq!(kind_of("open"), Kind::Open(libc::EBUSY));
        assert_eq!(kind_of("open=EPERM"), Kind::Open(libc::EPERM));
        for name in ["lost", "twice", "phase", "bytes", "short", "isolate", "unplug"] {
            assert!(name.parse::<Rule>().is_ok(), "{name}");
        }
    }

    #[test]
    fn conditions_are_read() {
        let rule: Rule =
            "lost, device=zip, class=1, after=10, every=2, chance=0.25, seed=7, times=3".parse().unwrap();
        assert_eq!((rule.device.as_deref(), rule.class), (Some("zip"), Some(1)));
        assert_eq!((rule.after, rule.every, rule.seed, rule.times), (10, 2, 7, Some(3)));
        assert_eq!(rule.chance, Some(WHOLE / 4));
        assert_eq!("reset".parse::<Rule>().unwrap().times, Some(1));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "",
            "lose",
            "lost=1",
            "late=5",
            "wild=65536",
            "open=EWHAT",
            "unplug=now",
            "lost,often",
            "lost,every=0",
            "lost,chance=1.1",
            "lost,chance=x",
            "lost,chance=0.1234567891",
            "lost,times=-1",
            "lost,when=1",
        ] {
            assert!(bad.parse::<Rule>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_file_names_its_bad_line() {
        let directory = crate::os::process::private_directory(&std::env::temp_dir()).unwrap();
        let path = directory.join("faults");
        fs::write(&path, "# all\nlost,every=3  # a third\n\nlate=1ms\n").unwrap();
        assert_eq!(Rule::read(&path).unwrap().len(), 2);
        fs::write(&path, "lost\nwhat\n").unwrap();
        let error = Rule::read(&path).unwrap_err().to_string();
        assert!(error.contains("line 2: what: no such fault"), "{error}");
        fs::remove_dir_all(&directory).unwrap();
        assert!(Rule::read(&path).unwrap_err().to_string().contains("faults"));
    }
}
