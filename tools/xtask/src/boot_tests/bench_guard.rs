//! The benchmark's guard: counts don't grow unless somebody says so, and are the same each time.

use anyhow::Result;

use super::{Bench, BootTest};
use crate::bench::guards;

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest {
        name: "bench-guard",
        about: "what a boot, downloads and a call take is at most 5 % over the counts in tests/bench/short.json",
        run: guard,
    },
    BootTest {
        name: "bench-repeats",
        about: "a download over a wire that loses frames has the same counts twice, to the instruction",
        run: repeats,
    },
    BootTest {
        name: "bench-memory",
        about: "the ROMs take at most 12 KiB of base and 2 MiB of extended memory, and hvpxe.rom has at most 56 KiB",
        run: memory,
    },
    BootTest {
        name: "bench-refuses",
        about: "a contestant without DHCP or TFTP is an error that names it, never a number",
        run: refuses,
    },
];

fn guard(bench: &Bench) -> Result<()> {
    guards::counts(&bench.lab)
}

fn memory(bench: &Bench) -> Result<()> {
    guards::memory(&bench.lab)
}

fn repeats(bench: &Bench) -> Result<()> {
    guards::repeats(&bench.lab)
}

fn refuses(bench: &Bench) -> Result<()> {
    guards::refuses(&bench.lab)
}
