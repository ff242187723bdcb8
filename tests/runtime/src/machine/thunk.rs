//! One call in real mode, with every register prescribed (asm/thunk.s).

use super::arena;

/// A far pointer: offset first, as it lies in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SegOff {
    /// Offset.
    pub offset: u16,
    /// Segment.
    pub segment: u16,
}

impl SegOff {
    /// A far pointer.
    pub const fn new(segment: u16, offset: u16) -> Self {
        Self { offset, segment }
    }

    /// To a linear address below 1 MiB, with the smallest offset.
    pub const fn to(linear: u32) -> Self {
        Self { segment: (linear >> 4) as u16, offset: (linear & 15) as u16 }
    }

    /// From its four bytes in memory.
    pub fn from_u32(raw: u32) -> Self {
        Self { offset: raw as u16, segment: (raw >> 16) as u16 }
    }

    /// As it lies in memory.
    pub fn to_u32(self) -> u32 {
        u32::from(self.segment) << 16 | u32::from(self.offset)
    }

    /// What it points to.
    pub fn linear(self) -> u32 {
        (u32::from(self.segment) << 4) + u32::from(self.offset)
    }
}

/// GDTR or IDTR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Descriptor {
    words: [u16; 3],
    unused: u16,
}

/// The general registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Registers {
    /// EAX.
    pub eax: u32,
    /// EBX.
    pub ebx: u32,
    /// ECX.
    pub ecx: u32,
    /// EDX.
    pub edx: u32,
    /// ESI.
    pub esi: u32,
    /// EDI.
    pub edi: u32,
    /// EBP.
    pub ebp: u32,
    /// ESP.
    pub esp: u32,
    /// EFLAGS.
    pub eflags: u32,
    /// DS.
    pub ds: u16,
    /// ES.
    pub es: u16,
    /// FS.
    pub fs: u16,
    /// GS.
    pub gs: u16,
    /// SS.
    pub ss: u16,
    /// Nothing; keeps the size a multiple of four.
    pub unused: u16,
}

/// What a call is made with.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Orders {
    /// Registers, flags and stack at the target's first instruction.
    pub registers: Registers,
    /// Where to go.
    pub target: SegOff,
    /// How many of the words below are on the stack behind the return address.
    pub arguments: u16,
    /// Enter as INT does: flags on the stack, interrupts off.
    pub interrupt: bool,
    /// Segment limits of 4 GiB for DS, ES, FS and GS, as in "big real mode".
    pub big: bool,
    /// The words.
    pub argument: [u16; 4],
    /// See which segment limits are at 64 KiB on return.
    pub probe: bool,
    /// From V86 mode, under a monitor (asm/v86.s).
    pub v86: bool,
    unused: [u8; 2],
}

#[repr(C)]
struct Thunk {
    orders: Orders,
    gdtr: Descriptor,
    idtr: Descriptor,
    back: Return,
}

/// What was found on return.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Return {
    /// Registers.
    pub registers: Registers,
    /// GDTR.
    pub gdtr: Descriptor,
    /// IDTR.
    pub idtr: Descriptor,
    /// CR0.
    pub cr0: u32,
    /// CR4.
    pub cr4: u32,
    /// EFER, low half.
    pub efer: u32,
    /// Bits 0-3: DS, ES, FS, GS would not let the probe pass at offset 10000h.
    pub limited: u8,
    unused: u8,
    /// What ended a call from V86 mode before it returned: 100h and the exception's vector; 0: it returned.
    pub trap: u16,
    /// Where that was.
    pub trap_at: SegOff,
    /// The bytes there.
    pub trap_code: [u8; 4],
}

/// EFLAGS.IF, and bit 1, which is always set.
pub const INTERRUPTS_ON: u32 = 0x202;
/// EFLAGS without IF.
pub const INTERRUPTS_OFF: u32 = 0x002;

impl Orders {
    /// A far call on our own stack, interrupts on.
    pub fn far_call(target: SegOff) -> Self {
        let registers = Registers {
            eflags: INTERRUPTS_ON,
            ss: SegOff::to(arena::REAL_STACK).segment,
            esp: arena::REAL_STACK_SIZE,
            ..Registers::default()
        };
        Self { target, registers, ..Self::default() }
    }

    /// A software interrupt, by the vector that is there now.
    pub fn interrupt(vector: u8) -> Self {
        Self { interrupt: true, ..Self::far_call(super::vector(vector)) }
    }
}

#[allow(unsafe_code, reason = "the assembly's structure")]
mod raw {
    use super::Thunk;

    unsafe extern "C" {
        pub static mut nbp_thunk: Thunk;
        pub fn thunk_call();
        pub static print_text: u8;
        pub static window: u8;
        pub static mut print_buffer: [u8; super::PRINT_SIZE];
    }
}

/// Length of the text that one call prints, the zero at its end included.
pub const PRINT_SIZE: usize = 192;

/// Makes a call.
#[allow(unsafe_code, reason = "enters the assembly")]
pub fn call(orders: &Orders) -> Return {
    let thunk = &raw mut raw::nbp_thunk;
    // SAFETY: one CPU, interrupts off in 64-bit mode: nobody else has the structure while this runs; thunk_call keeps what
    // the calling convention asks for, and clobbers the rest.
    unsafe {
        (&raw mut (*thunk).orders).write(*orders);
        raw::thunk_call();
        (&raw const (*thunk).back).read_volatile()
    }
}

/// GDTR and IDTR that every call is made with: those of the boot program's entry.
#[allow(unsafe_code, reason = "reads the assembly's structure")]
pub fn tables() -> (Descriptor, Descriptor) {
    let thunk = &raw const raw::nbp_thunk;
    // SAFETY: written once, at the entry.
    unsafe { ((*thunk).gdtr, (*thunk).idtr) }
}

/// Writes a text to the screen; what is too long is cut.
#[allow(unsafe_code, reason = "fills the assembly's buffer")]
pub fn print(text: &str) {
    let len = text.len().min(PRINT_SIZE - 1);
    let buffer = (&raw mut raw::print_buffer).cast::<u8>();
    // SAFETY: `len` and the zero fit into the buffer, which only print_text reads, during the call below.
    unsafe {
        core::ptr::copy_nonoverlapping(text.as_ptr(), buffer, len);
        buffer.add(len).write(0);
    }
    call(&Orders::far_call(SegOff::new(0, (&raw const raw::print_text).addr() as u16)));
}

/// Lets the BIOS have its timer and keyboard interrupts.
pub fn let_interrupts_in() {
    call(&Orders::far_call(SegOff::new(0, (&raw const raw::window).addr() as u16)));
}

/// Offsets and sizes for the assembly.
pub mod layout_for_assembly {
    use core::mem::offset_of;

    use super::{Orders, Return, Thunk};

    /// Size of the whole structure.
    pub const SIZE: usize = size_of::<Thunk>();
    /// Descriptor tables.
    pub const GDTR: usize = offset_of!(Thunk, gdtr);
    /// Descriptor tables.
    pub const IDTR: usize = offset_of!(Thunk, idtr);
    /// A field of the orders.
    pub const fn input(offset: usize) -> usize {
        offset_of!(Thunk, orders) + offset
    }
    /// A field of the results.
    pub const fn output(offset: usize) -> usize {
        offset_of!(Thunk, back) + offset
    }
    /// A register of the orders.
    pub const fn in_register(offset: usize) -> usize {
        input(offset_of!(Orders, registers)) + offset
    }
    /// A register of the results.
    pub const fn out_register(offset: usize) -> usize {
        output(offset_of!(Return, registers)) + offset
    }
}
