//! The embedded bank: memories in memgate's own database.
