//! Where the instructions of a part of a run were executed, by block of code.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::args::Args;
use crate::qemu::Tally;

/// Counts of instructions by the address of their block.
pub struct Profile {
    file: PathBuf,
    start: String,
    end: String,
    blocks: BTreeMap<u64, Tally>,
    /// The counts at the first mark.
    before: Option<BTreeMap<u64, u64>>,
}

impl Profile {
    /// The profile that the arguments ask for.
    ///
    /// # Errors
    /// When they don't say where it goes, or what it is of.
    pub fn new(args: &Args) -> Result<Option<Self>> {
        match (&args.profile, &args.profile_marks) {
            (None, None) => Ok(None),
            (Some(file), Some((start, end))) => Ok(Some(Self {
                file: file.clone(),
                start: start.clone(),
                end: end.clone(),
                blocks: BTreeMap::new(),
                before: None,
            })),
            _ => anyhow::bail!("profile= and profile_marks= go together"),
        }
    }

    /// The tally of the block at an address, for translated code to add to.
    pub fn tally(&mut self, address: u64) -> Tally {
        *self.blocks.entry(address).or_insert_with(Tally::new)
    }

    /// A mark was reached: begins, or writes the profile.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn reach(&mut self, mark: &str, vcpus: u32) -> Result<()> {
        let counts = || self.blocks.iter().map(|(&address, tally)| (address, tally.sum(vcpus))).collect();
        if mark == self.start && self.before.is_none() {
            self.before = Some(counts());
        } else if let (true, Some(before)) = (mark == self.end, &self.before) {
            let text = difference(before, &counts());
            std::fs::write(&self.file, text).with_context(|| format!("writing {}", self.file.display()))?;
        }
        Ok(())
    }
}

/// The lines of the file: what was executed since.
fn difference(before: &BTreeMap<u64, u64>, after: &BTreeMap<u64, u64>) -> String {
    let mut text = String::new();
    for (address, count) in after {
        let since = count - before.get(address).copied().unwrap_or(0);
        if since > 0 {
            // Writing to a string can't fail.
            let _ = writeln!(text, "{address:x} {since}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_executed_between_the_marks_is_listed() {
        let before = [(0x7c00, 5), (0x8000, 7)].into();
        let after = [(0x7c00, 5), (0x8000, 9), (0xffff_ffff_8000_0000, 3)].into();
        assert_eq!(difference(&before, &after), "8000 2\nffffffff80000000 3\n");
    }

    #[test]
    fn a_file_without_marks_is_refused() {
        assert!(Profile::new(&Args::parse(&["profile=p"], 1).unwrap()).is_err());
        assert!(Profile::new(&Args::parse::<&str>(&[], 1).unwrap()).unwrap().is_none());
    }
}
