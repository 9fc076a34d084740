//! Huffman codes of one block: frequencies, lengths, the description in front of it, the bits (RFC 1951 §3.2.2 to §3.2.7).

use super::Writer;

/// Literals, the end of the block and lengths, two of which never occur and belong to the fixed code; distances.
const LITERALS: usize = 288;
const DISTANCES: usize = 30;
const END: usize = 256;
/// Longest code, and longest in the description.
const LONGEST: usize = 15;
const LONGEST_DESCRIBING: usize = 7;
/// The order of lengths in the description's own description.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// A match's length as symbol, extra bits and their value; and its distance.
fn length_symbol(len: usize) -> (usize, u32, u32) {
    match len {
        258 => (285, 0, 0),
        _ => {
            let (symbol, count, bits) = split(len - 3, 2);
            (257 + symbol, count, bits)
        }
    }
}

fn distance_symbol(distance: usize) -> (usize, u32, u32) {
    split(distance - 1, 1)
}

/// Symbols that stand for ranges: 2^`log2` of one value each per power of two, from twice that on of more.
#[expect(clippy::cast_possible_truncation, reason = "values are below 2^15")]
fn split(value: usize, log2: u32) -> (usize, u32, u32) {
    let Some(count) = value.checked_ilog2().and_then(|top| top.checked_sub(log2)) else {
        return (value, 0, 0);
    };
    let symbol = ((count as usize) << log2) + (value >> count);
    (symbol, count, (value & ((1 << count) - 1)) as u32)
}

/// Frequencies of a set of symbols, then the lengths of their codes, then the codes.
struct Lengths<const N: usize> {
    frequencies: [u16; N],
    lengths: [u8; N],
    codes: [u16; N],
}

impl<const N: usize> Lengths<N> {
    fn new() -> Self {
        Self { frequencies: [0; N], lengths: [0; N], codes: [0; N] }
    }

    /// Bits of all symbols, without what follows them.
    fn bits(&self) -> usize {
        let each = self.frequencies.iter().zip(&self.lengths);
        each.map(|(&count, &len)| u32::from(count) * u32::from(len)).sum::<u32>() as usize
    }

    #[expect(clippy::cast_possible_truncation, reason = "a few hundred symbols")]
    /// Lengths of a code that is as short as can be with none longer than `longest`. A lone symbol gets a partner: some
    /// decoders want complete codes.
    fn make(&mut self, longest: usize) {
        let mut sorted = [(0_u16, 0_u16); N];
        let mut count = 0;
        self.lengths.fill(0);
        for (symbol, &frequency) in self.frequencies.iter().enumerate() {
            if frequency != 0 {
                sorted[count] = (frequency, symbol as u16);
                count += 1;
            }
        }
        if count < 2 {
            let only = if count == 1 { usize::from(sorted[0].1) } else { 0 };
            self.lengths[only] = 1;
            self.lengths[usize::from(only == 0)] = 1;
            return;
        }
        let sorted = &mut sorted[..count];
        sorted.sort_unstable();
        let mut of_length = numbers_of_lengths(sorted);
        limit(&mut of_length, longest);
        // The rarest get the longest.
        let mut symbols = sorted.iter().map(|&(_, symbol)| usize::from(symbol));
        for len in (1..=longest).rev() {
            for symbol in symbols.by_ref().take(of_length[len]) {
                self.lengths[symbol] = len as u8;
            }
        }
    }

    /// Codes from lengths.
    fn assign(&mut self) {
        self.codes = codes_of(&self.lengths);
    }

    fn put(&self, symbol: usize, writer: &mut Writer<'_>) {
        writer.put(self.codes[symbol].into(), self.lengths[symbol].into());
    }

    /// Symbols up to the last one with a code.
    fn used(&self) -> usize {
        N - self.lengths.iter().rev().take_while(|&&len| len == 0).count()
    }
}

/// Codes from lengths, their bits in the order in which they are written (RFC 1951 §3.2.2).
const fn codes_of<const N: usize>(lengths: &[u8; N]) -> [u16; N] {
    let mut next = [0_u16; LONGEST + 2];
    let mut at = 0;
    while at < N {
        if lengths[at] != 0 {
            next[lengths[at] as usize + 1] += 1;
        }
        at += 1;
    }
    // From how many there are of the length before, to the first code of each length.
    let (mut len, mut code) = (1, 0);
    while len <= LONGEST {
        code = (code + next[len]) << 1;
        next[len] = code;
        len += 1;
    }
    let (mut codes, mut at) = ([0; N], 0);
    while at < N {
        let len = lengths[at] as usize;
        if len != 0 {
            codes[at] = next[len].reverse_bits() >> (16 - len);
            next[len] += 1;
        }
        at += 1;
    }
    codes
}

/// The fixed codes (RFC 1951 §3.2.6).
static FIXED_LITERALS: ([u8; LITERALS], [u16; LITERALS]) = {
    let (mut lengths, mut at) = ([8; LITERALS], 144);
    while at < 280 {
        lengths[at] = if at < 256 { 9 } else { 7 };
        at += 1;
    }
    (lengths, codes_of(&lengths))
};
static FIXED_DISTANCES: ([u8; DISTANCES], [u16; DISTANCES]) = ([5; DISTANCES], codes_of(&[5; DISTANCES]));

#[expect(clippy::cast_possible_truncation, reason = "a few hundred nodes")]
/// Of Huffman's tree over `sorted` (frequency, symbol), how many leaves lie at each depth; too deep ones at the deepest.
fn numbers_of_lengths(sorted: &[(u16, u16)]) -> [usize; LIMIT_DEPTH + 1] {
    // Two queues: leaves as they are sorted, and inner nodes, which are made in the order of their weight.
    let count = sorted.len();
    let mut weights = [0_u32; LITERALS];
    let mut parents = [0_u16; LITERALS];
    let mut leaf_parents = [0_u16; LITERALS];
    let (mut leaf, mut inner) = (0, 0);
    for made in 0..count - 1 {
        for _ in 0..2 {
            let take_leaf = leaf < count && (inner >= made || u32::from(sorted[leaf].0) <= weights[inner]);
            if take_leaf {
                weights[made] += u32::from(sorted[leaf].0);
                leaf_parents[leaf] = made as u16;
                leaf += 1;
            } else {
                weights[made] += weights[inner];
                parents[inner] = made as u16;
                inner += 1;
            }
        }
    }
    // From the root, the last one made, down; weights are no longer needed and hold depths.
    let root = count - 2;
    weights[root] = 0;
    for node in (0..root).rev() {
        weights[node] = weights[usize::from(parents[node])] + 1;
    }
    let mut numbers = [0; LIMIT_DEPTH + 1];
    for &parent in &leaf_parents[..count] {
        numbers[(weights[usize::from(parent)] as usize + 1).min(LIMIT_DEPTH)] += 1;
    }
    numbers
}

/// Deeper than any tree of `MOST_BYTES` symbols: their frequencies would have to grow as Fibonacci's numbers.
const LIMIT_DEPTH: usize = 20;

/// Moves leaves up from below `longest`, each time pairing one from below with the deepest that can be pushed down.
fn limit(numbers: &mut [usize; LIMIT_DEPTH + 1], longest: usize) {
    for deep in (longest + 1..=LIMIT_DEPTH).rev() {
        while numbers[deep] > 0 {
            let mut above = deep - 2;
            while numbers[above] == 0 {
                above -= 1;
            }
            // Two siblings go: one takes their parent's place, the other and a leaf from above share that leaf's.
            numbers[deep] -= 2;
            numbers[deep - 1] += 1;
            numbers[above] -= 1;
            numbers[above + 1] += 2;
        }
    }
}

/// The codes of a block.
pub(super) struct Codes {
    literals: Lengths<LITERALS>,
    distances: Lengths<DISTANCES>,
    describing: Lengths<19>,
    /// Bits of the tokens with the fixed codes, and of what follows symbols with any.
    fixed: usize,
    extra: usize,
    /// The description: symbol and value of its extra bits.
    description: [(u8, u8); LITERALS + DISTANCES],
    described: usize,
}

impl Codes {
    pub(super) fn new() -> Self {
        Self {
            literals: Lengths::new(),
            distances: Lengths::new(),
            describing: Lengths::new(),
            fixed: 0,
            extra: 0,
            description: [(0, 0); LITERALS + DISTANCES],
            described: 0,
        }
    }

    /// Takes the frequencies of a block's tokens.
    pub(super) fn count(&mut self, tokens: impl Iterator<Item = Result<(usize, usize), u8>>) {
        self.literals.frequencies.fill(0);
        self.distances.frequencies.fill(0);
        (self.fixed, self.extra) = (3, 0);
        for token in tokens {
            match token {
                Ok((len, distance)) => {
                    let (symbol, extra, _) = length_symbol(len);
                    self.add(symbol, extra);
                    let (symbol, extra, _) = distance_symbol(distance);
                    self.distances.frequencies[symbol] += 1;
                    self.extra += extra as usize;
                    self.fixed += 5 + extra as usize;
                }
                Err(byte) => self.add(byte.into(), 0),
            }
        }
        self.add(END, 0);
    }

    fn add(&mut self, symbol: usize, extra: u32) {
        self.literals.frequencies[symbol] += 1;
        self.extra += extra as usize;
        self.fixed += usize::from(FIXED_LITERALS.0[symbol]) + extra as usize;
    }

    /// Bits of the block with fixed codes, its three first bits included.
    pub(super) fn fixed_bits(&self) -> usize {
        self.fixed
    }

    /// Makes the block its own codes; returns its bits with them.
    pub(super) fn make(&mut self) -> usize {
        self.literals.make(LONGEST);
        self.distances.make(LONGEST);
        self.write_description();
        self.describing.make(LONGEST_DESCRIBING);
        let runs =
            [(16, 2), (17, 3), (18, 7)].map(|(symbol, extra)| self.describing_count_of(symbol) * extra);
        let head = 3 + 5 + 5 + 4 + 3 * self.describing_count() + runs.iter().sum::<usize>();
        head + self.describing.bits() + self.literals.bits() + self.distances.bits() + self.extra
    }

    fn describing_count_of(&self, symbol: usize) -> usize {
        self.describing.frequencies[symbol].into()
    }

    /// Uses the fixed codes.
    pub(super) fn fix(&mut self) {
        (self.literals.lengths, self.literals.codes) = FIXED_LITERALS;
        (self.distances.lengths, self.distances.codes) = FIXED_DISTANCES;
    }

    #[expect(clippy::cast_possible_truncation, reason = "runs are told in parts below 139")]
    /// Lengths of both codes, one after the other, with runs told by their length (RFC 1951 §3.2.7).
    fn write_description(&mut self) {
        let (literals, distances) = (self.literals.used(), self.distances.used());
        let mut lengths = [0; LITERALS + DISTANCES];
        lengths[..literals].copy_from_slice(&self.literals.lengths[..literals]);
        lengths[literals..literals + distances].copy_from_slice(&self.distances.lengths[..distances]);
        let lengths = &lengths[..literals + distances];
        self.describing.frequencies.fill(0);
        self.described = 0;
        let mut at = 0;
        while at < lengths.len() {
            let len = lengths[at];
            let run = lengths[at..].iter().take_while(|&&other| other == len).count();
            let (symbol, extra, told) = match (len, run) {
                (0, 11..) => (18, run.min(138) - 11, run.min(138)),
                (0, 3..) => (17, run - 3, run),
                // A repeat needs the length itself in front of it.
                (1.., 3..) if at > 0 && lengths[at - 1] == len => (16, run.min(6) - 3, run.min(6)),
                _ => (len, 0, 1),
            };
            self.describing.frequencies[usize::from(symbol)] += 1;
            self.description[self.described] = (symbol, extra as u8);
            self.described += 1;
            at += told;
        }
    }

    /// Lengths told of the describing code: four at least.
    fn describing_count(&self) -> usize {
        let unused = ORDER.iter().rev().take_while(|&&symbol| self.describing.lengths[symbol] == 0).count();
        (ORDER.len() - unused).max(4)
    }

    /// Uses the block's own codes, and writes their description.
    #[expect(clippy::cast_possible_truncation, reason = "a few hundred at most")]
    pub(super) fn describe(&mut self, writer: &mut Writer<'_>) {
        self.literals.assign();
        self.distances.assign();
        self.describing.assign();
        let count = self.describing_count();
        writer.put(self.literals.used() as u32 - 257, 5);
        writer.put(self.distances.used() as u32 - 1, 5);
        writer.put(count as u32 - 4, 4);
        for &symbol in &ORDER[..count] {
            writer.put(self.describing.lengths[symbol].into(), 3);
        }
        for &(symbol, extra) in &self.description[..self.described] {
            self.describing.put(symbol.into(), writer);
            if let Some(&bits) = [2, 3, 7].get(usize::from(symbol).wrapping_sub(16)) {
                writer.put(extra.into(), bits);
            }
        }
    }

    /// Writes the tokens and the end of the block.
    pub(super) fn write(
        &self,
        tokens: impl Iterator<Item = Result<(usize, usize), u8>>,
        writer: &mut Writer<'_>,
    ) {
        for token in tokens {
            match token {
                Ok((len, distance)) => {
                    let (symbol, count, bits) = length_symbol(len);
                    self.literals.put(symbol, writer);
                    writer.put(bits, count);
                    let (symbol, count, bits) = distance_symbol(distance);
                    self.distances.put(symbol, writer);
                    writer.put(bits, count);
                }
                Err(byte) => self.literals.put(byte.into(), writer),
            }
        }
        self.literals.put(END, writer);
    }
}
