use crate::rows::{Sample, insert_samples};
use entities::ledger_account::LedgerAccountKind;
use entities::rental::RentalStatus;
use entities::testing::FreshDatabase;
use entities::*;
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, IntoActiveModel, SqlErr};

#[tokio::test]
async fn a_power_bank_has_at_most_one_open_rental() {
    for (db, fresh) in databases_with_samples().await {
        let backend = fresh.backend();
        let rental = |number: u128, status| {
            let mut rental = rental::Entity::sample();
            rental.id = Uuid::from_u128(number).into();
            rental.rental_code = format!("R{number}");
            rental.status = status;
            rental
        };
        insert::<rental::Entity>(&db, rental(1, RentalStatus::Cancelled)).await.unwrap();
        insert::<rental::Entity>(&db, rental(2, RentalStatus::Pending)).await.unwrap();
        for (number, status) in
            [(3, RentalStatus::Pending), (4, RentalStatus::Active), (5, RentalStatus::Overdue)]
        {
            let second = insert::<rental::Entity>(&db, rental(number, status)).await;
            assert!(is_duplicate(&second), "{backend}: {status}: {second:?}");
        }
        insert::<rental::Entity>(&db, rental(6, RentalStatus::Completed)).await.unwrap();
    }
}

#[tokio::test]
async fn a_slot_holds_at_most_one_power_bank() {
    for (db, fresh) in databases_with_samples().await {
        let backend = fresh.backend();
        let mut bank = power_bank::Entity::sample();
        bank.id = Uuid::from_u128(1).into();
        bank.serial_number = "00000000000000FF".to_owned();
        assert!(is_duplicate(&insert::<power_bank::Entity>(&db, bank.clone()).await), "{backend}");
        bank.current_slot = None;
        insert::<power_bank::Entity>(&db, bank).await.unwrap();
    }
}

#[tokio::test]
async fn an_address_is_unique_without_regard_to_case() {
    for (db, fresh) in databases_with_samples().await {
        let backend = fresh.backend();
        let mut user = user::Entity::sample();
        user.id = Uuid::from_u128(1).into();
        user.username = None;
        user.phone_number = None;
        user.referral_code = "other".to_owned();
        user.email = user.email.map(|email| email.to_uppercase());
        assert!(is_duplicate(&insert::<user::Entity>(&db, user.clone()).await), "{backend}");
        user.email = None;
        insert::<user::Entity>(&db, user).await.unwrap();
    }
}

#[tokio::test]
async fn each_ledger_account_exists_once() {
    for (db, fresh) in databases_with_samples().await {
        let backend = fresh.backend();
        let riders = ledger_account::Entity::sample();
        let ours = ledger_account::Model { kind: LedgerAccountKind::Bank, owner_id: None, ..riders.clone() };
        let providers = ledger_account::Model {
            kind: LedgerAccountKind::ProviderClearing,
            provider: Some("sandbox".to_owned()),
            ..ours.clone()
        };
        for (number, account) in [(1, ours), (2, providers)] {
            let account = ledger_account::Model { id: Uuid::from_u128(number).into(), ..account };
            insert::<ledger_account::Entity>(&db, account).await.unwrap();
        }
        for account in ledger_account::Entity::find().all(&db).await.unwrap() {
            let again = ledger_account::Model { id: Uuid::from_u128(9).into(), ..account };
            let again = insert::<ledger_account::Entity>(&db, again).await;
            assert!(is_duplicate(&again), "{backend}: {again:?}");
        }
    }
}

#[tokio::test]
async fn what_the_ledger_and_papers_say_stays() {
    for (db, fresh) in databases_with_samples().await {
        let backend = fresh.backend();
        for sql in [
            "update ledger_entries set description = 'other'",
            "delete from ledger_entries",
            "update ledger_postings set amount_paisa = 1",
            "delete from ledger_postings",
            "update tax_invoices set total_paisa = 1",
            "delete from tax_invoices",
            "update tax_invoice_prints set print_no = 1",
            "delete from tax_invoice_prints",
        ] {
            let error = db.execute_unprepared(sql).await.unwrap_err().to_string();
            assert!(error.contains("are never"), "{backend}: {sql}: {error}");
        }
    }
}

#[tokio::test]
async fn rows_that_contradict_themselves_are_refused() {
    for (db, fresh) in databases_with_samples().await {
        let backend = fresh.backend();
        for sql in [
            "update users set open_rentals = -1",
            "update users set status = 'nonsense'",
            "update wallets set balance_paisa = -1",
            "update ledger_balances set balance_paisa = -1",
            "update ledger_accounts set owner_id = null where kind = 'user_wallet'",
            "update ledger_accounts set provider = 'khalti' where kind = 'user_wallet'",
            "update holds set state = 'held'",
            "update holds set state = 'voided'",
            "update holds set captured_paisa = amount_paisa + 1",
            "update rentals set started_at = null",
            "update rentals set ended_at = null",
            "update power_banks set current_station = null",
            "update power_banks set battery_level = 101",
            "update stations set latitude = 91",
            "update late_fee_configs set multiplier_percent = null",
            "update late_fee_configs set is_active = true",
            "update payment_methods set max_amount_paisa = min_amount_paisa - 1",
            "update station_media set media_type = 'hologram'",
        ] {
            assert!(db.execute_unprepared(sql).await.is_err(), "{backend}: {sql}");
        }
    }
}

#[tokio::test]
async fn a_row_cannot_refer_to_nothing() {
    for (db, fresh) in databases_with_samples().await {
        let backend = fresh.backend();
        let mut favorite = user_station_favorite::Entity::sample();
        favorite.id = Uuid::from_u128(1).into();
        favorite.station_id = Uuid::from_u128(2).into();
        let error = insert::<user_station_favorite::Entity>(&db, favorite).await.unwrap_err();
        assert!(
            matches!(error.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_))),
            "{backend}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_word_that_the_program_does_not_know_is_named() {
    for (db, fresh) in databases_with_samples().await {
        let backend = fresh.backend();
        db.execute_unprepared("update commands set kind = 'dance'").await.unwrap();
        let error = command::Entity::find().all(&db).await.unwrap_err().to_string();
        assert!(error.contains("CommandKind"), "{backend}: {error}");
    }
}

async fn databases_with_samples() -> Vec<(DatabaseConnection, FreshDatabase)> {
    let mut databases = Vec::new();
    for fresh in FreshDatabase::on_each_backend().await {
        let db = fresh.connect_migrated().await;
        insert_samples(&db).await;
        databases.push((db, fresh));
    }
    databases
}

async fn insert<E>(db: &DatabaseConnection, row: E::Model) -> Result<u64, DbErr>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel>,
{
    E::insert(row.into_active_model()).exec_without_returning(db).await
}

fn is_duplicate(outcome: &Result<u64, DbErr>) -> bool {
    let Err(error) = outcome else { return false };
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}
