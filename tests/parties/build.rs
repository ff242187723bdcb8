//! Links each program by its own script: flat, but for the ROM, whose address spaces the harness puts together.

fn main() {
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    println!("cargo::rerun-if-changed=asm");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        println!("cargo::rustc-link-arg-bins=--gc-sections");
        println!("cargo::rustc-link-arg-bins=--no-check-sections");
        for (bin, script) in [("party-rom", "rom.ld"), ("thief-nbp", "../runtime/nbp.ld"), ("disk-sector", "sector.ld")]
        {
            println!("cargo::rerun-if-changed={root}/{script}");
            println!("cargo::rustc-link-arg-bin={bin}=-T{root}/{script}");
            if bin != "party-rom" {
                println!("cargo::rustc-link-arg-bin={bin}=--oformat=binary");
            }
        }
    }
}
