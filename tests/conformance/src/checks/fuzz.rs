use crate::pxe::Stack;
use crate::report::Count;
use conformance::options::Options;
pub fn run(_: &mut Stack, _: &mut Count, _: &Options) {}
