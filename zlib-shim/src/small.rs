//! The software engine for short streams that come whole: one block, made from a workspace that fits the length.
//!
//! The large engines clear 128 to 200 KiB of tables before their first byte, which for a hundred bytes costs more than all of
//! zlib's work. Matches are found as zlib finds them: chains of three-byte hashes, and a look at the next position
//! before a match is taken. The block is stored, with fixed codes or with its own, whichever is shortest (RFC 1951 §3.2).

mod codes;

use std::sync::Mutex;

use codes::Codes;

/// Longest plain text that is compressed here.
pub(crate) const MOST_BYTES: usize = 2 << 10;

/// Workspaces kept for the next stream at most: 20 KiB each.
const KEPT: usize = 4;

/// Only ever `try_lock`ed: a child forked while another thread held it must go on without it.
static IDLE: Mutex<Vec<Workspace>> = Mutex::new(Vec::new());

const SHORTEST: usize = 3;
const LONGEST: usize = 258;
const HASH_BITS: u32 = 11;

/// A literal, or a match's length and distance above it.
#[derive(Clone, Copy)]
struct Token(u32);

impl Token {
    fn literal(byte: u8) -> Self {
        Self(byte.into())
    }

    #[expect(clippy::cast_possible_truncation, reason = "at most 258, and at most MOST_BYTES")]
    fn matched(len: usize, distance: usize) -> Self {
        Self((distance as u32) << 16 | len as u32)
    }

    /// Length and distance, or the literal.
    fn take(self) -> Result<(usize, usize), u8> {
        match self.0 >> 16 {
            0 => Err(self.0.to_le_bytes()[0]),
            distance => Ok(((self.0 & 0xffff) as usize, distance as usize)),
        }
    }
}

/// On the heap: callers may have small stacks.
struct Workspace {
    /// The last position with each hash, plus 1; 0: none.
    heads: Vec<u16>,
    /// The one before each position, in the same way.
    chain: Vec<u16>,
    tokens: Vec<Token>,
    codes: Box<Codes>,
}

impl Workspace {
    fn take() -> Self {
        let idle = IDLE.try_lock().ok().and_then(|mut idle| idle.pop());
        idle.unwrap_or_else(|| Self {
            heads: vec![0; 1 << HASH_BITS],
            chain: vec![0; MOST_BYTES],
            tokens: Vec::with_capacity(MOST_BYTES),
            codes: Box::new(Codes::new()),
        })
    }

    fn give(self) {
        if let Ok(mut idle) = IDLE.try_lock() {
            if idle.len() < KEPT && idle.try_reserve(1).is_ok() {
                idle.push(self);
            }
        }
    }

    /// Cuts `plain` into tokens.
    fn cut(&mut self, plain: &[u8], effort: Effort) {
        let Self { heads, chain, tokens, .. } = self;
        // As many hashes as there are positions, and no fewer than a byte has values.
        let bits = plain.len().next_power_of_two().trailing_zeros().clamp(8, HASH_BITS);
        let mut finder = Finder { plain, shift: 32 - bits, heads, chain };
        finder.heads[..1 << bits].fill(0);
        tokens.clear();
        let mut at = 0;
        // A match that begins one position before, not taken yet.
        let mut waiting: Option<(usize, usize)> = None;
        while at < plain.len() {
            let least = waiting.map_or(SHORTEST - 1, |(len, _)| len);
            let found = if least < effort.lazy { finder.longest(at, least, effort) } else { None };
            finder.insert(at);
            match (waiting, found) {
                (Some((len, distance)), None) => {
                    tokens.push(Token::matched(len, distance));
                    waiting = None;
                    let end = at - 1 + len;
                    (at + 1..end).for_each(|inside| finder.insert(inside));
                    at = end;
                    continue;
                }
                (Some(_), Some(_)) => tokens.push(Token::literal(plain[at - 1])),
                (None, Some(_)) => {}
                (None, None) => tokens.push(Token::literal(plain[at])),
            }
            // A match has three bytes or more, so there is a next position to decide it at.
            waiting = found;
            at += 1;
        }
    }
}

/// How hard matches are looked for.
#[derive(Clone, Copy)]
struct Effort {
    /// Positions looked at.
    chain: usize,
    /// A match of this length is good enough.
    nice: usize,
    /// With a match of this length, the next position is not looked at.
    lazy: usize,
}

impl Effort {
    /// For zlib's level, 1 to 9.
    fn of(level: i32) -> Self {
        match level {
            ..=3 => Self { chain: 8, nice: 32, lazy: 6 },
            4..=6 => Self { chain: 32, nice: 128, lazy: 16 },
            _ => Self { chain: 512, nice: LONGEST, lazy: LONGEST },
        }
    }
}

struct Finder<'a> {
    plain: &'a [u8],
    shift: u32,
    heads: &'a mut [u16],
    chain: &'a mut [u16],
}

impl Finder<'_> {
    fn hash(&self, at: usize) -> Option<usize> {
        let &[a, b, c] = self.plain.get(at..)?.first_chunk()?;
        let word = u32::from_le_bytes([a, b, c, 0]);
        Some((word.wrapping_mul(0x9e37_79b1) >> self.shift) as usize)
    }

    #[expect(clippy::cast_possible_truncation, reason = "positions are below MOST_BYTES")]
    fn insert(&mut self, at: usize) {
        if let Some(hash) = self.hash(at) {
            self.chain[at] = self.heads[hash];
            self.heads[hash] = at as u16 + 1;
        }
    }

    /// The longest match at `at` with an earlier position, longer than `least`: length and distance.
    fn longest(&self, at: usize, least: usize, effort: Effort) -> Option<(usize, usize)> {
        let here = &self.plain[at..];
        let here = &here[..here.len().min(LONGEST)];
        if here.len() <= least {
            return None;
        }
        let (mut best, mut from) = (least, None);
        let mut next = self.heads[self.hash(at)?];
        for _ in 0..effort.chain {
            let Some(there) = usize::from(next).checked_sub(1) else { break };
            let candidate = &self.plain[there..];
            // Cannot be longer unless it agrees where the best one ends.
            if candidate[best] == here[best] && candidate[best - 1] == here[best - 1] {
                let len = common(here, candidate);
                if len > best {
                    best = len;
                    from = Some(there);
                    if len >= effort.nice || len == here.len() {
                        break;
                    }
                }
            }
            next = self.chain[there];
        }
        Some((best, at - from?))
    }
}

/// How many bytes two slices have in common at their beginnings; the second is no shorter.
fn common(here: &[u8], there: &[u8]) -> usize {
    let mut at = 0;
    while let (Some(word), Some(other)) = (here[at..].first_chunk(), there[at..].first_chunk()) {
        let differing = u64::from_le_bytes(*word) ^ u64::from_le_bytes(*other);
        if differing != 0 {
            return at + differing.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + here[at..].iter().zip(&there[at..]).take_while(|(a, b)| a == b).count()
}

/// Bits on their way into bytes, lowest first (RFC 1951 §3.1.1).
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    held: u64,
    count: u32,
}

impl Writer<'_> {
    /// At most 32 bits.
    fn put(&mut self, bits: u32, count: u32) {
        self.held |= u64::from(bits) << self.count;
        self.count += count;
        if self.count >= 32 {
            self.out.extend_from_slice(&self.held.to_le_bytes()[..4]);
            self.held >>= 32;
            self.count -= 32;
        }
    }

    /// Pads to a full byte; returns how many bits of the last byte are used.
    fn close(self) -> u8 {
        let bytes = self.count.div_ceil(8) as usize;
        self.out.extend_from_slice(&self.held.to_le_bytes()[..bytes]);
        match self.count % 8 {
            0 => 8,
            bits => bits.to_le_bytes()[0],
        }
    }
}

/// Appends all of `plain`, at most [`MOST_BYTES`], to `out` as the one block of a raw stream. `level`: zlib's, 1 to 9. Returns
/// the bits used of the last byte.
pub(crate) fn compress(level: i32, plain: &[u8], out: &mut Vec<u8>) -> u8 {
    let mut workspace = Workspace::take();
    workspace.cut(plain, Effort::of(level));
    let Workspace { tokens, codes, .. } = &mut workspace;
    codes.count(tokens.iter().map(|token| token.take()));
    let (fixed, own) = (codes.fixed_bits(), codes.make());
    let stored = 8 * (plain.len() + 5);
    let mut writer = Writer { out, held: 0, count: 0 };
    let bits = if stored <= fixed.min(own) {
        writer.put(1, 8);
        let len = u32::try_from(plain.len()).unwrap_or(0);
        writer.put(len | (len ^ 0xffff) << 16, 32);
        let bits = writer.close();
        out.extend_from_slice(plain);
        bits
    } else {
        if fixed <= own {
            writer.put(1 | 1 << 1, 3);
            codes.fix();
        } else {
            writer.put(1 | 2 << 1, 3);
            codes.describe(&mut writer);
        }
        codes.write(tokens.iter().map(|token| token.take()), &mut writer);
        writer.close()
    };
    workspace.give();
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::Z_OK;
    use crate::abi::Z_STREAM_END;
    use crate::abi::io::Io;
    use crate::abi::next::Inflater;

    /// What the stream engine makes of a raw stream; nothing may be left over.
    fn back(packed: &[u8]) -> Vec<u8> {
        let mut plain = vec![0; MOST_BYTES + 1];
        let mut io = Io::from_slices(packed, &mut plain);
        let mut engine = Inflater::new(-15).unwrap();
        let code = loop {
            match engine.run(&mut io, 0).0 {
                Z_OK => {}
                code => break code,
            }
        };
        assert_eq!((code, io.avail_in()), (Z_STREAM_END, 0));
        let left = io.avail_out();
        plain.truncate(MOST_BYTES + 1 - left);
        plain
    }

    fn packed(level: i32, plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let bits = compress(level, plain, &mut out);
        assert!((1..=8).contains(&bits));
        let last = *out.last().unwrap();
        assert!(bits == 8 || last >> bits == 0, "{last:x} with {bits} bits");
        assert!(out.len() <= plain.len() + 5);
        assert!(back(&out) == plain, "{} bytes at {level}", plain.len());
        out
    }

    /// Pseudo-random bytes below `values`, each repeated or copied from before by chance.
    fn sample(seed: u64, len: usize, values: u64, repeats: u64) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below.max(1)
        };
        let mut bytes: Vec<u8> = Vec::new();
        while bytes.len() < len {
            if !bytes.is_empty() && next(100) < repeats {
                let distance = usize::try_from(next(bytes.len() as u64)).unwrap() + 1;
                for _ in 0..next(300) {
                    bytes.push(bytes[bytes.len() - distance]);
                }
            } else {
                bytes.push(u8::try_from(next(values)).unwrap());
            }
        }
        bytes.truncate(len);
        bytes
    }

    #[test]
    fn every_length_comes_back() {
        for len in (0..300).chain([511, 512, 513, 1023, 1024, 2047, MOST_BYTES]) {
            for (values, repeats) in [(1, 0), (2, 0), (4, 5), (30, 10), (256, 0), (256, 30)] {
                for level in [1, 6, 9] {
                    packed(level, &sample(len as u64 + values, len, values, repeats));
                }
            }
        }
    }

    /// Many more of each kind, and codes as long as they may be.
    #[test]
    fn codes_are_never_too_long() {
        for seed in 0..3000 {
            packed(6, &sample(seed, (seed * 7 % 2049) as usize, 1 + seed % 256, seed % 40));
        }
        // Frequencies as Fibonacci's numbers make the deepest trees.
        let (mut plain, mut pair) = (Vec::new(), (1, 1));
        for byte in 0..14 {
            plain.extend(std::iter::repeat_n(byte * 17, pair.0));
            pair = (pair.1, pair.0 + pair.1);
        }
        plain.truncate(MOST_BYTES);
        // In an order without repeats.
        let mut at = 0;
        let shuffled: Vec<u8> = plain
            .iter()
            .map(|_| {
                at = (at + 1009) % plain.len();
                plain[at]
            })
            .collect();
        packed(9, &shuffled);
        packed(9, &plain);
    }

    #[test]
    fn as_small_as_the_large_engine_makes_it() {
        let text = include_bytes!("small.rs");
        let (mut ours, mut other) = (0, 0);
        for part in text.chunks(1000) {
            ours += packed(6, part).len();
            let settings =
                crate::abi::next::Settings { level: 6, window_bits: 15, mem_level: 8, strategy: 0 };
            let mut bytes = Vec::new();
            crate::abi::next::Deflater::new(settings).unwrap().run_to_vec(part, 4, &mut bytes).unwrap();
            other += bytes.len();
        }
        assert!(ours <= other + other / 100, "{ours} and {other}");
    }
}
