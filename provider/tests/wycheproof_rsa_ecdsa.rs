//! Wycheproof's vectors for RSA decryption and for RSA and ECDSA signatures: each result as demanded, and as the default
//! provider's, without a device and with one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fmt::Write as _;

use common::{Devices, Scratch, said, succeed};
use wycheproof::{
    HashFunction, TestResult, ecdsa, rsa_oaep, rsa_pkcs1_decrypt, rsa_pkcs1_verify, rsa_pss_verify,
};

/// OpenSSL's name. `None`: an extendable-output function, which neither scheme takes in every OpenSSL 3.
fn digest(hash: HashFunction) -> Option<&'static str> {
    Some(match hash {
        HashFunction::Sha1 => "SHA1",
        HashFunction::Sha2_224 => "SHA224",
        HashFunction::Sha2_256 => "SHA256",
        HashFunction::Sha2_384 => "SHA384",
        HashFunction::Sha2_512 => "SHA512",
        HashFunction::Sha2_512_224 => "SHA512-224",
        HashFunction::Sha2_512_256 => "SHA512-256",
        HashFunction::Sha3_224 => "SHA3-224",
        HashFunction::Sha3_256 => "SHA3-256",
        HashFunction::Sha3_384 => "SHA3-384",
        HashFunction::Sha3_512 => "SHA3-512",
        HashFunction::Shake128 | HashFunction::Shake256 => return None,
    })
}

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-".into();
    }
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn expected(result: TestResult) -> &'static str {
    match result {
        TestResult::Valid => "valid",
        TestResult::Invalid => "invalid",
        TestResult::Acceptable => "acceptable",
    }
}

/// The lines of `tests/c/vectors.c`.
#[derive(Default)]
struct Vectors {
    lines: String,
    decryptions: usize,
    verifications: usize,
}

impl Vectors {
    fn key(&mut self, kind: &str, der: &[u8]) {
        writeln!(self.lines, "key {kind} {}", hex(der)).unwrap();
    }

    fn decryptions(&mut self) {
        for name in rsa_pkcs1_decrypt::TestName::all() {
            for group in rsa_pkcs1_decrypt::TestSet::load(name).unwrap().test_groups {
                self.key("private", &group.pkcs8);
                for test in group.tests {
                    let (result, ct, pt) = (expected(test.result), hex(&test.ct), hex(&test.pt));
                    writeln!(self.lines, "decrypt {result} 1 - - - {ct} {pt}").unwrap();
                    self.decryptions += 1;
                }
            }
        }
        for name in rsa_oaep::TestName::all() {
            for group in rsa_oaep::TestSet::load(name).unwrap().test_groups {
                let (hash, mask) = (digest(group.hash).unwrap(), digest(group.mgf_hash).unwrap());
                self.key("private", &group.pkcs8);
                for test in group.tests {
                    let (result, label) = (expected(test.result), hex(&test.label));
                    let (ct, pt) = (hex(&test.ct), hex(&test.pt));
                    writeln!(self.lines, "decrypt {result} 4 {hash} {mask} {label} {ct} {pt}").unwrap();
                    self.decryptions += 1;
                }
            }
        }
    }

    fn verification(&mut self, result: TestResult, how: &str, message: &[u8], signature: &[u8]) {
        let result = expected(result);
        writeln!(self.lines, "verify {result} {how} {} {}", hex(message), hex(signature)).unwrap();
        self.verifications += 1;
    }

    fn verifications(&mut self) {
        for name in rsa_pkcs1_verify::TestName::all() {
            for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
                let Some(hash) = digest(group.hash) else { continue };
                self.key("public", &group.der);
                for test in group.tests {
                    self.verification(test.result, &format!("1 {hash} - -"), &test.msg, &test.sig);
                }
            }
        }
        for name in rsa_pss_verify::TestName::all() {
            for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
                let (Some(hash), Some(mask)) = (digest(group.hash), group.mgf_hash.and_then(digest)) else {
                    continue;
                };
                self.key("public", &group.der);
                let how = format!("6 {hash} {mask} {}", group.salt_size);
                for test in group.tests {
                    self.verification(test.result, &how, &test.msg, &test.sig);
                }
            }
        }
        for name in ecdsa::TestName::all() {
            for group in ecdsa::TestSet::load(name).unwrap().test_groups {
                // Signatures as two bare numbers, and Bitcoin's rules, are not OpenSSL's.
                let is_der = group.test_type == ecdsa::TestGroupTypeId::Ecdsa;
                let Some(hash) = digest(group.hash).filter(|_| is_der) else { continue };
                self.key("public", &group.der);
                for test in group.tests {
                    self.verification(test.result, &format!("0 {hash} - -"), &test.msg, &test.sig);
                }
            }
        }
    }
}

fn run(name: &str, vectors: &Vectors, devices: Devices) -> Scratch {
    let scratch = Scratch::new(name);
    let program = scratch.compile("vectors");
    std::fs::write(scratch.file("vectors.txt"), &vectors.lines).unwrap();
    let output = succeed(scratch.command(program, devices).arg("vectors.txt"));
    let told = format!("decrypted {} verified {}", vectors.decryptions, vectors.verifications);
    assert!(said(&output).lines().any(|line| line == told), "{} instead of {told}", said(&output));
    scratch
}

#[test]
fn decryptions_without_a_device() {
    let mut vectors = Vectors::default();
    vectors.decryptions();
    assert!(vectors.decryptions > 700, "{}", vectors.decryptions);
    run("wycheproof-decrypt-none", &vectors, Devices::None);
}

#[test]
fn decryptions_from_hardware() {
    let mut vectors = Vectors::default();
    vectors.decryptions();
    let scratch = run("wycheproof-decrypt-simulated", &vectors, Devices::Simulated);
    let rows = scratch.take_counters();
    let hardware: u64 = rows.values().map(|row| row.hardware).sum();
    // The rest: moduli of other sizes, and ciphertexts that no device is given.
    assert!(hardware > 1000, "{rows:?}");
    assert!(rows.values().all(|row| row.software.keys().all(|reason| reason == "unsupported")), "{rows:?}");
}

#[test]
fn verifications() {
    let mut vectors = Vectors::default();
    vectors.verifications();
    assert!(vectors.verifications > 10_000, "{}", vectors.verifications);
    run("wycheproof-verify", &vectors, Devices::Simulated);
}
