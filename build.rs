//! Tells cargo which files the ROM is linked from.
fn main() {
    println!("cargo::rerun-if-changed=linker.ld");
    println!("cargo::rerun-if-changed=asm");
}
