//! Which cells are worth their time.

use super::cell::{Cell, HostKind, Party, Way};

/// Every combination.
pub fn every() -> Vec<Cell> {
    let mut cells = Vec::new();
    for party in Party::ALL {
        for way in Way::ALL {
            cells.extend(HostKind::ALL.map(|host| Cell { party, way, host }));
        }
    }
    cells
}

/// Every party and way on the recent host; on each other host the ways that touch what is different there, so that every host
/// meets every kind of party, and every kind of way.
pub fn worthwhile() -> Vec<Cell> {
    let mut cells = Vec::new();
    for party in Party::ALL {
        cells.extend(Way::ALL.map(|way| Cell::new(party, way)));
    }
    for host in HostKind::ALL.into_iter().filter(|host| *host != HostKind::Recent) {
        let others: &[(Party, Way)] = match host {
            // Minutes each.
            HostKind::VerySlow => &[(Party::Naive, Way::Fails)],
            _ => &[
                (Party::Nobody, Way::TheftBetween),
                (Party::Naive, Way::Fails),
                (Party::Naive, Way::TheftBetween),
                (Party::Careful, Way::Localboot),
                (Party::Interrupts, Way::Network),
                (Party::Publishing, Way::Network),
            ],
        };
        cells.extend(others.iter().map(|&(party, way)| Cell { party, way, host }));
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_party_and_way_and_every_host_is_worthwhile_once() {
        let cells = worthwhile();
        for cell in every() {
            let pair = |other: &Cell| (other.party, other.way) == (cell.party, cell.way);
            assert!(cells.iter().any(pair), "{cell}");
            assert!(cells.iter().any(|other| other.host == cell.host), "{cell}");
        }
        for (index, cell) in cells.iter().enumerate() {
            assert!(!cells[index + 1..].contains(cell), "{cell} twice");
        }
    }
}
