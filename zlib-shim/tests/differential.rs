//! The same program on stock zlib and with the shim preloaded: equal standard output. What one compresses the other
//! decompresses.
//!
//! Needs a C compiler, zlib1g-dev; for single tests, which say so: valgrind, git, libpython3-testsuite.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{command, compile, library, scratch, succeed};

/// The distribution's interpreter, whose zlib module loads the system's `libz.so.1`.
const PYTHON: &str = "/usr/bin/python3";

/// Standard output of `program` on stock zlib, after it was found equal with the shim.
fn same_output(program: &Path, arguments: &[&str]) -> String {
    let stock = succeed(command(program, false).args(arguments));
    let ours = succeed(command(program, true).args(arguments));
    let (stock, text) = (String::from_utf8(stock.stdout).unwrap(), String::from_utf8(ours.stdout).unwrap());
    for (line, (expected, seen)) in stock.lines().zip(text.lines()).enumerate() {
        assert_eq!(seen, expected, "line {}", line + 1);
    }
    assert_eq!(text.len(), stock.len());
    assert_eq!(String::from_utf8_lossy(&ours.stderr), "");
    stock
}

#[test]
fn codes_fields_and_messages() {
    let folder = scratch("probe");
    let lines = same_output(&compile(&folder, "probe"), &[]).lines().count();
    assert!(lines > 1000, "{lines}");
}

#[test]
fn what_one_compresses_the_other_decompresses() {
    let folder = scratch("chunks");
    let program = compile(&folder, "chunks");
    for (name, ours_encodes) in [("ours", true), ("stock", false)] {
        let files = folder.join(name);
        fs::create_dir(&files).unwrap();
        let run = |action: &str, preloaded| {
            let mut call = command(&program, preloaded);
            succeed(call.arg(action).arg(&files).args(["1", "150"])).stdout
        };
        let encoded = run("encode", ours_encodes);
        assert_eq!(encoded.iter().filter(|&&byte| byte == b'\n').count(), 150);
        assert!(run("decode", !ours_encodes) == encoded);
        assert!(run("decode", ours_encodes) == encoded);
    }
}

#[test]
fn threads_and_forks() {
    let program = compile(&scratch("threads"), "threads");
    assert_eq!(same_output(&program, &[]), "20 children ended well\n");
}

/// Out of memory is a code, whichever allocation fails; one that the system's gz* understand.
#[test]
fn out_of_memory_is_a_code() {
    let folder = scratch("memory");
    let program = compile(&folder, "memory");
    for preloaded in [false, true] {
        let output = succeed(command(&program, preloaded).current_dir(&folder));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n", "{preloaded}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{preloaded}");
    }
}

/// No invalid access, no leak. Needs valgrind.
#[test]
fn valgrind_finds_nothing() {
    let folder = scratch("valgrind");
    for (name, arguments) in [("misuse", &[][..]), ("probe", &[]), ("chunks", &["encode", ".", "3", "9"])] {
        let program = compile(&folder, name);
        let mut check = command("valgrind", false);
        check.args([
            "--quiet",
            "--error-exitcode=9",
            "--leak-check=full",
            "--errors-for-leak-kinds=definite",
        ]);
        check.current_dir(&folder);
        // The library is loaded into the program, not into valgrind.
        succeed(check.arg(program).args(arguments).env("LD_PRELOAD", library()));
    }
}

/// CPython's own tests of everything above zlib. Needs libpython3-testsuite.
#[test]
fn cpython_tests() {
    let folder = scratch("cpython");
    let mut tests = command(PYTHON, true);
    tests.args(["-m", "test", "test_zlib", "test_gzip", "test_zipfile", "test_tarfile", "test_zipimport"]);
    succeed(tests.current_dir(&folder).env("TMPDIR", &folder));
}

/// Programs compare the version with the one they were built for. Python links libz; Perl's module brings it along when it is loaded.
#[test]
fn the_version_is_that_of_the_library_behind() {
    let python = [PYTHON, "-c", "import zlib; print(zlib.ZLIB_RUNTIME_VERSION)"];
    let perl = ["/usr/bin/perl", "-MCompress::Raw::Zlib", "-e", "print Compress::Raw::Zlib::zlib_version()"];
    for call in [&python[..], &perl[..]] {
        let (program, arguments) = call.split_first().unwrap();
        let told = |preloaded| succeed(command(program, preloaded).args(arguments)).stdout;
        assert_eq!(told(true), told(false), "{program}");
    }
}

/// git keeps its objects in zlib streams, reads them in pieces of every size, and checks each by its hash.
#[test]
fn git_repositories() {
    let folder = scratch("git");
    let git = |preloaded: bool, arguments: &[&str]| {
        let mut call = command("git", preloaded);
        call.current_dir(&folder).env("GIT_CONFIG_GLOBAL", "/dev/null").env("HOME", &folder);
        call.args(["-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main"]);
        succeed(call.args(arguments)).stdout
    };
    for (first, second) in [(true, false), (false, true)] {
        let name = format!("repository-{first}");
        let inside = ["-C", name.as_str()];
        git(first, &["init", "--quiet", &name]);
        for round in 0..3_u32 {
            for file in 0..20_u32 {
                let text: String =
                    (0..(file + 1) * 700).map(|i| format!("{} ", i * (round + 7) % 991)).collect();
                fs::write(folder.join(&name).join(format!("file{file}")), text).unwrap();
            }
            git(first, &[&inside[..], &["add", "."]].concat());
            git(first, &[&inside[..], &["commit", "--quiet", "--message=m"]].concat());
        }
        git(second, &[&inside[..], &["fsck", "--full", "--strict"]].concat());
        git(first, &[&inside[..], &["gc", "--quiet", "--aggressive"]].concat());
        git(second, &[&inside[..], &["fsck", "--full", "--strict"]].concat());
        let ours = git(true, &[&inside[..], &["archive", "--format=tar", "HEAD"]].concat());
        assert!(ours == git(false, &[&inside[..], &["archive", "--format=tar", "HEAD"]].concat()));
        let copy = format!("clone-{first}");
        git(second, &["clone", "--quiet", "--no-local", &name, &copy]);
        git(first, &["-C", &copy, "fsck", "--full", "--strict"]);
    }
}

/// `gzip`'s counterpart in zlib's own source, through the system's gz* functions, which call ours.
#[test]
fn gz_functions_of_the_system_library() {
    let folder = scratch("gz");
    let data: Vec<u8> = (0..3_000_000_u32).map(|i| (i / 7 % 251) as u8 ^ (i % 13) as u8).collect();
    fs::write(folder.join("data"), &data).unwrap();
    let program = compile(&folder, "gzfile");
    for (writes, reads) in [(true, false), (false, true), (true, true)] {
        let packed = folder.join("data.gz");
        succeed(command(&program, writes).arg("write").arg(folder.join("data")).arg(&packed));
        succeed(command(&program, reads).arg("read").arg(&packed).arg(folder.join("back")));
        assert!(fs::read(folder.join("back")).unwrap() == data);
        assert!(succeed(Command::new("gzip").arg("-dc").arg(&packed)).stdout == data);
    }
}

/// zlib's own test programs.
#[test]
#[ignore = "needs zlib's source in ZLIB_SOURCE (apt-get source zlib)"]
fn example_and_minigzip_of_zlib() {
    let source = std::env::var_os("ZLIB_SOURCE").expect("ZLIB_SOURCE names the folder of zlib's source");
    let folder = scratch("zlib-source");
    let build = |name: &str| {
        let program = folder.join(name);
        let file = Path::new(&source).join("test").join(name).with_extension("c");
        succeed(Command::new("cc").arg("-I").arg(&source).arg("-o").arg(&program).arg(file).arg("-lz"));
        program
    };
    let scratch_file = folder.join("foo.gz");
    let said = same_output(&build("example"), &[scratch_file.to_str().unwrap()]);
    assert!(said.contains("inflate with dictionary: hello, hello!"), "{said}");
    let minigzip = build("minigzip");
    let data: Vec<u8> = (0..2_000_000_u32).map(|i| (i / 5 % 253) as u8 ^ (i % 11) as u8).collect();
    for (packs, unpacks) in [(true, false), (false, true), (true, true)] {
        fs::write(folder.join("data"), &data).unwrap();
        succeed(command(&minigzip, packs).arg(folder.join("data")));
        assert!(succeed(Command::new("gzip").arg("-dc").arg(folder.join("data.gz"))).stdout == data);
        succeed(command(&minigzip, unpacks).arg("-d").arg(folder.join("data.gz")));
        assert!(fs::read(folder.join("data")).unwrap() == data);
    }
}
