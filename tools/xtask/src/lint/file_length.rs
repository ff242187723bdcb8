//! Rule: a source file has one subject, and 600 lines are too many for one.

use super::SourceFile;

/// Most lines of a file (policy, STYLE).
const MOST_LINES: usize = 600;

pub fn check(files: &[SourceFile]) -> Vec<String> {
    let source = |file: &&SourceFile| [".rs", ".s", ".ld"].iter().any(|end| file.path.ends_with(end));
    let too_long = |file: &SourceFile| {
        let lines = file.text.lines().count();
        (lines > MOST_LINES).then(|| format!("{}:{lines}: over {MOST_LINES} lines; split it by subject", file.path))
    };
    files.iter().filter(source).filter_map(too_long).collect()
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn the_limit_counts_for_source_files_only() {
        assert!(check(&[file("src/a.rs", &"\n".repeat(600)), file("LICENSE", &"\n".repeat(700))]).is_empty());
        assert_eq!(check(&[file("src/a.rs", &"\n".repeat(601))]).len(), 1);
    }
}
