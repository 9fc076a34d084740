//! Where the built library is, and running programs on stock zlib and on ours.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The freshly built `libwarpdrive_z.so`. Cargo builds no cdylib for tests, so it is asked to, once.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        // target/<profile>/deps/<this test>
        let folder = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_path_buf();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--lib", "--manifest-path"]);
        build.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
        if folder.file_name().is_some_and(|name| name == "release") {
            build.arg("--release");
        }
        succeed(&mut build);
        let library = folder.join("libwarpdrive_z.so");
        assert!(library.exists(), "no {}", library.display());
        library
    })
}

/// Runs a program that must end well.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout)
            .chars()
            .rev()
            .take(4000)
            .collect::<String>()
            .chars()
            .rev()
            .collect::<String>(),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// A folder of this test's own, below cargo's.
pub fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Compiles `tests/c/<name>.c` against the system's zlib.h and libz into `folder`.
pub fn compile(folder: &Path, name: &str) -> PathBuf {
    let program = folder.join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(name).with_extension("c");
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"]);
    succeed(compiler.arg(&program).arg(source).arg("-lz"));
    program
}

/// `program`, with our library preloaded and no device to find, or on stock zlib alone.
pub fn command(program: impl AsRef<Path>, preloaded: bool) -> Command {
    let mut command = Command::new(program.as_ref());
    command.env_remove("LD_PRELOAD").env_remove("WARPDRIVE_CONF").env_remove("WARPDRIVE_STATS_DIR");
    if preloaded {
        command.env("LD_PRELOAD", library());
    }
    command
}
