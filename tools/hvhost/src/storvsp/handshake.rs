//! The VSTOR handshake, in its strict order: BEGIN_INIT, QUERY_PROTOCOL_VERSION until one is taken, QUERY_PROPERTIES,
//! perhaps CREATE_SUB_CHANNELS, END_INIT.

use serde::{Deserialize, Serialize};

use super::vstor::{self, u16_at};
use crate::config::Config;

/// The next step of the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
enum Stage {
    #[default]
    Begin,
    Version,
    Properties,
    End,
    Ready,
}

/// What has been agreed on with the guest.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Setup {
    stage: Stage,
    version: u16,
}

/// The host's answer: status, and payload.
pub(crate) type Answer = (u32, Vec<u8>);

impl Setup {
    /// 0 until one was agreed on.
    pub fn version(&self) -> u16 {
        self.version
    }

    pub fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// Serves a step of the handshake.
    ///
    /// # Errors
    /// The rule that the guest broke; it gets `STATUS_INVALID_DEVICE_STATE`.
    pub fn message(&mut self, operation: u32, packet: &[u8], config: &Config) -> Result<Answer, &'static str> {
        let (stage, answer) = match (self.stage, operation) {
            (Stage::Begin, vstor::BEGIN_INIT) => (Stage::Version, (vstor::STATUS_SUCCESS, Vec::new())),
            (Stage::Version, vstor::QUERY_PROTOCOL_VERSION) => {
                let version = u16_at(packet, 12);
                let echo = [version.to_le_bytes(), [0; 2]].concat();
                if vstor::VERSIONS.contains(&version) && version <= config.max_vstor_version {
                    self.version = version;
                    (Stage::Properties, (vstor::STATUS_SUCCESS, echo))
                } else {
                    (Stage::Version, (vstor::STATUS_REVISION_MISMATCH, echo))
                }
            }
            (Stage::Properties, vstor::QUERY_PROPERTIES) => {
                (Stage::End, (vstor::STATUS_SUCCESS, properties(config.max_transfer)))
            }
            (Stage::End, vstor::CREATE_SUB_CHANNELS) => (Stage::End, (vstor::STATUS_INVALID_PARAMETER, Vec::new())),
            (Stage::End, vstor::END_INIT) => (Stage::Ready, (vstor::STATUS_SUCCESS, Vec::new())),
            (Stage::Ready, _) => return Err("a step of the handshake after its end"),
            _ => return Err("out of order in the handshake"),
        };
        self.stage = stage;
        Ok(answer)
    }
}

/// Reserved u32, channels u16 (one more would be for sub-channels), padding, flags u32 (no multi-channel), maximum
/// transfer u32, reserved u64.
fn properties(max_transfer: u32) -> Vec<u8> {
    [0, 0, 0, max_transfer, 0, 0].iter().flat_map(|field: &u32| field.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_tried_until_one_is_known_and_not_too_new() {
        let config = Config { max_vstor_version: vstor::V6_0, ..Config::default() };
        let mut setup = Setup::default();
        let query = |version: u16| vstor::packet(9, 0, &version.to_le_bytes(), 64);
        assert!(setup.message(9, &query(0x0600), &config).is_err(), "not the first step");
        setup.message(7, &[], &config).unwrap();
        assert_eq!(setup.message(9, &query(0x0602), &config).unwrap().0, 0xc000_0059);
        assert_eq!(setup.message(9, &query(0x0601), &config).unwrap().0, 0xc000_0059);
        assert_eq!(setup.message(9, &query(0x0600), &config).unwrap(), (0, vec![0, 6, 0, 0]));
        let (status, properties) = setup.message(10, &[], &config).unwrap();
        assert_eq!((status, &properties[12..16]), (0, &0x4_0000u32.to_le_bytes()[..]));
        assert_eq!(setup.message(13, &[], &config).unwrap().0, 0xc000_000d, "no sub-channels here");
        setup.message(8, &[], &config).unwrap();
        assert!(setup.is_ready());
        assert!(setup.message(7, &[], &config).is_err());
    }
}
