//! One schedule: a machine, its parties, and a random series of what they do; and what must hold whatever they do.

use std::cell::RefCell;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use hvhost::{MemoryDisk, SECOND};
use hvpxe::disk::{DiskError, Disks};
use hvpxe::error::Error;
use hvpxe::hv::Hypervisor;
use hvpxe::nic::{Nic, PacketFilter};
use hvpxe::owner::{Arbiter, Company, Policy, Standing};
use hvpxe::wire::hv::{
    HV_X64_MSR_GUEST_OS_ID, HV_X64_MSR_HYPERCALL, HV_X64_MSR_SCONTROL, HV_X64_MSR_SIEFP, HV_X64_MSR_SIMP,
    HV_X64_MSR_SINT2,
};
use hvpxe::wire::vmbus::message_type;

use crate::host::any_host;
use crate::machine::{Machine, Party};
use crate::parties::bios::{Bios, Style};
use crate::parties::client::Client;
use crate::parties::drive::BLOCK;
use crate::parties::thief::{self, Theft};
use crate::random::Random;
use crate::wire::Wire;

/// Blocks of the disk.
const BLOCKS: u64 = 48;
/// Longest time that one call may take, in milliseconds: reconnects that wait for a host which takes 50 seconds each.
const LONGEST_CALL_MS: u64 = 400_000;
/// How long a frame may be on its way before it counts as lost, in milliseconds: 34 seconds without a confirmation, and
/// what a reconnect takes.
const LONGEST_ECHO_MS: u64 = 150_000;

/// What happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    Open,
    Close,
    Release,
    Echo,
    Transmit,
    Receive,
    Filter,
    Link,
    OpenDisks,
    ReleaseDisks,
    Read,
    Write,
    Flush,
    Reset,
    Steal(Theft),
    ThiefLeaves,
    Wait,
}

const STEPS: [(u64, Step); 20] = [
    (6, Step::Open),
    (1, Step::Close),
    (2, Step::Release),
    (8, Step::Echo),
    (4, Step::Transmit),
    (4, Step::Receive),
    (2, Step::Filter),
    (2, Step::Link),
    (4, Step::OpenDisks),
    (1, Step::ReleaseDisks),
    (12, Step::Read),
    (10, Step::Write),
    (1, Step::Flush),
    (1, Step::Reset),
    (3, Step::Steal(Theft::Full)),
    (2, Step::Steal(Theft::FullStays)),
    (3, Step::Steal(Theft::Msrs)),
    (1, Step::Steal(Theft::Traceless)),
    (2, Step::ThiefLeaves),
    (3, Step::Wait),
];

/// What went wrong.
type Verdict<T = ()> = Result<T, String>;

/// Bytes that say where they are from.
fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..len.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).take(len).collect()
}

struct World {
    random: Random,
    machine: Machine,
    core: Arbiter<Machine>,
    policy: Policy,
    bios: Option<Rc<RefCell<Bios>>>,
    /// Somebody else ended the connection that a BIOS without eyes goes on using.
    bios_is_dead: bool,
    thefts: u32,
    /// Violations that were looked at.
    judged: usize,
    /// The core's connection was ended without a trace in the MSRs.
    unseen: bool,
    /// How often the BIOS had connected when that happened last.
    ended_unseen: Option<u32>,
    /// The card comes and goes.
    card_moves: bool,
    /// Channels close so slowly that nobody waits for it.
    slow_close: bool,
    wire: Wire,
    disk: MemoryDisk,
    /// What the disk must hold.
    model: Vec<u8>,
    frames: u64,
    story: String,
}

/// Runs the schedule of this seed, and tells what happened.
///
/// # Errors
/// What did not hold, and what happened before.
pub fn run(seed: u64) -> Verdict<String> {
    let mut world = World::new(seed);
    let verdict = catch_unwind(AssertUnwindSafe(|| world.play())).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Err(format!("panic: {}", text.unwrap_or_default()))
    });
    let log = || world.machine.log().join("\n");
    let verdict = verdict.map_err(|what| format!("{what}\n{}\n{}", world.story, log()));
    // The interrupt handler holds the BIOS, and the BIOS the machine.
    world.machine.handle_interrupts(None);
    world.tell(format_args!("done"));
    verdict.map(|()| world.story)
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let styles = [Style::Naive, Style::Careful, Style::Publishing, Style::InterruptDriven];
        let style = (!random.once_in(4)).then(|| random.one_of(&styles));
        let mut config = any_host(&mut random);
        // With every reply come two messages that are the owner's: more than a record has room for.
        config.faults.unsolicited &= !matches!(style, Some(Style::Publishing | Style::InterruptDriven));
        let card_moves = config.faults.rescind_after.is_some();
        let slow_close = config.close_delay >= SECOND;
        let mut story = String::new();
        let wire = Wire::echo();
        let model = pattern(BLOCKS as usize * BLOCK, seed);
        let disk = MemoryDisk::new(model.clone());
        let _ = writeln!(story, "{config:?}");
        let machine = Machine::new(config, &wire, &disk);
        let bios = style.map(|style| Rc::new(RefCell::new(Bios::post(&machine, style))));
        let policy = random.one_of(&[Policy::Decline, Policy::Attach, Policy::TakeOver]);
        let mut core = Arbiter::new(machine.clone());
        core.set_policy(policy);
        let _ = writeln!(story, "{:?}, {policy:?}", bios.as_ref().map(|bios| bios.borrow().style));
        if let Some(bios) = &bios {
            let bios = bios.clone();
            machine.handle_interrupts(Some(Rc::new(move || {
                if let Ok(mut bios) = bios.try_borrow_mut() {
                    bios.interrupt();
                }
            })));
        }
        Self {
            random,
            machine,
            core,
            policy,
            bios,
            bios_is_dead: false,
            thefts: 0,
            judged: 0,
            unseen: false,
            ended_unseen: None,
            card_moves,
            slow_close,
            wire,
            disk,
            model,
            frames: 0,
            story,
        }
    }

    fn tell(&mut self, what: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.story, "[{:>9}] {what}", self.machine.millis());
    }

    fn style(&self) -> Option<Style> {
        self.bios.as_ref().map(|bios| bios.borrow().style)
    }

    /// A BIOS that shares its connection has it, and the core uses that.
    fn is_shared(&self) -> bool {
        let shares = matches!(self.style(), Some(Style::Publishing | Style::InterruptDriven));
        let may_attach = shares && self.policy != Policy::Decline && !self.stands_in();
        may_attach && self.bios.as_ref().is_some_and(|bios| bios.borrow().is_owner())
    }

    /// The record says that there is a connection, but somebody ended it without a trace: nothing can be done before the
    /// owner finds out.
    fn is_ghost(&self) -> bool {
        let contacts = self.bios.as_ref().map(|bios| bios.borrow().contacts);
        self.is_shared() && contacts == self.ended_unseen
    }

    /// Somebody has VMBus now who keeps it from the core.
    fn is_kept(&self) -> bool {
        let live = self.machine.read_msr(HV_X64_MSR_SIMP) & 1 != 0;
        live && self.policy != Policy::TakeOver && !self.is_shared()
    }

    fn play(&mut self) -> Verdict {
        let count = 3 + self.random.below(12);
        for _ in 0..count {
            let step = self.pick();
            self.tell(format_args!("{step:?}"));
            self.step(step)?;
            self.stand_in()?;
            self.check()?;
        }
        self.end()
    }

    fn pick(&mut self) -> Step {
        let mut at = self.random.below(STEPS.iter().map(|(weight, _)| weight).sum());
        for (weight, step) in STEPS {
            if at < weight {
                return step;
            }
            at -= weight;
        }
        Step::Wait
    }

    fn step(&mut self, step: Step) -> Verdict {
        match step {
            Step::Open => self.open(),
            Step::Close => self.call(|core| core.close()).map(|_| ()),
            Step::Release => self.call(|core| core.release()).map(|_| ()),
            Step::Echo => self.echo(),
            Step::Transmit => {
                let frame = self.frame();
                self.call(|core| core.transmit(&[&frame])).map(|_| ())
            }
            Step::Receive => {
                for _ in 0..3 {
                    self.call(|core| core.receive(&mut [0; 1514]))?.ok();
                    self.machine.pass_millis(1);
                }
                Ok(())
            }
            Step::Filter => self.call(|core| core.set_filter(PacketFilter::BROADCAST)).map(|_| ()),
            Step::Link => self.call(|core| core.link_is_up()).map(|_| ()),
            Step::OpenDisks => self.open_disks(),
            Step::ReleaseDisks => self.call(|core| core.release_disks()).map(|_| ()),
            Step::Read => self.access(false),
            Step::Write => self.access(true),
            Step::Flush if self.stands_in() => self.disk_call(|core| core.flush(0)),
            Step::Reset if self.stands_in() => self.disk_call(|core| core.reset(0)),
            Step::Flush | Step::Reset => Ok(()),
            Step::Steal(theft) => {
                self.thefts += 1;
                if theft == Theft::Traceless {
                    self.unseen = true;
                    self.ended_unseen = self.bios.as_ref().map(|bios| bios.borrow().contacts);
                }
                thief::steal(&self.machine, theft);
                // A BIOS without eyes does not see that its calls go nowhere.
                self.bios_is_dead |= self.style() == Some(Style::Naive);
                Ok(())
            }
            Step::ThiefLeaves => {
                thief::leave(&self.machine);
                Ok(())
            }
            Step::Wait => {
                let milliseconds = self.random.one_of(&[1, 20, 300, 3_000]);
                self.machine.pass_millis(milliseconds);
                Ok(())
            }
        }
    }

    /// A call of the core, and what must hold after any of them.
    fn call<T>(&mut self, work: impl FnOnce(&mut Arbiter<Machine>) -> T) -> Verdict<T> {
        const SYNIC: [u32; 3] = [HV_X64_MSR_SIMP, HV_X64_MSR_SIEFP, HV_X64_MSR_SINT2];
        const CALLS: [u32; 2] = [HV_X64_MSR_HYPERCALL, HV_X64_MSR_GUEST_OS_ID];
        const CONTACTS: [u32; 3] = [message_type::INITIATE_CONTACT, message_type::REQUESTOFFERS, message_type::UNLOAD];
        let msrs = |machine: &Machine, list: &[u32]| list.iter().map(|msr| machine.read_msr(*msr)).collect::<Vec<_>>();
        let posted = |machine: &Machine| CONTACTS.map(|kind| machine.posted(kind));
        let (kept, shared) = (self.is_kept(), self.is_shared());
        let scontrol = self.machine.read_msr(HV_X64_MSR_SCONTROL);
        let (synic, calls, contacts) =
            (msrs(&self.machine, &SYNIC), msrs(&self.machine, &CALLS), posted(&self.machine));
        let before = self.machine.millis();

        self.judge(false)?;
        let result = work(&mut self.core);
        self.judge(true)?;

        let took = self.machine.millis() - before;
        if took > LONGEST_CALL_MS {
            return Err(format!("a call took {took} ms"));
        }
        let after = msrs(&self.machine, &SYNIC);
        if after != synic {
            return Err(format!("SIMP, SIEFP, SINT2 were {synic:x?} and are {after:x?}"));
        }
        if after[0] & 1 != 0 && self.machine.owns(after[0]) {
            return Err("the core left its message page enabled".into());
        }
        if scontrol & 1 != 0 && self.machine.read_msr(HV_X64_MSR_SCONTROL) & 1 == 0 {
            return Err("SCONTROL was left 0".into());
        }
        if (kept || shared) && msrs(&self.machine, &CALLS) != calls {
            return Err(format!("HYPERCALL and GUEST_OS_ID of an owner were changed from {calls:x?}"));
        }
        if (kept || shared) && posted(&self.machine) != contacts {
            return Err("VMBus was taken from an owner".into());
        }
        if posted(&self.machine) != contacts {
            self.bios_is_dead |= self.style() == Some(Style::Naive);
        }
        Ok(result)
    }

    /// What the ROM does when it has taken VMBus from a BIOS: its disks are the core's from then on.
    fn stand_in(&mut self) -> Verdict {
        if matches!(self.core.standing(), Standing::Connected(Company::Owner)) && !self.stands_in() {
            self.tell(format_args!("the core stands in for the BIOS"));
            self.open_disks()?;
        }
        Ok(())
    }

    fn open(&mut self) -> Verdict {
        let (kept, ghost) = (self.is_kept(), self.is_ghost());
        let result = self.call(|core| core.open())?;
        match result {
            Ok(()) if !kept => Ok(()),
            Err(_) if ghost => Ok(()),
            // An open card is not looked at again.
            Ok(()) if self.core.is_open() => Ok(()),
            Err(Error::VmbusOwned) if kept => Ok(()),
            // Memory that the host keeps for a minute may be all there is.
            Err(Error::OutOfResources) if self.slow_close || self.card_moves => Ok(()),
            // A guest whose channel did not close in time can't have it again.
            Err(Error::NoNic | Error::VmbusOwned) if self.slow_close && self.is_shared() => Ok(()),
            Err(Error::NoNic | Error::NicGone | Error::HostTimeout | Error::HostRefused) if self.card_moves => Ok(()),
            result => Err(format!("open: {result:?}, VMBus {}", if kept { "is kept" } else { "can be had" })),
        }
    }

    fn open_disks(&mut self) -> Verdict {
        let kept = self.is_kept();
        // A BIOS that shares VMBus keeps its disk.
        if self.is_shared() {
            return Ok(());
        }
        let result = self.call(|core| core.open_disks())?;
        match result {
            Ok(()) if self.core.count() == 1 => Ok(()),
            Err(Error::VmbusOwned) if kept => Ok(()),
            result => Err(format!("open_disks: {result:?}, {} disks", self.core.count())),
        }
    }

    /// INT 13h is the core's.
    fn stands_in(&self) -> bool {
        self.core.disks_in_use()
    }

    fn disk_call(&mut self, work: impl FnOnce(&mut Arbiter<Machine>) -> Result<(), DiskError>) -> Verdict {
        let kept = self.is_kept();
        match self.call(work)? {
            Err(error) if !kept => Err(format!("the disk was lost: {error:?}")),
            _ => Ok(()),
        }
    }

    /// A disk request, of whoever serves INT 13h.
    fn access(&mut self, write: bool) -> Verdict {
        let lba = self.random.below(BLOCKS);
        let blocks = 1 + self.random.below((BLOCKS - lba).min(8));
        let range = lba as usize * BLOCK..(lba + blocks) as usize * BLOCK;
        let content = pattern(range.len(), self.random.next());
        let mut bytes = if write { content.clone() } else { vec![0xee; range.len()] };
        let kept = self.is_kept();
        let served = if self.stands_in() {
            let result = self.call(|core| {
                if write {
                    core.write(0, lba, blocks as u32, &mut |offset, piece| {
                        piece.copy_from_slice(&content[offset as usize..][..piece.len()]);
                        Ok(())
                    })
                } else {
                    core.read(0, lba, blocks as u32, &mut |offset, piece| {
                        bytes[offset as usize..][..piece.len()].copy_from_slice(piece);
                        Ok(())
                    })
                }
            })?;
            match result {
                Ok(()) => true,
                Err(_) if kept => false,
                Err(error) => return Err(format!("the stand-in lost a request: {error:?}")),
            }
        } else if let Some(bios) = &self.bios {
            let shared = self.is_shared() && !self.is_ghost();
            let contacts = bios.borrow().contacts;
            let served = bios.borrow_mut().access(write, lba, &mut bytes).is_some();
            if shared && bios.borrow().contacts != contacts {
                return Err("the owner's channel was closed under it".into());
            }
            if !served && !self.bios_is_dead {
                return Err("the BIOS lost a request".into());
            }
            served
        } else {
            return Ok(());
        };
        let now = self.disk.content();
        if served && !write && bytes != self.model[range.clone()] {
            return Err(format!("wrong data from block {lba}"));
        }
        if write {
            if served && now[range.clone()] != content[..] {
                return Err(format!("block {lba} was not written"));
            }
            // What became of a write that failed is not known; nothing but old and new may be there.
            for at in range.step_by(BLOCK) {
                let (start, old) = (at - lba as usize * BLOCK, &self.model[at..at + BLOCK]);
                let is = &now[at..at + BLOCK];
                if is != old && is != &content[start..start + BLOCK] {
                    return Err("a write that failed left something else".into());
                }
            }
            self.model[lba as usize * BLOCK..(lba + blocks) as usize * BLOCK]
                .copy_from_slice(&now[lba as usize * BLOCK..(lba + blocks) as usize * BLOCK]);
        }
        Ok(())
    }

    fn frame(&mut self) -> Vec<u8> {
        self.frames += 1;
        let len = 60 + self.random.below(300) as usize;
        let mut frame = pattern(len, self.frames);
        frame[..6].fill(0xff);
        frame
    }

    /// The card works: a frame comes back. What was under way when somebody took VMBus may be lost, as on any network.
    fn echo(&mut self) -> Verdict {
        if !self.core.is_open() {
            return Ok(());
        }
        for _ in 0..4 {
            let out_of_reach = self.is_kept() || self.is_ghost();
            let result = self.call(|core| core.set_filter(PacketFilter::BROADCAST))?;
            if out_of_reach {
                // It says so, or goes on with what it has: both will do.
                return Ok(());
            }
            if result.is_err() {
                if !self.card_moves {
                    return Err(format!("the card takes no filter: {result:?}"));
                }
                return Ok(());
            }
            let frame = self.frame();
            let sent = self.call(|core| core.transmit(&[&frame]))?;
            if sent.is_ok() && self.comes_back(&frame)? {
                return Ok(());
            }
            if self.card_moves {
                return Ok(());
            }
        }
        Err("no frame comes back".into())
    }

    fn comes_back(&mut self, frame: &[u8]) -> Verdict<bool> {
        let (end, mut pause) = (self.machine.millis() + LONGEST_ECHO_MS, 1);
        while self.machine.millis() < end {
            let mut buffer = [0; 1514];
            match self.call(|core| core.receive(&mut buffer))? {
                Ok(Some(len)) if &buffer[..len] == frame => return Ok(true),
                Ok(Some(_)) => {}
                Ok(None) => {
                    self.machine.pass_millis(pause);
                    pause = (pause * 2).min(500);
                }
                Err(_) => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Looks at the rules that were broken since the last time, by the core or by others.
    fn judge(&mut self, by_core: bool) -> Verdict {
        const SIGNALS: [&str; 2] = ["hypercall 0x5d got status 0x12: no such connection", "signalled"];
        let stolen = self.thefts > 0 || self.bios.as_ref().is_some_and(|bios| bios.borrow().contacts > 1);
        let taken = self.core.standing() == Standing::Connected(Company::Owner);
        let violations = self.machine.violations();
        for violation in &violations[self.judged..] {
            // Whether a channel lives after a theft can only be found out by signalling it, or whoever has its number now.
            let signal = (stolen || self.card_moves) && SIGNALS.iter().any(|signal| violation.contains(signal));
            // Nobody can know that a connection is over when nothing shows it.
            let dropped = self.unseen && violation.contains("VMBus message");
            // A rescind may still be on its way, or lie where the owner does not look.
            let rescind = self.card_moves
                && (taken || violation.contains("no such channel"))
                && violation.contains("VMBus message");
            // Nobody waits for an offer, nor for a reply that came too late; and what comes between two calls lies in the
            // page of the owner from whom VMBus was taken, who does not look.
            let nobodys = (self.card_moves || taken) && violation.contains("SIMP taken away");
            let memory =
                violation.contains("while the host could still write it") || violation.contains("still shared");
            if memory || (by_core && !signal && !dropped && !rescind && !nobodys) {
                return Err(violation.clone());
            }
        }
        self.judged = violations.len();
        Ok(())
    }

    /// What must hold at any moment.
    fn check(&mut self) -> Verdict {
        self.judge(false)?;
        if self.disk.content() != self.model {
            return Err("something was written that nobody asked for".into());
        }
        Ok(())
    }

    /// After all that: the card works, everything is given back, and an operating system can start.
    fn end(&mut self) -> Verdict {
        self.tell(format_args!("the end"));
        thief::leave(&self.machine);
        self.open()?;
        self.echo()?;
        let shared = self.is_shared();
        // Without a connection nobody says that the host has let go of memory.
        let connected = self.core.vmbus_version().is_some() && !self.is_kept() && !self.unseen;
        let released = self.call(|core| core.release_disks())?.and(self.call(|core| core.release())?);
        self.check()?;
        if shared && connected && !self.slow_close && self.bios.as_ref().is_some_and(|bios| bios.borrow().guests() != 0)
        {
            return Err("a channel of the core's is still marked in the record".into());
        }
        // A guest can't end the connection: what it had on a channel that closes slowly is kept.
        let kept = shared && self.slow_close;
        if connected && !kept && released.is_ok() && self.machine.pages_in_use() != 0 {
            return Err(format!("{} pages are still in use: {released:?}", self.machine.pages_in_use()));
        }
        // A BIOS that can help itself goes on.
        if !matches!(self.style(), None | Some(Style::Naive)) {
            self.access(false)?;
        }
        self.tell(format_args!("an operating system starts"));
        self.wire.taken();
        let mut system = Client::new(&self.machine.seen_by(Party::System), 0x8100_0006_0000_0000, false);
        system.take_calls();
        system.take_synic();
        if !system.contact() {
            return Err("the operating system does not get VMBus".into());
        }
        self.machine.pass_millis(100);
        self.check()
    }
}
