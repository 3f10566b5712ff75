//! What the black-box tests share. Each test binary uses a part of it.
#![allow(dead_code, reason = "no test binary uses all of it")]

pub mod archive;
pub mod database;
pub mod gate;
pub mod postgres;
pub mod process;
