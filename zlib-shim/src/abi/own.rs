//! Memory of the shim's own that may not be there. A host program is told so by zlib's code, never ended for it.
#![expect(unsafe_code, reason = "boxes and zeroed bytes whose allocation may fail")]

use std::alloc::{Layout, alloc, alloc_zeroed};

use super::next::OutOfMemory;

/// `value` in a box. Without memory it is dropped.
pub(crate) fn try_box<T>(value: T) -> Result<Box<T>, OutOfMemory> {
    const { assert!(size_of::<T>() != 0) };
    // SAFETY: the layout's size is not zero.
    let memory = unsafe { alloc(Layout::new::<T>()) }.cast::<T>();
    if memory.is_null() {
        return Err(OutOfMemory);
    }
    // SAFETY: freshly allocated for exactly this type.
    unsafe { memory.write(value) };
    // SAFETY: from the global allocator with the type's layout, and initialised; nobody else has it.
    Ok(unsafe { Box::from_raw(memory) })
}

/// `len_bytes` zeros. Large ones come from the kernel page by page when they are touched.
pub(crate) fn zeroed(len_bytes: usize) -> Result<Vec<u8>, OutOfMemory> {
    if len_bytes == 0 {
        return Ok(Vec::new());
    }
    let layout = Layout::array::<u8>(len_bytes).map_err(|_| OutOfMemory)?;
    // SAFETY: the layout's size is not zero.
    let memory = unsafe { alloc_zeroed(layout) };
    if memory.is_null() {
        return Err(OutOfMemory);
    }
    // SAFETY: from the global allocator with the layout of so many bytes, all of them initialised; nobody else has it.
    Ok(unsafe { Vec::from_raw_parts(memory, len_bytes, len_bytes) })
}

/// A copy of `bytes`, no longer than they are.
pub(crate) fn copied(bytes: &[u8]) -> Result<Vec<u8>, OutOfMemory> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).map_err(|_| OutOfMemory)?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn what_there_is_no_memory_for_is_an_error() {
        // Looked at, for an allocation that nobody looks at need not happen.
        assert!(black_box(zeroed(isize::MAX as usize)).is_err() && zeroed(usize::MAX).is_err());
        assert_eq!(zeroed(3).unwrap(), [0; 3]);
        assert_eq!(copied(b"bytes").unwrap(), b"bytes");
        assert_eq!(*try_box([7; 9]).unwrap(), [7; 9]);
    }
}
