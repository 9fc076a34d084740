//! Public-key front doors: each sends one operation to HPRE and checks what comes back.
//!
//! Common to all of them: `software` runs at most once, on the calling thread, and only when no hardware answer is delivered;
//! what the device wrote is then gone, and `output` is as it was. `check` is given the device's answer after the core's own
//! checks and says whether it is right (a `bool` will do); an answer that fails is counted against the device, unless the
//! verdict is [`Verdict::BadInput`]. Buffers of another length than documented, and numbers the device must not see
//! (`hpre §4.4`), are software, counted as `unsupported`: the front door's software says what is wrong with them.

mod dh;
mod ecc;
mod ecx;
mod rsa;
mod sm2;

#[cfg(test)]
pub(super) use dh::Base;
pub use dh::{dh_public, dh_shared};
pub use ecc::{ec_public, ecdh, ecdsa_sign, ecdsa_verify};
pub use ecx::{ecx_public, ecx_shared};
pub use rsa::rsa_private;
pub use sm2::{sm2_decrypt, sm2_decryption_point, sm2_encrypt, sm2_encryption_points, sm2_sign, sm2_verify};

use std::sync::Arc;
use std::time::Instant;

use super::hardware::{Ask, Core};
use super::{Outcome, Verdict};
use crate::descriptor::hpre::Operation;
use crate::queue::SharedQueue;
use crate::queue::inflight::{Answered, Flight};
use crate::queue::pool::Device;
use crate::queue::slots::Ticket;
use crate::secret::Secret;
use crate::{Algorithm, Reason};

/// A device and a queue of it, for one request and the checks that follow it.
type Station = (Arc<Device>, Arc<SharedQueue>);

impl Core {
    /// One operation on a device at hand. `fill`: see [`Flight::pkey`].
    fn operate(
        &self,
        ask: &Ask,
        (device, queue): &Station,
        (operation, width_bytes): (Operation, usize),
        key: &Arc<Secret>,
        fill: impl FnOnce(&mut [u8]) -> Option<()>,
    ) -> Result<Answered, Reason> {
        let flight = Flight::pkey(operation, width_bytes, key, fill).ok_or(Reason::Unsupported)?;
        let flight = self.fly(ask, device, queue, |_| Some(flight))?;
        self.judged(ask, device, queue, flight.pkey_answer())
    }

    /// Several operations on a device at hand, all of them lent before the first is waited for.
    fn operate_together<const N: usize>(
        &self,
        ask: &Ask,
        (device, queue): &Station,
        flights: [Option<Box<Flight>>; N],
    ) -> Result<Vec<Answered>, Reason> {
        let start = Instant::now();
        let mut lent = Vec::with_capacity(N);
        for flight in flights {
            let flight = flight.ok_or(Reason::Unsupported)?;
            match queue.submit(flight) {
                Ok(ticket) => lent.push(Lent { queue, ticket }),
                Err(reason) => {
                    self.lost(ask, device, queue, reason);
                    return Err(reason);
                }
            }
        }
        let answers = lent.iter().map(|Lent { ticket, .. }| {
            let flight = self.arrived(ask, device, queue, start, queue.wait(ticket, &self.timing(ask)))?;
            self.judged(ask, device, queue, flight.pkey_answer())
        });
        answers.collect()
    }
}

/// One of several operations that are out together.
struct Lent<'a> {
    queue: &'a SharedQueue,
    ticket: Ticket,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        // Without effect when the answer was fetched; else the memory stays where it is until the device is done.
        self.queue.abandon(&self.ticket);
    }
}
