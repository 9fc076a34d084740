//! The drop-in form, `libz.so.1`: its symbols and versions, and programs that are made to load it by `LD_LIBRARY_PATH`.
//!
//! Needs what `differential` needs, and pigz, dpkg-deb and zlib's example programs (zlib1g-dev has them).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use common::{command, compile, scratch, succeed};

/// zlib's own programs, as Debian ships them.
const EXAMPLES: &str = "/usr/share/doc/zlib1g-dev/examples";

fn house(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The freshly linked `libz.so.1`.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let output = succeed(Command::new(house("scripts/link-libz")).arg("--debug"));
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
    })
}

/// `program` with the drop-in form in place of the system's libz, or on stock zlib.
fn program(program: impl AsRef<Path>, dropped_in: bool) -> Command {
    let mut command = command(program, false);
    command.env_remove("LD_LIBRARY_PATH");
    if dropped_in {
        command.env("LD_LIBRARY_PATH", library().parent().unwrap());
    }
    command
}

/// Which libz the loader takes for `program`, so that no test passes on stock zlib by mistake.
fn assert_loads_ours(name: impl AsRef<Path>) {
    let listing = succeed(program(name, true).env("LD_TRACE_LOADED_OBJECTS", "1"));
    let listing = String::from_utf8(listing.stdout).unwrap();
    assert!(listing.contains(library().to_str().unwrap()), "{listing}");
}

fn exports(of: &Path) -> BTreeSet<String> {
    let listing = succeed(Command::new("nm").args(["--dynamic", "--defined-only", "--extern-only"]).arg(of));
    let listing = String::from_utf8(listing.stdout).unwrap();
    listing.lines().filter_map(|line| line.split_whitespace().nth(2)).map(str::to_owned).collect()
}

/// Compares what a program said, but for the version of the library itself. Returns the number of lines.
fn assert_same_lines(stock: &[u8], ours: &[u8]) -> usize {
    let (stock, ours) = (String::from_utf8_lossy(stock), String::from_utf8_lossy(ours));
    let differ = |(expected, seen): &(&str, &str)| expected != seen && !expected.starts_with("zlibVersion ");
    let first = stock.lines().zip(ours.lines()).find(differ);
    assert_eq!(first, None, "(stock, ours)");
    assert_eq!(ours.lines().count(), stock.lines().count());
    stock.lines().count()
}

#[test]
fn symbols_and_versions_are_exactly_the_list() {
    let intended: BTreeSet<String> =
        fs::read_to_string(house("scripts/exports/libz.txt")).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(exports(library()), intended);
}

#[test]
fn everything_the_system_library_has_is_there() {
    let system = succeed(Command::new("cc").arg("-print-file-name=libz.so")).stdout;
    let system = exports(Path::new(String::from_utf8(system).unwrap().trim_end()));
    assert!(system.len() > 90, "{}", system.len());
    assert_eq!(system.difference(&exports(library())).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn loader_facts() {
    let output = succeed(Command::new("readelf").arg("-dW").arg(library()));
    let dynamic = String::from_utf8(output.stdout).unwrap();
    assert!(dynamic.contains("soname: [libz.so.1]") && dynamic.contains("NODELETE"), "{dynamic}");
    let needed: Vec<&str> = dynamic.lines().filter(|line| line.contains("(NEEDED)")).collect();
    let known = ["libc.so.6", "libgcc_s.so.1", "ld-linux"];
    assert!(needed.iter().all(|line| known.iter().any(|name| line.contains(name))), "{needed:?}");
}

/// The same program on stock zlib and on ours says the same, and the loader says nothing.
#[test]
fn gz_functions_as_in_stock_zlib() {
    let folder = scratch("gzprobe");
    let probe = compile(&folder, "gzprobe");
    assert_loads_ours(&probe);
    let run = |dropped_in| succeed(program(&probe, dropped_in).current_dir(&folder));
    let (stock, ours) = (run(false), run(true));
    let lines = assert_same_lines(&stock.stdout, &ours.stdout);
    assert!(lines > 180, "{lines}");
    assert_eq!(String::from_utf8_lossy(&ours.stderr), "");
}

/// What zlib 1.3.2 documents and the stock zlib beside us may not have yet.
#[test]
fn gz_functions_of_1_3_2() {
    let folder = scratch("gzmodern");
    let modern = compile(&folder, "gzmodern");
    // A pipe that nobody reads any more must not end the program: it has no handler.
    let mut shell = program("sh", true);
    let output = succeed(shell.args(["-c", "trap '' PIPE; exec \"$0\""]).arg(modern).current_dir(&folder));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// Out of memory is a code, whichever allocation fails.
#[test]
fn out_of_memory_is_a_code() {
    let folder = scratch("memory");
    let program_path = compile(&folder, "memory");
    let output = succeed(program(program_path, true).current_dir(&folder));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// Reads and writes inside buffers only. Needs valgrind.
#[test]
fn valgrind_finds_nothing_in_gz_functions() {
    let folder = scratch("gzprobe-valgrind");
    let probe = compile(&folder, "gzprobe");
    // A child of fork leaves its parent's state behind on purpose, so no leak check here.
    let mut check = program("valgrind", false);
    check.args(["--quiet", "--error-exitcode=9", "--leak-check=no"]).arg(probe).current_dir(&folder);
    succeed(check.env("LD_LIBRARY_PATH", library().parent().unwrap()));
}

#[test]
fn deflate_and_inflate_as_in_stock_zlib() {
    let probe = compile(&scratch("dropin-probe"), "probe");
    let (stock, ours) = (succeed(&mut program(&probe, false)), succeed(&mut program(&probe, true)));
    let lines = assert_same_lines(&stock.stdout, &ours.stdout);
    assert!(lines > 1000, "{lines}");
}

#[test]
fn example_and_minigzip_of_zlib() {
    let folder = scratch("dropin-zlib");
    let build = |name: &str| {
        let built = folder.join(name);
        let source = Path::new(EXAMPLES).join(name).with_extension("c");
        succeed(Command::new("cc").arg("-o").arg(&built).arg(source).arg("-lz"));
        built
    };
    let (example, minigzip) = (build("example"), build("minigzip"));
    let said = |dropped_in| {
        let output = succeed(program(&example, dropped_in).arg(folder.join("foo.gz")));
        // The first line names the version.
        String::from_utf8(output.stdout).unwrap().lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(said(true), said(false));
    let data: Vec<u8> = (0..2_000_000_u32).map(|i| (i / 5 % 253) as u8 ^ (i % 11) as u8).collect();
    for (packs, unpacks) in [(true, false), (false, true), (true, true)] {
        fs::write(folder.join("data"), &data).unwrap();
        succeed(program(&minigzip, packs).arg(folder.join("data")));
        assert!(succeed(Command::new("gzip").arg("-dc").arg(folder.join("data.gz"))).stdout == data);
        succeed(program(&minigzip, unpacks).arg("-d").arg(folder.join("data.gz")));
        assert!(fs::read(folder.join("data")).unwrap() == data);
    }
}

/// Needs libpython3-testsuite.
#[test]
fn cpython_tests() {
    let folder = scratch("dropin-cpython");
    assert_loads_ours("/usr/bin/python3");
    let mut tests = program("/usr/bin/python3", true);
    tests.args(["-m", "test", "test_zlib", "test_gzip"]);
    succeed(tests.current_dir(&folder).env("TMPDIR", &folder));
}

#[test]
fn pigz_dpkg_and_git() {
    let folder = scratch("dropin-programs");
    let data: Vec<u8> = (0..3_000_000_u32).map(|i| (i / 7 % 251) as u8 ^ (i % 13) as u8).collect();
    fs::write(folder.join("data"), &data).unwrap();
    for (packs, unpacks) in [(true, false), (false, true), (true, true)] {
        let packed = succeed(program("pigz", packs).arg("-c").arg(folder.join("data"))).stdout;
        fs::write(folder.join("data.gz"), packed).unwrap();
        assert!(succeed(program("pigz", unpacks).arg("-dc").arg(folder.join("data.gz"))).stdout == data);
    }
    let tree = folder.join("package/DEBIAN");
    fs::create_dir_all(&tree).unwrap();
    let control =
        "Package: example\nVersion: 1\nArchitecture: all\nMaintainer: n <n@example.org>\nDescription: d\n";
    fs::write(tree.join("control"), control).unwrap();
    fs::write(folder.join("package/data"), &data).unwrap();
    for (packs, unpacks) in [(true, false), (false, true)] {
        let package = folder.join("package.deb");
        let mut build = program("dpkg-deb", packs);
        succeed(build.args(["-Zgzip", "--build"]).arg(folder.join("package")).arg(&package));
        let unpacked = folder.join(format!("unpacked-{packs}"));
        succeed(program("dpkg-deb", unpacks).arg("-x").arg(&package).arg(&unpacked));
        assert!(fs::read(unpacked.join("data")).unwrap() == data);
    }
    for (writes, reads) in [(true, false), (false, true)] {
        let place = folder.join(format!("repository-{writes}"));
        let git = |dropped_in, arguments: &[&str]| {
            let mut call = program("git", dropped_in);
            call.env("GIT_CONFIG_GLOBAL", "/dev/null").env("HOME", &folder).arg("-C").arg(&place);
            succeed(call.args(["-c", "user.name=n", "-c", "user.email=e"]).args(arguments)).stdout
        };
        fs::create_dir(&place).unwrap();
        git(writes, &["init", "--quiet"]);
        fs::write(place.join("data"), &data).unwrap();
        git(writes, &["add", "."]);
        git(writes, &["commit", "--quiet", "--message=m"]);
        git(writes, &["gc", "--quiet"]);
        git(reads, &["fsck", "--full", "--strict"]);
        assert!(git(reads, &["show", "HEAD:data"]) == data);
    }
}
