//! The types and function numbers in `ffi/bindings.rs` against the installed OpenSSL headers, by a C program made from them.
//! Numbers that a header does not know yet (3.0 lacks two) are told and not compared.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

use warpdrive_provider::ffi::bindings::{
    Algorithm, Dispatch, Item, Param, asym_cipher, cipher, core, digest, keyexch, keymgmt, operation,
    provider, selection, signature,
};

/// Numbers added after 3.0.
const LATER: [&str; 2] = ["OSSL_FUNC_KEYMGMT_IMPORT_TYPES_EX", "OSSL_FUNC_KEYMGMT_EXPORT_TYPES_EX"];

fn expected() -> BTreeMap<String, i64> {
    let mut expected = BTreeMap::new();
    let mut add = |expression: &str, value: usize| {
        expected.insert(expression.to_owned(), i64::try_from(value).unwrap());
    };
    add("sizeof(OSSL_DISPATCH)", size_of::<Dispatch>());
    add("sizeof(OSSL_ALGORITHM)", size_of::<Algorithm>());
    add("offsetof(OSSL_ALGORITHM, algorithm_names)", offset_of!(Algorithm, names));
    add("offsetof(OSSL_ALGORITHM, property_definition)", offset_of!(Algorithm, properties));
    add("offsetof(OSSL_ALGORITHM, implementation)", offset_of!(Algorithm, implementation));
    add("offsetof(OSSL_ALGORITHM, algorithm_description)", offset_of!(Algorithm, description));
    add("sizeof(OSSL_ITEM)", size_of::<Item>());
    add("offsetof(OSSL_ITEM, id)", offset_of!(Item, id));
    add("offsetof(OSSL_ITEM, ptr)", offset_of!(Item, text));
    add("sizeof(OSSL_PARAM)", size_of::<Param>());
    add("offsetof(OSSL_PARAM, key)", offset_of!(Param, key));
    add("offsetof(OSSL_PARAM, data_type)", offset_of!(Param, data_type));
    add("offsetof(OSSL_PARAM, data)", offset_of!(Param, data));
    add("offsetof(OSSL_PARAM, data_size)", offset_of!(Param, data_size));
    add("offsetof(OSSL_PARAM, return_size)", offset_of!(Param, return_size));
    add("OSSL_PARAM_INTEGER", Param::INTEGER as usize);
    add("OSSL_PARAM_UNSIGNED_INTEGER", Param::UNSIGNED_INTEGER as usize);
    add("OSSL_PARAM_UTF8_STRING", Param::UTF8_STRING as usize);
    add("OSSL_PARAM_OCTET_STRING", Param::OCTET_STRING as usize);
    add("OSSL_PARAM_OCTET_PTR", Param::OCTET_PTR as usize);
    add("OSSL_PARAM_UTF8_PTR", Param::UTF8_PTR as usize);
    let mut number = |expression: String, value: i32| {
        expected.insert(expression, i64::from(value));
    };
    number("OSSL_OP_DIGEST".into(), operation::DIGEST);
    number("OSSL_OP_CIPHER".into(), operation::CIPHER);
    number("OSSL_OP_KEYMGMT".into(), operation::KEYMGMT);
    number("OSSL_OP_KEYEXCH".into(), operation::KEYEXCH);
    number("OSSL_OP_SIGNATURE".into(), operation::SIGNATURE);
    number("OSSL_OP_ASYM_CIPHER".into(), operation::ASYM_CIPHER);
    number("OSSL_KEYMGMT_SELECT_PRIVATE_KEY".into(), selection::PRIVATE_KEY);
    number("OSSL_KEYMGMT_SELECT_PUBLIC_KEY".into(), selection::PUBLIC_KEY);
    number("OSSL_KEYMGMT_SELECT_KEYPAIR".into(), selection::KEYPAIR);
    number("OSSL_KEYMGMT_SELECT_DOMAIN_PARAMETERS".into(), selection::DOMAIN_PARAMETERS);
    number("OSSL_KEYMGMT_SELECT_OTHER_PARAMETERS".into(), selection::OTHER_PARAMETERS);
    for table in [
        core::NUMBERS,
        provider::NUMBERS,
        digest::NUMBERS,
        cipher::NUMBERS,
        keymgmt::NUMBERS,
        keyexch::NUMBERS,
        signature::NUMBERS,
        asym_cipher::NUMBERS,
    ] {
        for (name, value) in table {
            number(format!("OSSL_FUNC_{name}"), *value);
        }
    }
    expected
}

#[test]
fn headers_agree() {
    let expected = expected();
    assert!(expected.len() > 90, "{}", expected.len());
    let mut source = String::from(
        "#include <openssl/core.h>\n#include <openssl/core_dispatch.h>\n#include <openssl/params.h>\n\
         #include <stddef.h>\n#include <stdio.h>\nint main(void)\n{\n",
    );
    for expression in expected.keys() {
        let print = format!("    printf(\"%s=%lld\\n\", \"{expression}\", (long long)({expression}));\n");
        if LATER.contains(&expression.as_str()) {
            write!(source, "#ifdef {expression}\n{print}#endif\n").unwrap();
        } else {
            source.push_str(&print);
        }
    }
    source.push_str("    return 0;\n}\n");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("headers");
    let file = program.with_extension("c");
    fs::write(&file, source).unwrap();
    let compiled = Command::new("cc").args(["-Wall", "-Werror", "-o"]).arg(&program).arg(&file).status();
    assert!(compiled.unwrap().success());
    let output = Command::new(&program).output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    let mut found: BTreeMap<String, i64> = said
        .lines()
        .map(|line| line.rsplit_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect();
    for name in LATER.iter().filter(|name| !said.contains(*name)) {
        println!("not compared, these headers lack it: {name}");
        found.insert((*name).to_owned(), expected[*name]);
    }
    assert_eq!(found, expected);
}
