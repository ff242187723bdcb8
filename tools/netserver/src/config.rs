//! The switches.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::Duration;

/// A switch that doesn't exist, or a value that it can't have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// How the DHCP server misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DhcpFault {
    /// `none`: not at all.
    #[default]
    None,
    /// `silent`: no answer.
    Silent,
    /// `offer-only`: an offer, but never an ACK.
    OfferOnly,
    /// `nak`: an offer, then DHCPNAK.
    Nak,
    /// `nak-once`: the first request gets DHCPNAK, the second one ACK.
    NakOnce,
    /// `no-server-id`: option 54 is missing.
    NoServerId,
    /// `truncated-option`: the last option's length runs past the packet.
    TruncatedOption,
    /// `overlong-option`: options 1, 3, 51, 54 and 66 have 200 bytes.
    OverlongOption,
    /// `garbage`: the options are random bytes behind option 53.
    Garbage,
    /// `no-end`: option 255 is missing.
    NoEnd,
    /// `wrong-xid`: the transaction id is another one.
    WrongXid,
    /// `wrong-chaddr`: the client address is another one.
    WrongChaddr,
    /// `overload`: options 66 and 67 lie in `sname` and `file` (option 52).
    Overload,
    /// `split`: option 67 is split in two (RFC 3396).
    Split,
    /// `bootp`: a BOOTP reply without option 53.
    Bootp,
    /// `huge`: over 1,150 bytes of options, more than a cached packet holds.
    Huge,
}

/// How the TFTP server misbehaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TftpFault {
    /// `none`: not at all.
    #[default]
    None,
    /// `silent`: no answer.
    Silent,
    /// `silent-after N`: no block after block N.
    SilentAfter(u64),
    /// `error CODE`: every request is refused with this code.
    Error(u16),
    /// `error-after N`: error 0 instead of block N + 1.
    ErrorAfter(u64),
    /// `no-options`: as a server that knows RFC 1350 alone.
    NoOptions,
    /// `refuse-options`: error 8 for a request with options.
    RefuseOptions,
    /// `oack NAME VALUE`: an OACK says this for one option, whether that one was asked for or not.
    Oack(String, String),
    /// `wrong-tid`: before each block, one with other contents from another port.
    WrongTid,
    /// `duplicate`: each packet twice.
    Duplicate,
    /// `reorder`: within a window, blocks go out in reverse order.
    Reorder,
    /// `endless`: the file goes on behind its end.
    Endless,
    /// `garbage`: before each block, packets with other opcodes, and cut ones.
    Garbage,
}

/// How the HTTP server misbehaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HttpFault {
    /// `none`: not at all.
    #[default]
    None,
    /// `silent`: takes the request and says nothing.
    Silent,
    /// `close`: ends the connection instead of an answer.
    Close,
    /// `status CODE`: answers every request with this status.
    Status(u16),
    /// `redirect TARGET`: answers requests for paths with another last part with 302 and this `Location`.
    Redirect(String),
    /// `no-length`: the connection's end is the body's.
    NoLength,
    /// `truncated`: ends the connection before the last byte.
    Truncated,
    /// `stall-after N`: says nothing more after N bytes of the body.
    StallAfter(usize),
    /// `chunked`: in chunks of 1 to 4,000 bytes, with extensions and fields behind them.
    Chunked,
    /// `chunked-garbage`: the second chunk's size is none.
    ChunkedGarbage,
    /// `endless-head`: headers without an end.
    EndlessHead,
    /// `text TEXT`: answers with this line.
    Text(String),
}

/// How the DNS server misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DnsFault {
    /// `none`: not at all.
    #[default]
    None,
    /// `silent`: no answer.
    Silent,
    /// `failure`: SERVFAIL.
    ServerFailure,
    /// `alias`: the address is that of a CNAME.
    Alias,
    /// `garbage`: cut answers and foreign ones before the right one.
    Garbage,
}

/// What the proxyDHCP server does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proxy {
    /// `off`: there is none.
    #[default]
    Off,
    /// `complete`: its offer names server and file.
    Complete,
    /// `4011`: its offer has option 60 only; the file comes from port 4011.
    Port4011,
    /// `silent-4011`: as `4011`, but port 4011 does not answer.
    Silent4011,
}

/// All switches; the table is in the crate's documentation.
#[derive(Clone, Debug)]
pub struct Config {
    /// DHCP, TFTP and HTTP server.
    pub server: Ipv4Addr,
    /// proxyDHCP server.
    pub proxy_address: Ipv4Addr,
    /// The address to lease.
    pub client: Ipv4Addr,
    /// Option 1.
    pub mask: Option<Ipv4Addr>,
    /// Option 3.
    pub gateway: Option<Ipv4Addr>,
    /// siaddr.
    pub next_server: Option<Ipv4Addr>,
    /// The general boot file.
    pub boot_file: String,
    /// Boot file for user class `iPXE`.
    pub ipxe_boot_file: Option<String>,
    /// Boot files by architecture.
    pub arch_boot_files: Vec<(u16, String)>,
    /// Boot files by the start of the vendor class.
    pub vendor_boot_files: Vec<(String, String)>,
    /// Names go in options 66 and 67.
    pub file_by_option: bool,
    /// Option 60 in the DHCP server's replies.
    pub pxe_class: bool,
    /// Option 51.
    pub lease_seconds: u32,
    /// The DHCP server's fault.
    pub dhcp_fault: DhcpFault,
    /// The proxyDHCP server.
    pub proxy: Proxy,
    /// Its file.
    pub proxy_boot_file: String,
    /// Option 43.9: types and texts.
    pub menu_items: Vec<(u16, String)>,
    /// Option 43.10: seconds and text.
    pub menu_prompt: Option<(u8, String)>,
    /// Option 43.6.
    pub menu_control: Option<u8>,
    /// Option 43.7.
    pub menu_multicast: Option<Ipv4Addr>,
    /// Option 43.8.
    pub menu_servers: Vec<(u16, Vec<Ipv4Addr>)>,
    /// What boot servers answer, by type.
    pub menu_files: Vec<(u16, String)>,
    /// Whether there is a TFTP server.
    pub tftp: bool,
    /// Largest `blksize` granted.
    pub tftp_max_block: u16,
    /// Largest `windowsize` granted.
    pub tftp_max_window: u16,
    /// The TFTP server's fault.
    pub tftp_fault: TftpFault,
    /// Whether there is an HTTP server.
    pub http: bool,
    /// Its port.
    pub http_port: u16,
    /// Its fault.
    pub http_fault: HttpFault,
    /// Option 6.
    pub dns_servers: Vec<Ipv4Addr>,
    /// What the DNS server knows.
    pub dns_names: Vec<(String, Ipv4Addr)>,
    /// Its fault.
    pub dns_fault: DnsFault,
    /// One way.
    pub latency: Duration,
    /// Frames lost, each way.
    pub loss_percent: f64,
    /// Frames that arrive twice.
    pub duplicate_percent: f64,
    /// Frames that the next one overtakes.
    pub reorder_percent: f64,
    /// Of the random numbers.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        let server = Ipv4Addr::new(10, 0, 2, 2);
        Self {
            server,
            proxy_address: Ipv4Addr::new(10, 0, 2, 3),
            client: Ipv4Addr::new(10, 0, 2, 15),
            mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
            gateway: Some(server),
            next_server: Some(server),
            boot_file: String::new(),
            ipxe_boot_file: None,
            arch_boot_files: Vec::new(),
            vendor_boot_files: Vec::new(),
            file_by_option: false,
            pxe_class: false,
            lease_seconds: 3600,
            dhcp_fault: DhcpFault::None,
            proxy: Proxy::Off,
            proxy_boot_file: String::new(),
            menu_items: Vec::new(),
            menu_prompt: None,
            menu_control: None,
            menu_multicast: None,
            menu_servers: Vec::new(),
            menu_files: Vec::new(),
            tftp: true,
            tftp_max_block: 65_464,
            tftp_max_window: 64,
            tftp_fault: TftpFault::None,
            http: true,
            http_port: 80,
            http_fault: HttpFault::None,
            dns_servers: Vec::new(),
            dns_names: Vec::new(),
            dns_fault: DnsFault::None,
            latency: Duration::ZERO,
            loss_percent: 0.0,
            duplicate_percent: 0.0,
            reorder_percent: 0.0,
            seed: 1,
        }
    }
}

impl Config {
    /// Changes one switch.
    ///
    /// # Errors
    /// An unknown key, or a value that it can't have.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        if let Some(arch) = key.strip_prefix("boot-file.arch.") {
            self.arch_boot_files.push((parse(key, arch)?, value.into()));
            return Ok(());
        }
        if let Some(vendor) = key.strip_prefix("boot-file.vendor.") {
            self.vendor_boot_files.push((vendor.into(), value.into()));
            return Ok(());
        }
        match key {
            "server" => self.server = parse(key, value)?,
            "proxy-address" => self.proxy_address = parse(key, value)?,
            "client" => self.client = parse(key, value)?,
            "mask" => self.mask = optional(key, value)?,
            "gateway" => self.gateway = optional(key, value)?,
            "next-server" => self.next_server = optional(key, value)?,
            "boot-file" => self.boot_file = value.into(),
            "boot-file.ipxe" => self.ipxe_boot_file = Some(value.into()),
            "file-by-option" => self.file_by_option = switch(key, value)?,
            "pxe-class" => self.pxe_class = switch(key, value)?,
            "lease-seconds" => self.lease_seconds = parse(key, value)?,
            "dhcp.fault" => self.dhcp_fault = dhcp_fault(value).ok_or_else(|| bad(key, value))?,
            "proxy" => self.proxy = proxy(value).ok_or_else(|| bad(key, value))?,
            "proxy.boot-file" => self.proxy_boot_file = value.into(),
            "menu.clear" => {
                self.menu_items.clear();
                self.menu_prompt = None;
                self.menu_control = None;
                self.menu_multicast = None;
                self.menu_servers.clear();
                self.menu_files.clear();
            }
            "menu.item" => self.menu_items.push(numbered(key, value)?),
            "menu.prompt" => self.menu_prompt = Some(numbered(key, value)?),
            "menu.control" => self.menu_control = Some(parse(key, value)?),
            "menu.multicast" => self.menu_multicast = Some(parse(key, value)?),
            "menu.server" => {
                let (kind, list): (u16, String) = numbered(key, value)?;
                let addresses = list.split_whitespace().map(|address| parse(key, address)).collect::<Result<_, _>>()?;
                self.menu_servers.push((kind, addresses));
            }
            "menu.file" => self.menu_files.push(numbered(key, value)?),
            "tftp" => self.tftp = switch(key, value)?,
            "tftp.max-block" => self.tftp_max_block = parse(key, value)?,
            "tftp.max-window" => self.tftp_max_window = parse(key, value)?,
            "tftp.fault" => self.tftp_fault = tftp_fault(value).ok_or_else(|| bad(key, value))?,
            "http" => self.http = switch(key, value)?,
            "http.port" => self.http_port = parse(key, value)?,
            "http.fault" => self.http_fault = http_fault(value).ok_or_else(|| bad(key, value))?,
            "dns.server" => self.dns_servers.push(parse(key, value)?),
            "dns.name" => {
                let (name, address) = value.split_once(' ').ok_or_else(|| bad(key, value))?;
                self.dns_names.push((name.into(), parse(key, address)?));
            }
            "dns.fault" => self.dns_fault = dns_fault(value).ok_or_else(|| bad(key, value))?,
            "latency-ms" => self.latency = Duration::from_millis(parse(key, value)?),
            "loss-percent" => self.loss_percent = percent(key, value)?,
            "duplicate-percent" => self.duplicate_percent = percent(key, value)?,
            "reorder-percent" => self.reorder_percent = percent(key, value)?,
            "seed" => self.seed = parse(key, value)?,
            _ => return Err(ConfigError(format!("there is no switch {key}"))),
        }
        Ok(())
    }
}

fn bad(key: &str, value: &str) -> ConfigError {
    ConfigError(format!("{key} can't be {value:?}"))
}

fn parse<T: FromStr>(key: &str, value: &str) -> Result<T, ConfigError> {
    value.parse().map_err(|_| bad(key, value))
}

fn optional(key: &str, value: &str) -> Result<Option<Ipv4Addr>, ConfigError> {
    if value == "none" { Ok(None) } else { parse(key, value).map(Some) }
}

fn switch(key: &str, value: &str) -> Result<bool, ConfigError> {
    match value {
        "yes" | "on" => Ok(true),
        "no" | "off" => Ok(false),
        _ => Err(bad(key, value)),
    }
}

fn percent(key: &str, value: &str) -> Result<f64, ConfigError> {
    parse(key, value)
        .and_then(|percent| if (0.0..=100.0).contains(&percent) { Ok(percent) } else { Err(bad(key, value)) })
}

/// `NUMBER TEXT`.
fn numbered<T: FromStr>(key: &str, value: &str) -> Result<(T, String), ConfigError> {
    let (number, text) = value.split_once(' ').unwrap_or((value, ""));
    Ok((parse(key, number)?, text.into()))
}

fn dhcp_fault(value: &str) -> Option<DhcpFault> {
    Some(match value {
        "none" => DhcpFault::None,
        "silent" => DhcpFault::Silent,
        "offer-only" => DhcpFault::OfferOnly,
        "nak" => DhcpFault::Nak,
        "nak-once" => DhcpFault::NakOnce,
        "no-server-id" => DhcpFault::NoServerId,
        "truncated-option" => DhcpFault::TruncatedOption,
        "overlong-option" => DhcpFault::OverlongOption,
        "garbage" => DhcpFault::Garbage,
        "no-end" => DhcpFault::NoEnd,
        "wrong-xid" => DhcpFault::WrongXid,
        "wrong-chaddr" => DhcpFault::WrongChaddr,
        "overload" => DhcpFault::Overload,
        "split" => DhcpFault::Split,
        "bootp" => DhcpFault::Bootp,
        "huge" => DhcpFault::Huge,
        _ => return None,
    })
}

fn proxy(value: &str) -> Option<Proxy> {
    Some(match value {
        "off" => Proxy::Off,
        "complete" => Proxy::Complete,
        "4011" => Proxy::Port4011,
        "silent-4011" => Proxy::Silent4011,
        _ => return None,
    })
}

fn tftp_fault(value: &str) -> Option<TftpFault> {
    let words: Vec<&str> = value.split(' ').collect();
    Some(match words[..] {
        ["none"] => TftpFault::None,
        ["silent"] => TftpFault::Silent,
        ["silent-after", blocks] => TftpFault::SilentAfter(blocks.parse().ok()?),
        ["error", code] => TftpFault::Error(code.parse().ok()?),
        ["error-after", blocks] => TftpFault::ErrorAfter(blocks.parse().ok()?),
        ["no-options"] => TftpFault::NoOptions,
        ["refuse-options"] => TftpFault::RefuseOptions,
        ["oack", name, value] => TftpFault::Oack(name.into(), value.into()),
        ["wrong-tid"] => TftpFault::WrongTid,
        ["duplicate"] => TftpFault::Duplicate,
        ["reorder"] => TftpFault::Reorder,
        ["endless"] => TftpFault::Endless,
        ["garbage"] => TftpFault::Garbage,
        _ => return None,
    })
}

fn http_fault(value: &str) -> Option<HttpFault> {
    Some(match value.split_once(' ').unwrap_or((value, "")) {
        ("none", "") => HttpFault::None,
        ("silent", "") => HttpFault::Silent,
        ("close", "") => HttpFault::Close,
        ("status", code) => HttpFault::Status(code.parse().ok()?),
        ("redirect", target) => HttpFault::Redirect(target.into()),
        ("no-length", "") => HttpFault::NoLength,
        ("truncated", "") => HttpFault::Truncated,
        ("stall-after", bytes) => HttpFault::StallAfter(bytes.parse().ok()?),
        ("chunked", "") => HttpFault::Chunked,
        ("chunked-garbage", "") => HttpFault::ChunkedGarbage,
        ("endless-head", "") => HttpFault::EndlessHead,
        ("text", text) => HttpFault::Text(text.into()),
        _ => return None,
    })
}

fn dns_fault(value: &str) -> Option<DnsFault> {
    Some(match value {
        "none" => DnsFault::None,
        "silent" => DnsFault::Silent,
        "failure" => DnsFault::ServerFailure,
        "alias" => DnsFault::Alias,
        "garbage" => DnsFault::Garbage,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_makes_no_sense_names_its_key() {
        let mut config = Config::default();
        for (key, value) in
            [("client", "10.0.2"), ("loss-percent", "101"), ("tftp.fault", "oack blksize"), ("menu.item", "x y")]
        {
            assert!(config.set(key, value).unwrap_err().to_string().contains(key), "{key}");
        }
        assert!(config.set("no-such-key", "1").is_err());
    }

    #[test]
    fn lists_take_a_number_and_a_text() {
        let mut config = Config::default();
        config.set("menu.item", "32768 Install it").unwrap();
        config.set("menu.server", "32768 10.0.2.3 10.0.2.4").unwrap();
        assert_eq!(config.menu_items, [(32768, "Install it".to_string())]);
        assert_eq!(config.menu_servers[0].1.len(), 2);
    }
}
