//! The kernel's numbers and layouts.
