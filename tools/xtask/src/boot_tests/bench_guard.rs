//! The benchmark's guard: counts don't grow unless somebody says so, and are the same each time.

use anyhow::Result;

use super::{Bench, BootTest};
use crate::bench;

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
];

fn guard(bench: &Bench) -> Result<()> {
    bench::guard(&bench.lab)
}

fn memory(bench: &Bench) -> Result<()> {
    bench::memory_guard(&bench.lab)
}

fn repeats(bench: &Bench) -> Result<()> {
    bench::repeats(&bench.lab)
}
