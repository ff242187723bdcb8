//! Links the boot program as a flat binary at the address where PXE loads it.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../runtime/nbp.ld");
    println!("cargo::rerun-if-changed={script}");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        println!("cargo::rustc-link-arg-bins=-T{script}");
        println!("cargo::rustc-link-arg-bins=--oformat=binary");
        println!("cargo::rustc-link-arg-bins=--gc-sections");
    }
}
