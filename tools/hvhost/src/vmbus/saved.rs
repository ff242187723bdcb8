//! The server's state as bytes.

use super::channel::{Channel, SavedChannel};
use super::server::Server;
use crate::saved::{BadState, Parts, decode, encode};

impl Server {
    /// The state of connection, channels and devices as bytes.
    pub fn save(&self) -> Vec<u8> {
        let Self {
            state,
            channels,
            gpadls,
            incoming,
            outgoing,
            ghosts,
            ghosts_offered,
            came_and_went,
            connections,
            rescinded,
            late,
        } = self;
        let channels: Vec<_> = channels.iter().map(Channel::save).collect();
        let ghosts = (ghosts, ghosts_offered, came_and_went);
        encode(&(state, channels, gpadls, incoming, outgoing, ghosts, connections, rescinded, late))
    }

    /// Takes over the state of a server with the same devices.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn restore(&mut self, state: &[u8]) -> Result<(), BadState> {
        let (channels, ghosts): (Vec<SavedChannel>, _);
        (
            self.state,
            channels,
            self.gpadls,
            self.incoming,
            self.outgoing,
            ghosts,
            self.connections,
            self.rescinded,
            self.late,
        ) = decode(state)?;
        (self.ghosts, self.ghosts_offered, self.came_and_went) = ghosts;
        if channels.len() != self.channels.len() {
            return Err(BadState::new("another number of devices"));
        }
        self.channels.iter_mut().zip(channels).try_for_each(|(channel, saved)| channel.restore(saved))
    }

    /// Ends the server, and gives back what is behind its devices.
    pub fn give_back(self, parts: &mut Parts) {
        for channel in self.channels {
            parts.take_back(channel.device.into_backend());
        }
    }
}
