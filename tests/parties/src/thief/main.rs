//! The boot program: takes VMBus away from everybody in the middle of its own calls, and sees that they go on working.
//!
//! It reads a file by TFTP, cached packets, UNDI's information and the BIOS's disk, and steals in between as often as the
//! harness asks for: not at all makes it an ordinary boot program with a strict eye.
#![no_std]
#![no_main]

mod disk;
mod file;
mod machine;
mod undi;
mod watch;

use parties::options::Thief as Options;
use parties::theft::Thief;
use runtime::machine::entry;
use runtime::pxe::{Block, Stack, network::Network, op};
use runtime::report::{self, Count, Outcome, ensure};

use self::watch::Watch;

/// Everything that a step works with.
struct Scene {
    options: Options,
    stack: Stack,
    thief: Thief,
    watch: Watch,
    /// How often something was stolen.
    thefts: u32,
    /// The blocks of the disk that are written get other content each time.
    round: u32,
}

impl Scene {
    fn steal(&mut self) -> Outcome {
        self.thefts += 1;
        let result = self.thief.strike();
        ensure!(result.is_ok(), "theft {}: {:?}", self.thefts, result.err());
        self.watch.note_found();
        Ok(())
    }
}

/// Called by the assembly in 64-bit mode, once. Returns AX for the stack: on to the next boot device.
#[unsafe(no_mangle)]
#[allow(unsafe_code, reason = "its name is known to the assembly")]
extern "sysv64" fn nbp_main() -> u32 {
    report::line("thief: start");
    let options = Options::from_bytes(&entry::options());
    let hv = machine::hypervisor();
    let thief = Thief::new(hv, options.theft);
    let mut scene = Scene { options, stack: Stack::new(), thief, watch: Watch::new(hv), thefts: 0, round: 0 };
    scene.stack.network = Network::learn(&mut scene.stack);
    let mut count = Count::default();
    let mut step = |id, name, run: fn(&mut Scene) -> Outcome| count.add(id, name, &run(&mut scene));
    step("01.1", "the calls work", calls);
    step("01.2", "the disk is there", disk::check);
    step("02.1", "the calls work after each theft", calls_between);
    step("02.2", "the disk works after each theft", disk::between);
    step("02.3", "the card answers after each theft", undi::ask);
    step("03.1", "a file is read over all thefts", file::read);
    step("04.1", "the calls still work", calls);
    step("04.2", "the disk is still there", disk::check);
    step("05.1", "the SynIC was always as found", |scene| scene.watch.registers());
    step("05.2", "the BIOS's handler still runs", |scene| scene.watch.handler(scene.options.untouched));
    step("05.3", "registers, flags and memory were kept by every call", kept);
    count.finish("thief");
    0
}

/// Cached packets, and the card's address from UNDI: both have the same answer each time.
fn calls(scene: &mut Scene) -> Outcome {
    let (network, mac) = (scene.stack.network, scene.stack.network.mac);
    let now = Network::learn(&mut scene.stack);
    scene.watch.after_call("GET_CACHED_INFO")?;
    ensure!((now.own, now.server, now.mac) == (network.own, network.server, mac), "other packets are cached: {now:x?}");
    let mut block = Block::new(50);
    scene.stack.call(op::UNDI_GET_INFORMATION, &mut block).ok("UNDI_GET_INFORMATION")?;
    scene.watch.after_call("UNDI_GET_INFORMATION")?;
    ensure!(block.bytes()[0x0c..0x12] == mac, "the card has the address {:x?}", &block.bytes()[0x0c..0x12]);
    file::size(scene)
}

fn calls_between(scene: &mut Scene) -> Outcome {
    for _ in 0..scene.options.between {
        scene.steal()?;
        calls(scene)?;
    }
    Ok(())
}

/// What every call is watched for.
fn kept(scene: &mut Scene) -> Outcome {
    let watch = &scene.stack.watch;
    for text in [&watch.registers, &watch.flags, &watch.system, &watch.agreement, &watch.surroundings] {
        ensure!(text.is_none(), "{}", text.as_deref().unwrap_or_default());
    }
    Ok(())
}
