//! Points: what staff have set is what riders get.

use crate::identity::sign_in;
use crate::test_app::TestApp;
use entities::app_config;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

pub(crate) async fn set(test: &TestApp, key: &'static str, value: &'static str, is_active: bool) {
    let written = test.app.db.write(move |tx| {
        Box::pin(async move {
            let changed = app_config::Entity::update_many()
                .col_expr(app_config::Column::ConfigValue, Expr::value(value))
                .col_expr(app_config::Column::IsActive, Expr::value(is_active))
                .filter(app_config::Column::ConfigKey.eq(key))
                .exec(tx)
                .await?;
            Ok(changed.rows_affected)
        })
    });
    assert_eq!(written.await.unwrap(), 1, "{key}");
}

async fn points_of_a_new_rider(test: &TestApp, phone: &str) -> i64 {
    let token = sign_in(test, phone).await["access_token"].as_str().unwrap().to_owned();
    test.drain_jobs().await;
    test.bearer(token).get("/api/v1/points/summary").await.ok()["current"].as_i64().unwrap()
}

#[tokio::test]
async fn a_new_rider_gets_what_staff_have_set_and_else_the_usual() {
    for test in TestApp::on_each_backend().await {
        set(&test, "POINTS_SIGNUP", "75", true).await;
        assert_eq!(points_of_a_new_rider(&test, "+9779841000001").await, 75);
        set(&test, "POINTS_SIGNUP", "75", false).await;
        assert_eq!(points_of_a_new_rider(&test, "+9779841000002").await, 50);
        set(&test, "POINTS_SIGNUP", "a lot", true).await;
        assert_eq!(points_of_a_new_rider(&test, "+9779841000003").await, 50);
    }
}
