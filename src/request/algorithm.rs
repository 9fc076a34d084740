//! The rows of the counters and of the policy.

use super::pkey::CurveName;

/// A row of the counters and of the policy: one kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// RSA private operation by modulus size: 1024, 2048, 3072, 4096 bits; 0 stands for every other size.
    RsaPrivate(u16),
    /// Diffie-Hellman, key generation and agreement, by modulus size: 768, 1024, 1536, 2048, 3072, 4096 bits; 0 stands for
    /// every other size.
    Dh(u16),
    /// Multiplication of a curve's point by a private scalar: ECDH, and the public point at key generation.
    Ecdh(CurveName),
    /// ECDSA signature.
    EcdsaSign(CurveName),
    /// ECDSA verification.
    EcdsaVerify(CurveName),
    /// X25519, key generation and agreement.
    X25519,
    /// X448, key generation and agreement.
    X448,
    /// SM2 signature.
    Sm2Sign,
    /// SM2 verification.
    Sm2Verify,
    /// SM2 encryption.
    Sm2Encrypt,
    /// SM2 decryption.
    Sm2Decrypt,
    /// AES-256 in CBC mode, both directions.
    Aes256Cbc,
    /// Compression, all wrappers.
    Deflate,
    /// Decompression, all wrappers.
    Inflate,
}

const RSA_BITS: [u16; 5] = [1024, 2048, 3072, 4096, 0];
const DH_BITS: [u16; 7] = [768, 1024, 1536, 2048, 3072, 4096, 0];
const CURVES: usize = CurveName::ALL.len();

/// Where each family starts in [`Algorithm::ALL`].
const DH: usize = RSA_BITS.len();
const ECDH: usize = DH + DH_BITS.len();
const ECDSA_SIGN: usize = ECDH + CURVES;
const ECDSA_VERIFY: usize = ECDSA_SIGN + CURVES;
const SINGLE: usize = ECDSA_VERIFY + CURVES;

/// Rows without a size or a curve, with their names.
const SINGLES: [(Algorithm, &str); 9] = [
    (Algorithm::X25519, "x25519"),
    (Algorithm::X448, "x448"),
    (Algorithm::Sm2Sign, "sm2-sign"),
    (Algorithm::Sm2Verify, "sm2-verify"),
    (Algorithm::Sm2Encrypt, "sm2-encrypt"),
    (Algorithm::Sm2Decrypt, "sm2-decrypt"),
    (Algorithm::Aes256Cbc, "aes-256-cbc"),
    (Algorithm::Deflate, "deflate"),
    (Algorithm::Inflate, "inflate"),
];

impl Algorithm {
    /// Every row, in the order of the counters.
    pub const ALL: [Self; SINGLE + SINGLES.len()] = {
        let mut all = [Self::Inflate; SINGLE + SINGLES.len()];
        let mut at = 0;
        while at < all.len() {
            all[at] = if at < DH {
                Self::RsaPrivate(RSA_BITS[at])
            } else if at < ECDH {
                Self::Dh(DH_BITS[at - DH])
            } else if at < ECDSA_SIGN {
                Self::Ecdh(CurveName::ALL[at - ECDH])
            } else if at < ECDSA_VERIFY {
                Self::EcdsaSign(CurveName::ALL[at - ECDSA_SIGN])
            } else if at < SINGLE {
                Self::EcdsaVerify(CurveName::ALL[at - ECDSA_VERIFY])
            } else {
                SINGLES[at - SINGLE].0
            };
            at += 1;
        }
        all
    };

    /// Position in [`Algorithm::ALL`].
    pub(crate) fn index(self) -> usize {
        let size =
            |sizes: &[u16], bits: u16| sizes.iter().position(|size| *size == bits).unwrap_or(sizes.len() - 1);
        match self {
            Self::RsaPrivate(bits) => size(&RSA_BITS, bits),
            Self::Dh(bits) => DH + size(&DH_BITS, bits),
            Self::Ecdh(curve) => ECDH + curve.index(),
            Self::EcdsaSign(curve) => ECDSA_SIGN + curve.index(),
            Self::EcdsaVerify(curve) => ECDSA_VERIFY + curve.index(),
            Self::X25519 => SINGLE,
            Self::X448 => SINGLE + 1,
            Self::Sm2Sign => SINGLE + 2,
            Self::Sm2Verify => SINGLE + 3,
            Self::Sm2Encrypt => SINGLE + 4,
            Self::Sm2Decrypt => SINGLE + 5,
            Self::Aes256Cbc => SINGLE + 6,
            Self::Deflate => SINGLE + 7,
            Self::Inflate => SINGLE + 8,
        }
    }

    /// The name in every report and in the configuration, e.g. `rsa-2048-private`, `ecdsa-p-256-sign`, `deflate`.
    pub fn name(self) -> &'static str {
        NAMES.get(self.index()).copied().unwrap_or_default()
    }
}

/// In the order of [`Algorithm::ALL`].
#[rustfmt::skip]
const NAMES: [&str; Algorithm::ALL.len()] = [
    "rsa-1024-private", "rsa-2048-private", "rsa-3072-private", "rsa-4096-private", "rsa-other-private",
    "dh-768", "dh-1024", "dh-1536", "dh-2048", "dh-3072", "dh-4096", "dh-other",
    "ecdh-p-192", "ecdh-p-224", "ecdh-p-256", "ecdh-p-384",
    "ecdh-p-521", "ecdh-secp256k1", "ecdh-brainpool-256", "ecdh-brainpool-320",
    "ecdh-brainpool-384", "ecdh-brainpool-512", "ecdh-sm2", "ecdh-other",
    "ecdsa-p-192-sign", "ecdsa-p-224-sign", "ecdsa-p-256-sign", "ecdsa-p-384-sign",
    "ecdsa-p-521-sign", "ecdsa-secp256k1-sign", "ecdsa-brainpool-256-sign", "ecdsa-brainpool-320-sign",
    "ecdsa-brainpool-384-sign", "ecdsa-brainpool-512-sign", "ecdsa-sm2-sign", "ecdsa-other-sign",
    "ecdsa-p-192-verify", "ecdsa-p-224-verify", "ecdsa-p-256-verify", "ecdsa-p-384-verify",
    "ecdsa-p-521-verify", "ecdsa-secp256k1-verify", "ecdsa-brainpool-256-verify", "ecdsa-brainpool-320-verify",
    "ecdsa-brainpool-384-verify", "ecdsa-brainpool-512-verify", "ecdsa-sm2-verify", "ecdsa-other-verify",
    SINGLES[0].1, SINGLES[1].1, SINGLES[2].1, SINGLES[3].1, SINGLES[4].1, SINGLES[5].1, SINGLES[6].1, SINGLES[7].1,
    SINGLES[8].1,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn index_is_the_position_in_all() {
        for (position, algorithm) in Algorithm::ALL.into_iter().enumerate() {
            assert_eq!(algorithm.index(), position, "{algorithm:?}");
        }
        for (single, _) in SINGLES {
            assert_eq!(Algorithm::ALL.get(single.index()), Some(&single));
        }
    }

    #[test]
    fn names_say_what_they_name() {
        let names: BTreeSet<_> = Algorithm::ALL.map(Algorithm::name).into();
        assert_eq!(names.len(), Algorithm::ALL.len());
        #[rustfmt::skip]
        let rows = [
            (Algorithm::RsaPrivate(2048), "rsa-2048-private"), (Algorithm::Dh(4096), "dh-4096"), (Algorithm::Dh(0), "dh-other"),
            (Algorithm::Ecdh(CurveName::P256), "ecdh-p-256"), (Algorithm::Ecdh(CurveName::Other), "ecdh-other"),
            (Algorithm::EcdsaSign(CurveName::P192), "ecdsa-p-192-sign"),
            (Algorithm::EcdsaSign(CurveName::BrainpoolP512), "ecdsa-brainpool-512-sign"),
            (Algorithm::EcdsaVerify(CurveName::Secp256k1), "ecdsa-secp256k1-verify"),
            (Algorithm::EcdsaVerify(CurveName::Other), "ecdsa-other-verify"),
            (Algorithm::X448, "x448"), (Algorithm::Sm2Decrypt, "sm2-decrypt"), (Algorithm::Inflate, "inflate"),
            (Algorithm::Aes256Cbc, "aes-256-cbc"),
        ];
        for (algorithm, name) in rows {
            assert_eq!(algorithm.name(), name);
        }
    }

    #[test]
    fn every_other_size_is_one_row() {
        assert_eq!(Algorithm::RsaPrivate(1536).index(), Algorithm::RsaPrivate(0).index());
        assert_eq!(Algorithm::RsaPrivate(1536).name(), "rsa-other-private");
        assert_eq!(Algorithm::Dh(8192).name(), "dh-other");
    }
}
