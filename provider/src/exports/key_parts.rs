//! The numbers that a key of each type consists of, by selection, as OpenSSL 3.0 lists them.
//!
//! The functions that ask for these lists are told neither key nor instance, so there is nobody to forward to.

use std::ffi::c_int;

use crate::ffi::bindings::{Param, selection};
use crate::ffi::fallback::KeyType;
use crate::ffi::params::{Described, describe, describe_int};

/// What import takes and export gives of the selected parts; null for nothing.
pub(crate) fn of(key_type: KeyType, selected: c_int) -> *const Param {
    let has = |part: c_int| selected & part != 0;
    match key_type {
        KeyType::Rsa | KeyType::RsaPss if has(selection::KEYPAIR) => RSA.raw(),
        KeyType::X25519 | KeyType::X448 if has(selection::KEYPAIR) => X.raw(),
        KeyType::Dh => {
            let parameters = has(selection::DOMAIN_PARAMETERS | selection::OTHER_PARAMETERS);
            chosen(&DH, [has(selection::KEYPAIR), parameters, false, false])
        }
        KeyType::Ec | KeyType::Sm2 => chosen(
            &EC,
            [
                has(selection::PRIVATE_KEY),
                has(selection::PUBLIC_KEY),
                has(selection::DOMAIN_PARAMETERS),
                has(selection::OTHER_PARAMETERS),
            ],
        ),
        _ => std::ptr::null(),
    }
}

/// The list for one choice of parts: bit n of its place is part n.
fn chosen<const N: usize>(lists: &'static [Described<N>], parts: [bool; 4]) -> *const Param {
    let place = parts.iter().rev().fold(0, |place, part| place << 1 | usize::from(*part));
    lists.get(place).filter(|_| place != 0).map_or(std::ptr::null(), Described::raw)
}

/// The listed parts whose bit is set in `place`, one after the other.
const fn join<const N: usize>(parts: &[&[Param]], place: usize) -> Described<N> {
    let mut list = [Param::END; N];
    let (mut part, mut at) = (0, 0);
    while part < parts.len() {
        let mut index = 0;
        while place & (1 << part) != 0 && index < parts[part].len() {
            list[at] = parts[part][index];
            at += 1;
            index += 1;
        }
        part += 1;
    }
    Described::new(list)
}

/// `EVP_PKEY-RSA(7)`: up to ten primes.
static RSA: Described<33> = Described::new([
    describe(c"n", Param::UNSIGNED_INTEGER),
    describe(c"e", Param::UNSIGNED_INTEGER),
    describe(c"d", Param::UNSIGNED_INTEGER),
    describe(c"rsa-factor1", Param::UNSIGNED_INTEGER),
    describe(c"rsa-factor2", Param::UNSIGNED_INTEGER),
    describe(c"rsa-factor3", Param::UNSIGNED_INTEGER),
    describe(c"rsa-factor4", Param::UNSIGNED_INTEGER),
    describe(c"rsa-factor5", Param::UNSIGNED_INTEGER),
    describe(c"rsa-factor6", Param::UNSIGNED_INTEGER),
    describe(c"rsa-factor7", Param::UNSIGNED_INTEGER),
    describe(c"rsa-factor8", Param::UNSIGNED_INTEGER),
    describe(c"rsa-factor9", Param::UNSIGNED_INTEGER),
    describe(c"rsa-factor10", Param::UNSIGNED_INTEGER),
    describe(c"rsa-exponent1", Param::UNSIGNED_INTEGER),
    describe(c"rsa-exponent2", Param::UNSIGNED_INTEGER),
    describe(c"rsa-exponent3", Param::UNSIGNED_INTEGER),
    describe(c"rsa-exponent4", Param::UNSIGNED_INTEGER),
    describe(c"rsa-exponent5", Param::UNSIGNED_INTEGER),
    describe(c"rsa-exponent6", Param::UNSIGNED_INTEGER),
    describe(c"rsa-exponent7", Param::UNSIGNED_INTEGER),
    describe(c"rsa-exponent8", Param::UNSIGNED_INTEGER),
    describe(c"rsa-exponent9", Param::UNSIGNED_INTEGER),
    describe(c"rsa-exponent10", Param::UNSIGNED_INTEGER),
    describe(c"rsa-coefficient1", Param::UNSIGNED_INTEGER),
    describe(c"rsa-coefficient2", Param::UNSIGNED_INTEGER),
    describe(c"rsa-coefficient3", Param::UNSIGNED_INTEGER),
    describe(c"rsa-coefficient4", Param::UNSIGNED_INTEGER),
    describe(c"rsa-coefficient5", Param::UNSIGNED_INTEGER),
    describe(c"rsa-coefficient6", Param::UNSIGNED_INTEGER),
    describe(c"rsa-coefficient7", Param::UNSIGNED_INTEGER),
    describe(c"rsa-coefficient8", Param::UNSIGNED_INTEGER),
    describe(c"rsa-coefficient9", Param::UNSIGNED_INTEGER),
    Param::END,
]);

/// `EVP_PKEY-X25519(7)`.
static X: Described<3> = Described::new([
    describe(c"pub", Param::OCTET_STRING),
    describe(c"priv", Param::OCTET_STRING),
    Param::END,
]);

/// `EVP_PKEY-FFC(7)`: parameters.
const FFC: &[Param] = &[
    describe(c"p", Param::UNSIGNED_INTEGER),
    describe(c"q", Param::UNSIGNED_INTEGER),
    describe(c"g", Param::UNSIGNED_INTEGER),
    describe(c"j", Param::UNSIGNED_INTEGER),
    describe_int(c"gindex"),
    describe_int(c"pcounter"),
    describe_int(c"hindex"),
    describe_int(c"priv_len"),
    describe(c"seed", Param::OCTET_STRING),
    describe(c"group", Param::UTF8_STRING),
];
const DH_NUMBERS: &[Param] =
    &[describe(c"pub", Param::UNSIGNED_INTEGER), describe(c"priv", Param::UNSIGNED_INTEGER)];

/// Keys alone, parameters alone, parameters before keys.
static DH: [Described<13>; 4] =
    [join(&[], 0), join(&[DH_NUMBERS], 1), join(&[FFC], 1), join(&[FFC, DH_NUMBERS], 3)];

/// `EVP_PKEY-EC(7)`: private, public, parameters, others.
const EC_PARTS: &[&[Param]] = &[
    &[describe(c"priv", Param::UNSIGNED_INTEGER)],
    &[describe(c"pub", Param::OCTET_STRING)],
    &[
        describe(c"group", Param::UTF8_STRING),
        describe(c"encoding", Param::UTF8_STRING),
        describe(c"point-format", Param::UTF8_STRING),
        describe(c"field-type", Param::UTF8_STRING),
        describe(c"p", Param::UNSIGNED_INTEGER),
        describe(c"a", Param::UNSIGNED_INTEGER),
        describe(c"b", Param::UNSIGNED_INTEGER),
        describe(c"generator", Param::OCTET_STRING),
        describe(c"order", Param::UNSIGNED_INTEGER),
        describe(c"cofactor", Param::UNSIGNED_INTEGER),
        describe(c"seed", Param::OCTET_STRING),
        describe_int(c"decoded-from-explicit"),
    ],
    &[describe_int(c"use-cofactor-flag"), describe_int(c"include-public")],
];
static EC: [Described<17>; 16] = {
    let mut lists = [const { Described::new([Param::END; 17]) }; 16];
    let mut place = 0;
    while place < lists.len() {
        lists[place] = join(EC_PARTS, place);
        place += 1;
    }
    lists
};
