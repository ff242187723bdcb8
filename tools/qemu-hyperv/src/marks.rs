//! Marks: moments at which all counters are written down, so that what lies between two of them can be measured.

use std::fs::File;
use std::io::Write;

use anyhow::{Context, Result};
use netserver::Event;
use serde_json::Value;

use crate::args::Args;

/// The marks of a run.
pub struct Marks {
    file: Option<File>,
    addresses: Vec<Place>,
}

/// A mark at an address.
struct Place {
    name: String,
    address: u64,
    reached: bool,
}

impl Marks {
    /// Creates the file of the arguments.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn new(args: &Args) -> Result<Self> {
        let create = |path| File::create(path).with_context(|| format!("creating {}", std::path::Path::display(path)));
        let place = |(name, address): &(String, u64)| Place { name: name.clone(), address: *address, reached: false };
        Ok(Self {
            file: args.marks.as_deref().map(create).transpose()?,
            addresses: args.mark_addresses.iter().map(place).collect(),
        })
    }

    /// The place at this address is reached; its name, if that is the first time.
    pub fn reach(&mut self, address: u64) -> Option<String> {
        let place = self.addresses.iter_mut().find(|place| place.address == address && !place.reached)?;
        place.reached = true;
        Some(place.name.clone())
    }

    /// Writes a mark down, with the counters of this moment.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write(&mut self, name: &str, mut counters: Value) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        counters["mark"] = name.into();
        // One write: a reader that waits for the line never sees half of it.
        file.write_all(format!("{counters}\n").as_bytes()).context("writing a mark")
    }
}

/// The name of the mark for what the network server saw, if that is one.
pub fn name_of(event: &Event) -> Option<String> {
    match event {
        Event::Dhcp(kind) => Some(format!("dhcp {kind}")),
        Event::TftpRequest(name) => Some(format!("tftp-request {name}")),
        Event::TftpDone(name) => Some(format!("tftp-done {name}")),
        Event::HttpRequest(path) => Some(format!("http-request {path}")),
        Event::HttpDone(path) => Some(format!("http-done {path}")),
        Event::BootServer(_) | Event::TftpAborted(_) | Event::DnsQuery(_) | Event::Violation(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_place_is_marked_once_and_the_file_has_a_line_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("marks");
        let args = [format!("marks={}", path.display()), "mark=entry:7c00".to_owned()];
        let mut marks = Marks::new(&Args::parse(&args, 1).unwrap()).unwrap();
        assert_eq!(marks.reach(0x7c01), None);
        assert_eq!(marks.reach(0x7c00).as_deref(), Some("entry"));
        assert_eq!(marks.reach(0x7c00), None);
        marks.write("entry", json!({ "instructions": [5] })).unwrap();
        let line: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(line, json!({ "mark": "entry", "instructions": [5] }));
    }

    #[test]
    fn a_transfer_has_a_mark_at_each_end() {
        assert_eq!(name_of(&Event::TftpRequest("a".into())).as_deref(), Some("tftp-request a"));
        assert_eq!(name_of(&Event::HttpDone("/a".into())).as_deref(), Some("http-done /a"));
        assert_eq!(name_of(&Event::TftpAborted(0)), None);
    }
}
