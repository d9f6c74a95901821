//! A walk through the ER diagram: every box, field, word, mark and line stands in the schema, on every database.
//!
//! What differs on purpose is listed once: columns, words and tables in `README.md`, the rest in the tables below.
//! A difference that is listed and not there any more fails, too.

mod catalogue;
mod drawn;
mod readme;

use catalogue::Catalogue;
use drawn::{Entity, Field, Line, diagram, table};
use entities::testing::FreshDatabase;
use std::collections::{BTreeMap, BTreeSet};

/// Marked unique in the diagram, and unique in another way: field, what is unique instead, why.
const UNIQUE_OTHERWISE: [(&str, &str, &str); 2] = [
    ("users.email", "lower(email)", "people type their address in both ways"),
    ("app_versions.version", "version, platform", "the same version is published for Android and iOS"),
];

/// One-to-one lines whose column is not unique or may be null: the line, and why.
const LOOSER_LINES: [(&str, &str); 3] = [
    (
        "Transaction ||--o| Refund : may_have",
        "a refused refund may be asked for again; a partial index keeps one open",
    ),
    (
        "PointsTransaction ||--o| CouponUsage : created_by",
        "the points of a use are written with it, and never written for two",
    ),
    (
        "CouponUsage ||--|| PointsTransaction : creates",
        "the column is ours and filled in by the write that makes the points",
    ),
];

/// Where two columns could stand for a line: the line, and the column that does.
const CARRIERS: [(&str, &str); 6] = [
    ("User ||--o{ Referral : refers_as_referrer", "referrer_id"),
    ("User ||--o{ Referral : referred_as_referree", "referred_user_id"),
    ("Station ||--o{ Rental : hosts_start", "station_id"),
    ("Station ||--o{ Rental : hosts_return", "return_station_id"),
    ("Rental ||--|| StationSlot : occupies", "slot_id"),
    ("Transaction ||--o| Refund : may_have", "transaction_id"),
];

#[test]
fn the_whole_diagram_is_read() {
    let (entities, lines) = diagram();
    let fields: usize = entities.iter().map(|entity| entity.fields.len()).sum();
    let marks = |mark: &str| {
        entities.iter().flat_map(|entity| &entity.fields).filter(|field| field.mark == mark).count()
    };
    assert_eq!((entities.len(), fields, lines.len()), (49, 457, 57), "boxes, fields, lines");
    assert_eq!((marks("PK"), marks("FK"), marks("UK")), (49, 65, 22), "marks");
}

#[tokio::test]
async fn every_field_has_a_column_of_its_family() {
    for_each_field(|schema, entity, field, difference| {
        let (table, name) = (entity.table(), field.column());
        let Some(column) = schema.columns.get(&table).and_then(|columns| columns.get(&name)) else {
            return difference(format!("{table}.{name} is missing"));
        };
        let family: &[&str] = match field.kind {
            "uuid" => &["uuid", "uuid_text"],
            "string" | "text" | "enum" => &["text"],
            "integer" => &["integer", "bigint"],
            "decimal" if field.is_money() => &["bigint"],
            "decimal" => &["double precision", "double"],
            "boolean" => &["boolean"],
            "json" => &["jsonb", "jsonb_text"],
            "date" => &["date", "date_text"],
            "datetime" => &["timestamp with time zone", "timestamp_with_timezone_text"],
            _ => &[],
        };
        if !family.contains(&column.kind.to_ascii_lowercase().as_str()) {
            difference(format!("{table}.{name} is {} and was drawn as {}", column.kind, field.kind));
        }
        if field.is_nullable() && !column.may_be_null {
            difference(format!("{table}.{name} may not be null"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_column_may_be_null_only_where_the_diagram_or_the_readme_says_so() {
    let listed = readme::columns_below("Columns that may be null although the diagram does not say so");
    for schema in schemas().await {
        let mut found = BTreeSet::new();
        for entity in diagram().0 {
            for field in &entity.fields {
                let (table, column) = (entity.table(), field.column());
                if schema.columns[&table][&column].may_be_null && !field.is_nullable() {
                    found.insert(format!("{table}.{column}"));
                }
            }
        }
        assert_eq!(found, listed, "columns that may be null (left: schema, right: README.md)");
    }
}

#[tokio::test]
async fn the_words_of_an_enum_are_the_diagrams_and_those_in_the_readme() {
    let listed = readme::words_below("Words added to the diagram's enums");
    for schema in schemas().await {
        let mut added = BTreeSet::new();
        let mut sets = 0;
        for entity in diagram().0 {
            for field in &entity.fields {
                let (table, column) = (entity.table(), field.column());
                let allowed = schema.words(&table, &column);
                if allowed.is_empty() {
                    assert!(field.kind != "enum", "{table}.{column} is an enum and has no CHECK");
                    continue;
                }
                sets += 1;
                for word in field.words() {
                    assert!(allowed.contains(word), "{table}.{column} does not allow `{word}`: {allowed:?}");
                }
                let ours = allowed.iter().filter(|word| !field.words().contains(word.as_str()));
                added.extend(ours.map(|word| (format!("{table}.{column}"), word.clone())));
            }
        }
        assert!(sets >= 36, "only {sets} closed sets were compared");
        assert_eq!(added, listed, "words that the diagram does not have (left: schema, right: README.md)");
    }
}

#[tokio::test]
async fn what_is_marked_unique_is_unique() {
    let mut otherwise: BTreeMap<&str, &str> =
        UNIQUE_OTHERWISE.iter().map(|(field, way, _)| (*field, *way)).collect();
    for_each_field(|schema, entity, field, difference| {
        let (table, column) = (entity.table(), field.column());
        if !matches!(field.mark, "PK" | "UK") {
            return;
        }
        let name = format!("{table}.{column}");
        let way = UNIQUE_OTHERWISE
            .iter()
            .find(|(field, ..)| *field == name)
            .map_or(column.as_str(), |(_, way, _)| way);
        if !schema.unique.contains(&(table.clone(), way.to_owned())) {
            difference(format!("{name} is not unique"));
        }
        if way != column && schema.unique.contains(&(table, column)) {
            difference(format!("{name} is unique as drawn: strike the difference"));
        }
    })
    .await;
    for (entity, field) in
        diagram().0.iter().flat_map(|entity| entity.fields.iter().map(move |field| (entity, field)))
    {
        otherwise.remove(format!("{}.{}", entity.table(), field.column()).as_str());
    }
    assert!(otherwise.is_empty(), "not in the diagram: {otherwise:?}");
}

#[tokio::test]
async fn what_is_marked_a_foreign_key_refers_to_its_table() {
    for_each_field(|schema, entity, field, difference| {
        if field.mark != "FK" {
            return;
        }
        let (table, column) = (entity.table(), field.column());
        let target = target(&table, &column);
        if !schema.references.contains(&(table.clone(), column.clone(), target.to_owned())) {
            difference(format!("{table}.{column} does not refer to {target}"));
        }
    })
    .await;
}

#[tokio::test]
async fn every_line_is_carried_by_a_foreign_key() {
    for schema in schemas().await {
        let (mut differences, mut looser) = (Vec::new(), BTreeSet::new());
        for line in diagram().1 {
            let shown = format!("{} {} {} : {}", line.from, line.ends, line.to, line.label);
            match carrier(&schema, &line, &shown) {
                None => differences.push(format!("{shown}: no foreign key")),
                Some(carrier) if !carrier.is_as_strict_as(&line, &schema) => {
                    looser.insert(shown);
                }
                Some(_) => {}
            }
        }
        assert!(differences.is_empty(), "{differences:#?}");
        let listed: BTreeSet<String> = LOOSER_LINES.iter().map(|(line, _)| (*line).to_owned()).collect();
        assert_eq!(looser, listed, "lines that are looser than drawn (left: schema, right: the table above)");
    }
}

#[tokio::test]
async fn the_readme_lists_every_table_and_column_of_ours() {
    let columns = readme::columns_below("Columns of ours in the diagram's tables");
    let tables = readme::names_below("Tables of ours");
    let drawn: BTreeMap<String, BTreeSet<String>> = diagram()
        .0
        .iter()
        .map(|entity| (entity.table(), entity.fields.iter().map(Field::column).collect()))
        .collect();
    for schema in schemas().await {
        let ours: BTreeSet<String> = schema
            .columns
            .keys()
            .filter(|table| !drawn.contains_key(*table) && *table != "seaql_migrations")
            .cloned()
            .collect();
        assert_eq!(ours, tables, "tables (left: schema, right: README.md)");
        let mut found = BTreeSet::new();
        for (table, fields) in &drawn {
            let added = schema.columns[table].keys().filter(|column| !fields.contains(*column));
            found.extend(added.map(|column| format!("{table}.{column}")));
        }
        assert_eq!(found, columns, "columns (left: schema, right: README.md)");
    }
}

/// The foreign key that stands for a line.
struct Carrier {
    table: String,
    column: String,
    /// The key is in the box at the line's second end.
    is_at_the_far_end: bool,
}

impl Carrier {
    /// Whether at most one row can stand at each end that is drawn so, and one must where one is drawn.
    fn is_as_strict_as(&self, line: &Line, schema: &Catalogue) -> bool {
        let is_unique = schema.unique.contains(&(self.table.clone(), self.column.clone()));
        let may_be_null = schema.columns[&self.table][&self.column].may_be_null;
        match (line.ends, self.is_at_the_far_end) {
            ("||--o{", _) => true,
            ("||--o|", true) => is_unique,
            // The near box refers to at most one row: that is what a column says.
            ("||--o|", false) => true,
            ("||--||", _) => !may_be_null,
            (ends, _) => panic!("a line with the ends {ends} is not known"),
        }
    }
}

fn carrier(schema: &Catalogue, line: &Line, shown: &str) -> Option<Carrier> {
    let (from, to) = (table(line.from), table(line.to));
    let named = CARRIERS.iter().find(|(line, _)| *line == shown).map(|(_, column)| *column);
    let between = |child: &str, parent: &str| {
        let is_between = |(table, column, target): &&(String, String, String)| {
            table == child && target == parent && named.is_none_or(|named| named == column)
        };
        let keys: Vec<_> = schema.references.iter().filter(is_between).collect();
        assert!(keys.len() < 2, "{shown}: which of {keys:?} stands for it?");
        keys.first().map(|(table, column, _)| (table.clone(), column.clone()))
    };
    // "Many" stands at the far end: only a key there can carry it.
    let near = if line.ends.ends_with('{') { None } else { between(&from, &to) };
    match (between(&to, &from), near) {
        (_, Some((table, column))) => Some(Carrier { table, column, is_at_the_far_end: false }),
        (Some((table, column)), None) => Some(Carrier { table, column, is_at_the_far_end: true }),
        (None, None) => None,
    }
}

/// What a column that is marked `FK` refers to, by its name.
fn target(table: &str, column: &str) -> &'static str {
    match (table, column) {
        ("refunds", "transaction_id") | ("wallet_transactions", "transaction_id") => "transactions",
        (
            _,
            "user_id" | "referred_by" | "reported_by" | "requested_by" | "referrer_id" | "referred_user_id"
            | "uploaded_by",
        ) => "users",
        (_, "admin_id" | "created_by" | "updated_by" | "assigned_to" | "approved_by") => "admin_profiles",
        (_, "station_id" | "return_station_id" | "current_station") => "stations",
        (_, "slot_id" | "current_slot") => "station_slots",
        (_, "rental_id" | "current_rental" | "related_rental" | "triggering_rental") => "rentals",
        (_, "package_id") => "rental_packages",
        (_, "power_bank_id") => "power_banks",
        (_, "payment_method_id") => "payment_methods",
        (_, "related_transaction") => "transactions",
        (_, "wallet_id") => "wallets",
        (_, "template_id") => "notification_templates",
        (_, "achievement_id") => "achievements",
        (_, "coupon_id") => "coupons",
        (_, "amenity_id") => "station_amenities",
        (_, "media_upload_id") => "media_uploads",
        _ => "a table that this test does not know",
    }
}

/// Calls `look` for every field on every database; what it reports fails together, so that one run shows all.
async fn for_each_field(look: impl Fn(&Catalogue, &Entity, &Field, &mut dyn FnMut(String))) {
    let mut differences = Vec::new();
    for schema in schemas().await {
        for entity in diagram().0 {
            for field in &entity.fields {
                look(&schema, &entity, field, &mut |difference| differences.push(difference));
            }
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

async fn schemas() -> Vec<Catalogue> {
    let mut schemas = Vec::new();
    for fresh in FreshDatabase::on_each_backend().await {
        schemas.push(Catalogue::of(&fresh.connect_migrated().await).await);
    }
    schemas
}
