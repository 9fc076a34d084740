//! What whole-house tests share: the built artefacts, a simulator session, clients of either library, their counters.
//!
//! Tests meet warpdrive as its users do, as files that `scripts/build` made: nothing of the provider, the shim or the
//! simulator is linked here. Software fallback makes wrong things look right, so a test of hardware also looks at
//! [`Scratch::counters`].
#![allow(dead_code, reason = "each test file uses its share")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::SystemTime;

use warpdrive::stats::{Row, Totals, read_directory};

/// The directory that `scripts/build` fills; its path is printed once, so that a log shows what was tested.
///
/// `WARPDRIVE_DIST` names another one. The default one must not be older than the sources.
pub(crate) fn dist() -> PathBuf {
    static DIST: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
        let dist = find_dist()?;
        println!("artefacts: {}", dist.display());
        Ok(dist)
    });
    DIST.clone().unwrap_or_else(|complaint| panic!("{complaint}"))
}

fn find_dist() -> Result<PathBuf, String> {
    if let Some(dist) = std::env::var_os("WARPDRIVE_DIST") {
        return Ok(dist.into());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dist = root.join("target/dist");
    match modified(&dist.join(".built")) {
        None => Err("nothing built: run scripts/build".into()),
        Some(built) if Some(built) < newest_source(root) => {
            Err("target/dist is older than the sources: run scripts/build".into())
        }
        Some(_) => Ok(dist),
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// When a source of the artefacts was last changed. Only folders named `src` count, tests are no sources of artefacts.
fn newest_source(directory: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(directory).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let newest = entries.filter_map(|path| {
        let name = path.file_name()?.to_str()?;
        if path.is_dir() {
            let skipped = name.starts_with('.') || matches!(name, "target" | "tests" | "docs" | "scripts");
            if skipped { None } else { newest_source(&path) }
        } else if matches!(path.extension()?.to_str()?, "rs" | "toml" | "cnf" | "h") {
            modified(&path)
        } else {
            None
        }
    });
    newest.max()
}

/// A fresh directory of one test, with a configuration and a place for counters.
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Policy `hardware`: everything that a device can do goes there.
    pub(crate) fn new(name: &str) -> Self {
        Self::with_config(name, "[policy]\ndefault = \"hardware\"\n")
    }

    /// With the given text as `warpdrive.toml`.
    pub(crate) fn with_config(name: &str, config: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("counters")).unwrap();
        fs::write(path.join("warpdrive.toml"), config).unwrap();
        Self { path }
    }

    /// A file or directory in here.
    pub(crate) fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// The sum of what every process of this test has counted so far.
    pub(crate) fn counters(&self) -> Totals {
        let (totals, skipped) = read_directory(&self.file("counters")).unwrap();
        assert_eq!((skipped.unreadable, skipped.foreign), (0, 0), "counter files that cannot be read");
        totals
    }

    /// One algorithm's counts; all zero if nothing was counted.
    pub(crate) fn row(&self, algorithm: &str) -> Row {
        self.counters().algorithms.remove(algorithm).unwrap_or_default()
    }

    /// Forgets what was counted.
    pub(crate) fn reset_counters(&self) {
        fs::remove_dir_all(self.file("counters")).unwrap();
        fs::create_dir(self.file("counters")).unwrap();
    }

    /// A key and a self-signed certificate, made by stock tools: `key.pem`, `public.pem`, `certificate.pem`.
    pub(crate) fn key(&self, bits: u32) -> PathBuf {
        let (key, public) = (self.file("key.pem"), self.file("public.pem"));
        let bits = format!("rsa_keygen_bits:{bits}");
        let genpkey = ["genpkey", "-algorithm", "RSA", "-pkeyopt", &bits, "-out"];
        succeed(stock("openssl").args(genpkey).arg(&key));
        succeed(stock("openssl").args(["pkey", "-pubout", "-in"]).arg(&key).arg("-out").arg(public));
        let subject =
            ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2", "-out"];
        let request = ["req", "-x509", "-new", "-key"];
        succeed(stock("openssl").args(request).arg(&key).args(subject).arg(self.file("certificate.pem")));
        key
    }

    /// A client of either library or of both, on simulated devices or with none. It ends after two minutes at the latest.
    pub(crate) fn client(&self, program: impl AsRef<std::ffi::OsStr>, devices: Devices<'_>) -> Command {
        let mut command = stock("timeout");
        command.args(["--signal=KILL", "120"]).arg(program);
        self.accelerate(&mut command, devices);
        command
    }

    /// Gives a command the environment of a client: provider, shim, configuration, counters, devices.
    pub(crate) fn accelerate(&self, command: &mut Command, devices: Devices<'_>) {
        let dist = dist();
        let mut preload = dist.join("lib/libwarpdrive_z.so").into_os_string();
        if let Devices::Simulated(simulator) = devices {
            simulator.enter(command);
            preload.push(":");
            preload.push(&simulator.preload);
        }
        command
            .env("LD_PRELOAD", preload)
            .env("OPENSSL_CONF", dist.join("etc/openssl.cnf"))
            .env("OPENSSL_MODULES", dist.join("lib/ossl-modules"))
            .env("WARPDRIVE_CONF", self.file("warpdrive.toml"))
            .env("WARPDRIVE_STATS_DIR", self.file("counters"));
    }

    /// Compiles `tests/c/<name>.c` and gives the program's path.
    pub(crate) fn compile(&self, name: &str, flags: &[&str]) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(format!("{name}.c"));
        let program = self.file(name);
        let warnings = ["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"];
        succeed(stock("cc").args(warnings).arg(&program).arg(source).args(flags));
        program
    }
}

/// What devices a client sees.
#[derive(Clone, Copy)]
pub(crate) enum Devices<'a> {
    /// None.
    None,
    /// Those of a simulator session.
    Simulated(&'a Simulator),
}

/// A simulator session that lasts as long as this value: one daemon, any number of clients.
pub(crate) struct Simulator {
    session: Child,
    /// The daemon's directory.
    pub(crate) root: String,
    /// The preload library, as the session's own command got it.
    pub(crate) preload: String,
}

impl Simulator {
    /// Starts a daemon with options of `uacce-sim run`, and returns when it serves.
    pub(crate) fn start(options: &[&str]) -> Self {
        let mut session = stock(dist().join("bin/uacce-sim"))
            .arg("run")
            .args(options)
            // The session's command tells its environment and then waits for us to close its input.
            .args(["--", "sh", "-c", "echo \"$UACCE_SIM_ROOT\"; echo \"$LD_PRELOAD\"; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("uacce-sim starts");
        let mut lines = BufReader::new(session.stdout.take().unwrap()).lines();
        let mut line = || lines.next().expect("the session tells its environment").unwrap();
        let (root, preload) = (line(), line());
        assert!(
            !root.is_empty() && !preload.is_empty(),
            "the session's command has no simulator environment"
        );
        Self { session, root, preload }
    }

    /// Lets a command see this session's devices.
    pub(crate) fn enter<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("UACCE_SIM_ROOT", &self.root).env("LD_PRELOAD", &self.preload)
    }

    /// The entry of the device of one kind, e.g. `hisi_zip-4` for `hisi_zip`.
    pub(crate) fn device(&self, driver: &str) -> String {
        let entries = fs::read_dir(Path::new(&self.root).join("sys/class/uacce")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(driver)).min().expect("a device of that kind")
    }

    /// What `available_instances` of that device says now.
    pub(crate) fn free_queues(&self, driver: &str) -> u64 {
        let directory = Path::new(&self.root).join("sys/class/uacce").join(self.device(driver));
        fs::read_to_string(directory.join("available_instances")).unwrap().trim().parse().unwrap()
    }

    /// Kills the daemon as a crash would, without a word to anybody.
    pub(crate) fn kill_daemon(&self) {
        let daemon = self.daemon();
        succeed(stock("sh").args(["-c", &format!("kill -KILL {daemon}")]));
    }

    /// The process that serves the session: the peer of its socket, which is the session itself or a child of it.
    fn daemon(&self) -> u32 {
        let socket = format!("{}/sock", self.root);
        let table = fs::read_to_string("/proc/net/unix").unwrap();
        let inode =
            table.lines().find(|line| line.ends_with(&socket)).and_then(|line| line.split(' ').nth_back(1));
        let link = format!("socket:[{}]", inode.expect("the daemon listens"));
        let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let holds = |pid: &u32| {
            let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().filter_map(Result::ok);
            let mut targets = files.filter_map(|file| fs::read_link(file.path()).ok());
            targets.any(|target| target == Path::new(&link))
        };
        pids.filter(holds).max().expect("somebody holds the listening socket")
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // Closing its input ends the session; if it does not, the test's own time limit tells.
        drop(self.session.stdin.take());
        let _ = self.session.wait();
    }
}

/// A program with nothing of ours in its environment, and nothing of cargo's either.
pub(crate) fn stock(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
}

/// Runs to the end.
pub(crate) fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs to the end, which must be a good one.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = run(command);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}\n{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    output
}

/// Runs with `input` on its standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &[u8]) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // A program that fails early does not read it all.
        scope.spawn(move || drop(pipe.write_all(input)));
        child.wait_with_output()
    });
    output.unwrap()
}

/// The counts of reasons that are somebody's fault.
pub(crate) fn failures(row: &Row) -> Vec<(&str, u64)> {
    let design = ["small", "tail", "unsupported", "policy", "refused"];
    row.software
        .iter()
        .map(|(reason, count)| (reason.as_str(), *count))
        .filter(|(reason, _)| !design.contains(reason))
        .collect()
}
