//! memgate before a real Memory Bank Service.

#[path = "../support/banks/mod.rs"]
#[expect(dead_code, reason = "the doubles are for other tests; how they compare texts is shared")]
mod banks;
mod client;
mod gate;
#[path = "../support/real_bank.rs"]
mod real_bank;
#[path = "../support/mod.rs"]
mod support;
