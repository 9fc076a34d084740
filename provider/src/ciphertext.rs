//! What SM2 encryption makes, as DER (GM/T 0009 §7.2): `SEQUENCE { INTEGER x, INTEGER y, OCTET STRING hash, OCTET STRING text }`, where
//! x and y are the point C1, the hash is C3 and the text C2.
//!
//! OpenSSL reads more than is DER: numbers with needless or missing zeros in front, bytes behind the end, lengths in more bytes than
//! they take. [`parse`] takes strict DER alone; everything else is for the default provider to accept or refuse.

/// The parts of a ciphertext.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// C1, big-endian, without zeros in front.
    pub x: &'a [u8],
    /// C1, big-endian, without zeros in front.
    pub y: &'a [u8],
    /// C3, as long as the digest.
    pub hash: &'a [u8],
    /// C2, as long as the message.
    pub text: &'a [u8],
}

/// Bytes of a coordinate.
pub const COORDINATE_LEN_BYTES: usize = 32;

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// Bytes of an element with its tag and length; `None`: more than there can be.
fn element_len_bytes(contents_len_bytes: usize) -> Option<usize> {
    contents_len_bytes.checked_add(1 + length(contents_len_bytes)?.len())
}

/// Bytes of the longest ciphertext of a message, when the digest's value has `hash_len_bytes`.
pub fn max_len_bytes(hash_len_bytes: usize, message_len_bytes: usize) -> Option<usize> {
    // A zero in front when the highest bit is set.
    let number = element_len_bytes(COORDINATE_LEN_BYTES + 1)?;
    let strings = element_len_bytes(hash_len_bytes)?.checked_add(element_len_bytes(message_len_bytes)?)?;
    element_len_bytes(strings.checked_add(number * 2)?)
}

/// Appends the ciphertext of these parts to `encoded`; zeros in front of the numbers do not matter. `None`: no room for it, which is
/// not made.
pub fn encode(parts: &Parts<'_>, encoded: &mut Vec<u8>) -> Option<()> {
    let (x, y) = (integer(parts.x)?, integer(parts.y)?);
    let mut contents_len = 0_usize;
    for contents in [x.len(), y.len(), parts.hash.len(), parts.text.len()] {
        contents_len = contents_len.checked_add(element_len_bytes(contents)?)?;
    }
    if encoded.capacity() - encoded.len() < element_len_bytes(contents_len)? {
        return None;
    }
    let mut begin = |tag: u8, len: usize, contents: &[u8]| {
        encoded.push(tag);
        encoded.extend(length(len)?);
        encoded.extend(contents);
        Some(())
    };
    begin(SEQUENCE, contents_len, &[])?;
    begin(INTEGER, x.len(), &x)?;
    begin(INTEGER, y.len(), &y)?;
    begin(OCTET_STRING, parts.hash.len(), parts.hash)?;
    begin(OCTET_STRING, parts.text.len(), parts.text)
}

/// The contents of an INTEGER. `None`: no digits.
fn integer(number: &[u8]) -> Option<Vec<u8>> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count().min(number.len().saturating_sub(1));
    let number = number.get(zeros..)?;
    let sign: &[u8] = if number.first()? & 0x80 == 0 { &[] } else { &[0] };
    Some([sign, number].concat())
}

/// A length, as few bytes as it takes. `None`: four gigabytes or more.
fn length(len: usize) -> Option<Vec<u8>> {
    let len = u32::try_from(len).ok()?;
    if let Ok(short @ 0..=0x7f) = u8::try_from(len) {
        return Some(vec![short]);
    }
    let bytes = len.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let bytes = bytes.get(zeros..)?;
    Some([&[0x80 | u8::try_from(bytes.len()).ok()?], bytes].concat())
}

/// The parts of a ciphertext; `None`: not strict DER of one, or more than one.
pub fn parse(encoded: &[u8]) -> Option<Parts<'_>> {
    let mut rest = encoded;
    let mut contents = element(SEQUENCE, &mut rest)?;
    let x = number(element(INTEGER, &mut contents)?)?;
    let y = number(element(INTEGER, &mut contents)?)?;
    let hash = element(OCTET_STRING, &mut contents)?;
    let text = element(OCTET_STRING, &mut contents)?;
    (contents.is_empty() && rest.is_empty()).then_some(Parts { x, y, hash, text })
}

/// The contents of the element that `rest` begins with, which is taken off.
fn element<'a>(tag: u8, rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (first, after) = rest.split_first()?;
    let (short, after) = after.split_first()?;
    let (len, after) = if *short < 0x80 {
        (usize::from(*short), after)
    } else {
        let (bytes, after) = after.split_at_checked(usize::from(*short & 0x7f))?;
        if !(1..=4).contains(&bytes.len()) || bytes.first() == Some(&0) {
            return None;
        }
        let len = bytes.iter().fold(0, |len, byte| len << 8 | u32::from(*byte));
        (usize::try_from(len).ok().filter(|len| *len >= 0x80)?, after)
    };
    let (contents, after) = after.split_at_checked(len)?;
    *rest = after;
    (*first == tag).then_some(contents)
}

/// The digits of an INTEGER that is not negative.
fn number(contents: &[u8]) -> Option<&[u8]> {
    match contents {
        [] | [0x80..=0xff, ..] | [0, 0..=0x7f, ..] => None,
        [0, digits @ ..] => Some(digits),
        digits => Some(digits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(parts: &Parts<'_>) -> Vec<u8> {
        let mut encoded = Vec::with_capacity(max_len_bytes(parts.hash.len(), parts.text.len()).unwrap());
        encode(parts, &mut encoded).unwrap();
        encoded
    }

    #[test]
    fn miri_what_is_encoded_is_parsed() {
        for text_len in [1, 2, 19, 54, 55, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000] {
            for (x, y) in [([0xff; 32], [0x7f; 32]), ([0x80; 32], [1; 32])] {
                let (hash, text) = ([7; 32], vec![9; text_len]);
                let parts = Parts { x: &x, y: &y, hash: &hash, text: &text };
                let der = encoded(&parts);
                assert_eq!(parse(&der), Some(parts));
                assert!(parse(&der[..der.len() - 1]).is_none());
                assert!(parse(&[&der[..], &[0]].concat()).is_none(), "bytes behind the end");
            }
        }
    }

    #[test]
    fn miri_numbers_are_as_short_as_they_can_be() {
        let (mut x, y) = ([0; 32], [0xff; 32]);
        x[31] = 0x80;
        let parts = Parts { x: &x, y: &y, hash: &[1], text: &[2] };
        let der = encoded(&parts);
        let expected =
            [&[0x30, 4 + 35 + 3 + 3, 2, 2, 0, 0x80, 2, 33, 0][..], &y, &[4, 1, 1, 4, 1, 2]].concat();
        assert_eq!(der, expected);
        assert_eq!(parse(&der), Some(Parts { x: &[0x80], ..parts }));
    }

    #[test]
    fn miri_the_longest_is_as_long_as_said() {
        for (hash_len, text_len) in [(16, 1), (32, 20), (64, 0x100), (20, 0x1_0000)] {
            let (hash, text) = (vec![1; hash_len], vec![2; text_len]);
            let parts = Parts { x: &[0xff; 32], y: &[0x80; 32], hash: &hash, text: &text };
            assert_eq!(Some(encoded(&parts).len()), max_len_bytes(hash_len, text_len));
            let mut narrow = Vec::with_capacity(encoded(&parts).len());
            narrow.push(0);
            assert!(encode(&parts, &mut narrow).is_none(), "not a byte too few");
            assert_eq!(narrow, [0]);
        }
    }

    #[test]
    fn miri_what_is_no_strict_der_is_not_parsed() {
        let good = [0x30, 12, 2, 1, 1, 2, 1, 2, 4, 1, 3, 4, 1, 4];
        assert_eq!(parse(&good), Some(Parts { x: &[1], y: &[2], hash: &[3], text: &[4] }));
        assert!(parse(&[]).is_none());
        let bad: [&[u8]; 10] = [
            &[0x31, 12, 2, 1, 1, 2, 1, 2, 4, 1, 3, 4, 1, 4],
            // A length that is too long, by form or by value; and none.
            &[0x30, 0x81, 12, 2, 1, 1, 2, 1, 2, 4, 1, 3, 4, 1, 4],
            &[0x30, 13, 2, 1, 1, 2, 1, 2, 4, 1, 3, 4, 1, 4],
            &[0x30, 0x80, 2, 1, 1, 2, 1, 2, 4, 1, 3, 4, 1, 4, 0, 0],
            // Negative, with a needless zero, without digits.
            &[0x30, 12, 2, 1, 0x81, 2, 1, 2, 4, 1, 3, 4, 1, 4],
            &[0x30, 13, 2, 2, 0, 1, 2, 1, 2, 4, 1, 3, 4, 1, 4],
            &[0x30, 11, 2, 0, 2, 1, 2, 4, 1, 3, 4, 1, 4],
            // Another tag, a missing element, one too many.
            &[0x30, 12, 2, 1, 1, 2, 1, 2, 0x24, 1, 3, 4, 1, 4],
            &[0x30, 9, 2, 1, 1, 2, 1, 2, 4, 1, 3],
            &[0x30, 15, 2, 1, 1, 2, 1, 2, 4, 1, 3, 4, 1, 4, 4, 1, 5],
        ];
        for der in bad {
            assert!(parse(der).is_none(), "{der:x?}");
        }
        // Any length of length, cut anywhere.
        for len_of_len in 0..=0xff {
            let mut der = vec![0x30, len_of_len];
            der.extend([1; 8]);
            assert!(parse(&der).is_none());
        }
    }
}
