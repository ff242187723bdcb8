//! Rule: nothing unfinished and no debugging aids in the code.

use super::SourceFile;

/// Words that mark something unfinished. Built from halves, so that this file passes its own rule.
const WORDS: [&str; 6] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("dbg", "!("),
];

pub fn check(files: &[SourceFile]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| [".rs", ".s", ".ld"].iter().any(|end| file.path.ends_with(end))) {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(word) = WORDS.iter().find(|word| line.contains(**word)) {
                broken.push(format!(
                    "{}:{}: `{word}`: finish it, or say in an issue what is missing",
                    file.path,
                    index + 1
                ));
            }
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn marks_are_found_in_code_and_comments() {
        let text = format!("fn f() {{\n    // {} later\n    {}x);\n}}\n", WORDS[0], WORDS[5]);
        let broken = check(&[file("src/a.rs", &text)]);
        assert_eq!(broken.len(), 2);
        assert!(broken[0].starts_with("src/a.rs:2:"));
        assert!(check(&[file("src/a.rs", "fn f() {}\n"), file("README.md", WORDS[0])]).is_empty());
    }
}
