//! How VMBus is stolen, by whoever does it.

use hvpxe::error::Error;
use hvpxe::hv::{Hypervisor, Partition};
use hvpxe::mem::SharedMem;
use hvpxe::vmbus::Connection;
use hvpxe::wire::hv::{
    HV_X64_MSR_GUEST_OS_ID, HV_X64_MSR_HYPERCALL, HV_X64_MSR_SIEFP, HV_X64_MSR_SIMP, HV_X64_MSR_SINT2, SintMsr,
};

use crate::bare::{Bare, GUEST_OS_ID};
use crate::options::Theft;

/// Vector of SINT2 after a theft by MSRs: of no use to anybody.
const OTHER_VECTOR: u64 = 0x74;

/// A thief, and what it has stolen.
pub struct Thief {
    hv: Bare,
    theft: Theft,
    connection: Option<Connection<Bare>>,
}

impl Thief {
    /// A thief who has not stolen anything yet.
    #[must_use]
    pub const fn new(hv: Bare, theft: Theft) -> Self {
        Self { hv, theft, connection: None }
    }

    /// Steals. The thief looks at nothing before, and never gives anything back.
    ///
    /// # Errors
    /// Why it could not.
    pub fn strike(&mut self) -> Result<(), Error> {
        match self.theft {
            Theft::MsrsOnly => self.take_msrs(),
            Theft::Contact => {
                self.connect()?;
                self.hv.write_hardware(HV_X64_MSR_SINT2, SintMsr::MASKED.bits());
                self.hv.write_hardware(HV_X64_MSR_SIMP, 0);
                self.hv.write_hardware(HV_X64_MSR_SIEFP, 0);
                Ok(())
            }
            Theft::ContactKeepsSimp => self.connect(),
        }
    }

    /// INITIATE_CONTACT, then the offers.
    fn connect(&mut self) -> Result<(), Error> {
        let (hv, slot) = (self.hv, &mut self.connection);
        hv.take(|| {
            if slot.is_none() {
                *slot = Some(Connection::new(&hv, Partition::claim(&hv)?));
            }
            let connection = slot.as_mut().ok_or(Error::OutOfResources)?;
            if connection.version().is_some() {
                connection.mark_lost();
            }
            connection.with_synic(Connection::connect)
        })
    }

    /// Points every register elsewhere, and sends no message.
    fn take_msrs(&mut self) -> Result<(), Error> {
        // Never freed: the hypercall page stays where it is put.
        let page = self.hv.alloc_pages(1).ok_or(Error::OutOfResources)?.gpa().0;
        for (msr, value) in [
            (HV_X64_MSR_GUEST_OS_ID, GUEST_OS_ID),
            (HV_X64_MSR_HYPERCALL, page | 1),
            (HV_X64_MSR_SINT2, SintMsr::MASKED.bits() | OTHER_VECTOR),
            (HV_X64_MSR_SIEFP, page),
            (HV_X64_MSR_SIMP, page),
        ] {
            self.hv.write_hardware(msr, value);
        }
        Ok(())
    }
}
