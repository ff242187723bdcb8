//! The network code against the test network (`netserver`), in one process and in virtual time.

mod dhcp;
mod hostile;
mod http;
mod lan;
mod renewal;
mod stack;
mod tftp;
