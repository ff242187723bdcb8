//! The network code against the test network (`netserver`), in one process and in virtual time.

mod lan;
mod tftp;
