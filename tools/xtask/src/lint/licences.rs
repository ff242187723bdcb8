//! Rule: each crate names its licence, and the texts are there. The plugin is loaded into QEMU, hence the GPL.

use super::SourceFile;

/// The licence of everything that is not the plugin.
const COMMON: &str = "license = \"MIT OR Apache-2.0\"";
/// The plugin's.
const PLUGIN: &str = "license = \"GPL-2.0-or-later\"";
/// The plugin's manifest.
const PLUGIN_MANIFEST: &str = "tools/qemu-hyperv/Cargo.toml";
/// Files with the texts, and words that must be in them.
const TEXTS: [(&str, &str); 3] = [
    ("LICENSE-MIT", "Permission is hereby granted, free of charge"),
    ("LICENSE-APACHE", "Version 2.0, January 2004"),
    ("tools/qemu-hyperv/LICENSE", "GNU GENERAL PUBLIC LICENSE"),
];

pub fn check(files: &[SourceFile]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| file.path == "Cargo.toml" || file.path.ends_with("/Cargo.toml")) {
        let licence = if file.path == PLUGIN_MANIFEST { PLUGIN } else { COMMON };
        if !file.text.lines().any(|line| line.trim() == licence) {
            broken.push(format!("{}:1: needs the line {licence}", file.path));
        }
    }
    for (path, words) in TEXTS {
        if !files.iter().any(|file| file.path == path && file.text.contains(words)) {
            broken.push(format!("{path}:1: the licence's text is missing"));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn a_crate_without_the_right_licence_is_named() {
        let mut files: Vec<_> = TEXTS.iter().map(|(path, words)| file(path, words)).collect();
        files.push(file("Cargo.toml", COMMON));
        files.push(file(PLUGIN_MANIFEST, PLUGIN));
        assert!(check(&files).is_empty());
        files.push(file("tools/x/Cargo.toml", PLUGIN));
        assert_eq!(check(&files), [format!("tools/x/Cargo.toml:1: needs the line {COMMON}")]);
        files.remove(0);
        assert_eq!(check(&files).len(), 2);
    }
}
