//! Vectors of memories, by which a search finds what is meant. They are derived from the texts by an embedding model, and are
//! gone with them: with the memory, and with the text when another replaces it, whichever version of the program writes.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261126_000097_create_memory_vectors"
    }
}

/// `{key}`, `{bytes}` and `{end}` are a primary key of numbers, the type of bytes, and the storage parameters of a small table.
const TABLES: &str = "
    CREATE TABLE memory_vectors (
        seq {key} REFERENCES memories (seq) ON DELETE CASCADE,
        scope_id bigint NOT NULL REFERENCES memory_scopes (id),
        model text NOT NULL,
        -- The number of the transaction that wrote it, in its scope.
        revision bigint NOT NULL,
        -- A scale (32 bits, little-endian) and a signed byte per dimension; empty for a text that has no vector.
        vector {bytes} NOT NULL
    );
    CREATE INDEX memory_vectors_scope_id_model_revision_idx ON memory_vectors (scope_id, model, revision);
    CREATE TABLE memory_vector_scopes (
        scope_id bigint PRIMARY KEY REFERENCES memory_scopes (id),
        model text NOT NULL,
        -- The number of the newest transaction that wrote vectors of the scope.
        revision bigint NOT NULL,
        -- The revision of the scope at which every memory had a vector of the model.
        checked bigint NOT NULL
    ) {end};
    -- The model that vectors are made with: one row.
    CREATE TABLE memory_vector_models (
        id bigint PRIMARY KEY,
        model text NOT NULL,
        dimensions bigint NOT NULL
    );
";

const SQLITE: &str = "
    CREATE TRIGGER memories_vector AFTER UPDATE OF content ON memories WHEN old.content <> new.content BEGIN
        DELETE FROM memory_vectors WHERE seq = new.seq;
    END;
";

const POSTGRES: &str = "
    CREATE FUNCTION memories_vector() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM memory_vectors WHERE seq = NEW.seq;
        RETURN NULL;
    END
    $$;
    CREATE TRIGGER memories_vector AFTER UPDATE OF content ON memories
        FOR EACH ROW WHEN (OLD.content <> NEW.content) EXECUTE FUNCTION memories_vector();
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (key, bytes, end, trigger) = match manager.get_database_backend() {
            DbBackend::Sqlite => ("integer PRIMARY KEY", "blob", "", SQLITE),
            _ => ("bigint PRIMARY KEY", "bytea", "WITH (fillfactor = 50)", POSTGRES),
        };
        let tables = TABLES.replace("{key}", key).replace("{bytes}", bytes).replace("{end}", end);
        let connection = manager.get_connection();
        connection.execute_unprepared(&tables).await?;
        connection.execute_unprepared(trigger).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let drop_trigger = match manager.get_database_backend() {
            DbBackend::Sqlite => "DROP TRIGGER memories_vector",
            _ => "DROP TRIGGER memories_vector ON memories; DROP FUNCTION memories_vector()",
        };
        manager.get_connection().execute_unprepared(drop_trigger).await?;
        for table in ["memory_vector_models", "memory_vector_scopes", "memory_vectors"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}
