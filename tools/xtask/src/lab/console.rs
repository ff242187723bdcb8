//! Turns what SeaBIOS writes to its serial console into plain lines.
//!
//! SeaBIOS mirrors the text screen to the serial port with ANSI escapes (its `src/sercon.c`): cursor positions,
//! colours, erasing. A person sees lines; so does this filter, and what was overwritten stays in the record.

/// Rows of the text screen; the cursor scrolls in the last one.
const ROWS: usize = 25;
/// Longest escape sequence that is taken seriously (policy); no terminal command is longer.
const MAX_PARAMETERS: usize = 32;
/// Longest line (policy); more columns than any text mode has.
const MAX_COLUMNS: usize = 256;

/// Where in an escape sequence the filter is.
#[derive(Debug, Default)]
enum State {
    #[default]
    Text,
    Escape,
    Sequence(String),
}

/// The record of a console.
#[derive(Debug, Default)]
pub struct Console {
    finished: String,
    line: Vec<char>,
    column: usize,
    row: usize,
    /// The cursor went back to the start of a line with text: what is written now is a new line over the old one.
    rewriting: bool,
    state: State,
}

impl Console {
    /// Takes what the machine wrote next.
    pub fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.state = match std::mem::take(&mut self.state) {
                State::Text => self.text_byte(byte),
                State::Escape if byte == b'[' => State::Sequence(String::new()),
                State::Escape => State::Text,
                State::Sequence(parameters) => self.sequence_byte(parameters, byte),
            };
        }
    }

    /// All lines so far, with the unfinished one.
    pub fn text(&self) -> String {
        let line: String = self.line.iter().collect();
        format!("{}{}", self.finished, line.trim_end_matches('\0'))
    }

    fn text_byte(&mut self, byte: u8) -> State {
        match byte {
            0x1b => return State::Escape,
            b'\n' => self.end_line(),
            b'\r' => {
                self.column = 0;
                self.rewriting = true;
            }
            0x08 => self.column = self.column.saturating_sub(1),
            b'\t' => self.column = (self.column / 8 + 1) * 8,
            0x20..=0x7e => self.put(char::from(byte)),
            // The BIOS draws with code page 437; a test only looks for ASCII.
            0x80.. => self.put('?'),
            _ => {}
        }
        State::Text
    }

    fn sequence_byte(&mut self, mut parameters: String, byte: u8) -> State {
        match byte {
            0x20..=0x3f if parameters.len() < MAX_PARAMETERS => {
                parameters.push(char::from(byte));
                State::Sequence(parameters)
            }
            b'H' | b'f' => {
                let mut numbers = parameters.split(';').map(|number| number.parse::<usize>().unwrap_or(1).max(1) - 1);
                let (row, column) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
                self.move_to(row, column);
                State::Text
            }
            b'C' => {
                self.column += parameters.parse::<usize>().unwrap_or(1).min(MAX_COLUMNS);
                State::Text
            }
            b'J' => {
                self.leave_line();
                State::Text
            }
            _ => State::Text,
        }
    }

    fn move_to(&mut self, row: usize, column: usize) {
        let row = row.min(ROWS - 1);
        if row != self.row {
            self.leave_line();
            self.row = row;
        } else if column == 0 {
            self.rewriting = true;
        }
        self.column = column;
    }

    fn put(&mut self, character: char) {
        if std::mem::take(&mut self.rewriting) && self.column == 0 {
            self.leave_line();
        }
        if self.column >= MAX_COLUMNS {
            return;
        }
        if self.line.len() <= self.column {
            self.line.resize(self.column + 1, ' ');
        }
        self.line[self.column] = character;
        self.column += 1;
    }

    /// Keeps the line where the cursor was, if anything is written on it.
    fn leave_line(&mut self) {
        if self.line.iter().any(|character| *character != ' ') {
            self.keep_line();
        }
        self.line.clear();
    }

    fn end_line(&mut self) {
        self.keep_line();
        self.line.clear();
        self.column = 0;
        self.rewriting = false;
        self.row = (self.row + 1).min(ROWS - 1);
    }

    fn keep_line(&mut self) {
        let line: String = self.line.iter().collect();
        self.finished.push_str(line.trim_end());
        self.finished.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(bytes: &[u8]) -> String {
        let mut console = Console::default();
        console.feed(bytes);
        console.text()
    }

    #[test]
    fn seabios_banner_loses_its_escapes() {
        // The first bytes of Debian's SeaBIOS 1.17 on its serial console.
        let bytes = b"\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS (version 1.17.0)\r\n\n\niPXE\r\n\x1b[0;1mbold\x1b[0m rest";
        assert_eq!(plain(bytes), "SeaBIOS (version 1.17.0)\n\n\niPXE\nbold rest");
    }

    #[test]
    fn a_jump_to_another_row_ends_the_line() {
        assert_eq!(plain(b"one\x1b[4;1Htwo\x1b[4;6Hthree"), "one\ntwo  three");
    }

    #[test]
    fn an_overwritten_line_stays_in_the_record() {
        assert_eq!(plain(b"10 %\r20 %\r\ndone"), "10 %\n20 %\ndone");
        assert_eq!(plain(b"boot:\r\nnext"), "boot:\nnext");
    }

    #[test]
    fn backspace_overwrites() {
        assert_eq!(plain(b"done\x08 \x08\x08 \x08.\r\n"), "do.\n");
    }

    #[test]
    fn sequences_may_come_in_pieces_and_never_grow_without_end() {
        let mut console = Console::default();
        for byte in b"a\x1b[0;1" {
            console.feed(&[*byte]);
        }
        console.feed(b"mb");
        assert_eq!(console.text(), "ab");
        console.feed(b"\x1b[");
        console.feed(&[b'1'; 1000]);
        console.feed(b"\x1b[999999999;99999999999Hx");
        assert!(console.text().ends_with('x') || console.text().len() < 2000);
        console.feed(b"\x1b[1;99999H");
        console.feed(b"y");
        assert!(console.text().len() < 2000);
    }
}
