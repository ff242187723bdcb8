//! What the user sees while the machine boots.

use core::fmt::{self, Write};

use crate::machine::Machine;
use crate::net::dhcp::Event;
use crate::text::{Dotted, Plain};
use crate::time::Ticks100ns;

/// How often the progress line is drawn (policy: a screen in text mode costs exits).
const REDRAW_MS: u64 = 200;

/// The machine's screen as a formatter's target.
struct Screen<'m, C>(&'m C);

impl<C: Machine> Write for Screen<'_, C> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.print(text);
        Ok(())
    }
}

/// The same for text that a quiet boot leaves out.
struct Notes<'m, C>(&'m C);

impl<C: Machine> Write for Notes<'_, C> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.note(text);
        Ok(())
    }
}

/// Notes what happens: `note(&machine, format_args!("...\n"))`. On the screen, unless the boot is to be quiet.
pub(super) fn note(machine: &impl Machine, arguments: fmt::Arguments<'_>) {
    // As in `print`.
    let _ = Notes(machine).write_fmt(arguments);
}

/// Prints what the user must see: `print(&machine, format_args!("...\n"))`.
pub(super) fn print(machine: &impl Machine, arguments: fmt::Arguments<'_>) {
    // The screen takes everything; only a formatter of ours could fail, and none does.
    let _ = Screen(machine).write_fmt(arguments);
}

/// An Ethernet address in hexadecimal with colons.
pub(super) struct Mac(pub(super) crate::nic::MacAddress);

impl fmt::Display for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str(":")?;
            }
            write!(formatter, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// Shows what DHCP does.
pub(super) fn show_event(machine: &impl Machine, event: Event<'_>) {
    let (what, server) = match event {
        Event::Discovering(1) => return machine.note("DHCP    looking for servers\n"),
        Event::Discovering(attempt) => return note(machine, format_args!("        no answer, try {attempt}\n")),
        Event::Offer { server, address } => {
            return note(machine, format_args!("        {} offers {}\n", Dotted(server), Dotted(address)));
        }
        Event::ProxyOffer(server) => ("        proxyDHCP at", server),
        Event::Requesting(server) => ("        asking", server),
        Event::Refused(server) => ("        refused by", server),
        Event::AskingProxy(server) => ("        asking proxyDHCP at", server),
        Event::FindingBootServer { kind, address } => {
            return note(machine, format_args!("        looking for boot server type {kind} at {}\n", Dotted(address)));
        }
        Event::Leased(lease) => {
            note(machine, format_args!("Lease   {}, mask {}", Dotted(lease.address), Dotted(lease.mask)));
            if let Some(gateway) = lease.gateway {
                note(machine, format_args!(", gateway {}", Dotted(gateway)));
            }
            return machine.note("\n");
        }
        Event::Prompt(text) => return print(machine, format_args!("\n{text}\n")),
        Event::Menu => return machine.print("\n"),
        Event::MenuItem { text, selected } => {
            let mark = if selected { " > " } else { "   " };
            return print(machine, format_args!("{}{text}\n", Plain(mark)));
        }
    };
    note(machine, format_args!("{} {}\n", Plain(what), Dotted(server)));
}

/// The line that shows how far a download is.
pub(super) struct Progress<C> {
    machine: C,
    began: Ticks100ns,
    redraw: Ticks100ns,
    done: u64,
    total: Option<u64>,
}

impl<C: Machine> Progress<C> {
    /// Begins to count.
    pub(super) fn new(machine: &C) -> Self {
        let began = machine.now();
        Self { machine: machine.clone(), began, redraw: began.plus_millis(REDRAW_MS), done: 0, total: None }
    }

    /// Takes note of `done` bytes, of `total` if the server told; draws now and then.
    pub(super) fn update(&mut self, done: u64, total: Option<u64>) {
        self.done = done;
        self.total = total;
        let now = self.machine.now();
        if now >= self.redraw {
            self.redraw = now.plus_millis(REDRAW_MS);
            self.draw(now);
        }
    }

    /// Draws the last time and ends the line, if there was anything to draw.
    pub(super) fn finish(&self) {
        if self.done > 0 {
            self.draw(self.machine.now());
            self.machine.note("\n");
        }
    }

    fn draw(&self, now: Ticks100ns) {
        let rate = self.done.saturating_mul(1000) / now.millis_since(self.began).max(1);
        let done = Kib(self.done);
        match self.total {
            Some(total) => {
                note(&self.machine, format_args!("\r        {done} of {} KiB, {} KiB/s    ", Kib(total), Kib(rate)));
            }
            None => note(&self.machine, format_args!("\r        {done} KiB, {} KiB/s    ", Kib(rate))),
        }
    }
}

/// A number of bytes in KiB, rounded up.
struct Kib(u64);

impl fmt::Display for Kib {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.div_ceil(1024).fmt(formatter)
    }
}
