//! The network boot, from the boot entry vector to the boot program.

use zerocopy::IntoBytes;

use super::api::{Api, BootOutcome, Residency, State};
use super::messages::BootError;
use super::screen::{Mac, Progress, note, print, show_event};
use super::structures::{bang_pxe, pxenv_plus};
use super::tftp::{NBP_BASE, write_piece};
use crate::error::Error;
use crate::machine::{Key, Machine};
use crate::mem::PhysMem;
use crate::net::file::download;
use crate::net::{Net, dhcp};
use crate::nic::Nic;
use crate::text::{Dotted, Plain, Printable};
use crate::wire::pxe::{BangPxe, PxenvPlus, PxenvStatus};

impl<N: Nic, M: PhysMem, C: Machine> Api<'_, N, M, C> {
    /// Boots from the network, and says on the screen what it does.
    ///
    /// Ends in bounded time but for a boot menu whose author wants it to wait for the user.
    pub fn boot(&mut self) -> BootOutcome {
        self.show_banner();
        self.state.undi.restart();
        self.state.files = super::file::NO_FILES;
        self.nic.prefer(self.machine.boot_card());
        match self.ask_user().and_then(|()| self.load()) {
            Ok(dhcp::Outcome::File) => {
                self.publish();
                self.machine.note("Starting the boot program.\n");
                return BootOutcome::StartNbp;
            }
            Ok(dhcp::Outcome::LocalBoot) => self.machine.note("Local boot chosen.\n"),
            Err(error) => self.explain(error),
        }
        // Whatever the host didn't confirm stays reserved, and nothing was hooked yet.
        let _ = self.undi_cleanup();
        self.machine.note("PXE-M0F: Leaving the network boot.\n");
        BootOutcome::ReturnToBios
    }

    /// Looks whether there is a card that works, and lets go of it again. When there is none, says so on the screen.
    pub fn probe(&mut self) -> bool {
        self.state.undi.restart();
        let found = self.bring_up();
        // As after a failed boot.
        let _ = self.undi_cleanup();
        if let Err(error) = found {
            self.show_banner();
            self.explain(error.into());
        }
        found.is_ok()
    }

    /// How many cards the host offers; 0 when it can't be asked. Says nothing on the screen.
    pub fn count_cards(&mut self) -> usize {
        self.nic.count().unwrap_or(0)
    }

    /// Gives the user some time to skip the boot or to pick a card, where the settings say so.
    fn ask_user(&mut self) -> Result<(), BootError> {
        let seconds = self.machine.key_wait_seconds();
        if seconds == 0 {
            return Ok(());
        }
        print(
            &self.machine,
            format_args!("Esc skips the network boot, 1 to 8 picks a card, Enter starts; {seconds} s ... "),
        );
        let deadline = self.machine.now().plus_millis(u64::from(seconds) * 1000);
        let answer = loop {
            match self.machine.key() {
                Some(Key::Cancel) => break Err(Error::Cancelled.into()),
                Some(Key::Enter) => break Ok(()),
                Some(Key::Other(digit @ b'1'..=b'8')) => {
                    self.nic.prefer((digit - b'0').into());
                    break Ok(());
                }
                _ if self.machine.now() >= deadline => break Ok(()),
                _ => self.machine.idle(),
            }
        };
        self.machine.print("\n");
        answer
    }

    fn show_banner(&self) {
        self.machine.note(concat!(
            "\nhvpxe ",
            env!("CARGO_PKG_VERSION"),
            " - network boot for Hyper-V. Esc cancels.\n"
        ));
    }

    /// Called when the boot program has returned, with its AX (PXE 2.1: a status that says what to keep).
    pub fn nbp_returned(&mut self, ax: u16) -> Residency {
        match PxenvStatus(ax) {
            PxenvStatus::KEEP_UNDI | PxenvStatus::KEEP_ALL => return Residency::Keep,
            PxenvStatus::SUCCESS => self.machine.note("\nThe boot program has returned.\n"),
            PxenvStatus(code) => print(&self.machine, format_args!("\nThe boot program failed: {code:#06x}.\n")),
        }
        // The program may have done it already.
        if !self.state.undi.is_stopped() && self.stop_undi().is_err() {
            return Residency::Keep;
        }
        Residency::Free
    }

    /// Says why there is no boot program.
    fn explain(&self, error: BootError) {
        print(&self.machine, format_args!("PXE-E{:02X}: {}\n", error.code(), Plain(error.text())));
    }

    /// Everything up to the boot program in memory.
    fn load(&mut self) -> Result<dhcp::Outcome, BootError> {
        self.start_card()?;
        let machine = self.machine.clone();
        let State { stack, info, renewal, .. } = &mut *self.state;
        let mut net = Net { stack, nic: &mut self.nic, machine: &self.machine, watch_keys: true };
        let outcome = dhcp::run(&mut net, info, &mut |event| show_event(&machine, event))?;
        renewal.begin(info, self.machine.now());
        if outcome == dhcp::Outcome::File {
            self.fetch()?;
            // Quiet until the boot program asks for frames.
            self.close_receiver()?;
        }
        Ok(outcome)
    }

    /// Opens the card, waits for its link and gives it to the network stack.
    fn start_card(&mut self) -> Result<(), BootError> {
        self.bring_up()?;
        let mac = self.nic.permanent_mac();
        note(&self.machine, format_args!("NIC     {}", Mac(mac)));
        let (index, count) = self.nic.place();
        if count > 1 {
            note(&self.machine, format_args!(", card {index} of {count}"));
        }
        self.machine.note("\n");
        let deadline = self.machine.now().plus_millis(u64::from(self.machine.link_wait_seconds()) * 1000);
        while !self.nic.link_is_up()? {
            if self.machine.now() >= deadline {
                return Err(Error::LinkDown.into());
            }
            if self.machine.key() == Some(Key::Cancel) {
                return Err(Error::Cancelled.into());
            }
            self.machine.idle();
        }
        self.machine.note("Link    up\n");
        self.open_for_base_code()?;
        let now = self.machine.now();
        Ok(self.state.stack.start(&mut self.nic, mac, now, self.machine.random())?)
    }

    /// Loads the boot file.
    fn fetch(&mut self) -> Result<(), BootError> {
        let room = self.nbp_room();
        let State { stack, info, .. } = &mut *self.state;
        note(&self.machine, format_args!("Server  {}\nFile    {}\n", Dotted(info.next_server), Printable(&info.file)));
        let mem = self.mem.clone();
        let mut progress = Progress::new(&self.machine);
        let mut net = Net { stack, nic: &mut self.nic, machine: &self.machine, watch_keys: true };
        let len = download(
            &mut net,
            info.next_server,
            &info.file,
            u64::from(room),
            &mut |offset, bytes| write_piece(&mem, NBP_BASE, offset, bytes),
            &mut |done, total| progress.update(done, total),
        );
        progress.finish();
        if len? == 0 {
            return Err(BootError::EmptyFile);
        }
        let mut magic = [0; 2];
        self.mem.read(NBP_BASE, &mut magic)?;
        if magic == *b"MZ" { Err(BootError::EfiProgram) } else { Ok(()) }
    }

    /// The UNDI loader: puts the API in place without a boot. `START_UNDI` comes next; there is no lease and no server.
    pub fn install(&mut self) {
        self.state.undi.wait_for_start();
        self.state.info.forget();
        self.put_packets();
        self.put_structures();
    }

    /// Puts the packets and the structures where boot programs find them, and hooks INT 1Ah.
    fn publish(&mut self) {
        self.put_packets();
        self.publish_structures();
    }

    /// Puts the structures alone, and hooks INT 1Ah.
    pub(super) fn publish_structures(&mut self) {
        self.put_structures();
        self.machine.hook_interrupts();
    }

    fn put_packets(&self) {
        let info = &self.state.info;
        for (at, packet) in self.machine.resident().cached.into_iter().zip([&info.discover, &info.ack, &info.reply]) {
            self.mem.write_resident(at, packet);
        }
    }

    fn put_structures(&mut self) {
        let layout = self.machine.resident();
        self.mem.write_resident(layout.bang_pxe, bang_pxe(&layout).as_bytes());
        self.mem.write_resident(layout.pxenv, pxenv_plus(&layout).as_bytes());
        self.publish_answers();
    }

    /// Wipes the structures: whoever scans memory for them later must not call into what is gone.
    pub(super) fn unpublish(&self) {
        let layout = self.machine.resident();
        self.mem.write_resident(layout.bang_pxe, &[0; size_of::<BangPxe>()]);
        self.mem.write_resident(layout.pxenv, &[0; size_of::<PxenvPlus>()]);
    }
}
