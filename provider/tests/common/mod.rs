//! Where the built module is, and running programs with it, without it, and on simulated devices.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use warpdrive::stats::{Row, read_directory};

/// The longest any program here may take, seconds; it is killed then. `WARPDRIVE_TEST_SECONDS` gives those that were asked for
/// more cases more time.
fn time_limit() -> String {
    std::env::var("WARPDRIVE_TEST_SECONDS").unwrap_or_else(|_| "200".into())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The freshly built `libwarpdrive_provider.so`. Cargo builds no cdylib for tests, so it is asked to, once, together with the
/// simulator. The paths are printed, so that a log shows what was tested.
pub fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        // target/<profile>/deps/<this test>
        let folder = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_path_buf();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "warpdrive-provider", "--package", "uacce-sim"]);
        build.args(["--package", "uacce-sim-preload", "--manifest-path"]).arg(root().join("Cargo.toml"));
        if folder.file_name().is_some_and(|name| name == "release") {
            build.arg("--release");
        }
        succeed(&mut build);
        let built =
            Built { module: folder.join("libwarpdrive_provider.so"), simulator: folder.join("uacce-sim") };
        println!("module: {}", built.module.display());
        assert!(built.module.exists() && built.simulator.exists(), "not built: {built:?}");
        built
    })
}

/// What cargo made.
#[derive(Debug)]
pub struct Built {
    module: PathBuf,
    simulator: PathBuf,
}

/// What devices a program finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Devices {
    /// None.
    None,
    /// A simulated set of its own.
    Simulated,
    /// The same with other options of `uacce-sim run`.
    Chosen(&'static [&'static str]),
}

/// A fresh folder of one test: the module under its installed name, `openssl.cnf` as shipped, policy `hardware`, a place for
/// counters.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    pub fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("counters")).unwrap();
        fs::create_dir_all(path.join("modules")).unwrap();
        fs::copy(&built().module, path.join("modules/warpdrive.so")).unwrap();
        fs::copy(root().join("conf/openssl.cnf"), path.join("openssl.cnf")).unwrap();
        fs::write(path.join("warpdrive.toml"), "[policy]\ndefault = \"hardware\"\n").unwrap();
        Self { path }
    }

    /// A file or folder in here.
    pub fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Compiles `tests/c/<name>.c`.
    pub fn compile(&self, name: &str) -> PathBuf {
        let program = self.file(name);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(name).with_extension("c");
        let mut compiler = Command::new("cc");
        compiler.args(["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"]);
        succeed(compiler.arg(&program).arg(source).args(["-lcrypto", "-ldl"]));
        program
    }

    /// `program` in this folder with the provider configured.
    pub fn command(&self, program: impl AsRef<OsStr>, devices: Devices) -> Command {
        match devices {
            Devices::None => self.command_below(&[], program),
            Devices::Simulated => self.simulated(&["--hw", "v3"], program),
            Devices::Chosen(options) => self.simulated(options, program),
        }
    }

    /// As [`Self::command`], with simulated devices of the caller's choice: options of `uacce-sim run`.
    pub fn simulated(&self, options: &[&str], program: impl AsRef<OsStr>) -> Command {
        let simulator = built().simulator.to_str().unwrap();
        self.command_below(&[&[simulator, "run"], options, &["--"]].concat(), program)
    }

    fn command_below(&self, above: &[&str], program: impl AsRef<OsStr>) -> Command {
        let mut command = self.stock("timeout");
        command
            .args(["--signal=KILL", &time_limit()])
            .args(above)
            .arg(program)
            .env("OPENSSL_CONF", self.file("openssl.cnf"))
            .env("OPENSSL_MODULES", self.file("modules"))
            .env("WARPDRIVE_CONF", self.file("warpdrive.toml"))
            .env("WARPDRIVE_STATS_DIR", self.file("counters"));
        command
    }

    /// `program` in this folder with nothing of ours.
    pub fn stock(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("LC_ALL", "C.UTF-8").current_dir(&self.path).stdin(Stdio::null());
        command
    }

    /// What was counted since the last call, by row; rows without a count are left out.
    pub fn take_counters(&self) -> BTreeMap<String, Row> {
        let (totals, skipped) = read_directory(&self.file("counters")).unwrap();
        assert_eq!((skipped.unreadable, skipped.foreign), (0, 0), "counter files that cannot be read");
        fs::remove_dir_all(self.file("counters")).unwrap();
        fs::create_dir(self.file("counters")).unwrap();
        let counted = |row: &Row| row.hardware + row.software.values().sum::<u64>() > 0;
        totals.algorithms.into_iter().filter(|(_, row)| counted(row)).collect()
    }

    /// Like [`Self::take_counters`], as `(row, hardware, software by reason)`.
    pub fn take_counts(&self) -> BTreeMap<String, (u64, BTreeMap<String, u64>)> {
        self.take_counters().into_iter().map(|(name, row)| (name, (row.hardware, row.software))).collect()
    }
}

/// What a program printed on standard output.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// How many cases a program of `tests/c` says that it put to both sides. Printed, so that a log adds up.
pub fn cases(what: &str, output: &Output) -> u64 {
    let said = said(output);
    let number = said.lines().find_map(|line| line.strip_prefix("cases ")?.parse().ok());
    let number = number.unwrap_or_else(|| panic!("{what} says no number of cases: {said}"));
    println!("{what}: {number} cases");
    number
}

/// Runs to the end.
pub fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs to the end, which must be a good one.
pub fn succeed(command: &mut Command) -> Output {
    let output = run(command);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}\n{}",
        output.status,
        said(&output),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
