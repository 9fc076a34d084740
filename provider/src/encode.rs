//! The bytes that a private operation signs: EMSA-PKCS1-v1_5 and EMSA-PSS (RFC 8017 §9), exactly as OpenSSL makes them.

/// A digest that a signature can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the digest's own name")]
pub enum DigestKind {
    Md5,
    Md5Sha1,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha512Trunc224,
    Sha512Trunc256,
    Sha3Len224,
    Sha3Len256,
    Sha3Len384,
    Sha3Len512,
    Ripemd160,
    Sm3,
}

impl DigestKind {
    /// Every one.
    pub const ALL: &'static [Self] = &[
        Self::Md5,
        Self::Md5Sha1,
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
        Self::Sha512Trunc224,
        Self::Sha512Trunc256,
        Self::Sha3Len224,
        Self::Sha3Len256,
        Self::Sha3Len384,
        Self::Sha3Len512,
        Self::Ripemd160,
        Self::Sm3,
    ];

    /// OpenSSL's first name for it.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Length of its value in bytes.
    pub fn len_bytes(self) -> usize {
        self.row().1
    }

    /// Whether RSA signatures of every OpenSSL 3 can name it.
    pub fn is_in_rsa(self) -> bool {
        self != Self::Sm3
    }

    /// Contents of its object identifier in DER; empty for MD5-SHA1, which TLS 1.0 signs bare (RFC 4346 §4.7).
    fn object_identifier(self) -> &'static [u8] {
        self.row().2
    }

    fn row(self) -> (&'static str, usize, &'static [u8]) {
        match self {
            Self::Md5 => ("MD5", 16, b"\x2a\x86\x48\x86\xf7\x0d\x02\x05"),
            Self::Md5Sha1 => ("MD5-SHA1", 36, b""),
            Self::Sha1 => ("SHA1", 20, b"\x2b\x0e\x03\x02\x1a"),
            Self::Sha224 => ("SHA2-224", 28, b"\x60\x86\x48\x01\x65\x03\x04\x02\x04"),
            Self::Sha256 => ("SHA2-256", 32, b"\x60\x86\x48\x01\x65\x03\x04\x02\x01"),
            Self::Sha384 => ("SHA2-384", 48, b"\x60\x86\x48\x01\x65\x03\x04\x02\x02"),
            Self::Sha512 => ("SHA2-512", 64, b"\x60\x86\x48\x01\x65\x03\x04\x02\x03"),
            Self::Sha512Trunc224 => ("SHA2-512/224", 28, b"\x60\x86\x48\x01\x65\x03\x04\x02\x05"),
            Self::Sha512Trunc256 => ("SHA2-512/256", 32, b"\x60\x86\x48\x01\x65\x03\x04\x02\x06"),
            Self::Sha3Len224 => ("SHA3-224", 28, b"\x60\x86\x48\x01\x65\x03\x04\x02\x07"),
            Self::Sha3Len256 => ("SHA3-256", 32, b"\x60\x86\x48\x01\x65\x03\x04\x02\x08"),
            Self::Sha3Len384 => ("SHA3-384", 48, b"\x60\x86\x48\x01\x65\x03\x04\x02\x09"),
            Self::Sha3Len512 => ("SHA3-512", 64, b"\x60\x86\x48\x01\x65\x03\x04\x02\x0a"),
            Self::Ripemd160 => ("RIPEMD-160", 20, b"\x2b\x24\x03\x02\x01"),
            // Which versions name it in RSA signatures differs: never here.
            Self::Sm3 => ("SM3", 32, b""),
        }
    }
}

/// The longest digest value in bytes.
pub const MAX_DIGEST_LEN_BYTES: usize = 64;

/// Fills `encoded` with `00 01 FF … FF 00` and `message`, at least eight `FF` (RFC 8017 §9.2). `None`: too long.
pub fn pkcs1(encoded: &mut [u8], message: &[u8]) -> Option<()> {
    let padding_len = encoded.len().checked_sub(message.len() + 3).filter(|len| *len >= 8)?;
    let (head, rest) = encoded.split_at_mut(2);
    head.copy_from_slice(&[0, 1]);
    let (padding, rest) = rest.split_at_mut(padding_len);
    padding.fill(0xff);
    let (separator, tail) = rest.split_first_mut()?;
    *separator = 0;
    tail.copy_from_slice(message);
    Some(())
}

/// As [`pkcs1`], with `value` in a `DigestInfo` that names `digest`; parameters are NULL, as RFC 8017 asks.
/// `None`: `value` is not that digest's length, or too long.
pub fn pkcs1_digest(encoded: &mut [u8], digest: DigestKind, value: &[u8]) -> Option<()> {
    if value.len() != digest.len_bytes() || !digest.is_in_rsa() {
        return None;
    }
    let identifier = digest.object_identifier();
    if identifier.is_empty() {
        return pkcs1(encoded, value);
    }
    // SEQUENCE { SEQUENCE { OBJECT IDENTIFIER, NULL }, OCTET STRING }; every length fits one byte.
    let short = |len: usize| u8::try_from(len).ok().filter(|len| *len < 0x80);
    let mut info = [0; 10 + 16 + MAX_DIGEST_LEN_BYTES];
    let mut len = 0;
    for part in [
        &[0x30, short(identifier.len() + value.len() + 8)?, 0x30, short(identifier.len() + 4)?][..],
        &[0x06, short(identifier.len())?],
        identifier,
        &[0x05, 0x00, 0x04, short(value.len())?],
        value,
    ] {
        info.get_mut(len..len + part.len())?.copy_from_slice(part);
        len += part.len();
    }
    pkcs1(encoded, info.get(..len)?)
}

/// How many salt bytes OpenSSL uses when it signs: `asked` is a length, or -1 as the digest, -2 and -3 as many as fit,
/// -4 as the digest or as many as fit. `None`: it would refuse.
pub fn pss_salt_len_bytes(asked: i32, digest: DigestKind, modulus_len_bytes: usize) -> Option<usize> {
    let room = modulus_len_bytes.checked_sub(digest.len_bytes() + 2)?;
    let len = match asked {
        -1 => digest.len_bytes(),
        -2 | -3 => room,
        -4 => room.min(digest.len_bytes()),
        other => usize::try_from(other).ok()?,
    };
    (len <= room).then_some(len)
}

/// Fills `encoded` with the EMSA-PSS encoding of `value` (RFC 8017 §9.1.1) for a modulus of exactly
/// `8 * encoded.len()` bits. `hash` writes the digest of its concatenated inputs to its last argument; the mask uses the
/// same one. `None`: too long, or `hash` failed.
pub fn pss(
    encoded: &mut [u8],
    digest: DigestKind,
    value: &[u8],
    salt: &[u8],
    mut hash: impl FnMut(&[&[u8]], &mut [u8]) -> bool,
) -> Option<()> {
    let hash_len = digest.len_bytes();
    if value.len() != hash_len {
        return None;
    }
    let block_len = encoded.len().checked_sub(hash_len + 1)?;
    let zeros_len = block_len.checked_sub(salt.len() + 1)?;
    let (block, rest) = encoded.split_at_mut(block_len);
    let (hash_value, trailer) = rest.split_at_mut(hash_len);
    if !hash(&[&[0; 8], value, salt], hash_value) {
        return None;
    }
    trailer.copy_from_slice(&[0xbc]);

    let (zeros, one_and_salt) = block.split_at_mut(zeros_len);
    zeros.fill(0);
    let (one, salt_place) = one_and_salt.split_first_mut()?;
    *one = 1;
    salt_place.copy_from_slice(salt);
    let mut mask = [0; MAX_DIGEST_LEN_BYTES];
    mgf1(hash_value, block, mask.get_mut(..hash_len)?, &mut hash)?;
    // The encoding is one bit shorter than the modulus.
    *block.first_mut()? &= 0x7f;
    Some(())
}

/// Lays MGF1 of `seed` (RFC 8017 §B.2.1) over `target`, piece by piece. `mask` is room for one value of the digest that `hash`
/// writes. `None`: `hash` failed.
pub fn mgf1(
    seed: &[u8],
    target: &mut [u8],
    mask: &mut [u8],
    hash: &mut impl FnMut(&[&[u8]], &mut [u8]) -> bool,
) -> Option<()> {
    for (counter, piece) in (0_u32..).zip(target.chunks_mut(mask.len().max(1))) {
        if !hash(&[seed, &counter.to_be_bytes()], mask) {
            return None;
        }
        piece.iter_mut().zip(mask.iter()).for_each(|(byte, mask)| *byte ^= mask);
    }
    Some(())
}

/// Bytes of the longest [`ecdsa`] signature whose numbers take at most `number_len_bytes` in DER.
pub fn ecdsa_max_len_bytes(number_len_bytes: usize) -> usize {
    let contents = 2 * (2 + number_len_bytes);
    contents + if contents < 0x80 { 2 } else { 3 }
}

/// A signature of r and s, big-endian, as DER (RFC 3279 §2.2.3). `None`: longer than any curve's.
pub fn ecdsa(r: &[u8], s: &[u8]) -> Option<Vec<u8>> {
    let mut contents = Vec::with_capacity(r.len() + s.len() + 6);
    for number in [r, s] {
        let zeros = number.iter().take_while(|byte| **byte == 0).count().min(number.len().saturating_sub(1));
        let number = number.get(zeros..)?;
        // Highest bit set: a zero in front keeps it positive.
        let sign: &[u8] = if number.first()? & 0x80 == 0 { &[] } else { &[0] };
        let len = u8::try_from(sign.len() + number.len()).ok().filter(|len| *len < 0x80)?;
        contents.extend([0x02, len]);
        contents.extend(sign);
        contents.extend(number);
    }
    let len = u8::try_from(contents.len()).ok()?;
    let mut encoded = if len < 0x80 { vec![0x30, len] } else { vec![0x30, 0x81, len] };
    encoded.append(&mut contents);
    Some(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn miri_der_of_signatures() {
        assert_eq!(ecdsa(&[0, 0, 1], &[0x80]).unwrap(), [0x30, 7, 2, 1, 1, 2, 2, 0, 0x80]);
        assert_eq!(ecdsa(&[0, 0], &[0x7f, 0]).unwrap(), [0x30, 7, 2, 1, 0, 2, 2, 0x7f, 0]);
        let longest = ecdsa(&[0xff; 48], &[0xff; 48]).unwrap();
        assert_eq!(longest.len(), ecdsa_max_len_bytes(49));
        let p521 = ecdsa(&[0x01; 66], &[0x01; 66]).unwrap();
        assert_eq!(p521[..3], [0x30, 0x81, 136]);
        assert_eq!(p521.len(), ecdsa_max_len_bytes(66));
        assert!(ecdsa(&[1; 128], &[1]).is_none());
        assert!(ecdsa(&[], &[1]).is_none());
    }

    #[test]
    fn miri_pkcs1_needs_eight_padding_bytes() {
        let mut encoded = [0x55; 16];
        assert_eq!(pkcs1(&mut encoded, &[7; 5]), Some(()));
        assert_eq!(encoded, [0, 1, 255, 255, 255, 255, 255, 255, 255, 255, 0, 7, 7, 7, 7, 7]);
        assert_eq!(pkcs1(&mut encoded, &[7; 6]), None);
        assert_eq!(pkcs1(&mut [], &[]), None);
        assert_eq!(pkcs1(&mut encoded, &[7; 60]), None);
    }

    #[test]
    fn miri_digest_info_of_sha256() {
        let mut encoded = [0; 128];
        assert_eq!(pkcs1_digest(&mut encoded, DigestKind::Sha256, &[0xaa; 32]), Some(()));
        // RFC 8017 §9.2 note 1.
        let prefix = [
            0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
            0x00, 0x04, 0x20,
        ];
        assert_eq!(encoded[128 - 32 - 19..128 - 32], prefix);
        assert_eq!(encoded[128 - 32 - 20], 0);
        assert_eq!(pkcs1_digest(&mut encoded, DigestKind::Sha256, &[0xaa; 31]), None);
    }

    #[test]
    fn miri_every_digest_fits_the_smallest_modulus() {
        for digest in DigestKind::ALL.iter().filter(|digest| digest.is_in_rsa()) {
            let mut encoded = [0; 128];
            let value = [1; MAX_DIGEST_LEN_BYTES];
            assert_eq!(
                pkcs1_digest(&mut encoded, *digest, &value[..digest.len_bytes()]),
                Some(()),
                "{digest:?}"
            );
        }
    }

    #[test]
    fn miri_salt_lengths() {
        let sha512 = DigestKind::Sha512;
        assert_eq!(pss_salt_len_bytes(-1, sha512, 128), None, "64 bytes do not fit beside the digest");
        assert_eq!(pss_salt_len_bytes(-4, sha512, 128), Some(62));
        assert_eq!(pss_salt_len_bytes(-2, sha512, 256), Some(190));
        assert_eq!(pss_salt_len_bytes(-3, sha512, 256), Some(190));
        assert_eq!(pss_salt_len_bytes(-4, sha512, 256), Some(64));
        assert_eq!(pss_salt_len_bytes(0, sha512, 256), Some(0));
        assert_eq!(pss_salt_len_bytes(190, sha512, 256), Some(190));
        assert_eq!(pss_salt_len_bytes(191, sha512, 256), None);
        assert_eq!(pss_salt_len_bytes(-5, sha512, 256), None);
        assert_eq!(pss_salt_len_bytes(0, sha512, 65), None);
    }

    #[test]
    fn miri_pss_layout_under_a_zero_mask() {
        let mut encoded = [0x55; 64];
        let hash = |_: &[&[u8]], out: &mut [u8]| {
            out.fill(0);
            true
        };
        assert_eq!(pss(&mut encoded, DigestKind::Sha1, &[9; 20], &[3; 20], hash), Some(()));
        assert_eq!(encoded[..22], [0; 22]);
        assert_eq!(encoded[22], 1);
        assert_eq!(encoded[23..43], [3; 20]);
        assert_eq!(encoded[43..63], [0; 20]);
        assert_eq!(encoded[63], 0xbc);
        assert_eq!(pss(&mut encoded, DigestKind::Sha1, &[9; 20], &[3; 43], hash), None);
        assert_eq!(pss(&mut encoded, DigestKind::Sha1, &[9; 19], &[3; 20], hash), None);
        assert_eq!(pss(&mut encoded, DigestKind::Sha1, &[9; 20], &[], |_, _| false), None);
    }
}
