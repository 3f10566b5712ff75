//! Memories of the embedded bank, and the index by which they are found.
//!
//! The columns that a search reads of many memories come before those that it reads of the few that it returns.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261123_000007_create_memories"
    }
}

const SQLITE: &str = r#"
    -- One space, and one person in it or none. The counts are those of its memories.
    CREATE TABLE memory_scopes (
        id integer PRIMARY KEY AUTOINCREMENT,
        tenant text NOT NULL UNIQUE,
        memories bigint NOT NULL,
        total_length bigint NOT NULL
    );
    CREATE TABLE memories (
        -- Grows in the order in which the memories of a scope were stored. Never used twice: the index names memories by it.
        seq integer PRIMARY KEY AUTOINCREMENT,
        scope_id bigint NOT NULL REFERENCES memory_scopes (id),
        id text NOT NULL,
        conversation_id text,
        created_at bigint NOT NULL,
        updated_at bigint NOT NULL,
        expires_at bigint,
        -- `low`, `normal` or `high`
        priority text NOT NULL,
        length bigint NOT NULL,
        question boolean NOT NULL,
        categories text NOT NULL,
        attributes text NOT NULL,
        terms text NOT NULL,
        metadata text NOT NULL,
        content text NOT NULL
    );
    -- How many memories of a scope have a term.
    CREATE TABLE memory_term_counts (
        scope_id bigint NOT NULL REFERENCES memory_scopes (id),
        term text NOT NULL,
        memories bigint NOT NULL,
        PRIMARY KEY (scope_id, term)
    ) WITHOUT ROWID;
    -- The words come split and folded: the tokenizer has nothing to do but to tell them apart.
    CREATE VIRTUAL TABLE memory_index USING fts5 (
        terms, content = '', contentless_delete = 1, detail = none, tokenize = "ascii tokenchars '_'"
    );
"#;

const POSTGRES: &str = r#"
    CREATE TABLE memory_scopes (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        tenant text COLLATE "C" NOT NULL UNIQUE,
        memories bigint NOT NULL,
        total_length bigint NOT NULL
    -- The counts are written often: room for the next version of a row on its own page.
    ) WITH (fillfactor = 50);
    CREATE TABLE memories (
        seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        scope_id bigint NOT NULL REFERENCES memory_scopes (id),
        id text COLLATE "C" NOT NULL,
        conversation_id text COLLATE "C",
        created_at bigint NOT NULL,
        updated_at bigint NOT NULL,
        expires_at bigint,
        priority text NOT NULL,
        length bigint NOT NULL,
        question boolean NOT NULL,
        categories text NOT NULL,
        attributes text NOT NULL,
        terms text NOT NULL,
        metadata text NOT NULL,
        content text NOT NULL
    );
    CREATE TABLE memory_term_counts (
        scope_id bigint NOT NULL REFERENCES memory_scopes (id),
        term text COLLATE "C" NOT NULL,
        memories bigint NOT NULL,
        PRIMARY KEY (scope_id, term)
    ) WITH (fillfactor = 80);
    CREATE TABLE memory_index (
        seq bigint PRIMARY KEY REFERENCES memories (seq) ON DELETE CASCADE,
        terms tsvector NOT NULL
    );
    -- Without a list of pending entries, which each search would have to read from end to end.
    CREATE INDEX memory_index_terms_idx ON memory_index USING gin (terms) WITH (fastupdate = off);
"#;

const INDEXES: &str = "
    CREATE UNIQUE INDEX memories_scope_id_id_idx ON memories (scope_id, id);
    CREATE INDEX memories_scope_id_created_at_id_idx ON memories (scope_id, created_at, id);
    CREATE INDEX memories_scope_id_conversation_id_created_at_seq_idx
        ON memories (scope_id, conversation_id, created_at, seq, expires_at) WHERE conversation_id IS NOT NULL;
    CREATE INDEX memories_scope_id_expires_at_idx ON memories (scope_id, expires_at) WHERE expires_at IS NOT NULL;
    CREATE INDEX memories_expires_at_idx ON memories (expires_at) WHERE expires_at IS NOT NULL;
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = if manager.get_database_backend() == DbBackend::Sqlite { SQLITE } else { POSTGRES };
        let connection = manager.get_connection();
        connection.execute_unprepared(tables).await?;
        connection.execute_unprepared(INDEXES).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["memory_index", "memory_term_counts", "memories", "memory_scopes"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}
