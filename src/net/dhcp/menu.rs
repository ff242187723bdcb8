//! The boot menu: prompt, time-out, choice. What it looks like is the observer's business.
//!
//! Source: PXE 2.1, "PXE boot menu" and "PXE menu prompt".

use crate::error::Error;
use crate::machine::{Key, Machine};
use crate::net::{Net, NetError, SECOND};
use crate::nic::Nic;
use crate::text::Printable;
use crate::time::Ticks100ns;

use super::Event;
use super::vendor::VendorOptions;

/// Longest text shown, in bytes (policy: a line of the screen); the rest is cut.
const MAX_TEXT: usize = 78;

/// Prompt time-out that means: show the menu and wait for ever.
const FOR_EVER: u8 = 255;

/// Type of the item that boots the local disk.
const LOCAL_BOOT: u16 = 0;

/// What the menu says.
pub(super) enum Choice {
    /// There is no menu.
    None,
    /// The local disk.
    Local,
    /// A boot server of this type.
    Server(u16),
}

/// Prompts, shows the menu if the user wants it, and returns the choice.
pub(super) fn choose<N: Nic, M: Machine>(
    net: &mut Net<'_, N, M>,
    vendor: &VendorOptions<'_>,
    observer: &mut dyn FnMut(Event<'_>),
) -> Result<Choice, NetError> {
    let Some((first, _)) = vendor.items().next() else {
        return if vendor.has_menu() { Err(NetError::BadMenu) } else { Ok(Choice::None) };
    };
    let (seconds, text) = vendor.prompt().unwrap_or((FOR_EVER, &[]));
    let kind = match seconds {
        0 => first,
        FOR_EVER => select(net, vendor, observer)?,
        _ => {
            observer(Event::Prompt(shown(text)));
            let deadline = net.machine.now().plus_millis(u64::from(seconds) * SECOND);
            match key(net, Some(deadline))? {
                Some(Key::F8) => select(net, vendor, observer)?,
                _ => first,
            }
        }
    };
    Ok(if kind == LOCAL_BOOT { Choice::Local } else { Choice::Server(kind) })
}

/// Lets the user pick an item: cursor keys and Enter.
fn select<N: Nic, M: Machine>(
    net: &mut Net<'_, N, M>,
    vendor: &VendorOptions<'_>,
    observer: &mut dyn FnMut(Event<'_>),
) -> Result<u16, NetError> {
    let last = vendor.items().count().saturating_sub(1);
    let mut current = 0;
    loop {
        observer(Event::Menu);
        let mut chosen = LOCAL_BOOT;
        for (index, (kind, text)) in vendor.items().enumerate() {
            let selected = index == current;
            if selected {
                chosen = kind;
            }
            observer(Event::MenuItem { text: shown(text), selected });
        }
        match key(net, None)? {
            Some(Key::Up) => current = current.saturating_sub(1),
            Some(Key::Down) => current = last.min(current + 1),
            Some(Key::Enter) => return Ok(chosen),
            _ => {}
        }
    }
}

/// Waits for a key until the deadline, if there is one. The stack goes on answering ARP.
fn key<N: Nic, M: Machine>(net: &mut Net<'_, N, M>, deadline: Option<Ticks100ns>) -> Result<Option<Key>, NetError> {
    loop {
        let now = net.machine.now();
        net.stack.poll(net.nic, now)?;
        match net.machine.key() {
            Some(Key::Cancel) => return Err(Error::Cancelled.into()),
            None if deadline.is_some_and(|deadline| now >= deadline) => return Ok(None),
            None => net.machine.idle(),
            key => return Ok(key),
        }
    }
}

/// A server's text, as much of it as is shown.
fn shown(text: &[u8]) -> Printable<'_> {
    Printable(&text[..text.len().min(MAX_TEXT)])
}
