//! Reads the address of a Debian mirror out of the machine's own apt configuration.
//!
//! Source: sources.list(5): one-line style in `sources.list` and `*.list`, deb822 style in `*.sources`.

/// One place that apt takes packages from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Base address of the archive.
    pub uri: String,
    /// Suite or code name, for instance `trixie-backports`.
    pub suite: String,
}

/// Reads the one-line style: `deb [options] uri suite component...`.
pub fn parse_list(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_list_line).collect()
}

fn parse_list_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?;
    if !rest.starts_with([' ', '\t']) {
        return None; // deb-src
    }
    let mut rest = rest.trim_start();
    if let Some(options) = rest.strip_prefix('[') {
        rest = options.split_once(']')?.1;
    }
    let mut words = rest.split_whitespace();
    Some(Source { uri: words.next()?.to_owned(), suite: words.next()?.to_owned() })
}

/// Reads the deb822 style: paragraphs of `Field: value`, continued by indented lines.
pub fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut paragraph = Paragraph::default();
    for line in text.lines().chain(std::iter::once("")) {
        if line.trim().is_empty() {
            sources.append(&mut std::mem::take(&mut paragraph).sources());
        } else if !line.starts_with('#') {
            paragraph.take(line);
        }
    }
    sources
}

/// The fields of one deb822 paragraph, in order.
#[derive(Default)]
struct Paragraph(Vec<(String, String)>);

impl Paragraph {
    fn take(&mut self, line: &str) {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = self.0.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            self.0.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn words(&self, field: &str) -> Vec<&str> {
        self.0.iter().filter(|(name, _)| name == field).flat_map(|(_, value)| value.split_whitespace()).collect()
    }

    fn sources(&self) -> Vec<Source> {
        let off = self.words("enabled").first().is_some_and(|word| ["no", "false", "0", "off"].contains(word));
        if off || !self.words("types").contains(&"deb") {
            return Vec::new();
        }
        let suites = self.words("suites");
        let pairs = self.words("uris").into_iter().flat_map(|uri| suites.iter().map(move |suite| (uri, *suite)));
        pairs.map(|(uri, suite)| Source { uri: uri.to_owned(), suite: suite.to_owned() }).collect()
    }
}

/// Releases whose archive certainly is Debian's, so that the same address has the suites that the lab wants.
const DEBIAN_SUITES: [&str; 10] =
    ["bullseye", "bookworm", "trixie", "forky", "duke", "sid", "stable", "oldstable", "testing", "unstable"];

/// The first address that serves Debian's main archive; security archives and other vendors are passed over.
pub fn debian_mirror(sources: &[Source]) -> Option<&str> {
    let is_debian = |source: &&Source| {
        let release = source.suite.split(['-', '/']).next().unwrap_or_default();
        let variant = source.suite.strip_prefix(release).unwrap_or_default();
        DEBIAN_SUITES.contains(&release) && ["", "-updates", "-backports"].contains(&variant)
    };
    sources.iter().find(is_debian).map(|source| source.uri.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEB822: &str = "\
Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security
Components: main

# a comment between paragraphs
Types: deb deb-src
URIs: http://one.example/debian
# a comment inside
Suites: bookworm
 bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: trixie
";

    #[test]
    fn deb822_paragraphs_become_sources() {
        let source = |uri: &str, suite: &str| Source { uri: uri.to_owned(), suite: suite.to_owned() };
        assert_eq!(
            parse_deb822(DEB822),
            [
                source("http://security.example/debian-security", "bookworm-security"),
                source("http://one.example/debian", "bookworm"),
                source("http://one.example/debian", "bookworm-updates"),
            ]
        );
    }

    #[test]
    fn one_line_style_with_options_and_comments() {
        let text = "# deb http://no.example/debian sid main\n\
                    deb-src http://no.example/debian trixie main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://yes.example/debian trixie main # note\n";
        assert_eq!(
            parse_list(text),
            [Source { uri: "http://yes.example/debian".to_owned(), suite: "trixie".to_owned() }]
        );
    }

    #[test]
    fn the_mirror_is_the_main_archive() {
        assert_eq!(debian_mirror(&parse_deb822(DEB822)), Some("http://one.example/debian"));
    }

    #[test]
    fn another_vendor_has_no_debian_mirror() {
        assert_eq!(debian_mirror(&parse_list("deb http://archive.example/ubuntu noble main\n")), None);
        assert_eq!(debian_mirror(&parse_list("deb http://node.example/node_20.x nodistro main\n")), None);
    }

    #[test]
    fn a_cut_line_is_no_source() {
        assert_eq!(parse_list("deb\ndeb http://x.example\ndeb [arch=amd64 http://x.example trixie\n"), []);
    }
}
