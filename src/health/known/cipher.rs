//! The known answer of AES-256-CBC: SP 800-38A, appendix F.2.5.

use super::pkey::hex;
use crate::Error;
use crate::request::cipher::AesCbcKey;

/// The example key.
/// # Errors
/// Never for these bytes.
pub(crate) fn key() -> Result<AesCbcKey, Error> {
    AesCbcKey::new(&hex(KEY))
}

/// Initialisation vector and plain text.
pub(crate) fn question() -> (Vec<u8>, Vec<u8>) {
    (hex(IV), hex(PLAIN))
}

/// True when `answer` is the cipher text.
pub(crate) fn right(answer: &[u8]) -> bool {
    answer == hex(ENCRYPTED)
}

const KEY: &str = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
const IV: &str = "000102030405060708090a0b0c0d0e0f";
const PLAIN: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
     30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";
pub(crate) const ENCRYPTED: &str = "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d\
     39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b";
