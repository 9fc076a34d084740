use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;

const SAMPLE: &str = include_str!("../../conf/warpdrive.toml");

#[test]
fn the_sample_holds_the_defaults() {
    assert_eq!(Config::parse(SAMPLE), Ok(Config::default()));
    assert_eq!(Config::parse(""), Ok(Config::default()));
}

/// Each key of the sample set to a type no key takes must be refused by name. Together with the next test: the
/// sample's keys are exactly the ones that exist.
#[test]
fn every_key_of_the_sample_exists() {
    let table: toml::Table = toml::from_str(SAMPLE).unwrap();
    let mut keys = 0;
    for (section, body) in &table {
        for key in body.as_table().unwrap().keys() {
            let error = Config::parse(&format!("[{section}]\n{key} = 1979-05-27\n")).unwrap_err();
            let wrong = [": invalid type", ": wanted string or table"];
            let named = error.strip_prefix(&format!("line 2: {section}.{key}"));
            assert!(named.is_some_and(|rest| wrong.iter().any(|wrong| rest.starts_with(wrong))), "{error}");
            keys += 1;
        }
    }
    assert!(keys > 20, "{keys}");
}

/// serde lists the keys it knows when it meets one it does not.
#[test]
fn every_key_that_exists_is_in_the_sample() {
    let table: toml::Table = toml::from_str(SAMPLE).unwrap();
    let sections = known("nothing = 1\n");
    assert_eq!(sections, table.keys().cloned().collect());
    for (section, body) in &table {
        let keys: std::collections::BTreeSet<_> = body.as_table().unwrap().keys().cloned().collect();
        assert_eq!(known(&format!("[{section}]\nnothing = 1\n")), keys, "{section}");
    }
}

fn known(text: &str) -> std::collections::BTreeSet<String> {
    let error = Config::parse(text).unwrap_err();
    let (_, list) = error.split_once("expected ").unwrap();
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn complaints_name_line_and_key() {
    #[rustfmt::skip]
    let rows = [
        ("[queue]\nbudgets = 1\n", "line 2: queue.budgets: unknown field `budgets`, expected one of"),
        ("\n[queues]\n", "line 2: queues: unknown field `queues`, expected one of"),
        ("[queue]\nbudget = 1025\n", "line 2: queue.budget: 1025 is out of bounds: 0 to 1024"),
        ("[queue]\n\nbudget = -1\n", "line 3: queue.budget: -1 is out of bounds: 0 to 1024"),
        ("[queue]\nbudget = 9223372036854775808\n", "line 2: queue.budget: "),
        ("[queue]\nbudget = 1.5\n", "line 2: queue.budget: invalid type: floating point `1.5`, expected"),
        ("[queue]\nbudget = \"8\"\n", "line 2: queue.budget: invalid type: string \"8\", expected"),
        ("queue.idle-ms = 9\n", "line 1: queue.idle-ms: 9 is out of bounds: 10 to 3600000 milliseconds"),
        ("[wait]\nspin-max-us = 10001\n", "line 2: wait.spin-max-us: 10001 is out of bounds: 0 to 10000 microseconds"),
        ("[inflate]\nmin-bytes = 8388609\n", "line 2: inflate.min-bytes: 8388609 is out of bounds: 0 to 8388608 bytes"),
        ("[policy]\ndefault = \"inherit\"\n", "line 2: policy.default: unknown variant `inherit`"),
        ("[policy]\nrsa = \"Hardware\"\n", "line 2: policy.rsa: unknown variant `Hardware`"),
        ("[stats]\ndir = \"counters\"\n", "line 2: stats.dir: invalid value: string \"counters\", expected an absolute path"),
        ("[log]\nfile = \"-\"\n", "line 2: log.file: invalid value: string \"-\", expected an absolute path"),
        ("[queue]\nbudget = 1\nbudget = 1\n", "line 3: duplicate key"),
        ("[queue\n", "line 1: "),
        ("[health]\npause-min-ms = 200\npause-max-ms = 100\n", "health.pause-max-ms: must not be below health.pause-min-ms"),
    ];
    for (text, expected) in rows {
        let error = Config::parse(text).unwrap_err();
        assert!(error.starts_with(expected), "{text:?}: {error}");
        assert!(!error.contains('\n'), "{error:?}");
    }
}

#[test]
fn values_arrive() {
    let config = Config::parse(
        "[queue]\nbudget = 0\nidle-ms = 10\n[wait]\nspin-max-us = 0\n[deflate]\nmin-bytes = 4096\n\
         [stats]\ndir = \"/run/warpdrive\"\n[log]\nfile = \"/var/log/warpdrive\"\n",
    )
    .unwrap();
    assert_eq!(config.queue.budget, 0);
    assert_eq!(config.queue.idle, Duration::from_millis(10));
    assert_eq!(config.wait.spin_max, Duration::ZERO);
    assert_eq!(config.deflate.min_bytes, 4096);
    assert_eq!(config.stats.dir, Some("/run/warpdrive".into()));
    assert_eq!(config.log.file, Some("/var/log/warpdrive".into()));
}

#[test]
fn the_narrowest_policy_wins() {
    let config = Config::parse(
        "[policy]\ndefault = \"hardware\"\nrsa = \"software\"\nrsa-2048-private = \"auto\"\ninflate = \"software\"\n\
         dh = \"software\"\necdh = \"auto\"\necdsa-sign = \"software\"\nx25519 = \"software\"\nsm2 = \"auto\"\n",
    )
    .unwrap();
    let of = |name: &str| {
        let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name);
        config.policy(algorithm.unwrap())
    };
    use Policy::{Auto, Hardware, Software};
    #[rustfmt::skip]
    let rows = [
        ("rsa-1024-private", Software), ("rsa-2048-private", Auto), ("rsa-other-private", Software), ("dh-2048", Software),
        ("dh-other", Software), ("ecdh-p-256", Auto), ("ecdsa-p-384-sign", Software), ("ecdsa-p-384-verify", Hardware),
        ("x25519", Software), ("x448", Hardware), ("sm2-sign", Auto), ("sm2-decrypt", Auto), ("deflate", Hardware),
        ("inflate", Software),
    ];
    for (name, policy) in rows {
        assert_eq!(of(name), policy, "{name}");
    }
    for algorithm in Algorithm::ALL {
        assert_eq!(Config::default().policy(algorithm), Auto, "{algorithm:?}");
    }
}

#[test]
fn a_bad_file_means_software_everywhere_and_says_why() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("warpdrive.toml");
    std::fs::write(&path, "[policy]\ndefault = \"hardware\"\n[queue]\nbudget = 9999\n").unwrap();
    let config = Config::from_file(Source::Environment(path.clone()), &path, true);
    let error = config.error.clone().unwrap();
    assert_eq!(error, format!("{}: line 4: queue.budget: 9999 is out of bounds: 0 to 1024", path.display()));
    assert!(Algorithm::ALL.into_iter().all(|algorithm| config.policy(algorithm) == Policy::Software));
    assert_eq!(config.source, Source::Environment(path));
}

#[test]
fn a_bad_file_may_still_say_where_the_log_is() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("warpdrive.toml");
    for (text, expected) in [
        ("[log]\nfile = \"/log\"\n[queues]\n", Some("/log".into())),
        ("[log]\nfile = \"/log\"\nlines = 1\n", None),
        ("[log]\nfile = \"/log\"\n[[[\n", None),
    ] {
        std::fs::write(&path, text).unwrap();
        let config = Config::from_file(Source::Environment(path.clone()), &path, true);
        assert!(config.error.is_some());
        assert_eq!(config.log.file, expected, "{text:?}");
    }
}

#[test]
fn files_that_are_no_files() {
    let scratch = tempfile::tempdir().unwrap();
    let read = |name: &str, required: bool| {
        let path = scratch.path().join(name);
        Config::from_file(Source::Environment(path.clone()), &path, required)
    };
    assert_eq!(read("absent", false), Config::default());
    assert!(read("absent", true).error.unwrap().ends_with("absent: no such file"));
    assert!(read("", true).error.unwrap().ends_with("not a regular file"));

    let fifo = scratch.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    assert!(read("fifo", true).error.unwrap().ends_with("not a regular file"));

    std::fs::write(scratch.path().join("latin1"), b"# a comment\n# caf\xe9\n").unwrap();
    assert!(read("latin1", true).error.unwrap().ends_with("latin1: line 2: not UTF-8 text"));

    std::fs::write(scratch.path().join("long"), vec![b'\n'; (1 << 20) + 1]).unwrap();
    assert!(read("long", true).error.unwrap().ends_with("longer than 1 MiB"));
    std::fs::write(scratch.path().join("longest"), vec![b'\n'; 1 << 20]).unwrap();
    assert_eq!(read("longest", true).error, None);
}

#[test]
fn an_unreadable_file_is_an_error_even_when_nobody_named_it() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("warpdrive.toml");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    let config = Config::from_file(Source::System(path.clone()), &path, false);
    // Root reads everything.
    let expected = std::fs::File::open(&path).is_err();
    assert_eq!(config.error.is_some(), expected);
}

proptest! {
    /// Whatever stands in the file: a value or one line, never a panic.
    #[test]
    fn any_text_is_answered(text in "\\PC*") {
        if let Err(error) = Config::parse(&text) {
            prop_assert!(!error.is_empty());
        }
    }

    #[test]
    fn text_near_a_file_is_answered(
        at in 0..SAMPLE.len(),
        len in 0_usize..40,
        put in "[\\[\\]\"'=.#\\n a-z0-9-]{0,12}",
    ) {
        let mut bytes = SAMPLE.as_bytes().to_vec();
        let end = (at + len).min(bytes.len());
        bytes.splice(at..end, put.bytes());
        let text = String::from_utf8_lossy(&bytes);
        if let Err(error) = Config::parse(&text) {
            prop_assert!(error.lines().count() == 1, "{error:?}");
            let line = error.strip_prefix("line ").and_then(|rest| rest.split(':').next()?.parse::<usize>().ok());
            prop_assert!(line.is_none_or(|line| line <= text.lines().count() + 1), "{error:?}");
        }
    }

    /// Every number within bounds is taken, every other refused.
    #[test]
    fn bounds_are_exact(value in prop_oneof![any::<i64>(), -5_i64..70, 59_990_i64..60_010]) {
        let parsed = Config::parse(&format!("[wait]\ndeadline-ms = {value}\n"));
        let expected = (10..=60_000).contains(&value).then(|| Duration::from_millis(value.unsigned_abs()));
        prop_assert_eq!(parsed.ok().map(|config| config.wait.deadline), expected);
    }
}
