//! Misuse that stock zlib does not survive: every answer a code, nothing read or written that is not the caller's.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{command, compile, scratch, succeed};

#[test]
fn misuse_gets_codes() {
    let program = compile(&scratch("misuse"), "misuse");
    let output = succeed(&mut command(program, true));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n");
    assert!(output.stderr.is_empty());
}

#[test]
fn nulls_get_the_codes_of_stock_zlib() {
    // `probe` calls every function with NULL, among much else.
    let program = compile(&scratch("nulls"), "probe");
    let ours = succeed(&mut command(&program, true)).stdout;
    assert!(String::from_utf8_lossy(&ours).contains("inflateBackInit "));
    assert!(ours == succeed(&mut command(&program, false)).stdout);
}
