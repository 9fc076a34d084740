//! What our section of `openssl.cnf` says. Keys and defaults are explained in `conf/openssl.cnf`.

use std::ffi::{CStr, CString};

use crate::error::Reason;
use crate::ffi::fallback::KeyType;
use crate::ffi::upcalls::Core;

/// An operation that can be switched off by itself; keys of a type can too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    RsaSignature,
    RsaEncryption,
    Dh,
    Ecdh,
    Ecdsa,
    Sm2Signature,
    Sm2Encryption,
    X25519,
    X448,
}

impl Operation {
    const ALL: [Self; 9] = [
        Self::RsaSignature,
        Self::RsaEncryption,
        Self::Dh,
        Self::Ecdh,
        Self::Ecdsa,
        Self::Sm2Signature,
        Self::Sm2Encryption,
        Self::X25519,
        Self::X448,
    ];

    /// Its word in `off`.
    fn name(self) -> &'static str {
        match self {
            Self::RsaSignature => "rsa-signature",
            Self::RsaEncryption => "rsa-encryption",
            Self::Dh => "dh",
            Self::Ecdh => "ecdh",
            Self::Ecdsa => "ecdsa",
            Self::Sm2Signature => "sm2-signature",
            Self::Sm2Encryption => "sm2-encryption",
            Self::X25519 => "x25519",
            Self::X448 => "x448",
        }
    }

    /// The key type without which the operation makes no sense.
    fn key_type(self) -> KeyType {
        match self {
            Self::RsaSignature | Self::RsaEncryption => KeyType::Rsa,
            Self::Dh => KeyType::Dh,
            Self::Ecdh | Self::Ecdsa => KeyType::Ec,
            Self::Sm2Signature | Self::Sm2Encryption => KeyType::Sm2,
            Self::X25519 => KeyType::X25519,
            Self::X448 => KeyType::X448,
        }
    }
}

/// The section, read once when the provider is loaded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// `fallback`: name of the provider that does the software side.
    pub(crate) fallback: CString,
    /// `off`: key types and operations that are not offered.
    off: Off,
    /// `rsa-private`: private operations may go to hardware.
    pub(crate) rsa_private: bool,
    /// `ciphers`: symmetric ciphers are offered.
    pub(crate) ciphers: bool,
}

impl Config {
    /// Reads the section through the core. A value that is not understood leaves its default and one error.
    pub(crate) fn read(core: &Core) -> Self {
        let switch = |key: &'static CStr, default: bool| match core.config(key) {
            None => default,
            Some(value) => parse_switch(&value).unwrap_or_else(|| {
                let detail = format!("{}: on or off expected", key.to_string_lossy());
                Reason::BadConfig.raise(core, c"OSSL_provider_init", &detail);
                default
            }),
        };
        let mut off = Off::default();
        if let Some(list) = core.config(c"off") {
            let unknown = off.add(&list);
            if !unknown.is_empty() {
                let detail = format!("off: unknown: {}", unknown.join(" "));
                Reason::BadConfig.raise(core, c"OSSL_provider_init", &detail);
            }
        }
        if !switch(c"rsa", true) {
            off.key_types.extend([KeyType::Rsa, KeyType::RsaPss]);
        }
        Self {
            fallback: core.config(c"fallback").unwrap_or_else(|| c"default".to_owned()),
            off,
            rsa_private: switch(c"rsa-private", true),
            ciphers: switch(c"ciphers", false),
        }
    }
}

impl Config {
    /// Whether keys of this type are offered.
    pub(crate) fn offers_keys(&self, key_type: KeyType) -> bool {
        !self.off.key_types.contains(&key_type)
    }

    /// Whether this operation is offered. Without keys there is none.
    pub(crate) fn offers(&self, operation: Operation) -> bool {
        self.offers_keys(operation.key_type()) && !self.off.operations.contains(&operation)
    }
}

/// What is switched off.
#[derive(Debug, Default, PartialEq, Eq)]
struct Off {
    key_types: Vec<KeyType>,
    operations: Vec<Operation>,
}

impl Off {
    /// Adds the words of `list`, separated by commas or blanks, in any case. Gives those that mean nothing.
    fn add(&mut self, list: &CStr) -> Vec<String> {
        let list = list.to_string_lossy();
        let words = list.split([',', ' ', '\t']).filter(|word| !word.is_empty());
        let unknown = words.filter(|word| {
            let key_types = KeyType::ALL
                .into_iter()
                .filter(|one| one.name().to_bytes().eq_ignore_ascii_case(word.as_bytes()));
            let operations = Operation::ALL.into_iter().filter(|one| one.name().eq_ignore_ascii_case(word));
            let before = self.key_types.len() + self.operations.len();
            self.key_types.extend(key_types);
            self.operations.extend(operations);
            self.key_types.len() + self.operations.len() == before
        });
        unknown.map(str::to_owned).collect()
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
    use super::*;

    #[test]
    fn what_is_switched_off() {
        let mut off = Off::default();
        assert_eq!(off.add(c"ecdsa, X25519 rsa-signature,,nonsense\tdhx"), ["nonsense", "dhx"]);
        let config = Config { fallback: c"default".to_owned(), off, rsa_private: true, ciphers: false };
        let offered = |operation| config.offers(operation);
        assert!(
            !offered(Operation::Ecdsa) && !offered(Operation::RsaSignature) && !offered(Operation::X25519)
        );
        assert!(offered(Operation::Ecdh) && offered(Operation::RsaEncryption) && offered(Operation::X448));
        assert!(config.offers_keys(KeyType::Ec) && !config.offers_keys(KeyType::X25519));
        let mut off = Off::default();
        assert!(off.add(c"EC").is_empty());
        let config = Config { off, ..config };
        assert!(!config.offers_keys(KeyType::Ec) && !config.offers(Operation::Ecdh));
        assert!(config.offers(Operation::X25519));
    }

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
