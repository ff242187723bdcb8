//! Rule: in the core, imports run one way: from the boot program's side down to the machine's.

use super::{SourceFile, code_lines};

/// What anyone may use.
const COMMON: [&str; 4] = ["error", "log", "text", "time"];

/// Each module of `src`, and what it may use besides itself and [`COMMON`]. STYLE, "Imports run one way".
const MAY_USE: [(&str, &[&str]); 18] = [
    ("arch", &[]),
    ("disk", &[]),
    ("error", &[]),
    ("hv", &["arch", "mem", "wire"]),
    ("int13", &["disk", "owner", "storvsc", "machine", "mem", "wire"]),
    ("log", &["arch"]),
    ("machine", &["mem"]),
    ("mem", &[]),
    ("net", &["nic", "machine"]),
    ("netvsc", &["nic", "vmbus", "hv", "arch", "mem", "wire"]),
    ("nic", &[]),
    ("owner", &["disk", "nic", "netvsc", "storvsc", "vmbus", "hv", "arch", "mem", "wire"]),
    // Never the parts of VMBus: it asks `nic`, and `owner` answers.
    ("pxe", &["net", "nic", "machine", "mem", "wire"]),
    ("settings", &[]),
    ("storvsc", &["disk", "vmbus", "hv", "arch", "mem", "wire"]),
    ("text", &[]),
    ("time", &[]),
    ("vmbus", &["hv", "arch", "mem", "wire"]),
];

/// `wire` describes bytes. The addresses and offsets in them are types of these two; neither does anything.
const WIRE_MAY_USE: &[&str] = &["mem", "machine"];

/// These put everything together.
const TOP: [&str; 3] = ["main", "entry", "lib"];

pub fn check(files: &[SourceFile]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files {
        let Some(module) = module_of(&file.path) else { continue };
        if TOP.contains(&module) {
            continue;
        }
        let Some(allowed) = allowed(module) else {
            broken.push(format!("{}:1: say in lint/imports.rs what the module `{module}` may use", file.path));
            continue;
        };
        // Tests stand at the end of a file, and may use what they like.
        for (number, line) in code_lines(file).take_while(|(_, line)| !line.trim().starts_with("#[cfg(test)]")) {
            for used in used_modules(line) {
                if used != module && !COMMON.contains(&used) && !allowed.contains(&used) {
                    broken.push(format!("{}:{number}: `{module}` may not use `{used}`", file.path));
                }
            }
        }
    }
    broken
}

fn allowed(module: &str) -> Option<&'static [&'static str]> {
    if module == "wire" {
        return Some(WIRE_MAY_USE);
    }
    MAY_USE.iter().find(|(name, _)| *name == module).map(|(_, allowed)| *allowed)
}

/// The module that a file of `src` belongs to.
fn module_of(path: &str) -> Option<&str> {
    let below = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    below.split('/').next()
}

/// What a line takes from the crate's root: `crate::x::...` and `crate::{x, y::z}`.
fn used_modules(line: &str) -> Vec<&str> {
    let mut used = Vec::new();
    for rest in line.split("crate::").skip(1) {
        let names = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default().split(',').map(str::trim).collect(),
            None => vec![rest],
        };
        for name in names {
            let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(name.len());
            // A capital letter or a macro's `!` is no module.
            if name[..end].starts_with(|c: char| c.is_ascii_lowercase()) && !name[end..].starts_with('!') {
                used.push(&name[..end]);
            }
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn upward_imports_are_named() {
        let broken = check(&[file("src/vmbus/ring.rs", "use crate::mem::Gpa;\nuse crate::pxe::api;\n")]);
        assert_eq!(broken, ["src/vmbus/ring.rs:2: `vmbus` may not use `pxe`"]);
        assert_eq!(check(&[file("src/pxe/undi.rs", "use crate::{error::Error, vmbus::ring};\n")]).len(), 1);
        assert_eq!(check(&[file("src/hv/mod.rs", "    crate::owner::check();\n")]).len(), 1);
    }

    #[test]
    fn downward_imports_comments_and_tests_are_left_alone() {
        let text = "//! See [`crate::pxe`].\nuse crate::hv::Hypervisor;\nuse crate::error::Error;\n\
                    #[cfg(test)]\nmod tests {\n    use crate::pxe::api;\n}\n";
        assert!(
            check(&[file("src/vmbus/mod.rs", text), file("src/entry/mod.rs", "use crate::pxe::api;\n")]).is_empty()
        );
        assert!(check(&[file("tools/x/src/a.rs", "use crate::pxe::api;\n")]).is_empty());
    }

    #[test]
    fn a_new_module_must_be_given_its_place() {
        assert_eq!(check(&[file("src/newthing.rs", "")]).len(), 1);
    }
}
