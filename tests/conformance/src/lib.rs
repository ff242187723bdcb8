//! What the conformance boot program and its harness must agree on: the files that the server has, and how the program is
//! told what to do. The program itself is `main.rs`.
#![no_std]

pub mod files;
pub mod options;
