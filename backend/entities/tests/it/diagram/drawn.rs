//! The ER diagram as data: `diagram.mmd`, in Mermaid's notation.

use std::collections::BTreeSet;

/// One box of the diagram.
pub(crate) struct Entity {
    pub(crate) name: &'static str,
    pub(crate) fields: Vec<Field>,
}

/// One line in a box.
pub(crate) struct Field {
    pub(crate) kind: &'static str,
    pub(crate) name: &'static str,
    /// `PK`, `FK`, `UK`, or nothing.
    pub(crate) mark: &'static str,
    /// What stands in quotes behind it.
    pub(crate) note: &'static str,
}

/// One line between two boxes, with Mermaid's signs at its two ends: `||--o{`.
pub(crate) struct Line {
    pub(crate) from: &'static str,
    pub(crate) ends: &'static str,
    pub(crate) to: &'static str,
    pub(crate) label: &'static str,
}

impl Entity {
    /// The plural in snake case, but for names that have none.
    pub(crate) fn table(&self) -> String {
        table(self.name)
    }
}

impl Field {
    /// Amounts of money carry their unit; everything else is named as drawn.
    pub(crate) fn column(&self) -> String {
        if self.is_money() { format!("{}_paisa", self.name) } else { self.name.to_owned() }
    }

    pub(crate) fn is_money(&self) -> bool {
        self.kind == "decimal" && !matches!(self.name, "latitude" | "longitude" | "accuracy")
    }

    /// The note says that there may be none.
    pub(crate) fn is_nullable(&self) -> bool {
        self.note.to_ascii_lowercase().contains("nullable")
    }

    /// The words of an enum, or of a text whose note is a list of words.
    pub(crate) fn words(&self) -> BTreeSet<&'static str> {
        self.note.split(',').map(str::trim).collect()
    }
}

/// The whole diagram.
pub(crate) fn diagram() -> (Vec<Entity>, Vec<Line>) {
    let (mut entities, mut lines) = (Vec::<Entity>::new(), Vec::new());
    for text in include_str!("../../../diagram.mmd").lines().map(str::trim) {
        if text.is_empty() || text.starts_with("%%") || text == "}" || text == "erDiagram" {
            continue;
        }
        if let Some(name) = text.strip_suffix('{').filter(|name| !name.contains("--")) {
            entities.push(Entity { name: name.trim(), fields: Vec::new() });
        } else if text.contains("--") {
            lines.push(line(text));
        } else {
            entities.last_mut().expect("a field stands in a box").fields.push(field(text));
        }
    }
    (entities, lines)
}

/// The table of an entity, by its name in a box or at the end of a line.
pub(crate) fn table(name: &str) -> String {
    match name {
        "UserKYC" => "user_kyc".to_owned(),
        "SMS_FCMLog" | "FCMLog" => "sms_fcm_logs".to_owned(),
        "FAQ" => "faqs".to_owned(),
        "StationMedia" => "station_media".to_owned(),
        "UserPoints" => "user_points".to_owned(),
        "AuditLog" => "user_audit_logs".to_owned(),
        _ => plural(&snake_case(name)),
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn plural(name: &str) -> String {
    match name.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{name}s"),
    }
}

fn field(text: &'static str) -> Field {
    let (declared, note) = text.split_once('"').unwrap_or((text, ""));
    let mut words = declared.split_whitespace();
    let (kind, name) = (words.next().expect("a type"), words.next().expect("a name"));
    Field { kind, name, mark: words.next().unwrap_or_default(), note: note.trim_end_matches('"') }
}

fn line(text: &'static str) -> Line {
    let (boxes, label) = text.split_once(':').expect("a line says what it means");
    let mut words = boxes.split_whitespace();
    let mut next = || words.next().expect("box, ends, box");
    Line { from: next(), ends: next(), to: next(), label: label.trim() }
}
