//! Migrating an empty database: its schema and seed appear once, however many nodes start together.

use entities::testing::FreshDatabase;
use entities::{migrate, rental_package};
use sea_orm::{EntityTrait, PaginatorTrait};
use tokio::task::JoinSet;

#[tokio::test]
async fn an_empty_database_is_migrated_and_seeded_once() {
    for fresh in FreshDatabase::on_each_backend().await {
        let db = fresh.connect_migrated().await;
        migrate(&db).await.unwrap();
        let packages = rental_package::Entity::find().count(&db).await.unwrap();
        assert_eq!(packages, 3, "{}", fresh.backend());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_nodes_may_start_at_once() {
    for fresh in FreshDatabase::on_each_backend().await {
        let mut nodes = JoinSet::new();
        for _ in 0..4 {
            let db = fresh.connect().await;
            nodes.spawn(async move { migrate(&db).await });
        }
        for outcome in nodes.join_all().await {
            outcome.unwrap_or_else(|error| panic!("{}: {error}", fresh.backend()));
        }
        let packages = rental_package::Entity::find().count(&fresh.connect().await).await.unwrap();
        assert_eq!(packages, 3, "{}", fresh.backend());
    }
}
