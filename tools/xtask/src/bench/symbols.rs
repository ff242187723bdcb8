//! Which function an instruction belongs to.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSymbol, SymbolKind};

/// First address of the core in its own page tables.
const CORE: u64 = 0xffff_ffff_8000_0000;
/// Where the real-mode stub lies; all of it, and nothing else.
pub const STUB: std::ops::Range<u64> = 0x8_0000..0xa_0000;
/// What lies below that, by linear address, and its name.
const AREAS: [(std::ops::Range<u64>, &str); 4] = [
    (0x7c00..0x8_0000, "boot program"),
    (STUB, "stub in base memory"),
    (0xc_0000..0xe_0000, "option ROMs"),
    (0xe_0000..0x10_0000, "BIOS"),
];

/// The symbols of the core.
pub struct Symbols(BTreeMap<u64, String>);

impl Symbols {
    /// Reads those of the linked core.
    ///
    /// # Errors
    /// When it is no ELF file, or has none.
    pub fn read(elf: &Path) -> Result<Self> {
        let bytes = std::fs::read(elf).with_context(|| format!("can't read {}", elf.display()))?;
        let file = object::File::parse(&*bytes).context("the core is no ELF file")?;
        let symbols: BTreeMap<_, _> = file
            .symbols()
            .filter(|symbol| {
                symbol.address() >= CORE && matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Unknown)
            })
            .filter_map(|symbol| Some((symbol.address(), plain(symbol.name().ok()?))))
            .filter(|(_, name)| !name.is_empty())
            .collect();
        ensure!(!symbols.is_empty(), "the core has no symbols");
        Ok(Self(symbols))
    }

    /// The function at an address, or the part of the machine that it lies in.
    pub fn name(&self, address: u64) -> String {
        if address >= CORE {
            return self.0.range(..=address).next_back().map_or("core".to_owned(), |(_, name)| name.clone());
        }
        let area = AREAS.iter().find(|(area, _)| area.contains(&address));
        area.map_or("elsewhere", |(_, name)| name).to_owned()
    }
}

/// A symbol without its hash and type parameters: these make a name longer, not clearer.
fn plain(mangled: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(mangled));
    // `<impl Trait for Type>` and `<Type>` alike lose their brackets; what is inside deeper ones goes.
    let inner = if name.starts_with('<') { name.replacen('<', "", 1).replacen('>', "", 1) } else { name };
    let mut depth = 0_usize;
    let mut plain = String::new();
    for character in inner.chars() {
        match character {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(character),
            _ => {}
        }
    }
    while plain.ends_with(':') {
        plain.pop();
    }
    plain.replace(":::", "::").replace("::::", "::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_the_symbol_before_it() {
        let symbols = Symbols([(CORE, "a".to_owned()), (CORE + 0x100, "b".to_owned())].into());
        assert_eq!(symbols.name(CORE + 0xff), "a");
        assert_eq!(symbols.name(CORE + 0x100), "b");
        assert_eq!(symbols.name(0xf_e000), "BIOS");
        assert_eq!(symbols.name(0x7c00), "boot program");
        assert_eq!(symbols.name(0x40), "elsewhere");
    }
}
