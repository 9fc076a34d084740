//! HPRE: raw modular exponentiation for RSA and DH, RSA key derivation, and on v3 elliptic curves (hpre §1, §3, §8).

mod curve;
mod ecc;

use std::collections::HashMap;

use self::ecc::Task;
use super::{Model, address, set_word, word};
use crate::device::Hardware;
use crate::memo::Memo;
use crate::os::client::{ClientSpace, MemoryError};
use crate::os::modular::{Modulus, Number, Scratch};

/// Bytes of a descriptor.
pub const DESCRIPTOR_LEN: usize = 64;

/// The engine of one queue.
///
/// Queue class 0 computes `RSA` with and without CRT key and its key derivation (1024 to 4096 bits), and `DH`; class 1,
/// on v3, the elliptic-curve operations. Padding, key consistency and operand ranges are software's business: the hardware
/// checks none of them.
pub struct Hpre {
    class: u16,
    hardware: Hardware,
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
    /// A curve operation without a result: infinity, a zero scalar, a ciphertext that is not one.
    Arithmetic,
    /// An address that does not translate.
    Address,
}

impl Hpre {
    /// `class`: the queue class, 0 for RSA and DH, 1 for elliptic curves.
    pub fn new(class: u16, hardware: Hardware, memo: bool) -> Self {
        Self { class, hardware, memo: Memo::new(memo), scratch: Scratch::new(), keys: HashMap::new() }
    }

    /// Word 6 as the device leaves it, where it writes one.
    fn run(&mut self, descriptor: &[u8], space: &dyn ClientSpace) -> Result<Option<u32>, Failure> {
        match (word(descriptor, 0) & 0x1F, self.class, self.hardware) {
            (0x00..=0x05, 0, _) => self.run_modular(descriptor, space).map(|()| None),
            (0x0D..=0x15, 1, Hardware::V3) => self.run_curve(descriptor, space),
            _ => Err(Failure::Unsupported),
        }
    }

    fn run_modular(&mut self, descriptor: &[u8], space: &dyn ClientSpace) -> Result<(), Failure> {
        let operation = word(descriptor, 0) & 0x1F;
        let width = width(descriptor);
        let (key_at, in_at, out_at) =
            (address(descriptor, 2), address(descriptor, 4), address(descriptor, 6));
        let widths: &[usize] = match operation {
            DH_BASE_TWO | DH => &[96, 128, 192, 256, 384, 512],
            _ => &[128, 256, 384, 512],
        };
        if !widths.contains(&width) {
            return Err(Failure::Unsupported);
        }
        let key_len = if operation == EXPONENTIATE_CRT { width / 2 * 5 } else { width * 2 };
        let mut key = vec![0; key_len];
        space.read(key_at, &mut key)?;
        let mut input = vec![0; width];
        match operation {
            // The input address means nothing here, not even zero (hpre §3.3, §10).
            DH_BASE_TWO => input[width - 1] = 2,
            DERIVE | DERIVE_CRT => {}
            _ => space.read(in_at, &mut input)?,
        }
        let (keys, scratch) = (&mut self.keys, &mut self.scratch);
        let memo_key = || [&operation.to_le_bytes(), key.as_slice(), input.as_slice()].concat();
        let output = self.memo.recall(memo_key, || {
            let scratch = scratch.as_mut().ok_or(Failure::Parameter)?;
            match operation {
                DERIVE | DERIVE_CRT => derive(&key, operation == DERIVE_CRT, scratch),
                _ => compute(keys, operation == EXPONENTIATE_CRT, &key, &input, scratch),
            }
            .ok_or(Failure::Parameter)
        })?;
        space.write(out_at, &output)?;
        Ok(())
    }

    fn run_curve(&mut self, descriptor: &[u8], space: &dyn ClientSpace) -> Result<Option<u32>, Failure> {
        let task = Task::parse(descriptor)?;
        let (mut key, mut input) = (vec![0; task.key_len()], vec![0; task.input_len()]);
        space.read(address(descriptor, 2), &mut key)?;
        space.read(address(descriptor, 4), &mut input)?;
        let scratch = self.scratch.as_mut().ok_or(Failure::Parameter)?;
        let output = if task.is_repeatable() {
            let operation = word(descriptor, 0) & 0x1F;
            let memo_key = || [&operation.to_le_bytes(), key.as_slice(), input.as_slice()].concat();
            self.memo.recall(memo_key, || task.compute(&key, &input, scratch))?
        } else {
            task.compute(&key, &input, scratch)?
        };
        if task.is_verification() {
            // Bit 1 is the verdict. There is no output buffer, whatever address was submitted (hpre §3.6).
            return Ok(Some(u32::from(output.first() == Some(&1)) << 1));
        }
        space.write(address(descriptor, 6), &output)?;
        Ok(None)
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
            Ok(verdict) => {
                if let Some(verdict) = verdict {
                    set_word(descriptor, 6, verdict);
                    set_word(descriptor, 7, 0);
                }
                (done, 0)
            }
            Err(Failure::Parameter) => (done | 0x001 << 5, 0),
            Err(Failure::Unsupported) => (done | 0x002 << 5, 0),
            Err(Failure::Arithmetic) => (done | 0x001 << 16, 0),
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

/// Bytes of an operand (hpre §1.3).
fn width(descriptor: &[u8]) -> usize {
    (word(descriptor, 1) as usize & 0xFF) * 8 + 8
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

/// RSA key from e, p and q (hpre §3.1): d, n; with CRT also qinv, dq, dp. d is taken modulo (p − 1)(q − 1), as OpenSSL's keys
/// once were and the vendor's own test expects (hpre §3.2). `None`: e has no inverse, or the primes are none.
fn derive(key: &[u8], crt: bool, scratch: &mut Scratch) -> Option<Vec<u8>> {
    let width = key.len() / 2;
    let (e, primes) = key.split_at_checked(width)?;
    let (p, q) = primes.split_at_checked(width / 2)?;
    let (e, p, q) = (Number::from_bytes(e)?, Number::from_bytes(p)?, Number::from_bytes(q)?);
    let (p1, q1) = (p.predecessor()?, q.predecessor()?);
    let zero = Number::from_bytes(&[])?;
    let n = zero.plus_product(&p, &q, scratch)?;
    let d = e.inverse(&zero.plus_product(&p1, &q1, scratch)?, scratch)?;
    let mut output = [d.to_bytes(width)?, n.to_bytes(width)?].concat();
    if crt {
        output.extend(q.inverse(&p, scratch)?.to_bytes(width / 2)?);
        output.extend(d.remainder(&q1, scratch)?.to_bytes(width / 2)?);
        output.extend(d.remainder(&p1, scratch)?.to_bytes(width / 2)?);
    }
    Some(output)
}

const EXPONENTIATE_CRT: u32 = 0x01;
const DERIVE: u32 = 0x02;
const DERIVE_CRT: u32 = 0x03;
const DH_BASE_TWO: u32 = 0x04;
const DH: u32 = 0x05;
const SUBMITTED: u32 = 1;
const DONE: u32 = 3;
/// Keys kept in computing form, per queue.
const MAX_KEYS: usize = 64;

#[cfg(test)]
mod tests;
