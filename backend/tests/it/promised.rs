//! Every operation that apps and staff were promised, and the test that calls it and looks at what it did. The table is
//! checked: an operation that leaves the description is missed here, and so is a test that is renamed or calls
//! something else.

use crate::operations::{Operation, operations};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// One operation as it was promised, below `/api/v1/`.
struct Promise {
    /// `GET stations/{}`
    said: &'static str,
    /// Where it is if not there, and why.
    elsewhere: Option<(&'static str, &'static str)>,
    /// Its modules and its name.
    test: &'static str,
}

const fn kept(said: &'static str, test: &'static str) -> Promise {
    Promise { said, elsewhere: None, test }
}

const fn moved(said: &'static str, to: &'static str, because: &'static str, test: &'static str) -> Promise {
    Promise { said, elsewhere: Some((to, because)), test }
}

const APP: &[Promise] = &[
    moved(
        "GET app/version",
        "POST /api/v1/app/version/check",
        "the answer depends on what the phone has, and the later form says so",
        "content::public::an_old_app_is_told_to_update_and_must_if_one_on_the_way_was_mandatory",
    ),
    kept(
        "POST app/version/check",
        "content::public::an_old_app_is_told_to_update_and_must_if_one_on_the_way_was_mandatory",
    ),
    kept("GET app/health", "content::public::reads_come_from_memory_and_the_rate_is_measured"),
    kept("POST app/media/upload", "media::a_picture_is_stored_anew_and_shown_to_everybody"),
    kept("GET app/banners", "content::public::banners_and_updates_appear_and_go_at_their_time"),
    kept("GET app/countries", "content::public::a_new_installation_has_something_to_read_in_both_languages"),
    kept("GET stations", "stations::riders_find_stations_by_text_and_by_place"),
    kept("GET stations/{}", "stations::an_inventory_fills_the_slots_and_presence_makes_them_rentable"),
    kept("GET stations/nearby", "stations::riders_find_stations_by_text_and_by_place"),
];

const USER: &[Promise] = &[
    kept(
        "POST auth/login",
        "accounts::joining::whoever_has_an_account_is_told_and_signs_in_with_the_same_code",
    ),
    kept("POST auth/logout", "accounts::sessions::a_rider_signs_out_here_or_everywhere"),
    kept(
        "POST auth/register",
        "accounts::joining::whoever_proves_an_unknown_number_is_told_and_joins_with_the_same_code",
    ),
    moved(
        "POST auth/get-otp",
        "POST /api/v1/auth/otp/request",
        "the later form",
        "identity::a_stranger_becomes_a_rider_and_comes_back_as_the_same_one",
    ),
    kept("POST auth/otp/request", "identity::a_stranger_becomes_a_rider_and_comes_back_as_the_same_one"),
    kept("POST auth/otp/verify", "identity::a_stranger_becomes_a_rider_and_comes_back_as_the_same_one"),
    kept("POST auth/device", "accounts::devices::an_app_tells_its_telephone_once_and_again"),
    kept("PUT auth/device", "accounts::devices::an_app_tells_its_telephone_once_and_again"),
    kept(
        "GET auth/me",
        "accounts::mine::the_first_page_shows_profile_identity_money_points_and_whether_one_may_rent",
    ),
    kept("GET users/profile", "identity::a_profile_is_replaced_whole_and_checked"),
    kept("PUT users/profile", "identity::a_profile_is_replaced_whole_and_checked"),
    kept("PATCH users/profile", "accounts::mine::parts_of_a_profile_change_and_the_rest_stays"),
    kept(
        "DELETE auth/account",
        "accounts::deletion::nothing_of_a_deleted_rider_leads_to_them_and_the_books_still_agree",
    ),
    kept("POST users/kyc", "kyc::a_rider_proves_who_they_are_is_sent_back_once_and_then_approved"),
    kept("PATCH users/kyc", "kyc::a_rider_proves_who_they_are_is_sent_back_once_and_then_approved"),
    kept("GET users/kyc/status", "kyc::a_rider_proves_who_they_are_is_sent_back_once_and_then_approved"),
    kept("POST auth/refresh", "identity::a_refresh_token_works_once_and_its_second_use_ends_the_session"),
    kept(
        "GET users/wallet",
        "accounts::staff_users::money_is_given_once_with_a_reason_and_the_books_show_where_it_came_from",
    ),
    kept("GET users/analytics/usage-stats", "rentals::leaving::nobody_leaves_with_a_power_bank"),
];

const STATION: &[Promise] = &[
    kept("POST stations/{}/favorite", "places::a_rider_marks_stations_and_finds_them_again"),
    kept("DELETE stations/{}/favorite", "places::a_rider_marks_stations_and_finds_them_again"),
    kept("GET stations/favorites", "places::a_rider_marks_stations_and_finds_them_again"),
    kept("POST stations/{}/report-issue", "places::a_report_goes_from_the_rider_through_staff_and_back"),
    kept("GET stations/my-reports", "places::a_report_goes_from_the_rider_through_staff_and_back"),
    kept("GET stations/{}/issues", "places::a_report_goes_from_the_rider_through_staff_and_back"),
];

const NOTIFICATION: &[Promise] = &[
    kept(
        "GET notifications",
        "notifications::inbox::the_inbox_is_listed_newest_first_and_by_kind_and_by_way",
    ),
    moved(
        "GET user/notifications",
        "GET /api/user/notifications",
        "the address at which it was promised first, outside of all versions",
        "notifications::inbox::the_inbox_is_listed_newest_first_and_by_kind_and_by_way",
    ),
    kept("PATCH notifications/{}", "notifications::inbox::a_notification_is_read_unread_and_thrown_away"),
    kept(
        "POST notifications/mark-all-read",
        "notifications::inbox::a_notification_is_read_unread_and_thrown_away",
    ),
    kept("DELETE notifications/{}", "notifications::inbox::a_notification_is_read_unread_and_thrown_away"),
    moved(
        "POST notifications/push",
        "POST /api/v1/auth/device",
        "nobody asks for a push: the app says where it rings, and a job sends",
        "notifications::push::every_telephone_of_the_rider_rings_once_and_the_inbox_has_it_too",
    ),
];

const ONE_DOOR: &str = "one door for all providers, each known by its name";

const PAYMENT: &[Promise] = &[
    kept("GET payments/transactions", "payments::a_top_up_is_paid_on_the_page_credited_and_told"),
    kept(
        "GET payments/packages",
        "staff::staff_make_stations_banks_and_packages_and_the_audit_shows_who_did",
    ),
    kept("GET payments/methods", "payments::a_top_up_is_paid_on_the_page_credited_and_told"),
    kept("POST payments/wallet/topup-intent", "payments::a_top_up_is_paid_on_the_page_credited_and_told"),
    kept("POST payments/verify-topup", "payments::a_top_up_is_paid_on_the_page_credited_and_told"),
    kept(
        "POST payments/calculate-options",
        "rentals::paying::options_say_what_something_costs_and_what_is_missing",
    ),
    kept(
        "POST payments/rentals/start",
        "rentals::paying::a_rental_that_is_paid_at_a_provider_starts_when_the_money_is_there",
    ),
    kept("POST payments/rentals/{}/pay-due", "rentals::dues::points_alone_leave_a_receipt_too"),
    kept("GET payments/status/{}", "payments::a_top_up_is_paid_on_the_page_credited_and_told"),
    kept("POST payments/cancel/{}", "payments::money_that_arrives_after_the_rider_gave_up_is_credited"),
    kept(
        "POST payments/refunds/{}",
        "refunds::charges::a_charge_goes_back_in_parts_with_its_vat_and_is_refunded_at_the_end",
    ),
    kept(
        "GET payments/refunds",
        "refunds::charges::a_refund_that_staff_reject_moves_nothing_and_may_be_asked_for_again",
    ),
    moved(
        "POST payments/webhooks/khalti",
        "POST /api/v1/payments/webhooks/{provider}",
        ONE_DOOR,
        "permutations::doubles::khalti_any_order_of_hints_ends_as_the_provider_says",
    ),
    moved(
        "POST payments/webhooks/esewa",
        "POST /api/v1/payments/webhooks/{provider}",
        ONE_DOOR,
        "permutations::doubles::esewa_any_order_of_hints_ends_as_the_provider_says",
    ),
    moved(
        "POST payments/webhooks/stripe",
        "POST /api/v1/payments/webhooks/{provider}",
        ONE_DOOR,
        "providers::webhooks::a_webhook_alone_credits",
    ),
    kept(
        "GET admin/payments/refunds/pending",
        "refunds::charges::a_charge_goes_back_in_parts_with_its_vat_and_is_refunded_at_the_end",
    ),
    kept(
        "POST admin/payments/refunds/{}/approve",
        "refunds::charges::a_charge_goes_back_in_parts_with_its_vat_and_is_refunded_at_the_end",
    ),
];

const RENTAL: &[Promise] = &[
    kept("POST rentals/start", "rentals::start::a_rental_is_charged_exactly_its_package"),
    kept("POST rentals/{}/cancel", "rentals::cancel::what_nobody_was_offered_is_cancelled_at_once"),
    kept(
        "POST rentals/{}/extend",
        "rentals::extend::more_time_is_bought_three_times_and_the_bill_is_what_was_said",
    ),
    kept(
        "POST rentals/{}/pay-due",
        "rentals::dues::an_open_amount_is_paid_from_the_wallet_and_the_rider_may_rent_again",
    ),
    kept(
        "POST rentals/{}/location",
        "rentals::telling::a_place_is_kept_while_the_bank_is_out_and_not_more_often_than_needed",
    ),
    kept(
        "POST rentals/{}/report-issue",
        "rentals::telling::what_is_wrong_is_reported_with_pictures_and_resolved_by_staff",
    ),
    kept("GET rentals/active", "rentals::start::a_rental_is_charged_exactly_its_package"),
    kept("GET rentals/history", "rentals::start::a_rental_is_charged_exactly_its_package"),
];

const POINTS_AND_REFERRAL: &[Promise] = &[
    kept("GET points/history", "points_life::staff_give_and_take_points_and_the_audit_says_why"),
    kept("GET points/summary", "payments::a_top_up_is_paid_on_the_page_credited_and_told"),
    kept(
        "GET referrals/my-code",
        "rentals::rewards::the_first_paid_rental_rewards_both_once_and_a_free_one_nobody",
    ),
    kept("GET referrals/validate", "referrals::one_mailbox_brings_nobody_and_codes_are_not_collected"),
    kept("POST referrals/claim", "rentals::rewards::a_code_is_entered_once_soon_and_by_somebody_who_is_new"),
];

const A_DEED: &str = "it has a reason and is audited: a deed, and not the edit of a field";

const ADMIN: &[Promise] = &[
    kept("GET admin/users", "accounts::staff_users::riders_are_found_by_what_they_say_on_the_telephone"),
    kept("GET admin/users/{}", "accounts::staff_users::a_rider_is_shown_whole"),
    moved(
        "PATCH admin/users/{}/status",
        "POST /api/v1/admin/users/{id}/status",
        A_DEED,
        "accounts::staff_users::a_ban_ends_every_session_until_it_is_lifted",
    ),
    kept(
        "POST admin/users/{}/add-balance",
        "accounts::staff_users::money_is_given_once_with_a_reason_and_the_books_show_where_it_came_from",
    ),
    kept("GET admin/stations", "staff::staff_make_stations_banks_and_packages_and_the_audit_shows_who_did"),
    kept("POST admin/stations", "staff::staff_make_stations_banks_and_packages_and_the_audit_shows_who_did"),
    kept("PUT admin/stations/{}", "places::staff_describe_a_station_anew_and_take_it_out_of_use"),
    moved(
        "PATCH admin/stations/{}/maintenance",
        "POST /api/v1/admin/stations/{serial_number}/maintenance",
        A_DEED,
        "places::staff_describe_a_station_anew_and_take_it_out_of_use",
    ),
    kept(
        "POST admin/stations/{}/remote-command",
        "rentals::orders::an_order_reaches_the_station_and_ends_as_it_says",
    ),
    kept(
        "GET admin/analytics/dashboard",
        "rentals::analytics::the_numbers_of_two_days_are_those_of_the_books",
    ),
    kept("GET admin/analytics/revenue", "rentals::analytics::the_numbers_of_two_days_are_those_of_the_books"),
    kept("GET admin/analytics/users", "rentals::analytics::the_numbers_of_two_days_are_those_of_the_books"),
    kept(
        "GET admin/analytics/stations",
        "rentals::analytics::the_numbers_of_two_days_are_those_of_the_books",
    ),
    kept("GET admin/system/health", "system::health_names_every_part"),
    kept(
        "POST admin/broadcast",
        "notifications::broadcast::a_broadcast_reaches_everybody_of_its_segment_once",
    ),
    kept("GET admin/logs", "system::warnings_and_errors_are_kept_for_staff_without_their_secrets"),
];

const SOCIAL: &[Promise] = &[
    kept("GET social/leaderboard", "leaderboard::riders_stand_by_their_points_and_equals_share_a_place"),
    kept("GET social/achievements", "leaderboard::a_rider_sees_how_far_every_goal_is"),
    kept(
        "POST admin/achievements",
        "content::resources::staff_make_read_replace_and_remove_and_each_deed_leaves_a_trace",
    ),
    kept(
        "PUT admin/achievements/{}",
        "content::resources::staff_make_read_replace_and_remove_and_each_deed_leaves_a_trace",
    ),
    kept("GET admin/achievements/analytics", "achievements::staff_see_what_came_of_every_goal"),
];

const PROMOTION: &[Promise] = &[
    kept("POST promotions/coupons/apply", "promotions::a_coupon_gives_its_points_once_and_the_rider_sees_it"),
    kept("GET promotions/coupons/my", "promotions::a_coupon_gives_its_points_once_and_the_rider_sees_it"),
    kept("POST admin/coupons", "promotions::staff_make_find_and_change_coupons_and_moderators_only_look"),
    kept("GET admin/coupons", "promotions::staff_make_find_and_change_coupons_and_moderators_only_look"),
    kept("PUT admin/coupons/{}", "promotions::staff_make_find_and_change_coupons_and_moderators_only_look"),
];

const CONTENT: &[Promise] = &[
    kept(
        "GET content/terms-of-service",
        "content::public::a_new_installation_has_something_to_read_in_both_languages",
    ),
    kept(
        "GET content/privacy-policy",
        "content::public::a_change_of_staff_is_read_at_once_and_nothing_is_sent_twice",
    ),
    kept("GET content/about", "content::public::a_change_of_staff_is_read_at_once_and_nothing_is_sent_twice"),
    kept("GET content/contact", "content::settings::how_riders_reach_us_is_what_staff_say"),
    kept("GET content/faq", "content::public::questions_come_in_order_by_page_category_and_search"),
    moved(
        "GET content/app-updates",
        "GET /api/v1/app/updates",
        "what is new in the app stands beside its versions",
        "content::public::banners_and_updates_appear_and_go_at_their_time",
    ),
];

/// Each group, and how many operations it was promised to have; lists that two groups share are told once.
const GROUPS: &[(&str, usize, &[Promise])] = &[
    ("App", 8, APP),
    ("User", 14, USER),
    ("Station", 6, STATION),
    ("Notification", 5, NOTIFICATION),
    ("Payment", 16, PAYMENT),
    ("Rental", 8, RENTAL),
    ("Points and referral", 5, POINTS_AND_REFERRAL),
    ("Admin", 15, ADMIN),
    ("Social", 2, SOCIAL),
    ("Promotion", 5, PROMOTION),
    ("Content", 6, CONTENT),
];
const PROMISED: usize = 92;

impl Promise {
    /// The operation of the description that keeps it.
    fn ours(&self) -> String {
        let at_its_place = || self.said.replacen(' ', " /api/v1/", 1);
        self.elsewhere.map_or_else(at_its_place, |(to, _)| to.to_owned())
    }
}

#[test]
fn every_promised_operation_is_described_and_named_once() {
    let described: BTreeSet<String> =
        operations().iter().map(Operation::name).map(|name| nameless(&name)).collect();
    let mut said = BTreeSet::new();
    let mut faults = Vec::new();
    for (group, promised, promises) in GROUPS {
        if promises.len() < *promised {
            faults.push(format!("{group} has {} of {promised} operations", promises.len()));
        }
        for promise in *promises {
            if !described.contains(&nameless(&promise.ours())) {
                faults.push(format!("{}: {} is not in the description", promise.said, promise.ours()));
            }
            if !said.insert(promise.said) {
                faults.push(format!("{} stands here twice", promise.said));
            }
            if promise.elsewhere.is_some_and(|(_, because)| because.is_empty()) {
                faults.push(format!("{}: say why it is elsewhere", promise.said));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(said.len() >= PROMISED, "{} of {PROMISED}", said.len());
}

#[test]
fn every_promised_operation_is_called_by_the_test_that_is_named() {
    let mut faults = BTreeSet::new();
    for promise in GROUPS.iter().flat_map(|(_, _, promises)| *promises) {
        let Some(text) = what_the_test_says(promise.test) else {
            faults.insert(format!("{}: there is no test {}", promise.said, promise.test));
            continue;
        };
        let ours = promise.ours();
        let (method, path) = ours.split_once(' ').unwrap();
        let missing: Vec<&str> = literals(path)
            .filter(|part| !has_word(&text, part))
            .chain((!calls(&text, method)).then_some(method))
            .collect();
        if !missing.is_empty() {
            faults.insert(format!("{} does not call {ours}: {missing:?} is nowhere in it", promise.test));
        }
    }
    let faults: Vec<String> = faults.into_iter().collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// `GET /api/v1/stations/{}`, however the open place is called.
fn nameless(operation: &str) -> String {
    let parts: Vec<&str> =
        operation.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect();
    parts.join("/")
}

fn literals(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty() && !part.starts_with('{'))
}

fn has_word(text: &str, word: &str) -> bool {
    let is_inside = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(is_inside) && !text[at + word.len()..].starts_with(is_inside))
}

fn calls(text: &str, method: &str) -> bool {
    let verb = method.to_lowercase();
    let ways =
        [format!("{verb}("), format!("{verb}_once("), format!("{verb}_from("), format!("Method::{method}")];
    ways.iter().any(|way| text.contains(way.as_str()))
}

/// The test's own text with all of its module's that it uses, however far away: functions, methods, constants. What
/// a folder's tests share stands in its `mod.rs`, in a `…world.rs`, or in the file that is named like the folder.
fn what_the_test_says(test: &str) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let mut path: Vec<&str> = test.split("::").collect();
    let name = path.pop()?;
    let own = fs::read_to_string(root.join(path.join("/")).with_extension("rs")).ok()?;
    let head = format!("fn {name}(");
    let is_test = own.split(&head).next()?.rsplit('\n').nth(1).is_some_and(|line| line.contains("test"));
    if !own.contains(&head) || !is_test {
        return None;
    }
    let mut sources = vec![own];
    let folder = path.pop().map(|_| path.join("/")).unwrap_or_default();
    if !folder.is_empty() {
        for entry in fs::read_dir(root.join(&folder)).ok()?.map_while(Result::ok) {
            let file = entry.file_name().to_string_lossy().into_owned();
            if file == "mod.rs" || file.ends_with("world.rs") {
                sources.push(fs::read_to_string(entry.path()).ok()?);
            }
        }
    }
    let items: Vec<(String, &str)> = sources.iter().flat_map(|source| items(source)).collect();
    let mut reached = vec![items.iter().find(|(item, _)| item == name)?.1];
    let mut next = 0;
    while let Some(text) = reached.get(next).copied() {
        next += 1;
        for (item, body) in &items {
            if has_word(text, item) && !reached.contains(body) {
                reached.push(body);
            }
        }
    }
    Some(reached.concat())
}

/// Functions, methods and constants of a source, by name; each until the next one.
fn items(source: &str) -> Vec<(String, &str)> {
    let begins = |line: &str| {
        let words = line.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        // After `pub`, `crate` and `async` at most.
        let at = words.iter().take(5).position(|word| matches!(*word, "fn" | "const" | "static"))?;
        let is_item = line.trim_start().starts_with(['a', 'c', 'f', 'p', 's']);
        is_item.then(|| words.get(at + 1).map(|name| (*name).to_owned()))?
    };
    let mut found: Vec<(String, usize)> = Vec::new();
    let mut offset = 0;
    for line in source.split_inclusive('\n') {
        if let Some(name) = begins(line) {
            found.push((name, offset));
        }
        offset += line.len();
    }
    let ends = found.iter().skip(1).map(|(_, at)| *at).chain([source.len()]).collect::<Vec<_>>();
    found.iter().zip(ends).map(|((name, from), to)| (name.clone(), &source[*from..to])).collect()
}
