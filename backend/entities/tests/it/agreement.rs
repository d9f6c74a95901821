use crate::rows::{Sample, for_every_entity, insert_samples};
use entities::testing::FreshDatabase;
use entities::{rental, station_slot};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, ConnectionTrait, DatabaseConnection, DbBackend, EntityName,
    EntityTrait, IdenStatic, IntoActiveModel, Iterable, Statement,
};
use std::collections::BTreeMap;

/// Table → column → whether it may be null.
type Shape = BTreeMap<String, BTreeMap<String, bool>>;

#[tokio::test]
async fn every_entity_is_read_back_as_it_was_written() {
    for fresh in FreshDatabase::on_each_backend().await {
        let db = fresh.connect_migrated().await;
        insert_samples(&db).await;
        macro_rules! reads_back {
            ($entity:ident) => {
                let rows = entities::$entity::Entity::find().all(&db).await.unwrap();
                let sample = entities::$entity::Entity::sample();
                assert!(rows.contains(&sample), "{}: {sample:?} is not in {rows:?}", fresh.backend());
            };
        }
        for_every_entity!(reads_back);
    }
}

#[tokio::test]
async fn a_slot_and_a_rental_may_refer_to_each_other() {
    for fresh in FreshDatabase::on_each_backend().await {
        let db = fresh.connect_migrated().await;
        insert_samples(&db).await;
        let mut slot = station_slot::Entity::sample().into_active_model();
        slot.current_rental = ActiveValue::Set(Some(rental::Entity::sample().id));
        let slot = slot.update(&db).await.unwrap();
        let read = station_slot::Entity::find_by_id(slot.id).one(&db).await.unwrap();
        assert_eq!(read, Some(slot), "{}", fresh.backend());
    }
}

#[tokio::test]
async fn tables_and_entities_have_the_same_columns() {
    let mut expected = Shape::new();
    macro_rules! collect {
        ($entity:ident) => {
            let columns = entities::$entity::Column::iter()
                .map(|column| (column.as_str().to_owned(), column.def().is_null()))
                .collect();
            expected.insert(entities::$entity::Entity.table_name().to_owned(), columns);
        };
    }
    for_every_entity!(collect);
    for fresh in FreshDatabase::on_each_backend().await {
        let mut actual = shape(&fresh.connect_migrated().await).await;
        actual.remove("seaql_migrations");
        for (table, columns) in &expected {
            assert_eq!(actual.get(table), Some(columns), "{}: {table}", fresh.backend());
        }
        assert_eq!(actual.len(), expected.len(), "{}: a table has no entity", fresh.backend());
    }
}

async fn shape(db: &DatabaseConnection) -> Shape {
    let backend = db.get_database_backend();
    let sql = match backend {
        DbBackend::Sqlite => {
            "select m.name, c.name, c.\"notnull\" = 0 from sqlite_master m join pragma_table_info(m.name) c
             where m.type = 'table' and m.name not like 'sqlite%'"
        }
        _ => {
            "select table_name::text, column_name::text, is_nullable = 'YES' from information_schema.columns
             where table_schema = 'public'"
        }
    };
    let mut shape = Shape::new();
    for row in db.query_all_raw(Statement::from_string(backend, sql)).await.expect("a catalogue") {
        let (table, column, nullable): (String, String, bool) =
            row.try_get_many_by_index().expect("table, column and whether it may be null");
        shape.entry(table).or_default().insert(column, nullable);
    }
    shape
}
