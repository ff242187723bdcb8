//! Packs, checks and inspects hvpxe images.
//!
//! [`pack::rom`] makes an option ROM from the linked ELF file, [`medium::Medium::build`] the other images around it.
//! [`check::rom`] re-reads a ROM as a BIOS would, [`inspect`] any image; it also changes the settings of a finished one.

pub mod boot_sector;
pub mod check;
pub mod elf;
pub mod floppy;
pub mod header;
pub mod inspect;
pub mod iso;
pub mod medium;
pub mod nbp;
pub mod pack;
pub mod packer;
pub mod settings;
pub mod vhd;
