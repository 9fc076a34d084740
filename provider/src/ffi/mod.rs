//! Everything that touches C memory or C functions, behind types the rest of the room can use safely.

pub mod bindings;
pub(crate) mod fallback;
pub(crate) mod guard;
pub(crate) mod handle;
pub(crate) mod params;
pub(crate) mod random;
pub(crate) mod upcalls;
