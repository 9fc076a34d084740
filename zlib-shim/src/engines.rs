//! Idle engines: a compressor is a third of a megabyte, and streams that wait do without one; a decompressor takes longer to
//! make than a short stream takes to read.

use std::ffi::c_int;
use std::sync::Mutex;

use crate::abi::next::{Deflater, Inflater, OutOfMemory, Settings};

/// Engines kept for the next stream at most.
const KEPT: usize = 4;

/// Only ever `try_lock`ed: a child forked while another thread held it must go on without it.
static IDLE: Mutex<Vec<Deflater>> = Mutex::new(Vec::new());
static IDLE_INFLATERS: Mutex<Vec<Inflater>> = Mutex::new(Vec::new());

/// A fresh engine, with `window` as its history.
pub(crate) fn take(settings: Settings, window: &[u8]) -> Result<Deflater, OutOfMemory> {
    let idle = IDLE.try_lock().ok().and_then(|mut idle| {
        let at = idle.iter().position(|engine| engine.has_room_of(settings))?;
        Some(idle.swap_remove(at))
    });
    let mut engine = match idle {
        Some(mut engine) => {
            engine.renew(settings)?;
            engine
        }
        None => Deflater::new(settings)?,
    };
    if !window.is_empty() {
        engine.set_dictionary(window);
    }
    Ok(engine)
}

/// Gives an engine back, whatever it was doing.
pub(crate) fn give(engine: Deflater) {
    if let Ok(mut idle) = IDLE.try_lock() {
        if idle.len() < KEPT && idle.try_reserve(1).is_ok() {
            idle.push(engine);
        }
    }
}

/// A fresh decompressor for `window_bits`, which `inflateInit2` must accept.
pub(crate) fn take_inflater(window_bits: c_int) -> Result<Inflater, OutOfMemory> {
    match IDLE_INFLATERS.try_lock().ok().and_then(|mut idle| idle.pop()) {
        Some(mut engine) => {
            engine.renew(window_bits);
            Ok(engine)
        }
        None => Inflater::new(window_bits),
    }
}

/// Gives a decompressor back, whatever it was doing.
pub(crate) fn give_inflater(engine: Inflater) {
    if let Ok(mut idle) = IDLE_INFLATERS.try_lock() {
        if idle.len() < KEPT && idle.try_reserve(1).is_ok() {
            idle.push(engine);
        }
    }
}
