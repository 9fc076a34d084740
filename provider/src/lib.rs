//! OpenSSL 3 provider: RSA private operations on Kunpeng accelerator queues, everything else by the application's own
//! default provider.
//!
//! ```text
//! libcrypto ─► exports/   guard, checked pointers          ops/ ─► warpdrive::rsa_private ─► a queue
//!                └─► ops/  what goes where                    └──► ffi::fallback: the default provider's functions
//! ```
//!
//! No libcrypto is linked: what is needed comes through the functions that the core hands to `OSSL_provider_init`, so one
//! file serves OpenSSL 3.0 and all later versions, and a process with a second or a static libcrypto. All state hangs
//! off the instance that libcrypto holds; nothing is opened and no thread is started here.

pub mod ciphertext;
mod config;
mod context;
pub mod decode;
pub mod encode;
mod error;
mod exports;
pub mod ffi;
mod ops;
mod status;
mod tables;

pub use exports::base::OSSL_provider_init;
