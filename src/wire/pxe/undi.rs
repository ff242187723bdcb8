//! Parameter blocks and opcodes of UNDI.

use static_assertions::const_assert_eq;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{MacAddr16, SegOff16};

/// Opcode: begin; the card isn't touched.
pub const PXENV_UNDI_STARTUP: u16 = 0x0001;
/// Opcode: the last UNDI call before the image is thrown away.
pub const PXENV_UNDI_CLEANUP: u16 = 0x0002;
/// Opcode: bring the card up, receiver off.
pub const PXENV_UNDI_INITIALIZE: u16 = 0x0003;
/// Opcode: reset, keep filter and address.
pub const PXENV_UNDI_RESET_ADAPTER: u16 = 0x0004;
/// Opcode: no more DMA.
pub const PXENV_UNDI_SHUTDOWN: u16 = 0x0005;
/// Opcode: receiver on.
pub const PXENV_UNDI_OPEN: u16 = 0x0006;
/// Opcode: receiver off.
pub const PXENV_UNDI_CLOSE: u16 = 0x0007;
/// Opcode: send a frame.
pub const PXENV_UNDI_TRANSMIT: u16 = 0x0008;
/// Opcode: replace the multicast list.
pub const PXENV_UNDI_SET_MCAST_ADDRESS: u16 = 0x0009;
/// Opcode: set the station address.
pub const PXENV_UNDI_SET_STATION_ADDRESS: u16 = 0x000a;
/// Opcode: set the packet filter.
pub const PXENV_UNDI_SET_PACKET_FILTER: u16 = 0x000b;
/// Opcode: addresses, MTU, interrupt.
pub const PXENV_UNDI_GET_INFORMATION: u16 = 0x000c;
/// Opcode: counters.
pub const PXENV_UNDI_GET_STATISTICS: u16 = 0x000d;
/// Opcode: clear the counters.
pub const PXENV_UNDI_CLEAR_STATISTICS: u16 = 0x000e;
/// Opcode: run the card's self-test.
pub const PXENV_UNDI_INITIATE_DIAGS: u16 = 0x000f;
/// Opcode: make the card interrupt.
pub const PXENV_UNDI_FORCE_INTERRUPT: u16 = 0x0010;
/// Opcode: the MAC of an IP multicast group.
pub const PXENV_UNDI_GET_MCAST_ADDRESS: u16 = 0x0011;
/// Opcode: which bus the card is on.
pub const PXENV_UNDI_GET_NIC_TYPE: u16 = 0x0012;
/// Opcode: NDIS name, speed and service flags.
pub const PXENV_UNDI_GET_IFACE_INFO: u16 = 0x0013;
/// Opcode: interrupt service, and the way to receive.
pub const PXENV_UNDI_ISR: u16 = 0x0014;
/// Opcode: the state, as PXE 2.1 numbers it: [`super::PXENV_STOP_UNDI`] too.
pub const PXENV_UNDI_GET_STATE: u16 = 0x0015;
/// Opcode: the state, as EDK2's headers number it.
pub const PXENV_UNDI_GET_STATE_EDK2: u16 = 0x0016;

/// Most multicast addresses in a list (PXE 2.1, `MAXNUM_MCADDR`).
pub const MAXNUM_MCADDR: usize = 8;

/// Where the list's count is in a `PXENV_UNDI_MCAST_ADDRESS`; the addresses follow, 16 bytes each. Callers exist whose
/// array is shorter than eight (GRUB): no more than the count says may be read.
pub const MCAST_COUNT_LEN: usize = 2;

/// `PXENV_UNDI_OPEN`, the 6 bytes before the multicast list.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvUndiOpen {
    /// Out: status.
    pub status: U16,
    /// In: 0.
    pub open_flag: U16,
    /// In: [`crate::nic::PacketFilter`] bits.
    pub pkt_filter: U16,
}
const_assert_eq!(size_of::<PxenvUndiOpen>(), 6);

/// `PXENV_UNDI_TRANSMIT`, 20 bytes; the last 8 are reserved and not declared.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvUndiTransmit {
    /// Out: status.
    pub status: U16,
    /// In: `P_*`.
    pub protocol: u8,
    /// In: `XMT_*`; without meaning for [`P_UNKNOWN`].
    pub xmit_flag: u8,
    /// In: the destination MAC.
    pub dest_addr: SegOff16,
    /// In: the [`PxenvUndiTbd`].
    pub tbd: SegOff16,
}
const_assert_eq!(size_of::<PxenvUndiTransmit>(), 12);

/// A whole frame with its header, or: none of the others.
pub const P_UNKNOWN: u8 = 0;
/// IPv4.
pub const P_IP: u8 = 1;
/// ARP.
pub const P_ARP: u8 = 2;
/// RARP.
pub const P_RARP: u8 = 3;
/// Received: some other protocol.
pub const P_OTHER: u8 = 4;

/// To the address at `DestAddr`.
pub const XMT_DESTADDR: u8 = 0;
/// To ff:ff:ff:ff:ff:ff.
pub const XMT_BROADCAST: u8 = 1;

/// The fixed part of `PXENV_UNDI_TBD`, 8 bytes; as many [`TbdBlock`] follow as `data_blk_count` says, and no more.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvUndiTbd {
    /// Bytes at `xmit`; may be 0.
    pub immed_length: U16,
    /// The first piece.
    pub xmit: SegOff16,
    /// How many blocks follow.
    pub data_blk_count: U16,
}
const_assert_eq!(size_of::<PxenvUndiTbd>(), 8);

/// Most data blocks of a TBD (PXE 2.1, `MAX_DATA_BLKS`).
pub const MAX_DATA_BLKS: usize = 8;

/// One further piece of a frame, 8 bytes.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TbdBlock {
    /// 1: `td_data_ptr` is a far pointer; 0: a physical address.
    pub td_ptr_type: u8,
    /// 0.
    pub td_rsvd_byte: u8,
    /// Length in bytes.
    pub td_data_len: U16,
    /// Where it is.
    pub td_data_ptr: U32,
}
const_assert_eq!(size_of::<TbdBlock>(), 8);

/// `PXENV_UNDI_SET_STATION_ADDRESS`, 18 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvUndiSetStationAddress {
    /// Out: status.
    pub status: U16,
    /// In: the address.
    pub station_address: MacAddr16,
}
const_assert_eq!(size_of::<PxenvUndiSetStationAddress>(), 18);

/// `PXENV_UNDI_SET_PACKET_FILTER`, 3 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvUndiSetPacketFilter {
    /// Out: status.
    pub status: U16,
    /// In: [`crate::nic::PacketFilter`] bits.
    pub filter: u8,
}
const_assert_eq!(size_of::<PxenvUndiSetPacketFilter>(), 3);

/// `PXENV_UNDI_GET_INFORMATION`, 50 bytes, all out.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvUndiGetInformation {
    /// Status.
    pub status: U16,
    /// I/O port; 0.
    pub base_io: U16,
    /// IRQ; 0: poll.
    pub int_number: U16,
    /// Longest payload of a frame.
    pub max_tran_unit: U16,
    /// 1, Ethernet.
    pub hw_type: U16,
    /// 6.
    pub hw_addr_len: U16,
    /// Address in use.
    pub current_node_address: MacAddr16,
    /// Address burnt in.
    pub perm_node_address: MacAddr16,
    /// Segment of the ROM; 0.
    pub rom_address: U16,
    /// Receive buffers.
    pub rx_buf_ct: U16,
    /// Transmit buffers.
    pub tx_buf_ct: U16,
}
const_assert_eq!(size_of::<PxenvUndiGetInformation>(), 50);

/// `PXENV_UNDI_GET_STATISTICS`, 18 bytes, all out.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvUndiGetStatistics {
    /// Status.
    pub status: U16,
    /// Sent.
    pub xmt_good_frames: U32,
    /// Received.
    pub rcv_good_frames: U32,
    /// Received with a wrong check sequence; 0.
    pub rcv_crc_errors: U32,
    /// Lost for lack of room.
    pub rcv_resource_errors: U32,
}
const_assert_eq!(size_of::<PxenvUndiGetStatistics>(), 18);

/// `PXENV_UNDI_GET_MCAST_ADDRESS`, 22 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvUndiGetMcastAddress {
    /// Out: status.
    pub status: U16,
    /// In: the group.
    pub inet_addr: [u8; 4],
    /// Out: its MAC.
    pub media_addr: MacAddr16,
}
const_assert_eq!(size_of::<PxenvUndiGetMcastAddress>(), 22);

/// `PXENV_UNDI_GET_IFACE_INFO`, 42 bytes, all out.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvUndiGetIfaceInfo {
    /// Status.
    pub status: U16,
    /// NDIS interface type, NUL-terminated.
    pub iface_type: [u8; 16],
    /// In bits per second.
    pub link_speed: U32,
    /// `SUPPORTED_*`.
    pub service_flags: U32,
    /// 0.
    pub reserved: [u8; 16],
}
const_assert_eq!(size_of::<PxenvUndiGetIfaceInfo>(), 42);

/// `ServiceFlags` of a polled card: broadcast, multicast, promiscuous, settable station address, reset, open and close.
/// Bit 12 (interrupts) is clear. Source: PXE 2.1, `PXENV_UNDI_GET_IFACE_INFO`, after NDIS 2.
pub const SERVICE_FLAGS_POLLED: u32 = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 10 | 1 << 11;
const_assert_eq!(SERVICE_FLAGS_POLLED, 0x0c1b);

/// `PXENV_UNDI_ISR`, 16 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvUndiIsr {
    /// Out: status.
    pub status: U16,
    /// In: `PXENV_UNDI_ISR_IN_*`; out: `PXENV_UNDI_ISR_OUT_*`.
    pub func_flag: U16,
    /// Out: bytes at `frame`.
    pub buffer_length: U16,
    /// Out: bytes of the whole frame.
    pub frame_length: U16,
    /// Out: bytes of its header.
    pub frame_header_length: U16,
    /// Out: where it is.
    pub frame: SegOff16,
    /// Out: `P_*`.
    pub prot_type: u8,
    /// Out: `P_DIRECTED`, `P_BROADCAST`, `P_MULTICAST`, `P_PROMISCUOUS`.
    pub pkt_type: u8,
}
const_assert_eq!(size_of::<PxenvUndiIsr>(), 16);

/// At interrupt time: is it yours?
pub const PXENV_UNDI_ISR_IN_START: u16 = 1;
/// Begin to process.
pub const PXENV_UNDI_ISR_IN_PROCESS: u16 = 2;
/// Release the frame handed out last, and go on.
pub const PXENV_UNDI_ISR_IN_GET_NEXT: u16 = 3;
/// Answer to START: it is.
pub const PXENV_UNDI_ISR_OUT_OURS: u16 = 0;
/// Answer to START: it isn't.
pub const PXENV_UNDI_ISR_OUT_NOT_OURS: u16 = 1;
/// Nothing left to process.
pub const PXENV_UNDI_ISR_OUT_DONE: u16 = 0;
/// A frame was sent.
pub const PXENV_UNDI_ISR_OUT_TRANSMIT: u16 = 2;
/// A frame was received.
pub const PXENV_UNDI_ISR_OUT_RECEIVE: u16 = 3;

/// A frame to our own address.
pub const P_DIRECTED: u8 = 0;
/// A frame to everybody.
pub const P_BROADCAST: u8 = 1;
/// A frame to a group.
pub const P_MULTICAST: u8 = 2;
/// A frame to somebody else.
pub const P_PROMISCUOUS: u8 = 3;

/// `PXENV_UNDI_GET_STATE`, 3 bytes, all out.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvUndiGetState {
    /// Status.
    pub status: U16,
    /// `PXE_UNDI_GET_STATE_*`.
    pub undi_state: u8,
}
const_assert_eq!(size_of::<PxenvUndiGetState>(), 3);

/// `PXENV_UNDI_GET_STATE.UNDIstate`: started.
pub const PXE_UNDI_GET_STATE_STARTED: u8 = 1;
/// Initialised.
pub const PXE_UNDI_GET_STATE_INITIALIZED: u8 = 2;
/// Opened.
pub const PXE_UNDI_GET_STATE_OPENED: u8 = 3;
