//! The real daemon and the real library: both are built, a daemon is started, and programs run on it.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

/// Where the programs under test lie: `uacce-sim` and `libuacce_sim_preload.so`.
pub struct Built {
    pub daemon: PathBuf,
    pub library: PathBuf,
}

/// Cargo builds neither another package's program nor a cdylib for tests, so it is asked to, once.
pub fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        if let (Some(daemon), Some(library)) = (variable("UACCE_SIM"), variable("UACCE_SIM_PRELOAD")) {
            return Built { daemon: daemon.into(), library: library.into() };
        }
        // target/<profile>/deps/<this test>
        let folder = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_path_buf();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "uacce-sim", "--package", "uacce-sim-preload"]);
        build.arg("--manifest-path").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
        if folder.file_name().is_some_and(|name| name == "release") {
            build.arg("--release");
        }
        succeed(&mut build);
        let found =
            Built { daemon: folder.join("uacce-sim"), library: folder.join("libuacce_sim_preload.so") };
        for file in [&found.daemon, &found.library] {
            assert!(file.exists(), "no {}", file.display());
            println!("tested: {}", file.display());
        }
        found
    })
}

/// What starts the programs that are compiled here, where they are another machine's (`scripts/arm64`): the daemon and this
/// test are native, the programs and the library in them are not.
pub fn emulator() -> Option<String> {
    variable("RUN_WITH")
}

/// Whether this case can be shown here: under emulation some cannot, for a reason that is printed.
pub fn shows(case: &str, but: &str) -> bool {
    if emulator().is_some() {
        println!("left out under emulation: {case}: {but}");
    }
    emulator().is_none()
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A program that was compiled here, on this machine or in its emulator, with these variables before it is loaded.
pub fn start(program: impl AsRef<Path>, variables: &[(&str, &Path)]) -> Command {
    let Some(emulator) = emulator() else {
        let mut command = Command::new(program.as_ref());
        command.envs(variables.iter().copied());
        return command;
    };
    // The emulator itself must not load another machine's library.
    let mut command = Command::new(emulator);
    command.args(variables.iter().map(|(name, value)| format!("{name}={}", value.display())));
    command.arg(program.as_ref());
    command
}

/// A daemon of this test's own.
pub struct Session {
    daemon: Child,
    pub root: PathBuf,
    top: PathBuf,
}

impl Session {
    pub fn new() -> Self {
        Self::with(&[])
    }

    pub fn with(options: &[&str]) -> Self {
        // Short enough for a socket address, and not below the build's folder, whose name could hold anything.
        let top = succeed(Command::new("mktemp").args(["-d", "/tmp/uacce-XXXXXX"])).stdout;
        let top = PathBuf::from(String::from_utf8(top).unwrap().trim_end());
        let root = top.join("simulator");
        let mut serve = Command::new(&built().daemon);
        serve.arg("serve").arg("--root").arg(&root).args(options).arg("--log").arg(top.join("log"));
        let daemon = ready(&mut serve);
        Self { daemon, root, top }
    }

    /// `program` on this daemon.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = if program.as_ref().starts_with(env!("CARGO_TARGET_TMPDIR")) {
            start(program, &[("LD_PRELOAD", &built().library)])
        } else {
            let mut command = Command::new(program.as_ref());
            command.env("LD_PRELOAD", native_library());
            command
        };
        command.env("UACCE_SIM_ROOT", &self.root).env("LC_ALL", "C");
        // A test that hangs is a test that fails.
        command.stdin(Stdio::null());
        command
    }

    /// Runs a program that must end well, say nothing on standard error, and never name the daemon's directory.
    pub fn run(&self, program: impl AsRef<Path>, arguments: &[&str]) -> String {
        let output = succeed(self.command(program.as_ref()).args(arguments));
        let (text, errors) = (String::from_utf8_lossy(&output.stdout), said(&output));
        assert_eq!(errors, "", "{} {arguments:?}", program.as_ref().display());
        assert!(!text.contains(self.top.to_str().unwrap()), "the daemon's directory shows:\n{text}");
        text.into_owned()
    }

    /// Free queues of a device.
    pub fn free(&self, device: &str) -> u32 {
        let path = self.root.join("sys/class/uacce").join(device).join("available_instances");
        fs::read_to_string(path).unwrap().trim_end().parse().unwrap()
    }

    /// The daemon's process id.
    pub fn id(&self) -> u32 {
        self.daemon.id()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        let _ = fs::remove_dir_all(&self.top);
    }
}

/// Starts a daemon and waits for its word that clients may come.
pub fn ready(serve: &mut Command) -> Child {
    let mut daemon = serve.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    daemon
}

/// Runs a program that must end well.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// The library for this machine's own programs: the one beside the daemon.
fn native_library() -> PathBuf {
    match emulator() {
        None => built().library.clone(),
        Some(_) => {
            let folder = built().daemon.ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default();
            folder.join("lib/libuacce_sim_preload.so")
        }
    }
}

/// What a program said on standard error; the emulator's own word of a deadly signal is not the program's.
pub fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let own = |line: &&str| emulator().is_some() && line.starts_with("qemu: uncaught target signal ");
    text.split_inclusive('\n').filter(|line| !own(line)).collect()
}

/// Compiles `tests/c/<name>.c`; the program's name tells the flags, so tests may run side by side.
pub fn compile(name: &str, flags: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let test = std::thread::current().name().unwrap_or("main").replace(':', "_");
    let program = folder.join(format!("{name}{}-{test}", flags.concat().replace('=', "_")));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(name).with_extension("c");
    let mut compiler = Command::new(variable("CC").unwrap_or_else(|| "cc".to_owned()));
    compiler.args(["-g", "-Wall", "-Wextra", "-Werror", "-Wno-deprecated-declarations", "-pthread"]);
    succeed(compiler.args(flags).arg("-o").arg(&program).arg(source));
    program
}

/// What tells `rustc` for which machine it compiles, if it is another one.
pub fn target() -> Vec<String> {
    let Some(target) = variable("RUST_TARGET") else { return Vec::new() };
    let linker = variable("CC").unwrap_or_else(|| "cc".to_owned());
    vec!["--target".to_owned(), target, "-C".to_owned(), format!("linker={linker}")]
}

/// Waits for what must come. Only a failing test waits long.
pub fn wait_until(condition: impl Fn() -> bool) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !condition() {
        assert!(std::time::Instant::now() < end, "it never came");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
