//! A serial port, for the log: 115200 baud, 8 data bits, no parity, one stop bit, no handshake.
//!
//! Source: National Semiconductor PC16550D data sheet, "Registers".

use core::sync::atomic::{AtomicU16, Ordering};

/// I/O address of the port; 0: closed.
static PORT: AtomicU16 = AtomicU16::new(0);

/// Registers, from the port's address: transmit buffer, or the divisor's low and high byte; FIFO control; line control;
/// modem control; line status.
const DATA: u16 = 0;
const DIVISOR_HIGH: u16 = 1;
const FIFO_CONTROL: u16 = 2;
const LINE_CONTROL: u16 = 3;
const MODEM_CONTROL: u16 = 4;
const LINE_STATUS: u16 = 5;

/// Line control: 8N1, and access to the divisor.
const EIGHT_BITS: u8 = 0x03;
const DIVISOR_ACCESS: u8 = 0x80;
/// Divisor of 1.8432 MHz / 16 for 115200 baud.
const DIVISOR: u8 = 1;
/// FIFOs on and empty.
const FIFOS_CLEAR: u8 = 0x07;
/// DTR and RTS.
const READY: u8 = 0x03;
/// Line status: the transmit buffer is empty.
const TRANSMIT_EMPTY: u8 = 1 << 5;
/// Looks at the line status for one byte (policy): a byte takes 87 us, and a port read about one, on hypervisors more.
const MAX_LOOKS: u32 = 10_000;

/// Sets the port up, and writes to it from now on.
pub fn open(port: u16) {
    write_register(port, LINE_CONTROL, EIGHT_BITS | DIVISOR_ACCESS);
    write_register(port, DATA, DIVISOR);
    write_register(port, DIVISOR_HIGH, 0);
    write_register(port, LINE_CONTROL, EIGHT_BITS);
    write_register(port, FIFO_CONTROL, FIFOS_CLEAR);
    write_register(port, MODEM_CONTROL, READY);
    PORT.store(port, Ordering::Relaxed);
}

/// Writes bytes, a carriage return before each line feed. Does nothing without an open port; a port that takes no byte in
/// time is given up.
pub fn write(bytes: &[u8]) {
    for &byte in bytes {
        if byte == b'\n' {
            put(b'\r');
        }
        put(byte);
    }
}

fn put(byte: u8) {
    let port = PORT.load(Ordering::Relaxed);
    if port == 0 {
        return;
    }
    if (0..MAX_LOOKS).any(|_| read_register(port, LINE_STATUS) & TRANSMIT_EMPTY != 0) {
        write_register(port, DATA, byte);
    } else {
        PORT.store(0, Ordering::Relaxed);
    }
}

fn write_register(port: u16, register: u16, value: u8) {
    // SAFETY: `open` got the port from the BIOS's list of serial ports, and a serial port does no DMA: writes to its
    // registers have no effect on memory.
    unsafe { x86::io::outb(port + register, value) }
}

fn read_register(port: u16, register: u16) -> u8 {
    // SAFETY: as in `write_register`.
    unsafe { x86::io::inb(port + register) }
}
