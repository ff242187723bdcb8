//! Names of files: plain ones for TFTP, and URLs. Source: RFC 3986, of which a boot loader needs little.

use heapless::Vec;

use super::NetError;
use crate::text::{decimal, is_same};

/// Longest URL in bytes (policy: twice what a DHCP option holds).
pub const MAX_URL: usize = 512;

/// A URL that has to live longer than the text that it came from.
pub type UrlText = Vec<u8, MAX_URL>;

/// How a file is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `tftp://`
    Tftp,
    /// `http://`
    Http,
}

/// The parts of a URL. Bytes, as everywhere in here: nobody has to know what they mean as letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Url<'a> {
    /// How.
    pub scheme: Scheme,
    /// Server: an address or a name.
    pub host: &'a [u8],
    /// Host and port as they stand in the URL.
    pub authority: &'a [u8],
    /// The port; `None` for the scheme's own.
    pub port: Option<u16>,
    /// From the first slash on, query included, fragment excluded; empty when there is none.
    pub path: &'a [u8],
}

impl<'a> Url<'a> {
    /// Takes a name apart. `None` for a plain file name, which has no scheme.
    ///
    /// # Errors
    /// [`NetError::BadUrl`] for other schemes, and for what no server could understand.
    pub fn parse(text: &'a [u8]) -> Result<Option<Self>, NetError> {
        let Some(at) = scheme_end(text) else { return Ok(None) };
        let (scheme, rest) = (&text[..at], until(&text[at + 3..], b'#', b'#'));
        let scheme = if is_same(scheme, b"http") {
            Scheme::Http
        } else if is_same(scheme, b"tftp") {
            Scheme::Tftp
        } else {
            return Err(NetError::BadUrl);
        };
        let authority = until(rest, b'/', b'?');
        let host = until(authority, b':', b'@');
        let port = match authority.get(host.len() + 1..) {
            None | Some([]) => None,
            Some(digits) => decimal(digits).and_then(|port| u16::try_from(port).ok()).filter(|&port| port != 0),
        };
        // Users and passwords are not offered; control characters would be lines of our own in the request.
        if host.is_empty()
            || (port.is_none() && authority.len() > host.len() + 1)
            || rest.iter().any(u8::is_ascii_control)
        {
            return Err(NetError::BadUrl);
        }
        Ok(Some(Self { scheme, host, authority, port, path: &rest[authority.len()..] }))
    }

    /// The URL that a redirection names, which may leave out what stays the same (RFC 3986, section 4.2; without the
    /// removal of dots, which is the server's business too).
    ///
    /// # Errors
    /// [`NetError::BadUrl`] when it doesn't fit.
    pub fn join(&self, location: &[u8]) -> Result<UrlText, NetError> {
        let path = until(self.path, b'?', b'?');
        let directory = match path.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => &path[..=slash],
            None => b"/",
        };
        // What comes before the location, the longer the less of a URL it is.
        let before: &[&[u8]] = match location {
            _ if scheme_end(location).is_some() => &[],
            [b'/', b'/', ..] => &[b"http:"],
            [b'/', ..] => &[b"http://", self.authority],
            _ => &[b"http://", self.authority, directory],
        };
        let mut url = UrlText::new();
        before
            .iter()
            .chain([&location])
            .try_for_each(|part| url.extend_from_slice(part))
            .map_err(|_| NetError::BadUrl)?;
        Ok(url)
    }
}

/// Length of the scheme in front of `://`.
fn scheme_end(text: &[u8]) -> Option<usize> {
    text.windows(3).position(|three| three == b"://")
}

/// What comes before the first of two bytes.
fn until(text: &[u8], one: u8, other: u8) -> &[u8] {
    let end = text.iter().position(|&byte| byte == one || byte == other);
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(text: &str) -> Url<'_> {
        Url::parse(text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn urls_have_parts_and_plain_names_have_none() {
        let whole = url("HTTP://boot.example:8080/a/b.0?x=1#part");
        assert_eq!((whole.scheme, whole.host, whole.port), (Scheme::Http, &b"boot.example"[..], Some(8080)));
        assert_eq!((whole.authority, whole.path), (&b"boot.example:8080"[..], &b"/a/b.0?x=1"[..]));
        let bare = url("tftp://10.0.2.2");
        assert_eq!((bare.scheme, bare.host, bare.port), (Scheme::Tftp, &b"10.0.2.2"[..], None));
        assert_eq!((bare.path, url("http://h:/x").port, url("http://h?q").path), (&b""[..], None, &b"?q"[..]));
        for name in ["pxelinux.0", "/a/b", "::file", "C:\\boot\\x.0", "", "http:/x"] {
            assert_eq!(Url::parse(name.as_bytes()), Ok(None), "{name}");
        }
    }

    #[test]
    fn what_no_server_understands_is_refused() {
        for text in [
            "https://h/x",
            "ftp://h/x",
            "://h/x",
            "http:///x",
            "http://:80/x",
            "http://h:0/x",
            "http://h:65536/x",
            "http://h:x/",
            "http://user@h/x",
            "http://h/a\r\nHost: b",
            "http://h\0/x",
            "http://h:+1/",
        ] {
            assert_eq!(Url::parse(text.as_bytes()), Err(NetError::BadUrl), "{text}");
        }
    }

    #[test]
    fn redirections_may_be_partial() {
        let base = url("http://h:81/a/b.0?q=/z");
        for (location, joined) in [
            ("http://other/x", "http://other/x"),
            ("https://other/x", "https://other/x"),
            ("//other/x", "http://other/x"),
            ("/x?y", "http://h:81/x?y"),
            ("c.0", "http://h:81/a/c.0"),
            ("", "http://h:81/a/"),
        ] {
            assert_eq!(base.join(location.as_bytes()).unwrap(), joined.as_bytes());
        }
        assert_eq!(url("http://h").join(b"x").unwrap(), b"http://h/x");
        assert_eq!(base.join(&[b'x'; MAX_URL]), Err(NetError::BadUrl));
    }

    proptest! {
        #[test]
        fn any_text_is_taken_apart_or_refused(
            is_url: bool, text in prop::collection::vec(any::<u8>(), 0..80), location in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let text = if is_url { [b"http://", &text[..]].concat() } else { text };
            if let Ok(Some(url)) = Url::parse(&text) {
                prop_assert!(!url.host.is_empty() && url.authority.starts_with(url.host));
                prop_assert!(matches!(url.path, [] | [b'/' | b'?', ..]));
                let request_line = [url.path, url.authority].concat();
                prop_assert!(!request_line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | b'#')));
                let _ = url.join(&location);
            }
        }
    }
}
