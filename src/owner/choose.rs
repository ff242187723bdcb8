//! Which of several network cards to use.

use heapless::Vec;

use super::Platform;
use super::ties::Ties;
use crate::error::Error;
use crate::log;
use crate::netvsc::Device;
use crate::vmbus::{Channel, Connection, MAX_OFFERS, Offer};
use crate::wire::vmbus::Guid;

/// A card that was opened: its number in the order of the offers, its instance, itself.
pub(super) struct Chosen<H: Platform> {
    pub index: usize,
    pub instance: Guid,
    pub device: Device<H>,
}

/// Which card to open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// The one that was in use.
    pub instance: Option<Guid>,
    /// The one that the user prefers, by its number from 0.
    pub preferred: Option<usize>,
}

/// Opens the card that was in use if it is still offered; else the one that the user prefers; without such a wish the first
/// one with a link, else the first one that opens at all. The message page must be in place.
///
/// # Errors
/// [`Error::NoNic`] without offers, or when there are not so many cards as the user thinks; else why the last one didn't open.
pub(super) fn open_card<H: Platform>(
    connection: &mut Connection<H>,
    ties: &Ties<H>,
    wanted: Wanted,
) -> Result<Chosen<H>, Error> {
    let offers: Vec<Offer, MAX_OFFERS> = connection.offers().iter().copied().collect();
    if let Some(index) = offers.iter().position(|offer| Some(offer.instance) == wanted.instance) {
        return open(connection, ties, index, &offers[index]);
    }
    if let Some(index) = wanted.preferred {
        return open(connection, ties, index, offers.get(index).ok_or(Error::NoNic)?);
    }
    let mut result = Err(Error::NoNic);
    let mut without_link = None;
    for (index, offer) in offers.iter().enumerate() {
        match open(connection, ties, index, offer) {
            Ok(chosen) if chosen.device.link_up() || offers.len() == 1 => return Ok(chosen),
            Ok(chosen) => {
                close(connection, ties, chosen.device);
                without_link = without_link.or(Some(index));
            }
            Err(error) => result = Err(error),
        }
    }
    match without_link {
        Some(index) => open(connection, ties, index, &offers[index]),
        None => result,
    }
}

fn open<H: Platform>(
    connection: &mut Connection<H>,
    ties: &Ties<H>,
    index: usize,
    offer: &Offer,
) -> Result<Chosen<H>, Error> {
    log::line(format_args!("netvsc: opening network card {index}, channel {}", offer.relid));
    let result = ties.claim(offer.relid).and_then(|()| Channel::open(connection, offer)).and_then(|channel| {
        let mut device = Device::new(channel);
        match device.start(connection) {
            Ok(()) => Ok(Chosen { index, instance: offer.instance, device }),
            Err(error) => {
                device.close(connection);
                Err(error)
            }
        }
    });
    if let Err(error) = &result {
        log::line(format_args!("netvsc: network card {index} does not open: {error:?}"));
        ties.give_back(connection, offer.relid);
    }
    result
}

/// Closes a card, and gives its channel back to the owner whose guest we are. The message page must be in place.
pub(super) fn close<H: Platform>(connection: &mut Connection<H>, ties: &Ties<H>, device: Device<H>) {
    let relid = device.relid();
    device.close(connection);
    ties.give_back(connection, relid);
}
