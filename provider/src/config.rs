//! What our section of `openssl.cnf` says. Keys and defaults are explained in `conf/openssl.cnf`.

use std::ffi::{CStr, CString};

use crate::error::Reason;
use crate::ffi::upcalls::Core;

/// The section, read once when the provider is loaded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// `fallback`: name of the provider that does the software side.
    pub(crate) fallback: CString,
    /// `rsa`: offer RSA keys and signatures.
    pub(crate) rsa: bool,
    /// `rsa-private`: private operations may go to hardware.
    pub(crate) rsa_private: bool,
}

impl Config {
    /// Reads the section through the core. A value that is not understood leaves its default and one error.
    pub(crate) fn read(core: &Core) -> Self {
        let switch = |key: &'static CStr| match core.config(key) {
            None => true,
            Some(value) => parse_switch(&value).unwrap_or_else(|| {
                let detail = format!("{}: on or off expected", key.to_string_lossy());
                Reason::BadConfig.raise(core, c"OSSL_provider_init", &detail);
                true
            }),
        };
        Self {
            fallback: core.config(c"fallback").unwrap_or_else(|| c"default".to_owned()),
            rsa: switch(c"rsa"),
            rsa_private: switch(c"rsa-private"),
        }
    }
}

fn parse_switch(value: &CStr) -> Option<bool> {
    let value = value.to_bytes();
    let is_one_of = |words: &[&str]| words.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()));
    if is_one_of(&["on", "yes", "true", "1"]) {
        Some(true)
    } else if is_one_of(&["off", "no", "false", "0"]) {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::parse_switch;

    #[test]
    fn switches() {
        for word in [c"on", c"Yes", c"TRUE", c"1"] {
            assert_eq!(parse_switch(word), Some(true));
        }
        for word in [c"off", c"no", c"False", c"0"] {
            assert_eq!(parse_switch(word), Some(false));
        }
        for word in [c"", c"maybe", c"on ", c"2"] {
            assert_eq!(parse_switch(word), None);
        }
    }
}
