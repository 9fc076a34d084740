//! Idle compressors: an engine is a third of a megabyte, and streams that wait do without one.

use std::sync::Mutex;

use crate::abi::next::{Deflater, OutOfMemory, Settings};

/// Engines kept for the next stream at most.
const KEPT: usize = 4;

/// Only ever `try_lock`ed: a child forked while another thread held it must go on without it.
static IDLE: Mutex<Vec<Deflater>> = Mutex::new(Vec::new());

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
