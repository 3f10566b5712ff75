//! The schema of memgate's database, one file a change.
