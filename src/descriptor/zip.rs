//! ZIP: the 128-byte descriptor of the compression accelerator (`zip §1`). Compress or inflate is a property of the
//! queue, not of the descriptor.

use super::{Descriptor, Fault, TagPlace, dword, set_address, set_dword};
use crate::request::compress::{Carried, InflateStream, Window, Wrapper};

/// Bytes of one descriptor.
pub(crate) const LEN_BYTES: usize = 128;
/// Bytes of a stream's context buffer, zero-filled when the stream starts (`zip §2.1`).
pub(crate) const CONTEXT_LEN_BYTES: usize = InflateStream::LEN_BYTES;
/// The device's part of the context buffer starts here (`zip §2.1`).
const CONTEXT_DEVICE_OFFSET: u64 = 64;
/// Most bytes of input or output in one flat descriptor (`zip §3.1`).
pub(crate) const MAX_FLAT_LEN_BYTES: usize = InflateStream::PIECE_MAX_BYTES;

/// Dword 7: stateful, first descriptor of its stream, sync flush (`zip §1.4`).
const STREAM_FIRST_SYNC: u32 = 0x0c00_0000;
/// Dword 7: stateful, a later descriptor of its stream, sync flush (`zip §1.4`).
const STREAM_NEXT_SYNC: u32 = 0x0400_0000;
/// Dword 7: stateless, as the reference user-space driver sends it (`zip §1.4`).
const STATELESS: u32 = 0x0a00_0000;
/// Status codes (`zip §1.7`).
const STATUS_SUCCESS: u32 = 0x00;
const STATUS_NEGATIVE_COMPRESSION: u32 = 0x0d;
/// The end of a stream, where the last block's bit stands beside it.
const STATUS_ENDED: u32 = 0x13;

/// The descriptor type a device generation speaks (`zip §1.2`): bits 31:28 of dword 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Type 0, Kunpeng 920: tag in dword 13, fixed window, no raw deflate.
    Type0,
    /// Type 3, later generations: tag in dword 26, window codes, raw deflate where listed.
    Type3,
}

impl Form {
    /// Where completions carry the tag.
    pub(crate) fn tag_place(self) -> TagPlace {
        match self {
            Self::Type0 => TagPlace::ZipType0,
            Self::Type3 => TagPlace::ZipType3,
        }
    }

    fn dword7(self, stream_bits: u32) -> u32 {
        match self {
            Self::Type0 => stream_bits,
            Self::Type3 => 3 << 28 | stream_bits,
        }
    }

    /// Dword 9: request type and window; the older device's window is fixed and its field stays 0 (`zip §1.6`).
    fn dword9(self, wrapper: Wrapper, window: Window) -> u32 {
        let kind = request_type(wrapper);
        match self {
            Self::Type0 => kind,
            Self::Type3 => kind | window_code(window) << 12,
        }
    }

    fn set_tag(self, bytes: &mut [u8], tag: u32) {
        match self {
            Self::Type0 => set_dword(bytes, 13, tag),
            Self::Type3 => set_dword(bytes, 26, tag),
        }
    }
}

/// One segment of its own: first of a stream, sync flush, so non-final blocks that end byte-aligned, without header
/// and trailer. Type `Zlib` gives the same blocks as `Raw`, on devices that have no raw type (`zlib-abi §2.1`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deflate {
    /// Generation of the device.
    pub(crate) form: Form,
    /// `Raw` where the device has it, else `Zlib`.
    pub(crate) wrapper: Wrapper,
    /// History size; ignored by type 0.
    pub(crate) window: Window,
    /// Plain text: address and bytes, at most [`MAX_FLAT_LEN_BYTES`].
    pub(crate) input: u64,
    pub(crate) input_len: u32,
    /// Room for the blocks: address and bytes, see [`deflate_room`].
    pub(crate) output: u64,
    pub(crate) output_len: u32,
    /// Address of [`CONTEXT_LEN_BYTES`] zero bytes.
    pub(crate) context: u64,
}

/// What a compressing device reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deflated {
    /// Bytes written.
    pub(crate) produced: usize,
    /// Of the plain text: Adler-32 for type `Zlib`, CRC-32 for `Gzip`, meaningless for `Raw` (`zip §2.6`).
    pub(crate) checksum: u32,
}

impl Descriptor for Deflate {
    type Answer = Deflated;

    fn encode(&self, tag: u32, bytes: &mut [u8]) {
        bytes.fill(0);
        set_dword(bytes, 4, self.input_len);
        set_dword(bytes, 7, self.form.dword7(STREAM_FIRST_SYNC));
        set_dword(bytes, 9, self.form.dword9(self.wrapper, self.window));
        set_dword(bytes, 14, self.output_len);
        set_address(bytes, 18, self.input);
        set_address(bytes, 20, self.output);
        set_address(bytes, 22, self.context + CONTEXT_DEVICE_OFFSET);
        self.form.set_tag(bytes, tag);
    }

    fn decode(&self, completed: &[u8]) -> Result<Deflated, Fault> {
        // Status 0x0D: the output is not smaller than the input; a success nevertheless (`zip §1.7`).
        let report = Report::read(completed, request_type(self.wrapper))?;
        if report.status != STATUS_SUCCESS && report.status != STATUS_NEGATIVE_COMPRESSION {
            return Err(Fault::Status(report.status));
        }
        if report.consumed != self.input_len || report.produced > self.output_len {
            return Err(Fault::Impossible);
        }
        // Type gzip reports the shift register of its CRC, most significant bit first and not inverted (`zip §2.6`).
        let checksum = match self.wrapper {
            Wrapper::Gzip => (!report.checksum).reverse_bits(),
            Wrapper::Raw | Wrapper::Zlib => report.checksum,
        };
        Ok(Deflated { produced: widen(report.produced)?, checksum })
    }
}

/// One whole body without its header, trailer included; stateless.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inflate {
    /// Generation of the device.
    pub(crate) form: Form,
    /// Which trailer the device checks; `Raw` only where the device lists it.
    pub(crate) wrapper: Wrapper,
    /// Body: address and bytes.
    pub(crate) input: u64,
    pub(crate) input_len: u32,
    /// Room for the plain text: address and bytes.
    pub(crate) output: u64,
    pub(crate) output_len: u32,
}

/// What an inflating device reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InflatedSizes {
    /// Bytes used of the body, trailer included.
    pub(crate) consumed: usize,
    /// Bytes of plain text.
    pub(crate) produced: usize,
}

impl Descriptor for Inflate {
    type Answer = InflatedSizes;

    fn encode(&self, tag: u32, bytes: &mut [u8]) {
        bytes.fill(0);
        set_dword(bytes, 4, self.input_len);
        set_dword(bytes, 7, self.form.dword7(STATELESS));
        // A stream may refer back as far as 32 KiB.
        set_dword(bytes, 9, self.form.dword9(self.wrapper, Window::K32));
        set_dword(bytes, 14, self.output_len);
        set_address(bytes, 18, self.input);
        set_address(bytes, 20, self.output);
        self.form.set_tag(bytes, tag);
    }

    fn decode(&self, completed: &[u8]) -> Result<InflatedSizes, Fault> {
        let report = Report::read(completed, request_type(self.wrapper))?;
        if report.status != STATUS_SUCCESS {
            return Err(Fault::Status(report.status));
        }
        if report.consumed > self.input_len || report.produced > self.output_len {
            return Err(Fault::Impossible);
        }
        Ok(InflatedSizes { consumed: widen(report.consumed)?, produced: widen(report.produced)? })
    }
}

/// One piece of a stream without its header, trailer included; stateful.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InflatePiece {
    /// Generation of the device.
    pub(crate) form: Form,
    /// Which trailer the device checks; `Raw` only where the device lists it.
    pub(crate) wrapper: Wrapper,
    /// The stream begins here.
    pub(crate) first: bool,
    /// Address and bytes; the address is valid even of 0 bytes (`zip §3.4`).
    pub(crate) input: u64,
    pub(crate) input_len: u32,
    /// Room for the plain text: address and bytes.
    pub(crate) output: u64,
    pub(crate) output_len: u32,
    /// Address of the stream's [`CONTEXT_LEN_BYTES`].
    pub(crate) context: u64,
    /// From the piece before.
    pub(crate) carried: Carried,
}

/// What an inflating device reports of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InflatedPiece {
    /// Bytes used, trailer included.
    pub(crate) consumed: usize,
    /// Bytes of plain text.
    pub(crate) produced: usize,
    /// Stream and trailer are complete; the trailer matched.
    pub(crate) ended: bool,
    /// The device may hold plain text, or bits that are enough for some (`zip §2.4`, `§2.5`).
    pub(crate) owes: bool,
    /// The body has ended, the trailer has not (`zip §2.4`).
    pub(crate) in_trailer: bool,
    /// For the next piece.
    pub(crate) carried: Carried,
}

impl Descriptor for InflatePiece {
    type Answer = InflatedPiece;

    fn encode(&self, tag: u32, bytes: &mut [u8]) {
        bytes.fill(0);
        set_dword(bytes, 4, self.input_len);
        set_dword(bytes, 7, self.form.dword7(if self.first { STREAM_FIRST_SYNC } else { STREAM_NEXT_SYNC }));
        // A stream may refer back as far as 32 KiB.
        set_dword(bytes, 9, self.form.dword9(self.wrapper, Window::K32));
        set_dword(bytes, 14, self.output_len);
        set_address(bytes, 18, self.input);
        set_address(bytes, 20, self.output);
        set_address(bytes, 22, self.context + CONTEXT_DEVICE_OFFSET);
        if !self.first {
            let Carried { words: [zero, one, two], len, checksum } = self.carried;
            for (index, value) in [(15, zero), (28, one), (29, two), (30, len), (31, checksum)] {
                set_dword(bytes, index, value);
            }
        }
        self.form.set_tag(bytes, tag);
    }

    fn decode(&self, completed: &[u8]) -> Result<InflatedPiece, Fault> {
        let report = Report::read(completed, request_type(self.wrapper))?;
        let ended = report.status == STATUS_ENDED && report.last_block;
        if !ended && report.status != STATUS_SUCCESS && report.status != STATUS_ENDED {
            return Err(Fault::Status(report.status));
        }
        if report.consumed > self.input_len || report.produced > self.output_len {
            return Err(Fault::Impossible);
        }
        let field = |index| dword(completed, index).ok_or(Fault::Impossible);
        let words = [field(15)?, field(28)?, field(29)?];
        let (state, held_bits, stored) = (words[0] & 0xf, words[0] >> 10 & 0x3f, words[1] & 0x7_ffff);
        Ok(InflatedPiece {
            consumed: widen(report.consumed)?,
            produced: widen(report.produced)?,
            ended,
            owes: !ended && (matches!(state, 1 | 2) || stored != 0 || held_bits != 0),
            in_trailer: !ended && state == 4,
            carried: Carried { words, len: field(30)?, checksum: report.checksum },
        })
    }
}

/// The checksum in dword 31 as the stream's trailer has it (`zip §2.6`); a raw stream has none.
pub(crate) fn checksum(wrapper: Wrapper, dword: u32) -> Option<u32> {
    match wrapper {
        Wrapper::Raw => None,
        Wrapper::Zlib => Some(dword),
        Wrapper::Gzip => Some((!dword).reverse_bits()),
    }
}

/// Output room a segment of `input_len` bytes needs: 9/8, and at least 200 bytes for the device, with a margin for the
/// sync marker (`zip §3.2`).
pub(crate) fn deflate_room(input_len: usize) -> usize {
    (input_len + input_len.div_ceil(8) + 16).clamp(256, MAX_FLAT_LEN_BYTES)
}

/// The fields the device writes into every completed descriptor.
struct Report {
    consumed: u32,
    produced: u32,
    status: u32,
    /// Bit 8 of dword 3.
    last_block: bool,
    checksum: u32,
}

impl Report {
    /// # Errors
    /// [`Fault::Impossible`] when the request type is not the one sent: the device never changes it (`zip §7.2`).
    fn read(completed: &[u8], request_type: u32) -> Result<Self, Fault> {
        let field = |index| dword(completed, index).ok_or(Fault::Impossible);
        if field(9)? & 0xff != request_type {
            return Err(Fault::Impossible);
        }
        Ok(Self {
            consumed: field(0)?,
            produced: field(1)?,
            status: field(3)? & 0xff,
            last_block: field(3)? & 0x100 != 0,
            checksum: field(31)?,
        })
    }
}

/// `zip §1.3`.
fn request_type(wrapper: Wrapper) -> u32 {
    match wrapper {
        Wrapper::Raw => 0x01,
        Wrapper::Zlib => 0x02,
        Wrapper::Gzip => 0x03,
    }
}

/// `zip §1.6`.
fn window_code(window: Window) -> u32 {
    match window {
        Window::K4 => 0,
        Window::K8 => 1,
        Window::K16 => 2,
        Window::K24 => 3,
        Window::K32 => 4,
    }
}

fn widen(len: u32) -> Result<usize, Fault> {
    usize::try_from(len).map_err(|_| Fault::Impossible)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 0x0000_ffff_1000_2000;
    const D: u64 = 0x0000_ffff_1000_4000;
    const C: u64 = 0x0000_ffff_2000_0000;

    /// A descriptor of zero dwords but those listed, as the hardware pages write their examples.
    fn dwords(listed: &[(usize, u32)]) -> [u8; LEN_BYTES] {
        let mut bytes = [0; LEN_BYTES];
        for &(index, value) in listed {
            set_dword(&mut bytes, index, value);
        }
        bytes
    }

    fn deflate(form: Form, wrapper: Wrapper) -> Deflate {
        Deflate {
            form,
            wrapper,
            window: Window::K32,
            input: S,
            input_len: 0x1000,
            output: D + 2,
            output_len: 0x1ffe,
            context: C,
        }
    }

    fn inflate(form: Form, wrapper: Wrapper) -> Inflate {
        Inflate { form, wrapper, input: S + 10, input_len: 0x3de, output: D, output_len: 0x2000 }
    }

    #[test]
    fn first_stream_chunk_equals_the_worked_example() {
        // `zip §9.2`, chunk 1.
        let mut bytes = [0xff; LEN_BYTES];
        deflate(Form::Type3, Wrapper::Zlib).encode(0x1234, &mut bytes);
        let golden = dwords(&[
            (4, 0x1000),
            (7, 0x3c00_0000),
            (9, 0x4002),
            (14, 0x1ffe),
            (18, 0x1000_2000),
            (19, 0xffff),
            (20, 0x1000_4002),
            (21, 0xffff),
            (22, 0x2000_0040),
            (23, 0xffff),
            (26, 0x1234),
        ]);
        assert_eq!(bytes, golden);
        assert_eq!(Form::Type3.tag_place().read(&bytes), Some(0x1234));
    }

    #[test]
    fn older_form_has_no_type_bits_no_window_and_its_tag_elsewhere() {
        let mut bytes = [0xff; LEN_BYTES];
        deflate(Form::Type0, Wrapper::Zlib).encode(0x1234, &mut bytes);
        let golden = dwords(&[
            (4, 0x1000),
            (7, 0x0c00_0000),
            (9, 0x0002),
            (13, 0x1234),
            (14, 0x1ffe),
            (18, 0x1000_2000),
            (19, 0xffff),
            (20, 0x1000_4002),
            (21, 0xffff),
            (22, 0x2000_0040),
            (23, 0xffff),
        ]);
        assert_eq!(bytes, golden);
        assert_eq!(Form::Type0.tag_place().read(&bytes), Some(0x1234));
    }

    #[test]
    fn stateless_inflate_equals_the_worked_example() {
        // `zip §9.3`, window 32 KiB.
        let mut bytes = [0xff; LEN_BYTES];
        inflate(Form::Type3, Wrapper::Gzip).encode(9, &mut bytes);
        let listed =
            [(4, 0x3de), (14, 0x2000), (18, 0x1000_200a), (19, 0xffff), (20, 0x1000_4000), (21, 0xffff)];
        let mut golden = dwords(&listed);
        set_dword(&mut golden, 7, 0x3a00_0000);
        set_dword(&mut golden, 9, 0x4003);
        set_dword(&mut golden, 26, 9);
        assert_eq!(bytes, golden);

        inflate(Form::Type0, Wrapper::Gzip).encode(9, &mut bytes);
        let mut golden = dwords(&listed);
        set_dword(&mut golden, 7, 0x0a00_0000);
        set_dword(&mut golden, 9, 3);
        set_dword(&mut golden, 13, 9);
        assert_eq!(bytes, golden);
    }

    fn piece(form: Form, wrapper: Wrapper, first: bool) -> InflatePiece {
        let carried = Carried { words: [0x102, 0x3, 0x8000], len: 0x1000, checksum: 0x60ae_f86a };
        InflatePiece {
            form,
            wrapper,
            first,
            input: S,
            input_len: 0x1000,
            output: D,
            output_len: 0x2000,
            context: C,
            carried,
        }
    }

    #[test]
    fn stream_pieces_equal_the_worked_examples() {
        // `zip §9.3`, stateful, and §9.2, chunk 2, for what travels from piece to piece.
        let mut bytes = [0xff; LEN_BYTES];
        piece(Form::Type3, Wrapper::Gzip, true).encode(7, &mut bytes);
        let first = [
            (4, 0x1000),
            (7, 0x3c00_0000),
            (9, 0x4003),
            (14, 0x2000),
            (18, 0x1000_2000),
            (19, 0xffff),
            (20, 0x1000_4000),
            (21, 0xffff),
            (22, 0x2000_0040),
            (23, 0xffff),
        ];
        let with = |more: &[(usize, u32)]| dwords(&[&first[..], more].concat());
        assert_eq!(bytes, with(&[(26, 7)]));
        piece(Form::Type0, Wrapper::Zlib, false).encode(7, &mut bytes);
        let next = [
            (7, 0x0400_0000),
            (9, 0x0002),
            (13, 7),
            (15, 0x102),
            (28, 0x3),
            (29, 0x8000),
            (30, 0x1000),
            (31, 0x60ae_f86a),
        ];
        assert_eq!(bytes, with(&next));
    }

    #[test]
    fn stream_answers_are_checked_against_the_request() {
        let request = piece(Form::Type3, Wrapper::Zlib, true);
        let answer = |listed: &[(usize, u32)]| {
            let common = [(0, 0x1000), (1, 0x2000), (9, 0x4002), (30, 5), (31, 6)];
            request.decode(&dwords(&[&common[..], listed].concat()))
        };
        let good = answer(&[(15, 0x0480), (28, 0), (29, 0x8000)]).unwrap();
        assert_eq!((good.consumed, good.produced, good.ended, good.owes), (0x1000, 0x2000, false, true));
        assert_eq!(good.carried, Carried { words: [0x0480, 0, 0x8000], len: 5, checksum: 6 });
        for (words, owes) in
            [([0, 0, 0], false), ([1, 0, 0], true), ([2, 0, 0], true), ([0, 9, 0], true), ([4, 0, 0], false)]
        {
            let [zero, one, two] = words;
            let found = answer(&[(15, zero), (28, one), (29, two)]).unwrap();
            assert_eq!((found.ended, found.owes), (false, owes), "{words:?}");
        }
        let ended = answer(&[(3, 0x113), (15, 1)]).unwrap();
        assert_eq!((ended.ended, ended.owes), (true, false));
        // The end needs both signs (`zip §1.7`).
        assert!(!answer(&[(3, 0x13)]).unwrap().ended && !answer(&[(3, 0x100)]).unwrap().ended);
        for status in [0x0d, 0x0e, 0x10, 0x21] {
            assert_eq!(answer(&[(3, status)]), Err(Fault::Status(status)));
        }
        for bad in [(0, 0x1001), (1, 0x2001), (9, 0x4003)] {
            assert_eq!(answer(&[bad]), Err(Fault::Impossible));
        }
    }

    #[test]
    fn checksums_as_trailers_have_them() {
        // `zip §2.6`: "123456789".
        assert_eq!(checksum(Wrapper::Zlib, 0x091e_01de), Some(0x091e_01de));
        assert_eq!(checksum(Wrapper::Gzip, 0x9b63_d02c), Some(0xcbf4_3926));
        assert_eq!(checksum(Wrapper::Raw, 1), None);
    }

    #[test]
    fn request_types_and_window_codes() {
        for (wrapper, code) in [(Wrapper::Raw, 1), (Wrapper::Zlib, 2), (Wrapper::Gzip, 3)] {
            let mut bytes = [0; LEN_BYTES];
            deflate(Form::Type3, wrapper).encode(0, &mut bytes);
            assert_eq!(bytes[36], code);
        }
        let windows = [Window::K4, Window::K8, Window::K16, Window::K24, Window::K32];
        for (code, window) in windows.into_iter().enumerate() {
            let mut bytes = [0; LEN_BYTES];
            Deflate { window, ..deflate(Form::Type3, Wrapper::Raw) }.encode(0, &mut bytes);
            assert_eq!(usize::from(bytes[37] >> 4), code);
        }
    }

    #[test]
    fn compress_answers_are_checked_against_the_request() {
        let request = deflate(Form::Type3, Wrapper::Raw);
        let good = [(0, 0x1000), (1, 0x384), (9, 0x4001), (31, 7)];
        let answer = |listed: &[(usize, u32)]| request.decode(&dwords(listed));
        assert_eq!(answer(&good), Ok(Deflated { produced: 0x384, checksum: 7 }));
        let with = |index: usize, value: u32| {
            let mut bytes = dwords(&good);
            set_dword(&mut bytes, index, value);
            request.decode(&bytes)
        };
        assert_eq!(with(3, 0x0d), Ok(Deflated { produced: 0x384, checksum: 7 }));
        assert_eq!(with(3, 0x0e), Err(Fault::Status(0x0e)));
        assert_eq!(with(3, 0x13), Err(Fault::Status(0x13)));
        assert_eq!(with(0, 0x0fff), Err(Fault::Impossible), "left input over");
        assert_eq!(with(0, 0x1001), Err(Fault::Impossible), "used more than it was given");
        assert_eq!(with(1, 0x1fff), Err(Fault::Impossible), "wrote past the room");
        assert_eq!(with(1, u32::MAX), Err(Fault::Impossible));
        assert_eq!(with(9, 0x4002), Err(Fault::Impossible), "another operation");
        assert_eq!(request.decode(&[]), Err(Fault::Impossible));
    }

    #[test]
    fn checksums_are_as_the_standards_write_them() {
        // `zip §2.6`, the text "123456789".
        for (wrapper, reported, checksum) in
            [(Wrapper::Zlib, 0x091e_01de, 0x091e_01de), (Wrapper::Gzip, 0x9b63_d02c, 0xcbf4_3926)]
        {
            let request = deflate(Form::Type3, wrapper);
            let completed = dwords(&[(0, 0x1000), (1, 9), (9, request_type(wrapper)), (31, reported)]);
            assert_eq!(request.decode(&completed), Ok(Deflated { produced: 9, checksum }));
        }
    }

    #[test]
    fn inflate_answers_are_checked_against_the_request() {
        let request = inflate(Form::Type0, Wrapper::Gzip);
        // `zip §9.3`: consumed 990, produced 5000.
        let good = [(0, 0x3de), (1, 0x1388), (9, 3), (30, 0x1388)];
        let with = |index: usize, value: u32| {
            let mut bytes = dwords(&good);
            set_dword(&mut bytes, index, value);
            request.decode(&bytes)
        };
        assert_eq!(with(30, 0x1388), Ok(InflatedSizes { consumed: 990, produced: 5000 }));
        assert_eq!(with(0, 0x3df), Err(Fault::Impossible));
        assert_eq!(with(1, 0x2001), Err(Fault::Impossible));
        for status in [0x0d, 0x0e, 0x10, 0x13, 0xff] {
            assert_eq!(with(3, status), Err(Fault::Status(status)));
        }
        assert_eq!(with(3, 0x113), Err(Fault::Status(0x13)), "the end of a stateless stream is status 0");
    }

    #[test]
    fn the_longest_segment_fits_one_descriptor() {
        let longest = crate::request::compress::DeflateSegment::MAX_LEN_BYTES;
        assert!(longest + longest.div_ceil(8) <= MAX_FLAT_LEN_BYTES);
        assert!(deflate_room(1) >= 200);
    }
}
