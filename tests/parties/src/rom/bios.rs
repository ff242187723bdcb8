//! A BIOS with its disk behind VMBus.

use hvpxe::error::Error;
use hvpxe::int13::{self, Answer, DiskService, Registers};
use hvpxe::mem::PhysMem;
use parties::bare::Bare;
use parties::options::Kind;
use parties::say::say;
use runtime::memory;

use super::drives::Drives;
use super::entry::{Call, Function, Next, Register};
use super::interrupts::{self, Interrupts};
use super::record::Record;

/// Real mode's memory, one to one.
#[derive(Clone, Copy, Debug)]
pub struct RealMemory;

impl PhysMem for RealMemory {
    fn read(&self, linear: u32, into: &mut [u8]) -> Result<(), Error> {
        memory::read(linear, into);
        Ok(())
    }

    fn write(&self, linear: u32, from: &[u8]) -> Result<(), Error> {
        memory::write(linear, from);
        Ok(())
    }

    /// A BIOS has no resident block.
    fn write_resident(&self, _: u16, _: &[u8]) {}
}

/// The BIOS.
pub struct Bios {
    who: &'static str,
    numbers: int13::Drives,
    drives: Drives,
    interrupts: Option<Interrupts>,
}

impl Bios {
    /// Takes VMBus, and hooks INT 13h for the disks on it. `None`, and a line on the log, when there are none.
    pub fn install(call: &Call, kind: Kind) -> Option<Self> {
        let who = name(kind);
        let hv = call.machine();
        match Self::try_install(call, hv, kind, who) {
            Ok(bios) => Some(bios),
            Err(error) => {
                say(who, format_args!("FAIL: no disk: {error:?}"));
                None
            }
        }
    }

    fn try_install(call: &Call, hv: Bare, kind: Kind, who: &'static str) -> Result<Self, hvpxe::disk::DiskError> {
        let interrupts = (kind == Kind::Interrupts).then(|| Interrupts::install(call, hv));
        let record = (kind == Kind::Publishing).then(|| Record::create(call.record_area()));
        let (mut numbers, mut drives) = (int13::Drives::new(), Drives::open(hv, kind, who, record)?);
        let count = DiskService::new(&mut numbers, &mut drives, RealMemory).install()?;
        call.hook(0x13, Function::Disk);
        call.hook(interrupts::QUESTION_VECTOR, Function::Question);
        say(who, format_args!("PASS: VMBus is taken; {count} drives from 80h on"));
        Ok(Self { who, numbers, drives, interrupts })
    }

    /// INT 13h.
    pub fn disk_call(&mut self, call: &mut Call) -> Next {
        let mut registers = Registers {
            ax: call.get(Register::Ax),
            bx: call.get(Register::Bx),
            cx: call.get(Register::Cx),
            dx: call.get(Register::Dx),
            si: call.get(Register::Si),
            di: call.get(Register::Di),
            ds: call.get(Register::Ds),
            es: call.get(Register::Es),
            flags: call.get(Register::Flags),
        };
        let function = registers.ah();
        let answer = DiskService::new(&mut self.numbers, &mut self.drives, RealMemory).call(&mut registers);
        if answer == Answer::NotOurs {
            return Next::Chain;
        }
        for (register, value) in [
            (Register::Ax, registers.ax),
            (Register::Bx, registers.bx),
            (Register::Cx, registers.cx),
            (Register::Dx, registers.dx),
            (Register::Si, registers.si),
            (Register::Di, registers.di),
            (Register::Es, registers.es),
            (Register::Flags, registers.flags),
        ] {
            call.set(register, value);
        }
        if registers.carry() {
            say(self.who, format_args!("INT 13h function {function:02x}h fails with {:02x}h", registers.ah()));
        }
        Next::Done
    }

    /// The SynIC's interrupt.
    pub fn interrupt(&mut self) -> Next {
        if let Some(interrupts) = &mut self.interrupts {
            interrupts.handle(&mut self.drives);
        }
        Next::Done
    }

    /// Whether the BIOS is as it was: AX is 1 when its registers are, BX and CX are the numbers of interrupts and
    /// messages, DX that of its connections.
    pub fn question(&mut self, call: &mut Call) -> Next {
        call.set(Register::Ax, self.drives.is_untouched().into());
        let (count, messages) = self.interrupts.as_ref().map_or((0, 0), Interrupts::counts);
        call.set(Register::Bx, count);
        call.set(Register::Cx, messages);
        call.set(Register::Dx, self.drives.times_connected());
        if self.interrupts.is_some() {
            // The next question shows whether the handler still gets it.
            interrupts::send_to_ourselves();
        }
        Next::Done
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Naive => "naive",
        Kind::Careful => "careful",
        Kind::Interrupts => "interrupts",
        Kind::Publishing => "publishing",
        Kind::Thief => "thief",
    }
}
