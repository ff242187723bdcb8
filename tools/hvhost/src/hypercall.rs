//! Hypercalls: the control word, HvPostMessage and HvSignalEvent (TLFS "Hypercall Interface").

use crate::memory::GuestMemory;

/// What the guest had in its registers when it called the hypercall page, whichever convention it used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hypercall {
    /// Control word: RCX, or EDX:EAX.
    pub control: u64,
    /// Address of the input, or the first fast input: RDX, or EBX:ECX.
    pub input: u64,
    /// Address of the output, or the second fast input: R8, or EDI:ESI.
    pub output: u64,
}

pub(crate) const SUCCESS: u16 = 0x00;
pub(crate) const INVALID_HYPERCALL_CODE: u16 = 0x02;
pub(crate) const INVALID_HYPERCALL_INPUT: u16 = 0x03;
pub(crate) const INVALID_ALIGNMENT: u16 = 0x04;
pub(crate) const INVALID_PARAMETER: u16 = 0x05;
pub(crate) const INVALID_CONNECTION_ID: u16 = 0x12;

pub(crate) const NOTIFY_LONG_SPIN_WAIT: u16 = 0x0008;
pub(crate) const POST_MESSAGE: u16 = 0x005c;
pub(crate) const SIGNAL_EVENT: u16 = 0x005d;

const FAST: u64 = 1 << 16;
/// Bits 30:27, 31 (nested), 47:44 and 63:60.
const RESERVED: u64 = 0xf000_f000_f800_0000;
/// Variable header size (26:17), rep count (43:32) and rep start (59:48): none for the calls here.
const NOT_SIMPLE: u64 = 0x0fff_0fff_07fe_0000;

/// Longest payload of a message.
pub(crate) const MAX_PAYLOAD: usize = 240;

/// A refused call: status and reason.
pub(crate) type Refused = (u16, &'static str);

/// A call that the host serves.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Call {
    NotifyLongSpinWait,
    PostMessage { connection: u32, kind: u32, payload: Vec<u8> },
    SignalEvent { connection: u32, flag: u16 },
}

impl Hypercall {
    pub(crate) fn code(self) -> u16 {
        self.control as u16
    }

    /// Address of the input, for the calls that have it in memory.
    pub(crate) fn input_gpa(self) -> Option<u64> {
        (self.control & FAST == 0 && matches!(self.code(), POST_MESSAGE | SIGNAL_EVENT)).then_some(self.input)
    }

    /// Reads and checks the input.
    pub(crate) fn parse(self, mem: &dyn GuestMemory) -> Result<Call, Refused> {
        if self.control & (RESERVED | NOT_SIMPLE) != 0 {
            return Err((INVALID_HYPERCALL_INPUT, "reserved or rep bits in the control word"));
        }
        let fast = self.control & FAST != 0;
        match self.code() {
            NOTIFY_LONG_SPIN_WAIT => Ok(Call::NotifyLongSpinWait),
            POST_MESSAGE if fast => Err((INVALID_HYPERCALL_CODE, "HvPostMessage has no fast form")),
            POST_MESSAGE => self.post_message(mem),
            SIGNAL_EVENT => {
                let value = if fast {
                    self.input
                } else {
                    let mut bytes = [0; 8];
                    self.read_input(mem, &mut bytes)?;
                    u64::from_le_bytes(bytes)
                };
                if value >> 48 != 0 {
                    return Err((INVALID_HYPERCALL_INPUT, "reserved bits of HvSignalEvent"));
                }
                Ok(Call::SignalEvent { connection: value as u32, flag: (value >> 32) as u16 })
            }
            _ => Err((INVALID_HYPERCALL_CODE, "no such hypercall")),
        }
    }

    fn post_message(self, mem: &dyn GuestMemory) -> Result<Call, Refused> {
        let mut input = [0; 16 + MAX_PAYLOAD];
        self.read_input(mem, &mut input)?;
        let word = |at: usize| u32::from_le_bytes([input[at], input[at + 1], input[at + 2], input[at + 3]]);
        let (connection, reserved, kind, len) = (word(0), word(4), word(8), word(12) as usize);
        if reserved != 0 {
            return Err((INVALID_PARAMETER, "reserved field of HvPostMessage"));
        }
        if kind == 0 || kind >> 31 != 0 {
            return Err((INVALID_PARAMETER, "message type is 0 or the hypervisor's"));
        }
        if len > MAX_PAYLOAD {
            return Err((INVALID_PARAMETER, "payload of more than 240 bytes"));
        }
        Ok(Call::PostMessage { connection, kind, payload: input[16..16 + len].to_vec() })
    }

    fn read_input(self, mem: &dyn GuestMemory, into: &mut [u8]) -> Result<(), Refused> {
        if self.input & 7 != 0 {
            return Err((INVALID_ALIGNMENT, "input not 8-byte aligned"));
        }
        if (self.input & 0xfff) as usize + into.len() > 4096 {
            return Err((INVALID_ALIGNMENT, "input crosses a page"));
        }
        mem.read(self.input, into).map_err(|_| (INVALID_PARAMETER, "input is not in RAM"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::FlatMemory;

    fn call(control: u64, input: u64) -> Hypercall {
        Hypercall { control, input, output: 0 }
    }

    #[test]
    fn a_posted_message_is_read_from_memory() {
        let mut mem = FlatMemory::new(0x2000);
        let mut input = vec![1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0];
        input.extend_from_slice(&[3, 0, 0, 0, 0, 0, 0, 0]);
        mem.write(0x1000, &input).unwrap();
        let parsed = call(0x5c, 0x1000).parse(&mem).unwrap();
        assert_eq!(parsed, Call::PostMessage { connection: 1, kind: 1, payload: vec![3, 0, 0, 0, 0, 0, 0, 0] });
    }

    #[test]
    fn both_forms_of_signal_event_mean_the_same() {
        let mut mem = FlatMemory::new(0x2000);
        mem.write(0x1000, &[5, 0x20, 0, 0, 0, 0, 0, 0]).unwrap();
        let expected = Call::SignalEvent { connection: 0x2005, flag: 0 };
        assert_eq!(call(0x1_005d, 0x2005).parse(&mem).unwrap(), expected);
        assert_eq!(call(0x5d, 0x1000).parse(&mem).unwrap(), expected);
    }

    #[test]
    fn bad_calls_get_the_status_of_the_real_host() {
        let mut mem = FlatMemory::new(0x3000);
        let status = |mem: &FlatMemory, control, input| call(control, input).parse(mem).unwrap_err().0;
        assert_eq!(status(&mem, 0x99, 0), 0x02);
        assert_eq!(status(&mem, 0x1_005c, 0), 0x02);
        assert_eq!(status(&mem, 1 << 31 | 0x5c, 0x1000), 0x03);
        assert_eq!(status(&mem, 0x1_005d, 1 << 48), 0x03);
        assert_eq!(status(&mem, 0x5c, 0x1004), 0x04);
        assert_eq!(status(&mem, 0x5c, 0x1f08), 0x04);
        assert_eq!(status(&mem, 0x5c, 0x10_0000), 0x05);
        assert_eq!(status(&mem, 0x5c, 0x1000), 0x05, "type 0");
        mem.write(0x1008, &[1, 0, 0, 0, 241]).unwrap();
        assert_eq!(status(&mem, 0x5c, 0x1000), 0x05, "241 bytes");
    }
}
