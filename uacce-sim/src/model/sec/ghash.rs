//! GHASH (SP 800-38D §6.4): multiplication in GF(2¹²⁸), four bits at a time.

/// A hash in progress under one key.
pub(super) struct Ghash {
    /// Multiples of the key by each polynomial of degree below 4, the highest bit being its constant term.
    multiples: [u128; 16],
    state: u128,
}

impl Ghash {
    /// `key`: the block of zeros, enciphered. `state`: zeros, or what [`Ghash::state`] gave.
    pub(super) fn new(key: [u8; 16], state: [u8; 16]) -> Self {
        let mut multiples = [0; 16];
        let mut multiple = u128::from_be_bytes(key);
        for index in [8, 4, 2, 1] {
            multiples[index] = multiple;
            multiple = times_x(multiple);
        }
        for index in [2usize, 4, 8] {
            for low in 1..index {
                multiples[index + low] = multiples[index] ^ multiples[low];
            }
        }
        Self { multiples, state: u128::from_be_bytes(state) }
    }

    /// Absorbs `bytes`, filled up with zeros to whole blocks.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(16) {
            let mut block = [0; 16];
            block[..part.len()].copy_from_slice(part);
            self.state = self.times_key(self.state ^ u128::from_be_bytes(block));
        }
    }

    /// Absorbs the block of lengths, in bytes.
    pub(super) fn update_lengths(&mut self, additional: u64, text: u64) {
        let block = u128::from(additional.wrapping_mul(8)) << 64 | u128::from(text.wrapping_mul(8));
        self.update(&block.to_be_bytes());
    }

    pub(super) fn state(&self) -> [u8; 16] {
        self.state.to_be_bytes()
    }

    fn times_key(&self, value: u128) -> u128 {
        (0..32).fold(0, |product: u128, nibble| {
            let index = (value >> (4 * nibble) & 0xF) as usize;
            product >> 4 ^ REDUCTION[(product & 0xF) as usize] ^ self.multiples[index]
        })
    }
}

/// Times the polynomial x: in this order of bits a shift to the right.
pub(super) const fn times_x(value: u128) -> u128 {
    let reduced = value >> 1;
    if value & 1 == 1 { reduced ^ POLYNOMIAL } else { reduced }
}

const POLYNOMIAL: u128 = 0xE1 << 120;

/// What the four lowest bits become when they are shifted out.
const REDUCTION: [u128; 16] = {
    let mut table = [0; 16];
    let mut index = 0;
    while index < 16 {
        table[index] = times_x(times_x(times_x(times_x(index as u128))));
        index += 1;
    }
    table
};
