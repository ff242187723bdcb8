//! The TFTP functions.

use hvpxe::mem::SegOff;
use hvpxe::pxe::Then;

use super::network::{SERVER, booted, file};
use super::sim::{BUFFER, Rig, far};

/// `PXENV_TFTP_OPEN`.
pub fn open_block(name: &str, port: u16, packet_size: u16) -> Vec<u8> {
    let mut block = vec![0; 142];
    block[2..6].copy_from_slice(&SERVER);
    block[0x0a..][..name.len()].copy_from_slice(name.as_bytes());
    block[0x8a..0x8c].copy_from_slice(&port.to_be_bytes());
    block[0x8c..0x8e].copy_from_slice(&packet_size.to_le_bytes());
    block
}

/// `PXENV_TFTP_READ_FILE` and `PXENV_RESTART_TFTP`.
fn read_file_block(name: &str, size: u32, at: u32) -> Vec<u8> {
    let mut block = vec![0; 158];
    block[2..][..name.len()].copy_from_slice(name.as_bytes());
    block[0x82..0x86].copy_from_slice(&size.to_le_bytes());
    block[0x86..0x8a].copy_from_slice(&at.to_le_bytes());
    block[0x8a..0x8e].copy_from_slice(&SERVER);
    block
}

/// Reads blocks until a short one, as clients do.
fn read_all(rig: &mut Rig, block_size: usize) -> Vec<u8> {
    let mut contents = Vec::new();
    for number in 1.. {
        // BufferSize holds garbage on the way in.
        let (status, block) = rig.call(0x22, &[&[0, 0, 0xee, 0xee, 0, 0][..], &far(BUFFER)].concat());
        assert_eq!(status, 0);
        assert_eq!(u16::from_le_bytes([block[2], block[3]]), number);
        let len = usize::from(u16::from_le_bytes([block[4], block[5]]));
        assert!(len <= block_size);
        contents.extend(rig.mem.peek(BUFFER.linear(), len));
        if len < block_size {
            break;
        }
    }
    contents
}

#[test]
fn a_file_is_read_block_by_block() {
    for (asked, granted) in
        [(0, 512), (512, 512), (1024, 1024), (1408, 1408), (1456, 1456), (16384, 16384), (0xffff, 16384)]
    {
        for len in [0, 1, granted - 1, granted, 3 * granted, 3 * granted + 7] {
            let (mut rig, server) = booted();
            server.borrow_mut().files().add("file", file(len));
            let (status, block) = rig.call(0x20, &open_block("file", 0, asked));
            assert_eq!(status, 0);
            assert_eq!(block[2..0x8c], open_block("file", 0, asked)[2..0x8c]);
            assert_eq!(usize::from(u16::from_le_bytes([block[0x8c], block[0x8d]])), granted);
            assert!(read_all(&mut rig, granted) == file(len), "{len} bytes by {granted}");
            assert_eq!(rig.call(0x22, &[&[0; 6][..], &far(BUFFER)].concat()).1[4..6], [0, 0], "past the end");
            rig.succeed(0x21);
            rig.succeed(0x21);
        }
    }
}

#[test]
fn a_server_without_options_gives_blocks_of_512() {
    let (mut rig, server) = booted();
    server.borrow_mut().files().add("file", file(2000));
    server.borrow_mut().set("tftp.fault", "no-options").unwrap();
    let (status, block) = rig.call(0x20, &open_block("file", 69, 1456));
    assert_eq!((status, &block[0x8c..0x8e]), (0, &[0, 2][..]));
    assert!(read_all(&mut rig, 512) == file(2000));
}

#[test]
fn opening_while_open_closes_the_first() {
    let (mut rig, server) = booted();
    server.borrow_mut().files().add("first", file(100_000));
    server.borrow_mut().files().add("second", file(3000));
    assert_eq!(rig.call(0x20, &open_block("first", 0, 1024)).0, 0);
    assert_eq!(rig.call(0x20, &open_block("second", 0, 1024)).0, 0);
    assert!(read_all(&mut rig, 1024) == file(3000));
}

#[test]
fn refusals_have_their_own_status() {
    let (mut rig, server) = booted();
    assert_eq!(rig.call(0x20, &open_block("absent", 0, 1024)).0, 0x3b);
    assert_eq!(rig.call(0x25, &open_block("absent", 0, 0)).0, 0x3b);
    assert_eq!(rig.call(0x23, &read_file_block("absent", 100, 0x10_0000)).0, 0x3b);
    assert_eq!(rig.call(0x22, &[&[0; 6][..], &far(BUFFER)].concat()).0, 0x1a, "nothing open");
    assert_eq!(rig.call(0x22, &[&[0; 6][..], &far(SegOff::default())].concat()).0, 0x6c, "null buffer");
    server.borrow_mut().set("tftp", "off").unwrap();
    assert_eq!(rig.call(0x20, &open_block("boot.0", 0, 1024)).0, 0x32);
}

#[test]
fn sizes_are_asked_for_without_a_transfer() {
    let (mut rig, server) = booted();
    server.borrow_mut().files().add("file", file(123_456));
    let (status, block) = rig.call(0x25, &open_block("file", 0, 0));
    assert_eq!(status, 0);
    assert_eq!(block[0x8a..0x8e], 123_456_u32.to_le_bytes());
}

#[test]
fn whole_files_go_to_physical_addresses() {
    let (mut rig, server) = booted();
    server.borrow_mut().files().add("file", file(200_000));
    for at in [0x2_5000, 0x10_0000, 0x20_0001] {
        let (status, block) = rig.call(0x23, &read_file_block("file", 0x10_0000, at));
        assert_eq!(status, 0);
        assert_eq!(block[0x82..0x86], 200_000_u32.to_le_bytes());
        assert!(rig.mem.peek(at, 200_000) == file(200_000));
    }
}

#[test]
fn files_larger_than_their_buffer_leave_what_lies_behind_alone() {
    let (mut rig, server) = booted();
    server.borrow_mut().files().add("file", file(5000));
    for fault in ["none", "no-options"] {
        server.borrow_mut().set("tftp.fault", fault).unwrap();
        let behind = rig.mem.peek(0x20_0000 + 4999, 2000);
        assert_eq!(rig.call(0x23, &read_file_block("file", 4999, 0x20_0000)).0, 0x3a);
        assert_eq!(rig.mem.peek(0x20_0000 + 4999, 2000), behind);
    }
}

#[test]
fn buffers_in_the_core_or_past_ram_are_refused() {
    let (mut rig, server) = booted();
    server.borrow_mut().files().add("file", file(5000));
    for at in [0x18_0000, 0x17_ff00, 0xffff_ff00] {
        assert_eq!(rig.call(0x23, &read_file_block("file", 5000, at)).0, 0x6c, "{at:#x}");
    }
}

#[test]
fn restart_loads_the_next_program_over_its_caller() {
    let (mut rig, server) = booted();
    server.borrow_mut().files().add("next.0", file(0x2_0000));
    let block = read_file_block("next.0", 0, 0);
    // The block lies in the first program, which the second one overwrites.
    let at = SegOff { offset: 0x7d00, segment: 0 };
    rig.mem.poke(at.linear(), &block);
    let result = rig.api.call(0x73, at);
    assert_eq!((result.ax, result.then), (0, Then::StartNbp));
    assert!(rig.mem.peek(0x7c00, 0x2_0000) == file(0x2_0000));
    assert_eq!(rig.card.filter.get(), 0, "quiet until the program asks");
}

#[test]
fn a_failed_restart_returns_with_a_status() {
    let (mut rig, server) = booted();
    server.borrow_mut().files().add("big.0", file(700_000));
    assert_eq!(rig.call(0x73, &read_file_block("absent.0", 0, 0)).0, 0x3b);
    assert_eq!(rig.call(0x73, &read_file_block("big.0", 0, 0)).0, 0x79);
}

#[test]
fn a_transfer_survives_undi_close_but_not_shutdown() {
    let (mut rig, server) = booted();
    server.borrow_mut().files().add("file", file(3000));
    assert_eq!(rig.call(0x20, &open_block("file", 0, 1024)).0, 0);
    rig.succeed(0x07);
    assert!(read_all(&mut rig, 1024) == file(3000));
    assert_eq!(rig.call(0x20, &open_block("file", 0, 1024)).0, 0);
    rig.succeed(0x05);
    assert_eq!(rig.call(0x22, &[&[0; 6][..], &far(BUFFER)].concat()).0, 0x1a);
    assert!(!rig.card.held.get());
    rig.succeed(0x21);
}

#[test]
fn tftp_works_after_undi_was_shut_down_and_closed() {
    let (mut rig, server) = booted();
    server.borrow_mut().files().add("file", file(3000));
    for opcode in [0x07, 0x05] {
        rig.succeed(opcode);
        assert_eq!(rig.call(0x20, &open_block("file", 0, 1024)).0, 0);
        assert!(read_all(&mut rig, 1024) == file(3000));
    }
}
