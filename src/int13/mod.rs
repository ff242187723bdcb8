//! The INT 13h disk service: the machine's synthetic disks as BIOS drives.
//!
//! [`DiskService::call`] takes the registers of a caller: `legacy` serves the functions that name cylinder, head and
//! sector, `extended` those of EDD, `geometry` invents the cylinders, `status` turns errors into codes.
//!
//! Sources: Phoenix, Enhanced Disk Drive Specification 3.0; the IBM PC/AT Technical Reference for functions 00h to 15h.

mod extended;
mod geometry;
mod legacy;
mod registers;
mod service;
mod status;

pub use geometry::Geometry;
pub use registers::Registers;
pub use service::{Answer, DiskService};
pub use status::Status;
