//! A caller who calls whatever zlib.h allows, in any order, on a device that may fail at any moment: played against this
//! library, with stock zlib as the judge of every byte. Chance or a fuzzer chooses.
//!
//! A decoder of stock zlib reads along, so that each flush is seen to have flushed. Where there is always ample room, a
//! compressor of stock zlib is called in the same way, and must answer with the same codes.
#![expect(unsafe_code, reason = "a gz_header is C")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::{CString, c_int};

use warpdrive::Reason;
use warpdrive::config::Verify;
use warpdrive::memory::Charge;
use warpdrive::request::compress::Wrapper;

use super::super::{Deflate, MANY_BYTES, Parameters, rank};
use super::fake::{Fake, Lie};
use crate::abi::header::HeaderRef;
use crate::abi::io::Io;
use crate::abi::{
    Z_BLOCK, Z_BUF_ERROR, Z_DATA_ERROR, Z_FINISH, Z_FULL_FLUSH, Z_NEED_DICT, Z_NO_FLUSH, Z_OK, Z_STREAM_END,
    Z_STREAM_ERROR, Z_SYNC_FLUSH, gz_header,
};
use crate::accelerator::DeflateLimits;
use crate::testing::{Random, StockDeflate, StockInflate, sample, stock_header};
use crate::wrapper;

/// Sizes so small that everything happens in streams of a few kilobytes.
const TINY: DeflateLimits =
    DeflateLimits { cheap: 16, threshold: 200, first_segment: 600, last_segment: 2500, piece: 1000 };
/// An empty fixed block, not final: what `deflatePrime` can put between any two blocks.
const EMPTY_BLOCK: (c_int, c_int) = (10, 2);

/// What happened in one game.
#[derive(Default, Debug)]
pub(super) struct Did {
    pub(super) streams: u64,
    pub(super) calls: u64,
    pub(super) hardware_bytes: u64,
    pub(super) software_bytes: u64,
    pub(super) bounds_checked: u64,
    pub(super) codes_compared: u64,
}

/// A fuzzer's bytes make one game.
pub(crate) fn fuzzed(data: &[u8]) {
    play(&Random::from_bytes(data), true, 12_000, "fuzzed");
}

/// One stream, perhaps reset and used again, from beginning to end. `tiny`: with the sizes of [`TINY`].
pub(super) fn play(random: &Random, tiny: bool, longest: usize, name: &str) -> Did {
    let _told = Told(name);
    let fake = unreliable(random, tiny);
    let _many = random.chance(20).then(|| Charge::new(2 * MANY_BYTES));
    let small = random.chance(50);
    let mut player = Player::new(random, &fake, longest, name.to_owned());
    loop {
        player.begin(if small { longest / 20 } else { longest });
        while player.step() {}
        if !random.chance(15) {
            break;
        }
        player.reset();
    }
    let Player { stream, twin, begun, done, finishing, mut did, .. } = player;
    // A stream that has begun to end may be left without complaint.
    let expected = if begun && !done { Z_DATA_ERROR } else { Z_OK };
    let code = stream.end();
    assert!(code == expected || (finishing && code == Z_OK), "{name}: end {code}");
    if let Some(twin) = twin {
        assert_eq!(twin.end(), code, "{name}: end of stock zlib");
    }
    let counts = fake.counts.borrow();
    did.hardware_bytes = counts.hardware;
    did.software_bytes = counts.bytes() - counts.hardware;
    did
}

/// Says which game it was that panicked, wherever it did.
struct Told<'a>(&'a str);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("in {}", self.0);
        }
    }
}

fn unreliable(random: &Random, tiny: bool) -> Fake {
    let mut fake = Fake::new(random.below(1 << 20) as u64);
    fake.failing_percent = [0, 0, 20, 60, 100][random.below(5)];
    fake.absent_percent = [0, 0, 0, 3, 30][random.below(5)];
    fake.expanding_percent = [0, 0, 30][random.below(3)];
    fake.verify = [Verify::Off, Verify::Crc, Verify::Full][random.below(3)];
    fake.lie = match fake.verify {
        Verify::Full if random.chance(20) => Lie::Output,
        Verify::Crc if random.chance(20) => Lie::Checksum,
        _ => Lie::None,
    };
    fake.parallel = [1, 2, 4, 64][random.below(4)];
    fake.narrow = random.chance(50);
    if tiny {
        fake.limits = TINY;
        fake.min_bytes = [4, 60, 200][random.below(3)];
        fake.stream_bytes = [6000, 60_000][random.below(2)];
    } else {
        fake.min_bytes = [64, 16 << 10, 64 << 10][random.below(3)];
        fake.stream_bytes = [1 << 20, 16 << 20][random.below(2)];
    }
    if random.chance(5) {
        fake.route = Err(Reason::NoDevice);
    }
    fake
}

/// The bound that callers have hard-coded: `deflateBound` of zlib 1.3.1, written down once more (zlib-abi §1.3).
fn bound_of_1_3_1(
    len: usize,
    (level, window_bits, mem_level): (c_int, c_int, c_int),
    around: usize,
) -> usize {
    let hash_bits = mem_level + 7;
    around
        + if (window_bits, mem_level) == (15, 8) {
            len + (len >> 12) + (len >> 14) + (len >> 25) + 7
        } else if window_bits <= hash_bits && level != 0 {
            len + (len >> 3) + (len >> 8) + (len >> 9) + 4
        } else {
            len + (len >> 5) + (len >> 7) + (len >> 11) + 7
        }
}

/// A header as `deflateSetHeader` wants it, and what it points to.
struct Header {
    head: Box<gz_header>,
    extra: Vec<u8>,
    name: CString,
    comment: CString,
}

impl Header {
    fn new(random: &Random) -> Self {
        let text = |len: usize| CString::new(vec![b'n'; len]).unwrap();
        let (name, comment) = (text(random.length(300)), text(random.length(2000)));
        let mut extra = vec![7; random.length(3000)];
        // SAFETY: integers and pointers that may be NULL.
        let mut head: Box<gz_header> = Box::new(unsafe { std::mem::zeroed() });
        head.text = c_int::from(random.chance(30));
        head.time = random.below(1 << 24) as _;
        head.os = c_int::try_from(random.below(256)).unwrap();
        head.hcrc = c_int::from(random.chance(50));
        if random.chance(50) {
            (head.extra, head.extra_len) = (extra.as_mut_ptr(), u32::try_from(extra.len()).unwrap());
        }
        if random.chance(50) {
            head.name = name.as_ptr().cast_mut().cast();
        }
        if random.chance(50) {
            head.comment = comment.as_ptr().cast_mut().cast();
        }
        Self { head, extra, name, comment }
    }

    /// Bytes that it takes beyond the plain ten, as `deflateBound` counts them.
    fn len(&self) -> usize {
        let head = &self.head;
        let there = |there: bool, len: usize| if there { len } else { 0 };
        there(!head.extra.is_null(), 2 + self.extra.len())
            + there(!head.name.is_null(), self.name.as_bytes_with_nul().len())
            + there(!head.comment.is_null(), self.comment.as_bytes_with_nul().len())
            + there(head.hcrc != 0, 2)
    }

    fn check(&self, packed: &[u8], name: &str) {
        let head = &self.head;
        let there = |there: bool, bytes: &[u8]| if there { bytes.to_vec() } else { Vec::new() };
        let expected = (
            head.text,
            head.time,
            head.os,
            there(!head.extra.is_null(), &self.extra),
            there(!head.name.is_null(), self.name.as_bytes()),
            there(!head.comment.is_null(), self.comment.as_bytes()),
            1,
        );
        assert!(stock_header(packed) == expected, "{name}: the header differs");
    }
}

struct Player<'a> {
    random: &'a Random,
    name: String,
    longest: usize,
    wrapper: Wrapper,
    window_bits: c_int,
    mem_level: c_int,
    level: c_int,
    strategy: c_int,
    stream: Deflate<Fake>,
    header: Option<Header>,

    /// Stock zlib in the same calls; only where there is always room.
    twin: Option<StockDeflate>,
    twin_at: usize,

    // Habits.
    exotic: bool,
    flushing: usize,
    largest_chunk: usize,
    largest_room: usize,
    /// One call with everything and as much room as `deflateBound` says.
    single: bool,

    // What the caller knows.
    input: Vec<u8>,
    at: usize,
    output: Vec<u8>,
    begun: bool,
    finishing: bool,
    done: bool,
    /// The last call's flush; None once that tells nothing: interrupted, reset, another function in between.
    last_flush: Option<c_int>,
    idle: usize,
    /// Over the plain text taken.
    checksum: u32,
    /// Id of the preset dictionary, until the header is written.
    dictionary_id: Option<u32>,
    /// Nothing was called that may add to the size.
    plain_calls: bool,

    // The reader.
    decoder: StockInflate,
    decoded: usize,
    ended: bool,
    /// What the decoder's window holds: plain text and dictionaries.
    history: Vec<u8>,
    preset: Vec<u8>,
    /// Bits put in front of a raw stream.
    front: Option<(usize, u32)>,
    /// Output and input where a full flush ended.
    independent: Option<(usize, usize)>,
    fully_flushed: bool,
    /// Level 0 was used.
    stored: bool,

    did: Did,
}

impl<'a> Player<'a> {
    fn new(random: &'a Random, fake: &Fake, longest: usize, name: String) -> Self {
        let wrapper = [Wrapper::Raw, Wrapper::Zlib, Wrapper::Gzip][random.below(3)];
        let level = c_int::try_from(random.below(11)).unwrap() - 1;
        let window = if random.chance(60) { 15 } else { 9 + c_int::try_from(random.below(7)).unwrap() };
        let strategy = if random.chance(70) { 0 } else { c_int::try_from(random.below(5)).unwrap() };
        let mem_level = if random.chance(70) { 8 } else { 1 + c_int::try_from(random.below(9)).unwrap() };
        let window_bits = match wrapper {
            Wrapper::Raw => -window,
            Wrapper::Zlib => window,
            Wrapper::Gzip => window + 16,
        };
        let parameters = Parameters::new(level, 8, window_bits, mem_level, strategy).unwrap();
        let ample = random.chance(35);
        Self {
            random,
            name: format!(
                "{name} (windowBits {window_bits}, level {level}, memLevel {mem_level}, strategy {strategy})"
            ),
            longest,
            wrapper,
            window_bits,
            mem_level,
            level: if level == -1 { 6 } else { level },
            strategy,
            stream: Deflate::new(fake.clone(), parameters),
            header: None,
            twin: ample.then(|| StockDeflate::new((level, window_bits, mem_level, strategy))),
            twin_at: 0,
            exotic: false,
            flushing: 0,
            largest_chunk: 1,
            largest_room: 1,
            single: false,
            input: Vec::new(),
            at: 0,
            output: Vec::new(),
            begun: false,
            finishing: false,
            done: false,
            last_flush: None,
            idle: 0,
            checksum: 0,
            dictionary_id: None,
            plain_calls: true,
            decoder: StockInflate::new(window_bits),
            decoded: 0,
            ended: false,
            history: Vec::new(),
            preset: Vec::new(),
            front: None,
            independent: None,
            fully_flushed: false,
            stored: level == 0,
            did: Did::default(),
        }
    }

    /// Plain text and habits of the stream that begins now.
    fn begin(&mut self, longest: usize) {
        let random = self.random;
        let len = random.length(longest);
        self.input = sample(&Random::new(random.below(1 << 20) as u64), len);
        self.single = random.chance(20);
        self.exotic = !self.single && random.chance(40);
        self.flushing = if self.single { 0 } else { [0, 0, 5, 30][random.below(4)] };
        self.largest_chunk = [longest / 1000, longest / 15, longest * 2][random.below(3)].max(len / 1000 + 1);
        self.largest_room = [20, longest / 60, longest * 2][random.below(3)].max(len / 1000 + 1);
        self.checksum = wrapper::initial_checksum(self.wrapper);
        self.did.streams += 1;
        if random.chance(10) {
            self.set_header();
        }
        if random.chance(8) {
            self.set_dictionary();
        }
        if self.wrapper == Wrapper::Raw && self.exotic && random.chance(10) {
            let bits = random.below(17);
            let value = u32::try_from(random.below(1 << 16)).unwrap() & ((1 << bits) - 1);
            self.prime((c_int::try_from(bits).unwrap(), c_int::try_from(value).unwrap()));
            self.front = Some((bits, value));
        }
    }

    /// `deflateReset`: the next stream.
    fn reset(&mut self) {
        self.stream.reset();
        if let Some(twin) = &mut self.twin {
            twin.reset();
        }
        (self.at, self.twin_at, self.idle, self.decoded) = (0, 0, 0, 0);
        self.output.clear();
        self.history.clear();
        self.preset.clear();
        (self.begun, self.finishing, self.done, self.ended) = (false, false, false, false);
        (self.last_flush, self.dictionary_id, self.front, self.independent) = (None, None, None, None);
        (self.plain_calls, self.fully_flushed) = (true, false);
        self.checksum = wrapper::initial_checksum(self.wrapper);
        self.decoder = StockInflate::new(self.window_bits);
        self.check_adler();
    }

    /// One call, or two. False: the stream is at its end, or left in the middle.
    fn step(&mut self) -> bool {
        if self.exotic && self.random.chance(8) {
            match self.random.below(9) {
                0 => self.set_params(),
                1 => self.copy(),
                2 => self.look_at_dictionary(),
                3 => self.tune(),
                4 if self.begun && !self.finishing => self.prime(EMPTY_BLOCK),
                5 => self.set_dictionary(),
                6 => self.call_wrongly(),
                7 if self.did.streams < 4 && self.random.chance(40) => {
                    self.reset();
                    self.begin(self.longest);
                    return true;
                }
                8 => return !self.random.chance(20),
                _ => {}
            }
        }
        self.deflate();
        if self.done {
            self.after_the_end();
        }
        !self.done
    }

    fn size_bound(&self) -> usize {
        let around = match self.wrapper {
            Wrapper::Raw => 0,
            Wrapper::Zlib if !self.preset.is_empty() => 10,
            Wrapper::Zlib => 6,
            Wrapper::Gzip => 18 + self.header.as_ref().map_or(0, Header::len),
        };
        let parameters = (self.level, self.window_bits.abs() & 15, self.mem_level);
        // windowBits of 16 more have 15 at most.
        let parameters = if self.wrapper == Wrapper::Gzip {
            (parameters.0, self.window_bits - 16, parameters.2)
        } else {
            parameters
        };
        bound_of_1_3_1(self.input.len(), parameters, around)
    }

    fn deflate(&mut self) {
        let random = self.random;
        let left = self.input.len() - self.at;
        let bound = self.size_bound();
        assert_eq!(self.stream.bound(self.input.len()), bound, "{}: deflateBound", self.name);
        let give = if self.single { left } else { random.length(self.largest_chunk).min(left) };
        let finish = give == left && (self.single || self.finishing || random.chance(80));
        let flush = match () {
            () if finish => Z_FINISH,
            () if random.chance(self.flushing) => 1 + c_int::try_from(random.below(3)).unwrap(),
            () if self.flushing != 0 && random.chance(3) => Z_BLOCK,
            () => Z_NO_FLUSH,
        };
        let room = match () {
            () if self.twin.is_some() => self.input.len() * 2 + 100_000,
            // Segments of TINY have a marker each; the bound has no room for so many.
            () if self.single => bound + if self.of_product_size() { 0 } else { self.input.len() + 1000 },
            () if random.chance(2) => 0,
            () => 1 + random.length(self.largest_room - 1),
        };
        let first = !self.begun;
        let repeated = give == 0 && self.last_flush.is_some_and(|last| rank(flush) <= rank(last));
        let mut buffer = vec![0_u8; room];
        let at = self.at;
        let mut io = Io::from_slices(&self.input[at..at + give], &mut buffer);
        let code = self.stream.deflate(&mut io, flush);
        let (used, made) = (give - io.avail_in(), room - io.avail_out());
        let context = format!("{}: {give} bytes, flush {flush}, room {room} at {at}: {code}", self.name);
        self.did.calls += 1;
        self.take(used, &buffer[..made]);
        self.finishing |= finish && used == give;
        let all = used == give;
        match code {
            _ if room == 0 => assert_eq!((code, used), (Z_BUF_ERROR, 0), "{context}"),
            Z_OK => {
                assert!(all || made == room, "{context}: stops with input and room");
                assert!(flush != Z_FINISH || made == room, "{context}: no end, and room");
                assert!(
                    flush != Z_NO_FLUSH || !repeated || made != 0,
                    "{context}: nothing done is no success"
                );
            }
            Z_STREAM_END => assert!(finish && all && self.at == self.input.len(), "{context}"),
            // After a call that filled its room exactly, zlib says Z_OK to nothing; that it may be this is in zlib.h, too.
            Z_BUF_ERROR => {
                let flushed = flush == Z_NO_FLUSH || flush == Z_BLOCK || self.decoded == at;
                let idle = repeated || (self.begun && self.last_flush.is_none() && flushed);
                assert!(idle && give + made == 0 && flush != Z_FINISH, "{context}: repeated {repeated}");
            }
            _ => panic!("{context}"),
        }
        if room != 0 {
            self.begun = true;
            self.dictionary_id = None;
        }
        self.check_adler();
        if code == Z_OK && made < room {
            assert_eq!(self.stream.pending().0, 0, "{context}: room, and something waits");
            self.check_flushed(flush, &context);
        }
        self.plain_calls &= flush == Z_NO_FLUSH || flush == Z_FINISH;
        self.fully_flushed |= flush == Z_FULL_FLUSH;
        if first && self.single {
            assert_eq!(code, Z_STREAM_END, "{context}: deflateBound was not enough");
        }
        self.done = code == Z_STREAM_END;
        if let Some(twin) = &mut self.twin {
            let end = at + give;
            let (stock, used, _) = twin.deflate(&self.input[self.twin_at..end], &mut buffer, flush);
            self.twin_at += used;
            // deflateParams leaves output here where stock zlib still holds plain text.
            let late = (code, stock) == (Z_OK, Z_BUF_ERROR) && made != 0;
            // And where it ended a block that stock zlib did not end, there is nothing to do for a Z_BLOCK.
            let early = (code, stock, flush) == (Z_BUF_ERROR, Z_OK, Z_BLOCK) && self.last_flush.is_none();
            assert!(code == stock || late || early, "{context}, stock zlib {stock}");
            assert_eq!(self.at, self.twin_at, "{context}");
            if self.wrapper != Wrapper::Raw {
                assert_eq!(u64::from(self.stream.adler()), twin.adler(), "{context}");
            }
            self.did.codes_compared += 1;
        }
        self.last_flush = (room != 0 && made < room).then_some(flush);
        // Whatever zlib says, a caller that goes on makes progress.
        self.idle = if used + made != 0 { 0 } else { self.idle + 1 };
        assert!(self.idle < 400, "{context}: stalls");
    }

    /// The library took `used` bytes and gave `made`.
    fn take(&mut self, used: usize, made: &[u8]) {
        let plain = &self.input[self.at..self.at + used];
        self.checksum = wrapper::checksum(self.wrapper, self.checksum, plain);
        self.history.extend_from_slice(plain);
        self.at += used;
        self.output.extend_from_slice(made);
        self.read(made.to_vec());
    }

    /// The reader reads along; what it reads must be what was written.
    fn read(&mut self, made: Vec<u8>) {
        let mut made = &made[..];
        while let (Some((bits, value)), Some(byte)) = (self.front, made.first()) {
            // The bits in front are the caller's own; the rest of their last byte is deflate's.
            let part = bits.min(8);
            let mask = (1_u32 << part) - 1;
            assert_eq!(u32::from(*byte) & mask, value & mask, "{}: primed bits", self.name);
            if part == 0 {
                self.front = None;
                break;
            }
            if part < 8 {
                self.decoder.prime(c_int::try_from(8 - part).unwrap(), c_int::from(byte >> part));
            }
            made = &made[1..];
            self.front = (bits > 8).then_some((bits - part, value >> part));
        }
        let mut room = [0_u8; 16 << 10];
        loop {
            let (code, used, got) = self.decoder.inflate(made, &mut room, Z_NO_FLUSH);
            made = &made[used..];
            let expected = self.input.get(self.decoded..self.decoded + got);
            assert!(expected == Some(&room[..got]), "{}: decoded otherwise at {}", self.name, self.decoded);
            self.decoded += got;
            match code {
                Z_STREAM_END => {
                    assert!(made.is_empty(), "{}: bytes behind the end", self.name);
                    self.ended = true;
                    return;
                }
                Z_NEED_DICT => assert_eq!(self.decoder.set_dictionary(&self.preset), Z_OK, "{}", self.name),
                Z_OK => {}
                Z_BUF_ERROR if used + got == 0 => return,
                _ => panic!("{}: {code} {:?} at {}", self.name, self.decoder.message(), self.decoded),
            }
        }
    }

    fn check_adler(&self) {
        let expected = self.dictionary_id.unwrap_or(self.checksum);
        assert_eq!(self.stream.adler(), expected, "{}: adler at {}", self.name, self.at);
    }

    /// After a flush that had room, everything taken can be decoded.
    fn check_flushed(&mut self, flush: c_int, context: &str) {
        if !(1..=Z_FULL_FLUSH).contains(&flush) {
            return;
        }
        assert!(self.decoded == self.at, "{context}: only {} can be decoded", self.decoded);
        if flush == Z_SYNC_FLUSH || flush == Z_FULL_FLUSH {
            assert!(self.output.ends_with(&[0, 0, 0xff, 0xff]), "{context}: no marker");
        }
        if flush == Z_FULL_FLUSH && self.random.chance(50) {
            self.independent = Some((self.output.len(), self.at));
        }
    }

    fn after_the_end(&mut self) {
        let name = &self.name;
        assert!(self.ended && self.decoded == self.input.len(), "{name}: the reader is not at the end");
        assert_eq!(self.stream.pending(), (0, 0), "{name}");
        let mut room = [0_u8; 100];
        let mut call = |input: &[u8], flush| {
            let mut io = Io::from_slices(input, &mut room);
            let code = self.stream.deflate(&mut io, flush);
            (code, io.avail_in(), io.avail_out())
        };
        assert_eq!(call(&[], Z_FINISH), (Z_STREAM_END, 0, 100), "{name}");
        assert_eq!(call(b"x", Z_FINISH), (Z_BUF_ERROR, 1, 100), "{name}");
        assert_eq!(call(&[], Z_NO_FLUSH), (Z_STREAM_ERROR, 0, 100), "{name}");
        assert_eq!(call(b"x", Z_SYNC_FLUSH), (Z_STREAM_ERROR, 1, 100), "{name}");
        // Level 0 cuts blocks to fit the room, and deflateBound is for a single call.
        if self.plain_calls && (self.single || self.level != 0) && self.of_product_size() {
            let bound = self.size_bound();
            assert!(self.output.len() <= bound, "{name}: {} bytes, bound {bound}", self.output.len());
            self.did.bounds_checked += 1;
        }
        if let Some(header) = &self.header {
            header.check(&self.output, name);
        }
        if let Some((from, at)) = self.independent.take() {
            // Nothing behind a full flush refers to what was before it.
            let mut fresh = StockInflate::new(-15);
            let mut room = vec![0; self.input.len() - at + 1];
            let (code, _, got) = fresh.inflate(&self.output[from..], &mut room, Z_NO_FLUSH);
            assert!(
                code == Z_STREAM_END && room[..got] == self.input[at..],
                "{name}: {code} after a full flush"
            );
        }
    }

    fn of_product_size(&self) -> bool {
        self.stream.accelerator.limits.threshold == DeflateLimits::PRODUCT.threshold
    }

    fn set_params(&mut self) {
        let random = self.random;
        let level = c_int::try_from(random.below(if random.chance(90) { 11 } else { 13 })).unwrap() - 1;
        let strategy = c_int::try_from(random.below(if random.chance(90) { 5 } else { 6 })).unwrap();
        let left = self.input.len() - self.at;
        // The two libraries take different parts of what is offered here.
        let none = self.twin.is_some() || random.chance(50);
        let give = if none { 0 } else { random.length(self.largest_chunk).min(left) };
        let room = if self.twin.is_some() {
            self.input.len() * 2 + 100_000
        } else {
            random.length(self.largest_room)
        };
        let mut buffer = vec![0_u8; room];
        let at = self.at;
        let mut io = Io::from_slices(&self.input[at..at + give], &mut buffer);
        let code = self.stream.set_params(&mut io, level, strategy);
        let (used, made) = (give - io.avail_in(), room - io.avail_out());
        let context =
            format!("{}: params {level} {strategy}, {give} bytes, room {room} at {at}: {code}", self.name);
        let valid = level < 10 && strategy < 5;
        self.take(used, &buffer[..made]);
        self.check_adler();
        match code {
            Z_OK | Z_BUF_ERROR => assert!(valid, "{context}"),
            // Nothing can change once the end has begun.
            _ => assert!(code == Z_STREAM_ERROR && (!valid || self.finishing), "{context}"),
        }
        if code == Z_OK {
            (self.level, self.strategy) = (if level == -1 { 6 } else { level }, strategy);
            self.stored |= level == 0;
        }
        if let Some(twin) = &mut self.twin {
            let (stock, used, _) =
                twin.params(&self.input[self.twin_at..at + give], &mut buffer, level, strategy);
            self.twin_at += used;
            assert_eq!(code, stock, "{context}");
            self.did.codes_compared += 1;
        }
        (self.plain_calls, self.last_flush, self.single) = (false, None, false);
    }

    fn copy(&mut self) {
        let mut copy = self.stream.copy().unwrap();
        if self.random.chance(50) {
            let old = std::mem::replace(&mut self.stream, copy);
            let expected = if self.begun && !self.done { Z_DATA_ERROR } else { Z_OK };
            let code = old.end();
            assert!(code == expected || (self.finishing && code == Z_OK), "{}: end {code}", self.name);
            return;
        }
        // The copy ends here, the original goes on: each alone.
        let mut end = vec![0_u8; self.input.len() * 2 + 100_000];
        let len = end.len();
        let mut io = Io::from_slices(&[], &mut end);
        assert_eq!(copy.deflate(&mut io, Z_FINISH), Z_STREAM_END, "{}", self.name);
        let made = len - io.avail_out();
        assert_eq!(copy.end(), Z_OK, "{}", self.name);
        if self.history.len() == self.at && self.front.is_none() && self.plain_calls {
            let whole = [&self.output, &end[..made]].concat();
            let (mut reader, mut room) = (StockInflate::new(self.window_bits), vec![0; self.at + 1]);
            let (code, used, got) = reader.inflate(&whole, &mut room, Z_NO_FLUSH);
            assert_eq!((code, used), (Z_STREAM_END, whole.len()), "{}: the copy's end", self.name);
            assert!(room[..got] == self.input[..self.at], "{}: the copy's text", self.name);
        }
    }

    fn look_at_dictionary(&mut self) {
        let window = self.stream.dictionary().unwrap();
        let most = self.history.len().min(1 << self.window_size_bits());
        assert!(self.history.ends_with(&window), "{}: the window at {}", self.name, self.at);
        // zlib.h allows 258 bytes less, the engine's lookahead is 262. What lies before a full flush is told by stock zlib, though nothing may refer to it;
        // of a level 0 stream the engine keeps less.
        let whole = window.len() + 262 >= most;
        assert!(whole || self.fully_flushed || self.stored, "{}: {} of {most}", self.name, window.len());
    }

    fn window_size_bits(&self) -> c_int {
        match self.wrapper {
            Wrapper::Raw => -self.window_bits,
            Wrapper::Zlib => self.window_bits,
            Wrapper::Gzip => self.window_bits - 16,
        }
    }

    fn tune(&mut self) {
        let knob = || [0, 1, 4, 32, 258, 4096, -1][self.random.below(7)];
        let tune = [knob(), knob(), knob(), knob()];
        assert_eq!(self.stream.tune(tune), Z_OK, "{}", self.name);
        let _ = (self.stream.pending(), self.stream.bits_used(), self.stream.data_type());
        self.plain_calls = false;
    }

    fn prime(&mut self, (bits, value): (c_int, c_int)) {
        let code = self.stream.prime(bits, value);
        assert!(matches!(code, Z_OK | Z_BUF_ERROR), "{}: prime {code}", self.name);
        if let Some(twin) = &mut self.twin {
            assert_eq!(code, twin.prime(bits, value), "{}: prime", self.name);
            self.did.codes_compared += 1;
        }
        (self.plain_calls, self.single, self.last_flush) = (false, false, None);
    }

    fn set_dictionary(&mut self) {
        let fresh = !self.begun && self.at == 0;
        // In the middle of a raw stream the reader must be told at the same place: when it has read everything.
        let flushed = matches!(self.last_flush, Some(1..=Z_FULL_FLUSH)) && self.decoded == self.at;
        if self.wrapper == Wrapper::Raw && !((fresh && self.front.is_none()) || flushed) || self.finishing {
            return;
        }
        let dictionary = sample(&Random::new(self.random.below(1 << 16) as u64), self.random.length(40_000));
        let code = self.stream.set_dictionary(&dictionary);
        let allowed = match self.wrapper {
            Wrapper::Gzip => false,
            Wrapper::Zlib => !self.begun,
            Wrapper::Raw => true,
        };
        assert_eq!(code, if allowed { Z_OK } else { Z_STREAM_ERROR }, "{}: dictionary", self.name);
        if let Some(twin) = &mut self.twin {
            assert_eq!(code, twin.set_dictionary(&dictionary), "{}: dictionary", self.name);
            self.did.codes_compared += 1;
        }
        if !allowed || dictionary.is_empty() {
            return;
        }
        self.history.extend_from_slice(&dictionary);
        self.independent = None;
        match self.wrapper {
            Wrapper::Raw => assert_eq!(self.decoder.set_dictionary(&dictionary), Z_OK, "{}", self.name),
            // The reader asks for the last one set; those before it are its history.
            _ => {
                let before = self.dictionary_id.unwrap_or(1);
                self.dictionary_id = Some(wrapper::checksum(Wrapper::Zlib, before, &dictionary));
                self.preset.extend_from_slice(&dictionary);
            }
        }
        self.check_adler();
    }

    fn set_header(&mut self) {
        let mut header = Header::new(self.random);
        // SAFETY: kept with the stream, behind the header is never looked at again.
        let code = self.stream.set_header(unsafe { HeaderRef::new(&mut *header.head) });
        let expected = if self.wrapper == Wrapper::Gzip { Z_OK } else { Z_STREAM_ERROR };
        assert_eq!(code, expected, "{}", self.name);
        if let Some(twin) = &mut self.twin {
            // SAFETY: as above.
            assert_eq!(unsafe { twin.set_header(&mut *header.head) }, expected, "{}", self.name);
        }
        if code == Z_OK {
            self.header = Some(header);
        }
    }

    /// Arguments that zlib refuses change nothing.
    fn call_wrongly(&mut self) {
        let mut room = [0_u8; 10];
        assert_eq!(self.stream.prime(17, 0), Z_BUF_ERROR, "{}", self.name);
        assert_eq!(self.stream.prime(-1, 0), Z_BUF_ERROR, "{}", self.name);
        let mut io = Io::from_slices(&[], &mut room);
        assert_eq!(self.stream.set_params(&mut io, 10, 0), Z_STREAM_ERROR, "{}", self.name);
        assert_eq!(self.stream.set_params(&mut io, 6, -1), Z_STREAM_ERROR, "{}", self.name);
        assert_eq!(io.avail_out(), 10, "{}", self.name);
        let mut io = Io::from_slices(b"x", &mut []);
        let code = self.stream.deflate(&mut io, Z_SYNC_FLUSH);
        assert!(code == Z_BUF_ERROR || (self.finishing && code == Z_STREAM_ERROR), "{}: {code}", self.name);
        assert_eq!(io.avail_in(), 1, "{}", self.name);
        self.last_flush = None;
    }
}
