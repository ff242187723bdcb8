//! Rule: the top level stays what a newcomer can take in at a glance.

use std::collections::BTreeSet;

use super::SourceFile;

/// What may be there, besides files whose name begins with a dot.
const KNOWN: [&str; 14] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "asm",
    "build.rs",
    "docs",
    "linker.ld",
    "rust-toolchain.toml",
    "src",
    "tests",
    "tools",
    "x86_64-bios.json",
];

pub fn check(files: &[SourceFile]) -> Vec<String> {
    let names: BTreeSet<&str> = files.iter().filter_map(|file| file.path.split('/').next()).collect();
    let unknown = names.iter().filter(|name| !name.starts_with('.') && !KNOWN.contains(name));
    let missing = KNOWN.iter().filter(|name| !names.contains(*name));
    unknown
        .map(|name| format!("{name}:1: does not belong to the top level"))
        .chain(missing.map(|name| format!("{name}:1: is missing from the top level")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn strangers_and_gaps_are_named() {
        let mut files: Vec<_> = KNOWN.iter().map(|name| file(&format!("{name}/x"), "")).collect();
        files.push(file(".ci/run", ""));
        assert!(check(&files).is_empty());
        files.push(file("scripts/x.sh", ""));
        files.remove(0);
        assert_eq!(
            check(&files),
            ["scripts:1: does not belong to the top level", "Cargo.lock:1: is missing from the top level"]
        );
    }
}
