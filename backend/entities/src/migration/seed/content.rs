//! The texts of a new installation: pages, questions, contacts, versions, banners, amenities. Staff replace them.

use super::{Row, insert, seeded_at};
use chrono::{DateTime, Utc};
use sea_orm::{DbErr, Value};
use sea_orm_migration::SchemaManagerConnection;
use serde_json::json;

pub(super) async fn insert_all(db: &SchemaManagerConnection<'_>) -> Result<(), DbErr> {
    insert(db, 9, "content_pages", PAGE, pages()).await?;
    insert(db, 10, "faqs", FAQ, faqs()).await?;
    insert(db, 11, "contact_infos", CONTACT, contacts()).await?;
    insert(db, 12, "app_versions", VERSION, versions()).await?;
    insert(db, 13, "app_updates", UPDATE, updates()).await?;
    insert(db, 14, "banners", BANNER, banners()).await?;
    insert(db, 15, "station_amenities", AMENITY, amenities()).await
}

const PAGE: &[&str] = &["slug", "title", "content", "is_published", "created_at", "updated_at"];

fn pages() -> Vec<Row> {
    [
        ("terms-of-service", "Terms of service", TERMS),
        ("privacy-policy", "Privacy policy", PRIVACY),
        ("about", "About Chautari", ABOUT),
        ("contact", "Contact us", "Write or call: we answer in Nepali and English.\n\nलेख्नुहोस् वा फोन गर्नुहोस्: हामी नेपाली र अंग्रेजीमा जवाफ दिन्छौं।"),
        ("faq", "Frequently asked questions", "Short answers to what riders ask most. धेरै सोधिने प्रश्नहरू।"),
    ]
    .into_iter()
    .map(|(slug, title, content)| {
        vec![slug.into(), title.into(), content.trim_end().into(), true.into(), seeded_at(), seeded_at()]
    })
    .collect()
}

const TERMS: &str = "\
# Terms of service

These are the terms of a new installation: replace them with your own before the first rider.

1. **A rental** begins when the power bank leaves the station and ends when any station has taken it back.
2. **The price** is the package's price, VAT included. The app shows it before the rental begins.
3. **A late return** costs what the app shows as the late fee, by the minute after a short grace, capped for each day.
4. **A cancelled or failed start** costs nothing: what was set aside is given back at once.
5. **A damaged or lost power bank** is to be reported in the app. Keep it away from fire, water and children.
6. **Points** are a thank-you. They are worth what the app shows and cannot be paid out.

सेवाका सर्तहरू: पावर बैंक स्टेसनबाट निस्केपछि भाडा सुरु हुन्छ र कुनै पनि स्टेसनमा फिर्ता गरेपछि सकिन्छ।
";

const PRIVACY: &str = "\
# Privacy policy

These are the words of a new installation: replace them with your own before the first rider.

- We keep your telephone number or e-mail address to sign you in, and your rentals and payments because the law asks for books.
- We see your position only when you ask for stations near you or send it during a rental.
- Documents for the proof of identity are seen by our staff alone.
- You can delete your account in the app. We then remove what names you and keep the books.

गोपनीयता: तपाईंको विवरण सेवा दिन मात्र प्रयोग हुन्छ। तपाईं जुनसुकै बेला खाता मेटाउन सक्नुहुन्छ।
";

const ABOUT: &str = "\
# About Chautari

A *chautari* (चौतारी) is the stone resting place below a pipal tree where travellers in Nepal put down their load.
Our stations are that for your phone: take a power bank in Thamel, return it in Patan.
";

const FAQ: &[&str] =
    &["question", "answer", "category", "display_order", "is_active", "created_at", "updated_at"];

fn faqs() -> Vec<Row> {
    [
        ("Renting", "How do I rent a power bank?", "Scan the QR code of a station, choose a package and confirm. The power bank comes out within seconds."),
        ("Renting", "पावर बैंक कसरी भाडामा लिने?", "स्टेसनको QR कोड स्क्यान गर्नुहोस्, प्याकेज छान्नुहोस् र पक्का गर्नुहोस्। पावर बैंक केही सेकेन्डमै निस्कन्छ।"),
        ("Renting", "Which phones can be charged?", "Every power bank has cables for USB-C, Lightning and Micro-USB."),
        ("Renting", "No power bank came out. What now?", "Nothing is charged. The app tells you within a minute, and what was set aside is back in your wallet."),
        ("Returning", "Where do I return it?", "At any station with a free slot: push it in until it clicks. The app confirms the return."),
        ("Returning", "फिर्ता कहाँ गर्ने?", "खाली स्लट भएको जुनसुकै स्टेसनमा। क्लिक आवाज आउने गरी भित्र राख्नुहोस्।"),
        ("Returning", "What does a late return cost?", "After a short grace every minute costs what the app shows, with a cap for each day."),
        ("Payments", "How can I pay?", "Top up your wallet with the payment methods that the app offers, then rent with one tap."),
        ("Payments", "वालेटमा पैसा कसरी राख्ने?", "एपको वालेटमा गएर रकम र भुक्तानी विधि छान्नुहोस्।"),
        ("Payments", "I paid and the money is not in my wallet.", "Open the payment in the app and tap refresh: we ask the provider again. If it does not arrive within an hour, write to us."),
        ("Points", "What are points good for?", "Ten points are worth one rupee. You earn them by riding, returning in time and inviting friends."),
        ("Account", "How do I delete my account?", "In the app under Profile, Delete account. Open rentals and dues must be settled first."),
    ]
    .into_iter()
    .enumerate()
    .map(|(at, (category, question, answer))| {
        let order = i32::try_from(at + 1).unwrap_or(i32::MAX) * 10;
        vec![
            question.into(),
            answer.into(),
            category.into(),
            order.into(),
            true.into(),
            seeded_at(),
            seeded_at(),
        ]
    })
    .collect()
}

const CONTACT: &[&str] = &["contact_type", "value", "description", "is_active", "updated_at"];

/// A telephone number and a domain that belong to nobody.
fn contacts() -> Vec<Row> {
    [
        ("phone", "+977 1 5550100", "Riders' help line"),
        ("email", "help@chautari.example", "We answer within a day"),
        ("address", "Durbar Marg, Kathmandu, Nepal", "दरबारमार्ग, काठमाडौं"),
        ("support_hours", "07:00–21:00, every day", "बिहान ७ देखि राति ९ बजेसम्म"),
    ]
    .into_iter()
    .map(|(kind, value, description)| {
        vec![kind.into(), value.into(), description.into(), true.into(), seeded_at()]
    })
    .collect()
}

const VERSION: &[&str] =
    &["version", "platform", "is_mandatory", "download_url", "release_notes", "released_at", "created_at"];

fn versions() -> Vec<Row> {
    [
        ("1.0.0", "android", "https://play.google.com/store/apps/details?id=example.chautari"),
        ("1.0.0", "ios", "https://apps.apple.com/app/chautari/id000000000"),
        ("1.0.0", "web", "/"),
    ]
    .into_iter()
    .map(|(version, platform, url)| {
        vec![
            version.into(),
            platform.into(),
            false.into(),
            url.into(),
            "The first version.".into(),
            seeded_at(),
            seeded_at(),
        ]
    })
    .collect()
}

const UPDATE: &[&str] =
    &["version", "title", "description", "features", "is_major", "released_at", "created_at"];

fn updates() -> Vec<Row> {
    let features = json!([
        "Rent at any station and return at any other",
        "Pay from your wallet",
        "Earn points for every rental and every return in time",
    ]);
    vec![vec![
        "1.0.0".into(),
        "Namaste, Chautari!".into(),
        "नमस्ते! Power banks all over town, in your pocket within seconds.".into(),
        features.into(),
        true.into(),
        seeded_at(),
        seeded_at(),
    ]]
}

const BANNER: &[&str] = &[
    "title",
    "description",
    "image_url",
    "redirect_url",
    "display_order",
    "is_active",
    "valid_from",
    "valid_until",
    "created_at",
];

fn banners() -> Vec<Row> {
    // The end of the year 2099: until staff take them down.
    let for_ever = DateTime::<Utc>::from_timestamp(4_102_444_799, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
    [
        (
            "Namaste! Your first rental brings 50 points",
            "पहिलो भाडामा ५० पोइन्ट",
            "/assets/banner-welcome.svg",
        ),
        ("Return in time, earn points", "समयमै फिर्ता, थप पोइन्ट", "/assets/banner-in-time.svg"),
    ]
    .into_iter()
    .enumerate()
    .map(|(at, (title, description, image))| {
        vec![
            title.into(),
            description.into(),
            image.into(),
            Value::String(None),
            i32::try_from(at + 1).unwrap_or(i32::MAX).into(),
            true.into(),
            seeded_at(),
            for_ever.into(),
            seeded_at(),
        ]
    })
    .collect()
}

const AMENITY: &[&str] = &["name", "icon", "description", "is_active", "created_at", "updated_at"];

fn amenities() -> Vec<Row> {
    [
        ("wifi", "fa-wifi", "Free wifi · निःशुल्क वाइफाइ"),
        ("restroom", "fa-restroom", "Restroom · शौचालय"),
        ("parking", "fa-square-parking", "Parking · पार्किङ"),
        ("cafe", "fa-mug-hot", "Tea and coffee · चिया र कफी"),
        ("shopping", "fa-bag-shopping", "Shops · पसलहरू"),
        ("atm", "fa-money-bill-transfer", "Cash machine · एटीएम"),
    ]
    .into_iter()
    .map(|(name, icon, description)| {
        vec![name.into(), icon.into(), description.into(), true.into(), seeded_at(), seeded_at()]
    })
    .collect()
}
