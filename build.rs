//! Makes the C header of the uacce and queue-manager ABI from the Rust side's own definitions.
//!
//! It goes to `OUT_DIR/uacce_abi.h`; `include/uacce_abi.h` is the checked-in copy, and `tests/abi.rs` fails when the two
//! differ.

use std::path::Path;

use cbindgen::{Builder, Config, ExportConfig, Language, Style};

const SOURCE: &str = "uacce-sys/src/abi.rs";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={SOURCE}");
    let header = Path::new(&std::env::var("OUT_DIR")?).join("uacce_abi.h");
    Builder::new().with_config(config()).with_src(SOURCE).generate()?.write_to_file(header);
    Ok(())
}

fn config() -> Config {
    // A prefix keeps every name apart from the kernel's, whose headers may stand beside ours.
    let structures = [
        ("QpContext", "uacce_abi_qp_context"),
        ("QpInfo", "uacce_abi_qp_info"),
        ("CompletionEntry", "uacce_abi_completion_entry"),
        ("SglHeader", "uacce_abi_sgl_header"),
        ("SglEntry", "uacce_abi_sgl_entry"),
    ];
    Config {
        language: Language::C,
        style: Style::Tag,
        cpp_compat: true,
        include_guard: Some("UACCE_ABI_H".into()),
        no_includes: true,
        sys_includes: vec!["stdint.h".into()],
        autogen_warning: Some("/* Made from uacce-sys/src/abi.rs; do not edit. */".into()),
        header: Some(
            "/* SPDX-License-Identifier: Apache-2.0 */\n\
             /* The uacce user interface of the Linux kernel and the HiSilicon queue manager: numbers and layouts.\n   \
             Little-endian, sizes in bytes. ioctl numbers are complete: pass them as they are. */"
                .into(),
        ),
        line_length: 110,
        export: ExportConfig {
            // Nothing but these is a type that C needs; all are found though no function names them.
            include: structures.iter().map(|(rust, _)| (*rust).into()).collect(),
            rename: structures.iter().map(|(rust, c)| ((*rust).into(), (*c).into())).collect(),
            prefix: Some("UACCE_ABI_".into()),
            renaming_overrides_prefixing: true,
            ..ExportConfig::default()
        },
        ..Config::default()
    }
}
