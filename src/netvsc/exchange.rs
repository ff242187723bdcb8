//! Requests to the host that wait for an answer in the ring: one at a time.

use super::device::Device;
use crate::error::Error;
use crate::hv::Hypervisor;
use crate::mem::SharedMem;
use crate::text::Plain;
use crate::vmbus::{Connection, SIGN_OF_LIFE_MS};
use crate::wire::nvsp::{MESSAGE_LEN, MESSAGE_LEN_V6_1};
use crate::wire::rndis::{self, Completion, IndicateStatus, message_type};
use zerocopy::FromBytes;

/// Transaction id of NVSP requests. Those of frames are numbers of sections, so below 32.
pub const NVSP_TRANSACTION: u64 = 0x20;
/// Transaction id of RNDIS requests.
pub const RNDIS_TRANSACTION: u64 = 0x21;
/// Transaction id of answers to `KEEPALIVE`; nobody waits for its completion.
pub const KEEPALIVE_TRANSACTION: u64 = 0x22;

/// Deadline of an exchange with the card, in milliseconds (policy; Linux: 5 to 10 s).
const EXCHANGE_MS: u64 = 5_000;

/// Most bytes of an RNDIS answer that are looked at (policy): the longest we ask for has 30.
pub const MAX_ANSWER_LEN: usize = 64;

/// The request under way, and what came back.
pub struct Exchange {
    /// How long the host may take, in milliseconds.
    patience_ms: u64,
    /// Length of NVSP messages in the negotiated version.
    pub message_len: usize,
    /// Payload of the completion of the NVSP request.
    pub nvsp_answer: Option<[u8; MESSAGE_LEN_V6_1]>,
    /// The host has read the RNDIS request.
    pub rndis_sent: bool,
    /// Number of the last RNDIS request.
    pub request_id: u32,
    /// Answer to it; zero behind its end.
    pub rndis_answer: Option<[u8; MAX_ANSWER_LEN]>,
    /// Request of a `KEEPALIVE` that the host waits for an answer to.
    pub keepalive: Option<u32>,
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            patience_ms: EXCHANGE_MS,
            message_len: MESSAGE_LEN,
            nvsp_answer: None,
            rndis_sent: false,
            request_id: 0,
            rndis_answer: None,
            keepalive: None,
        }
    }
}

impl<H: Hypervisor> Device<H> {
    /// Takes packets off the ring until `done`.
    ///
    /// # Errors
    /// [`Error::HostTimeout`]; [`Error::NicGone`] when the host takes the card back; [`Error::HostProtocol`].
    pub(super) fn wait(&mut self, connection: &mut Connection<H>, done: fn(&Exchange) -> bool) -> Result<(), Error> {
        let deadline = connection.hv().now().plus_millis(self.exchange.patience_ms);
        loop {
            self.poll(connection)?;
            if done(&self.exchange) {
                return Ok(());
            }
            connection.service()?;
            if self.is_gone(connection) {
                return Err(Error::NicGone);
            }
            connection.before(deadline)?;
        }
    }

    /// Whether the host still serves this card: asks it for the carrier, without any VMBus message. `patient`: waits for the
    /// answer although the host refuses to be signalled.
    pub fn is_alive(&mut self, connection: &mut Connection<H>, patient: bool) -> bool {
        // What was sent last may lie in the ring unseen, and nothing behind it would be signalled.
        self.channel.wake(connection);
        if connection.partition().is_suspect() && !patient {
            return false;
        }
        self.exchange.patience_ms = SIGN_OF_LIFE_MS;
        let answer = self.query_link(connection);
        self.exchange.patience_ms = EXCHANGE_MS;
        answer.is_ok()
    }

    /// An RNDIS message that isn't a frame. What makes no sense is passed over: 2012 R2 sends indications with a wrong
    /// length.
    pub(super) fn control_message(&mut self, offset: u32, length: u32) {
        let Some(receive) = self.receive.as_ref() else { return };
        let mut bytes = [0; MAX_ANSWER_LEN];
        let length = bytes.len().min(length as usize);
        receive.pages.read(offset as usize, &mut bytes[..length]);
        let Ok((answer, _)) = Completion::read_from_prefix(&bytes) else { return };
        match answer.header.message_type.get() {
            message_type::INDICATE_STATUS => {
                let status =
                    IndicateStatus::read_from_prefix(&bytes).map_or(0, |(indication, _)| indication.status.get());
                match status {
                    rndis::STATUS_MEDIA_CONNECT => self.note_link(true),
                    rndis::STATUS_MEDIA_DISCONNECT => self.note_link(false),
                    _ => {}
                }
            }
            message_type::KEEPALIVE => self.exchange.keepalive = Some(answer.request_id.get()),
            kind if kind & message_type::COMPLETION != 0 && answer.request_id == self.exchange.request_id => {
                self.exchange.rndis_answer = Some(bytes);
            }
            _ => {}
        }
    }

    /// Remembers the carrier.
    pub(super) fn note_link(&mut self, up: bool) {
        if self.link_up != up {
            self.link_up = up;
            crate::log::line(format_args!("netvsc: link {}", Plain(if up { "up" } else { "down" })));
        }
    }
}
