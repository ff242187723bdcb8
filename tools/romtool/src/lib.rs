//! Packs, checks and inspects hvpxe images.
//!
//! [`pack::rom`] makes an option ROM from the linked ELF file; [`check::rom`] re-reads one as a BIOS would.

pub mod check;
pub mod elf;
pub mod header;
pub mod pack;
pub mod settings;
