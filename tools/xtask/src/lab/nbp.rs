//! Small boot programs of our own, by hand: for BIOS and PXE alike they start at 0000:7C00.
//!
//! Source: opcodes per the Intel SDM, volume 2; blocks per PXE 2.1, "TFTP Open", "TFTP Read", "UDP Open" and "UDP Read".

use std::net::Ipv4Addr;

/// Where a program starts.
const BASE: u16 = 0x7c00;

/// A program that prints a text and halts for good.
pub fn announcing(text: &str) -> Vec<u8> {
    const CODE: [u8; 24] = [
        0x31, 0xc0, // xor ax, ax
        0x8e, 0xd8, // mov ds, ax
        0xfc, // cld
        0xbe, 0x18, 0x7c, // mov si, 0x7c18: the text, right behind this code
        0xac, // next: lodsb
        0x84, 0xc0, // test al, al
        0x74, 0x08, // jz done
        0xb4, 0x0e, // mov ah, 0x0e
        0x31, 0xdb, // xor bx, bx
        0xcd, 0x10, // int 0x10
        0xeb, 0xf3, // jmp next
        0xf4, // done: hlt
        0xeb, 0xfd, // jmp done
    ];
    [&CODE, text.as_bytes(), &[0]].concat()
}

/// What [`reading`] prints when the file is in memory.
pub const FILE_READ: &str = "FILE READ";
/// What it prints when a call failed.
pub const READ_FAILED: &str = "READ FAILED";
/// Where the granted packet size is in memory.
pub const PACKET_SIZE_AT: usize = (OPEN + 0x8c) as usize;

/// Text for success, text for failure, the block of an OPEN and that of a READ.
const READ_TEXT: u16 = 0x7d00;
const FAILED_TEXT: u16 = 0x7d80;
const OPEN: u16 = 0x7e00;
const READ: u16 = 0x7ef0;
/// A port that nobody sends to (RFC 863).
const DISCARD_PORT: u16 = 9;
/// First segment of the file in memory.
const FILE_SEGMENT: u16 = 0x2000;

/// A program that reads a file with `TFTP_OPEN` and `TFTP_READ` to linear 20000h, packet behind packet, and says whether
/// that went well.
pub fn reading(server: Ipv4Addr, file: &str, packet_size: u16) -> Vec<u8> {
    const CODE: [u8; 0x6a] = [
        0xfc, // cld
        0x26, 0xc4, 0x5f, 0x28, // les bx, es:[bx+0x28]: PXENV+ points to !PXE
        0x26, 0x66, 0x8b, 0x47, 0x10, // mov eax, es:[bx+0x10]: EntryPointSP
        0x0e, 0x1f, // push cs; pop ds
        0x66, 0xa3, 0xfc, 0x7d, // mov [0x7dfc], eax
        0xbf, 0x00, 0x7e, // mov di, OPEN
        0xbb, 0x20, 0x00, // mov bx, PXENV_TFTP_OPEN
        0xe8, 0x44, 0x00, // call pxe
        0x75, 0x2f, // jnz failed
        0xbf, 0xf0, 0x7e, // next: mov di, READ
        0xbb, 0x22, 0x00, // mov bx, PXENV_TFTP_READ
        0xe8, 0x39, 0x00, // call pxe
        0x75, 0x24, // jnz failed
        0xa1, 0xf4, 0x7e, // mov ax, [READ + 4]: the packet's length
        0x8b, 0x16, 0xf6, 0x7e, // mov dx, [READ + 6]: the buffer's offset
        0x01, 0xc2, // add dx, ax
        0x89, 0xd1, // mov cx, dx
        0xc1, 0xe9, 0x04, // shr cx, 4
        0x01, 0x0e, 0xf8, 0x7e, // add [READ + 8], cx: the buffer's segment
        0x83, 0xe2, 0x0f, // and dx, 15
        0x89, 0x16, 0xf6, 0x7e, // mov [READ + 6], dx
        0x3b, 0x06, 0x8c, 0x7e, // cmp ax, [OPEN + 0x8c]: what was granted
        0x74, 0xd6, // je next
        0xbe, 0x00, 0x7d, // mov si, READ_TEXT
        0xeb, 0x03, // jmp print
        0xbe, 0x80, 0x7d, // failed: mov si, FAILED_TEXT
        0xac, // print: lodsb
        0x84, 0xc0, // test al, al
        0x74, 0x08, // jz done
        0xb4, 0x0e, // mov ah, 0x0e
        0x31, 0xdb, // xor bx, bx
        0xcd, 0x10, // int 0x10
        0xeb, 0xf3, // jmp print
        0xf4, // done: hlt
        0xeb, 0xfd, // jmp done
        0x1e, 0x57, // pxe: push ds; push di
        0x53, // push bx
        0xff, 0x1e, 0xfc, 0x7d, // call far [0x7dfc]
        0x83, 0xc4, 0x06, // add sp, 6
        0x85, 0xc0, // test ax, ax
        0xc3, // ret
    ];
    let mut open = [0; 0x8e];
    open[2..6].copy_from_slice(&server.octets());
    open[10..10 + file.len()].copy_from_slice(file.as_bytes());
    open[0x8a..0x8c].copy_from_slice(&69_u16.to_be_bytes());
    open[0x8c..].copy_from_slice(&packet_size.to_le_bytes());
    let mut read = [0; 10];
    read[8..].copy_from_slice(&FILE_SEGMENT.to_le_bytes());

    program(&[
        (BASE, &CODE),
        (READ_TEXT, FILE_READ.as_bytes()),
        (FAILED_TEXT, READ_FAILED.as_bytes()),
        (OPEN, &open),
        (READ, &read),
    ])
}

/// A program that prints a text and then does nothing but ask for datagrams, at every tick of the BIOS clock.
pub fn polling(text: &str) -> Vec<u8> {
    const CODE: [u8; 0x47] = [
        0xfc, // cld
        0x26, 0xc4, 0x5f, 0x28, // les bx, es:[bx+0x28]: PXENV+ points to !PXE
        0x26, 0x66, 0x8b, 0x47, 0x10, // mov eax, es:[bx+0x10]: EntryPointSP
        0x0e, 0x1f, // push cs; pop ds
        0x66, 0xa3, 0xfc, 0x7d, // mov [0x7dfc], eax
        0xbf, 0x00, 0x7e, // mov di, OPEN
        0xbb, 0x30, 0x00, // mov bx, PXENV_UDP_OPEN
        0xe8, 0x23, 0x00, // call pxe
        0xbe, 0x00, 0x7d, // mov si, READ_TEXT
        0xac, // print: lodsb
        0x84, 0xc0, // test al, al
        0x74, 0x08, // jz again
        0xb4, 0x0e, // mov ah, 0x0e
        0x31, 0xdb, // xor bx, bx
        0xcd, 0x10, // int 0x10
        0xeb, 0xf3, // jmp print
        0xfb, // again: sti
        0xf4, // hlt
        0xc7, 0x06, 0xfe, 0x7e, 0x00, 0x02, // mov word [READ + 0x0e], 512: the buffer's length
        0xbf, 0xf0, 0x7e, // mov di, READ
        0xbb, 0x32, 0x00, // mov bx, PXENV_UDP_READ
        0xe8, 0x02, 0x00, // call pxe
        0xeb, 0xed, // jmp again
        0x1e, 0x57, // pxe: push ds; push di
        0x53, // push bx
        0xff, 0x1e, 0xfc, 0x7d, // call far [0x7dfc]
        0x83, 0xc4, 0x06, // add sp, 6
        0xc3, // ret
    ];
    let mut read = [0; 0x14];
    read[0x0c..0x0e].copy_from_slice(&DISCARD_PORT.to_be_bytes());
    read[0x12..].copy_from_slice(&FILE_SEGMENT.to_le_bytes());
    program(&[(BASE, &CODE), (READ_TEXT, text.as_bytes()), (OPEN, &[0; 6]), (READ, &read)])
}

/// Puts the parts of a program where they belong.
fn program(parts: &[(u16, &[u8])]) -> Vec<u8> {
    let mut program = vec![0; 0x400];
    for (at, bytes) in parts {
        program[usize::from(at - BASE)..][..bytes.len()].copy_from_slice(bytes);
    }
    program
}
