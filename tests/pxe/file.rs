//! The file extension.

use hvpxe::mem::SegOff;
use netserver::Event;

use super::network::{booted, file};
use super::sim::{BUFFER, Rig, far};

/// Where tests put their URLs: at the end of a segment's memory, so that reading on would be noticed by none.
const NAME: SegOff = SegOff { offset: 0x0007, segment: 0x2800 };

/// Calls that a file that isn't complete may need.
const PATIENCE: usize = 200_000;

/// `PXENV_FILE_OPEN`; returns status and handle.
fn open(rig: &mut Rig, url: &str) -> (u16, u16) {
    rig.mem.poke(NAME.linear(), &[url.as_bytes(), b"\0garbage"].concat());
    let (status, block) = rig.call(0xe0, &[&[0, 0, 0xee, 0xee][..], &far(NAME), &[0xee; 4]].concat());
    assert_eq!(block[8..], [0xee; 4], "reserved");
    (status, u16::from_le_bytes([block[2], block[3]]))
}

/// Calls with a block of status, handle and `rest`.
fn call(rig: &mut Rig, opcode: u16, handle: u16, rest: &[u8]) -> (u16, Vec<u8>) {
    let (status, block) = rig.call(opcode, &[&[0, 0][..], &handle.to_le_bytes(), rest].concat());
    (status, block[4..].to_vec())
}

/// `PXENV_FILE_READ`; returns status and bytes.
fn read(rig: &mut Rig, handle: u16, room: u16) -> (u16, Vec<u8>) {
    let behind = rig.mem.peek(BUFFER.linear() + u32::from(room), 64);
    let (status, block) = call(rig, 0xe3, handle, &[&room.to_le_bytes()[..], &far(BUFFER)].concat());
    assert_eq!(rig.mem.peek(BUFFER.linear() + u32::from(room), 64), behind, "wrote behind the buffer");
    let len = if status == 0 { u16::from_le_bytes([block[0], block[1]]).into() } else { 0 };
    assert!(len <= usize::from(room));
    (status, rig.mem.peek(BUFFER.linear(), len))
}

/// Reads as clients do: again and again while the status is 1Bh, to a read of no bytes; ends with the status.
fn read_all(rig: &mut Rig, handle: u16, room: u16) -> Result<Vec<u8>, u16> {
    let mut contents = Vec::new();
    for _ in 0..PATIENCE {
        match read(rig, handle, room) {
            (0, bytes) if bytes.is_empty() => return Ok(contents),
            (0, bytes) => contents.extend(bytes),
            (0x1b, _) => {}
            (status, _) => return Err(status),
        }
    }
    panic!("the file never ends");
}

/// `PXENV_GET_FILE_SIZE`.
fn size(rig: &mut Rig, handle: u16) -> Result<u32, u16> {
    match call(rig, 0xe4, handle, &[0xee; 4]) {
        (0, size) => Ok(u32::from_le_bytes(size.try_into().unwrap())),
        (status, _) => Err(status),
    }
}

/// `PXENV_FILE_SELECT`.
fn is_ready(rig: &mut Rig, handle: u16) -> bool {
    let (status, ready) = call(rig, 0xe2, handle, &[0xee; 2]);
    assert_eq!(status, 0);
    assert!(ready == [0, 0] || ready == [1, 0], "{ready:?}");
    ready[0] == 1
}

const NAMES: [&str; 4] = ["file", "tftp://10.0.2.2/file", "http://10.0.2.2/file", "http://10.0.2.3:80/file"];

#[test]
fn files_are_read_in_pieces_of_any_size() {
    for name in NAMES {
        for len in [1, 511, 1468, 2936, 60_000] {
            for room in [1000, 2048, 0xf000] {
                let (mut rig, server) = booted();
                server.borrow_mut().files().add("file", file(len));
                let (status, handle) = open(&mut rig, name);
                assert_eq!(status, 0, "{name}");
                assert_eq!(size(&mut rig, handle), Ok(len as u32), "{name}");
                assert!(read_all(&mut rig, handle, room).unwrap() == file(len), "{name}: {len} bytes by {room}");
                assert_eq!(read(&mut rig, handle, room), (0, Vec::new()), "the end stays");
                assert!(is_ready(&mut rig, handle));
                assert_eq!(call(&mut rig, 0xe1, handle, &[]).0, 0);
                assert_eq!(call(&mut rig, 0xe1, handle, &[]).0, 0, "closing twice");
                assert_eq!(read(&mut rig, handle, room).0, 0x1a);
            }
        }
    }
}

#[test]
fn reading_does_not_wait() {
    for name in ["file", "http://10.0.2.2/file"] {
        let (mut rig, server) = booted();
        server.borrow_mut().files().add("file", file(100_000));
        server.borrow_mut().set("latency-ms", "100").unwrap();
        let (status, handle) = open(&mut rig, name);
        assert_eq!(status, 0);
        while read(&mut rig, handle, 0xf000).0 == 0 {}
        let before = rig.machine.seconds();
        for _ in 0..100 {
            assert!(!is_ready(&mut rig, handle), "{name}");
            assert_eq!(read(&mut rig, handle, 2048), (0x1b, Vec::new()), "{name}");
        }
        assert_eq!(rig.machine.seconds(), before);
        server.borrow_mut().set("latency-ms", "0").unwrap();
        assert!(read_all(&mut rig, handle, 2048).is_ok());
    }
}

#[test]
fn several_files_are_open_at_once_and_do_not_mix() {
    let (mut rig, server) = booted();
    for (name, len) in [("a", 30_000), ("b", 20_001), ("c", 10_002), ("d", 40_003)] {
        server.borrow_mut().files().add(name, file(len));
    }
    let handles: Vec<u16> =
        ["a", "http://10.0.2.2/b", "http://10.0.2.2/c", "d"].map(|name| open(&mut rig, name)).map(|(_, it)| it).into();
    assert_eq!(open(&mut rig, "a").0, 0x06, "no more than four");
    let mut contents = vec![Vec::new(); 4];
    for round in 0..PATIENCE {
        let place = round % 4;
        if let (0, bytes) = read(&mut rig, handles[place], 777) {
            contents[place].extend(bytes);
        }
        if contents.iter().map(Vec::len).sum::<usize>() == 100_006 {
            break;
        }
    }
    for (contents, len) in contents.into_iter().zip([30_000, 20_001, 10_002, 40_003]) {
        assert!(contents == file(len), "{len} bytes");
    }
    assert_eq!(call(&mut rig, 0xe1, handles[1], &[]).0, 0);
    let (status, handle) = open(&mut rig, "http://10.0.2.2/b");
    assert_eq!((status, handle), (0, handles[1]), "a closed file makes room");
    rig.succeed(0x70);
    assert!(handles.iter().all(|&handle| read(&mut rig, handle, 100).0 == 0x1a), "UNLOAD_STACK closes them");
}

#[test]
fn servers_refuse_at_open() {
    let (mut rig, server) = booted();
    for (name, status) in [
        ("absent", 0x3b),
        ("http://10.0.2.2/absent", 0x3b),
        ("http://10.0.2.2:81/x", 0x38),
        ("ftp://10.0.2.2/x", 0x53),
        ("http://absent.example/x", 0x38),
        (&"x".repeat(513), 0x6c),
        ("", 0x3f),
    ] {
        assert_eq!(open(&mut rig, name).0, status, "{name}");
    }
    server.borrow_mut().set("http.fault", "status 403").unwrap();
    assert_eq!(open(&mut rig, "http://10.0.2.2/boot.0").0, 0x3c);
    assert_eq!(server.borrow().config().http_port, 80);
    for handle in [0, 1, 4, 5, 0xffff] {
        let expected = if (1..=4).contains(&handle) { 0x1a } else { 0x6c };
        assert_eq!(read(&mut rig, handle, 100).0, expected, "{handle}");
        assert_eq!(call(&mut rig, 0xe2, handle, &[0; 2]).0, expected);
        assert_eq!(size(&mut rig, handle), Err(expected));
    }
    let null = far(SegOff::default());
    assert_eq!(rig.call(0xe0, &[&[0; 4][..], &null, &[0; 4]].concat()).0, 0x6c);
    assert_eq!(call(&mut rig, 0xe3, 1, &[&[0, 8][..], &null].concat()).0, 0x6c);
    assert_eq!(read(&mut rig, 1, 0xff01).0, 0x6c, "past the segment");
    rig.mem.poke(0x2_fff8, b"http://x");
    let last = far(SegOff { offset: 0xfff8, segment: 0x2000 });
    assert_eq!(rig.call(0xe0, &[&[0; 4][..], &last, &[0; 4]].concat()).0, 0x6c, "a name past the segment");
}

#[test]
fn failures_in_the_middle_come_after_the_good_bytes() {
    for (fault, status) in [("truncated", 0x39), ("chunked-garbage", 0x39), ("stall-after 5000", 0x35)] {
        let (mut rig, server) = booted();
        server.borrow_mut().files().add("file", file(50_000));
        server.borrow_mut().set("http.fault", fault).unwrap();
        let (opened, handle) = open(&mut rig, "http://10.0.2.2/file");
        assert_eq!(opened, 0);
        let mut contents = Vec::new();
        let failed = loop {
            match read(&mut rig, handle, 2048) {
                (0, bytes) => contents.extend(bytes),
                // As a client that looks at the clock from time to time.
                (0x1b, _) => (0..100).for_each(|_| hvpxe::machine::Machine::idle(&rig.sim_machine())),
                (status, _) => break status,
            }
        };
        assert_eq!(failed, status, "{fault}");
        assert!(file(50_000).starts_with(&contents), "{fault}");
        assert!(is_ready(&mut rig, handle), "an error can be read");
        assert_eq!(call(&mut rig, 0xe1, handle, &[]).0, 0);
    }
}

#[test]
fn sizes_that_the_server_does_not_tell_are_unknown() {
    let (mut rig, server) = booted();
    server.borrow_mut().files().add("file", file(5_000));
    for (key, fault, name) in
        [("http.fault", "chunked", "http://10.0.2.2/file"), ("tftp.fault", "no-options", "tftp://10.0.2.2/file")]
    {
        server.borrow_mut().set(key, fault).unwrap();
        let (_, handle) = open(&mut rig, name);
        assert_eq!(size(&mut rig, handle), Err(0x3e));
        assert!(read_all(&mut rig, handle, 2048).unwrap() == file(5_000));
    }
}

#[test]
fn buffers_that_are_not_the_callers_are_refused() {
    let (mut rig, server) = booted();
    server.borrow_mut().files().add("file", file(5_000));
    for name in ["file", "http://10.0.2.2/file"] {
        let (_, handle) = open(&mut rig, name);
        while !is_ready(&mut rig, handle) {}
        // The code of the resident block.
        let ours = far(SegOff { offset: 0x100, segment: 0x9c80 });
        assert_eq!(call(&mut rig, 0xe3, handle, &[&[0, 8][..], &ours].concat()).0, 0x6c, "{name}");
    }
}

#[test]
fn the_extension_says_what_it_offers() {
    let (mut rig, _) = booted();
    let check = |rig: &mut Rig, size: u16, magic: u32| {
        let block = [&[0, 0][..], &size.to_le_bytes(), &magic.to_le_bytes(), &[0xee; 12]].concat();
        let (status, after) = rig.call(0xe6, &block);
        (status, after[2..] == block[2..], after)
    };
    let (status, _, block) = check(&mut rig, 20, 0x91d4_47b2);
    assert_eq!(status, 0);
    assert_eq!(block[2..8], [20, 0, 0x20, 0x7b, 0xc1, 0xe9]);
    assert_eq!(block[8..], [b'g', b'P', b'X', b'E', 0x5f, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(check(&mut rig, 100, 0x91d4_47b2).0, 0);
    let (status, unchanged, _) = check(&mut rig, 20, 0x91d4_47b3);
    assert_eq!((status, unchanged), (0x02, true));
    let (status, unchanged, _) = check(&mut rig, 19, 0x91d4_47b2);
    assert_eq!((status, unchanged), (0x06, true));
    for opcode in [0xe5, 0xe7] {
        assert_eq!(rig.call(opcode, &[0xee; 8]), (0x03, [&[3, 0][..], &[0xee; 6]].concat()));
    }
    let (status, block) = rig.call(0xe8, &[&[0, 0, 0, 1][..], &far(BUFFER)].concat());
    assert_eq!((status, &block[2..4]), (0, &[0, 0][..]), "no command line");
}

#[test]
fn a_files_connection_is_closed_with_it() {
    let (mut rig, server) = booted();
    server.borrow_mut().files().add("file", file(500_000));
    for _ in 0..40 {
        let (status, handle) = open(&mut rig, "http://10.0.2.2/file");
        assert_eq!(status, 0, "the server has sixteen connections");
        assert_eq!(call(&mut rig, 0xe1, handle, &[]).0, 0);
    }
    let events = server.borrow_mut().take_events();
    assert!(!events.iter().any(|event| matches!(event, Event::Violation(_))), "{events:?}");
}

#[test]
fn files_are_opened_after_undi_was_shut_down() {
    let (mut rig, server) = booted();
    server.borrow_mut().files().add("file", file(3_000));
    for opcode in [0x07, 0x05] {
        let (_, before) = open(&mut rig, "http://10.0.2.2/file");
        rig.succeed(opcode);
        let (status, handle) = open(&mut rig, "http://10.0.2.2/file");
        assert_eq!(status, 0);
        assert!(read_all(&mut rig, handle, 2048).unwrap() == file(3_000));
        for handle in [before, handle] {
            assert_eq!(call(&mut rig, 0xe1, handle, &[]).0, 0);
        }
    }
}
