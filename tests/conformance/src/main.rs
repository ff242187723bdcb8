//! A network boot program that checks the PXE stack which loaded it, whoever made that.
//!
//! One line a check on the screen and on port 0xE9: `PASS 03.2 name`, `FAIL 03.2 name: what was seen`, `SKIP 03.2 name:
//! why`; at the end `conformance: N passed, N failed, N skipped`, and before that `conformance: the stack is lost, N checks
//! not reached` where a check never ended, or left a stack behind that reads no file any more. It judges
//! by the PXE 2.1 specification and by what boot programs in the field rely on, and shares no declaration with any stack.
#![no_std]
#![no_main]

mod checks;

use conformance::options::Options;
use runtime::machine::entry;
use runtime::{machine, pxe, report};

/// Called by the assembly in 64-bit mode, once. Returns AX for the stack.
#[unsafe(no_mangle)]
#[allow(unsafe_code, reason = "its name is known to the assembly")]
extern "sysv64" fn nbp_main() -> u32 {
    let options = Options::from_bytes(&entry::options());
    report::line("conformance: start");
    checks::run(&options);
    u32::from(options.exit_ax)
}
