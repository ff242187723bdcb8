//! `cargo xtask lint`: rustfmt, clippy, and the house rules that a program can check. Each rule is one file here.

mod file_length;
mod imports;
mod leftovers;
mod licences;
mod top_level;
mod unsafe_places;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::build::cargo;
use crate::process::{capture, run_visibly};
use crate::workspace::Workspace;

/// A file of the project.
pub struct SourceFile {
    /// Its path below the workspace's root, with `/`.
    pub path: String,
    /// Its content; a file that is no text has none.
    pub text: String,
}

/// A rule: looks at all files, and says what is wrong, `path:line: what`.
type Rule = fn(&[SourceFile]) -> Vec<String>;

const RULES: [Rule; 6] =
    [file_length::check, imports::check, leftovers::check, licences::check, top_level::check, unsafe_places::check];

/// Checks format, lints and house rules.
///
/// # Errors
/// When something is to be mended; what it is has been shown.
pub fn run(workspace: &Workspace) -> Result<()> {
    run_visibly(cargo(workspace).args(["fmt", "--all", "--check"]))?;
    run_visibly(cargo(workspace).args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    house_rules(workspace)?;
    println!("Nothing to mend.");
    Ok(())
}

/// Checks the house rules alone.
///
/// # Errors
/// One line for each place where a rule is broken.
pub fn house_rules(workspace: &Workspace) -> Result<()> {
    let files = project_files(&workspace.root)?;
    let broken: Vec<String> = RULES.iter().flat_map(|rule| rule(&files)).collect();
    if !broken.is_empty() {
        bail!(
            "{} broken:\n{}",
            if broken.len() == 1 { "a house rule is" } else { "house rules are" },
            broken.join("\n")
        );
    }
    Ok(())
}

/// What git tracks, and what it would: a new file is judged before it is added.
fn project_files(root: &Path) -> Result<Vec<SourceFile>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
    let listing = capture(&mut git).context("the house rules need git to know the project's files")?;
    let listing = String::from_utf8(listing.stdout).context("a file's name is no UTF-8")?;
    let mut files = Vec::new();
    for path in listing.split('\0').filter(|path| !path.is_empty()) {
        // A file that is deleted but still in the index has nothing to judge.
        if let Ok(bytes) = fs::read(root.join(PathBuf::from(path))) {
            files.push(SourceFile { path: path.to_owned(), text: String::from_utf8(bytes).unwrap_or_default() });
        }
    }
    Ok(files)
}

/// The lines of a Rust file that are code, with their numbers: no line comments.
fn code_lines(file: &SourceFile) -> impl Iterator<Item = (usize, &str)> {
    let numbered = file.text.lines().enumerate().map(|(index, line)| (index + 1, line));
    numbered.filter_map(|(number, line)| {
        let code = line.split("//").next().unwrap_or_default();
        (!code.trim().is_empty()).then_some((number, code))
    })
}

#[cfg(test)]
fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.to_owned(), text: text.to_owned() }
}
