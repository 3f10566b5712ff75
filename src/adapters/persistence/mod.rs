//! Storage with SeaORM.
