//! What the host may do to our memory, as one enum moved by one function.

use crate::wire::vmbus::Version;

/// State of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is shared.
    Free,
    /// `INITIATE_CONTACT` is out. What an earlier connection shared is shared until the answer.
    Contacting,
    /// Accepted by the host, for us or for the owner whose guest we are.
    Connected(Version),
    /// `UNLOAD` is out: memory stays shared until the response.
    Unloading,
    /// Somebody else took VMBus, or the host fell silent: nothing that we ask would be answered, and what we shared
    /// stays shared.
    Lost,
}

/// What moves the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// We posted `INITIATE_CONTACT`.
    ContactSent,
    /// The host accepted this version.
    VersionAccepted(Version),
    /// The host doesn't know the version. Whatever was connected before isn't any more.
    VersionRefused,
    /// We posted `UNLOAD`.
    UnloadSent,
    /// The host let go of everything.
    UnloadAcked,
    /// We use the connection of somebody else.
    Joined(Version),
    /// The MSRs or a missing answer say that the connection is no longer ours.
    Taken,
}

/// A step that can't happen; a bug of ours, not of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IllegalStep;

/// The next state.
///
/// # Errors
/// [`IllegalStep`]; nothing was done then.
pub const fn step(from: State, event: Event) -> Result<State, IllegalStep> {
    match (from, event) {
        (State::Free | State::Lost, Event::ContactSent) => Ok(State::Contacting),
        (State::Contacting, Event::VersionAccepted(version)) | (State::Free | State::Lost, Event::Joined(version)) => {
            Ok(State::Connected(version))
        }
        (State::Contacting, Event::VersionRefused) | (State::Unloading, Event::UnloadAcked) => Ok(State::Free),
        (State::Connected(_), Event::UnloadSent) => Ok(State::Unloading),
        // Nothing was shared, so nothing is lost.
        (State::Free, Event::Taken) => Ok(State::Free),
        (_, Event::Taken) => Ok(State::Lost),
        _ => Err(IllegalStep),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ordinary_life_ends_free() {
        let mut state = State::Free;
        for event in [Event::ContactSent, Event::VersionAccepted(Version::V4_0), Event::UnloadSent, Event::UnloadAcked]
        {
            state = step(state, event).unwrap();
        }
        assert_eq!(state, State::Free);
    }

    #[test]
    fn memory_counts_as_free_only_after_the_hosts_word() {
        let states = [State::Free, State::Contacting, State::Connected(Version::V3_0), State::Unloading, State::Lost];
        let events = [
            Event::ContactSent,
            Event::VersionAccepted(Version::V3_0),
            Event::VersionRefused,
            Event::UnloadSent,
            Event::UnloadAcked,
            Event::Joined(Version::V3_0),
            Event::Taken,
        ];
        for state in states.into_iter().filter(|state| *state != State::Free) {
            for event in events {
                if step(state, event) == Ok(State::Free) {
                    assert!(matches!(event, Event::VersionRefused | Event::UnloadAcked), "{state:?} {event:?}");
                }
            }
        }
    }

    #[test]
    fn a_lost_connection_is_contacted_anew_and_never_unloaded() {
        assert_eq!(step(State::Lost, Event::UnloadSent), Err(IllegalStep));
        assert_eq!(step(State::Lost, Event::ContactSent), Ok(State::Contacting));
    }
}
