//! The card, by UNDI: a question on the network and its answer.

use runtime::pxe::frames::arp_request;
use runtime::pxe::op;
use runtime::report::{Outcome, ensure};

use super::Scene;

/// Directed and broadcast frames.
const FILTER: u16 = 3;
/// Tries (policy): what is on its way when somebody takes VMBus may be lost, as on any network.
const TRIES: u32 = 3;

/// Opens the card, asks and is answered, after each theft anew, and closes it.
pub fn ask(scene: &mut Scene) -> Outcome {
    scene.stack.open(FILTER).ok("UNDI_OPEN")?;
    scene.watch.after_call("UNDI_OPEN")?;
    exchange(scene)?;
    for _ in 0..scene.options.between {
        scene.steal()?;
        exchange(scene)?;
    }
    scene.stack.simple(op::UNDI_CLOSE).ok("UNDI_CLOSE")?;
    scene.watch.after_call("UNDI_CLOSE")
}

fn exchange(scene: &mut Scene) -> Outcome {
    let answered = (0..TRIES).any(|_| {
        let request = arp_request(&scene.stack);
        scene.stack.transmit(&request).is_ok() && scene.stack.receive_arp_reply().is_some()
    });
    scene.watch.after_call("UNDI_TRANSMIT or UNDI_ISR")?;
    ensure!(answered, "no answer to ARP after {} thefts", scene.thefts);
    Ok(())
}
