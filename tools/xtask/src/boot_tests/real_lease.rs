//! A lease that lasts while a boot program asks for datagrams and gets none. Needs root.

use std::time::Duration;

use anyhow::Result;

use super::real_dhcp::{LEASES, NBP, serve};
use super::{BOOT, Bench, BootTest, finish};
use crate::lab::lan::Lan;
use crate::lab::nbp::polling;

/// The tests of this file.
pub const TESTS: &[BootTest] =
    &[BootTest { name: "real-lease-renewed", about: "a boot program idles past T1, twice", run: renewed }];

/// What the boot program prints.
const IDLES: &str = "THE PROGRAM IDLES";
/// Time for two renewals (policy): T1 is 5 s in the test.
const RENEWALS: Duration = Duration::from_secs(40);

fn renewed(bench: &Bench) -> Result<()> {
    let lan = Lan::create()?;
    let mut host = lan.attach("10.0.2.1/24")?;
    serve(bench, &mut host, &[LEASES, "--dhcp-option=option:T1,5", "--dhcp-boot=nbp.0"])?;
    bench.add_file(NBP, &polling(IDLES))?;
    let mut session = bench.start(&bench.machine(lan.network(None)))?;
    session.expect(IDLES, BOOT)?;
    // The first is the boot's own.
    host.expect_log("dnsmasq", "DHCPACK(eth0)", 3, RENEWALS)?;
    finish(session).map(drop)
}
