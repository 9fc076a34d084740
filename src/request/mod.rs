//! What is asked. A request is checked once, when it is built: nothing invalid reaches a ring.

mod algorithm;
pub mod cipher;
pub mod compress;
pub mod pkey;

pub use algorithm::Algorithm;
