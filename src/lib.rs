//! The core of warpdrive: takes a checked request, decides hardware or software, and brings back the outcome.
//!
//! ```text
//! C caller ─► provider/ | zlib-shim/ | cli/     checked pointers, borrowed buffers
//!               └► request/                     what is asked; invalid asks stop here
//!                    └► route                   hardware or software: a pure, table-tested decision
//!                         ├► engine::software   the functions the front door brought along ───────────┐
//!                         └► engine::hardware ─► descriptor::encode ─► queue (slot, lend buffers)      │
//!                                                  └► uacce-sys: ring write, barrier, doorbell        │
//!                              Outcome ◄─ descriptor::decode ◄─ queue (slot freed) ◄─ completion      │
//! C caller ◄─ status, lengths, bytes ◄─ health and stats note it ◄────────────────────────────────────┘
//! ```
//!
//! The core knows neither OpenSSL nor zlib: software work arrives from the front doors as functions. Front doors use
//! one function per operation ([`rsa_private`], [`dh_shared`], [`ecdh`], [`ecdsa_sign`], [`ecx_shared`], [`sm2_sign`] and
//! their like, [`aes_cbc`], [`deflate`], [`inflate`], [`inflate_piece`]), [`presence`], [`preview`], [`preview_inflate`], [`note_software`] and
//! [`configuration`]; nothing else here is theirs.

pub mod cancel;
pub mod config;
pub mod devices;
pub mod error;
pub mod memory;
pub mod request;
pub mod route;
pub mod secret;
pub mod stats;

mod average;
mod cost;
mod descriptor;
mod engine;
mod health;
mod log;
mod queue;

pub use engine::{
    DeflateInFlight, Outcome, Verdict, begin_deflate, configuration, deflate, inflate, inflate_piece,
    note_inflate_time, note_software, presence, preview, preview_deflate, preview_inflate,
};
pub use engine::{
    aes_cbc, dh_public, dh_shared, ec_public, ecdh, ecdsa_sign, ecdsa_verify, ecx_public, ecx_shared,
    rsa_private, sm2_decrypt, sm2_decryption_point, sm2_encrypt, sm2_encryption_points, sm2_sign, sm2_verify,
};
pub use error::Error;
pub use request::Algorithm;
pub use stats::Reason;
