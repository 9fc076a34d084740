//! The C header of the ABI: not stale, in agreement with the kernel's own headers, and with the Rust side.

use std::collections::BTreeMap;
use std::fs;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::Command;

use uacce_sys::abi::{self, CompletionEntry, QpContext, QpInfo, SglEntry, SglHeader};

const MADE: &str = concat!(env!("OUT_DIR"), "/uacce_abi.h");

#[test]
fn the_checked_in_header_is_the_one_made_from_the_source() {
    let checked_in = root().join("include/uacce_abi.h");
    let made = fs::read_to_string(MADE).expect("the build script made it");
    let found = fs::read_to_string(&checked_in).unwrap_or_default();
    assert!(
        found == made,
        "include/uacce_abi.h is stale; look at the difference and copy the new one:\n  cp {MADE} {}",
        checked_in.display()
    );
}

#[test]
fn c_kernel_and_rust_agree() {
    let printed = compile_and_run();
    for name in printed.lines().filter_map(|line| line.strip_prefix("absent ")) {
        eprintln!("not compared, these kernel headers lack it: {name}");
    }
    let in_c: BTreeMap<&str, u64> = printed
        .lines()
        .filter(|line| !line.starts_with("absent "))
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("name and value");
            (name, value.parse().expect("a number"))
        })
        .collect();
    assert_eq!(in_c, in_rust());
}

/// Every number in the header is among those compared.
#[test]
fn nothing_is_left_out() {
    let header = fs::read_to_string(MADE).expect("the build script made it");
    let known = in_rust();
    for line in header.lines() {
        let Some(name) = line.strip_prefix("#define UACCE_ABI_").and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        assert!(known.contains_key(name.0), "{} is not compared", name.0);
    }
}

fn in_rust() -> BTreeMap<&'static str, u64> {
    let mut numbers = BTreeMap::new();
    macro_rules! number {
        ($($name:ident)*) => { $(numbers.insert(stringify!($name), u64::from(abi::$name));)* };
    }
    macro_rules! structure {
        ($c:literal, $rust:ty, $($field:ident)*) => {
            numbers.insert(concat!("sizeof ", $c), size_of::<$rust>() as u64);
            $(numbers.insert(concat!("offsetof ", $c, ".", stringify!($field)), offset_of!($rust, $field) as u64);)*
        };
    }
    number!(START PUT_Q GET_SS_DMA SET_QP_CTX SET_QP_INFO REGION_MMIO REGION_DUS REGION_SS);
    number!(FLAG_SVA FLAG_NOIOMMU FLAG_IOMMU DOORBELL_OFFSET_V1 DOORBELL_OFFSET_V2 DOORBELL_SQ DOORBELL_CQ);
    number!(STATUS_RX_FROM_END STATUS_TX_FROM_END DEFAULT_DEPTH DESCRIPTOR_LEN_HPRE DESCRIPTOR_LEN_SEC_ZIP);
    number!(SGL_ENTRIES_MAX SGL_CHAIN_MAX SGL_ALIGN SGL_ENTRY_LEN_MAX);
    structure!("qp_context", QpContext, id qc_type);
    structure!("qp_info", QpInfo, sqe_size sq_depth cq_depth reserved);
    structure!("completion_entry", CompletionEntry, cmd_id sq_head sq_num w7);
    structure!("sgl_header", SglHeader, next_dma entry_sum_in_chain entry_sum_in_sgl entry_length_in_sgl pad1 pad2);
    structure!("sgl_entry", SglEntry, buff page_ctrl len pad pad1);
    numbers
}

/// Builds `tests/c/abi.c` against the checked-in header and the kernel's, and returns what it prints.
fn compile_and_run() -> String {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("abi");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let output = Command::new(&compiler)
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(root().join("include"))
        .arg("-o")
        .arg(&program)
        .arg(root().join("tests/c/abi.c"))
        .output()
        .unwrap_or_else(|error| {
            panic!("{compiler} is needed, with the kernel's headers (linux-libc-dev): {error}")
        });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = Command::new(&program).output().expect("the program just built runs");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
