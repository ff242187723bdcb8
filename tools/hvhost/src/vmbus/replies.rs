//! What a device has to tell the guest, until its time has come and the ring has room.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::device::{Io, Rings, Stop};
use super::ring::{COMPLETION, IN_BAND};

/// A completion that waits.
#[derive(Deserialize, Serialize)]
struct Completion {
    due: u64,
    transaction: u64,
    payload: Vec<u8>,
}

/// Completions of the guest's packets, and in-band messages of the device's own.
#[derive(Default, Deserialize, Serialize)]
pub(crate) struct Replies {
    completions: VecDeque<Completion>,
    notices: VecDeque<Vec<u8>>,
}

impl Replies {
    /// Completes a packet at the time `due`, after all that were to be completed before.
    pub fn complete(&mut self, transaction: u64, payload: Vec<u8>, due: u64) {
        self.completions.push_back(Completion { due, transaction, payload });
    }

    /// Sends a message that the guest did not ask for.
    pub fn notify(&mut self, message: Vec<u8>) {
        self.notices.push_back(message);
    }

    /// Forgets all of it: the channel is closed.
    pub fn clear(&mut self) {
        self.completions.clear();
        self.notices.clear();
    }

    /// Sends what is due. `false` when the ring is full.
    pub fn flush(&mut self, rings: &mut Rings, io: &mut Io<'_>) -> Result<bool, Stop> {
        while let Some(next) = self.completions.front().filter(|next| next.due <= io.report.now) {
            if !rings.reserve(io, 0, next.payload.len())? {
                return Ok(false);
            }
            rings.send(io, COMPLETION, false, next.transaction, &[], &next.payload)?;
            self.completions.pop_front();
        }
        while let Some(notice) = self.notices.front() {
            if !rings.reserve(io, 0, notice.len())? {
                return Ok(false);
            }
            rings.send(io, IN_BAND, false, 0, &[], notice)?;
            self.notices.pop_front();
        }
        Ok(true)
    }
}
