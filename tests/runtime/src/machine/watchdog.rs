//! A watchdog: an end for what never returns, and be it a loop in somebody else's code with interrupts off.
//!
//! The real-time clock's alarm, an interrupt that every PC has and no BIOS needs, is led through the I/O APIC as a
//! non-maskable interrupt. It goes off once; a stack that keeps such interrupts for itself outlives it.

use super::memory::{read_register, write_register};
use super::thunk::SegOff;
use super::{cpu, set_vector};

/// I/O APIC (Intel 82093AA): the usual address, and its two windows.
const IO_APIC: u32 = 0xfec0_0000;
const IO_APIC_DATA: u32 = IO_APIC + 0x10;
/// Its version register. The chip's versions are 11h to 2Fh.
const VERSION: u32 = 1;
/// Its redirection entry for input 8, where the real-time clock is: low half; the high half, the destination, follows.
const REDIRECTION: u32 = 0x10 + 2 * 8;
/// Redirection: masked.
const MASKED: u32 = 1 << 16;
/// Redirection: edge, to the CPU whose APIC has the number of the high half, as a non-maskable interrupt.
const NON_MASKABLE: u32 = 0b100 << 8;

/// Real-time clock (Motorola MC146818): index and data ports.
const CLOCK_INDEX: u16 = 0x70;
const CLOCK_DATA: u16 = 0x71;
/// Its registers.
const SECONDS: u8 = 0;
const SECONDS_ALARM: u8 = 1;
const MINUTES: u8 = 2;
const MINUTES_ALARM: u8 = 3;
const HOURS_ALARM: u8 = 5;
const STATUS_A: u8 = 0x0a;
const STATUS_B: u8 = 0x0b;
const STATUS_C: u8 = 0x0c;
/// Status A: the time is about to change.
const UPDATING: u8 = 1 << 7;
/// Status B: interrupt at the alarm.
const ALARM_ENABLED: u8 = 1 << 5;
/// Status B: numbers are binary, not two decimal digits.
const BINARY: u8 = 1 << 2;
/// An alarm register that any time fits.
const ANY: u8 = 0xc0;
/// Reads of status A before the clock counts as absent (policy: an update takes 2 ms).
const UPDATE_READS: u32 = 100_000;

#[allow(unsafe_code, reason = "the assembly")]
mod raw {
    use core::ffi::c_void;

    unsafe extern "C" {
        pub static watchdog_bites: u8;
        pub fn watchdog_call(function: extern "sysv64" fn(*mut c_void), argument: *mut c_void) -> u32;
    }
}

/// Runs something for at most so many seconds, up to 3599; `None`: it took longer, and was left where it was.
///
/// What is left is never dropped, and what it was changing stays half changed: give it plain data. Where the machine has
/// no I/O APIC, nothing is ended.
pub fn within<T>(seconds: u32, run: impl FnOnce() -> T) -> Option<T> {
    set_vector(NMI, SegOff::new(0, (&raw const raw::watchdog_bites).addr() as u16));
    let armed = arm(seconds);
    let done = call(run);
    if armed {
        disarm();
    }
    done
}

/// The vector of the non-maskable interrupt.
const NMI: u8 = 2;

/// What [`watchdog_call`](raw::watchdog_call) is given: what to run, then what it gave.
struct Errand<F, T> {
    run: Option<F>,
    result: Option<T>,
}

#[allow(unsafe_code, reason = "enters the assembly, which comes back to `errand`")]
fn call<T, F: FnOnce() -> T>(run: F) -> Option<T> {
    extern "sysv64" fn errand<T, F: FnOnce() -> T>(argument: *mut core::ffi::c_void) {
        // SAFETY: `call` below passes its errand, which nobody else uses until watchdog_call returns.
        let errand = unsafe { &mut *argument.cast::<Errand<F, T>>() };
        errand.result = errand.run.take().map(|run| run());
    }
    let mut errand_of_ours = Errand { run: Some(run), result: None };
    // SAFETY: the function and its argument belong together. When watchdog_call leaves it halfway, its frames are only
    // forgotten; `result` is then None, or was written whole.
    unsafe { raw::watchdog_call(errand::<T, F>, (&raw mut errand_of_ours).cast()) };
    errand_of_ours.result
}

/// Sets the alarm. Says whether somebody will hear it.
fn arm(seconds: u32) -> bool {
    let Some((minute, second)) = time() else { return false };
    if !(0x11..=0x2f).contains(&(io_apic(VERSION) & 0xff)) {
        return false;
    }
    let at = (minute * 60 + second + seconds) % 3600;
    set_clock(SECONDS_ALARM, encoded(at % 60));
    set_clock(MINUTES_ALARM, encoded(at / 60));
    set_clock(HOURS_ALARM, ANY);
    clock(STATUS_C); // an alarm that is past
    set_clock(STATUS_B, clock(STATUS_B) | ALARM_ENABLED);
    set_io_apic(REDIRECTION + 1, 0); // the CPU that a PC starts with
    set_io_apic(REDIRECTION, NON_MASKABLE);
    true
}

fn disarm() {
    set_io_apic(REDIRECTION, MASKED);
    set_clock(STATUS_B, clock(STATUS_B) & !ALARM_ENABLED);
    clock(STATUS_C);
}

/// Minute and second.
fn time() -> Option<(u32, u32)> {
    (0..UPDATE_READS).find(|_| clock(STATUS_A) & UPDATING == 0)?;
    Some((decoded(clock(MINUTES)), decoded(clock(SECONDS))))
}

fn is_binary() -> bool {
    clock(STATUS_B) & BINARY != 0
}

fn decoded(value: u8) -> u32 {
    u32::from(if is_binary() { value } else { (value >> 4) * 10 + (value & 15) })
}

fn encoded(value: u32) -> u8 {
    let value = value as u8;
    if is_binary() { value } else { (value / 10) << 4 | value % 10 }
}

fn clock(register: u8) -> u8 {
    cpu::out_u8(CLOCK_INDEX, register);
    cpu::in_u8(CLOCK_DATA)
}

fn set_clock(register: u8, value: u8) {
    cpu::out_u8(CLOCK_INDEX, register);
    cpu::out_u8(CLOCK_DATA, value);
}

fn io_apic(register: u32) -> u32 {
    write_register(IO_APIC, register);
    read_register(IO_APIC_DATA)
}

fn set_io_apic(register: u32, value: u32) {
    write_register(IO_APIC, register);
    write_register(IO_APIC_DATA, value);
}
