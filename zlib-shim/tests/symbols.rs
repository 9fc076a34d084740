//! What the built library shows to the loader: exactly the intended names, and no libz behind it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::{library, succeed};

fn output_of(program: &str, arguments: &[&str]) -> String {
    let output = succeed(Command::new(program).args(arguments).arg(library()));
    String::from_utf8(output.stdout).unwrap()
}

fn crate_file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn intended() -> BTreeSet<String> {
    crate_file("../scripts/exports/libwarpdrive_z.txt").lines().map(str::to_owned).collect()
}

#[test]
fn exports_are_exactly_the_list() {
    let listing = output_of("nm", &["-D", "--defined-only"]);
    let exported: BTreeSet<String> =
        listing.lines().filter_map(|line| line.split_whitespace().nth(2)).map(str::to_owned).collect();
    assert_eq!(exported, intended());
    assert!(!exported.iter().any(|name| name.starts_with("gz") || name.contains('@')));
}

#[test]
fn every_stream_function_is_there() {
    let listed = intended();
    let count = |prefix: &str| listed.iter().filter(|name| name.starts_with(prefix)).count();
    // 15 and deflateUsed, deflateBound_z; 18 and the three of inflateBack.
    assert_eq!((count("deflate"), count("inflate")), (17, 21));
}

#[test]
fn no_libz_is_needed() {
    let dynamic = output_of("readelf", &["-dW"]);
    let needed: Vec<&str> = dynamic.lines().filter(|line| line.contains("(NEEDED)")).collect();
    assert!(!needed.is_empty() && !needed.iter().any(|line| line.contains("libz")), "{needed:?}");
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
}

#[test]
fn nothing_runs_at_load() {
    let symbols = output_of("readelf", &["-dW"]);
    // The C start-up files bring one entry each; more would be a constructor of ours.
    for tag in ["(INIT_ARRAYSZ)", "(FINI_ARRAYSZ)"] {
        let size =
            symbols.lines().find(|line| line.contains(tag)).and_then(|line| line.split_whitespace().nth(2));
        assert!(matches!(size, None | Some("8" | "16")), "{tag} {size:?}");
    }
}

/// The map of the drop-in form names, but for `gz*`, only what is exported here, and everything that zlib versions.
#[test]
fn version_map_and_exports_agree() {
    let map = crate_file("zlib.map");
    let without_comments: String =
        map.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join(" ");
    let words = without_comments.split(|c: char| !c.is_ascii_alphanumeric() && !"_.*:".contains(c));
    let versioned: BTreeSet<String> = words
        .filter(|word| !word.is_empty() && !word.starts_with("ZLIB_"))
        .filter(|word| !word.contains('*') && !word.ends_with(':') && !word.starts_with("gz"))
        .map(str::to_owned)
        .collect();
    let exported = intended();
    assert_eq!(versioned.difference(&exported).collect::<Vec<_>>(), Vec::<&String>::new());
    // Older than symbol versions (zlib 1.1 and before).
    let unversioned: Vec<&str> =
        exported.iter().filter(|name| !versioned.contains(*name)).map(String::as_str).collect();
    assert_eq!(
        unversioned,
        [
            "adler32",
            "compress",
            "compress2",
            "crc32",
            "deflate",
            "deflateCopy",
            "deflateEnd",
            "deflateInit2_",
            "deflateInit_",
            "deflateParams",
            "deflateReset",
            "deflateSetDictionary",
            "get_crc_table",
            "inflate",
            "inflateEnd",
            "inflateInit2_",
            "inflateInit_",
            "inflateReset",
            "inflateSetDictionary",
            "inflateSync",
            "inflateSyncPoint",
            "uncompress",
            "zError",
            "zlibVersion",
        ]
    );
}
