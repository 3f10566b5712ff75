//! memgate before a real Memory Bank Service.

mod client;
mod gate;
