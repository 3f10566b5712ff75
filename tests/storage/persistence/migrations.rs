//! Up, down, up.

use memgate::adapters::database::memories::EmbeddedMemoryBank;
use memgate::adapters::database::{
    Database, DatabaseError, DatabaseOptions, RowLoss, SeaOrmApplicationRepository, SeaOrmPersonRepository,
    SeaOrmTenantRegistry, SeaOrmWriteQueue,
};
use memgate::domain::applications::ApplicationRepository as _;
use memgate::domain::memories::{
    Admitted, DeliveryOrder, Lease, MemoryBank as _, MemoryScope, QueuedWrite, Tenant, TenantGroup,
    TenantRegistry as _, WriteQueue as _,
};
use memgate::domain::people::PersonRepository as _;
use memgate_domain::testing::{application, new_memory, now, person, queued_write, scope, scope_of_person, unique};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tokio::task::JoinSet;

use super::{Place, on_both_databases};

on_both_databases!(
    undone_and_applied_again_the_schema_is_the_same,
    each_migration_undoes_what_it_did,
    what_a_rehearsal_names_is_what_goes_and_nothing_goes_before,
    only_what_is_missing_is_applied,
    of_several_instances_that_start_at_once_one_migrates,
    a_database_of_a_newer_version_is_left_alone,
    every_tenant_of_an_existing_database_is_known_afterwards,
    the_bound_of_every_table_is_stated,
);

/// Everything that the database holds beside rows, in a fixed order.
async fn schema(database: &Database) -> Vec<String> {
    let sql = match database.backend() {
        DbBackend::Sqlite => {
            "SELECT COALESCE(sql, name) FROM sqlite_master \
             WHERE tbl_name NOT LIKE 'seaql%' AND name <> 'sqlite_sequence' ORDER BY 1"
        }
        _ => {
            "SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default) \
             FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'seaql%' \
             UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE 'seaql%' \
             UNION ALL SELECT conname::text FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conname NOT LIKE 'seaql%' \
             ORDER BY 1"
        }
    };
    let rows = database.reader().query_all_raw(Statement::from_string(database.backend(), sql)).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

async fn undone_and_applied_again_the_schema_is_the_same(place: Place) {
    let database = place.connect().await;
    let applied = database.migrate_up().await.unwrap();
    let before = schema(&database).await;
    assert!(!before.is_empty());

    let mut undone = database.migrate_down(u32::MAX).await.unwrap();
    undone.reverse();
    assert_eq!(undone, applied);
    assert_eq!(schema(&database).await, Vec::<String>::new());

    assert_eq!(database.migrate_up().await.unwrap(), applied);
    assert_eq!(schema(&database).await, before);
}

/// Migrations that change no schema: they are there for the rows that their `down` takes away.
const DATA_ONLY: [&str; 2] =
    ["m20261126_000050_name_throttled_callers_in_the_audit_log", "m20261128_000110_name_transfers_in_the_audit_log"];

async fn each_migration_undoes_what_it_did(place: Place) {
    let database = place.migrated().await;
    let names: Vec<String> = database.migrations().await.unwrap().into_iter().map(|state| state.name).collect();
    let mut smaller = schema(&database).await;
    for name in names.iter().rev() {
        let before = smaller;
        assert_eq!(database.migrate_down(1).await.unwrap(), std::slice::from_ref(name));
        smaller = schema(&database).await;
        if !DATA_ONLY.contains(&name.as_str()) {
            assert_ne!(smaller, before, "{name} undoes nothing");
        }
        // What went away is what it makes.
        database.migrate_up().await.unwrap();
        let (_, later) = names.split_at(names.iter().position(|other| other == name).unwrap() + 1);
        assert!(database.migrate_down(u32::try_from(later.len()).unwrap()).await.unwrap().len() == later.len());
        assert_eq!(schema(&database).await, before, "{name} does not come back as it was");
        database.migrate_down(1).await.unwrap();
    }
}

async fn what_a_rehearsal_names_is_what_goes_and_nothing_goes_before(place: Place) {
    let database = place.migrated().await;
    SeaOrmApplicationRepository::new(database.clone()).create(&application()).await.unwrap();
    let (before, all) = (schema(&database).await, database.migrations().await.unwrap());
    let rehearsal = database.rehearse_migrate_down(u32::MAX).await.unwrap();
    assert!(rehearsal.migrations.iter().rev().eq(all.iter().map(|state| &state.name)));
    let applications = rehearsal.losses.iter().find(|loss| loss.table == "applications").unwrap();
    assert_eq!(applications, &RowLoss { table: "applications".to_owned(), rows: 1, dropped: true });
    assert!(rehearsal.losses.iter().all(|loss| loss.dropped && !loss.table.starts_with("seaql")));
    assert_eq!((schema(&database).await, database.migrations().await.unwrap()), (before, all));
    let newest = database.rehearse_migrate_down(1).await.unwrap();
    assert_eq!(newest.migrations, database.migrate_down(1).await.unwrap());
    assert!(newest.losses.iter().all(|loss| loss.table != "applications"));
}

async fn only_what_is_missing_is_applied(place: Place) {
    let database = place.connect().await;
    assert!(database.migrations().await.unwrap().iter().all(|state| !state.applied));
    assert_eq!(schema(&database).await, Vec::<String>::new(), "to ask for the state changes nothing");
    let all = database.migrate_up().await.unwrap();
    assert!(database.migrations().await.unwrap().iter().all(|state| state.applied));
    assert_eq!(database.migrate_up().await.unwrap(), Vec::<String>::new());

    let newest = all.last().unwrap();
    assert_eq!(database.migrate_down(1).await.unwrap(), std::slice::from_ref(newest));
    let states = database.migrations().await.unwrap();
    let (last, others) = states.split_last().unwrap();
    assert!(!last.applied && others.iter().all(|state| state.applied));
    assert_eq!(database.migrate_up().await.unwrap(), std::slice::from_ref(newest));
}

async fn of_several_instances_that_start_at_once_one_migrates(place: Place) {
    let mut instances = JoinSet::new();
    for _ in 0..8 {
        let url = place.url.clone();
        instances.spawn(async move {
            let database = Database::connect(&url, DatabaseOptions::default()).await.unwrap();
            database.migrate_up().await.unwrap()
        });
    }
    let mut applied: Vec<Vec<String>> = instances.join_all().await;
    applied.retain(|names| !names.is_empty());
    assert_eq!(applied.len(), 1);
    assert!(place.connect().await.migrations().await.unwrap().iter().all(|state| state.applied));
}

async fn a_database_of_a_newer_version_is_left_alone(place: Place) {
    let database = place.migrated().await;
    let before = schema(&database).await;
    let newer = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000001_from_the_future', 0)";
    database.writer().execute_unprepared(newer).await.unwrap();
    for refused in [
        database.migrations().await.map(drop),
        database.migrate_up().await.map(drop),
        database.migrate_down(1).await.map(drop),
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, DatabaseError::Newer(_)), "{error:?}");
        assert!(error.to_string().contains("m29990101_000001_from_the_future"), "{error}");
    }
    assert_eq!(schema(&database).await, before);
}

async fn every_tenant_of_an_existing_database_is_known_afterwards(place: Place) {
    let database = place.migrated().await;
    let (application, somebody) = (application(), person());
    SeaOrmApplicationRepository::new(database.clone()).create(&application).await.unwrap();
    SeaOrmPersonRepository::new(database.clone()).create(&somebody).await.unwrap();
    // Of owners who are gone: memories, and a write on its way.
    let (left, waiting) = (scope_of_person(&scope()), scope_of_person(&scope()));
    let bank = EmbeddedMemoryBank::new(database.reader().clone(), database.searcher().clone(), database.writer());
    for scope in [&left, &Admitted::unchecked(MemoryScope::from_stored(left.space().clone(), None))] {
        bank.create(scope, &new_memory("x")).await.unwrap();
    }
    let write = QueuedWrite { scope: waiting.clone().into_scope(), ..queued_write() };
    let queue = SeaOrmWriteQueue::new(database.clone());
    queue.accept(&write, DeliveryOrder::Unordered, Lease { id: unique(), until: now() }).await.unwrap();

    let migrations = database.migrations().await.unwrap();
    let steps = migrations.iter().rev().position(|state| state.name.ends_with("create_memory_tenants")).unwrap() + 1;
    database.migrate_down(u32::try_from(steps).unwrap()).await.unwrap();
    database.migrate_up().await.unwrap();

    let tenants = SeaOrmTenantRegistry::new(database.clone());
    let of = |scope: &MemoryScope| TenantGroup::OfPerson(scope.person().unwrap());
    assert_eq!(tenants.list(&of(&left)).await.unwrap(), [Tenant::from(&*left)]);
    assert_eq!(tenants.list(&of(&waiting)).await.unwrap(), [Tenant::from(&*waiting)]);
    assert_eq!(tenants.list(&TenantGroup::InSpace(left.space().clone())).await.unwrap().len(), 2);
    let space = application.space;
    let own = Tenant { space: space.clone(), person: None };
    let of_somebody = Tenant { space: space.clone(), person: Some(somebody.id) };
    assert_eq!(tenants.list(&TenantGroup::InSpace(space)).await.unwrap(), [own, of_somebody]);
}

async fn the_bound_of_every_table_is_stated(place: Place) {
    let database = place.migrated().await;
    let sql = match database.backend() {
        // Without what FTS5 keeps for its index.
        DbBackend::Sqlite => {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'memory_index_%'"
        }
        _ => "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'",
    };
    let rows = database.reader().query_all_raw(Statement::from_string(database.backend(), sql)).await.unwrap();
    let mut tables: Vec<String> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
    tables.retain(|table| !table.starts_with("seaql"));
    tables.sort_unstable();
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/security.md")).unwrap();
    let (_, section) = document.split_once("## Bounds of stored data").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let names = section.lines().filter(|line| line.starts_with("| `")).filter_map(|line| line.split('|').nth(1));
    let names = names.flat_map(|cell| cell.split(','));
    let mut listed: Vec<String> = names.map(|name| name.trim().trim_matches('`').to_owned()).collect();
    listed.sort_unstable();
    assert_eq!(listed, tables, "docs/security.md says of every table how large it gets");
}
