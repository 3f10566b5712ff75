//! What is stored: the conformance of every adapter, the database, the embedded memory bank, its search and its upkeep.

mod conformance;
mod embedding;
mod meaning;
mod memory_bank;
mod persistence;
mod real_embedding;
mod searching;
mod upkeep;
