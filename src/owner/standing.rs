//! Whose VMBus is, as one enum moved by one function; each step is one line of the log.

/// Who is there besides us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// Nobody.
    Alone,
    /// The owner from whom VMBus was taken: its MSRs are put back after each exchange.
    Owner,
    /// The owner whose connection we use, as he published it.
    Host,
}

/// How we stand to VMBus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// We have nothing to do with it.
    Away,
    /// There is a connection that we use.
    Connected(Company),
    /// Somebody changed the MSRs since our last call; whether our channels live is not known yet.
    Doubtful,
    /// Our connection was ended by somebody else.
    Lost,
    /// Somebody else has it, and keeps it.
    Declined,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The host accepted our contact, or we found the record of a live connection.
    Connected(Company),
    /// The MSRs aren't as we left them, or the record isn't as we read it.
    Changed,
    /// A device answered in its ring: only the MSRs were changed.
    Resumed(Company),
    /// No answer, or a sure sign that the connection is over.
    Gone,
    /// Its owner keeps it.
    Refused,
    /// We ended our part.
    Released,
}

/// A step that can't happen; a bug of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IllegalStep;

/// The next standing.
///
/// # Errors
/// [`IllegalStep`]; nothing was done then.
pub const fn step(from: Standing, event: Event) -> Result<Standing, IllegalStep> {
    use Standing::{Away, Connected, Declined, Doubtful, Lost};
    match (from, event) {
        (Away | Lost | Declined, Event::Connected(company)) | (Doubtful, Event::Resumed(company)) => {
            Ok(Connected(company))
        }
        (Connected(_), Event::Changed) => Ok(Doubtful),
        (Connected(_) | Doubtful, Event::Gone) => Ok(Lost),
        (Away | Lost | Declined | Doubtful, Event::Refused) => Ok(Declined),
        (_, Event::Released) => Ok(Away),
        _ => Err(IllegalStep),
    }
}

impl Event {
    /// What the log says.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Connected(Company::Alone) => "VMBus is ours",
            Self::Connected(Company::Owner) => "VMBus is taken from its owner",
            Self::Connected(Company::Host) => "VMBus is shared by its owner",
            Self::Changed => "VMBus was touched; asking whether our connection lives",
            Self::Resumed(_) => "our connection lives",
            Self::Gone => "our connection is gone",
            Self::Refused => "VMBus is left to its owner",
            Self::Released => "VMBus is given back",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDINGS: [Standing; 6] = [
        Standing::Away,
        Standing::Connected(Company::Alone),
        Standing::Connected(Company::Host),
        Standing::Doubtful,
        Standing::Lost,
        Standing::Declined,
    ];

    #[test]
    fn doubt_is_cleared_before_anything_else_happens() {
        assert_eq!(step(Standing::Doubtful, Event::Connected(Company::Alone)), Err(IllegalStep));
        let resumed = Event::Resumed(Company::Owner);
        assert_eq!(step(Standing::Doubtful, resumed), Ok(Standing::Connected(Company::Owner)));
        assert_eq!(step(Standing::Doubtful, Event::Gone), Ok(Standing::Lost));
    }

    #[test]
    fn nothing_is_resumed_that_was_not_in_doubt() {
        for standing in STANDINGS.into_iter().filter(|standing| *standing != Standing::Doubtful) {
            assert_eq!(step(standing, Event::Resumed(Company::Alone)), Err(IllegalStep), "{standing:?}");
        }
    }

    #[test]
    fn every_standing_ends_by_giving_back() {
        for standing in STANDINGS {
            assert_eq!(step(standing, Event::Released), Ok(Standing::Away));
        }
    }
}
