//! The benchmark's command on machines that can't run it.

use std::process::Command;

/// No QEMU, and no way to fetch one: an error that says so, and no table.
#[test]
fn a_machine_without_qemu_is_told_so() {
    let lab = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["bench", "--short"])
        .env("PATH", lab.path())
        .env("HVPXE_LAB", lab.path())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("error: the benchmark needs QEMU"), "{error}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// A switch that makes no sense is refused before anything is looked for, and the error names it.
#[test]
fn a_switch_that_makes_no_sense_is_named() {
    for (argument, value) in [("--net", "latency-ms=abc"), ("--net", "colour=red"), ("--loss", "150")] {
        let output = Command::new(env!("CARGO_BIN_EXE_xtask")).args(["bench", argument, value]).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(value) && error.contains(argument), "{error}");
        assert!(output.stdout.is_empty());
    }
}
