//! The files that TFTP and HTTP serve: from memory, else from a directory.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Named bytes.
#[derive(Debug, Default)]
pub struct Files {
    memory: HashMap<String, Arc<[u8]>>,
    directory: Option<PathBuf>,
}

impl Files {
    /// Adds or replaces a file. The name has no leading slash.
    pub fn add(&mut self, name: impl Into<String>, contents: impl Into<Arc<[u8]>>) {
        self.memory.insert(name.into(), contents.into());
    }

    /// Serves a directory too; files from memory come first.
    pub fn serve_directory(&mut self, directory: impl Into<PathBuf>) {
        self.directory = Some(directory.into());
    }

    /// Looks a file up. Slashes of either kind before and in the name are taken as `/`; `..` finds nothing.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<[u8]>> {
        let name = name.replace('\\', "/");
        let name = name.trim_start_matches('/');
        if let Some(contents) = self.memory.get(name) {
            return Some(contents.clone());
        }
        let path = Path::new(name);
        if !path.components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir)) {
            return None;
        }
        std::fs::read(self.directory.as_ref()?.join(path)).ok().map(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_directory_is_served() {
        let mut files = Files::default();
        files.serve_directory(env!("CARGO_MANIFEST_DIR"));
        assert!(files.get("/Cargo.toml").is_some());
        assert!(files.get("src\\lib.rs").is_some());
        assert!(files.get("src/../Cargo.toml").is_none());
        assert!(files.get("../netserver/Cargo.toml").is_none());
    }
}
