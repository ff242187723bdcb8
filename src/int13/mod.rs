//! The INT 13h disk service: the machine's synthetic disks as BIOS drives.
//!
//! [`DiskService::call`] takes the registers of a caller: `drives` knows which disk is meant, `legacy` serves the functions
//! that name cylinder, head and sector, `extended` those of EDD, `geometry` invents the cylinders, `status` turns errors into
//! codes. Drives come to be in two ways: disks that nobody serves are added behind the BIOS's own
//! ([`DiskService::install`]), and where VMBus was taken from a BIOS, its drives are served on ([`Drives::stand_in`]).
//!
//! Sources: Phoenix, Enhanced Disk Drive Specification 3.0; the IBM PC/AT Technical Reference for functions 00h to 15h.

mod drives;
mod extended;
mod geometry;
mod legacy;
mod registers;
mod service;
mod status;
mod survey;

pub use drives::{Drive, Drives, MAX_DRIVES};
pub use geometry::Geometry;
pub use registers::Registers;
pub use service::{Answer, DiskService, FIRST_FIXED_DISK};
pub use status::Status;
pub use survey::{BOUNCE_LEN, BiosDisks, Surveyed, survey, suspects};
