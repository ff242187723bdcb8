//! Rule: `unsafe` only where it is reviewed: `src/arch`, `src/mem`, `src/entry`, `src/main.rs`, the QEMU plugin, the
//! assembly of the probe and of the meter, and the test programs with their runtime.

use super::{SourceFile, code_lines};

/// Where it may be.
const PLACES: [&str; 13] = [
    "src/arch/",
    "src/mem/",
    "src/entry/",
    "src/entry.rs",
    "src/main.rs",
    "tools/qemu-hyperv/src/",
    "tests/conformance/src/main.rs",
    "tests/meter/src/main.rs",
    "tests/parties/src/",
    "tests/runtime/src/",
    "tests/probe/src/main.rs",
    "tests/probe/src/undi.rs",
    "tests/saboteur/src/main.rs",
];

pub fn check(files: &[SourceFile]) -> Vec<String> {
    let mut broken = Vec::new();
    let closed =
        |file: &&SourceFile| file.path.ends_with(".rs") && !PLACES.iter().any(|place| file.path.starts_with(place));
    for file in files.iter().filter(closed) {
        for (number, line) in code_lines(file) {
            let opens = [
                "unsafe {",
                "unsafe fn",
                "unsafe impl",
                "unsafe extern",
                "unsafe(",
                "allow(unsafe_code",
                "expect(unsafe_code",
            ];
            if opens.iter().any(|open| contains_outside_text(line, open)) {
                broken.push(format!("{}:{number}: unsafe is allowed in {} only", file.path, PLACES.join(", ")));
            }
        }
    }
    broken
}

/// Whether the line has this before any string begins.
fn contains_outside_text(line: &str, what: &str) -> bool {
    line.split('"').next().is_some_and(|code| code.contains(what))
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn unsafe_is_found_where_it_may_not_be() {
        let block = "fn f() {\n    unsafe { g() }\n}\n";
        assert_eq!(check(&[file("src/net/a.rs", block)]).len(), 1);
        assert_eq!(check(&[file("src/net/mod.rs", "#![allow(unsafe_code)]\n")]).len(), 1);
        assert!(check(&[file("src/arch/a.rs", block), file("tools/qemu-hyperv/src/a.rs", block)]).is_empty());
        assert!(check(&[file("src/net/a.rs", "// unsafe { x }\nlet text = \"unsafe { x }\";\n")]).is_empty());
    }
}
