//! zlib's upper bounds on compressed size, to the byte, as 1.3.1 has them: callers allocate by them, and some compare them.

use crate::abi::next::Settings;

/// `deflateBound` of a stream. `wrapper_len`: header and trailer bytes.
pub(crate) fn of_stream(len_bytes: usize, settings: Settings, wrapper_len: usize) -> usize {
    let Settings { level, window_bits, mem_level, .. } = settings;
    // zlib's hash has mem_level + 7 bits.
    let hash_bits = mem_level + 7;
    let body = if window_bits == 15 && hash_bits == 15 {
        return classic(len_bytes, 7).saturating_add(wrapper_len);
    } else if window_bits <= hash_bits && level != 0 {
        fixed(len_bytes)
    } else {
        stored(len_bytes)
    };
    body.saturating_add(wrapper_len)
}

/// `deflateBound` without a stream.
pub(crate) fn of_nothing(len_bytes: usize) -> usize {
    fixed(len_bytes).max(stored(len_bytes)).saturating_add(6)
}

/// `compressBound`.
pub(crate) fn of_compress(len_bytes: usize) -> usize {
    classic(len_bytes, 13)
}

/// Stored blocks of 16383 bytes, and `constant`.
fn classic(len_bytes: usize, constant: usize) -> usize {
    len_bytes
        .saturating_add(len_bytes >> 12)
        .saturating_add(len_bytes >> 14)
        .saturating_add(len_bytes >> 25)
        .saturating_add(constant)
}

/// Fixed blocks with 9-bit literals and length 255 (memLevel 2, the lowest that may not use stored blocks).
fn fixed(len_bytes: usize) -> usize {
    len_bytes
        .saturating_add(len_bytes >> 3)
        .saturating_add(len_bytes >> 8)
        .saturating_add(len_bytes >> 9)
        .saturating_add(4)
}

/// Stored blocks of 127 bytes (memLevel 1).
fn stored(len_bytes: usize) -> usize {
    len_bytes
        .saturating_add(len_bytes >> 5)
        .saturating_add(len_bytes >> 7)
        .saturating_add(len_bytes >> 11)
        .saturating_add(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_measured_on_stock_zlib() {
        assert_eq!(of_compress(1_000_000), 1_000_318);
        let of_default = |wrapper_len| {
            let settings = Settings { level: 6, window_bits: 15, mem_level: 8, strategy: 0 };
            of_stream(1_000_000, settings, wrapper_len)
        };
        assert_eq!(of_default(6), 1_000_318);
        assert_eq!(of_default(18), 1_000_330);
        assert_eq!(of_default(0), 1_000_312);
        assert_eq!(of_nothing(1_000_000), 1_130_869);
        // Stored blocks of level 0 need their constant, though memLevel 9 has long ones (a fault of 1.2.13).
        let stored = Settings { level: 0, window_bits: 15, mem_level: 9, strategy: 0 };
        assert_eq!((of_stream(3, stored, 0), of_stream(3, Settings { level: 1, ..stored }, 0)), (10, 7));
    }
}
