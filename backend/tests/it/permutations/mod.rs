//! L12: whatever becomes of the hints that a payment is over (a browser that comes back, truthfully, forged,
//! twice or never; a provider's call; our own polls; the rider's questions), the provider's truth alone decides
//! how a payment ends, and the postings are the same.
//!
//! A *case* is one rider with one payment, a fate at the provider and a list of hints, all drawn from a seed. The
//! cases of a batch live in one database at the same time and share the clock, the jobs and the provider's bad
//! days. `CHAUTARI_REQUIRE=all` makes it 1 000 cases for each provider on SQLite;
//! `CHAUTARI_PERMUTATION_SEED=N` runs the batch of that seed alone.

mod doubles;
mod sandbox;
mod stripe;

use crate::riders::{Rider, rider};
use crate::test_app::{Answer, TestApp};
use async_trait::async_trait;
use backend::payments::audit;
use backend::random::Random;
use entities::payment_attempt::{self, PaymentAttemptState};
use entities::payment_intent::{self, PaymentIntentStatus};
use entities::{ledger_entry, ledger_posting};
use futures::future::join_all;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};

/// Cases that live at the same time.
const BATCH: u32 = 50;
/// Things that may happen to a case.
const STEPS: u32 = 10;

/// A provider as those see it who pay there.
#[async_trait]
pub(crate) trait Counterpart: Sync {
    /// The word in `payment_methods.gateway`.
    fn name(&self) -> &'static str;
    /// The smallest payment it takes, rupees.
    fn least_rupees(&self) -> i64 {
        10
    }
    /// The browser goes to the page.
    fn page_opens(&self, payment: &Payment);
    /// Somebody pays on the page; answers whether it took the money.
    async fn pay(&self, test: &TestApp, payment: &Payment) -> bool;
    /// Somebody gives up on the page; answers whether it closed for that.
    async fn give_up(&self, test: &TestApp, payment: &Payment) -> bool;
    /// The query with which the browser is sent back, or what a thief would make of it.
    fn comes_back_with(&self, payment: &Payment, is_forged: bool) -> String;
    /// The provider's own call, if it makes one and has something to say. Repeated, it is the same call.
    async fn calls_us(&self, test: &TestApp, payment: &Payment);
    /// How the provider treats our calls from now on.
    fn behaves(&self, test: &TestApp, manners: Manners);
}

/// How a provider treats our calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manners {
    Good,
    /// Does what it is asked, and the answer is lost.
    LosesAnswers,
    /// Does not hear.
    Away,
}

/// One order at the provider.
#[derive(Clone, Debug)]
pub(crate) struct Payment {
    pub(crate) intent_id: String,
    pub(crate) page: String,
    pub(crate) attempt: payment_attempt::Model,
    /// What the rider's app was told.
    pub(crate) told: Value,
}

/// What happens at the provider, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Paid { at: u32 },
    GivenUp { at: u32 },
    Forgotten,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hint {
    ComesBack,
    ComesBackTwiceAtOnce,
    ComesBackForged,
    ProviderCalls,
    ProviderCallsTwiceAtOnce,
    RiderVerifies,
    RiderCancels,
    /// Lost, or late.
    Nothing,
}

/// One rider with one payment.
struct Case {
    rider: Rider,
    paisa: i64,
    fate: Fate,
    hints: Vec<Hint>,
    payment: Payment,
}

/// At least so many cases, in batches.
pub(crate) async fn at_least(cases: u32, test: &TestApp, provider: &impl Counterpart) {
    let alone = environment("CHAUTARI_PERMUTATION_SEED");
    let seeds: Vec<u64> = match alone.map(|seed| seed.parse()) {
        Some(seed) => vec![seed.expect("CHAUTARI_PERMUTATION_SEED is a number")],
        None => (0..u64::from(cases.div_ceil(BATCH))).collect(),
    };
    for seed in seeds {
        println!("CHAUTARI_PERMUTATION_SEED={seed} ({}, {})", provider.name(), test.backend());
        batch(seed, test, provider).await;
    }
    let findings = audit::audit(test.app.db.read()).await.unwrap();
    assert!(findings.is_empty(), "{}: {findings:#?}", test.backend());
}

async fn batch(seed: u64, test: &TestApp, provider: &impl Counterpart) {
    let random = Random::seeded(seed);
    let method = method_of(test, provider.name()).await;
    if random.below(3) == 0 {
        provider.behaves(test, Manners::LosesAnswers);
    }
    let wishes: Vec<_> =
        (0..BATCH).map(|_| (provider.least_rupees() + i64::from(random.below(500))) * 100).collect();
    let first = join_all(wishes.iter().map(|paisa| ask_once(test, &method, *paisa))).await;
    provider.behaves(test, Manners::Good);
    let mut cases = Vec::new();
    for (rider, paisa) in first {
        let payment = open(test, &method, &rider, paisa).await;
        provider.page_opens(&payment);
        let (fate, hints) = draw(&random);
        cases.push(Case { rider, paisa, fate, hints, payment });
    }

    for step in 0..STEPS {
        let decided = join_all(cases.iter().map(|case| decide(test, provider, case, step))).await;
        for (case, fate) in cases.iter_mut().zip(decided) {
            case.fate = fate;
        }
        provider.behaves(test, manners(&random));
        join_all(cases.iter().map(|case| hint(test, provider, case, case.hints[step as usize]))).await;
        if random.below(2) == 0 {
            test.clock.advance_ms(u64::from(random.below(90_000)));
            test.drain_jobs().await;
        }
    }

    // In the end the provider answers, and the plan is followed until no page can take money any more.
    provider.behaves(test, Manners::Good);
    for _ in 0..18 {
        test.clock.advance_ms(10 * 60_000);
        test.drain_jobs().await;
    }
    for case in &cases {
        let told = format!("seed {seed}, {}, {:?}, {:?}", test.backend(), case.fate, case.hints);
        assert_end(test, case, &told).await;
    }
}

fn draw(random: &Random) -> (Fate, Vec<Hint>) {
    let at = random.below(STEPS);
    let fate = match random.below(5) {
        0 => Fate::Forgotten,
        1 => Fate::GivenUp { at },
        _ => Fate::Paid { at },
    };
    let hints = (0..STEPS).map(|_| match random.below(12) {
        0 | 1 => Hint::ComesBack,
        2 => Hint::ComesBackTwiceAtOnce,
        3 => Hint::ComesBackForged,
        4 | 5 => Hint::ProviderCalls,
        6 => Hint::ProviderCallsTwiceAtOnce,
        7 => Hint::RiderVerifies,
        8 if random.below(3) == 0 => Hint::RiderCancels,
        _ => Hint::Nothing,
    });
    (fate, hints.collect())
}

fn manners(random: &Random) -> Manners {
    match random.below(6) {
        0 => Manners::Away,
        1 => Manners::LosesAnswers,
        _ => Manners::Good,
    }
}

/// What will have happened: a page whose time is over does nothing any more.
async fn decide(test: &TestApp, provider: &impl Counterpart, case: &Case, step: u32) -> Fate {
    let has_happened = match case.fate {
        Fate::Paid { at } if at == step => provider.pay(test, &case.payment).await,
        Fate::GivenUp { at } if at == step => provider.give_up(test, &case.payment).await,
        Fate::Paid { .. } | Fate::GivenUp { .. } | Fate::Forgotten => true,
    };
    if has_happened { case.fate } else { Fate::Forgotten }
}

async fn hint(test: &TestApp, provider: &impl Counterpart, case: &Case, hint: Hint) {
    let rider = test.bearer(&case.rider.token);
    let intent_id = &case.payment.intent_id;
    match hint {
        Hint::ComesBack => come_back(test, provider, case, false).await,
        Hint::ComesBackTwiceAtOnce => {
            tokio::join!(come_back(test, provider, case, false), come_back(test, provider, case, false));
        }
        Hint::ComesBackForged => come_back(test, provider, case, true).await,
        Hint::ProviderCalls => provider.calls_us(test, &case.payment).await,
        Hint::ProviderCallsTwiceAtOnce => {
            tokio::join!(provider.calls_us(test, &case.payment), provider.calls_us(test, &case.payment));
        }
        Hint::RiderVerifies => {
            rider.post("/api/v1/payments/verify-topup", json!({ "intent_id": intent_id })).await.ok();
        }
        Hint::RiderCancels => {
            let answer = rider.post(&format!("/api/v1/payments/cancel/{intent_id}"), json!({})).await;
            assert!(matches!(answer.status.as_u16(), 200 | 409), "{} {}", answer.status, answer.body);
        }
        Hint::Nothing => {}
    }
}

async fn come_back(test: &TestApp, provider: &impl Counterpart, case: &Case, is_forged: bool) {
    let query = provider.comes_back_with(&case.payment, is_forged);
    let attempt = case.payment.attempt.id;
    test.anonymous()
        .get(&format!("/api/v1/payments/{}/return/{attempt}?{query}", provider.name()))
        .await
        .ok();
}

/// The same provider truth ends the same way, with the same postings.
async fn assert_end(test: &TestApp, case: &Case, told: &str) {
    let db = test.app.db.read();
    let attempt =
        payment_attempt::Entity::find_by_id(case.payment.attempt.id).one(db).await.unwrap().unwrap();
    let intent = payment_intent::Entity::find_by_id(attempt.intent_id).one(db).await.unwrap().unwrap();
    let has_cancelled = case.hints.contains(&Hint::RiderCancels);
    let (states, credited): (&[_], _) = match case.fate {
        Fate::Paid { .. } => {
            (&[(PaymentAttemptState::Succeeded, PaymentIntentStatus::Completed)], case.paisa)
        }
        Fate::GivenUp { .. } => (&[(PaymentAttemptState::Cancelled, PaymentIntentStatus::Cancelled)], 0),
        // Whether the rider or the clock was first is not the provider's truth.
        Fate::Forgotten if has_cancelled => (
            &[
                (PaymentAttemptState::Cancelled, PaymentIntentStatus::Cancelled),
                (PaymentAttemptState::Expired, PaymentIntentStatus::Failed),
            ],
            0,
        ),
        Fate::Forgotten => (&[(PaymentAttemptState::Expired, PaymentIntentStatus::Failed)], 0),
    };
    assert!(
        states.contains(&(attempt.state, intent.status)),
        "{told}: {:?} {:?}",
        attempt.state,
        intent.status
    );
    assert_eq!(attempt.next_check_at, None, "{told}");

    let entries = ledger_entry::Entity::find()
        .filter(ledger_entry::Column::BusinessKey.eq(attempt.id.to_string()))
        .all(db)
        .await
        .unwrap();
    let mut postings = Vec::new();
    for entry in entries {
        let found = ledger_posting::Entity::find().filter(ledger_posting::Column::EntryId.eq(entry.id));
        let found = found.all(db).await.unwrap();
        let mut amounts: Vec<_> = found.iter().map(|posting| posting.amount_paisa.0).collect();
        amounts.sort_unstable();
        postings.push(amounts);
    }
    let expected = if credited == 0 { Vec::new() } else { vec![vec![-credited, credited]] };
    assert_eq!(postings, expected, "{told}");
    let wallet = test.bearer(&case.rider.token).get("/api/v1/users/wallet").await.ok();
    let shown = entities::money::Paisa(credited).to_string();
    assert_eq!(wallet["balance"]["amount"], shown.as_str(), "{told}");
}

async fn method_of(test: &TestApp, gateway: &str) -> Value {
    let methods = test.anonymous().get("/api/v1/payments/methods").await.ok();
    let items = methods["items"].as_array().unwrap();
    items.iter().find(|method| method["gateway"] == gateway).unwrap()["id"].clone()
}

async fn ask(test: &TestApp, method: &Value, rider: &Rider, paisa: i64) -> Answer {
    let amount = entities::money::Paisa(paisa).to_string();
    let body = json!({ "amount": { "amount": amount, "currency": "NPR" }, "payment_method_id": method });
    let key = format!("open-{}", rider.id);
    test.bearer(&rider.token).post_once(&key, "/api/v1/payments/wallet/topup-intent", body).await
}

/// The answer may be lost.
async fn ask_once(test: &TestApp, method: &Value, paisa: i64) -> (Rider, i64) {
    let rider = rider(&test.app).await;
    let answer = ask(test, method, &rider, paisa).await;
    assert!(matches!(answer.status.as_u16(), 201 | 503), "{} {}", answer.status, answer.body);
    (rider, paisa)
}

/// Asks again until the provider is believed to be back.
async fn open(test: &TestApp, method: &Value, rider: &Rider, paisa: i64) -> Payment {
    let mut answer = ask(test, method, rider, paisa).await;
    for _ in 0..20 {
        if answer.status != 503 {
            break;
        }
        test.clock.advance_ms(5_000);
        answer = ask(test, method, rider, paisa).await;
    }
    let told = answer.ok();
    let intent_id = told["intent_id"].as_str().unwrap().to_owned();
    let found = payment_attempt::Entity::find()
        .find_also_related(payment_intent::Entity)
        .filter(payment_intent::Column::IntentId.eq(&intent_id))
        .one(test.app.db.read())
        .await;
    let (attempt, _) = found.unwrap().unwrap();
    Payment { intent_id, page: told["gateway_url"].as_str().unwrap().to_owned(), attempt, told }
}

/// All cases where everything is required, a part of them elsewhere and on the second database.
pub(crate) fn cases(test: &TestApp) -> u32 {
    let is_required = environment("CHAUTARI_REQUIRE").is_some_and(|required| required == "all");
    match (test.backend(), is_required) {
        ("sqlite", true) => 1_000,
        ("sqlite", false) => 200,
        (_, _) => 100,
    }
}

#[expect(clippy::disallowed_methods, reason = "a test is told how much to do by the environment")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
