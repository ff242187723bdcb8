//! What the machine offers on VMBus.

use serde::{Deserialize, Serialize};

use super::guid::Guid;

/// One device as OFFERCHANNEL describes it. Channel ids are given in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub(crate) struct Offer {
    pub class: Guid,
    pub instance: Guid,
    pub flags: u16,
    /// First dword of the user data of a pipe: 4 = message mode.
    pub pipe_type: u32,
}

const ENUMERATE_DEVICE_INTERFACE: u16 = 0x0001;
const NAMED_PIPE_MODE: u16 = 0x0010;
const PIPE_MESSAGE_MODE: u32 = 4;

const NETWORK: Guid = Guid(0xf861_5163, 0xdf3e, 0x46c5, [0x91, 0x3f, 0xf2, 0xd2, 0xf9, 0x65, 0xed, 0x0e]);

const SCSI: Guid = Guid(0xba61_63d9, 0x04a1, 0x4d29, [0xb6, 0x05, 0x72, 0xe2, 0xff, 0xb1, 0xdc, 0x7f]);

/// Class and instance of the devices that every machine has besides.
const INTEGRATION: [(Guid, Guid); 5] = [
    (
        Guid(0x5716_4f39, 0x9115, 0x4e78, [0xab, 0x55, 0x38, 0x2f, 0x3b, 0xd5, 0x42, 0x2d]), // heartbeat
        Guid(0xfd14_9e91, 0x82e0, 0x4a7d, [0xaf, 0xa6, 0x2a, 0x41, 0x66, 0xcb, 0xd7, 0xc0]),
    ),
    (
        Guid(0x0e0b_6031, 0x5213, 0x4934, [0x81, 0x8b, 0x38, 0xd9, 0x0c, 0xed, 0x39, 0xdb]), // shutdown
        Guid(0xb698_0d29, 0x9ce6, 0x4b5a, [0x9a, 0x3b, 0x5e, 0x2d, 0x0a, 0x13, 0x1f, 0x04]),
    ),
    (
        Guid(0x9527_e630, 0xd0ae, 0x497b, [0xad, 0xce, 0xe8, 0x0a, 0xb0, 0x17, 0x5c, 0xaf]), // time synchronisation
        Guid(0x2dd1_ce17, 0x079e, 0x403c, [0xb3, 0x52, 0xa1, 0x92, 0x1e, 0xe2, 0x07, 0xee]),
    ),
    (
        Guid(0xa9a0_f4e7, 0x5a45, 0x4d96, [0xb8, 0x27, 0x8a, 0x84, 0x1e, 0x8c, 0x03, 0xe6]), // key-value pairs
        Guid(0x242f_f919, 0x07db, 0x4180, [0x9c, 0x2e, 0xb8, 0x6c, 0xb6, 0x8c, 0x8c, 0x55]),
    ),
    (
        Guid(0x35fa_2e29, 0xea23, 0x4236, [0x96, 0xae, 0x3a, 0x6e, 0xba, 0xcb, 0xa4, 0x40]), // backup
        Guid(0x2450_ee40, 0x33bf, 0x4fbd, [0x89, 0x2e, 0x9f, 0xb0, 0x6e, 0x92, 0x14, 0xcf]),
    ),
];

/// The NIC number `index`. The instance is what tells NICs apart, for the life of the machine.
pub(crate) fn nic(index: u32) -> Offer {
    Offer {
        class: NETWORK,
        instance: Guid(0x4e1c_0001 + index, 0x5a9f, 0x4f0d, [0x8b, 0x12, 0x6c, 0x2e, 0x30, 0x91, 0x7d, 0x55]),
        flags: ENUMERATE_DEVICE_INTERFACE,
        pipe_type: 0,
    }
}

/// The SCSI controller number `index`.
pub(crate) fn scsi_controller(index: u32) -> Offer {
    Offer {
        class: SCSI,
        instance: Guid(0xf8b3_781a + index, 0x1e82, 0x4818, [0xa1, 0xc3, 0x63, 0xd8, 0x06, 0xec, 0x15, 0xbb]),
        flags: ENUMERATE_DEVICE_INTERFACE,
        pipe_type: 0,
    }
}

/// The integration services of a real machine.
pub(crate) fn integration() -> impl Iterator<Item = Offer> {
    INTEGRATION.iter().map(|&(class, instance)| Offer {
        class,
        instance,
        flags: ENUMERATE_DEVICE_INTERFACE | NAMED_PIPE_MODE,
        pipe_type: PIPE_MESSAGE_MODE,
    })
}

/// A device that no guest has a driver for, number `index` of its kind.
pub(crate) fn spare(index: u32) -> Offer {
    let tail = [0x93, 0x5d, 0x8c, 0x02, 0x7b, 0x1e, 0x46, 0xf0];
    Offer {
        class: Guid(0x5bad_c0de, 0x2f71, 0x4e7a, tail),
        instance: Guid(0x1d3a_0000 + index, 0x7c11, 0x42e9, tail),
        flags: ENUMERATE_DEVICE_INTERFACE,
        pipe_type: 0,
    }
}

/// A device that is only ever offered to be rescinded at once: a PCI pass-through function on its way out.
/// Number `index` of its kind: an instance is not offered again before the guest has released it.
pub(crate) fn ghost(index: u32) -> Offer {
    Offer {
        class: Guid(0x44c4_f61d, 0x4444, 0x4400, [0x9d, 0x52, 0x80, 0x2e, 0x27, 0xed, 0xe1, 0x9f]),
        instance: Guid(
            0x7ad3_5d50u32.wrapping_add(index),
            0xc05b,
            0x47ab,
            [0xb3, 0xa0, 0x56, 0xa9, 0xa8, 0x45, 0x85, 0x2b],
        ),
        flags: ENUMERATE_DEVICE_INTERFACE,
        pipe_type: 0,
    }
}
