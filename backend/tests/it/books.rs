//! Writing: one commit for many, each undone alone, nothing lost, nothing twice.

use crate::test_app::TestApp;
use backend::db::Tx;
use backend::error::{Error, RequestRefusal, Result};
use entities::app_config::{self, ConfigDataType};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, PaginatorTrait, QueryFilter, QueryResult, Set,
    Statement,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

async fn put(tx: &Tx, key: &str, value: &str) -> Result<()> {
    let row = app_config::ActiveModel {
        id: Set(tx.new_uuid().into()),
        config_key: Set(key.to_owned()),
        config_value: Set(value.to_owned()),
        description: Set(String::new()),
        data_type: Set(ConfigDataType::String),
        is_active: Set(true),
        updated_at: Set(tx.now()),
    };
    app_config::Entity::insert(row).exec_without_returning(tx).await?;
    Ok(())
}

async fn count(test: &TestApp, prefix: &str) -> u64 {
    let found = app_config::Entity::find().filter(app_config::Column::ConfigKey.starts_with(prefix));
    found.count(test.app.db.read()).await.unwrap()
}

#[tokio::test]
async fn a_refused_write_leaves_nothing_and_its_neighbours_stand() {
    for test in TestApp::on_each_backend().await {
        let writes = (0..40).map(|number| {
            test.app.db.write(move |tx| {
                Box::pin(async move {
                    put(tx, &format!("t{number:02}"), "written").await?;
                    if number % 3 == 0 { Err(RequestRefusal::Conflict.into()) } else { Ok(number) }
                })
            })
        });
        let outcomes = futures::future::join_all(writes).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 26, "{}", test.backend());
        assert_eq!(count(&test, "t").await, 26, "{}", test.backend());
    }
}

/// An audit reads all books, and a rider's request must not wait for ever: only the one may take its time.
#[tokio::test]
async fn who_looks_at_all_books_has_the_time_it_takes() {
    for test in TestApp::on_each_backend().await {
        if test.backend() != "postgres" {
            continue;
        }
        let asked = || Statement::from_string(DbBackend::Postgres, "SHOW statement_timeout");
        let told = |row: Option<QueryResult>| row.unwrap().try_get_by_index::<String>(0).unwrap();
        let snapshot = test.app.db.snapshot().await.unwrap();
        assert_eq!(told(snapshot.query_one_raw(asked()).await.unwrap()), "0");
        drop(snapshot);
        for _ in 0..20 {
            assert_eq!(told(test.app.db.read().query_one_raw(asked()).await.unwrap()), "5s");
        }
    }
}

#[tokio::test]
async fn a_panic_and_a_broken_statement_end_only_their_own_write() {
    for test in TestApp::on_each_backend().await {
        let panicking = test.app.db.write(|tx| {
            Box::pin(async move {
                put(tx, "panicked", "x").await?;
                assert_eq!(tx.now().timestamp(), 0, "on purpose");
                Ok(())
            })
        });
        let failing = test.app.db.write(|tx| {
            Box::pin(async move {
                put(tx, "failed", "x").await?;
                put(tx, "failed", "twice").await
            })
        });
        let fine = test.app.db.write(|tx| Box::pin(async move { put(tx, "fine", "x").await }));
        let (panicked, failed, fine) = tokio::join!(panicking, failing, fine);
        assert!(panicked.unwrap_err().to_string().contains("on purpose"));
        let failed = failed.unwrap_err();
        assert!(backend::db::is_unique_violation(failed.database().unwrap()), "{failed}");
        fine.unwrap();
        assert_eq!((count(&test, "panicked").await, count(&test, "failed").await), (0, 0));
        assert_eq!(count(&test, "fine").await, 1);
    }
}

#[tokio::test]
async fn a_savepoint_is_undone_and_the_rest_is_kept() {
    for test in TestApp::on_each_backend().await {
        let written = test.app.db.write(|tx| {
            Box::pin(async move {
                put(tx, "s.before", "x").await?;
                let savepoint = tx.savepoint().await?;
                let refused = put(&savepoint, "s.before", "twice").await;
                savepoint.undo().await?;
                assert!(refused.is_err());
                put(tx, "s.after", "x").await
            })
        });
        written.await.unwrap();
        assert_eq!(count(&test, "s.").await, 2, "{}", test.backend());
    }
}

#[tokio::test]
async fn two_hundred_increments_of_one_row_lose_none() {
    for test in TestApp::on_each_backend().await {
        test.app.db.write(|tx| Box::pin(async move { put(tx, "counter", "0").await })).await.unwrap();
        let runs = Arc::new(AtomicU32::new(0));
        let writes = (0..200).map(|_| {
            let runs = runs.clone();
            test.app.db.write(move |tx| {
                let runs = runs.clone();
                Box::pin(async move {
                    runs.fetch_add(1, Ordering::Relaxed);
                    let text =
                        Expr::col(app_config::Column::ConfigValue).cast_as("integer").add(1).cast_as("text");
                    app_config::Entity::update_many()
                        .col_expr(app_config::Column::ConfigValue, text)
                        .filter(app_config::Column::ConfigKey.eq("counter"))
                        .exec(tx)
                        .await?;
                    Ok(())
                })
            })
        });
        for outcome in futures::future::join_all(writes).await {
            outcome.unwrap();
        }
        let found = app_config::Entity::find().filter(app_config::Column::ConfigKey.eq("counter"));
        assert_eq!(found.one(test.app.db.read()).await.unwrap().unwrap().config_value, "200");
        assert!(runs.load(Ordering::Relaxed) >= 200);
    }
}

#[tokio::test]
async fn a_reader_of_sqlite_cannot_write() {
    let test = TestApp::new().await;
    let refused = app_config::Entity::delete_many().exec(test.app.db.read()).await;
    assert!(Error::from(refused.unwrap_err()).to_string().contains("readonly"));
}

#[tokio::test]
async fn migrating_twice_changes_nothing() {
    for test in TestApp::on_each_backend().await {
        test.app.migrate().await.unwrap();
        test.anonymous().get("/api/v1/app/health").await.ok();
    }
}
