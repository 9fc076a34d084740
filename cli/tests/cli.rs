//! The program as its users meet it: arguments in, output and exit status out.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use warpdrive::config::Config;
use warpdrive::stats::Counters;
use warpdrive::{Algorithm, Reason};

fn warpdrive(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_warpdrive"));
    command.env_clear().args(arguments).stdin(Stdio::null());
    // Whatever this machine has in /etc is not ours to test.
    command.env("WARPDRIVE_CONF", concat!(env!("CARGO_MANIFEST_DIR"), "/../conf/warpdrive.toml"));
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn output(command: &mut Command, status: i32) -> Output {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    output
}

/// A machine: `class/` as sysfs shows devices, `dev/` with their files.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir(scratch.path().join("class")).unwrap();
        fs::create_dir(scratch.path().join("dev")).unwrap();
        Self(scratch)
    }

    fn device(self, name: &str, algorithms: &str, flags: &str) -> Self {
        let entry = self.0.path().join("class").join(name);
        fs::create_dir(&entry).unwrap();
        for (attribute, value) in [
            ("api", "hisi_qm_v2\n"),
            ("algorithms", algorithms),
            ("flags", flags),
            ("region_mmio_size", "16384\n"),
            ("region_dus_size", "73728\n"),
            ("available_instances", "63\n"),
        ] {
            fs::write(entry.join(attribute), value).unwrap();
        }
        fs::write(self.0.path().join("dev").join(name), "").unwrap();
        self
    }

    fn ask(&self, command: &mut Command, status: i32) -> String {
        let (class, dev) = (self.0.path().join("class"), self.0.path().join("dev"));
        let output = output(command.arg("--class").arg(class).arg("--dev").arg(dev), status);
        assert_eq!(text(&output.stderr), "");
        text(&output.stdout).to_owned()
    }
}

fn counted(dir: &Path) {
    let config = Config::parse(&format!("[stats]\ndir = {:?}\n", dir.to_str().unwrap())).unwrap();
    let counters = Counters::open(&config);
    counters.hardware(Algorithm::RsaPrivate(2048), 256);
    counters.hardware(Algorithm::RsaPrivate(2048), 256);
    counters.software(Algorithm::RsaPrivate(2048), Reason::Busy, 1, 256);
    counters.software(Algorithm::Deflate, Reason::Tail, 1, 1000);
    counters.software(Algorithm::Deflate, Reason::NoDevice, 2, 7);
}

#[test]
fn devices_as_a_table_and_as_json() {
    let machine = Machine::new();
    assert_eq!(machine.ask(&mut warpdrive(&["devices"]), 0), "no devices\n");
    assert_eq!(machine.ask(&mut warpdrive(&["devices", "--format", "json"]), 0), "[]\n");

    let machine =
        machine.device("hisi_zip-4", "zlib\ngzip\n", "1\n").device("hisi_hpre-2", "rsa\ndh\n", "0\n");
    let table = machine.ask(&mut warpdrive(&["devices"]), 0);
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split("  ").filter(|s| !s.is_empty()).map(str::trim).collect())
        .collect();
    assert_eq!(lines[0], ["device", "interface", "free queues", "node", "algorithms", "state"]);
    assert_eq!(lines[1][..5], ["hisi_hpre-2", "hisi_qm_v2", "63", "?", "rsa,dh"]);
    assert!(lines[1][5].starts_with("not used: it does not share addresses"), "{table}");
    assert_eq!(lines[2], ["hisi_zip-4", "hisi_qm_v2", "63", "?", "zlib,gzip", "usable"]);

    let json: serde_json::Value =
        serde_json::from_str(&machine.ask(&mut warpdrive(&["devices", "--format", "json"]), 0)).unwrap();
    assert_eq!(json[1]["name"], "hisi_zip-4");
    assert_eq!(json[1]["sva"], true);
    assert_eq!(json[1]["algorithms"], serde_json::json!(["zlib", "gzip"]));
    assert_eq!(json[1]["obstacle"], serde_json::Value::Null);
    assert_eq!(json[0]["sva"], false);
}

#[test]
fn doctor_without_devices() {
    let machine = Machine::new();
    let said = machine.ask(&mut warpdrive(&["doctor"]), 1);
    assert!(said.contains("warpdrive.toml (WARPDRIVE_CONF), valid\n"), "{said}");
    assert!(said.contains("auto for everything\n"), "{said}");
    assert!(said.contains("RSA      not offloaded: no device for RSA\n"), "{said}");
    assert!(said.contains("deflate  not offloaded: no device for compression\n"), "{said}");
    assert!(said.contains("inflate  not offloaded: no device for compression\n"), "{said}");
    assert!(said.lines().count() <= 24, "one screen: {said}");
}

#[test]
fn doctor_with_everything_in_place() {
    let machine =
        Machine::new().device("hisi_zip-4", "zlib\ngzip\n", "1").device("hisi_hpre-2", "rsa\ndh\n", "1");
    let scratch = tempfile::tempdir().unwrap();
    let cnf = scratch.path().join("openssl.cnf");
    fs::write(&cnf, "# nothing here names warpdrive\n").unwrap();

    let mut doctor = warpdrive(&["doctor"]);
    doctor.env("OPENSSL_CONF", &cnf).env("OPENSSL_MODULES", scratch.path());
    let said = machine.ask(&mut doctor, 1);
    assert!(said.contains("openssl.cnf does not name warpdrive\n"), "{said}");
    assert!(
        said.contains("deflate  not offloaded: zlib: LD_PRELOAD does not name libwarpdrive_z.so\n"),
        "{said}"
    );

    fs::write(&cnf, "[providers]\nwarpdrive = warpdrive_section\n").unwrap();
    let mut doctor = warpdrive(&["doctor"]);
    doctor.env("OPENSSL_CONF", &cnf).env("OPENSSL_MODULES", scratch.path());
    let said = machine.ask(&mut doctor, 1);
    assert!(said.contains("RSA      not offloaded: OpenSSL: "), "{said}");
    assert!(said.contains("but there is no warpdrive.so where OpenSSL looks\n"), "{said}");

    fs::write(scratch.path().join("warpdrive.so"), "").unwrap();
    let mut doctor = warpdrive(&["doctor"]);
    doctor.env("OPENSSL_CONF", &cnf).env("OPENSSL_MODULES", scratch.path());
    let said = machine.ask(&mut doctor, 0);
    assert!(said.contains("RSA      offloaded\n"), "{said}");
    assert!(said.contains("hisi_hpre-2 (rsa,dh): gives queues\n"), "{said}");
}

#[test]
fn doctor_says_what_the_configuration_forbids() {
    let machine = Machine::new().device("hisi_hpre-2", "rsa\ndh\n", "1");
    let scratch = tempfile::tempdir().unwrap();
    let conf = scratch.path().join("warpdrive.toml");
    #[rustfmt::skip]
    let rows = [
        ("[policy]\nrsa = \"software\"\n", "RSA      not offloaded: the policy is software\n"),
        ("[queue]\nbudget = 0\n", "RSA      not offloaded: queue.budget is 0\n"),
        ("[queue]\nbudgets = 0\n", "warpdrive.toml: line 2: queue.budgets: unknown field `budgets`"),
        ("[queue]\nbudgets = 0\n", "RSA      not offloaded: the configuration is not valid\n"),
    ];
    for (content, expected) in rows {
        fs::write(&conf, content).unwrap();
        let said = machine.ask(warpdrive(&["doctor"]).env("WARPDRIVE_CONF", &conf), 1);
        assert!(said.contains(expected), "{content:?}: {said}");
    }
    let said = machine.ask(warpdrive(&["doctor"]).env("WARPDRIVE_CONF", "/nowhere.toml"), 1);
    assert!(said.contains("everything stays in software: /nowhere.toml: no such file\n"), "{said}");
}

#[test]
fn doctor_tells_what_opening_a_device_answered() {
    let machine = Machine::new().device("hisi_hpre-2", "rsa\ndh\n", "1");
    fs::remove_file(machine.0.path().join("dev/hisi_hpre-2")).unwrap();
    let said = machine.ask(&mut warpdrive(&["doctor"]), 1);
    assert!(said.contains("RSA      not offloaded: hisi_hpre-2: /"), "{said}");
    assert!(said.contains("dev/hisi_hpre-2 does not exist\n"), "{said}");
}

#[test]
fn stats_as_json() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().to_str().unwrap();
    let ask = || -> serde_json::Value {
        let output = output(&mut warpdrive(&["stats", "--dir", dir, "--format", "json"]), 0);
        serde_json::from_slice(&output.stdout).unwrap()
    };
    assert_eq!(ask(), serde_json::json!({"algorithms": {}, "processes": 0}));
    counted(scratch.path());
    counted(scratch.path());
    let expected = serde_json::json!({
        "algorithms": {
            "rsa-2048-private": {
                "hardware": 4, "software": {"busy": 2}, "hardware_bytes": 1024, "software_bytes": 512
            },
            "deflate": {
                "hardware": 0, "software": {"no-device": 4, "tail": 2}, "hardware_bytes": 0, "software_bytes": 2014
            }
        },
        "processes": 2
    });
    assert_eq!(ask(), expected);
}

#[test]
fn stats_as_text_and_for_prometheus() {
    let scratch = tempfile::tempdir().unwrap();
    counted(scratch.path());
    // The directory by the environment, this time.
    let mut command = warpdrive(&["stats"]);
    let said = output(command.env("WARPDRIVE_STATS_DIR", scratch.path()), 0);
    assert_eq!(
        text(&said.stdout),
        "                  hardware  software  hardware bytes  software bytes  why software\n\
         deflate           0         3         0               1007            no-device 2, tail 1\n\
         rsa-2048-private  2         1         512             256             busy 1\n\
         processes: 1\n"
    );
    let mut command = warpdrive(&["stats", "--format", "prometheus", "--dir"]);
    let said = output(command.arg(scratch.path()), 0);
    let lines: Vec<&str> = text(&said.stdout).lines().collect();
    for line in [
        "# TYPE warpdrive_requests_total counter",
        "warpdrive_requests_total{algorithm=\"rsa-2048-private\",engine=\"hardware\",reason=\"\"} 2",
        "warpdrive_requests_total{algorithm=\"rsa-2048-private\",engine=\"software\",reason=\"busy\"} 1",
        "warpdrive_bytes_total{algorithm=\"deflate\",engine=\"software\"} 1007",
        "warpdrive_processes 1",
    ] {
        assert!(lines.contains(&line), "{line}: {lines:#?}");
    }
}

#[test]
fn stats_without_a_directory() {
    let said = output(&mut warpdrive(&["stats"]), 2);
    assert!(text(&said.stderr).starts_with("warpdrive: no directory: give --dir"), "{said:?}");
    let said = output(&mut warpdrive(&["stats", "--dir", "/nowhere/at/all"]), 2);
    assert_eq!(text(&said.stderr), "warpdrive: /nowhere/at/all: No such file or directory (os error 2)\n");
}

#[test]
fn stats_says_which_files_it_left_out() {
    let scratch = tempfile::tempdir().unwrap();
    counted(scratch.path());
    fs::write(scratch.path().join("x.counters"), "something else").unwrap();
    let said = output(warpdrive(&["stats", "--dir"]).arg(scratch.path()), 0);
    assert!(text(&said.stdout).ends_with("processes: 1\n"));
    assert_eq!(text(&said.stderr), "warpdrive: files left out: 1 not counters, or of a later version\n");
}

/// The reader is gone before the first byte: no panic, no complaint.
#[test]
fn a_closed_pipe_is_no_error() {
    let scratch = tempfile::tempdir().unwrap();
    counted(scratch.path());
    let dir = scratch.path().to_str().unwrap();
    for arguments in [
        &["devices"][..],
        &["devices", "--format", "json"],
        &["stats", "--dir", dir],
        // Without end unless the closed pipe ends it.
        &["stats", "--dir", dir, "--every", "1"],
        &["--help"],
    ] {
        let (reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
        drop(reader);
        let writer = std::os::fd::OwnedFd::from(writer);
        let said = warpdrive(arguments).stdout(writer).output().unwrap();
        assert_eq!(said.status.code(), Some(0), "{arguments:?}: {said:?}");
        assert_eq!(text(&said.stderr), "", "{arguments:?}");
    }
}
