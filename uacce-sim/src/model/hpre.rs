//! HPRE: raw modular exponentiation for RSA and DH (hpre §1, §3, §8).

use std::collections::HashMap;

use super::{Model, address, set_word, word};
use crate::memo::Memo;
use crate::os::client::{ClientSpace, MemoryError};
use crate::os::modular::{Modulus, Number, Scratch};

/// Bytes of a descriptor.
pub const DESCRIPTOR_LEN: usize = 64;

/// The engine of one queue.
///
/// Computes `RSA` with and without CRT key (1024 to 4096 bits) and `DH`. Key derivation and, on v3, the elliptic-curve
/// operations are answered as unsupported. Padding, key consistency and operand ranges are software's business: the
/// hardware checks none of them.
pub struct Hpre {
    class: u16,
    memo: Memo,
    scratch: Option<Scratch>,
    /// Keys in computing form, by their bytes: the Montgomery forms cost as much as a public operation.
    keys: HashMap<Vec<u8>, Key>,
}

enum Key {
    Plain { exponent: Number, modulus: Modulus },
    Crt { dq: Number, dp: Number, q: Modulus, p: Modulus, qinv: Number },
}

/// What went wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// A value the arithmetic has no answer for.
    Parameter,
    /// Operation or width unknown, or not for this queue.
    Unsupported,
    /// An address that does not translate.
    Address,
}

impl Hpre {
    /// `class`: the queue class, 0 for RSA and DH.
    pub fn new(class: u16, memo: bool) -> Self {
        Self { class, memo: Memo::new(memo), scratch: Scratch::new(), keys: HashMap::new() }
    }

    fn run(&mut self, descriptor: &[u8], space: &dyn ClientSpace) -> Result<(), Failure> {
        let operation = word(descriptor, 0) & 0x1F;
        let width = (word(descriptor, 1) as usize & 0xFF) * 8 + 8;
        let (key_at, in_at, out_at) =
            (address(descriptor, 2), address(descriptor, 4), address(descriptor, 6));
        let widths: &[usize] = match operation {
            EXPONENTIATE | EXPONENTIATE_CRT => &[128, 256, 384, 512],
            DH_BASE_TWO | DH => &[96, 128, 192, 256, 384, 512],
            _ => return Err(Failure::Unsupported),
        };
        if self.class != 0 || !widths.contains(&width) {
            return Err(Failure::Unsupported);
        }
        let key_len = if operation == EXPONENTIATE_CRT { width / 2 * 5 } else { width * 2 };
        let mut key = vec![0; key_len];
        space.read(key_at, &mut key)?;
        let mut input = vec![0; width];
        if operation == DH_BASE_TWO {
            // The input address means nothing here, not even zero (hpre §3.3).
            input[width - 1] = 2;
        } else {
            space.read(in_at, &mut input)?;
        }
        let (keys, scratch) = (&mut self.keys, &mut self.scratch);
        let crt = operation == EXPONENTIATE_CRT;
        let memo_key = || [&[u8::from(crt)], key.as_slice(), input.as_slice()].concat();
        let output = self.memo.recall(memo_key, || {
            let scratch = scratch.as_mut().ok_or(Failure::Parameter)?;
            compute(keys, crt, &key, &input, scratch).ok_or(Failure::Parameter)
        })?;
        space.write(out_at, &output)?;
        Ok(())
    }
}

impl Model for Hpre {
    fn execute(&mut self, descriptor: &mut [u8], space: &dyn ClientSpace) {
        let head = word(descriptor, 0);
        if head >> 30 != SUBMITTED {
            return;
        }
        let done = head & 0x1F | DONE << 30;
        let (head, status) = match self.run(descriptor, space) {
            Ok(()) => (done, 0),
            Err(Failure::Parameter) => (done | 0x001 << 5, 0),
            Err(Failure::Unsupported) => (done | 0x002 << 5, 0),
            // Bit 5 of the second error field, with a translation status beside it (hpre §1).
            Err(Failure::Address) => (done | 0x20 << 16, 1 << 27),
        };
        set_word(descriptor, 0, head);
        if status != 0 {
            let second = word(descriptor, 1) & !(0xF << 27);
            set_word(descriptor, 1, second | status);
        }
    }
}

impl From<MemoryError> for Failure {
    fn from(_: MemoryError) -> Self {
        Self::Address
    }
}

impl Key {
    /// From its device layout (hpre §3.1, §3.2): exponent, modulus; or dq, dp, q, p, qinv, each half as wide.
    fn from_bytes(crt: bool, bytes: &[u8], scratch: &mut Scratch) -> Option<Self> {
        if crt {
            let mut parts = bytes.chunks_exact(bytes.len() / 5);
            let mut part = || parts.next();
            Some(Self::Crt {
                dq: Number::from_bytes(part()?)?,
                dp: Number::from_bytes(part()?)?,
                q: Modulus::from_bytes(part()?, scratch)?,
                p: Modulus::from_bytes(part()?, scratch)?,
                qinv: Number::from_bytes(part()?)?,
            })
        } else {
            let (exponent, modulus) = bytes.split_at(bytes.len() / 2);
            Some(Self::Plain {
                exponent: Number::from_bytes(exponent)?,
                modulus: Modulus::from_bytes(modulus, scratch)?,
            })
        }
    }

    fn apply(&self, input: &Number, scratch: &mut Scratch) -> Option<Number> {
        match self {
            Self::Plain { exponent, modulus } => modulus.power(input, exponent, scratch),
            Self::Crt { dq, dp, q, p, qinv } => {
                let m1 = p.power(input, dp, scratch)?;
                let m2 = q.power(input, dq, scratch)?;
                let h = p.scaled_difference(qinv, &m1, &m2, scratch)?;
                m2.plus_product(q.value(), &h, scratch)
            }
        }
    }
}

/// `None`: an even or zero modulus, or memory is out.
fn compute(
    keys: &mut HashMap<Vec<u8>, Key>,
    crt: bool,
    key: &[u8],
    input: &[u8],
    scratch: &mut Scratch,
) -> Option<Vec<u8>> {
    if !keys.contains_key(key) {
        let computed = Key::from_bytes(crt, key, scratch)?;
        if keys.len() >= MAX_KEYS {
            keys.clear();
        }
        keys.insert(key.to_vec(), computed);
    }
    let input_number = Number::from_bytes(input)?;
    keys.get(key)?.apply(&input_number, scratch)?.to_bytes(input.len())
}

const EXPONENTIATE: u32 = 0x00;
const EXPONENTIATE_CRT: u32 = 0x01;
const DH_BASE_TWO: u32 = 0x04;
const DH: u32 = 0x05;
const SUBMITTED: u32 = 1;
const DONE: u32 = 3;
/// Keys kept in computing form, per queue.
const MAX_KEYS: usize = 64;

#[cfg(test)]
mod tests;
