//! AES-256-CBC: a context of the default provider keeps every state that a cipher has and does whatever stays in software;
//! long runs of whole blocks may go to hardware.
//!
//! The two alternate within one message, at any update. After a run in hardware the default provider's context must stand
//! where it would stand had it done the run itself: chained to the last block of cipher text, keeping the same odd bytes, its
//! original vector and everything that only it knows unchanged. There is no call for that, but there is one that duplicates
//! it. The duplicate is led there ([`lead`]): it is fed a block that makes it compute the run's last block over again, which is
//! a check besides, and then the odd bytes. It takes the context's place when the device's answer is accepted, and is dropped
//! otherwise: then the context has not moved, the input was not touched, and software does the run.

mod check;

use std::cell::Cell;
use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use warpdrive::config::{CipherVerify, Policy};
use warpdrive::request::cipher::{AesCbcKey, BLOCK_LEN_BYTES, Direction, MAX_LEN_BYTES};
use warpdrive::{Algorithm, Outcome, Verdict, aes_cbc, configuration};
use zeroize::Zeroizing;

use self::check::Check;
use crate::context::Context;
use crate::error::Reason;
use crate::ffi::bindings::Param;
use crate::ffi::fallback::{CipherContext, CipherType};
use crate::ffi::handle::{Input, Output, Reports};
use crate::ffi::params::{Params, ParamsToFill};

type Block = [u8; BLOCK_LEN_BYTES];
type KeyBytes = [u8; AesCbcKey::LEN_BYTES];

/// A longer input goes piece by piece: what a request holds besides its caller's memory stays small.
const PIECE_LEN_BYTES: usize = 1 << 20;

/// A cipher context as libcrypto holds it.
pub(crate) struct Cipher {
    context: Arc<Context>,
    cipher_type: CipherType,
    /// Every state, and every software operation.
    software: CipherContext,
    direction: Direction,
    key: Key,
    kept: Kept,
    /// Something was said of TLS records, which have a padding of their own: all is software's.
    is_tls: bool,
    /// Input of fewer bytes, with what is kept of the last one, is software's.
    smallest: usize,
    /// Made for the first answer of a device.
    check: Option<Check>,
}

/// The key that `software` uses.
#[derive(Clone)]
struct Key {
    /// False too when nothing may go to hardware.
    is_known: bool,
    bytes: Zeroizing<KeyBytes>,
    /// The way for which it was set. A key that is then used the other way does not do what one expects.
    direction: Direction,
    /// Made at the first run.
    device: Option<AesCbcKey>,
}

/// Bytes that `software` has taken and not answered yet: less than a block, or a block whose padding must wait.
#[derive(Clone)]
struct Kept {
    /// False after a failure, or after the end: until the next init.
    is_known: bool,
    len: usize,
    /// The last bytes that were fed; those that are kept are at the end.
    last: Zeroizing<Block>,
}

impl Kept {
    /// Notes that `input` was fed and `given` bytes came back.
    fn feed(&mut self, input: Input<'_>, given: usize) {
        let left = (self.len + input.len()).wrapping_sub(given);
        self.len = left;
        if left == 0 {
            return;
        }
        self.is_known = left <= BLOCK_LEN_BYTES;
        let new = input.len().min(BLOCK_LEN_BYTES);
        if new < BLOCK_LEN_BYTES {
            self.last.rotate_left(new);
        }
        let place = self.last.get_mut(BLOCK_LEN_BYTES - new..).unwrap_or_default();
        input.skip(input.len() - new).copy_to(place);
    }
}

/// How a run is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    /// Bytes may be kept before and after.
    Update,
    /// Whole blocks, beside what is kept.
    Once,
}

impl Call {
    fn in_software(self, context: &mut CipherContext, output: &Output<'_>, input: Input<'_>) -> c_int {
        match self {
            Self::Update => context.update(output, input),
            Self::Once => context.once(output, input),
        }
    }
}

/// A run prepared for the device.
struct Run {
    key: AesCbcKey,
    direction: Direction,
    /// What the first block is chained to.
    chain: Block,
    /// Kept bytes that come first, at the end of a block.
    head: Zeroizing<Block>,
    head_len: usize,
    /// Whole blocks, the head included.
    len: usize,
}

impl Run {
    fn head(&self) -> &[u8] {
        self.head.get(BLOCK_LEN_BYTES - self.head_len..).unwrap_or_default()
    }
}

impl Cipher {
    pub(crate) fn new(context: Arc<Context>, cipher_type: CipherType) -> Option<Self> {
        let software = CipherContext::new(context.fallback()?, cipher_type)?;
        Some(Self {
            context,
            cipher_type,
            software,
            direction: Direction::Encrypt,
            key: Key {
                is_known: false,
                bytes: Zeroizing::new([0; AesCbcKey::LEN_BYTES]),
                direction: Direction::Encrypt,
                device: None,
            },
            kept: Kept { is_known: false, len: 0, last: Zeroizing::new([0; BLOCK_LEN_BYTES]) },
            is_tls: false,
            smallest: usize::MAX,
            check: None,
        })
    }

    /// A second context in the same state.
    pub(crate) fn duplicate(&self) -> Option<Self> {
        Some(Self {
            context: Arc::clone(&self.context),
            cipher_type: self.cipher_type,
            software: self.software.duplicate()?,
            direction: self.direction,
            key: self.key.clone(),
            kept: self.kept.clone(),
            is_tls: self.is_tls,
            smallest: self.smallest,
            check: None,
        })
    }

    pub(crate) fn encrypt_init(&mut self, key: Input<'_>, iv: Input<'_>, params: Params<'_>) -> c_int {
        let begun = self.software.encrypt_init(key, iv, params);
        self.begun(Direction::Encrypt, key, params, begun)
    }

    pub(crate) fn decrypt_init(&mut self, key: Input<'_>, iv: Input<'_>, params: Params<'_>) -> c_int {
        let begun = self.software.decrypt_init(key, iv, params);
        self.begun(Direction::Decrypt, key, params, begun)
    }

    /// Notes an init. Null is no key: the old one stays.
    fn begun(&mut self, direction: Direction, key: Input<'_>, params: Params<'_>, begun: c_int) -> c_int {
        self.direction = direction;
        self.note(params);
        self.kept.is_known = begun == 1;
        self.kept.len = 0;
        if !key.is_null() {
            self.check = None;
            self.smallest = smallest(direction);
            // After a refusal the context may have either key.
            let is_of_use = begun == 1 && self.smallest < usize::MAX;
            self.key.is_known = is_of_use && self.key.set(key, direction);
        }
        begun
    }

    pub(crate) fn get_params(&mut self, params: ParamsToFill<'_>) -> c_int {
        self.software.get_params(params)
    }

    pub(crate) fn set_params(&mut self, params: Params<'_>) -> c_int {
        self.note(params);
        self.software.set_params(params)
    }

    fn note(&mut self, params: Params<'_>) {
        self.is_tls |= params.iter().any(|(name, _)| name == c"tls-version");
    }

    pub(crate) fn update(&mut self, output: &mut Output<'_>, input: Input<'_>) -> c_int {
        let kept = self.kept.len;
        if self.may_leave(kept.saturating_add(input.len()), kept == 0, output, input) {
            self.pieces(Call::Update, output, input)
        } else {
            self.in_software(Call::Update, output, input)
        }
    }

    /// All of `input` at once, beside what updates keep.
    pub(crate) fn once(&mut self, output: &mut Output<'_>, input: Input<'_>) -> c_int {
        if input.len() % BLOCK_LEN_BYTES == 0 && self.may_leave(input.len(), true, output, input) {
            self.pieces(Call::Once, output, input)
        } else {
            self.in_software(Call::Once, output, input)
        }
    }

    pub(crate) fn finish(&mut self, output: &Output<'_>) -> c_int {
        self.kept.is_known = false;
        self.software.finish(output)
    }

    /// Whether any of these `len` bytes, what is kept included, may go to hardware: there are enough of them, there is room
    /// for whatever comes of them, and no byte of the input is overwritten before it has been read, in whatever order.
    fn may_leave(&self, len: usize, may_be_in_place: bool, output: &Output<'_>, input: Input<'_>) -> bool {
        if len < self.smallest || self.is_tls || !self.kept.is_known || input.is_null() || input.len() == 0 {
            return false;
        }
        let most = len / BLOCK_LEN_BYTES * BLOCK_LEN_BYTES;
        self.key.is_known
            && self.key.direction == self.direction
            && output.has_room(most)
            && (may_be_in_place && output.is_in_place(input) || output.is_apart(most, input))
    }

    fn in_software(&mut self, call: Call, output: &Output<'_>, input: Input<'_>) -> c_int {
        let done = call.in_software(&mut self.software, output, input);
        self.note_fed(call, output, input, done);
        done
    }

    /// Odd bytes are of interest only when a later run may begin with them.
    fn note_fed(&mut self, call: Call, output: &Output<'_>, input: Input<'_>, done: c_int) {
        if call == Call::Update && self.key.is_known && self.kept.is_known {
            if done == 1 {
                self.kept.feed(input, output.told());
            } else {
                self.kept.is_known = false;
            }
        }
    }

    fn pieces(&mut self, call: Call, output: &mut Output<'_>, input: Input<'_>) -> c_int {
        let (mut left, mut given) = (input, 0);
        let most = PIECE_LEN_BYTES.max(self.smallest).next_multiple_of(BLOCK_LEN_BYTES);
        while left.len() > 0 {
            // The last one is never too short to be worth it.
            let len = if left.len() < 2 * most { left.len() } else { most };
            let mut told = 0;
            let mut room = output.rest(given, &mut told);
            let done = match self.prepare(call, len) {
                Some(run) => self.run(call, &run, &mut room, left.first(len)),
                None => self.in_software(call, &room, left.first(len)),
            };
            if done != 1 {
                return done;
            }
            given += told;
            left = left.skip(len);
        }
        output.tell(given);
        1
    }

    /// The run that an input of `len` bytes makes; `None` when it is software's.
    fn prepare(&mut self, call: Call, len: usize) -> Option<Run> {
        // Newer cores try each type that the answer may have, and leave an error for the first.
        let standing = self.context.core().without_errors(|| self.software.standing())?;
        let kept = &self.kept;
        if !self.key.is_known || !kept.is_known {
            return None;
        }
        let (head_len, run_len) = match call {
            Call::Once => (0, len),
            Call::Update => {
                let all = kept.len + len;
                // A last block that may be padded waits for the next call.
                let waits = self.direction == Direction::Decrypt && standing.is_padded;
                (kept.len, (all - usize::from(waits)) / BLOCK_LEN_BYTES * BLOCK_LEN_BYTES)
            }
        };
        let may_begin = head_len < BLOCK_LEN_BYTES || self.direction == Direction::Decrypt;
        if run_len < self.smallest.max(BLOCK_LEN_BYTES) || run_len > MAX_LEN_BYTES || !may_begin {
            return None;
        }
        if self.key.device.is_none() {
            self.key.device = AesCbcKey::new(&*self.key.bytes).ok();
        }
        Some(Run {
            key: self.key.device.clone()?,
            direction: self.direction,
            chain: standing.chain,
            head: kept.last.clone(),
            head_len,
            len: run_len,
        })
    }

    /// Hands the run to the core; whichever engine does it answers the caller.
    fn run(&mut self, call: Call, run: &Run, output: &mut Output<'_>, input: Input<'_>) -> c_int {
        let new = run.len - run.head_len;
        let text = |room: &mut Vec<u8>| {
            room.extend_from_slice(run.head());
            input.first(new).append_to(room);
        };
        let context = Arc::clone(&self.context);
        let (key, check, cipher_type) = (&self.key, &mut self.check, self.cipher_type);
        let hands = Cell::new(Some((&mut self.software, &mut *output)));
        let accept = |text: &[u8], answer: &[u8]| {
            let Some((software, output)) = hands.take() else { return Verdict::BadInput };
            let judged = context.core().without_errors(|| {
                if check.is_none() {
                    *check = Check::new(software.fallback(), cipher_type, &key.bytes);
                }
                if !check.as_mut()?.agrees(run.direction, &run.chain, text, answer)? {
                    return Some(None);
                }
                lead(call, run, software, text, answer, input.skip(new))
            });
            let verdict = match judged {
                // What cannot be checked is no fault of the device's.
                None => Verdict::BadInput,
                Some(None) => Verdict::Wrong,
                Some(Some(successor)) if output.put(answer) => {
                    *software = successor;
                    Verdict::Right
                }
                Some(Some(_)) => Verdict::BadInput,
            };
            hands.set(Some((software, output)));
            verdict
        };
        let software =
            || hands.take().map_or(0, |(software, output)| call.in_software(software, output, input));
        let done = match aes_cbc(&run.key, run.direction, &run.chain, run.len, text, accept, software) {
            Outcome::Hardware(()) => 1,
            Outcome::Software(done) => done,
        };
        self.note_fed(call, output, input, done);
        done
    }

    /// What a context can tell; it may be absent.
    pub(crate) fn gettable_params(
        cipher: Option<&Self>,
        cipher_type: CipherType,
        context: &Context,
    ) -> *const Param {
        context.fallback().map_or(std::ptr::null(), |fallback| {
            fallback.symmetric_gettable_params(cipher_type, cipher.map(|cipher| &cipher.software))
        })
    }

    /// What a context can be told; it may be absent.
    pub(crate) fn settable_params(
        cipher: Option<&Self>,
        cipher_type: CipherType,
        context: &Context,
    ) -> *const Param {
        context.fallback().map_or(std::ptr::null(), |fallback| {
            fallback.symmetric_settable_params(cipher_type, cipher.map(|cipher| &cipher.software))
        })
    }
}

impl Key {
    /// Takes a copy; false when it is of another length.
    fn set(&mut self, key: Input<'_>, direction: Direction) -> bool {
        self.device = None;
        self.direction = direction;
        key.len() == self.bytes.len() && key.copy_to(&mut *self.bytes).is_some()
    }
}

impl Reports for Cipher {
    fn report_panic(&self) {
        Reason::Internal.raise(self.context.core(), c"cipher", "");
    }
}

/// A duplicate of `software`, led to where the run ends: the run's last block was its last, `rest` is what it keeps. The inner
/// `None`: it computed another last block than the device. The outer: it did not do what it was asked.
fn lead(
    call: Call,
    run: &Run,
    software: &CipherContext,
    text: &[u8],
    answer: &[u8],
    rest: Input<'_>,
) -> Option<Option<CipherContext>> {
    let mut successor = software.duplicate()?;
    let at = text.len().checked_sub(BLOCK_LEN_BYTES)?;
    let last_text = Block::try_from(text.get(at..)?).ok()?;
    let last_answer = answer.get(at..)?;
    let cipher_text = match run.direction {
        Direction::Encrypt => answer,
        Direction::Decrypt => text,
    };
    let before = match at.checked_sub(BLOCK_LEN_BYTES) {
        Some(before) => Block::try_from(cipher_text.get(before..at)?).ok()?,
        None => run.chain,
    };
    let mut room = Zeroizing::new([0; 5 * BLOCK_LEN_BYTES]);
    let mut fed = Zeroizing::new([0; 5 * BLOCK_LEN_BYTES]);
    // Completes the block that it keeps; what with, does not matter.
    let fill = if run.head_len == 0 { 0 } else { BLOCK_LEN_BYTES - run.head_len };
    let mut feed = |bytes: Input<'_>, room: &mut [u8]| {
        let mut told = 0;
        let done = call.in_software(&mut successor, &Output::over(room, &mut told), bytes);
        (done == 1).then_some(told)
    };
    let (len, expected) = match run.direction {
        Direction::Encrypt => {
            // Before it is chained to anything, a block is mixed with what it is chained to: mixed with that and with what
            // the run's last block was chained to, it becomes that last block.
            let mut chain = run.chain;
            if run.head_len > 0 {
                if feed(Input::from(fed.get(..fill)?), &mut *room)? != BLOCK_LEN_BYTES {
                    return None;
                }
                chain = Block::try_from(room.get(..BLOCK_LEN_BYTES)?).ok()?;
            }
            for (byte, mixed) in fed.iter_mut().zip(last_text.iter().zip(before.iter().zip(&chain))) {
                let (text, (before, chain)) = mixed;
                *byte = text ^ before ^ chain;
            }
            (BLOCK_LEN_BYTES, BLOCK_LEN_BYTES)
        }
        Direction::Decrypt => {
            // What a block of cipher text is chained to matters only to its own plain text: the last but one sets the chain.
            let [first, second] = [fill, fill + BLOCK_LEN_BYTES];
            fed.get_mut(first..second)?.copy_from_slice(&before);
            fed.get_mut(second..second + BLOCK_LEN_BYTES)?.copy_from_slice(&last_text);
            let completed = if run.head_len == 0 { 0 } else { BLOCK_LEN_BYTES };
            (fill + 2 * BLOCK_LEN_BYTES, completed + 2 * BLOCK_LEN_BYTES)
        }
    };
    let rest_len = rest.copy_to(fed.get_mut(len..)?)?;
    let given = feed(Input::from(fed.get(..len + rest_len)?), &mut *room)?;
    let computed = room.get(given.checked_sub(BLOCK_LEN_BYTES)?..given)?;
    Some((given == expected && computed == last_answer).then_some(successor))
}

/// The fewest bytes that a run in hardware may have.
fn smallest(direction: Direction) -> usize {
    // 0: not asked yet. The configuration never changes, not in a child either.
    static ENCRYPTING: AtomicUsize = AtomicUsize::new(0);
    static DECRYPTING: AtomicUsize = AtomicUsize::new(0);
    let known = match direction {
        Direction::Encrypt => &ENCRYPTING,
        Direction::Decrypt => &DECRYPTING,
    };
    match known.load(Ordering::Relaxed) {
        0 => {
            let configuration = configuration();
            let smallest = match configuration.policy(Algorithm::Aes256Cbc) {
                Policy::Software => usize::MAX,
                Policy::Hardware => BLOCK_LEN_BYTES,
                // To check it in full takes what software takes to do it: no measurement could speak for the device.
                Policy::Auto
                    if direction == Direction::Decrypt
                        && configuration.cipher.verify == CipherVerify::Full =>
                {
                    usize::MAX
                }
                Policy::Auto => configuration.min_bytes(Algorithm::Aes256Cbc).max(BLOCK_LEN_BYTES),
            };
            known.store(smallest, Ordering::Relaxed);
            smallest
        }
        smallest => smallest,
    }
}
