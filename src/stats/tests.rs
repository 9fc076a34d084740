use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::config;

const RSA: Algorithm = Algorithm::RsaPrivate(2048);

fn counters(dir: Option<&Path>) -> Counters {
    let mut config = Config::default();
    config.stats = config::Stats { dir: dir.map(Path::to_path_buf) };
    Counters::open(&config)
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn row(hardware: u64, hardware_bytes: u64, software_bytes: u64, software: &[(&str, u64)]) -> Row {
    let mut row = Row::default();
    (row.hardware, row.hardware_bytes, row.software_bytes) = (hardware, hardware_bytes, software_bytes);
    row.software = software.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect();
    row
}

fn count_something(counters: &Counters) {
    counters.hardware(RSA, 256);
    counters.hardware(RSA, 256);
    counters.software(RSA, Reason::WrongResult, 1, 256);
    counters.software(Algorithm::Deflate, Reason::Tail, 0, 1000);
    counters.software(Algorithm::Deflate, Reason::Small, 3, 24);
    counters.hardware(Algorithm::Inflate, 0);
}

fn expected() -> Totals {
    let mut totals = Totals::default();
    totals.algorithms.insert("rsa-2048-private".into(), row(2, 512, 256, &[("wrong-result", 1)]));
    totals.algorithms.insert("deflate".into(), row(0, 0, 1024, &[("small", 3)]));
    totals.algorithms.insert("inflate".into(), row(1, 0, 0, &[]));
    totals.processes = 1;
    totals
}

#[test]
fn in_memory() {
    let counters = counters(None);
    assert_eq!(counters.totals(), Totals::default());
    count_something(&counters);
    assert_eq!(counters.totals(), expected());
}

#[test]
fn every_cell_of_every_row_has_its_own_place() {
    let scratch = tempfile::tempdir().unwrap();
    let counters = counters(Some(scratch.path()));
    let mut wanted = Totals { processes: 1, ..Totals::default() };
    let mut value = 0;
    for algorithm in Algorithm::ALL {
        let mut cells = Vec::new();
        for reason in Reason::ALL {
            value += 1;
            counters.software(algorithm, reason, value, 1);
            cells.push((reason.name(), value));
        }
        value += 1;
        counters.hardware(algorithm, value);
        wanted.algorithms.insert(algorithm.name().into(), row(1, value, Reason::ALL.len() as u64, &cells));
    }
    assert_eq!(counters.totals(), wanted);
    assert_eq!(read_directory(scratch.path()).unwrap(), (wanted, Skipped::default()));
}

#[test]
fn the_file_appears_with_the_first_count_and_outlives_its_process() {
    let scratch = tempfile::tempdir().unwrap();
    let counters = counters(Some(scratch.path()));
    assert_eq!(counters.totals(), Totals::default());
    assert_eq!(files(scratch.path()).len(), 0, "nothing counted, no file");
    count_something(&counters);
    let [file] = files(scratch.path()).try_into().unwrap();
    let metadata = fs::metadata(&file).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
    assert_eq!(metadata.len(), page::FILE_LEN as u64);
    assert_eq!(metadata.len() % 4096, 0);
    assert!(metadata.blocks() >= 8, "blocks are allocated, not promised");
    let open: Vec<_> = files(Path::new("/proc/self/fd")).into_iter().flat_map(fs::read_link).collect();
    assert!(!open.contains(&file), "no descriptor is kept");

    assert_eq!(read_directory(scratch.path()).unwrap().0, expected(), "live");
    drop(counters);
    assert_eq!(read_directory(scratch.path()).unwrap(), (expected(), Skipped::default()), "afterwards");
}

#[test]
fn each_opening_has_its_own_file_and_sums_add_up() {
    let scratch = tempfile::tempdir().unwrap();
    let all =
        [counters(Some(scratch.path())), counters(Some(scratch.path())), counters(Some(scratch.path()))];
    all.iter().for_each(count_something);
    assert_eq!(files(scratch.path()).len(), 3);
    let mut wanted = Totals::default();
    (0..3).for_each(|_| wanted.add(&expected()));
    assert_eq!(wanted.processes, 3);
    assert_eq!(read_directory(scratch.path()).unwrap(), (wanted, Skipped::default()));
}

#[test]
fn threads_that_count_first_together_leave_one_file_and_lose_nothing() {
    for _ in 0..20 {
        let scratch = tempfile::tempdir().unwrap();
        let counters = counters(Some(scratch.path()));
        let barrier = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    barrier.wait();
                    (0..1000).for_each(|_| counters.hardware(RSA, 1));
                });
            }
        });
        assert_eq!(files(scratch.path()).len(), 1);
        let totals = read_directory(scratch.path()).unwrap().0;
        assert_eq!(totals.algorithms["rsa-2048-private"], row(4000, 4000, 0, &[]));
    }
}

#[test]
fn without_a_usable_directory_memory_serves() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file");
    fs::write(&file, "").unwrap();
    for dir in [scratch.path().join("absent"), file, "/proc/self".into(), "/dev/null".into()] {
        let counters = counters(Some(&dir));
        count_something(&counters);
        assert_eq!(counters.totals(), expected(), "{dir:?}");
    }
    assert_eq!(files(scratch.path()).len(), 1, "nothing was left behind");
}

#[test]
fn foreign_files_are_left_out_and_counted() {
    let scratch = tempfile::tempdir().unwrap();
    let counters = counters(Some(scratch.path()));
    count_something(&counters);
    let [good] = files(scratch.path()).try_into().unwrap();
    let bytes = fs::read(&good).unwrap();
    let put = |name: &str, bytes: &[u8]| fs::write(scratch.path().join(name), bytes).unwrap();
    put("README", b"not ours by name, so not looked at");
    put("empty.counters", b"");
    put("text.counters", &[b'x'; 4096]);
    put("short.counters", &bytes[..1000]);
    let mut later = bytes.clone();
    later[8] = 2;
    put("later.counters", &later);
    let mut unfinished = bytes.clone();
    unfinished[..8].fill(0);
    put("unfinished.counters", &unfinished);
    fs::create_dir(scratch.path().join("dir.counters")).unwrap();
    symlink(&good, scratch.path().join("link.counters")).unwrap();
    let (totals, skipped) = read_directory(scratch.path()).unwrap();
    assert_eq!(totals, expected());
    assert_eq!(skipped, Skipped { unreadable: 2, foreign: 3 });
}

#[test]
fn a_reader_understands_rows_and_columns_it_has_never_heard_of() {
    let name = |text: &str| {
        let mut field = [0_u8; 16];
        field[..text.len()].copy_from_slice(text.as_bytes());
        field
    };
    let mut file = b"wdcount\0".to_vec();
    for field in [1_u32, 16, 2, 3, 64, 160] {
        file.extend(field.to_le_bytes());
    }
    file.resize(64, 0);
    for text in ["sm2-sign", "deflate", "software/magic", "hardware", ""] {
        file.extend(name(text));
    }
    file.resize(160, 0);
    for cell in [7_u64, 8, 9, 0, 1, 2] {
        file.extend(cell.to_le_bytes());
    }
    let mut totals = Totals::default();
    assert_eq!(totals.add_file(&file), Some(()));
    let mut wanted = Totals { processes: 1, ..Totals::default() };
    wanted.algorithms.insert("sm2-sign".into(), row(8, 0, 0, &[("magic", 7)]));
    wanted.algorithms.insert("deflate".into(), row(1, 0, 0, &[]));
    assert_eq!(totals, wanted);

    // A name that could break a report makes the file foreign.
    file[64..73].copy_from_slice(b"rsa\"} 1\n\0");
    assert_eq!(totals.clone().add_file(&file), None);
}

#[test]
fn sums_stop_at_the_top_instead_of_wrapping() {
    let counters = counters(None);
    counters.hardware(RSA, u64::MAX);
    let mut totals = counters.totals();
    totals.add(&counters.totals());
    assert_eq!(totals.algorithms["rsa-2048-private"].hardware_bytes, u64::MAX);
    assert_eq!(totals.hardware(), 2);
}

proptest! {
    /// Any bytes, and any damage to a good file: never a panic, and nothing added when refused.
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut totals = Totals::default();
        if totals.add_file(&bytes).is_none() {
            prop_assert_eq!(totals, Totals::default());
        }
    }

    #[test]
    fn any_damage_is_answered(
        damage in proptest::collection::vec((0_usize..128, prop_oneof![any::<u32>(), 0_u32..70, 4000_u32..4100]), 1..4),
        len in 0_usize..=4096,
    ) {
        let scratch = tempfile::tempdir().unwrap();
        let counters = counters(Some(scratch.path()));
        count_something(&counters);
        let [good] = <[_; 1]>::try_from(files(scratch.path())).unwrap();
        let mut bytes = fs::read(good).unwrap();
        for (word, value) in damage {
            let at = 8 + word * 4;
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        bytes.truncate(len);
        let mut totals = Totals::default();
        if totals.add_file(&bytes).is_none() {
            prop_assert_eq!(totals, Totals::default());
        }
    }
}
